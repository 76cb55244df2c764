//! When keys of erased footage are destroyed, and which. Pure, but for [`Turner`], which asks the store.
//!
//! Erased footage is unlinked at once; what may remain of it on a disc opens until its hour's key is gone.
//!
//! | erased | its keys are gone within |
//! |---|---|
//! | with its whole hour, as retention does | the hour's own length, a segment, and a sweep: 1 h 2 min |
//! | out of an hour of which footage is held | 1 h and a minute a rotation: at most 4 hours are re-keyed in one |
//! | by order | two minutes, and as long as four hours' survivors take to read; never in the present hour |
//!
//! While the token or the disc refuses, longer: that is the alarm `keys-not-destroyed`.

use custody::WallTime;
use host::Clock;

use crate::limits;
use crate::seal::key_ring::epoch_of;
use crate::store::{KeyState, Rotation, Store, StoreError};

/// Hours that one rotation re-keys: four read 17 000 headers at 71 cameras, a few minutes of a slow disc.
const REKEY_HOURS_MAX: usize = 4;
/// What will be due in ten minutes goes with what is due now.
const BATCH_US: i64 = 600_000_000;

/// What to do now, `since_ms` after the last rotation (none: not in this run). None: nothing.
#[must_use]
pub fn decide(state: &KeyState, now: WallTime, since_ms: Option<u64>) -> Option<Rotation> {
    let present = epoch_of(now);
    // A frame's time may lag or lead the clock's: the neighbours of the present hour still seal.
    let settled = |hour: u64| hour.abs_diff(present) > 1;
    let hours = || state.hours.iter().filter(|(hour, _)| settled(**hour));
    let destroy: Vec<u64> =
        hours().filter(|(_, segments)| **segments == 0).map(|(hour, _)| *hour).collect();
    let age_us = |hour: &u64| {
        let (since, ordered) = state.residues.get(hour)?;
        Some(if *ordered { i64::MAX } else { now.micros_since(*since) })
    };
    let mut residues: Vec<(i64, u64)> = hours()
        .filter(|(_, segments)| **segments > 0)
        .filter_map(|(hour, _)| Some((age_us(hour)?, *hour)))
        .filter(|(age, _)| *age >= limits::RESIDUE_US - BATCH_US)
        .collect();
    residues.sort_unstable_by(|a, b| b.cmp(a));
    let overdue = residues.first().is_some_and(|(age, _)| *age >= limits::RESIDUE_US);
    let ordered = hours().any(|(hour, _)| age_us(hour) == Some(i64::MAX));
    let waited = |pause_ms| since_ms.is_none_or(|since| since >= pause_ms);
    let due = (overdue || ordered || state.unfinished) && waited(limits::ORDER_PAUSE_MS)
        || !destroy.is_empty() && waited(limits::ROTATION_PAUSE_MS);
    due.then(|| Rotation {
        destroy,
        rekey: residues.into_iter().take(REKEY_HOURS_MAX).map(|(_, hour)| hour).collect(),
    })
}

/// Has the store change its keys when it is time.
#[derive(Debug, Default)]
pub struct Turner {
    /// Monotonic milliseconds of the last rotation of this run.
    last_ms: Option<u64>,
}

impl Turner {
    /// Changes keys if it is time; gives the hours whose keys are gone. What the root or the disc refuses
    /// is the store's alarm, and is tried again.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn turn(&mut self, store: &Store, clock: &Clock) -> Result<Vec<u64>, StoreError> {
        let tick_ms = clock.tick().0;
        let since_ms = self.last_ms.map(|last| tick_ms.saturating_sub(last));
        let Some(rotation) = decide(&store.key_state()?, clock.now(), since_ms) else {
            return Ok(Vec::new());
        };
        self.last_ms = Some(tick_ms);
        match store.rotate_keys(&rotation) {
            Err(error) if !error.is_fatal() => Ok(Vec::new()),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn state(hours: &[(u64, u64)], residues: &[(u64, i64, bool)]) -> KeyState {
        KeyState {
            hours: hours.iter().copied().collect(),
            residues: residues.iter().map(|(h, since, by)| (*h, (WallTime(*since), *by))).collect(),
            unfinished: false,
        }
    }

    fn at(hour: i64) -> WallTime {
        WallTime(hour * HOUR_US)
    }

    #[test]
    fn hours_that_open_nothing_go_except_around_now_and_not_too_often() {
        let hours = [(5, 0), (6, 3), (98, 0), (99, 0), (100, 0), (101, 0), (102, 0)];
        let asked = |since| decide(&state(&hours, &[]), at(100), since);
        let going = Rotation { destroy: vec![5, 98, 102], rekey: vec![] };
        assert_eq!(asked(None), Some(going.clone()));
        assert_eq!(asked(Some(limits::ROTATION_PAUSE_MS - 1)), None);
        assert_eq!(asked(Some(limits::ROTATION_PAUSE_MS)), Some(going));
        assert_eq!(decide(&state(&[(6, 3)], &[]), at(100), None), None);
    }

    #[test]
    fn an_hour_that_lost_footage_waits_an_hour_for_the_rest_to_go() {
        let residue = |since: i64| state(&[(6, 3)], &[(6, since, false)]);
        let young = decide(&residue(99 * HOUR_US + 1), at(100), None);
        assert_eq!(young, None);
        let old = decide(&residue(99 * HOUR_US), at(100), Some(limits::ORDER_PAUSE_MS));
        assert_eq!(old, Some(Rotation { destroy: vec![], rekey: vec![6] }));
        // Its last segment goes: then it is destroyed, not re-keyed.
        let spent = decide(&state(&[(6, 0)], &[(6, 0, false)]), at(100), None);
        assert_eq!(spent, Some(Rotation { destroy: vec![6], rekey: vec![] }));
    }

    #[test]
    fn an_order_is_not_kept_waiting() {
        let hours = [(6, 3), (7, 1), (99, 4)];
        let now = 100 * HOUR_US;
        let ordered = state(&hours, &[(6, now, true), (99, now, true)]);
        let asked = |since| decide(&ordered, at(100), since);
        assert_eq!(asked(Some(limits::ORDER_PAUSE_MS - 1)), None);
        let going = asked(Some(limits::ORDER_PAUSE_MS)).unwrap();
        assert_eq!(going.rekey, [6], "the hour before the present one still seals");
        let many: Vec<_> = (0..9).map(|hour| (hour, 1)).collect();
        let residues: Vec<_> = (0..9).map(|hour| (hour, 0, hour == 8)).collect();
        let going = decide(&state(&many, &residues), at(100), None).unwrap();
        assert_eq!(going.rekey, [8, 7, 6, 5], "orders first, and not all at once");
    }

    #[test]
    fn a_rotation_that_was_cut_off_is_gone_on_with() {
        let cut = KeyState { unfinished: true, ..KeyState::default() };
        assert_eq!(decide(&cut, at(100), None), Some(Rotation::default()));
    }
}
