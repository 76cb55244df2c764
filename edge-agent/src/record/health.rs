//! What is known of a camera now. Pure: fed by frames and looks, asked for a snapshot.

use std::collections::VecDeque;

use custody::WallTime;
use custody::record::GapReason;

use crate::camera::Codec;
use crate::mask::CleanFrame;

/// Rates are measured over this long.
const WINDOW_US: i64 = 10_000_000;
/// Frames kept for the rates: 10 s at 120 frames a second.
const WINDOW_FRAMES_MAX: usize = 1_200;
/// Without a frame for this long a camera is not recording, whatever it said last.
const SILENT_US: i64 = 5_000_000;

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
    kept: bool,
}

/// A camera's state at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// `recording`, or why not.
    pub state: &'static str,
    /// In words; empty when recording.
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
}

impl Health {
    /// A frame that may be kept has come.
    pub fn handle_frame(&mut self, frame: &CleanFrame) {
        let parameters = frame.parameters();
        self.codec = Some(parameters.codec);
        (self.width, self.height) = (parameters.width, parameters.height);
        self.lost_packets += u64::from(frame.lost());
        self.camera_offset_ms = frame.camera_offset_ms();
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
    pub fn handle_kept(&mut self) {
        self.trouble = None;
        self.kept = true;
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
        let (state, detail) = match &self.trouble {
            Some((reason, detail)) => (reason.as_str(), detail.clone()),
            None if silent && self.kept => {
                (GapReason::StreamStalled.as_str(), "no frame for 5 s".to_owned())
            }
            None if self.kept => ("recording", String::new()),
            None => ("starting", "no footage has been kept yet".to_owned()),
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
            camera_offset_ms: self.camera_offset_ms.filter(|_| !silent),
        }
    }
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
        health.handle_kept();
        let now = WallTime(4_000_000);
        let snapshot = health.snapshot(now);
        assert_eq!(snapshot.state, "recording");
        assert!((snapshot.frames_per_second - 25.0).abs() < 0.01, "{snapshot:?}");
        assert!((snapshot.kilobits_per_second - 2000.0).abs() < 1.0, "{snapshot:?}");
        assert_eq!(health.snapshot(now.plus_seconds(6)).state, "stream-stalled");
        health.handle_trouble(GapReason::MaskNotApplied, "no decoder");
        assert_eq!(health.snapshot(now).state, "mask-not-applied");
    }
}
