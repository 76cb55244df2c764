//! The fact `checkpoint`: the greatest tree of the site log that may have been signed. Written and
//! synced before it is signed.
//!
//! ```text
//! value = 1:u8 size:u64 root[32]
//! ```

use custody::Digest;

use super::{Reader, Writer};

/// The key, in family `facts`.
pub(crate) const KEY: &[u8] = b"checkpoint";

/// The value.
#[must_use]
pub(crate) fn encode(size: u64, root: Digest) -> Vec<u8> {
    Writer::default().u8(1).u64(size).digest(root).done()
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Digest)> {
    let mut r = Reader(bytes);
    r.version(1)?;
    let checkpoint = (r.u64()?, r.digest()?);
    r.end()?;
    Some(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back() {
        let root = Digest::of(b"root");
        assert_eq!(decode(&encode(9, root)), Some((9, root)));
        assert_eq!(decode(&encode(9, root)[..40]), None);
    }
}
