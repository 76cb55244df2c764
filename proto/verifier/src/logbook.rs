//! Whether a record stands in its log, and who witnessed that: proofs, checkpoints, cosignatures and
//! the policy that says which are enough. Sections 5 and 6 of CHECKS.md.

use std::collections::{BTreeMap, BTreeSet};

use custody::log::note::Algorithm;
use custody::log::policy::POLICY_BYTES_MAX;
use custody::log::proof::PROOF_BYTES_MAX;
use custody::log::{Checkpoint, Cosignature, Policy, Proof, SignedCheckpoint, VerifierKey};
use custody::{Code, Digest, KeyId, PublicKey, Refusal, WallTime, tree};

use crate::bag::Bag;
use crate::report::Report;

/// What witnesses' clocks and ours may be apart, microseconds.
pub const CLOCKS_APART_US: i64 = 2_000_000;

/// What a bundle has shown of every log: two trees of one log that contradict each other are a fork,
/// wherever in the bundle they lie.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    roots: BTreeMap<(String, u64), Digest>,
    entries: BTreeMap<(String, u64), Digest>,
}

impl Shown {
    /// Remembers a checkpoint that its log has signed.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, report: &mut Report) {
        let place = (checkpoint.origin.clone(), checkpoint.size);
        let root = *self.roots.entry(place).or_insert(checkpoint.root);
        if root != checkpoint.root {
            report.refuse(Refusal::new(
                Code::LogForked,
                format!(
                    "log {:.100} has signed two trees of {} entries",
                    checkpoint.origin, checkpoint.size
                ),
            ));
        }
    }

    fn entry(&mut self, origin: &str, index: u64, entry: &[u8], report: &mut Report) {
        let leaf = tree::leaf(entry);
        if *self.entries.entry((origin.to_owned(), index)).or_insert(leaf) != leaf {
            report.refuse(Refusal::new(
                Code::LogForked,
                format!("log {origin:.100} has two entries {index}"),
            ));
        }
    }
}

/// A certified key of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Under which name it signs.
    pub vkey: VerifierKey,
    /// The key's own name.
    pub key_id: KeyId,
}

impl LogKey {
    /// The key of the log `origin`; none if the name cannot stand in a note.
    #[must_use]
    pub fn new(origin: &str, key: &PublicKey) -> Option<Self> {
        let vkey = VerifierKey::new(origin, Algorithm::Ed25519, key.clone()).ok()?;
        Some(Self { vkey, key_id: key.id() })
    }
}

/// The logs of a site or of the controller that are believed, and under whose witness.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    policy: Policy,
    believed: Vec<LogKey>,
}

/// A record's place, and what its proof says of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// In which log.
    pub origin: String,
    /// Where.
    pub index: u64,
    /// Which key signed the checkpoint.
    pub log_key: KeyId,
    /// The witnesses whose cosignatures fit.
    pub by: Vec<Cosignature>,
    /// When they were enough; none if they are not.
    pub quorum_at: Option<WallTime>,
}

/// A record to be found in its log.
pub struct Sought<'a> {
    /// The entry that it makes.
    pub entry: &'a [u8],
    /// Where its proof lies.
    pub proof: String,
    /// When it ended, and how wrong its clock may have been, microseconds.
    pub end: Option<(WallTime, i64)>,
    /// The place that it must have, where that is known.
    pub index: Option<u64>,
    /// What is wrong with a record that is not the one in the log.
    pub other_entry: Code,
}

