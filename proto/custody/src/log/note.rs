//! Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint) with timed cosignatures of
//! witnesses (tlog-cosignature v1, Ed25519).
//!
//! ```text
//! <origin>                                     checkpoint: the signed text, three lines
//! <size>
//! <base64 of the root>
//!
//! — <origin> base64(key id:u32 signature[64])             by the log, over the text
//! — <witness> base64(key id:u32 time:u64 signature[64])   by a witness, over
//!                                       "cosignature/v1\ntime <time>\n" and the text
//! vkey   = <name>+<key id, 8 hex>+base64(algorithm:u8 public key[32])
//! key id = SHA-256(name "\n" algorithm public key)[..4]    algorithm 1: log, 4: witness
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use signed_note::{Note, Signature};

use crate::ids::Digest;
use crate::keys::{PublicKey, SecretKey};
use crate::refusal::{Code, Refusal};
use crate::time::WallTime;

/// A note longer than this is refused unread: a checkpoint of 300 bytes with 32 cosignatures of
/// 200, doubled twice.
pub const NOTE_BYTES_MAX: usize = 32 << 10;
/// Names of logs and witnesses are at most this long.
const NAME_BYTES_MAX: usize = 200;

/// What a verifier key may check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// A log's signature over its checkpoint.
    Ed25519,
    /// A witness's timed cosignature.
    CosignatureV1,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }
}

/// Text that is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verifier key: NAME+HASH+KEY of type 1 (a log) or 4 (a witness)")]
pub struct BadVerifierKey(String);

/// A named Ed25519 key of a log or witness, as signed-note writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    key: PublicKey,
}

impl VerifierKey {
    /// The key `key` under `name`.
    ///
    /// # Errors
    /// When the name cannot stand in a note, or the key is no Ed25519 key.
    pub fn new(name: &str, algorithm: Algorithm, key: PublicKey) -> Result<Self, BadVerifierKey> {
        let good = signed_note::is_key_name_valid(name)
            && name.len() <= NAME_BYTES_MAX
            && !name.chars().any(char::is_control)
            && key.is_ed25519();
        if !good {
            return Err(BadVerifierKey(name.chars().take(60).collect()));
        }
        Ok(Self { name: name.to_owned(), algorithm, key })
    }

    /// The log or witness.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it checks.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The four bytes that a signature line names it by.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.material())
    }

    fn material(&self) -> Vec<u8> {
        let mut material = vec![self.algorithm.byte()];
        material.extend(self.key.to_bytes());
        material
    }

    fn made(&self, signature: &Signature) -> bool {
        signature.name() == self.name && signature.id() == self.key_id()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.key_id(), BASE64.encode(self.material()))
    }
}

impl FromStr for VerifierKey {
    type Err = BadVerifierKey;
    fn from_str(text: &str) -> Result<Self, BadVerifierKey> {
        let bad = || BadVerifierKey(text.chars().take(100).collect());
        let (name, rest) = text.split_once('+').ok_or_else(bad)?;
        let (id, material) = rest.split_once('+').ok_or_else(bad)?;
        let material = BASE64.decode(material).map_err(|_| bad())?;
        let (algorithm, key) = material.split_first().ok_or_else(bad)?;
        let algorithm = match algorithm {
            1 => Algorithm::Ed25519,
            4 => Algorithm::CosignatureV1,
            _ => return Err(bad()),
        };
        let key = PublicKey::from_bytes(key).map_err(|_| bad())?;
        let vkey = Self::new(name, algorithm, key).map_err(|_| bad())?;
        if format!("{:08x}", vkey.key_id()) != id {
            return Err(bad());
        }
        Ok(vkey)
    }
}

/// A log's tree at a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Its entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.0))
    }

    fn read(text: &str) -> Option<Self> {
        // Exactly three lines: extension lines are signed by nobody's meaning, so none may stand.
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let number: u64 = size.parse().ok()?;
        let root = BASE64.decode(root).ok()?.try_into().ok().map(Digest)?;
        let checkpoint = Self { origin: origin.to_owned(), size: number, root };
        (lines.next().is_none() && !origin.is_empty() && checkpoint.text() == text)
            .then_some(checkpoint)
    }

    /// Signs it as the log itself; gives the note's bytes.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> Vec<u8> {
        let signature = key.sign(self.text().as_bytes());
        let vkey = VerifierKey {
            name: self.origin.clone(),
            algorithm: Algorithm::Ed25519,
            key: key.public(),
        };
        [self.text().as_bytes(), b"\n", line(&vkey, &signature).as_bytes()].concat()
    }

    /// Cosigns it as witness `name` at `at`; gives the signature line.
    #[must_use]
    pub fn cosign(&self, name: &str, key: &SecretKey, at: WallTime) -> String {
        let time = u64::try_from(at.0 / 1_000_000).unwrap_or(0);
        let signature = key.sign(&cosigned(time, &self.text()));
        let vkey = VerifierKey {
            name: name.to_owned(),
            algorithm: Algorithm::CosignatureV1,
            key: key.public(),
        };
        line(&vkey, &[&time.to_be_bytes()[..], &signature].concat())
    }
}

