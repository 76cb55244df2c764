//! Where a segment's file lies: `segments/<camera>/<YYYY-MM-DD>/<HH>/<seq, 10 digits>.whseg`, the
//! hour being that of its key, UTC.

use std::path::{Path, PathBuf};

use custody::{CameraId, Seq, WallTime};

/// The folder of a camera's hour.
pub(super) fn hour_folder(segments: &Path, camera: &CameraId, epoch: u64) -> PathBuf {
    let seconds = i64::try_from(epoch).unwrap_or(i64::MAX).saturating_mul(3600);
    let begins = WallTime(0).plus_seconds(seconds).calendar();
    let (year, month, day) = begins.to_calendar_date();
    let month = u8::from(month);
    segments
        .join(camera.name())
        .join(format!("{year:04}-{month:02}-{day:02}"))
        .join(format!("{:02}", begins.hour()))
}

/// A segment's file.
pub(super) fn segment(segments: &Path, camera: &CameraId, epoch: u64, seq: Seq) -> PathBuf {
    hour_folder(segments, camera, epoch).join(format!("{:010}.whseg", seq.0))
}

/// The place that a file's name gives, if it is a segment's.
pub(super) fn seq_of(path: &Path) -> Option<Seq> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".whseg")?;
    stem.parse().ok().map(Seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_lies_in_its_hour() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let time: WallTime = "2026-11-22T14:03:00Z".parse().unwrap();
        let epoch = crate::seal::key_ring::epoch_of(time);
        let path = segment(Path::new("s"), &camera, epoch, Seq(42));
        assert_eq!(path, Path::new("s/ext-01/2026-11-22/14/0000000042.whseg"));
        assert_eq!(seq_of(&path), Some(Seq(42)));
        assert_eq!(seq_of(Path::new("volume.json")), None);
    }
}
