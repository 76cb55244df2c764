//! Witnesses the logs of other sites and of the controller (C2SP tlog-witness): sees that each only
//! grows, and signs for the time at which it saw that. Knows nothing of footage, and shares neither
//! lock nor file with recording: neither can hold up the other.
//!
//! | file | holds |
//! |---|---|
//! | `witness/memory.rs` | what is remembered of one log, and its file |
//! | `witness/lie.rs` | what a log that its own key signed against itself has done (pure) |
//! | `witness/proofs.rs` | such requests, kept as proof; what they raise |
//!
//! ```text
//! witness/<SHA-256 of origin>.json                       the log's key, newest tree, roots before
//! witness/<SHA-256 of origin>/<code>-<time>-<digest>.json   what proves a lie, newest 16 of each
//! ```
//!
//! # Invariants
//!
//! 1. A cosignature leaves only after its tree is on the disc, synced. Killed between the two, the
//!    witness remembers a tree that nobody has its word for: asked again, it answers with the size
//!    (409), and to that size with the cosignature.
//! 2. Two requests about one log are answered one after the other, whoever asks. So there are never
//!    two roots of one size, nor a smaller tree after a greater one.
//! 3. The first key that a log is seen with stays its key.
//! 4. A memory that cannot be read or written is never guessed at: that log gets no cosignature until
//!    a person has looked.
//!
//! Files, not the index: the index may be rebuilt from footage, and what other logs showed this site
//! cannot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody::log::note::{Algorithm, Checkpoint};
use custody::log::witness::{self as standard, AddCheckpoint, Answer};
use custody::log::{SignedCheckpoint, VerifierKey};
use custody::{Digest, WallTime};
use host::{Clock, durable};

mod lie;
mod memory;
mod proofs;

pub use lie::Lie;
use memory::Memory;
use proofs::Troubles;
pub use proofs::{Alarm, Trouble};

/// Logs that are witnessed: four sites and a controller are five, and each rebuilt index begins one.
pub const LOGS_MAX: usize = 64;

/// Signs a checkpoint as this site's witness, at a time; gives the signature line.
pub type Cosign = Box<dyn Fn(&Checkpoint, WallTime) -> String + Send + Sync>;

/// What the witness answers, as over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The HTTP content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }
}

/// The witness's folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the witness cannot keep what it sees")]
pub struct WitnessError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// One site's witness. Clones are the same witness.
#[derive(Clone)]
pub struct Witness(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// How the names of this site's own logs begin: its word for itself is worth nothing.
    own_logs: String,
    clock: Clock,
    cosign: Cosign,
    /// By the digest of the origin. Held only to look up or add: never while a log's own lock is.
    logs: Mutex<BTreeMap<Digest, Arc<Mutex<Slot>>>>,
    /// Held while a log is seen for the first time, so that two requests cannot both be the first.
    first: Mutex<()>,
    troubles: Mutex<Troubles>,
}

/// One log's place.
enum Slot {
    Known(Box<Memory>),
    /// Its memory cannot be trusted: why.
    Lost(String),
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks: memory is replaced after it is on the disc.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    /// Reads what was witnessed before, under `state_dir`. `own_logs` is how the names of this site's
    /// own logs begin. What cannot be read raises an alarm and is answered with 500.
    ///
    /// # Errors
    /// When the folder can neither be read nor made.
    pub fn open(
        state_dir: &Path,
        own_logs: &str,
        clock: Clock,
        cosign: Cosign,
    ) -> Result<Self, WitnessError> {
        let folder = state_dir.join("witness");
        let unusable = |source| WitnessError { path: folder.clone(), source };
        durable::create_folder(&folder).map_err(unusable)?;
        let mut logs = BTreeMap::new();
        let mut troubles = BTreeMap::new();
        for (log, read) in memory::read_all(&folder).map_err(unusable)? {
            let slot = match read {
                Ok(memory) => {
                    proofs::told(&folder, &memory.origin, &mut troubles);
                    Slot::Known(Box::new(memory))
                }
                Err(why) => {
                    tracing::error!(%log, why, "what was witnessed of a log cannot be read");
                    let text = (clock.now(), why.clone());
                    troubles.insert((Trouble::MemoryLost, log.to_string()), text);
                    Slot::Lost(why)
                }
            };
            logs.insert(log, Arc::new(Mutex::new(slot)));
        }
        Ok(Self(Arc::new(Inner {
            folder,
            own_logs: own_logs.to_owned(),
            clock,
            cosign,
            logs: Mutex::new(logs),
            first: Mutex::new(()),
            troubles: Mutex::new(troubles),
        })))
    }

