//! How long to wait before the next try: doubling, jittered so that a fleet does not return at once.

/// Grows from `first_ms` to `max_ms`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    tries: u32,
}

impl Backoff {
    /// A back-off whose first wait is about `first_ms` and whose longest is `max_ms`.
    #[must_use]
    pub fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms, max_ms, tries: 0 }
    }

    /// The next wait: between half and all of the doubled step. `chance` is any random number.
    pub fn next_ms(&mut self, chance: u64) -> u64 {
        let step = self.first_ms.saturating_mul(1 << self.tries.min(20)).min(self.max_ms);
        self.tries = self.tries.saturating_add(1);
        step / 2 + chance % (step / 2 + 1)
    }

    /// Begins anew after success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(1000, 60_000);
        let longest: Vec<u64> = (0..8).map(|_| backoff.next_ms(u64::MAX)).collect();
        assert!(longest.iter().all(|ms| (500..=60_000).contains(ms)));
        assert!(backoff.next_ms(0) >= 30_000);
        backoff.reset();
        assert!(backoff.next_ms(500) <= 1000);
    }
}
