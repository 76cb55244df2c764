//! Family `signers`: every evidence key that has signed in this store. Key: the key id as text.
//! Value: the 32 raw bytes of the public key.

use custody::{KeyId, PublicKey};

/// The key.
#[must_use]
pub(crate) fn key(id: &KeyId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

/// The value.
#[must_use]
pub(crate) fn encode(key: &PublicKey) -> Vec<u8> {
    key.to_bytes()
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_reads_back() {
        let public = custody::SecretKey::from_seed(&[5; 32]).public();
        assert!(decode(&encode(&public)) == Some(public));
    }
}
