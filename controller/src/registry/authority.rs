//! The authority: the controller's Ed25519 key, which vouches for the sites' keys and for bundles.
//! Whoever trusts its public half can check everything else.

use std::path::Path;

use custody::dsse::Envelope;
use custody::record::{KeyGrant, Record, Statement};
use custody::{PublicKey, SecretKey, SiteId, WallTime};
use host::durable::{self, Reader};
use zeroize::Zeroizing;

use super::SiteEntry;

/// The secret half, PKCS#8 PEM, for the owner alone.
pub const SECRET_FILE: &str = "authority.pem";
/// The public half, for everyone: copies belong outside this machine.
pub const PUBLIC_FILE: &str = "authority.pub.pem";

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The file is no key.
    #[error("{0} is not an Ed25519 key in PKCS#8 PEM form: restore it from your backup")]
    Key(String),
}

/// The authority's key. Has no `Debug`.
pub struct Authority(SecretKey);

impl Authority {
    /// Makes the key in `state_dir`. An existing one stays.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn create(state_dir: &Path) -> Result<Self, AuthorityError> {
        let path = state_dir.join(SECRET_FILE);
        if path.exists() {
            return Self::open(state_dir);
        }
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed)
            .expect("aws-lc's random source does not fail once seeded");
        let key = SecretKey::from_seed(&seed);
        write(&state_dir.join(PUBLIC_FILE), key.public().to_pem().as_bytes(), Reader::Anyone)?;
        write(&path, key.to_pem().as_bytes(), Reader::Owner)?;
        Ok(Self(key))
    }

    /// Reads the key in `state_dir`.
    ///
    /// # Errors
    /// When the file cannot be read or is no key.
    pub fn open(state_dir: &Path) -> Result<Self, AuthorityError> {
        read_key(&state_dir.join(SECRET_FILE)).map(Self)
    }

    /// The key, for signing bundles.
    #[must_use]
    pub fn secret(&self) -> &SecretKey {
        &self.0
    }

    /// What others trust.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// Vouches for each of a site's identity keys, and says which of its keys are not believed.
    #[must_use]
    pub fn grants(&self, site: &SiteId, entry: &SiteEntry) -> Vec<Envelope> {
        let grant = |(not_before, key): &(WallTime, PublicKey)| {
            let grant = KeyGrant {
                site: site.clone(),
                key_id: key.id(),
                public_key: key.to_hex(),
                not_before: *not_before,
                revoked: entry.revoked_keys.clone(),
            };
            Record::Other(Statement::Key(grant)).sign(&self.0)
        };
        entry.evidence_keys.iter().map(grant).collect()
    }
}

/// The secret key in a file.
pub(super) fn read_key(path: &Path) -> Result<SecretKey, AuthorityError> {
    let pem = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|source| {
        AuthorityError::File { doing: "read", path: path.display().to_string(), source }
    })?;
    SecretKey::from_pem(&pem).map_err(|_| AuthorityError::Key(path.display().to_string()))
}

pub(super) fn write(path: &Path, bytes: &[u8], reader: Reader) -> Result<(), AuthorityError> {
    durable::replace(path, bytes, reader).map_err(|source| AuthorityError::File {
        doing: "write",
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_vouches_for_every_key_of_a_site() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).ok().unwrap();
        let again = Authority::create(folder.path()).ok().unwrap();
        assert_eq!(authority.public(), again.public());
        let pem = std::fs::read_to_string(folder.path().join(PUBLIC_FILE)).unwrap();
        assert_eq!(PublicKey::from_pem(&pem).unwrap(), authority.public());

        let key = |n| SecretKey::from_seed(&[n; 32]).public();
        let entry = SiteEntry {
            evidence_keys: vec![(WallTime(1), key(1)), (WallTime(2), key(2))],
            ..SiteEntry::default()
        };
        let site = "east".parse().unwrap();
        let grants = authority.grants(&site, &entry);
        assert_eq!(grants.len(), 2);
        for (envelope, (not_before, key)) in grants.iter().zip(&entry.evidence_keys) {
            let Record::Other(Statement::Key(grant)) =
                Record::check(envelope, &authority.public()).unwrap()
            else {
                panic!("not a key grant");
            };
            assert_eq!((grant.key_id, grant.not_before), (key.id(), *not_before));
        }
    }
}
