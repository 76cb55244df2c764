//! Which checkpoint is brought to which witness, from which size on, and when again after a failure.
//! Pure: takes the time, and what came of each errand.
//!
//! A witness answers 409 with the size that it has when it was asked from another: that is how the
//! plan learns where a witness stands, after a start of this program or of the witness.

use std::collections::BTreeMap;

use link::Tick;

use crate::limits;

/// A log and a witness, by name.
type Pair = (String, String);

/// How far each witness has come with each log.
#[derive(Debug, Default)]
pub struct Plan {
    pairs: BTreeMap<Pair, Stand>,
}

#[derive(Debug, Clone, Default)]
struct Stand {
    /// The size that the witness is thought to have cosigned last.
    known: u64,
    /// The greatest size of which we have its cosignature.
    cosigned: u64,
    /// Failures in a row.
    failures: u32,
    due: Tick,
    /// What it last answered, where that was no cosignature.
    trouble: Option<Trouble>,
}

/// Why a witness has not cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be asked, or its answer did not hold.
    Away(String),
    /// It has seen a greater tree of this log than there is here: this copy, or the log, was rolled
    /// back.
    Ahead(u64),
    /// It said no: 404 it does not know the log, 403 another key signed, 422 a fork.
    Refused(u16),
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its cosignature over the tree of this size is here.
    Cosigned(u64),
    /// It has this size.
    Has(u64),
    /// It said no.
    Refused(u16),
    /// It could not be asked, or its answer did not hold.
    Failed(String),
}

impl Plan {
    /// The size from which `witness` is to be asked about a tree of `newest` entries; none when it
    /// has cosigned that, or is left alone for now.
    #[must_use]
    pub fn due(&self, log: &str, witness: &str, newest: u64, now: Tick) -> Option<u64> {
        let Some(stand) = self.pairs.get(&(log.to_owned(), witness.to_owned())) else {
            return Some(0);
        };
        let is_due = newest > stand.cosigned && newest >= stand.known && now >= stand.due;
        is_due.then_some(stand.known)
    }

    /// Notes what came of asking `witness` about a tree of `newest` entries.
    pub fn came(&mut self, log: &str, witness: &str, newest: u64, outcome: Outcome, now: Tick) {
        let stand = self.pairs.entry((log.to_owned(), witness.to_owned())).or_default();
        match outcome {
            Outcome::Cosigned(size) => {
                *stand = Stand { known: size, cosigned: size, ..Stand::default() };
            }
            Outcome::Has(size) if size > newest => {
                stand.known = size;
                stand.fail(Trouble::Ahead(size), now);
            }
            // The second 409 in a row: it does not say what it has.
            Outcome::Has(size) if size == stand.known && stand.failures > 0 => {
                stand.fail(Trouble::Away(format!("it answers 409 and {size} to {size}")), now);
            }
            Outcome::Has(size) => {
                stand.known = size;
                stand.failures = 1;
                stand.due = now;
            }
            Outcome::Refused(status) => stand.fail(Trouble::Refused(status), now),
            Outcome::Failed(why) => stand.fail(Trouble::Away(why), now),
        }
    }

    /// A witness is there again: what it failed at while it was away is due.
    pub fn is_back(&mut self, witness: &str) {
        for ((_, of), stand) in &mut self.pairs {
            if of == witness && matches!(stand.trouble, Some(Trouble::Away(_))) {
                (stand.failures, stand.due) = (0, Tick(0));
            }
        }
    }

    /// What is known of a witness and a log: the size it has cosigned, and why not more.
    #[must_use]
    pub fn stand(&self, log: &str, witness: &str) -> (u64, Option<Trouble>) {
        let stand = self.pairs.get(&(log.to_owned(), witness.to_owned()));
        stand.map_or((0, None), |stand| (stand.cosigned, stand.trouble.clone()))
    }

    /// Forgets pairs that are not wanted any more.
    pub fn keep_only(&mut self, is_wanted: impl Fn(&str, &str) -> bool) {
        self.pairs.retain(|(log, witness), _| is_wanted(log, witness));
    }
}

