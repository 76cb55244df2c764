//! One hash of the tree over all entries (RFC 6962), in the order of `x/mod/sumdb/tlog`: each
//! hash gets its place when the entry that completes it is appended, and never changes.
//!
//! ```text
//! key    5 place:u64
//! value  32 bytes
//! ```

use custody::Digest;

use super::BadRecord;

/// The kind.
pub const KIND: u8 = 5;

/// The key of a place.
#[must_use]
pub fn key(place: u64) -> [u8; 9] {
    let mut key = [KIND; 9];
    key[1..].copy_from_slice(&place.to_be_bytes());
    key
}

/// Reads the value found at `place`.
///
/// # Errors
/// When it is not 32 bytes.
pub fn read_value(place: u64, value: &[u8]) -> Result<Digest, BadRecord> {
    value
        .try_into()
        .map(Digest)
        .map_err(|_| BadRecord::new(format!("tree hash {place} is not 32 bytes")))
}
