//! What the authority says: of the bundle as a whole, and of the sites' keys.

use std::collections::{BTreeMap, BTreeSet};

use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::record::{BundleSeal, KeyGrant, Record, Statement};
use custody::{Code, KeyId, PublicKey, Refusal, SiteId, WallTime, bundle};

use crate::bag::Bag;
use crate::report::Report;

/// A site's keys over the years; one grant a line.
const GRANTS_BYTES_MAX: u64 = 1 << 20;
const GRANTS_MAX: usize = 64;
/// A PEM public key is 113 bytes.
const PEM_BYTES_MAX: u64 = 4_096;

/// A key that the authority vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteKey {
    /// The key.
    pub key: PublicKey,
    /// Records from this time on.
    pub not_before: WallTime,
}

/// The keys of every site, by the name that envelopes use.
pub type SiteKeys = BTreeMap<SiteId, BTreeMap<KeyId, SiteKey>>;

/// The authority's statement about this very manifest; none if there is no such statement.
pub fn seal(bag: &Bag, trusted: &PublicKey, report: &mut Report) -> Option<BundleSeal> {
    let invalid =
        |why: &str| Refusal::new(Code::BundleStatementInvalid, format!("{}: {why}", bundle::SEAL));
    let read = || {
        let bytes = bag
            .read_tag(bundle::SEAL, ENVELOPE_BYTES_MAX as u64)
            .map_err(|r| invalid(&format!("there is none: {}", r.what())))?;
        let envelope = Envelope::read(&bytes).map_err(|r| invalid(r.what()))?;
        match trusted_record(&envelope, trusted)? {
            Record::Other(Statement::Bundle(seal)) => Ok(seal),
            _ => Err(invalid("this is a statement about something else")),
        }
    };
    let seal = match read() {
        Ok(seal) => seal,
        Err(refusal) => {
            report.refuse(refusal.at(bundle::SEAL));
            return None;
        }
    };
    if Some(seal.payload_manifest_sha256) != bag.manifest_digest {
        report.refuse(invalid("the statement is about another manifest than this folder's"));
        return None;
    }
    if seal.from >= seal.to || seal.cameras.is_empty() {
        report.refuse(invalid("the statement names no interval or no camera"));
        return None;
    }
    Some(seal)
}

/// A record signed by the trusted key.
fn trusted_record(envelope: &Envelope, trusted: &PublicKey) -> Result<Record, Refusal> {
    if *envelope.key_id() != trusted.id() {
        return Err(Refusal::new(
            Code::KeyUntrusted,
            format!("signed by key {}, and you trust {}", envelope.key_id(), trusted.id()),
        ));
    }
    Record::check(envelope, trusted)
}

/// The authority's key in the bundle is the one that the caller trusts.
pub fn authority_key(bag: &Bag, trusted: &PublicKey, report: &mut Report) {
    let Ok(pem) = bag.read(bundle::AUTHORITY, PEM_BYTES_MAX) else {
        return; // missing or altered: already said
    };
    let carried = String::from_utf8(pem).ok().and_then(|pem| PublicKey::from_pem(&pem).ok());
    if carried.as_ref() != Some(trusted) {
        report.refuse(Refusal::new(
            Code::KeyUntrusted,
            format!("{} is not the key that you trust", bundle::AUTHORITY),
        ));
    }
}

/// The keys that the trusted key vouches for, of every site with a file.
pub fn site_keys(
    bag: &Bag,
    sites: &BTreeSet<SiteId>,
    trusted: &PublicKey,
    report: &mut Report,
) -> SiteKeys {
    let mut keys = SiteKeys::new();
    for site in sites {
        let path = bundle::key_grants(site);
        let bytes = match bag.read(&path, GRANTS_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(refusal) => {
                report.refuse(refusal);
                continue;
            }
        };
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for line in lines.take(GRANTS_MAX) {
            match grant(line, site, trusted) {
                Ok((id, key)) => {
                    keys.entry(site.clone()).or_default().insert(id, key);
                }
                Err(refusal) => report.refuse(refusal.at(&path)),
            }
        }
    }
    keys
}

fn grant(line: &[u8], site: &SiteId, trusted: &PublicKey) -> Result<(KeyId, SiteKey), Refusal> {
    let untrusted = |why: &str| Refusal::new(Code::KeyUntrusted, why);
    let envelope = Envelope::read(line)?;
    let Record::Other(Statement::Key(grant)) = trusted_record(&envelope, trusted)? else {
        return Err(untrusted("this is a statement about something else than a key"));
    };
    let KeyGrant { site: granted, key_id, public_key, not_before, revoked: _ } = grant;
    if granted != *site {
        return Err(Refusal::new(
            Code::RecordMisplaced,
            format!("the statement is about a key of {granted}"),
        ));
    }
    let key = PublicKey::from_hex(&public_key)
        .ok()
        .filter(|key| key.id() == key_id)
        .ok_or_else(|| untrusted("the statement's key and its name do not fit"))?;
    Ok((key_id, SiteKey { key, not_before }))
}
