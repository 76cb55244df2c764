//! Puts a session's media time on the wall clock. Pure: knows nothing of RTSP, reads no clock.
//!
//! The first frame anchors the session: its media time is its arrival. From there media time
//! alone moves the wall time, so that network jitter never shows in the footage's times. Two
//! clocks never agree for long, so the mapping follows the recorder's clock, by at most 500 parts
//! in a million, and never backwards. What that cannot explain is a jump:
//!
//! | seen | means | answer |
//! |---|---|---|
//! | mapped time more than 2 s ahead of arrival | a frame cannot come before it was made: a clock or the counter was set | jump, at once |
//! | media time goes back by more than 2 s | the camera restarted its counter | jump, at once |
//! | mapped time more than 2 s behind arrival, for 2 s of arrivals | a clock was set, or frames come late for good | jump |
//! | mapped time behind arrival for less | the network stalled and is catching up | no jump: the times are right |

use custody::WallTime;

/// RTP clock of every H.264 and H.265 stream.
pub const TICKS_PER_SECOND: i64 = 90_000;

/// How far mapped time and arrival may differ, microseconds.
const JUMP_US: i64 = 2_000_000;
/// For how long frames must come late before lateness is a jump and not a stall, whose frames
/// come all at once.
const LATE_US: i64 = 2_000_000;
/// The most that the mapping is bent, parts per million.
const SLEW_PPM: i64 = 500;
/// Over which time the least lateness is taken for the clocks' true difference.
const WINDOW_TICKS: i64 = 10 * TICKS_PER_SECOND;
/// Differences below this are left alone, so that times keep the camera's own spacing.
const DEADBAND_NS: i64 = 20_000_000;

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
    window: Window,
    /// Since which arrival every frame was late by more than a jump.
    late_since: Option<WallTime>,
}

/// The least lateness of any frame since `from`.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: i64,
    late_us_min: i64,
}

impl Timeline {
    /// The wall time of the frame with media time `pts` (90 kHz ticks) that arrived at `arrived`.
    pub fn map(&mut self, pts: i64, arrived: WallTime) -> Outcome {
        let Some(anchor) = &mut self.anchor else {
            self.anchor = Some(Anchor::at(pts, arrived));
            return Outcome::Mapped(arrived);
        };
        anchor.bend(pts);
        let mapped = anchor.place(pts);
        if anchor.jumped(pts, mapped, arrived) {
            self.anchor = Some(Anchor::at(pts, arrived));
            return Outcome::Jump { from: mapped, to: arrived };
        }
        anchor.learn(pts, arrived.micros_since(mapped));
        // A frame out of order (B-frames) keeps its media time; its wall time never goes back.
        let wall = mapped.max(anchor.wall_last);
        anchor.wall_last = wall;
        anchor.pts_last = anchor.pts_last.max(pts);
        Outcome::Mapped(wall)
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
            window: Window { from: pts, late_us_min: i64::MAX },
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
        let back_us = ticks_to_us(self.pts_last.saturating_sub(pts));
        if late_us < -JUMP_US || back_us > JUMP_US {
            return true;
        }
        if late_us <= JUMP_US {
            self.late_since = None;
            return false;
        }
        let since = *self.late_since.get_or_insert(arrived);
        arrived.micros_since(since) >= LATE_US
    }

    /// Frames can be late but not early, so the least late one tells how the clocks stand.
    fn learn(&mut self, pts: i64, late_us: i64) {
        self.window.late_us_min = self.window.late_us_min.min(late_us);
        if pts.saturating_sub(self.window.from) < WINDOW_TICKS {
            return;
        }
        // In bounds: a difference above JUMP_US never stays.
        let found_ns = self.window.late_us_min.clamp(-JUMP_US, JUMP_US) * 1000;
        self.owed_ns = if found_ns.abs() < DEADBAND_NS { 0 } else { found_ns };
        self.window = Window { from: pts, late_us_min: i64::MAX };
    }
}

