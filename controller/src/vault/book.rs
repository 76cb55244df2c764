//! How far each copy has come, and why one does not go on. In memory only: after a restart the work
//! looks again at what lies on the shelf.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody::HoldId;

/// How a copy is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copying {
    /// Sealed files that are here and checked.
    pub copied: u32,
    /// Of so many.
    pub to_copy: u32,
    /// What it waits for, in words.
    pub waits: String,
}

/// All copies under way. Clones share it; the lock is held for moments.
#[derive(Debug, Clone, Default)]
pub struct Book(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    copying: BTreeMap<HoldId, Copying>,
    /// Ended holds of which the vault has nothing, looked at in this run.
    empty: BTreeSet<HoldId>,
}

impl Book {
    /// How a hold's copy is doing; nothing when it is not under way.
    #[must_use]
    pub fn of(&self, hold: &HoldId) -> Copying {
        self.entries().copying.get(hold).cloned().unwrap_or_default()
    }

    /// Notes how far it is.
    pub fn set(&self, hold: &HoldId, copied: usize, to_copy: usize) {
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        let now = Copying { copied: count(copied), to_copy: count(to_copy), waits: String::new() };
        self.entries().copying.insert(hold.clone(), now);
    }

    /// Notes what it waits for.
    pub fn waits(&self, hold: &HoldId, why: &str) {
        why.clone_into(&mut self.entries().copying.entry(hold.clone()).or_default().waits);
    }

    /// Forgets a hold whose copy is whole or gone.
    pub fn forget(&self, hold: &HoldId) {
        self.entries().copying.remove(hold);
    }

    /// Notes that the vault has nothing of an ended hold.
    pub fn set_empty(&self, hold: &HoldId) {
        self.entries().empty.insert(hold.clone());
    }

    /// Whether that was noted.
    #[must_use]
    pub fn is_empty(&self, hold: &HoldId) -> bool {
        self.entries().empty.contains(hold)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
