//! What the authority says of the bundle as a whole. Section 2 of CHECKS.md.

use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::record::{BundleSeal, Record, Statement};
use custody::{Code, PublicKey, Refusal, bundle};

use crate::bag::Bag;
use crate::report::Report;

/// A PEM public key is 113 to 178 bytes.
const PEM_BYTES_MAX: u64 = 4_096;

/// The authority's statement about this very manifest; none if there is no such statement.
pub fn seal(bag: &Bag, trusted: &PublicKey, report: &mut Report) -> Option<BundleSeal> {
    let invalid = |why: &str| Refusal::new(Code::BundleStatementInvalid, why);
    let read = || {
        let bytes = bag
            .read_tag(bundle::SEAL, ENVELOPE_BYTES_MAX as u64)
            .map_err(|why| invalid(&format!("there is none: {why}")))?;
        let envelope = Envelope::read(&bytes).map_err(|refusal| invalid(refusal.what()))?;
        let Record::Other(Statement::Bundle(seal)) = trusted_record(&envelope, trusted)? else {
            return Err(invalid("this is a statement about something else"));
        };
        if Some(seal.payload_manifest_sha256) != bag.manifest_digest {
            return Err(invalid("the statement is about another manifest than this folder's"));
        }
        if seal.from >= seal.to || seal.cameras.is_empty() {
            return Err(invalid("the statement names no interval or no camera"));
        }
        Ok(seal)
    };
    match read() {
        Ok(seal) => Some(seal),
        Err(refusal) => {
            report.refuse(refusal.at(bundle::SEAL));
            None
        }
    }
}

/// A record signed by the trusted key.
///
/// # Errors
/// `key-untrusted`, `signature-invalid`, `record-malformed`.
pub(crate) fn trusted_record(envelope: &Envelope, trusted: &PublicKey) -> Result<Record, Refusal> {
    if *envelope.key_id() != trusted.id() {
        return Err(Refusal::new(
            Code::KeyUntrusted,
            format!("signed by key {:.40}, and you trust {}", envelope.key_id().0, trusted.id()),
        ));
    }
    Record::check(envelope, trusted)
}

/// The authority's key in the bundle is the one that the caller trusts.
pub fn authority_key(bag: &Bag, trusted: &PublicKey, report: &mut Report) {
    if !bag.has(bundle::AUTHORITY) {
        return; // already said
    }
    let pem = bag.read(bundle::AUTHORITY, PEM_BYTES_MAX);
    let pem = pem.and_then(|pem| String::from_utf8(pem).ok());
    let carried = pem.and_then(|pem| PublicKey::from_pem(&pem).ok());
    if carried.as_ref() != Some(trusted) {
        report.refuse(Refusal::new(
            Code::KeyUntrusted,
            format!("{} is not the key that you trust", bundle::AUTHORITY),
        ));
    }
}
