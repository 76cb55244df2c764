//! Family `signers`: every key that has signed in this store, so that old records still check.
//!
//! ```text
//! key   = the key id as text
//! value = 1:u8 0:u8 key                                             the site's identity
//!       | 1:u8 usage:u8 place:u64 not_before not_after key          1 records, 2 log, 3 witness
//! ```
//! `place` is where the certificate stands in the site log; `key` is the raw public key.

use custody::record::{KeyCert, KeyUsage};
use custody::{KeyId, PublicKey, WallTime};

use super::{Reader, Writer};

/// A key that has signed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signer {
    /// The key.
    pub key: PublicKey,
    /// By what certificate; none for the identity itself.
    pub cert: Option<Certified>,
}

/// What a certificate says, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Certified {
    /// What the key may sign.
    pub usage: KeyUsage,
    /// The certificate's place in the site log.
    pub place: u64,
    /// From.
    pub not_before: WallTime,
    /// To.
    pub not_after: WallTime,
}

impl Signer {
    /// The site's identity.
    #[must_use]
    pub(crate) fn identity(key: PublicKey) -> Self {
        Self { key, cert: None }
    }

    /// The key of a certificate at `place`; none if the certificate's key does not read.
    #[must_use]
    pub(crate) fn certified(cert: &KeyCert, place: u64) -> Option<Self> {
        let key = PublicKey::from_hex(&cert.public_key).ok()?;
        let (not_before, not_after) = (cert.not_before, cert.not_after);
        let certified = Certified { usage: cert.usage, place, not_before, not_after };
        Some(Self { key, cert: Some(certified) })
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = match &self.cert {
            None => Writer::default().u8(1).u8(0),
            Some(cert) => Writer::default()
                .u8(1)
                .u8(usage_byte(cert.usage))
                .u64(cert.place)
                .time(cert.not_before)
                .time(cert.not_after),
        }
        .done();
        value.extend(self.key.to_bytes());
        value
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let usage = match r.u8()? {
            0 => None,
            1 => Some(KeyUsage::Records),
            2 => Some(KeyUsage::Log),
            3 => Some(KeyUsage::Witness),
            _ => return None,
        };
        let cert = match usage {
            None => None,
            Some(usage) => {
                let (place, not_before, not_after) = (r.u64()?, r.time()?, r.time()?);
                Some(Certified { usage, place, not_before, not_after })
            }
        };
        Some(Self { key: PublicKey::from_bytes(r.0).ok()?, cert })
    }
}

fn usage_byte(usage: KeyUsage) -> u8 {
    match usage {
        KeyUsage::Records => 1,
        KeyUsage::Log => 2,
        KeyUsage::Witness => 3,
    }
}

/// The key.
#[must_use]
pub(crate) fn key(id: &KeyId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_reads_back() {
        let key = custody::SecretKey::from_seed(&[5; 32]).public();
        let identity = Signer::identity(key.clone());
        assert_eq!(Signer::decode(&identity.encode()), Some(identity));
        for usage in [KeyUsage::Records, KeyUsage::Log, KeyUsage::Witness] {
            let cert = KeyCert {
                site: "east".parse().unwrap(),
                usage,
                key_id: key.id(),
                public_key: key.to_hex(),
                name: None,
                not_before: WallTime(-5),
                not_after: WallTime(7),
            };
            let signer = Signer::certified(&cert, 258).unwrap();
            let value = signer.encode();
            assert_eq!(Signer::decode(&value[..value.len() - 1]), None);
            assert_eq!(Signer::decode(&value), Some(signer));
        }
    }
}
