//! The time line and sample tables of a playable copy, gathered fragment by fragment. Pure.
//!
//! The copy's time line is wall time from the first segment's start: where footage is missing, the
//! last picture before the gap stands still for as long. Frames keep their own durations within a
//! fragment; each fragment begins at its signed wall time. After a step back of the recorder's
//! clock, or a gap too long for one frame (6 hours), the line goes on from the next fragment.

use std::ops::Range;

use custody::fragment::FragmentInfo;
use custody::{Seq, WallTime};
use mp4_atom::{Atom, Codec, Moof, Moov, Tfhd, Trex, TrunEntry};
use verifier::boxes;

/// Ticks of the copy's time line in a second.
pub(super) const TIMESCALE: u32 = 90_000;
/// The longest time one picture stands still: players read it as a signed 32-bit number.
const STILL_TICKS_MAX: u64 = 0x7fff_ffff;
/// The bit of a sample's flags that says: decoding cannot start here.
const NOT_SYNC: u32 = 0x0001_0000;

/// One fragment's pictures in the copy: where they lie in their master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) seq: Seq,
    pub(super) in_master: Range<u64>,
    pub(super) samples: u32,
    /// From 1.
    pub(super) entry: u32,
}

/// The copy's tables.
#[derive(Default)]
pub(super) struct Movie {
    /// One for each distinct decoder configuration.
    pub(super) entries: Vec<Codec>,
    pub(super) chunks: Vec<Chunk>,
    /// Bytes of each frame.
    pub(super) sizes: Vec<u32>,
    /// Durations, run-length: (frames, ticks).
    pub(super) durations: Vec<(u32, u32)>,
    /// Composition offsets, run-length: (frames, ticks).
    pub(super) offsets: Vec<(u32, i64)>,
    /// Frames where decoding can start, from 1.
    pub(super) keys: Vec<u32>,
    /// Where the last frame ends.
    pub(super) end_ticks: u64,
    /// Where on the line a wall time stands, in order of the line. Between two of them both run
    /// alike; a new one stands where the recorder's clock was set back, or a gap was too long.
    pub(super) anchors: Vec<(u64, WallTime)>,
    pub(super) width: u16,
    pub(super) height: u16,
    now: Option<Init>,
}

/// What the current segment's init section says.
struct Init {
    entry: u32,
    timescale: u32,
    defaults: Trex,
}

/// One frame with the defaults filled in.
#[derive(Debug, Clone, Copy)]
struct Sample {
    duration: u32,
    size: u32,
    flags: u32,
    offset: i64,
}

