//! The event log: the only state of the controller, and its audit trail. Append-only, with
//! optimistic concurrency; knows nothing of what events mean.
//!
//! Every entry has a *position* in the whole log (dense, from 0) and a *version* in its stream
//! (dense, from 0). One append goes to one stream, names how many entries it believes the stream
//! has, and is kept whole or not at all.
//!
//! | file | holds |
//! |---|---|
//! | [`event`] | the closed list of events and their JSON |
//! | [`stream`] | what is decided together |
//! | [`key`] | the keys and values in RocksDB, one file a kind |
//! | [`rocks`] | the log on this machine's disc |
//! | [`publish`] | the log as a transparency log: its key, checkpoints, static files |
//! | [`check`] | the oracle: is the log whole, and is it the one that was published? |
//!
//! Every entry is also a leaf of a Merkle tree (RFC 6962), which commits to the entry's exact bytes
//! under a random salt; salt and tree hashes are kept in the same synced write as the entry.

use std::ops::Range;

use custody::log::tiles::{Hashes, TreeError};
use custody::{Digest, WallTime};

use crate::access::{Actor, Purpose};

pub mod check;
pub mod event;
pub mod key;
pub mod publish;
pub mod rocks;
pub mod stream;

pub use event::Event;
pub use publish::Publisher;
pub use rocks::RocksLog;
pub use stream::Stream;

/// Something to be kept: an event, and who, when, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was decided, by the controller's clock. Positions order; this describes.
    pub at: WallTime,
    /// Who did it.
    pub actor: Actor,
    /// For which purpose, where footage is concerned.
    pub purpose: Option<Purpose>,
    /// Why, in the actor's words; empty where none is asked.
    pub reason: String,
    /// What happened.
    pub body: Event,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the whole log.
    pub position: u64,
    /// Whose line of events it continues.
    pub stream: Stream,
    /// Its place there.
    pub version: u64,
    /// When it was decided.
    pub at: WallTime,
    /// Who did it.
    pub actor: Actor,
    /// For which purpose.
    pub purpose: Option<Purpose>,
    /// Why.
    pub reason: String,
    /// What happened.
    pub body: Event,
}

impl Stored {
    /// The entry in the place where an append put it.
    #[must_use]
    pub fn place(entry: Entry, stream: Stream, version: u64, position: u64) -> Self {
        let Entry { at, actor, purpose, reason, body } = entry;
        Self { position, stream, version, at, actor, purpose, reason, body }
    }
}

/// An entry's exact bytes, and the salt under which its leaf commits to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// As they lie in the log.
    pub bytes: Vec<u8>,
    /// Random, of this entry alone.
    pub salt: key::salt::Salt,
}

impl Body {
    /// What the log publishes of it.
    #[must_use]
    pub fn commitment(&self) -> [u8; custody::log::entry::EVENT_BYTES] {
        custody::log::entry::event(&self.salt, &self.bytes)
    }

    /// Its leaf in the tree.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        custody::tree::leaf(&self.commitment())
    }
}

/// The tree over the first `size` entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// The disc or the server failed, or what it gave back is not what was kept. The process must not
/// go on as if nothing had happened: it ends, and recovery is the path that is tested.
#[derive(Debug, thiserror::Error)]
#[error("the event log failed while {doing}")]
pub struct Fatal {
    doing: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Fatal {
    /// What was being done, and what went wrong.
    pub fn new(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// Why entries were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream has moved on: read, decide again.
    #[error("stream {stream} has {found} entries, not {expected}: read it and decide again")]
    Conflict {
        /// Which stream.
        stream: Stream,
        /// What the caller believed.
        expected: u64,
        /// What is so.
        found: u64,
    },
    /// The log cannot be trusted any more.
    #[error(transparent)]
    Fatal(Fatal),
}

/// Why a tree head was not kept as the one to sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Another one has been kept meanwhile, or it was never so: nothing was kept.
    #[error("the newest signed tree head is {found:?} and not {expected:?}: nothing is signed")]
    Conflict {
        /// What the caller believed.
        expected: Option<Head>,
        /// What is so.
        found: Option<Head>,
    },
    /// The log cannot be trusted any more.
    #[error(transparent)]
    Fatal(Fatal),
}

/// An append-only log with optimistic concurrency. Calls block; async callers use a blocking
/// thread.
pub trait EventLog: Send + Sync {
    /// Keeps `entries` at the end of `stream`, all or none, if the stream has `expected` entries.
    /// When it returns, they survive power loss. Gives their positions, which are dense.
    ///
    /// # Errors
    /// `Conflict`: nothing was kept. `Fatal`: some or all may or may not have been kept.
    fn append(
        &self,
        stream: &Stream,
        expected: u64,
        entries: &[Entry],
    ) -> Result<Range<u64>, AppendError>;

    /// At most `limit` entries from position `from` on, in order.
    ///
    /// # Errors
    /// When the store fails or an entry does not read.
    fn read(&self, from: u64, limit: usize) -> Result<Vec<Stored>, Fatal>;

    /// How many entries the log has: the position that comes next.
    ///
    /// # Errors
    /// When the store fails.
    fn head(&self) -> Result<u64, Fatal>;

    /// Which log this is: eight hexadecimal digits, drawn when it began.
    fn instance(&self) -> &str;

    /// An entry's exact bytes and its salt; none past the end.
    ///
    /// # Errors
    /// When the store fails.
    fn body(&self, position: u64) -> Result<Option<Body>, Fatal>;

    /// A stored hash of the tree; none past the end.
    ///
    /// # Errors
    /// When the store fails.
    fn node(&self, number: u64) -> Result<Option<Digest>, Fatal>;

    /// The newest tree head that may have been signed.
    ///
    /// # Errors
    /// When the store fails.
    fn signed(&self) -> Result<Option<Head>, Fatal>;

    /// Keeps `new` as the newest tree head that may be signed, if `expected` still is. When it
    /// returns, it survives power loss; only then may it be signed.
    ///
    /// # Errors
    /// `Conflict`: nothing was kept. `Fatal`: it may or may not have been kept.
    fn keep_signed(&self, expected: Option<Head>, new: Head) -> Result<(), SignError>;
}

/// The tree hashes of a log, for proofs and tiles.
pub struct Nodes<'a>(pub &'a dyn EventLog);

impl Hashes for Nodes<'_> {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let found = self.0.node(number).map_err(|fatal| TreeError::new(fatal.to_string()))?;
        found.ok_or_else(|| TreeError::new(format!("hash {number} is missing")))
    }
}
