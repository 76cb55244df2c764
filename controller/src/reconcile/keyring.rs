//! Keys that sites have released for cases whose bundle is not made yet, so that a try that failed
//! does not ask for them again: every release is a disclosure in two logs. In memory only, wiped
//! when dropped; a new run of the controller asks anew.

use std::collections::BTreeMap;

use custody::sealing::Key;
use custody::{CameraId, CaseId, Seq};

use crate::limits;

/// The keys of a few cases; beyond [`limits::CASES_WITH_KEYS`] the one not used for longest goes.
#[derive(Default)]
pub struct Keyring {
    cases: BTreeMap<CaseId, Kept>,
    uses: u64,
}

#[derive(Default)]
struct Kept {
    cameras: BTreeMap<CameraId, BTreeMap<Seq, Key>>,
    last_use: u64,
}

impl Keyring {
    /// Which of these segments' keys are not here.
    #[must_use]
    pub fn missing(&self, case: &CaseId, camera: &CameraId, seqs: &[Seq]) -> Vec<Seq> {
        let here = self.cases.get(case).and_then(|kept| kept.cameras.get(camera));
        let is_missing = |seq: &&Seq| here.is_none_or(|keys| !keys.contains_key(*seq));
        seqs.iter().filter(is_missing).copied().collect()
    }

    /// Keeps keys; those of the case not used for longest may go.
    pub fn keep(
        &mut self,
        case: &CaseId,
        camera: &CameraId,
        keys: impl Iterator<Item = (Seq, Key)>,
    ) {
        self.uses += 1;
        let kept = self.cases.entry(case.clone()).or_default();
        kept.last_use = self.uses;
        kept.cameras.entry(camera.clone()).or_default().extend(keys);
        if self.cases.len() > limits::CASES_WITH_KEYS {
            let oldest = self.cases.iter().min_by_key(|(_, kept)| kept.last_use);
            if let Some(oldest) = oldest.map(|(case, _)| case.clone()) {
                self.cases.remove(&oldest);
            }
        }
    }

    /// The keys of these segments, in order; nothing when one is not here.
    pub fn used(&mut self, case: &CaseId, camera: &CameraId, seqs: &[Seq]) -> Option<Vec<Key>> {
        self.uses += 1;
        let kept = self.cases.get_mut(case)?;
        kept.last_use = self.uses;
        let keys = kept.cameras.get(camera)?;
        seqs.iter().map(|seq| keys.get(seq).cloned()).collect()
    }

    /// Wipes the keys of a case.
    pub fn forget(&mut self, case: &CaseId) {
        self.cases.remove(case);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_not_here_are_asked_for_and_old_cases_give_way() {
        let case = |n: usize| -> CaseId { format!("WH-2026-{n:06}").parse().unwrap() };
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let (three, four) = ([Seq(1), Seq(2), Seq(3)], [Seq(1), Seq(2), Seq(3), Seq(4)]);
        let mut ring = Keyring::default();
        assert_eq!(ring.missing(&case(1), &camera, &three), three);
        ring.keep(&case(1), &camera, three.iter().map(|seq| (*seq, Key::new([9; 32]))));
        assert_eq!(ring.missing(&case(1), &camera, &four), [Seq(4)]);
        assert_eq!(ring.used(&case(1), &camera, &three).unwrap().len(), 3);
        assert!(ring.used(&case(1), &camera, &four).is_none());
        for n in 2..=limits::CASES_WITH_KEYS {
            ring.keep(&case(n), &camera, [(Seq(1), Key::new([8; 32]))].into_iter());
        }
        // Used now, so the second case is the one that gives way.
        assert!(ring.used(&case(1), &camera, &three).is_some());
        ring.keep(&case(99), &camera, [(Seq(1), Key::new([8; 32]))].into_iter());
        assert!(ring.used(&case(1), &camera, &three).is_some());
        assert!(ring.used(&case(2), &camera, &[Seq(1)]).is_none());
        ring.forget(&case(1));
        assert_eq!(ring.missing(&case(1), &camera, &three), three);
    }
}
