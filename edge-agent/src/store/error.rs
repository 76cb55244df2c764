//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use custody::Refusal;

use super::disc::may_be_sync;
use crate::seal::KeyError;

/// An operation of the store that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody knows what reached the disc: the process must end, and the next start recovers.
    #[error("{what} failed; the process must end, and the next start recovers")]
    Fatal {
        /// What was attempted.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No space. Record a gap, let retention make room, try again.
    #[error("{what} found the disc full; retention must make room")]
    DiscFull {
        /// What was attempted.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disc refused. Record a gap and try again.
    #[error("{what} failed; look at the disc")]
    DiscFault {
        /// What was attempted.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store would break one of its promises. Nothing has changed.
    #[error("refused: {why}")]
    Refused {
        /// Which promise, and what to do instead.
        why: String,
    },
    /// It cannot be answered yet. Ask again.
    #[error("not yet: {why}")]
    NotYet {
        /// What it waits for.
        why: String,
    },
    /// Something kept is not what was written.
    #[error("{what} is damaged")]
    Damaged {
        /// Which file or row.
        what: String,
        /// What is wrong.
        #[source]
        source: Refusal,
    },
    /// A key is missing, damaged or destroyed.
    #[error("a key is not to be had")]
    Key(#[source] KeyError),
    /// Another process has the store open.
    #[error("{folder} is in use by another process; stop that one first")]
    InUse {
        /// The state folder.
        folder: PathBuf,
    },
    /// Folders that do not belong together: a wrong mount, a restored backup, a swapped disc.
    #[error("{what}")]
    Volume {
        /// Which two differ, and what to do.
        what: String,
    },
}

impl StoreError {
    /// A refusal in words.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    /// Whether the index is damaged, and not merely out of reach: it is set aside and built again.
    pub(super) fn is_index_damage(&self) -> bool {
        matches!(self, Self::Fatal { source, .. } if source.kind() == io::ErrorKind::InvalidData)
    }

    /// Whether the process must end.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. })
    }
}

impl From<KeyError> for StoreError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Disc { what, source } if may_be_sync(&source) => Self::Fatal { what, source },
            error => Self::Key(error),
        }
    }
}