    /// Answers an `add-checkpoint` with this body. `log_vkey` is the key under which the carrier
    /// knows the log: it counts at first sight alone. Blocks on the disc.
    #[must_use]
    pub fn answer(&self, log_vkey: &str, body: &[u8]) -> Reply {
        let Some(request) = AddCheckpoint::read(body) else {
            return Reply::text(400, "not the body of add-checkpoint\n");
        };
        let origin = &request.checkpoint.checkpoint().origin;
        if origin.starts_with(&self.0.own_logs) {
            return Reply::text(404, "a site does not witness its own log\n");
        }
        let shown = shown_key(log_vkey, origin);
        match self.slot(origin) {
            Some(slot) => self.again(&mut lock(&slot), shown.as_ref(), &request, body),
            None => self.first_sight(shown.as_ref(), &request, body),
        }
    }

    /// The key that this witness knows for the log, and the size that it has last seen.
    #[must_use]
    pub fn known(&self, origin: &str) -> Option<(VerifierKey, u64)> {
        match &*lock(&*self.slot(origin)?) {
            Slot::Known(memory) => Some((memory.vkey.clone(), memory.seen.size)),
            Slot::Lost(_) => None,
        }
    }

    /// Takes note of a log's checkpoint that came by another way than a request: if its own key
    /// signed two trees that cannot both be, that is kept and raised just so. Blocks on the disc.
    pub fn compare(&self, note: &SignedCheckpoint) {
        let Some(slot) = self.slot(&note.checkpoint().origin) else { return };
        let slot = lock(&slot);
        let Slot::Known(memory) = &*slot else { return };
        let lie = note.check(&memory.vkey).ok().and_then(|it| lie::by_comparison(memory, it));
        if let Some(lie) = lie {
            self.raise(memory, lie, note.bytes());
        }
    }

