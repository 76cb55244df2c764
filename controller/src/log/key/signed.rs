//! The newest tree head that may be signed: kept and synced before its checkpoint is signed, so that
//! no later run signs anything that contradicts it.
//!
//! ```text
//! key    6
//! value  size:u64 root:32 bytes
//! ```

use custody::Digest;

use super::BadRecord;
use crate::log::Head;

/// The key.
pub const KEY: [u8; 1] = [6];

/// The value.
#[must_use]
pub fn value(head: &Head) -> [u8; 40] {
    let mut value = [0; 40];
    value[..8].copy_from_slice(&head.size.to_be_bytes());
    value[8..].copy_from_slice(&head.root.0);
    value
}

/// Reads the value.
///
/// # Errors
/// When it is not forty bytes.
pub fn read_value(value: &[u8]) -> Result<Head, BadRecord> {
    let bad = || BadRecord::new("the signed tree head is not 40 bytes");
    let (size, root) = value.split_at_checked(8).ok_or_else(bad)?;
    let size = u64::from_be_bytes(size.try_into().map_err(|_| bad())?);
    Ok(Head { size, root: Digest(root.try_into().map_err(|_| bad())?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_head_reads_back() {
        let head = Head { size: 7, root: Digest::of(b"root") };
        assert_eq!(read_value(&value(&head)).unwrap(), head);
        for bad in [&[0; 39][..], &[0; 41], &[0; 7], &[]] {
            assert!(read_value(bad).is_err());
        }
    }
}
