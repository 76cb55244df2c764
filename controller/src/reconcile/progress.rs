//! What is known of work that is not finished: bytes pulled so far, and what a case waits for. In
//! memory only: after a restart the pull goes on where the vault's files end, and says so again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use custody::{CaseId, OrderId};
use tokio::sync::watch;

/// How a case under way is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseProgress {
    /// Bytes that have arrived.
    pub bytes_pulled: u64,
    /// What it waits for, in words.
    pub detail: String,
}

/// All cases under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Held for moments only.
    cases: Mutex<BTreeMap<CaseId, CaseProgress>>,
    /// What approved erasure orders wait for.
    orders: Mutex<BTreeMap<OrderId, String>>,
    changes: watch::Sender<u64>,
}

impl Progress {
    /// How a case is doing; nothing when it is not under way.
    #[must_use]
    pub fn of(&self, case: &CaseId) -> CaseProgress {
        let cases = self.0.cases.lock().unwrap_or_else(PoisonError::into_inner);
        cases.get(case).cloned().unwrap_or_default()
    }

    /// A signal whenever something changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Notes the bytes that have arrived.
    pub fn set_bytes(&self, case: &CaseId, bytes: u64) {
        self.change(case, |progress| progress.bytes_pulled = bytes);
    }

    /// Notes what a case waits for.
    pub fn set_detail(&self, case: &CaseId, detail: &str) {
        self.change(case, |progress| detail.clone_into(&mut progress.detail));
    }

    /// What an erasure order waits for, in words; none when it is not known to wait.
    #[must_use]
    pub fn order(&self, order: &OrderId) -> Option<String> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner).get(order).cloned()
    }

    /// Notes what an erasure order waits for; nothing when it does not.
    pub fn set_order(&self, order: &OrderId, detail: Option<&str>) {
        let mut orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        match detail {
            Some(detail) => drop(orders.insert(order.clone(), detail.to_owned())),
            None => drop(orders.remove(order)),
        }
        drop(orders);
        self.signal();
    }

    /// Forgets a case whose work is over.
    pub fn forget(&self, case: &CaseId) {
        let gone =
            self.0.cases.lock().unwrap_or_else(PoisonError::into_inner).remove(case).is_some();
        if gone {
            self.signal();
        }
    }

    fn change(&self, case: &CaseId, change: impl FnOnce(&mut CaseProgress)) {
        let mut cases = self.0.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = cases.entry(case.clone()).or_default();
        let before = progress.clone();
        change(progress);
        let changed = *progress != before;
        drop(cases);
        if changed {
            self.signal();
        }
    }

    fn signal(&self) {
        self.0.changes.send_modify(|changes| *changes += 1);
    }
}
