//! What a log would hold before anything is signed, for a mutation to bend; and the log when it is
//! signed, witnessed and able to prove its entries.

use custody::dsse::Envelope;
use custody::log::note::Algorithm;
use custody::log::{Checkpoint, SignedCheckpoint, VerifierKey, entry, proof};
use custody::record::{Kind, Record, Statement};
use custody::{
    CameraId, Digest, PublicKey, SecretKey, Seq, SignError, Signer, SiteId, WallTime, tree,
};
use p256::ecdsa::signature::Signer as _;

/// A site's identity: an ECDSA P-256 key.
pub struct Identity(p256::ecdsa::SigningKey);

impl Identity {
    /// The key grown from one number.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]);
        Self(key.expect("any number from 1 on is a key"))
    }
}

impl Signer for Identity {
    fn public(&self) -> PublicKey {
        let point = self.0.verifying_key().to_encoded_point(false);
        PublicKey::from_bytes(point.as_bytes()).expect("a key's own point reads")
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: p256::ecdsa::Signature = self.0.sign(message);
        let low = signature.normalize_s().unwrap_or(signature);
        Ok(low.to_der().as_bytes().to_vec())
    }
}

/// An Ed25519 key grown from one number.
#[must_use]
pub fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// Who signs an entry: by place in the draft's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An identity.
    Identity(usize),
    /// A key for records.
    Key(usize),
}

/// One entry before it is signed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it says; a link's `prev` is filled in when it is signed.
    pub record: Record,
    /// Who signs it.
    pub by: By,
    /// When it is logged.
    pub at: WallTime,
}

/// Someone who cosigns checkpoints.
#[derive(Debug, Clone)]
pub struct Cosigner {
    /// Its name in a policy.
    pub short: &'static str,
    /// Its name in notes.
    pub name: String,
    /// The number that its key is grown from.
    pub seed: u8,
    /// How long after the checkpoint it answers, seconds.
    pub delay_s: i64,
}

impl Cosigner {
    /// Its key as policies name it.
    #[must_use]
    pub fn vkey(&self) -> VerifierKey {
        VerifierKey::new(&self.name, Algorithm::CosignatureV1, secret(self.seed).public())
            .expect("the names here are valid")
    }
}

/// A log before it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whose.
    pub site: SiteId,
    /// Its name.
    pub origin: String,
    /// The number that its key is grown from.
    pub log_seed: u8,
    /// The numbers that the identities are grown from.
    pub identities: Vec<u8>,
    /// The numbers that the keys for records are grown from.
    pub keys: Vec<u8>,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Who cosigns.
    pub cosigners: Vec<Cosigner>,
}

/// A signed entry.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it says.
    pub record: Record,
    /// As it is kept.
    pub envelope: Envelope,
    /// Its kind.
    pub kind: Kind,
    /// When it is logged.
    pub at: WallTime,
}

/// A log of signed entries.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its name.
    pub origin: String,
    /// The number that its key is grown from.
    pub seed: u8,
    /// Who cosigns.
    pub cosigners: Vec<Cosigner>,
    /// The hash of each entry, and when it was logged.
    pub leaves: Vec<(Digest, WallTime)>,
}

impl Draft {
    /// Signs every entry in its order.
    #[must_use]
    pub fn sign(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for entry in &self.entries {
            let mut record = entry.record.clone();
            if let Some(camera) = record.link().map(|link| link.camera.clone()) {
                let before = lines
                    .iter()
                    .rev()
                    .find(|line| line.record.link().is_some_and(|link| *link.camera == camera));
                if let Some(before) = before {
                    name_predecessor(&mut record, before.envelope.digest());
                }
            }
            let envelope = match entry.by {
                By::Key(place) => record.sign(&secret(self.keys[place])),
                By::Identity(place) => record
                    .sign_by(&Identity::new(self.identities[place]))
                    .expect("a key in memory signs"),
            };
            let kind = record.kind().expect("only records stand in a draft");
            lines.push(Line { record, envelope, kind, at: entry.at });
        }
        lines
    }

    /// The log of these signed entries.
    #[must_use]
    pub fn log(&self, lines: &[Line]) -> Log {
        let leaf =
            |line: &Line| (tree::leaf(&entry::record(line.kind, line.envelope.digest())), line.at);
        Log {
            origin: self.origin.clone(),
            seed: self.log_seed,
            cosigners: self.cosigners.clone(),
            leaves: lines.iter().map(leaf).collect(),
        }
    }

    /// The place of a camera's link.
    #[must_use]
    pub fn place(&self, camera: &CameraId, seq: u64) -> usize {
        let is_it = |entry: &Entry| {
            entry.record.link().is_some_and(|link| link.camera == camera && link.seq == Seq(seq))
        };
        self.entries.iter().position(is_it).expect("the mutation names a link that is there")
    }
}

/// Makes a link name its predecessor.
pub fn name_predecessor(record: &mut Record, prev: Digest) {
    match record {
        Record::Segment(segment) => segment.prev = prev,
        Record::Other(Statement::Gap(gap)) => gap.prev = prev,
        Record::Other(_) => {}
    }
}

impl Log {
    /// The checkpoint over the first `size` entries.
    #[must_use]
    pub fn checkpoint(&self, size: usize) -> Checkpoint {
        let leaves: Vec<_> = self.leaves[..size].iter().map(|(leaf, _)| *leaf).collect();
        let number = u64::try_from(size).expect("the logs here are short");
        Checkpoint { origin: self.origin.clone(), size: number, root: tree::root(&leaves) }
    }

    /// That checkpoint, signed by the log and by those who cosign.
    #[must_use]
    pub fn note(&self, size: usize) -> Vec<u8> {
        let at = self.leaves[size - 1].1;
        let checkpoint = self.checkpoint(size);
        let mut note = checkpoint.sign(&secret(self.seed));
        for one in &self.cosigners {
            let at = at.plus_seconds(1 + one.delay_s);
            note.extend(checkpoint.cosign(&one.name, &secret(one.seed), at).into_bytes());
        }
        note
    }

    /// The proof of an entry under the first checkpoint that covers it.
    #[must_use]
    pub fn proof(&self, index: usize) -> Vec<u8> {
        self.proof_at(index, index + 1)
    }

    /// The proof of an entry under the checkpoint of this size.
    #[must_use]
    pub fn proof_at(&self, index: usize, size: usize) -> Vec<u8> {
        let leaves: Vec<_> = self.leaves[..size].iter().map(|(leaf, _)| *leaf).collect();
        let number = u64::try_from(index).expect("the logs here are short");
        proof::write(number, &tree::audit_path(&leaves, index), &self.note(size))
    }

    /// The note's checkpoint and digest, for a manifest to name.
    #[must_use]
    pub fn foreign(&self, size: usize) -> custody::manifest::ForeignCheckpoint {
        let note = SignedCheckpoint::read(&self.note(size)).expect("our own notes read");
        let Checkpoint { origin, size, root } = note.checkpoint().clone();
        custody::manifest::ForeignCheckpoint { origin, size, root, note_sha256: note.digest() }
    }
}
