//! The passes: begin whatever is due and not under way.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use custody::{CaseId, HoldId, OrderId, SiteId};
use host::Tasks;
use tokio::sync::Semaphore;

use super::memory::Memory;
use super::{Progress, Proving, Sites, cases, copies, erasures, guests, holds};
use crate::bundle::Signer;
use crate::erasure::ErasureState;
use crate::evidence::HoldState;
use crate::ledger::Ledger;
use crate::limits;
use crate::registry::Authority;
use crate::vault::Vault;

/// What reconciling needs.
pub struct Parts<S> {
    /// The door to the state.
    pub ledger: Ledger,
    /// The sites.
    pub sites: S,
    /// Signs bundles and vouches for the sites' keys.
    pub authority: Arc<Authority>,
    /// Pulled files and bundles: the folder with `segments/` and `bundles/`.
    pub vault: PathBuf,
    /// The same folder as the second place of held footage.
    pub copies: Vault,
    /// Held footage is copied to the first of these sites that is not its own; empty: to none.
    pub also_at: Vec<SiteId>,
    /// Gathers proofs; none: bundles go without.
    pub proving: Option<Arc<Proving>>,
    /// Signs playable copies; none: they go without a C2PA manifest.
    pub signer: Option<Signer>,
    /// What is told of work under way.
    pub progress: Progress,
    /// Where its tasks hang.
    pub tasks: Tasks,
}

/// One thing to do; done by one task at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Case(CaseId),
    Hold(HoldId),
    Copy(HoldId),
    Guest(HoldId),
    Erasure(OrderId),
}

/// Whether work that could not be finished may begin again at the log's next move. Work that failed
/// outside may itself have moved the log, and must not chase its own tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// It may.
    No,
    /// Only after [`limits::RETRY_AFTER`].
    Needed,
}

struct Driver<S> {
    parts: Arc<Parts<S>>,
    memory: Arc<Memory>,
    /// What is under way. Held for moments only.
    under_way: Arc<Mutex<BTreeSet<Work>>>,
    case_slots: Arc<Semaphore>,
    hold_slots: Arc<Semaphore>,
    copy_slots: Arc<Semaphore>,
    guest_slots: Arc<Semaphore>,
}

/// Runs passes until shutdown. What is under way then is left where it is; the next start goes on.
pub async fn run<S: Sites>(parts: Parts<S>) {
    let driver = Driver {
        parts: Arc::new(parts),
        memory: Arc::default(),
        under_way: Arc::default(),
        case_slots: Arc::new(Semaphore::new(limits::CASES_AT_ONCE)),
        hold_slots: Arc::new(Semaphore::new(limits::HOLDS_AT_ONCE)),
        copy_slots: Arc::new(Semaphore::new(limits::COPIES_AT_ONCE)),
        guest_slots: Arc::new(Semaphore::new(limits::GUESTS_AT_ONCE)),
    };
    let tasks = driver.parts.tasks.clone();
    let mut log_moved = driver.parts.ledger.watch();
    loop {
        driver.pass();
        tokio::select! {
            () = tasks.stopping() => return,
            moved = log_moved.changed() => {
                if moved.is_err() {
                    return;
                }
                // A burst of events is one pass.
                tokio::time::sleep(BURST).await;
            }
            () = tokio::time::sleep(limits::RECONCILE_EVERY) => {}
        }
    }
}

const BURST: Duration = Duration::from_millis(50);

impl<S: Sites> Driver<S> {
    fn pass(&self) {
        let now = self.parts.ledger.clock().tick();
        let due: Vec<Work> = self.parts.ledger.read(|state| {
            let holds = state.evidence.holds().filter(|hold| {
                matches!(hold.state, HoldState::Ordered | HoldState::ReleaseOrdered)
            });
            let copies = state.evidence.holds().filter(|hold| {
                copies::is_due(hold, self.parts.copies.book())
                    && self.memory.copy_is_due(&hold.id, now)
            });
            let guests = state.evidence.holds().filter(|hold| {
                let is_whole = guests::is_whole(hold);
                guests::is_due(hold, &self.parts.also_at)
                    && self.memory.guest_is_due(&hold.id, is_whole, now)
            });
            let cases = state
                .evidence
                .cases()
                .filter(|case| case.state.is_under_way() && self.memory.is_due(&case.id, now));
            let orders =
                state.erasures.orders().filter(|order| order.state == ErasureState::Approved);
            // Holds first: they win over erasures.
            holds
                .map(|hold| Work::Hold(hold.id.clone()))
                .chain(orders.map(|order| Work::Erasure(order.id.clone())))
                .chain(cases.map(|case| Work::Case(case.id.clone())))
                .chain(copies.map(|hold| Work::Copy(hold.id.clone())))
                .chain(guests.map(|hold| Work::Guest(hold.id.clone())))
                .collect()
        });
        for work in due {
            self.begin(work);
        }
    }

    fn begin(&self, work: Work) {
        let is_new =
            self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(work.clone());
        if !is_new {
            return;
        }
        let (parts, under_way) = (self.parts.clone(), self.under_way.clone());
        let memory = self.memory.clone();
        let slots = match &work {
            Work::Case(_) => self.case_slots.clone(),
            Work::Hold(_) | Work::Erasure(_) => self.hold_slots.clone(),
            Work::Copy(_) => self.copy_slots.clone(),
            Work::Guest(_) => self.guest_slots.clone(),
        };
        self.parts.tasks.spawn("reconcile", async move {
            let done = async {
                // The semaphore is never closed.
                let Ok(slot) = slots.acquire().await else { return };
                let rest = match &work {
                    Work::Case(case) => cases::advance(&parts, &memory, case).await,
                    Work::Hold(hold) => holds::advance(&parts, &memory, hold).await,
                    Work::Copy(hold) => copies::advance(&parts, &memory, hold).await,
                    Work::Guest(hold) => guests::advance(&parts, &memory, hold).await,
                    Work::Erasure(order) => erasures::advance(&parts, order).await,
                };
                drop(slot);
                if rest == Rest::Needed {
                    tokio::time::sleep(limits::RETRY_AFTER).await;
                }
            };
            tokio::select! {
                () = done => {}
                () = parts.tasks.stopping() => {}
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&work);
        });
    }
}
