//! What a log did whose own key signed against it. Pure.

use custody::log::VerifierKey;
use custody::log::note::Checkpoint;
use custody::log::witness::{AddCheckpoint, Answer};

use super::memory::Memory;

/// What a log did. Whoever holds its key did it, or somebody with an old copy of its disc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Two trees of one size: proved by the two notes alone.
    Forked,
    /// A tree smaller than one that it had signed, and not one of those on the way there.
    RolledBack,
    /// A greater tree that nobody showed to continue the one before. The carrier may be at fault.
    NotContinued,
    /// Signed by another key under the log's name.
    KeyChanged,
}

impl Lie {
    /// Every lie.
    pub const ALL: [Self; 4] =
        [Self::Forked, Self::RolledBack, Self::NotContinued, Self::KeyChanged];

    /// The stable code in alarms and proofs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Forked => "log-forked",
            Self::RolledBack => "log-rolled-back",
            Self::NotContinued => "log-not-continued",
            Self::KeyChanged => "log-key-changed",
        }
    }

    /// For a person.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Forked => "signed two trees of one size",
            Self::RolledBack => "signed a smaller tree than before",
            Self::NotContinued => "signed a tree that was not shown to continue the one before",
            Self::KeyChanged => "is signed by another key than before",
        }
    }
}

/// What a refused request proves. `shown` is the key that its carrier says is the log's.
pub(super) fn told(
    memory: &Memory,
    shown: Option<&VerifierKey>,
    request: &AddCheckpoint,
    answer: &Answer,
) -> Option<Lie> {
    let checkpoint = request.checkpoint.checkpoint();
    match answer {
        Answer::Cosign(_) | Answer::Malformed | Answer::UnknownLog => None,
        Answer::NotSigned => {
            let other = shown.filter(|shown| **shown != memory.vkey)?;
            request.checkpoint.check(other).is_ok().then_some(Lie::KeyChanged)
        }
        // The log's key signed these two.
        Answer::Conflict { .. } => by_comparison(memory, checkpoint),
        Answer::Inconsistent => by_comparison(memory, checkpoint)
            .or_else(|| (checkpoint.size > memory.seen.size).then_some(Lie::NotContinued)),
    }
}

/// What a checkpoint that the log's key signed proves beside what is remembered.
pub(super) fn by_comparison(memory: &Memory, checkpoint: &Checkpoint) -> Option<Lie> {
    if checkpoint.size > memory.seen.size {
        return None;
    }
    match memory.root_at(checkpoint.size) {
        Some(root) => (root != checkpoint.root).then_some(Lie::Forked),
        None => Some(Lie::RolledBack),
    }
}
