//! In family `facts`: a rotation of the keys that is logged and not yet known to be finished.
//!
//! ```text
//! key   = "rotation"
//! value = 1:u8 next site key's SHA-256[32] count:u64 destroyed hour:u64[count] re-keyed hour:u64...
//! ```

use custody::Digest;

use super::{Reader, Writer};

/// The key.
pub(crate) const KEY: &[u8] = b"rotation";

/// What a rotation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RotationRow {
    /// The digest of the site key that follows.
    pub site_key: Digest,
    /// The hours that go.
    pub destroyed: Vec<u64>,
    /// The hours whose keys change.
    pub rekeyed: Vec<u64>,
}

impl RotationRow {
    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().u8(1).digest(self.site_key);
        let writer = writer.u64(self.destroyed.len() as u64);
        let hours = self.destroyed.iter().chain(&self.rekeyed);
        hours.fold(writer, |writer, hour| writer.u64(*hour)).done()
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let site_key = r.digest()?;
        let count = usize::try_from(r.u64()?).ok()?;
        let mut destroyed = Vec::new();
        while r.end().is_none() {
            destroyed.push(r.u64()?);
        }
        if count > destroyed.len() {
            return None;
        }
        let rekeyed = destroyed.split_off(count);
        Some(Self { site_key, destroyed, rekeyed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_reads_back() {
        let row =
            RotationRow { site_key: Digest::of(b"k"), destroyed: vec![1, 2], rekeyed: vec![3] };
        assert_eq!(RotationRow::decode(&row.encode()), Some(row.clone()));
        assert_eq!(RotationRow::decode(&row.encode()[..50]), None);
    }
}
