//! The clips under `tests/footage`, and the coded pictures in them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;

/// Frames a second in every clip.
pub const FRAMES_PER_SECOND: u32 = 25;

/// One of the clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clip {
    /// 960x720, H.264, 20 s, a key frame every 2 s.
    WalkwayH264,
    /// The same in H.265.
    WalkwayH265,
    /// 320x240, H.264, 2 s, a key frame every second.
    SmallH264,
    /// 1920x1080, H.264, 20 s at 4 Mb/s; made by the benchmark, not committed.
    Walkway4M,
}

impl Clip {
    /// Where the clip lies.
    #[must_use]
    pub fn path(self) -> PathBuf {
        let name = match self {
            Self::WalkwayH264 => "walkway-h264.mp4",
            Self::WalkwayH265 => "walkway-h265.mp4",
            Self::SmallH264 => "small-h264.mp4",
            Self::Walkway4M => "../../target/bench/walkway-4m.mp4",
        };
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/footage")).join(name)
    }
}

/// One coded picture: its NAL units in order, without start codes. A key picture begins with its
/// parameter sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// Whether decoding can start here.
    pub key: bool,
    /// Its NAL units.
    pub nals: Vec<Bytes>,
}

/// NAL unit types of ITU-T H.264, table 7-1.
const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
const DELIMITER: u8 = 9;

pub(crate) fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |first| first & 0x1f)
}

/// The coded pictures of an H.264 clip, bit for bit as they lie in the file.
///
/// # Errors
/// If ffmpeg is missing or finds no H.264 in the clip.
pub fn access_units(clip: Clip) -> Result<Vec<AccessUnit>> {
    let path = clip.path();
    // The delimiters say where a picture ends; they are left out again below.
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(&path)
        .args(["-map", "0:v:0", "-c", "copy", "-bsf:v"])
        .args(["h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264", "-"])
        .stdin(Stdio::null())
        .output()
        .context("could not run ffmpeg; run tests/rig/setup.sh")?;
    ensure!(
        output.status.success(),
        "ffmpeg could not read {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let units = pictures(&nal_units(&Bytes::from(output.stdout)));
    ensure!(units.first().is_some_and(|unit| unit.key), "{}: no key frame first", path.display());
    Ok(units)
}

/// Cuts an Annex B byte stream at its start codes.
fn nal_units(stream: &Bytes) -> Vec<Bytes> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(found) = stream[at..].windows(3).position(|three| three == [0, 0, 1]) {
        at += found + 3;
        starts.push(at);
    }
    let ends = starts.iter().skip(1).map(|&next| next - 3).chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            // A start code may have a zero byte before it, and a NAL unit never ends with one.
            let zeros = stream[start..end].iter().rev().take_while(|&&byte| byte == 0).count();
            stream.slice(start..end - zeros)
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

/// Groups NAL units into pictures by their delimiters.
fn pictures(nals: &[Bytes]) -> Vec<AccessUnit> {
    nals.split(|nal| nal_type(nal) == DELIMITER)
        .filter(|nals| !nals.is_empty())
        .map(|nals| AccessUnit {
            key: nals.iter().any(|nal| nal_type(nal) == IDR),
            nals: nals.to_vec(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walkway_is_twenty_seconds_with_a_key_frame_every_two() {
        let units = access_units(Clip::WalkwayH264).unwrap();
        assert_eq!(units.len(), 500);
        let keys: Vec<usize> = (0..500).filter(|&at| units[at].key).collect();
        assert_eq!(keys, (0..10).map(|n| n * 50).collect::<Vec<_>>());
        for key in keys {
            let types: Vec<u8> = units[key].nals.iter().map(|nal| nal_type(nal)).collect();
            assert!(types.contains(&SPS) && types.contains(&PPS), "frame {key}: {types:?}");
        }
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_both_cut() {
        let stream = Bytes::from_static(&[0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 0x41]);
        let nals = nal_units(&stream);
        assert_eq!(nals, [&[9_u8, 16][..], &[0x65, 1], &[0x41]]);
    }
}
