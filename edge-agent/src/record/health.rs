//! What is known of a camera now. Pure: fed by frames and looks, asked for a snapshot.
//!
//! `recording` means that footage reaches the disc: frames that come, and of which nothing was
//! written for 15 s, are `recorder-overrun`. A camera that records and yet wants seeing to says so in
//! words: a clock wrong by more than a second, a key frame less often than each 5 s, a media clock
//! that drifts by more than may be bent.

use std::collections::VecDeque;

use custody::WallTime;
use custody::record::GapReason;

use crate::camera::sender_clock::OFFSET_MS_ALARM;
use crate::camera::timeline::{SLEW_PPM, ticks_to_us};
use crate::camera::{Codec, Facts};
use crate::mask::CleanFrame;

/// Rates are measured over this long.
const WINDOW_US: i64 = 10_000_000;
/// Frames kept for the rates: 10 s at 120 frames a second.
const WINDOW_FRAMES_MAX: usize = 1_200;
/// Without a frame for this long a camera is not recording, whatever it said last.
const SILENT_US: i64 = 5_000_000;
/// Frames that come and are not on the disc after this long: seven fragments.
const UNWRITTEN_US: i64 = 15_000_000;
/// A GOP up to this is nothing to speak of.
const GOP_MS_MAX: i64 = 5_000;
/// A GOP is not told beyond this: an hour.
const GOP_MS_TOLD: i64 = 3_600_000;

/// A camera's state, from what came of it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    last_frame: Option<WallTime>,
    /// Arrival and bytes of the frames within the window.
    recent: VecDeque<(WallTime, u64)>,
    lost_packets: u64,
    codec: Option<Codec>,
    width: u16,
    height: u16,
    camera_offset_ms: Option<i64>,
    trouble: Option<(GapReason, String)>,
    /// When footage last reached the disc.
    kept: Option<WallTime>,
    facts: Facts,
    gop: Gop,
}

/// Media times, 90 kHz ticks.
#[derive(Debug, Clone, Copy, Default)]
struct Gop {
    key: Option<i64>,
    length: Option<i64>,
    running: i64,
}

impl Gop {
    fn handle_frame(&mut self, pts: i64, key: bool) {
        let since = self.key.map(|key| pts.saturating_sub(key)).filter(|ticks| *ticks > 0);
        self.running = since.unwrap_or(0);
        if key {
            self.length = since.or(self.length);
            (self.key, self.running) = (Some(pts), 0);
        }
    }

    /// The last GOP's length, or the present one's once that is longer.
    fn ms(&self) -> Option<i64> {
        let ticks = self.length.unwrap_or(0).max(self.running);
        Some(ticks_to_us(ticks) / 1000).filter(|ms| (1..GOP_MS_TOLD).contains(ms))
    }
}

/// A camera's state at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// `recording`, or why not.
    pub state: &'static str,
    /// In words; empty when recording and nothing wants seeing to.
    pub detail: String,
    /// When the last frame came.
    pub last_frame: Option<WallTime>,
    /// Frames a second, over ten seconds.
    pub frames_per_second: f64,
    /// Kilobits a second, over ten seconds.
    pub kilobits_per_second: f64,
    /// RTP packets lost since start.
    pub lost_packets: u64,
    /// `h264` or `h265`; empty before the first frame. A masked camera's is that of the mask room.
    pub codec: &'static str,
    /// Luma width in pixels.
    pub width: u16,
    /// Luma height in pixels.
    pub height: u16,
    /// The camera's clock minus the recorder's, if the camera told its time lately.
    pub camera_offset_ms: Option<i64>,
    /// From one key frame to the next, milliseconds. A masked camera's is that of the mask room.
    pub gop_ms: Option<i64>,
    /// How much faster the camera's media clock runs than the recorder's, parts per million.
    pub drift_ppm: Option<i64>,
}

