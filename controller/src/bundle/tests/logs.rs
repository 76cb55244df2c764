//! The logs behind a test's bundle: a site's and the controller's, with one witness, all real keys
//! and real proofs.

use std::collections::BTreeMap;

use custody::dsse::Envelope;
use custody::log::entry;
use custody::log::note::{Algorithm, Checkpoint, SignedCheckpoint, VerifierKey};
use custody::log::policy::{Policy, Witness};
use custody::log::proof;
use custody::record::{KeyCert, KeyGrant, KeyUsage, Kind, Record, Statement};
use custody::{Digest, SecretKey, Seq, SiteId, tree};

use super::START;
use super::recorder::Recorder;
use crate::bundle::AuditEntry;
use crate::bundle::proof::{ControllerProof, KeyProof, Proofs, SiteProof};

const WITNESS: &str = "west.watchhouse.example/witness";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// A log whose entries are known; everything is proved by its last checkpoint.
struct Log {
    origin: String,
    key: SecretKey,
    leaves: Vec<Digest>,
}

impl Log {
    fn policy(&self) -> String {
        let log = VerifierKey::new(&self.origin, Algorithm::Ed25519, self.key.public()).unwrap();
        let vkey = VerifierKey::new(WITNESS, Algorithm::CosignatureV1, key(9).public()).unwrap();
        let witness = Witness { name: "west".into(), vkey, url: None };
        let quorum = Some("west".into());
        let policy = Policy { logs: vec![log], witnesses: vec![witness], groups: vec![], quorum };
        policy.to_string()
    }

    fn prove(&self, index: usize) -> Vec<u8> {
        let size = self.leaves.len() as u64;
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size, root: tree::root(&self.leaves) };
        let note = SignedCheckpoint::read(&checkpoint.sign(&self.key)).unwrap();
        let line = checkpoint.cosign(WITNESS, &key(9), START.plus_seconds(60));
        let path = tree::audit_path(&self.leaves, index);
        proof::write(index as u64, &path, &note.with_lines(&line))
    }
}

fn certificate(site: &SiteId, usage: KeyUsage, of: &SecretKey, name: Option<&str>) -> Record {
    Record::Other(Statement::KeyCert(KeyCert {
        site: site.clone(),
        usage,
        key_id: of.public().id(),
        public_key: of.public().to_hex(),
        name: name.map(str::to_owned),
        not_before: START.plus_seconds(-3_600),
        not_after: START.plus_seconds(20 * 3_600),
    }))
}

/// What the site's log and the controller's prove of these records and lines.
pub(super) fn proofs(recorder: &Recorder, authority: &SecretKey, audit: &[AuditEntry]) -> Proofs {
    let site = recorder.camera.site().clone();
    let identity = key(7);
    let mut log = Log {
        origin: format!("{site}.watchhouse.example/log/00000001"),
        key: key(8),
        leaves: Vec::new(),
    };
    let logged = |log: &mut Log, kind: Kind, envelope: &Envelope| {
        log.leaves.push(tree::leaf(&entry::record(kind, envelope.digest())));
        log.leaves.len() - 1
    };
    let certificates = [
        certificate(&site, KeyUsage::Log, &log.key, Some(&log.origin)),
        certificate(&site, KeyUsage::Records, &recorder.key, None),
    ]
    .map(|record| record.sign(&identity));
    let places = certificates.each_ref().map(|one| logged(&mut log, Kind::KeyCert, one));
    let links: Vec<_> = recorder
        .records()
        .iter()
        .map(|(envelope, record)| {
            (record.link().unwrap().seq, logged(&mut log, record.kind().unwrap(), envelope))
        })
        .collect();
    let keys = certificates.into_iter().zip(places);
    let links = links
        .into_iter()
        .map(|(seq, at): (Seq, usize)| ((recorder.camera.clone(), seq), log.prove(at)));
    let of_site = SiteProof {
        keys: keys
            .map(|(record, at)| KeyProof { record, tlog_proof: Some(log.prove(at)) })
            .collect(),
        links: links.collect(),
        policy: log.policy(),
        ..SiteProof::of_grants(site.clone(), vec![grant(&site, &identity, authority)])
    };
    Proofs { sites: vec![of_site], controller: controller(authority, audit) }
}

fn grant(site: &SiteId, identity: &SecretKey, authority: &SecretKey) -> Envelope {
    let grant = KeyGrant {
        site: site.clone(),
        key_id: identity.public().id(),
        public_key: identity.public().to_hex(),
        not_before: START.plus_seconds(-7_200),
        revoked: Vec::new(),
    };
    Record::Other(Statement::Key(grant)).sign(authority)
}

/// The lines stand in the log at their own positions; what lies between is of other cases.
fn controller(authority: &SecretKey, audit: &[AuditEntry]) -> ControllerProof {
    let lines: BTreeMap<_, _> = audit.iter().map(|line| (line.position, line)).collect();
    let leaf = |position: u64| {
        let salt = Digest::of(&position.to_be_bytes());
        let line = lines.get(&position);
        let (salt, body) = line.map_or((salt, &b"{}"[..]), |l| (l.salt.unwrap(), &l.body[..]));
        tree::leaf(&entry::event(&salt.0, body))
    };
    let size = lines.last_key_value().map_or(1, |(position, _)| position + 1);
    let log = Log {
        origin: "controller.watchhouse.example/log/00000001".into(),
        key: key(10),
        leaves: (0..size).map(leaf).collect(),
    };
    let site = "controller".parse().unwrap();
    let log_key = certificate(&site, KeyUsage::Log, &log.key, Some(&log.origin)).sign(authority);
    let prove = |position: &u64| (*position, log.prove(usize::try_from(*position).unwrap()));
    ControllerProof {
        log_key: Some(log_key),
        policy: log.policy(),
        entries: lines.keys().map(prove).collect(),
    }
}
