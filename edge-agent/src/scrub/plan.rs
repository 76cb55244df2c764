//! How fast footage is read again, and what comes next. Pure.

use custody::WallTime;
use link::Tick;

/// With nothing to do, it is looked again after this at the latest.
const IDLE_MS: u64 = 60_000;
/// A second place that had no sound copy, or did not answer, is asked again after this.
const ROUND_MS: u64 = 600_000;
/// After a disc that did not answer.
pub(super) const RETRY_MS: u64 = 60_000;
/// No slower, or a small store would take days for nothing.
const RATE_MIN: u64 = 1 << 20;

/// What the site's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// All footage is read again within so many seconds; 0: none is.
    pub pass_s: u64,
    /// No faster, bytes a second: what the disc can spare.
    pub bytes_per_second_max: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The second place is asked for what is damaged.
    Mend,
    /// A pass begins.
    Begin,
    /// The next segment is read.
    Read,
    /// Nothing, for so many milliseconds.
    Rest(u64),
}

/// What is remembered between steps.
#[derive(Debug)]
pub struct Plan {
    rules: Rules,
    /// When the second place was last asked for all that was damaged, and how much that was.
    asked: Option<(Tick, usize)>,
}

impl Plan {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, asked: None }
    }

    /// Decides, with `damaged` segments known, a pass `begun`, and the last whole one begun at `until`.
    pub fn next(
        &mut self,
        now: WallTime,
        tick: Tick,
        begun: Option<WallTime>,
        until: Option<WallTime>,
        damaged: usize,
    ) -> Next {
        let due =
            self.asked.is_none_or(|(at, known)| damaged > known || tick.ms_since(at) >= ROUND_MS);
        if damaged > 0 && due {
            self.asked = Some((tick, damaged));
            return Next::Mend;
        }
        if self.rules.pass_s == 0 {
            return Next::Rest(IDLE_MS);
        }
        if begun.is_some() {
            return Next::Read;
        }
        let pass_us =
            i64::try_from(self.rules.pass_s).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        // Behind a clock that was stepped back, a pass too many is better than none.
        let since_us = until.map(|until| now.micros_since(until));
        match since_us.filter(|since| (0..pass_us).contains(since)) {
            None => Next::Begin,
            Some(since) => {
                let left_ms = u64::try_from(pass_us - since).unwrap_or(0).div_ceil(1000);
                Next::Rest(left_ms.min(IDLE_MS))
            }
        }
    }

    /// Reads so many bytes a second of `stored_bytes`: three quarters of the time is enough for all.
    #[must_use]
    pub fn bytes_per_second(&self, stored_bytes: u64) -> u64 {
        let wanted = stored_bytes.saturating_mul(4) / self.rules.pass_s.saturating_mul(3).max(1);
        wanted.max(RATE_MIN).min(self.rules.bytes_per_second_max.max(1))
    }
}

/// How long to wait after so many bytes at a rate, milliseconds.
#[must_use]
pub fn rest_ms(bytes: u64, bytes_per_second: u64) -> u64 {
    bytes.saturating_mul(1000) / bytes_per_second.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { pass_s: 15 * 86_400, bytes_per_second_max: 100_000_000 };
    const DAY_US: i64 = 86_400_000_000;

    #[test]
    fn a_whole_store_is_read_again_within_the_pass_and_no_faster_than_allowed() {
        let plan = Plan::new(RULES);
        let stored = 110_000_000_000_000;
        // 110 TB in eleven and a quarter days is more than the disc may spare.
        assert_eq!(plan.bytes_per_second(stored), RULES.bytes_per_second_max);
        let stored = 50_000_000_000_000;
        let seconds = stored / plan.bytes_per_second(stored);
        assert!(seconds < RULES.pass_s && seconds > RULES.pass_s / 2, "{seconds}");
        assert_eq!(plan.bytes_per_second(0), RATE_MIN);
        assert_eq!(rest_ms(1 << 20, 1 << 20), 1000);
    }

    #[test]
    fn a_pass_begins_when_the_last_is_old_enough_or_the_clock_went_back() {
        let mut plan = Plan::new(RULES);
        let (now, tick) = (WallTime(100 * DAY_US), Tick(1));
        let mut next = |begun, until| plan.next(now, tick, begun, until, 0);
        assert_eq!(next(None, None), Next::Begin);
        assert_eq!(next(Some(now), None), Next::Read);
        assert_eq!(next(None, Some(WallTime(90 * DAY_US))), Next::Rest(IDLE_MS));
        assert_eq!(next(None, Some(WallTime(85 * DAY_US + 999_999))), Next::Rest(1000));
        assert_eq!(next(None, Some(WallTime(85 * DAY_US))), Next::Begin);
        assert_eq!(next(None, Some(WallTime(101 * DAY_US))), Next::Begin);
        let mut off = Plan::new(Rules { pass_s: 0, ..RULES });
        assert_eq!(off.next(now, tick, None, None, 0), Next::Rest(IDLE_MS));
    }

    #[test]
    fn damage_is_seen_to_first_and_a_silent_second_place_is_not_pestered() {
        let mut plan = Plan::new(RULES);
        let now = WallTime(0);
        let mut next = |tick, damaged| plan.next(now, Tick(tick), Some(now), None, damaged);
        assert_eq!(next(1, 1), Next::Mend);
        assert_eq!(next(2, 1), Next::Read);
        assert_eq!(next(3, 2), Next::Mend, "one more was found");
        assert_eq!(next(4, 2), Next::Read);
        assert_eq!(next(3 + ROUND_MS, 2), Next::Mend);
        assert_eq!(next(4 + ROUND_MS, 0), Next::Read);
    }
}
