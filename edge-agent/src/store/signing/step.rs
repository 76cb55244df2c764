//! Sees the wall clock stepped. Pure.
//!
//! A time service that slews moves the wall and the monotonic clock alike, so the two part only when
//! someone steps the wall clock, or the machine was suspended.

use custody::WallTime;

/// Wall and monotonic clock may part by this much: 100 ms.
const STEP_US: i64 = 100_000;

/// Compares the clocks since the last step, so that many small steps are seen as well.
#[derive(Debug, Default)]
pub(super) struct StepWatch {
    /// The wall time and the monotonic milliseconds that belonged together.
    base: Option<(WallTime, u64)>,
}

impl StepWatch {
    /// Looks at both clocks at once. What the wall clock would say had it not been stepped, if it was.
    pub(super) fn look(&mut self, wall: WallTime, tick_ms: u64) -> Option<WallTime> {
        let Some((base_wall, base_tick)) = self.base else {
            self.base = Some((wall, tick_ms));
            return None;
        };
        let passed_ms = i64::try_from(tick_ms.saturating_sub(base_tick)).unwrap_or(i64::MAX);
        let expected = base_wall.plus_micros(passed_ms.saturating_mul(1000));
        if wall.micros_since(expected).abs() <= STEP_US {
            return None;
        }
        self.base = Some((wall, tick_ms));
        Some(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> StepWatch {
        let mut watch = StepWatch::default();
        assert_eq!(watch.look(WallTime(1_000_000), 50), None);
        watch
    }

    #[test]
    fn a_step_is_seen_once_in_either_direction() {
        for step_us in [100_001, -100_001, 3_600_000_000, -3_600_000_000] {
            let mut watch = begun();
            let expected = WallTime(11_000_000);
            let stepped = expected.plus_micros(step_us);
            assert_eq!(watch.look(stepped, 10_050), Some(expected), "{step_us}");
            assert_eq!(watch.look(stepped, 10_050), None);
            assert_eq!(watch.look(stepped.plus_seconds(5), 15_050), None);
        }
    }

    #[test]
    fn jitter_is_no_step_and_small_steps_add_up() {
        let mut watch = begun();
        for minute in 1..=60_i64 {
            let tick = 50 + u64::try_from(minute).unwrap() * 60_000;
            let jitter = if minute % 2 == 0 { 99_000 } else { -99_000 };
            let wall = WallTime(1_000_000 + minute * 60_000_000 + jitter);
            assert_eq!(watch.look(wall, tick), None, "{minute}");
        }
        let mut watch = begun();
        let wall = |seconds: i64, ahead_us| WallTime(1_000_000 + seconds * 1_000_000 + ahead_us);
        assert_eq!(watch.look(wall(1, 60_000), 1050), None);
        assert_eq!(watch.look(wall(2, 120_000), 2050), Some(wall(2, 0)));
    }
}