impl Logs {
    /// The logs that `policy` believes among the certified ones. `given`: the policy is the caller's.
    #[must_use]
    pub fn new(certified: &[LogKey], policy: Policy, given: bool, report: &mut Report) -> Self {
        if !given {
            for log in &policy.logs {
                if !certified.iter().any(|known| known.vkey == *log) {
                    report.refuse(Refusal::new(
                        Code::KeyUntrusted,
                        format!("the policy names log {}, whose key nobody certifies", log.name()),
                    ));
                }
            }
        }
        let named = |log: &&LogKey| policy.logs.is_empty() || policy.logs.contains(&log.vkey);
        let believed = certified.iter().filter(named).cloned().collect();
        Self { policy, believed }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The logs.
    #[must_use]
    pub fn believed(&self) -> &[LogKey] {
        &self.believed
    }

    /// The key of the believed log that has signed a checkpoint.
    ///
    /// # Errors
    /// `checkpoint-invalid`.
    pub fn signer(&self, note: &SignedCheckpoint) -> Result<&LogKey, Refusal> {
        let origin = &note.checkpoint().origin;
        let log = self.believed.iter().find(|log| log.vkey.name() == origin).ok_or_else(|| {
            Refusal::new(
                Code::CheckpointInvalid,
                format!("it is of log {origin:.100}, which is not a log of this site"),
            )
        })?;
        note.check(&log.vkey)?;
        Ok(log)
    }

    /// The witnesses whose cosignatures fit; those whose lines do not are refused.
    pub fn cosigned(
        &self,
        note: &SignedCheckpoint,
        mut refuse: impl FnMut(Refusal),
    ) -> Vec<Cosignature> {
        let mut by = Vec::new();
        for witness in &self.policy.witnesses {
            if note.misquotes(&witness.vkey) {
                let name = witness.vkey.name();
                let what = format!("the cosignature of {name:.100} does not fit");
                refuse(Refusal::new(Code::CheckpointInvalid, what));
            } else {
                by.extend(note.cosignature(&witness.vkey));
            }
        }
        by
    }

    /// When these cosignatures were enough; none if they are not.
    fn quorum_at(&self, by: &[Cosignature]) -> Option<WallTime> {
        let mut times: Vec<_> = by.iter().map(|one| one.at).collect();
        times.sort_unstable();
        times.into_iter().find(|until| {
            let signed = self.policy.witnesses.iter().filter(|witness| {
                by.iter().any(|one| one.witness == witness.vkey.name() && one.at <= *until)
            });
            let names: BTreeSet<_> = signed.map(|witness| witness.name.as_str()).collect();
            self.policy.is_enough(&names)
        })
    }

    /// Finds a record in its log. None if its place is not proved; what else is wrong is refused
    /// beside the answer.
    pub fn find(
        &self,
        bag: &Bag,
        sought: &Sought<'_>,
        shown: &mut Shown,
        report: &mut Report,
    ) -> Option<Logged> {
        let path = &sought.proof;
        let mut refused = Vec::new();
        let found = self.place(bag, sought);
        let found = match found {
            Ok((proof, log)) => {
                let checkpoint = proof.checkpoint.checkpoint();
                shown.checkpoint(checkpoint, report);
                shown.entry(&checkpoint.origin, proof.index, sought.entry, report);
                let by = self.cosigned(&proof.checkpoint, |refusal| refused.push(refusal));
                let quorum_at = self.quorum_at(&by);
                if quorum_at.is_none() && self.policy.quorum.is_some() {
                    let what = format!("{} witnesses of the policy have cosigned", by.len());
                    refused.push(Refusal::new(Code::QuorumNotMet, what));
                }
                refused.extend(sought.end.and_then(|end| too_early(end, &by)));
                let origin = checkpoint.origin.clone();
                let log_key = log.key_id.clone();
                Some(Logged { origin, index: proof.index, log_key, by, quorum_at })
            }
            Err(refusal) => {
                refused.push(refusal);
                None
            }
        };
        for refusal in refused {
            report.refuse(refusal.at(path));
        }
        found
    }

    fn place(&self, bag: &Bag, sought: &Sought<'_>) -> Result<(Proof, &LogKey), Refusal> {
        if !bag.has(&sought.proof) {
            return Err(Refusal::new(Code::LogProofMissing, "there is none"));
        }
        let bytes = bag
            .read(&sought.proof, PROOF_BYTES_MAX as u64)
            .ok_or_else(|| Refusal::new(Code::LogProofInvalid, "it is too long to be a proof"))?;
        let proof = Proof::read(&bytes)?;
        let log = self.signer(&proof.checkpoint)?;
        let other = |what: String| Refusal::new(sought.other_entry, what);
        if sought.index.is_some_and(|index| index != proof.index) {
            return Err(other(format!("it proves entry {}", proof.index)));
        }
        proof.check(sought.entry).map_err(|refusal| other(refusal.what().to_owned()))?;
        Ok((proof, log))
    }
}

/// A witness cannot have cosigned what had not happened.
fn too_early((end, uncertainty_us): (WallTime, i64), by: &[Cosignature]) -> Option<Refusal> {
    let earliest = end.plus_micros(-CLOCKS_APART_US).plus_micros(-uncertainty_us.max(0));
    let one = by.iter().find(|one| one.at < earliest)?;
    Some(Refusal::new(
        Code::TimeInconsistent,
        format!("{:.100} cosigned at {}, before the record's end, {end}", one.witness, one.at),
    ))
}

/// The policy in the bundle.
///
/// # Errors
/// `policy-malformed`.
pub fn policy(bag: &Bag, path: &str) -> Result<Policy, Refusal> {
    let malformed = |what: &str| Refusal::new(Code::PolicyMalformed, format!("{path}: {what}"));
    if !bag.has(path) {
        return Err(malformed("there is none"));
    }
    let bytes = bag.read(path, POLICY_BYTES_MAX as u64).ok_or_else(|| malformed("too long"))?;
    let text = String::from_utf8(bytes).map_err(|_| malformed("it is no text"))?;
    Policy::read(&text).map_err(|refusal| refusal.at(path))
}
