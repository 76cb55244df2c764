//! When work that failed is tried again. Pure.

use std::time::Duration;

use link::Tick;

use crate::limits;

/// How often one piece of work has failed in a row, and when it is due again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    tries: u32,
    due: Tick,
}

impl Retry {
    /// It failed at `now`; gives the pause until it is due again, twice the last one.
    pub fn failed(&mut self, now: Tick) -> Duration {
        let doubled = limits::TROUBLE_PAUSE.saturating_mul(1 << self.tries.min(16));
        let pause = doubled.min(limits::TROUBLE_PAUSE_MAX);
        self.tries = self.tries.saturating_add(1);
        self.due = now.plus_ms(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        pause
    }

    /// Whether it may be tried.
    #[must_use]
    pub fn is_due(&self, now: Tick) -> bool {
        now >= self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_five_minutes_and_hold_until_they_are_over() {
        let mut retry = Retry::default();
        assert!(retry.is_due(Tick(0)));
        let pauses: Vec<u64> = (0..9).map(|_| retry.failed(Tick(1000)).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(!retry.is_due(Tick(300_999)));
        assert!(retry.is_due(Tick(301_000)));
    }
}
