//! Has every log witnessed, and is a witness itself: so that nobody, this program's administrator
//! included, can rewrite a log unseen. Nothing waits for a witness: recording and the workflow go
//! on, and a bundle waits at most [`limits::WITNESS_WAIT`].
//!
//! | file | does |
//! |---|---|
//! | [`plan`] | which checkpoint goes to which witness, when (pure) |
//! | [`quorum`] | who must have cosigned (pure) |
//! | [`field`] | where the logs and the sites' witnesses are |
//! | `witnessing/round.rs` | one round: asks, checks what came, keeps it |
//! | [`own`] | the controller as a witness of the sites |
//! | [`web`] | one HTTP request to an outside party |
//! | [`stamp`], [`stamping`] | time stamps: question and answer; once an hour |
//! | [`book`] | what is kept: notes, stamps, policies |
//! | [`standing`] | how it stands, for people |
//!
//! The controller carries each site's checkpoint to other sites' witnesses over the fleet link,
//! verbatim, and its own likewise; outside witnesses by HTTP. A cosignature counts only if it fits
//! the key that the site's identity, or the settings, vouch for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use custody::WallTime;
use host::{Clock, Tasks};
use tokio::sync::{Notify, watch};

use crate::ledger::{Actor, Command, Ledger};
use crate::limits;
use crate::log::event::logs::{Contradiction, ContradictionKind};

pub mod book;
pub mod field;
pub mod own;
pub mod plan;
pub mod quorum;
mod round;
pub mod stamp;
pub mod stamping;
pub mod standing;
pub mod web;

pub use book::Book;
pub use field::{Estate, Field};
pub use own::OwnWitness;

/// A witness outside the force.
pub struct Outside {
    /// What people here call it.
    pub name: String,
    /// Its word in policies, and its key.
    pub voice: quorum::Voice,
    /// Where it is.
    pub party: web::WebParty,
}

/// What witnessing needs.
pub struct Parts<F> {
    /// The logs and the sites.
    pub field: F,
    /// What is kept.
    pub book: Arc<Book>,
    /// The controller's own witness.
    pub own: OwnWitness,
    /// Witnesses outside the force.
    pub outside: Vec<Outside>,
    /// Takes what contradicts itself.
    pub ledger: Ledger,
    /// Where its proof is kept.
    pub forks: PathBuf,
    /// Time.
    pub clock: Clock,
}

/// Has logs witnessed. Clones share it.
pub struct Witnessing<F>(Arc<Inner<F>>);

impl<F> Clone for Witnessing<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How far the quorum has come with each log, and when it last met.
pub type Covered = BTreeMap<String, (u64, WallTime)>;

struct Inner<F> {
    field: F,
    book: Arc<Book>,
    own: Arc<OwnWitness>,
    outside: Vec<Outside>,
    ledger: Ledger,
    forks: PathBuf,
    clock: Clock,
    /// Held for moments.
    plan: Mutex<plan::Plan>,
    /// Witnesses that could be asked in the last round.
    present: Mutex<BTreeSet<String>>,
    covered: watch::Sender<Covered>,
    /// Somebody waits.
    hurry: Notify,
    /// Found in this round, told after it.
    found: Mutex<Vec<Contradiction>>,
    /// What fails of witnessing as a whole: the disc, the time-stamping authority.
    trouble: Mutex<BTreeMap<&'static str, String>>,
}

impl<F> Inner<F> {
    fn covered(&self, origin: &str, size: u64, at: WallTime) {
        self.covered.send_if_modified(|covered| {
            let before = covered.insert(origin.to_owned(), (size, at));
            before.is_none_or(|(before, _)| before < size)
        });
    }

    /// A witness said no. That a tree does not continue the one that it has cosigned is a fork, and
    /// the request, which the log has signed, proves it.
    fn refused(&self, log: &field::LogHead, witness: &str, old: u64, status: u16) {
        tracing::error!(log = log.vkey.name(), witness, status, "a witness refused a checkpoint");
        let (422, Some(site)) = (status, &log.site) else { return };
        let contradiction = Contradiction {
            site: site.clone(),
            origin: log.vkey.name().to_owned(),
            kind: ContradictionKind::Fork,
            size: log.size,
            detail: format!(
                "witness {witness} has cosigned {old} entries, and the tree of {} does not \
                 continue them",
                log.size
            ),
            proof: String::new(),
        };
        let about = format!("{witness} {old}");
        let kept = crate::fleet::mirror::keep_proof(
            &self.forks,
            contradiction,
            about.as_bytes(),
            &[("contradicting.note", &log.note)],
        );
        match kept {
            Ok(kept) => self.found.lock().unwrap_or_else(PoisonError::into_inner).push(kept),
            Err(error) => tracing::error!(%error, "the proof of a fork cannot be kept"),
        }
    }