fn line(vkey: &VerifierKey, signature: &[u8]) -> String {
    let bytes = [&vkey.key_id().to_be_bytes()[..], signature].concat();
    format!("— {} {}\n", vkey.name, BASE64.encode(bytes))
}

fn cosigned(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// A witness's word that it has seen this checkpoint, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Which witness.
    pub witness: String,
    /// When it signed, by its own clock, to the second.
    pub at: WallTime,
}

/// A checkpoint with its signatures, not yet checked by anyone.
#[derive(Debug, PartialEq)]
pub struct SignedCheckpoint {
    bytes: Vec<u8>,
    checkpoint: Checkpoint,
    signatures: Vec<Signature>,
}

impl SignedCheckpoint {
    /// Takes a note apart without trusting it.
    ///
    /// # Errors
    /// `checkpoint-invalid`.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal::new(Code::CheckpointInvalid, why);
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(bad("the note is longer than 32 kB"));
        }
        let note = Note::from_bytes(bytes).map_err(|_| bad("it is no signed note"))?;
        let text = std::str::from_utf8(note.text()).map_err(|_| bad("it is no signed note"))?;
        let checkpoint = Checkpoint::read(text)
            .ok_or_else(|| bad("the note is no checkpoint of three lines"))?;
        let lines = std::str::from_utf8(&bytes[text.len()..]).unwrap_or_default();
        let signatures: Option<Vec<_>> = lines
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'))
            .map(|lines| lines.split('\n').map(|l| Signature::from_bytes(l.as_bytes()).ok()))
            .and_then(Iterator::collect);
        let signatures = signatures.ok_or_else(|| bad("its signature lines do not read"))?;
        Ok(Self { bytes: bytes.to_vec(), checkpoint, signatures })
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note's exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest by which a manifest names this note.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Whether the log with this key signed it.
    ///
    /// # Errors
    /// `checkpoint-invalid`: another log's, or no signature of the key fits.
    pub fn check(&self, log: &VerifierKey) -> Result<&Checkpoint, Refusal> {
        let bad = |why: String| Err(Refusal::new(Code::CheckpointInvalid, why));
        if log.algorithm != Algorithm::Ed25519 || log.name != self.checkpoint.origin {
            return bad(format!(
                "it is of log {:.100}, not of {}",
                self.checkpoint.origin, log.name
            ));
        }
        let text = self.checkpoint.text();
        let mut own = self.signatures.iter().filter(|s| log.made(s)).peekable();
        if own.peek().is_none() {
            return bad(format!("log {} has not signed it", log.name));
        }
        if own.all(|s| log.key.verifies(text.as_bytes(), s.signature())) {
            Ok(&self.checkpoint)
        } else {
            bad(format!("the signature of log {} does not fit", log.name))
        }
    }

    /// The cosignature of this witness, if it made one that fits.
    #[must_use]
    pub fn cosignature(&self, witness: &VerifierKey) -> Option<Cosignature> {
        let mut lines = self.signatures.iter().filter(|s| witness.made(s));
        lines.find_map(|s| self.cosigned_by(witness, s))
    }

    /// Whether a line claims to be this witness's and does not fit: a note that holds one is forged.
    #[must_use]
    pub fn misquotes(&self, witness: &VerifierKey) -> bool {
        let mut lines = self.signatures.iter().filter(|s| witness.made(s));
        lines.any(|s| self.cosigned_by(witness, s).is_none())
    }

    fn cosigned_by(&self, witness: &VerifierKey, line: &Signature) -> Option<Cosignature> {
        (witness.algorithm == Algorithm::CosignatureV1).then_some(())?;
        let (time, signature) = line.signature().split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let seconds = i64::try_from(time).ok()?;
        let signed = cosigned(time, &self.checkpoint.text());
        witness.key.verifies(&signed, signature).then(|| Cosignature {
            witness: witness.name.clone(),
            at: WallTime(0).plus_seconds(seconds),
        })
    }

    /// What its lines claim of witnesses and times. Nothing is checked: for a party that does not know
    /// the witnesses' keys and only compares notes.
    #[must_use]
    pub fn danger_claimed_cosignatures(&self) -> Vec<Cosignature> {
        let claims = self.signatures.iter().filter_map(|signature| {
            let (time, rest) = signature.signature().split_first_chunk::<8>()?;
            let seconds = i64::try_from(u64::from_be_bytes(*time)).ok()?;
            // A log's own signature is 64 bytes, which the first eight leave too short.
            (rest.len() == 64).then(|| Cosignature {
                witness: signature.name().to_owned(),
                at: WallTime(0).plus_seconds(seconds),
            })
        });
        claims.collect()
    }

    /// The same checkpoint with more signature lines, those already there left out.
    #[must_use]
    pub fn with_lines(&self, lines: &str) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for line in lines.lines() {
            let fresh = Signature::from_bytes(line.as_bytes()).is_ok_and(|new| {
                !self.signatures.iter().any(|s| (s.name(), s.id()) == (new.name(), new.id()))
            });
            if fresh {
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let root = Digest::of(b"root");
        Checkpoint { origin: "east.watchhouse.example/log/5f3a9c01".into(), size: 42, root }
    }

    fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> VerifierKey {
        let key = SecretKey::from_seed(&[seed; 32]).public();
        VerifierKey::new(name, algorithm, key).unwrap()
    }

    #[test]
    fn a_checkpoint_is_signed_and_cosigned() {
        let (log, witness) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let checkpoint = checkpoint();
        let note = SignedCheckpoint::read(&checkpoint.sign(&log)).unwrap();
        let of_log = vkey(&checkpoint.origin, Algorithm::Ed25519, 1);
        assert_eq!(note.check(&of_log).unwrap(), &checkpoint);
        assert!(note.check(&vkey(&checkpoint.origin, Algorithm::Ed25519, 3)).is_err());
        assert!(note.check(&vkey("other/log", Algorithm::Ed25519, 1)).is_err());

        let at = WallTime(1_700_000_000_999_999);
        let line = checkpoint.cosign("west/witness", &witness, at);
        let cosigned = SignedCheckpoint::read(&note.with_lines(&line)).unwrap();
        let west = vkey("west/witness", Algorithm::CosignatureV1, 2);
        let seen = cosigned.cosignature(&west).unwrap();
        assert_eq!(
            (seen.witness.as_str(), seen.at),
            ("west/witness", WallTime(1_700_000_000_000_000))
        );
        assert!(note.cosignature(&west).is_none());
        assert!(!note.misquotes(&west) && !cosigned.misquotes(&west));
        // The same words over another checkpoint.
        let other = Checkpoint { size: 41, ..checkpoint };
        let forged = [&other.sign(&log)[..], line.as_bytes()].concat();
        let forged = SignedCheckpoint::read(&forged);
        assert!(forged.unwrap().misquotes(&west));
        assert!(cosigned.cosignature(&vkey("west/witness", Algorithm::CosignatureV1, 4)).is_none());
        assert_eq!(cosigned.with_lines(&line), cosigned.bytes(), "no line stands twice");
    }

    #[test]
    fn verifier_keys_read_back() {
        for algorithm in [Algorithm::Ed25519, Algorithm::CosignatureV1] {
            let vkey = vkey("east/witness", algorithm, 7);
            assert_eq!(vkey.to_string().parse::<VerifierKey>().unwrap(), vkey);
        }
        // From the documentation of golang.org/x/mod/sumdb/note.
        let go = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(go.parse::<VerifierKey>().unwrap().to_string(), go);
        for bad in ["", "a+b", &go.replace("c74f20a3", "c74f20a4"), &go.replace("AR", "BR")] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_checkpoint_has_one_form() {
        let log = SecretKey::from_seed(&[1; 32]);
        let good = String::from_utf8(checkpoint().sign(&log)).unwrap();
        assert!(SignedCheckpoint::read(good.as_bytes()).is_ok());
        for bad in [
            good.replace("\n42\n", "\n042\n"),
            good.replace("\n42\n", "\n42\nmore\n"),
            good.replace("\n\n", "\n"),
            good.trim_end().to_owned(),
            String::new(),
        ] {
            assert!(SignedCheckpoint::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(SignedCheckpoint::read(&bytes).is_err());
            let _verdict = String::from_utf8_lossy(&bytes).parse::<VerifierKey>();
        }

        #[test]
        fn no_flipped_bit_of_a_note_passes(at in 0_usize..1000, bit in 0_u8..8) {
            let log = SecretKey::from_seed(&[1; 32]);
            let mut bytes = checkpoint().sign(&log);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let of_log = vkey(&checkpoint().origin, Algorithm::Ed25519, 1);
            let passes = SignedCheckpoint::read(&bytes).is_ok_and(|note| note.check(&of_log).is_ok());
            prop_assert!(!passes);
        }
    }
}
