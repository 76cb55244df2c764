//! The salt of one entry, 32 random bytes. The published leaf commits to the entry under it, so that
//! a leaf confirms no guess at a name or a reason, and an entry's body can go while its leaf stands.
//!
//! ```text
//! key    4 position:u64
//! value  32 bytes
//! ```

use super::BadRecord;

/// The kind.
pub const KIND: u8 = 4;

/// A salt.
pub type Salt = [u8; 32];

/// The key of a position.
#[must_use]
pub fn key(position: u64) -> [u8; 9] {
    let mut key = [KIND; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

/// Reads the value found at `position`.
///
/// # Errors
/// When it is not 32 bytes.
pub fn read_value(position: u64, value: &[u8]) -> Result<Salt, BadRecord> {
    value
        .try_into()
        .map_err(|_| BadRecord::new(format!("the salt of entry {position} is not 32 bytes")))
}