    fn set_trouble(&self, what: &'static str, why: Option<String>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => drop(trouble.insert(what, why)),
            None => drop(trouble.remove(what)),
        }
    }
}

impl<F: Field> Witnessing<F> {
    /// Prepares witnessing; [`Witnessing::run`] does it.
    #[must_use]
    pub fn new(parts: Parts<F>) -> Self {
        let Parts { field, book, own, outside, ledger, forks, clock } = parts;
        Self(Arc::new(Inner {
            field,
            book,
            own: Arc::new(own),
            outside,
            ledger,
            forks,
            clock,
            plan: Mutex::default(),
            present: Mutex::default(),
            covered: watch::Sender::default(),
            hurry: Notify::new(),
            found: Mutex::default(),
            trouble: Mutex::default(),
        }))
    }

    /// What is kept of it.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.0.book
    }

    /// The controller's own witness.
    #[must_use]
    pub fn own(&self) -> &OwnWitness {
        &self.0.own
    }

    /// One round: whoever is due is asked. Whether anyone was.
    pub async fn round(&self) -> bool {
        let ran = round::run(&self.0).await;
        let found =
            std::mem::take(&mut *self.0.found.lock().unwrap_or_else(PoisonError::into_inner));
        for contradiction in found {
            let told = Command::ContradictLog(contradiction);
            if let Err(refusal) = self.0.ledger.send(Actor::Controller, told).await {
                tracing::error!(%refusal, "a fork could not be noted");
            }
        }
        match ran {
            Ok(asked) => {
                self.0.set_trouble("witnessing", None);
                asked
            }
            Err(error) => {
                tracing::error!(%error, "a round of witnessing failed");
                self.0.set_trouble("witnessing", Some(error.to_string()));
                false
            }
        }
    }

    /// Rounds until shutdown: as logs grow, and at once when somebody waits.
    pub async fn run(self, tasks: Tasks) {
        let (mut sites, mut own) = self.0.field.moved();
        let mut thinned: BTreeMap<String, u64> = BTreeMap::new();
        let mut thin_at = self.0.clock.tick();
        loop {
            let asked = tokio::select! {
                () = tasks.stopping() => return,
                asked = self.round() => asked,
            };
            if self.0.clock.tick() >= thin_at {
                thin_at = self.0.clock.tick().plus_ms(THIN_EVERY_MS);
                self.thin(&mut thinned);
            }
            let moved = async {
                // While there is something to ask, the next round comes by itself.
                if !asked {
                    tokio::select! {
                        _ = sites.changed() => {}
                        _ = own.changed() => {}
                        // Pauses of witnesses that failed end without a signal.
                        () = tokio::time::sleep(IDLE) => {}
                    }
                }
                tokio::time::sleep(limits::WITNESS_EVERY).await;
            };
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.0.hurry.notified() => {}
                () = moved => {}
            }
        }
    }

    fn thin(&self, thinned: &mut BTreeMap<String, u64>) {
        for log in self.0.field.logs() {
            let from = thinned.entry(log.vkey.name().to_owned()).or_default();
            match self.0.book.thin(log.vkey.name(), *from, self.0.clock.now()) {
                Ok(next) => *from = next,
                Err(error) => self.0.set_trouble("witnessing", Some(error.to_string())),
            }
        }
    }

    /// Waits until the quorum has cosigned each of these places, (log, index), or the time has come.
    /// Whether it has.
    pub async fn wait_for(&self, places: &[(String, u64)], until: tokio::time::Instant) -> bool {
        let mut covered = self.0.covered.subscribe();
        self.0.hurry.notify_one();
        let all = covered.wait_for(|covered| {
            places.iter().all(|(log, index)| covered.get(log).is_some_and(|(size, _)| size > index))
        });
        tokio::time::timeout_at(until, all).await.is_ok_and(|met| met.is_ok())
    }
}

/// Old notes are thinned this often.
const THIN_EVERY_MS: u64 = 3600 * 1000;
/// With nothing to ask, it is looked this often whether a pause has ended.
const IDLE: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(test)]
mod tests;
