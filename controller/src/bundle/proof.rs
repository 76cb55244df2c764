//! The proofs that travel with a bundle, as plain values: what the logs, witnesses and time stamps
//! say, byte for byte as others can check it. Whoever fills them fetches; this file only lays them
//! out. A part that is not there is left out, and the verifier says what that costs.

use std::collections::BTreeMap;

use custody::dsse::Envelope;
use custody::record::{Record, Statement};
use custody::{CameraId, Digest, KeyId, Seq, SiteId, bundle};

use super::bag::Bag;
use super::history::AuditEntry;
use super::{BundleError, wrong};

/// What proves an order's records and its custody record.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// Of each site whose cameras are in the order; each site once.
    pub sites: Vec<SiteProof>,
    /// Of the controller's own log.
    pub controller: ControllerProof,
}

/// What proves the records of one site.
#[derive(Debug, Clone)]
pub struct SiteProof {
    /// Which.
    pub site: SiteId,
    /// The authority's statements about the site's identity keys, oldest first, with revocations.
    pub grants: Vec<Envelope>,
    /// The keys that signed links, and the log key.
    pub keys: Vec<KeyProof>,
    /// The C2SP tlog-policy of the site's log; empty where there is none.
    pub policy: String,
    /// The cosigned notes of other logs that manifests name, whole; filed under their digest.
    pub notes: Vec<Vec<u8>>,
    /// Time stamps over cosigned checkpoints of the site's log.
    pub stamps: Vec<Stamp>,
    /// The C2SP tlog-proof of each link of each camera's chain.
    pub links: BTreeMap<(CameraId, Seq), Vec<u8>>,
}

impl SiteProof {
    /// A site with nothing but its keys' grants.
    #[must_use]
    pub fn of_grants(site: SiteId, grants: Vec<Envelope>) -> Self {
        Self {
            site,
            grants,
            keys: Vec::new(),
            policy: String::new(),
            notes: Vec::new(),
            stamps: Vec::new(),
            links: BTreeMap::new(),
        }
    }
}

/// A key that the site's identity certified.
#[derive(Debug, Clone)]
pub struct KeyProof {
    /// The key-cert record; names the key.
    pub record: Envelope,
    /// That it stands in the site's log; none if that is not known yet.
    pub tlog_proof: Option<Vec<u8>>,
}

impl KeyProof {
    /// The key that the record certifies. Whether it is signed is the verifier's to say.
    fn certified(&self) -> Result<KeyId, BundleError> {
        match Record::danger_read_unchecked(&self.record) {
            Ok(Record::Other(Statement::KeyCert(cert))) => Ok(cert.key_id),
            _ => Err(wrong("a record given as a key's certificate is none")),
        }
    }
}

/// An RFC 3161 token over a cosigned checkpoint.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Entries under the checkpoint.
    pub size: u64,
    /// The checkpoint's note: the stamped bytes.
    pub note: Vec<u8>,
    /// The time stamp response, DER.
    pub response: Vec<u8>,
}

/// What proves the custody record.
#[derive(Debug, Clone, Default)]
pub struct ControllerProof {
    /// The authority's key-cert of the controller's log key.
    pub log_key: Option<Envelope>,
    /// The C2SP tlog-policy of the controller's log; empty where there is none.
    pub policy: String,
    /// The C2SP tlog-proof of each audit line, by its position.
    pub entries: BTreeMap<u64, Vec<u8>>,
}

/// Lays out what there is.
pub(super) fn write(
    proofs: &Proofs,
    audit: &[AuditEntry],
    bag: &mut Bag,
) -> Result<(), BundleError> {
    for site in &proofs.sites {
        write_site(site, bag)?;
    }
    write_controller(&proofs.controller, audit, bag)
}

fn write_site(proof: &SiteProof, bag: &mut Bag) -> Result<(), BundleError> {
    let site = &proof.site;
    let grants = proof.grants.iter().flat_map(|grant| [grant.bytes(), b"\n"].concat());
    bag.payload(&bundle::key_grants(site), &grants.collect::<Vec<u8>>())?;
    for key in &proof.keys {
        let key_id = key.certified()?;
        bag.payload(&bundle::key_cert(site, &key_id), key.record.bytes())?;
        if let Some(tlog_proof) = &key.tlog_proof {
            bag.payload(&bundle::key_cert_proof(site, &key_id), tlog_proof)?;
        }
    }
    if !proof.policy.is_empty() {
        bag.payload(&bundle::policy(site), proof.policy.as_bytes())?;
    }
    let notes: BTreeMap<_, _> = proof.notes.iter().map(|note| (Digest::of(note), note)).collect();
    for (digest, note) in notes {
        bag.payload(&bundle::foreign_note(site, digest), note)?;
    }
    for stamp in &proof.stamps {
        bag.payload(&bundle::stamped_note(site, stamp.size), &stamp.note)?;
        bag.payload(&bundle::stamp(site, stamp.size), &stamp.response)?;
    }
    for ((camera, seq), tlog_proof) in &proof.links {
        bag.payload(&bundle::link_proof(camera, *seq), tlog_proof)?;
    }
    Ok(())
}

fn write_controller(
    proof: &ControllerProof,
    audit: &[AuditEntry],
    bag: &mut Bag,
) -> Result<(), BundleError> {
    if let Some(log_key) = &proof.log_key {
        bag.payload(bundle::CONTROLLER_LOG_KEY, log_key.bytes())?;
    }
    if !proof.policy.is_empty() {
        bag.payload(bundle::CONTROLLER_POLICY, proof.policy.as_bytes())?;
    }
    let place = |entry: &AuditEntry| {
        Some(bundle::AuditLine { position: entry.position, salt: entry.salt? })
    };
    let places: Vec<_> = audit.iter().filter_map(place).collect();
    let places = serde_json::to_vec(&places).expect("numbers and digests have a JSON form");
    bag.payload(bundle::AUDIT_PLACES, &places)?;
    for (position, tlog_proof) in &proof.entries {
        bag.payload(&bundle::audit_proof(*position), tlog_proof)?;
    }
    Ok(())
}
