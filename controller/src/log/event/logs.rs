//! Transparency logs: which there are, what was stamped, and what contradicts itself.

use custody::{Digest, SiteId, WallTime};
use serde::{Deserialize, Serialize};

use super::About;

/// How a log contradicts itself. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContradictionKind {
    /// Two trees of which neither continues the other.
    Fork,
    /// It signed fewer entries after more.
    Rollback,
    /// A record that was sent before is another now.
    RecordChanged,
}

impl ContradictionKind {
    /// The kind as the log has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Rollback => "rollback",
            Self::RecordChanged => "record-changed",
        }
    }
}

/// What was found, and where its proof lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("log {origin} contradicts itself ({}): {detail}", kind.as_str())]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// Whose log.
    pub site: SiteId,
    /// Which log.
    pub origin: String,
    /// How.
    pub kind: ContradictionKind,
    /// At this size, or at this place.
    pub size: u64,
    /// In words.
    pub detail: String,
    /// The folder with the proof, below `forks/`; empty when there are too many.
    pub proof: String,
}

/// A site has begun a log: its first, or one after its index was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogBegan {
    /// Whose.
    pub site: SiteId,
    /// Its name and the key that signs its checkpoints, as signed-note writes it.
    pub vkey: String,
}

impl About for LogBegan {
    fn object(&self) -> String {
        self.site.to_string()
    }
}

/// A site's log contradicts itself: a fork, a rollback, a changed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogContradicted {
    /// What was found, and where its proof lies.
    pub found: Contradiction,
}

impl About for LogContradicted {
    fn object(&self) -> String {
        self.found.site.to_string()
    }
}

/// A time-stamping authority has stamped the newest cosigned checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsStamped {
    /// The authority's address.
    pub authority: String,
    /// What it stamped.
    pub stamps: Vec<Stamped>,
}

/// One checkpoint that was stamped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamped {
    /// Of which log.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// The digest of the note that was stamped.
    pub note_sha256: Digest,
    /// The digest of the response with the token.
    pub token_sha256: Digest,
    /// The time in the token.
    pub at: WallTime,
}

impl About for LogsStamped {
    fn object(&self) -> String {
        self.authority.clone()
    }
}
