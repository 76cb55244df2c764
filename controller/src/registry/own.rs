//! The controller's own keys below the authority: one signs the checkpoints of its log, one
//! cosigns those of the sites. The authority certifies both, so that whoever trusts it can check
//! them.

use std::path::Path;

use custody::dsse::Envelope;
use custody::log::VerifierKey;
use custody::log::note::Algorithm;
use custody::record::{KeyCert, KeyUsage, Record, Statement};
use custody::{SecretKey, WallTime};
use host::durable::Reader;
use zeroize::Zeroizing;

use super::authority::{Authority, AuthorityError, read_key, write};
use super::site::OWN_NAME;

/// The secret half of the log key, PKCS#8 PEM, for the owner alone.
pub const LOG_FILE: &str = "log-key.pem";
/// The secret half of the witness key.
pub const WITNESS_FILE: &str = "witness-key.pem";
/// A certificate of these keys says a year from when it is given.
const CERT_LIFE_S: i64 = 366 * 24 * 3600;

/// The two keys. Has no `Debug`.
pub struct OwnKeys {
    /// Signs the checkpoints of the controller's log.
    pub log: SecretKey,
    /// Cosigns the checkpoints of the sites' logs.
    pub witness: SecretKey,
}

impl OwnKeys {
    /// Reads the keys in `state_dir`, or makes them there.
    ///
    /// # Errors
    /// When a file cannot be read or written, or is no key.
    pub fn open(state_dir: &Path) -> Result<Self, AuthorityError> {
        let log = own_key(&state_dir.join(LOG_FILE))?;
        Ok(Self { log, witness: own_key(&state_dir.join(WITNESS_FILE))? })
    }
}

/// The name of the controller's witness.
#[must_use]
pub fn witness_name(domain: &str) -> String {
    format!("{OWN_NAME}.{domain}/witness")
}

/// The controller's witness as others check it.
///
/// # Panics
/// Never: a domain is checked where the settings are read.
#[must_use]
pub fn witness_vkey(domain: &str, key: &SecretKey) -> VerifierKey {
    VerifierKey::new(&witness_name(domain), Algorithm::CosignatureV1, key.public())
        .expect("a checked domain stands in a note, and witness keys are Ed25519")
}

/// The authority's word that `vkey` is the controller's log or witness.
///
/// # Panics
/// Never: `controller` is a good name.
#[must_use]
pub fn certify(authority: &Authority, vkey: &VerifierKey, now: WallTime) -> Envelope {
    let usage = match vkey.algorithm() {
        Algorithm::Ed25519 => KeyUsage::Log,
        Algorithm::CosignatureV1 => KeyUsage::Witness,
    };
    let cert = KeyCert {
        site: OWN_NAME.parse().expect("letters make a name"),
        usage,
        key_id: vkey.key().id(),
        public_key: vkey.key().to_hex(),
        name: Some(vkey.name().to_owned()),
        not_before: WallTime(0),
        not_after: now.plus_seconds(CERT_LIFE_S),
    };
    Record::Other(Statement::KeyCert(cert)).sign(authority.secret())
}

fn own_key(path: &Path) -> Result<SecretKey, AuthorityError> {
    if path.exists() {
        return read_key(path);
    }
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *seed).expect("aws-lc's random source does not fail once seeded");
    let key = SecretKey::from_seed(&seed);
    write(path, key.to_pem().as_bytes(), Reader::Owner)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_keys_stay_and_the_authority_vouches_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).ok().unwrap();
        let keys = OwnKeys::open(folder.path()).ok().unwrap();
        let again = OwnKeys::open(folder.path()).ok().unwrap();
        assert_eq!(keys.log.public(), again.log.public());
        assert_ne!(keys.log.public(), keys.witness.public());
        let vkey = witness_vkey("force.example", &keys.witness);
        let cert = certify(&authority, &vkey, WallTime(0));
        let Record::Other(Statement::KeyCert(cert)) =
            Record::check(&cert, &authority.public()).unwrap()
        else {
            panic!("not a certificate");
        };
        assert_eq!(cert.usage, KeyUsage::Witness);
        assert_eq!(cert.name.as_deref(), Some("controller.force.example/witness"));
        assert_eq!(cert.key_id, keys.witness.public().id());
    }
}
