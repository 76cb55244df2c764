//! What is remembered between tries, in memory only: since when a case waits, when it is tried
//! again, and the keys that it has. A new run of the controller tries everything at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use custody::sealing::Key;
use custody::{CameraId, CaseId, HoldId, Seq, WallTime};
use host::Clock;
use link::Tick;

use super::keyring::Keyring;
use super::retry::Retry;
use super::waiting::{Reason, Topic};
use crate::limits;

/// Shared by all work of the reconciler. Holds an entry for every case that waits.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
    guest_turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inner {
    cases: BTreeMap<CaseId, Tried>,
    holds: BTreeMap<HoldId, Reason>,
    copies: BTreeMap<HoldId, Retry>,
    guests: BTreeMap<HoldId, Retry>,
    /// When copies at other sites were last found whole.
    looked: BTreeMap<HoldId, Tick>,
    keys: Keyring,
}

#[derive(Default)]
struct Tried {
    waits: Option<(Topic, WallTime)>,
    retry: Retry,
    bytes_most: u64,
}

impl Memory {
    /// Whether a case may be tried now.
    #[must_use]
    pub fn is_due(&self, case: &CaseId, now: Tick) -> bool {
        self.lock().cases.get(case).is_none_or(|tried| tried.retry.is_due(now))
    }

    /// A case waits, and may be tried at any time; gives the text.
    pub fn waits(&self, case: &CaseId, reason: &Reason, clock: &Clock) -> String {
        let mut inner = self.lock();
        let since = inner.cases.entry(case.clone()).or_default().since(reason, clock.now());
        reason.text(since, None)
    }

    /// A try of a case failed: it is not tried again for a while. Gives the text.
    pub fn failed(&self, case: &CaseId, reason: &Reason, clock: &Clock) -> String {
        let mut inner = self.lock();
        let tried = inner.cases.entry(case.clone()).or_default();
        let (now, since) = (clock.now(), tried.since(reason, clock.now()));
        let pause = tried.retry.failed(clock.tick());
        let again_at = now.plus_seconds(i64::try_from(pause.as_secs()).unwrap_or(i64::MAX));
        reason.text(since, Some(again_at))
    }

    /// A case has gone on: what it waited for before is over.
    pub fn went_on(&self, case: &CaseId) {
        if let Some(tried) = self.lock().cases.get_mut(case) {
            (tried.waits, tried.retry) = (None, Retry::default());
        }
    }

    /// So many bytes have come; more than ever means that the case goes on.
    pub fn bytes_came(&self, case: &CaseId, bytes: u64) -> bool {
        let mut inner = self.lock();
        let tried = inner.cases.entry(case.clone()).or_default();
        if bytes <= tried.bytes_most {
            return false;
        }
        *tried = Tried { bytes_most: bytes, ..Tried::default() };
        true
    }

    /// A case's work is over: its keys are wiped.
    pub fn forget(&self, case: &CaseId) {
        let mut inner = self.lock();
        inner.cases.remove(case);
        inner.keys.forget(case);
    }

    /// Why a hold is not where it should be; nothing when it is.
    pub fn set_hold(&self, hold: &HoldId, reason: Option<Reason>) {
        let mut inner = self.lock();
        match reason {
            Some(reason) => drop(inner.holds.insert(hold.clone(), reason)),
            None => drop(inner.holds.remove(hold)),
        }
    }

    /// Whether a hold's copy may be tried now.
    #[must_use]
    pub fn copy_is_due(&self, hold: &HoldId, now: Tick) -> bool {
        self.lock().copies.get(hold).is_none_or(|retry| retry.is_due(now))
    }

    /// A try of a hold's copy failed: it is not tried again for a while.
    pub fn copy_failed(&self, hold: &HoldId, now: Tick) {
        self.lock().copies.entry(hold.clone()).or_default().failed(now);
    }

    /// A hold's copy is whole or gone.
    pub fn forget_copy(&self, hold: &HoldId) {
        self.lock().copies.remove(hold);
    }

    /// Whether a hold's copy at another site may be tried now, or looked at again if it is whole.
    #[must_use]
    pub fn guest_is_due(&self, hold: &HoldId, is_whole: bool, now: Tick) -> bool {
        let inner = self.lock();
        let looked = |looked: &Tick| now.ms_since(*looked) < limits::GUEST_LOOK_MS;
        inner.guests.get(hold).is_none_or(|retry| retry.is_due(now))
            && !(is_whole && inner.looked.get(hold).is_some_and(looked))
    }

    /// A try of a hold's copy at another site failed: it is not tried again for a while.
    pub fn guest_failed(&self, hold: &HoldId, now: Tick) {
        self.lock().guests.entry(hold.clone()).or_default().failed(now);
    }

    /// A hold's copy at another site was found whole.
    pub fn guest_looked(&self, hold: &HoldId, now: Tick) {
        let mut inner = self.lock();
        inner.guests.remove(hold);
        inner.looked.insert(hold.clone(), now);
    }

    /// A hold's copy at another site is gone.
    pub fn forget_guest(&self, hold: &HoldId) {
        let mut inner = self.lock();
        inner.guests.remove(hold);
        inner.looked.remove(hold);
    }

    /// Waits for the turn to note a copy at another site as whole, or to delete one there: so nothing
    /// that was just found is deleted before it is noted.
    pub async fn guest_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.guest_turn.lock().await
    }

    /// Why the first of these holds that is known to wait does.
    #[must_use]
    pub fn first_reason<'a>(&self, holds: impl IntoIterator<Item = &'a HoldId>) -> Option<Reason> {
        let inner = self.lock();
        holds.into_iter().find_map(|hold| inner.holds.get(hold).cloned())
    }

    /// [`Keyring::missing`].
    #[must_use]
    pub fn keys_missing(&self, case: &CaseId, camera: &CameraId, seqs: &[Seq]) -> Vec<Seq> {
        self.lock().keys.missing(case, camera, seqs)
    }

    /// [`Keyring::keep`].
    pub fn keep_keys(
        &self,
        case: &CaseId,
        camera: &CameraId,
        keys: impl Iterator<Item = (Seq, Key)>,
    ) {
        self.lock().keys.keep(case, camera, keys);
    }

    /// [`Keyring::used`].
    #[must_use]
    pub fn keys(&self, case: &CaseId, camera: &CameraId, seqs: &[Seq]) -> Option<Vec<Key>> {
        self.lock().keys.used(case, camera, seqs)
    }

    /// Held for moments only.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    /// Since when it waits for this.
    fn since(&mut self, reason: &Reason, now: WallTime) -> WallTime {
        match &self.waits {
            Some((topic, since)) if *topic == reason.topic => *since,
            _ => {
                self.waits = Some((reason.topic.clone(), now));
                now
            }
        }
    }
}
