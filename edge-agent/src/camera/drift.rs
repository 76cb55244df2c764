//! How much faster a camera's media clock runs than the recorder's. Pure.
//!
//! A line is laid through the least late frames of the last ten minutes (least squares): its slope is
//! the drift. A frame's lateness of 10 ms, at random, makes 10 parts in a million over ten minutes.

use std::collections::VecDeque;

use custody::WallTime;

/// Points looked at: ten minutes of windows of ten seconds.
const POINTS_MAX: usize = 60;
/// Fewer say nothing.
const POINTS_MIN: usize = 6;

/// One session's drift.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    /// Arrival, and the media time at it less the first point's, both microseconds.
    points: VecDeque<(WallTime, i64)>,
    ppm: Option<i64>,
}

impl Drift {
    /// The frame of this media time (microseconds) came least late of those around it.
    pub fn handle_point(&mut self, media_us: i64, arrived: WallTime) {
        if self.points.back().is_some_and(|(last, _)| arrived <= *last) {
            // The recorder's clock was set back: what was learned by it says nothing.
            self.points.clear();
        }
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back((arrived, media_us));
        self.ppm = self.slope();
    }

    /// Parts per million that the media clock is fast; negative when it is slow.
    #[must_use]
    pub fn ppm(&self) -> Option<i64> {
        self.ppm
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    fn slope(&self) -> Option<i64> {
        let (first, media_first) =
            *self.points.front().filter(|_| self.points.len() >= POINTS_MIN)?;
        let points = self.points.iter().map(|(arrived, media_us)| {
            let passed_us = arrived.micros_since(first);
            let media_us = media_us.saturating_sub(media_first);
            (passed_us as f64 / 1e6, media_us.saturating_sub(passed_us) as f64)
        });
        let count = self.points.len() as f64;
        let (sum_x, sum_y) = points.clone().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (over, under) = points.fold((0.0, 0.0), |(over, under), (x, y)| {
            (over + (x - mean_x) * (y - mean_y), under + (x - mean_x) * (x - mean_x))
        });
        // Microseconds a second are parts in a million.
        let ppm = over / under;
        ppm.is_finite().then(|| ppm.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: WallTime = WallTime(1_795_000_000_000_000);

    fn of(points: i64, media_us: impl Fn(i64) -> i64, late_us: impl Fn(i64) -> i64) -> Drift {
        let mut drift = Drift::default();
        for n in 0..points {
            let arrived = START.plus_micros(n * 10_000_000 + late_us(n));
            drift.handle_point(media_us(n), arrived);
        }
        drift
    }

    #[test]
    fn sixteen_seconds_in_four_hours_are_1111_parts_in_a_million() {
        let slow = |n| n * 10_000_000 - n * 11_111;
        assert_eq!(of(60, slow, |_| 0).ppm(), Some(-1111));
        let jittery = of(60, slow, |n| (n * 7919) % 10_000).ppm().unwrap();
        assert!((-1121..=-1101).contains(&jittery), "{jittery}");
    }

    #[test]
    fn a_minute_must_have_passed() {
        assert_eq!(of(5, |n| n * 10_000_000, |_| 0).ppm(), None);
        assert_eq!(of(6, |n| n * 10_000_000, |_| 0).ppm(), Some(0));
    }

    #[test]
    fn a_clock_set_back_begins_anew() {
        let mut drift = of(60, |n| n * 10_000_000, |_| 0);
        drift.handle_point(600_000_000, START);
        assert_eq!(drift.ppm(), None);
    }

    proptest! {
        #[test]
        fn no_points_panic(points in prop::collection::vec((any::<i64>(), any::<i64>()), 0..80)) {
            let mut drift = Drift::default();
            for (media_us, arrived) in points {
                drift.handle_point(media_us, WallTime(arrived));
                let _any = drift.ppm();
                prop_assert!(drift.points.len() <= POINTS_MAX);
            }
        }
    }
}
