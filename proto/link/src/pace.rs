//! A token bucket: how many bytes may go now. Police networks are shared.

use crate::Tick;

/// Lets `bytes_per_second` through, and at most a quarter of a second's worth at once.
#[derive(Debug, Clone)]
pub struct Pace {
    bytes_per_second: u64,
    level: u64,
    filled: Tick,
}

impl Pace {
    /// A full bucket. A rate of 0 means no limit.
    #[must_use]
    pub fn new(bytes_per_second: u64, now: Tick) -> Self {
        Self { bytes_per_second, level: bytes_per_second / 4, filled: now }
    }

    /// Takes up to `wanted` bytes. What is granted may be sent at once; 0 means wait
    /// [`Self::wait_ms`].
    pub fn take(&mut self, wanted: u64, now: Tick) -> u64 {
        if self.bytes_per_second == 0 {
            return wanted;
        }
        let earned = self.bytes_per_second.saturating_mul(now.ms_since(self.filled)) / 1000;
        if earned > 0 {
            self.level = (self.level + earned).min(self.bytes_per_second.div_ceil(4));
            self.filled = now;
        }
        let granted = wanted.min(self.level);
        self.level -= granted;
        granted
    }

    /// How long until about a twentieth of a second's worth has gathered.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        50
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_burst(rate in 1000_u64..10_000_000, steps in proptest::collection::vec(1_u64..200, 1..100)) {
            let mut now = Tick(5);
            let mut pace = Pace::new(rate, now);
            let mut sent = 0;
            for step in &steps {
                sent += pace.take(u64::MAX, now);
                now = now.plus_ms(*step);
            }
            let elapsed_ms: u64 = steps.iter().sum();
            prop_assert!(sent <= rate * elapsed_ms / 1000 + rate / 4 + 1);
        }
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Pace::new(0, Tick(0)).take(1 << 40, Tick(0)), 1 << 40);
    }
}
