//! Family `tree`: the stored hashes of the site log's tree. Key: the hash's number as `u64`, see
//! [`custody::log::tiles`]. Value: 32 bytes.

use custody::Digest;

use super::{Reader, Writer};

/// The key.
#[must_use]
pub(crate) fn key(number: u64) -> Vec<u8> {
    Writer::default().u64(number).done()
}

/// The value.
#[must_use]
pub(crate) fn encode(hash: Digest) -> Vec<u8> {
    Writer::default().digest(hash).done()
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Digest> {
    let mut r = Reader(bytes);
    let hash = r.digest()?;
    r.end()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back() {
        let hash = Digest::of(b"node");
        assert_eq!(decode(&encode(hash)), Some(hash));
        assert_eq!(decode(&[0; 31]), None);
        assert!(key(255) < key(256));
    }
}
