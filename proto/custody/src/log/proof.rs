//! The text that proves one entry's place (C2SP tlog-proof v1): index, audit path, checkpoint.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index <number>
//! <base64 of a hash>…             RFC 6962 section 2.1.1, the leaf's sibling first
//!
//! <signed checkpoint>
//! ```
//! An `extra` line is none of ours: a proof with one is refused, so that a proof has one form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::note::{NOTE_BYTES_MAX, SignedCheckpoint};
use crate::ids::Digest;
use crate::refusal::{Code, Refusal};
use crate::tree;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^63 entries has paths of 63.
const PATH_MAX: usize = 63;
/// A proof longer than this is refused unread.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

/// A proof taken apart; believed only after [`Proof::check`] and the checkpoint's own checks.
#[derive(Debug, PartialEq)]
pub struct Proof {
    /// The entry's place in the log.
    pub index: u64,
    /// Its audit path, lowest sibling first.
    pub path: Vec<Digest>,
    /// The tree that it leads to.
    pub checkpoint: SignedCheckpoint,
}

/// The proof's text. `note` is the signed checkpoint's exact bytes.
#[must_use]
pub fn write(index: u64, path: &[Digest], note: &[u8]) -> Vec<u8> {
    let mut text = format!("{HEADER}\nindex {index}\n");
    for hash in path {
        text += &BASE64.encode(hash.0);
        text.push('\n');
    }
    text.push('\n');
    [text.as_bytes(), note].concat()
}

impl Proof {
    /// Takes a proof apart without trusting it.
    ///
    /// # Errors
    /// `log-proof-invalid`, or `checkpoint-invalid` for its checkpoint.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal::new(Code::LogProofInvalid, why);
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(bad("the proof is longer than 36 kB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| bad("the proof is no text"))?;
        let (head, note) = text.split_once("\n\n").ok_or_else(|| bad("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(bad("it is no tlog-proof of version 1"));
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|digits| digits.parse::<u64>().ok().filter(|n| n.to_string() == digits))
            .ok_or_else(|| bad("it names no index"))?;
        let path: Option<Vec<Digest>> = lines
            .map(|line| {
                let hash: [u8; 32] = BASE64.decode(line).ok()?.try_into().ok()?;
                Some(Digest(hash))
            })
            .collect();
        let path = path
            .filter(|path| path.len() <= PATH_MAX)
            .ok_or_else(|| bad("its path is no list of hashes"))?;
        Ok(Self { index, path, checkpoint: SignedCheckpoint::read(note.as_bytes())? })
    }

    /// Whether `entry` stands at this place in the checkpoint's tree. Says nothing of who signed
    /// the checkpoint.
    ///
    /// # Errors
    /// `log-proof-invalid`.
    pub fn check(&self, entry: &[u8]) -> Result<(), Refusal> {
        let checkpoint = self.checkpoint.checkpoint();
        let leads_to =
            usize::try_from(checkpoint.size).ok().zip(usize::try_from(self.index).ok()).and_then(
                |(size, index)| tree::root_by_path(tree::leaf(entry), index, size, &self.path),
            );
        if leads_to == Some(checkpoint.root) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::LogProofInvalid,
            format!("entry {} does not lead to the root of its checkpoint", self.index),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::SecretKey;
    use crate::log::note::Checkpoint;

    fn proof(len: usize, index: usize) -> Vec<u8> {
        let leaves: Vec<_> = (0..len).map(|i| tree::leaf(&i.to_be_bytes())).collect();
        let size = u64::try_from(len).unwrap();
        let checkpoint = Checkpoint { origin: "log".into(), size, root: tree::root(&leaves) };
        let note = checkpoint.sign(&SecretKey::from_seed(&[1; 32]));
        let path = tree::audit_path(&leaves, index);
        write(u64::try_from(index).unwrap(), &path, &note)
    }

    proptest! {
        #[test]
        fn a_proof_reads_back_and_proves_its_entry_alone(len in 1_usize..300, pick in 0_usize..300) {
            let index = pick % len;
            let bytes = proof(len, index);
            let read = Proof::read(&bytes).unwrap();
            prop_assert_eq!(write(read.index, &read.path, read.checkpoint.bytes()), bytes);
            prop_assert!(read.check(&index.to_be_bytes()).is_ok());
            prop_assert!(read.check(&(index + 1).to_be_bytes()).is_err());
            let moved = Proof { index: read.index + 1, ..read };
            prop_assert!(moved.check(&index.to_be_bytes()).is_err());
        }

        #[test]
        fn a_torn_proof_is_refused(cut in 0_usize..5000) {
            let bytes = proof(100, 37);
            prop_assert!(Proof::read(&bytes[..cut % bytes.len()]).is_err());
        }
    }
}