impl Movie {
    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Bytes of all pictures.
    pub(super) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|c| c.in_master.end - c.in_master.start).sum()
    }

    /// How long after its decoding the first frame is shown: cameras that reorder frames need a
    /// start. The line counts from there.
    pub(super) fn lead_ticks(&self) -> u64 {
        self.offsets.first().map_or(0, |(_, ticks)| u64::try_from(*ticks).unwrap_or(0))
    }

    /// When each frame begins to be shown, in decoding order, on the line.
    pub(super) fn shown(&self) -> impl Iterator<Item = u64> + '_ {
        let each = |&(count, ticks): &(u32, u32)| std::iter::repeat_n(ticks, count as usize);
        let durations = self.durations.iter().flat_map(each);
        let offsets = self.offsets.iter().flat_map(|&(count, ticks)| {
            std::iter::repeat_n(ticks, usize::try_from(count).unwrap_or(usize::MAX))
        });
        let lead = i128::from(self.lead_ticks());
        let mut decoded = 0_u64;
        durations.zip(offsets).map(move |(ticks, offset)| {
            let shown = i128::from(decoded) + i128::from(offset) - lead;
            decoded += u64::from(ticks);
            u64::try_from(shown).unwrap_or(0)
        })
    }

    /// The frames that follow are coded as this init section says.
    pub(super) fn begin_segment(&mut self, init: &[u8]) -> Result<(), String> {
        let moov: Moov = only(init, b"moov")?;
        let [track] = &moov.trak[..] else {
            return Err(format!("the init section has {} tracks, not one", moov.trak.len()));
        };
        let Some(codec) = track.mdia.minf.stbl.stsd.codecs.first() else {
            return Err("the init section has no sample entry".into());
        };
        if track.mdia.mdhd.timescale == 0 {
            return Err("the init section has no time scale".into());
        }
        let known = self.entries.iter().position(|entry| entry == codec);
        let entry = known.unwrap_or_else(|| {
            self.entries.push(codec.clone());
            self.entries.len() - 1
        });
        if self.width == 0 {
            self.width = track.tkhd.width.integer();
            self.height = track.tkhd.height.integer();
        }
        let defaults = moov.mvex.and_then(|mvex| mvex.trex.into_iter().next());
        self.now = Some(Init {
            entry: u32::try_from(entry + 1).map_err(|error| error.to_string())?,
            timescale: track.mdia.mdhd.timescale,
            defaults: defaults.unwrap_or_default(),
        });
        Ok(())
    }

    /// Adds the fragment that lies at `offset` in the master of segment `seq`.
    pub(super) fn add(
        &mut self,
        seq: Seq,
        info: &FragmentInfo,
        offset: u64,
        plain: &[u8],
    ) -> Result<(), String> {
        let init = self.now.as_ref().ok_or("a fragment stands before any init section")?;
        let moof: Moof = only(plain, b"moof")?;
        let pictures = boxes::payloads_in(plain, b"mdat").unwrap_or_default();
        let [pictures] = &pictures[..] else {
            return Err("a fragment has one `mdat`".into());
        };
        let samples = samples(&moof, &init.defaults)?;
        let bytes: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
        if bytes != pictures.len() as u64 || samples.len() as u64 != u64::from(info.samples) {
            return Err(format!("fragment {} does not hold the frames that it lists", info.index));
        }
        let (entry, timescale) = (init.entry, init.timescale);
        self.place(info.start);
        self.take(&samples, timescale)?;
        let from = offset + pictures.start as u64;
        self.chunks.push(Chunk {
            seq,
            in_master: from..from + pictures.len() as u64,
            samples: info.samples,
            entry,
        });
        Ok(())
    }

    /// Makes the next frame begin at `wall` by letting the last one stand longer or shorter.
    fn place(&mut self, wall: WallTime) {
        let Some(&(at, anchor)) = self.anchors.last() else {
            self.anchors.push((self.end_ticks, wall));
            return;
        };
        let since = i128::from(wall.micros_since(anchor)) * i128::from(TIMESCALE) / 1_000_000;
        let due = u64::try_from(i128::from(at) + since).unwrap_or(0);
        let last = self.durations.last().map_or(0, |(_, ticks)| u64::from(*ticks));
        let began = self.end_ticks - last;
        let still = due.saturating_sub(began);
        if (1..=STILL_TICKS_MAX).contains(&still) {
            let still = u32::try_from(still).expect("STILL_TICKS_MAX is below 2^32");
            if let Some((count, _)) = self.durations.last_mut() {
                *count -= 1;
            }
            self.durations.pop_if(|(count, _)| *count == 0);
            run(&mut self.durations, still);
            self.end_ticks = due;
        } else {
            self.anchors.push((self.end_ticks, wall));
        }
    }

    fn take(&mut self, samples: &[Sample], timescale: u32) -> Result<(), String> {
        let scale = |ticks: u64| ticks.saturating_mul(u64::from(TIMESCALE)) / u64::from(timescale);
        let mut elapsed = 0_u64;
        for sample in samples {
            let began = scale(elapsed);
            elapsed += u64::from(sample.duration);
            let ticks = scale(elapsed) - began;
            let ticks = u32::try_from(ticks).map_err(|_| "a frame lasts for hours".to_owned())?;
            self.sizes.push(sample.size);
            run(&mut self.durations, ticks);
            let offset = i128::from(sample.offset) * i128::from(TIMESCALE) / i128::from(timescale);
            run(&mut self.offsets, i64::try_from(offset).unwrap_or(0));
            if sample.flags & NOT_SYNC == 0 {
                let number = u32::try_from(self.sizes.len());
                self.keys.push(number.map_err(|_| "there are too many frames".to_owned())?);
            }
            self.end_ticks += u64::from(ticks);
        }
        Ok(())
    }
}