impl Stand {
    fn fail(&mut self, trouble: Trouble, now: Tick) {
        let first = limits::WITNESS_PAUSE;
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(limits::WITNESS_PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.due = now.plus_ms(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.trouble = Some(trouble);
    }
}

/// The witnesses among the other sites for one log: at most [`limits::SITE_WITNESSES`], those that
/// come after it in the order of names, around the end. Each site is then asked by as many logs as
/// it has witnesses, however many sites there are.
#[must_use]
pub fn neighbours<'a, T: Ord>(all: &[&'a T], of: Option<&T>) -> Vec<&'a T> {
    let mut sorted: Vec<&'a T> = all.iter().copied().filter(|site| Some(*site) != of).collect();
    sorted.sort_unstable();
    let start = of.map_or(0, |of| sorted.partition_point(|site| *site < of));
    sorted.rotate_left(start);
    sorted.truncate(limits::SITE_WITNESSES);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "east.example/log/1";
    const WEST: &str = "west.example/witness";

    #[test]
    fn a_witness_is_asked_from_where_it_stands_and_not_twice_for_the_same() {
        let mut plan = Plan::default();
        let now = Tick(0);
        assert_eq!(plan.due(LOG, WEST, 9, now), Some(0));
        // It has seen the log before: one more question, at once.
        plan.came(LOG, WEST, 9, Outcome::Has(7), now);
        assert_eq!(plan.due(LOG, WEST, 9, now), Some(7));
        plan.came(LOG, WEST, 9, Outcome::Cosigned(9), now);
        assert_eq!(plan.due(LOG, WEST, 9, now), None);
        assert_eq!(plan.due(LOG, WEST, 10, now), Some(9));
        assert_eq!(plan.stand(LOG, WEST), (9, None));
    }

    #[test]
    fn a_witness_that_has_our_size_already_is_asked_for_its_cosignature() {
        let mut plan = Plan::default();
        plan.came(LOG, WEST, 9, Outcome::Has(9), Tick(0));
        assert_eq!(plan.due(LOG, WEST, 9, Tick(0)), Some(9));
    }

    #[test]
    fn failures_pause_ever_longer_and_a_witness_that_comes_back_is_asked_at_once() {
        let mut plan = Plan::default();
        let mut now = Tick(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            plan.came(LOG, WEST, 9, Outcome::Failed("away".to_owned()), now);
            let mut pause_s = 0;
            while plan.due(LOG, WEST, 9, now).is_none() {
                now = now.plus_ms(1000);
                pause_s += 1;
            }
            pauses.push(pause_s);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        plan.came(LOG, WEST, 9, Outcome::Failed("away".to_owned()), now);
        assert_eq!(plan.due(LOG, WEST, 9, now), None);
        plan.is_back(WEST);
        assert_eq!(plan.due(LOG, WEST, 9, now), Some(0));
        // A refusal is no absence: its coming back does not change it.
        plan.came(LOG, WEST, 9, Outcome::Refused(422), now);
        plan.is_back(WEST);
        assert_eq!(plan.due(LOG, WEST, 9, now), None);
        assert_eq!(plan.stand(LOG, WEST), (0, Some(Trouble::Refused(422))));
    }

    #[test]
    fn a_witness_that_is_ahead_is_left_alone_until_the_log_has_grown_past_it() {
        let mut plan = Plan::default();
        plan.came(LOG, WEST, 9, Outcome::Has(20), Tick(0));
        assert_eq!(plan.stand(LOG, WEST), (0, Some(Trouble::Ahead(20))));
        let later = Tick(10_000_000);
        assert_eq!(plan.due(LOG, WEST, 19, later), None);
        assert_eq!(plan.due(LOG, WEST, 21, later), Some(20));
    }

    #[test]
    fn a_witness_that_answers_409_without_end_is_not_asked_without_end() {
        let mut plan = Plan::default();
        plan.came(LOG, WEST, 9, Outcome::Has(3), Tick(0));
        plan.came(LOG, WEST, 9, Outcome::Has(3), Tick(0));
        assert_eq!(plan.due(LOG, WEST, 9, Tick(0)), None);
    }

    #[test]
    fn each_log_has_three_witnesses_and_each_site_serves_three_logs() {
        let sites: Vec<String> = (0..1000).map(|n| format!("site-{n:04}")).collect();
        let all: Vec<&String> = sites.iter().collect();
        let mut served: BTreeMap<&String, usize> = BTreeMap::new();
        for site in &sites {
            let witnesses = neighbours(&all, Some(site));
            assert_eq!(witnesses.len(), limits::SITE_WITNESSES);
            assert!(!witnesses.contains(&site));
            for witness in witnesses {
                *served.entry(witness).or_default() += 1;
            }
        }
        assert!(served.len() == 1000 && served.values().all(|n| *n == limits::SITE_WITNESSES));
        assert_eq!(neighbours(&all[..2], Some(&sites[0])), [&sites[1]]);
        assert_eq!(neighbours(&all[..1], Some(&sites[0])), Vec::<&String>::new());
        assert_eq!(neighbours(&all[..2], None), [&sites[0], &sites[1]]);
    }
}