/// 90 kHz ticks as microseconds, rounded down.
#[must_use]
pub fn ticks_to_us(ticks: i64) -> i64 {
    let us = i128::from(ticks) * 100 / 9;
    i64::try_from(us).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: WallTime = WallTime(1_795_000_000_000_000);
    /// 25 frames a second.
    const STEP: i64 = 3600;

    /// Feeds `frames` frames whose arrival is `arrival(n)` microseconds after the start.
    fn feed(
        timeline: &mut Timeline,
        frames: std::ops::Range<i64>,
        arrival: impl Fn(i64) -> i64,
    ) -> Vec<Outcome> {
        frames.map(|n| timeline.map(n * STEP, START.plus_micros(arrival(n)))).collect()
    }

    #[test]
    fn jitter_does_not_show_in_the_times() {
        let mut timeline = Timeline::default();
        let jitter = |n: i64| n * 40_000 + if n == 0 { 0 } else { (n * 7919) % 150_000 };
        for (n, outcome) in (0..).zip(feed(&mut timeline, 0..500, jitter)) {
            assert_eq!(outcome, Outcome::Mapped(START.plus_micros(n * 40_000)));
        }
    }

    #[test]
    fn a_camera_clock_that_runs_fast_is_followed_within_500_ppm() {
        let mut timeline = Timeline::default();
        // 200 ppm fast: 10 000 frames (400 s of media) arrive in 399.92 s.
        let arrival = |n: i64| n * 39_992;
        let outcomes = feed(&mut timeline, 0..100_000, arrival);
        for pair in outcomes.windows(2) {
            let step = pair[1].wall().micros_since(pair[0].wall());
            assert!((39_979..=40_021).contains(&step), "{step}");
        }
        let last = outcomes.last().unwrap().wall();
        let off = START.plus_micros(arrival(99_999)).micros_since(last);
        assert!(off.abs() < 25_000, "unfollowed, 800 ms would be between them: {off}");
        assert!(outcomes.iter().all(|o| matches!(o, Outcome::Mapped(_))));
    }

    #[test]
    fn a_clock_set_forward_by_an_hour_is_one_jump() {
        let mut timeline = Timeline::default();
        feed(&mut timeline, 0..100, |n| n * 40_000);
        let after = feed(&mut timeline, 100..400, |n| n * 40_000 + 3_600_000_000);
        let jumps: Vec<_> = after.iter().filter(|o| matches!(o, Outcome::Jump { .. })).collect();
        let [Outcome::Jump { from, to }] = jumps[..] else { panic!("{jumps:?}") };
        assert_eq!(to.micros_since(*from), 3_600_000_000);
        assert_eq!(after.last().unwrap().wall(), START.plus_micros(399 * 40_000 + 3_600_000_000));
    }

    #[test]
    fn a_clock_set_back_jumps_at_once() {
        let mut timeline = Timeline::default();
        feed(&mut timeline, 0..100, |n| n * 40_000);
        let after = feed(&mut timeline, 100..101, |_| -60_000_000);
        assert_eq!(
            after,
            [Outcome::Jump {
                from: START.plus_micros(4_000_000),
                to: START.plus_micros(-60_000_000)
            }]
        );
    }

    #[test]
    fn a_counter_that_restarts_jumps_to_the_arrival() {
        let mut timeline = Timeline::default();
        feed(&mut timeline, 0..1000, |n| n * 40_000);
        let arrived = START.plus_micros(1000 * 40_000);
        assert!(matches!(timeline.map(0, arrived), Outcome::Jump { to, .. } if to == arrived));
        assert_eq!(timeline.map(STEP, arrived), Outcome::Mapped(arrived.plus_micros(40_000)));
    }

    #[test]
    fn a_stall_of_five_seconds_that_is_caught_up_moves_no_frame() {
        let mut timeline = Timeline::default();
        feed(&mut timeline, 0..100, |n| n * 40_000);
        // Frames 100 to 225 come together, five seconds late at most; then all is well.
        let after = feed(&mut timeline, 100..225, |n| 9_000_000 + n);
        let well = feed(&mut timeline, 225..600, |n| n * 40_000);
        for (n, outcome) in (100..).zip(after.into_iter().chain(well)) {
            assert_eq!(outcome, Outcome::Mapped(START.plus_micros(n * 40_000)), "frame {n}");
        }
    }

    #[test]
    fn equal_timestamps_and_b_frames_never_go_back() {
        let mut timeline = Timeline::default();
        let walls: Vec<_> = [0, 3, 1, 2, 2, 6]
            .map(|n| timeline.map(n * STEP, START.plus_micros(n * 40_000)).wall())
            .into();
        assert!(walls.is_sorted(), "{walls:?}");
        assert_eq!(walls[5], START.plus_micros(6 * 40_000));
    }

    proptest! {
        #[test]
        fn no_input_panics_and_mapped_times_only_go_forward(
            frames in prop::collection::vec((any::<i64>(), any::<i64>()), 1..50),
            small in prop::collection::vec((-200_000i64..400_000, -3_000_000i64..3_000_000), 1..200),
        ) {
            let mut timeline = Timeline::default();
            for (pts, arrived) in frames {
                timeline.map(pts, WallTime(arrived));
            }
            let (mut timeline, mut pts, mut arrived) = (Timeline::default(), 0, START);
            let mut last = WallTime(i64::MIN);
            for (step, wait) in small {
                pts += step;
                arrived = arrived.plus_micros(wait);
                match timeline.map(pts, arrived) {
                    Outcome::Mapped(wall) => {
                        prop_assert!(wall >= last);
                        last = wall;
                    }
                    Outcome::Jump { to, .. } => last = to,
                }
            }
        }
    }
}
