//! Puts a session's media time on the wall clock. Pure: knows nothing of RTSP, reads no clock.
//!
//! The first frame anchors the session: its media time is its arrival. From there media time
//! alone moves the wall time, so that network jitter never shows in the footage's times. Two
//! clocks never agree for long, so the mapping follows the recorder's clock, by at most 500 parts
//! in a million, and never backwards. It follows when frames were taken, if the camera's reports
//! tell that (`sender_clock`) and it can be true: not after the least late frame came, and at most
//! a second before it. Else it follows when the least late frame comes. What that cannot explain is
//! a jump:
//!
//! | seen | means | answer |
//! |---|---|---|
//! | mapped time more than 2 s ahead of arrival | a frame cannot come before it was made: a clock or the counter was set | jump, at once |
//! | media time goes back by more than 2 s | the camera restarted its counter | jump, at once |
//! | more than 16 frames in a row before an earlier one | no picture is put off by more than 16 others (H.264 A.3.1, H.265 A.4.1): the counter was set back by a little | jump |
//! | mapped time more than 2 s behind arrival, for 2 s of arrivals | a clock was set, or frames come late for good | jump |
//! | mapped time behind arrival for less | the network stalled and is catching up | no jump: the times are right |
//!
//! So a recorded time is never more than 2 s after the arrival of its frame, and before it only by as
//! much as the frame was held up. A counter of 32 bits may wrap as it likes: its frames come here
//! unwrapped, and a jump too large to be told from a wrap is one that arrival explains.

use custody::WallTime;

use super::drift::Drift;

/// RTP clock of every H.264 and H.265 stream.
pub const TICKS_PER_SECOND: i64 = 90_000;

/// How far mapped time and arrival may differ, microseconds.
const JUMP_US: i64 = 2_000_000;
/// For how long frames must come late before lateness is a jump and not a stall, whose frames
/// come all at once.
const LATE_US: i64 = 2_000_000;
/// The most that the mapping is bent, parts per million.
pub const SLEW_PPM: i64 = 500;
/// Over which time the least lateness is taken for the clocks' true difference.
const WINDOW_TICKS: i64 = 10 * TICKS_PER_SECOND;
/// Differences below this are left alone, so that times keep the camera's own spacing.
const DEADBAND_NS: i64 = 20_000_000;
/// From taking a picture to its last packet's arrival: more is no camera's delay.
const DELAY_US_MAX: i64 = 1_000_000;
/// Pictures that may come before one that is shown earlier.
const REORDERED_MAX: u32 = 16;

/// Where a frame lies on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Here.
    Mapped(WallTime),
    /// The session was anchored afresh: the segment must be closed.
    Jump {
        /// Where the old anchor would have put the frame.
        from: WallTime,
        /// Where it is: its arrival.
        to: WallTime,
    },
}

impl Outcome {
    /// The frame's wall time.
    #[must_use]
    pub fn wall(self) -> WallTime {
        match self {
            Self::Mapped(wall) | Self::Jump { to: wall, .. } => wall,
        }
    }
}

/// One session's mapping.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    anchor: Option<Anchor>,
    drift: Drift,
}

#[derive(Debug, Clone)]
struct Anchor {
    pts: i64,
    wall: WallTime,
    /// What drift has bent the mapping by so far.
    bent_ns: i64,
    /// What is still to be bent.
    owed_ns: i64,
    /// The latest frame, by media time and by wall time.
    pts_last: i64,
    wall_last: WallTime,
    /// Frames in a row that lie before `pts_last`.
    behind: u32,
    window: Window,
    /// Since which arrival every frame was late by more than a jump.
    late_since: Option<WallTime>,
}

/// The least lateness of any frame since `from`.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: i64,
    late_us_min: i64,
    /// That frame, by media time and by arrival.
    least_late: (i64, WallTime),
}

impl Timeline {
    /// The wall time of the frame with media time `pts` (90 kHz ticks) that arrived at `arrived`.
    pub fn map(&mut self, pts: i64, arrived: WallTime) -> Outcome {
        self.map_taken(pts, arrived, || None)
    }