fn run<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value && *count < u32::MAX => *count += 1,
        _ => runs.push((1, value)),
    }
}

/// The one box of this kind.
fn only<T: Atom>(bytes: &[u8], kind: &[u8; 4]) -> Result<T, String> {
    let name = kind.escape_ascii();
    let found = boxes::payloads_in(bytes, kind).ok_or("it is not whole MP4 boxes")?;
    let [range] = &found[..] else {
        return Err(format!("it has {} boxes `{name}`, not one", found.len()));
    };
    T::decode_body(&mut &bytes[range.clone()])
        .map_err(|error| format!("`{name}` does not read: {error}"))
}

fn samples(moof: &Moof, trex: &Trex) -> Result<Vec<Sample>, String> {
    let [traf] = &moof.traf[..] else {
        return Err(format!("a fragment has {} tracks, not one", moof.traf.len()));
    };
    let runs = traf.trun.iter().flat_map(|trun| trun.samples.iter());
    Ok(runs.map(|entry| filled(&entry, &traf.tfhd, trex)).collect())
}

fn filled(entry: &TrunEntry, tfhd: &Tfhd, trex: &Trex) -> Sample {
    let or = |own: Option<u32>, track: Option<u32>, default| own.or(track).unwrap_or(default);
    Sample {
        duration: or(entry.duration, tfhd.default_sample_duration, trex.default_sample_duration),
        size: or(entry.size, tfhd.default_sample_size, trex.default_sample_size),
        flags: or(entry.flags, tfhd.default_sample_flags, trex.default_sample_flags),
        offset: entry.cts.unwrap_or(0),
    }
}

#[cfg(test)]
impl Movie {
    /// A movie of these frames, the first at `start`, without pictures.
    pub(super) fn of_frames(
        durations: Vec<(u32, u32)>,
        offsets: Vec<(u32, i64)>,
        end_ticks: u64,
        start: WallTime,
    ) -> Self {
        Self { durations, offsets, end_ticks, anchors: vec![(0, start)], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places fragments of one frame of `ticks` at these wall seconds; gives the durations.
    fn line(ticks: u32, walls: &[i64]) -> Vec<u32> {
        let mut movie = Movie::default();
        for wall in walls {
            movie.place(WallTime(wall * 1_000_000));
            let sample = Sample { duration: ticks, size: 1, flags: 0, offset: 0 };
            movie.take(&[sample], TIMESCALE).unwrap();
        }
        let total: u64 = movie.durations.iter().map(|(n, d)| u64::from(*n) * u64::from(*d)).sum();
        assert_eq!(total, movie.end_ticks);
        movie.durations.iter().flat_map(|(n, d)| vec![*d; *n as usize]).collect()
    }

    #[test]
    fn the_last_picture_stands_still_through_a_gap() {
        assert_eq!(line(90_000, &[100, 101, 110]), [90_000, 810_000, 90_000]);
    }

    #[test]
    fn a_frame_is_shortened_where_the_next_comes_early() {
        assert_eq!(line(180_000, &[100, 101, 102]), [90_000, 90_000, 180_000]);
    }

    #[test]
    fn after_a_step_back_the_line_goes_on() {
        assert_eq!(
            line(90_000, &[100, 101, 50, 51, 53]),
            [90_000, 90_000, 90_000, 180_000, 90_000]
        );
    }

    #[test]
    fn a_gap_of_a_day_does_not_stop_the_line() {
        assert_eq!(line(90_000, &[0, 86_400, 86_402]), [90_000, 180_000, 90_000]);
    }

    #[test]
    fn another_time_scale_is_carried_over_without_drift() {
        let mut movie = Movie::default();
        let sample = Sample { duration: 1_001, size: 1, flags: 0, offset: 0 };
        movie.take(&[sample; 30_000], 30_000).unwrap();
        assert_eq!(movie.end_ticks, 1_001 * 90_000);
    }
}