impl Health {
    /// Nothing is known yet; `facts` are those of the camera's sessions.
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        Self { facts, ..Self::default() }
    }

    /// A session begins, and its media time anew.
    pub fn handle_session(&mut self) {
        self.gop = Gop::default();
    }

    /// A frame that may be kept has come.
    pub fn handle_frame(&mut self, frame: &CleanFrame) {
        let parameters = frame.parameters();
        self.codec = Some(parameters.codec);
        (self.width, self.height) = (parameters.width, parameters.height);
        self.lost_packets += u64::from(frame.lost());
        self.camera_offset_ms = frame.camera_offset_ms();
        self.gop.handle_frame(frame.pts(), frame.key());
        self.note_frame(frame.arrived(), frame.data().len() as u64);
    }

    fn note_frame(&mut self, arrived: WallTime, bytes: u64) {
        self.last_frame = Some(arrived);
        self.recent.push_back((arrived, bytes));
        if self.recent.len() > WINDOW_FRAMES_MAX {
            self.recent.pop_front();
        }
        self.forget(arrived);
    }

    /// Footage reached the disc: what was wrong is over.
    pub fn handle_kept(&mut self, now: WallTime) {
        self.trouble = None;
        self.kept = Some(now);
    }

    /// Something is wrong.
    pub fn handle_trouble(&mut self, reason: GapReason, detail: &str) {
        self.trouble = Some((reason, detail.to_owned()));
    }

    /// Time has passed.
    pub fn handle_look(&mut self, now: WallTime) {
        self.forget(now);
    }

    fn forget(&mut self, now: WallTime) {
        while self.recent.front().is_some_and(|(at, _)| now.micros_since(*at) > WINDOW_US) {
            self.recent.pop_front();
        }
    }

    /// The state at `now`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are shown to two figures")]
    pub fn snapshot(&self, now: WallTime) -> Snapshot {
        let silent = self.last_frame.is_none_or(|at| now.micros_since(at) > SILENT_US);
        let offset_ms = self.camera_offset_ms.filter(|_| !silent);
        let (gop_ms, drift_ppm) = (self.gop.ms(), self.facts.drift_ppm());
        let (state, detail) = match (&self.trouble, self.kept) {
            (Some((reason, detail)), _) => (reason.as_str(), detail.clone()),
            (None, None) => ("starting", "no footage has been kept yet".to_owned()),
            (None, Some(kept)) => match self.unwritten_s(kept, now) {
                Some(seconds) => (
                    GapReason::RecorderOverrun.as_str(),
                    format!("frames come, but none has reached the disc for {seconds} s"),
                ),
                None if silent => {
                    (GapReason::StreamStalled.as_str(), "no frame for 5 s".to_owned())
                }
                None => ("recording", wants(offset_ms, gop_ms, drift_ppm)),
            },
        };
        // Over the span of what is remembered, so that rates are right from the first second.
        let span_us = match (self.recent.front(), self.recent.back()) {
            (Some((first, _)), Some((last, _))) if !silent => last.micros_since(*first),
            _ => 0,
        };
        let per_second = |amount: f64| {
            if span_us > 0 { amount * 1e6 / span_us as f64 } else { 0.0 }
        };
        let bytes: u64 = self.recent.iter().skip(1).map(|(_, bytes)| bytes).sum();
        Snapshot {
            state,
            detail,
            last_frame: self.last_frame,
            frames_per_second: per_second(self.recent.len().saturating_sub(1) as f64),
            kilobits_per_second: per_second(bytes as f64 * 8.0 / 1000.0),
            lost_packets: self.lost_packets,
            codec: self.codec.map_or("", |codec| match codec {
                Codec::H264 => "h264",
                Codec::H265 => "h265",
            }),
            width: self.width,
            height: self.height,
            camera_offset_ms: offset_ms,
            gop_ms,
            drift_ppm,
        }
    }

    /// For how long frames have come of which none was written, seconds, if that is too long.
    fn unwritten_s(&self, kept: WallTime, now: WallTime) -> Option<i64> {
        let comes = self.facts.received().is_some_and(|at| now.micros_since(at) <= SILENT_US);
        let unwritten_us = now.micros_since(kept);
        (comes && unwritten_us > UNWRITTEN_US).then_some(unwritten_us / 1_000_000)
    }
}