    /// As [`Timeline::map`], for a frame that the camera says that it took at `taken`, by the
    /// recorder's clock. It is asked once in ten seconds.
    pub fn map_taken(
        &mut self,
        pts: i64,
        arrived: WallTime,
        taken: impl FnOnce() -> Option<WallTime>,
    ) -> Outcome {
        let Some(anchor) = &mut self.anchor else {
            self.anchor = Some(Anchor::at(pts, arrived));
            return Outcome::Mapped(arrived);
        };
        anchor.bend(pts);
        let mapped = anchor.place(pts);
        if anchor.jumped(pts, mapped, arrived) {
            self.anchor = Some(Anchor::at(pts, arrived));
            self.drift = Drift::default();
            return Outcome::Jump { from: mapped, to: arrived };
        }
        if let Some((pts, arrived)) = anchor.learn(pts, mapped, arrived, taken) {
            self.drift.handle_point(ticks_to_us(pts), arrived);
        }
        // A frame out of order (B-frames) keeps its media time; its wall time never goes back.
        let wall = mapped.max(anchor.wall_last);
        anchor.wall_last = wall;
        anchor.pts_last = anchor.pts_last.max(pts);
        Outcome::Mapped(wall)
    }

    /// How much faster the camera's media clock runs than the recorder's, parts per million;
    /// negative when it is slow. None before a minute without a jump.
    #[must_use]
    pub fn drift_ppm(&self) -> Option<i64> {
        self.drift.ppm()
    }
}

impl Anchor {
    fn at(pts: i64, wall: WallTime) -> Self {
        Self {
            pts,
            wall,
            bent_ns: 0,
            owed_ns: 0,
            pts_last: pts,
            wall_last: wall,
            behind: 0,
            window: Window::at(pts, wall),
            late_since: None,
        }
    }

    fn place(&self, pts: i64) -> WallTime {
        let media_us = ticks_to_us(pts.saturating_sub(self.pts));
        self.wall.plus_micros(media_us.saturating_add(self.bent_ns / 1000))
    }

    /// Pays off some of what is owed, in proportion to the media time that passed.
    fn bend(&mut self, pts: i64) {
        let passed_us = ticks_to_us(pts.saturating_sub(self.pts_last).clamp(0, WINDOW_TICKS));
        let step_ns_max = passed_us * SLEW_PPM / 1000;
        let step_ns = self.owed_ns.clamp(-step_ns_max, step_ns_max);
        self.bent_ns += step_ns;
        self.owed_ns -= step_ns;
    }

    fn jumped(&mut self, pts: i64, mapped: WallTime, arrived: WallTime) -> bool {
        let late_us = arrived.micros_since(mapped);
        let early_us = mapped.max(self.wall_last).micros_since(arrived);
        let back_us = ticks_to_us(self.pts_last.saturating_sub(pts));
        self.behind = if pts < self.pts_last { self.behind.saturating_add(1) } else { 0 };
        if early_us > JUMP_US || back_us > JUMP_US || self.behind > REORDERED_MAX {
            return true;
        }
        if late_us <= JUMP_US {
            self.late_since = None;
            return false;
        }
        let since = *self.late_since.get_or_insert(arrived);
        arrived.micros_since(since) >= LATE_US
    }

    /// Frames can be late but not early, so the least late one tells how the clocks stand. Gives
    /// that frame when its window is over.
    fn learn(
        &mut self,
        pts: i64,
        mapped: WallTime,
        arrived: WallTime,
        taken: impl FnOnce() -> Option<WallTime>,
    ) -> Option<(i64, WallTime)> {
        let late_us = arrived.micros_since(mapped);
        if late_us < self.window.late_us_min {
            self.window.late_us_min = late_us;
            self.window.least_late = (pts, arrived);
        }
        if pts.saturating_sub(self.window.from) < WINDOW_TICKS {
            return None;
        }
        // In bounds: a difference above JUMP_US never stays.
        let arrival_us = self.window.late_us_min.clamp(-JUMP_US, JUMP_US);
        let possible = (arrival_us - DELAY_US_MAX)..=(arrival_us + DEADBAND_NS / 1000);
        let taken_us = taken().map(|taken| taken.micros_since(mapped));
        let found_ns = taken_us.filter(|us| possible.contains(us)).unwrap_or(arrival_us) * 1000;
        self.owed_ns = if found_ns.abs() < DEADBAND_NS { 0 } else { found_ns };
        let over = std::mem::replace(&mut self.window, Window::at(pts, arrived));
        Some(over.least_late)
    }
}

impl Window {
    fn at(pts: i64, arrived: WallTime) -> Self {
        Self { from: pts, late_us_min: i64::MAX, least_late: (pts, arrived) }
    }
}

/// 90 kHz ticks as microseconds, rounded down.
#[must_use]
pub fn ticks_to_us(ticks: i64) -> i64 {
    let us = i128::from(ticks) * 100 / 9;
    i64::try_from(us).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;
