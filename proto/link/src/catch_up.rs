//! Copying the site log to the controller: which records to send next, through any number of
//! reconnections. The controller's answer is the truth; the agent only asks where to go on.

/// No batch holds more records.
pub const BATCH_RECORDS_MAX: u64 = 256;
/// No batch holds more bytes, save that a single record always goes.
pub const BATCH_BYTES_MAX: usize = 2 << 20;

/// Where the copy stands.
#[derive(Debug, Clone, Default)]
pub struct CatchUp {
    next: u64,
    known: bool,
}

impl CatchUp {
    /// A copy of which nothing is known: an empty batch asks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets where the copy stands, after a lost connection.
    pub fn handle_disconnected(&mut self) {
        self.known = false;
    }

    /// The controller wants `next_index`.
    pub fn handle_answer(&mut self, next_index: u64) {
        self.next = next_index;
        self.known = true;
    }

    /// The records to send of a log with `log_size`, as (first, count). A count of 0 asks where the
    /// controller stands. None: the copy is complete, or the controller is ahead (which only a
    /// restored disc explains; the caller reports it).
    #[must_use]
    pub fn poll_batch(&self, log_size: u64) -> Option<(u64, u64)> {
        if !self.known {
            return Some((0, 0));
        }
        (self.next < log_size).then(|| (self.next, (log_size - self.next).min(BATCH_RECORDS_MAX)))
    }

    /// The place that the controller wants next, as it last said.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Whether the controller has records that this log has not.
    #[must_use]
    pub fn is_ahead(&self, log_size: u64) -> bool {
        self.known && self.next > log_size
    }
}

/// What the controller does with a batch when it has `have` records: how many leading records of
/// the batch to skip as known, or none when records are missing between.
#[must_use]
pub fn skip(have: u64, first: u64, count: u64) -> Option<u64> {
    (first <= have).then(|| (have - first).min(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_arrives_once_through_lost_answers(
            growth in proptest::collection::vec(0_u64..600, 1..20),
            lost in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let (mut agent, mut copied, mut size) = (CatchUp::new(), 0, 0);
            let mut lost = lost.into_iter();
            for more in growth {
                size += more;
                while let Some((first, count)) = agent.poll_batch(size) {
                    let answer = skip(copied, first, count).map(|known| {
                        copied += count - known;
                        copied
                    });
                    if lost.next() == Some(true) {
                        agent.handle_disconnected();
                    } else {
                        agent.handle_answer(answer.unwrap_or(copied));
                    }
                }
                prop_assert_eq!(copied, size);
            }
        }
    }
}