/// What a technician should see to at a camera that records.
fn wants(offset_ms: Option<i64>, gop_ms: Option<i64>, drift_ppm: Option<i64>) -> String {
    let mut wants = Vec::new();
    if let Some(ms) = offset_ms.filter(|ms| ms.abs() > OFFSET_MS_ALARM) {
        let side = if ms < 0 { "behind" } else { "ahead of" };
        let (seconds, tenths) = (ms.abs() / 1000, ms.abs() % 1000 / 100);
        wants.push(format!(
            "its clock is {seconds}.{tenths} s {side} the recorder's: give it the site's time server"
        ));
    }
    if let Some(ms) = gop_ms.filter(|ms| *ms > GOP_MS_MAX) {
        let (seconds, tenths) = (ms / 1000, ms % 1000 / 100);
        wants.push(format!(
            "a key frame only each {seconds}.{tenths} s: set its key frame interval (GOP) to 2 s"
        ));
    }
    if let Some(ppm) = drift_ppm.filter(|ppm| ppm.abs() > SLEW_PPM) {
        let side = if ppm < 0 { "slow" } else { "fast" };
        wants.push(format!(
            "its media clock is {} parts in a million {side}, so its segments are split: update its \
             firmware",
            ppm.abs()
        ));
    }
    wants.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_state_follow_the_frames() {
        let mut health = Health::default();
        assert_eq!(health.snapshot(WallTime(0)).state, "starting");
        for frame in 0..=100 {
            health.note_frame(WallTime(frame * 40_000), 10_000);
        }
        let now = WallTime(4_000_000);
        health.handle_kept(now);
        let snapshot = health.snapshot(now);
        assert_eq!(snapshot.state, "recording");
        assert!((snapshot.frames_per_second - 25.0).abs() < 0.01, "{snapshot:?}");
        assert!((snapshot.kilobits_per_second - 2000.0).abs() < 1.0, "{snapshot:?}");
        assert_eq!(health.snapshot(now.plus_seconds(6)).state, "stream-stalled");
        health.handle_trouble(GapReason::MaskNotApplied, "no decoder");
        assert_eq!(health.snapshot(now).state, "mask-not-applied");
    }

    #[test]
    fn frames_that_come_and_are_not_written_are_not_recording() {
        let facts = Facts::default();
        let mut health = Health::of(facts.clone());
        health.note_frame(WallTime(0), 10_000);
        health.handle_kept(WallTime(0));
        // The disc hangs: the recorder takes no frame any more, the camera goes on.
        let now = WallTime(16_000_000);
        facts.set_received(now);
        let seen = health.snapshot(now);
        assert_eq!(seen.state, "recorder-overrun");
        assert!(seen.detail.contains("none has reached the disc for 16 s"), "{}", seen.detail);
        health.note_frame(now, 10_000);
        health.handle_kept(now);
        assert_eq!(health.snapshot(now).state, "recording");
    }

    #[test]
    fn a_camera_that_wants_seeing_to_says_what() {
        let facts = Facts::default();
        let mut health = Health::of(facts.clone());
        let now = WallTime(0);
        health.note_frame(now, 1);
        health.handle_kept(now);
        for n in 0..=500 {
            health.gop.handle_frame(n * 3600, n % 250 == 0);
        }
        health.camera_offset_ms = Some(-1500);
        facts.set_drift(Some(-1111));
        let seen = health.snapshot(now);
        assert_eq!((seen.state, seen.gop_ms), ("recording", Some(10_000)));
        for words in ["1.5 s behind", "a key frame only each 10.0 s", "1111 parts", "slow"] {
            assert!(seen.detail.contains(words), "{words}: {}", seen.detail);
        }
        // A GOP that does not end is told while it lasts; a new session begins anew.
        for n in 501..1000 {
            health.gop.handle_frame(n * 3600, false);
        }
        assert_eq!(health.snapshot(now).gop_ms, Some(19_960));
        health.handle_session();
        facts.set_drift(Some(12));
        health.camera_offset_ms = Some(40);
        let seen = health.snapshot(now);
        assert_eq!((seen.gop_ms, seen.drift_ppm, seen.detail.as_str()), (None, Some(12), ""));
    }
}
