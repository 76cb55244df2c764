//! What a witness answers to `add-checkpoint` (C2SP tlog-witness). Pure: the driver looks up what
//! it has seen of the log, asks [`decide`], persists what [`Answer::Cosign`] says, and only then
//! signs and answers.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::note::{NOTE_BYTES_MAX, SignedCheckpoint, VerifierKey};
use crate::ids::Digest;
use crate::tree;

/// A consistency proof has at most this many lines.
const PROOF_LINES_MAX: usize = 63;
/// A request longer than this is refused unread: 64 lines of 45 bytes and a note.
pub const REQUEST_BYTES_MAX: usize = 4096 + NOTE_BYTES_MAX;
/// The media type of an answer that names a size.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// The body of `add-checkpoint`.
#[derive(Debug, PartialEq)]
pub struct AddCheckpoint {
    /// The size that the witness is thought to have cosigned last.
    pub old_size: u64,
    /// That the new tree continues the old one (RFC 6962 section 2.1.2).
    pub proof: Vec<Digest>,
    /// The new tree.
    pub checkpoint: SignedCheckpoint,
}

/// The body that brings `note` to a witness that knows `old_size`.
#[must_use]
pub fn request(old_size: u64, proof: &[Digest], note: &[u8]) -> Vec<u8> {
    let mut text = format!("old {old_size}\n");
    for hash in proof {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{}", BASE64.encode(hash.0));
    }
    text.push('\n');
    [text.as_bytes(), note].concat()
}

impl AddCheckpoint {
    /// Takes a body apart; none if it is not one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return None;
        }
        let (head, note) = std::str::from_utf8(bytes).ok()?.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let digits = lines.next()?.strip_prefix("old ")?;
        let old_size: u64 = digits.parse().ok().filter(|n: &u64| n.to_string() == digits)?;
        let proof: Vec<Digest> = lines
            .map(|line| Some(Digest(BASE64.decode(line).ok()?.try_into().ok()?)))
            .collect::<Option<_>>()?;
        let checkpoint = SignedCheckpoint::read(note.as_bytes()).ok()?;
        (proof.len() <= PROOF_LINES_MAX).then_some(Self { old_size, proof, checkpoint })
    }
}

/// The newest tree of a log that this witness has cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its entries.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// What the witness does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: persist this, then cosign the checkpoint.
    Cosign(Seen),
    /// 400: the body does not read, or its sizes contradict each other.
    Malformed,
    /// 403: not signed by the log's key.
    NotSigned,
    /// 404: a log that this witness does not know.
    UnknownLog,
    /// 409: the witness has another size; a size below it that is log-signed is a roll-back when
    /// the log had a greater one.
    Conflict {
        /// The size it has.
        size: u64,
    },
    /// 422: signed by the log, and it does not continue what the log signed before: proof of a fork.
    Inconsistent,
}

impl Answer {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosign(_) => 200,
            Self::Malformed => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent => 422,
        }
    }
}

/// Decides about a request. `log` is the key that the witness knows for the checkpoint's origin;
/// `seen` what it has cosigned of it, none if nothing yet.
#[must_use]
pub fn decide(request: &AddCheckpoint, log: Option<&VerifierKey>, seen: Option<Seen>) -> Answer {
    let Some(log) = log else { return Answer::UnknownLog };
    let Ok(checkpoint) = request.checkpoint.check(log) else { return Answer::NotSigned };
    if request.old_size > checkpoint.size {
        return Answer::Malformed;
    }
    let have = seen.map_or(0, |seen| seen.size);
    if request.old_size != have {
        return Answer::Conflict { size: have };
    }
    let consistent = match seen {
        Some(seen) if seen.size > 0 => tree::is_consistent(
            (seen.size, seen.root),
            (checkpoint.size, checkpoint.root),
            &request.proof,
        ),
        _ => {
            request.proof.is_empty() && (checkpoint.size > 0 || checkpoint.root == tree::root(&[]))
        }
    };
    if !consistent {
        return Answer::Inconsistent;
    }
    Answer::Cosign(Seen { size: checkpoint.size, root: checkpoint.root })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::SecretKey;
    use crate::log::note::{Algorithm, Checkpoint};

    fn leaves(len: u64, fork: bool) -> Vec<Digest> {
        (0..len)
            .map(|i| tree::leaf(&[i.to_be_bytes(), [u8::from(fork && i == 5); 8]].concat()))
            .collect()
    }

    fn note(len: u64, fork: bool, seed: u8) -> Vec<u8> {
        let root = tree::root(&leaves(len, fork));
        let checkpoint = Checkpoint { origin: "east/log".into(), size: len, root };
        checkpoint.sign(&SecretKey::from_seed(&[seed; 32]))
    }

    fn ask(old: u64, len: u64, fork: bool, seed: u8) -> AddCheckpoint {
        let proof = tree::consistency_path(&leaves(len, fork), usize::try_from(old).unwrap());
        AddCheckpoint::read(&request(old, &proof, &note(len, fork, seed))).unwrap()
    }

    fn seen(len: u64) -> Option<Seen> {
        (len > 0).then(|| Seen { size: len, root: tree::root(&leaves(len, false)) })
    }

    #[test]
    fn each_status_of_the_standard_has_its_cause() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let log = VerifierKey::new("east/log", Algorithm::Ed25519, key).unwrap();
        let status = |ask: AddCheckpoint, have| decide(&ask, Some(&log), seen(have)).status();
        assert_eq!(status(ask(0, 9, false, 1), 0), 200);
        assert_eq!(status(ask(9, 20, false, 1), 9), 200);
        assert_eq!(status(ask(20, 20, false, 1), 20), 200);
        assert_eq!(status(ask(9, 20, false, 2), 9), 403);
        assert_eq!(status(ask(0, 20, false, 1), 9), 409);
        assert_eq!(status(ask(5, 5, false, 1), 9), 409, "an older size is no lie of itself");
        assert_eq!(status(ask(9, 20, true, 1), 9), 422);
        assert_eq!(status(AddCheckpoint { old_size: 21, ..ask(9, 20, false, 1) }, 21), 400);
        assert_eq!(decide(&ask(0, 9, false, 1), None, None).status(), 404);
        let unasked = AddCheckpoint { proof: vec![Digest::NONE], ..ask(0, 9, false, 1) };
        assert_eq!(decide(&unasked, Some(&log), None).status(), 422);
    }

    proptest! {
        #[test]
        fn a_body_reads_back(old in 1_u64..40, more in 0_u64..40) {
            let proof = tree::consistency_path(&leaves(old + more, false), usize::try_from(old).unwrap());
            let body = request(old, &proof, &note(old + more, false, 1));
            let read = AddCheckpoint::read(&body).unwrap();
            prop_assert_eq!(request(read.old_size, &read.proof, read.checkpoint.bytes()), body);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(AddCheckpoint::read(&bytes).is_none());
        }
    }
}