    /// What a person must look at, most recent news of each kind and log; it stands until its files
    /// are taken away and the agent is started again.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let troubles = lock(&self.0.troubles);
        troubles
            .iter()
            .map(|((trouble, _), (at, text))| Alarm {
                code: trouble.code(),
                at: *at,
                text: text.clone(),
            })
            .collect()
    }

    fn slot(&self, origin: &str) -> Option<Arc<Mutex<Slot>>> {
        lock(&self.0.logs).get(&Digest::of(origin.as_bytes())).cloned()
    }

    fn first_sight(
        &self,
        shown: Option<&VerifierKey>,
        request: &AddCheckpoint,
        body: &[u8],
    ) -> Reply {
        let first = lock(&self.0.first);
        let origin = &request.checkpoint.checkpoint().origin;
        if let Some(slot) = self.slot(origin) {
            drop(first);
            return self.again(&mut lock(&slot), shown, request, body);
        }
        let answer = standard::decide(request, shown, None);
        let (Some(vkey), &Answer::Cosign(seen)) = (shown, &answer) else { return reply(&answer) };
        if lock(&self.0.logs).len() >= LOGS_MAX {
            let text = format!("{LOGS_MAX} logs are witnessed; {origin} is one too many");
            self.trouble(Trouble::Full, String::new(), &text);
            return reply(&Answer::UnknownLog);
        }
        let memory = Memory::first(vkey.clone(), seen, request.checkpoint.bytes());
        if let Err(reply) = self.keep(&memory) {
            return reply;
        }
        tracing::info!(origin, key = %memory.vkey, "a log is witnessed from now on");
        let slot = Arc::new(Mutex::new(Slot::Known(Box::new(memory))));
        lock(&self.0.logs).insert(Digest::of(origin.as_bytes()), slot);
        self.cosigned(request)
    }

    /// A request about a log that was seen before; its lock is held.
    fn again(
        &self,
        slot: &mut Slot,
        shown: Option<&VerifierKey>,
        request: &AddCheckpoint,
        body: &[u8],
    ) -> Reply {
        let memory = match slot {
            Slot::Known(memory) => memory,
            Slot::Lost(why) => return Reply::text(500, format!("{why}\n")),
        };
        let answer = standard::decide(request, Some(&memory.vkey), Some(memory.seen));
        if let Some(lie) = lie::told(memory, shown, request, &answer) {
            self.raise(memory, lie, body);
        }
        let Answer::Cosign(seen) = answer else { return reply(&answer) };
        if seen != memory.seen {
            let next = memory.after(seen, request.checkpoint.bytes());
            match self.keep(&next) {
                Ok(()) => **memory = next,
                Err(reply) => {
                    *slot = Slot::Lost("what was seen last could not be written".to_owned());
                    return reply;
                }
            }
        }
        self.cosigned(request)
    }

    fn cosigned(&self, request: &AddCheckpoint) -> Reply {
        let line = (self.0.cosign)(request.checkpoint.checkpoint(), self.0.clock.now());
        Reply::text(200, line)
    }

    /// Puts `memory` on the disc. Whether an attempt that failed will be there after a power cut,
    /// nobody knows: so the log gets no answer any more, and memory and disc cannot differ.
    fn keep(&self, memory: &Memory) -> Result<(), Reply> {
        memory.write(&self.0.folder).map_err(|error| {
            let text = format!("{}: what was seen cannot be written: {error}", memory.origin);
            self.trouble(Trouble::MemoryLost, memory.origin.clone(), &text);
            Reply::text(500, "the witness cannot write\n")
        })
    }

    fn raise(&self, memory: &Memory, lie: Lie, proof: &[u8]) {
        let kept = proofs::keep(&self.0.folder, memory, lie, proof, self.0.clock.now());
        if kept.is_news {
            self.trouble(Trouble::Lie(lie), memory.origin.clone(), &kept.text);
        }
    }

    /// Tells a person: once here, and in every report from now on.
    fn trouble(&self, trouble: Trouble, about: String, text: &str) {
        // Once: a log that goes on lying every second has one line, and its newest proof in the alarm.
        let news = (self.0.clock.now(), text.to_owned());
        if lock(&self.0.troubles).insert((trouble, about), news).is_none() {
            tracing::error!(code = trouble.code(), text, "a witnessed log needs a look");
        }
    }
}

/// The key that the carrier shows for the log, if it can be that log's.
fn shown_key(text: &str, origin: &str) -> Option<VerifierKey> {
    text.parse::<VerifierKey>()
        .ok()
        .filter(|vkey| vkey.name() == origin && vkey.algorithm() == Algorithm::Ed25519)
}

fn reply(answer: &Answer) -> Reply {
    let status = answer.status();
    match answer {
        Answer::Conflict { size } => Reply {
            status,
            content_type: standard::SIZE_TYPE,
            body: format!("{size}\n").into_bytes(),
        },
        Answer::Malformed => Reply::text(status, "the old size is greater than the new one\n"),
        Answer::NotSigned => Reply::text(status, "not signed by the log's key\n"),
        Answer::UnknownLog => Reply::text(status, "this log is not witnessed here\n"),
        Answer::Inconsistent => {
            Reply::text(status, "not shown to continue what the log signed before\n")
        }
        Answer::Cosign(_) => Reply::text(status, ""),
    }
}

#[cfg(test)]
mod tests;
