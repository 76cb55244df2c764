//! The bytes of a log entry. A log holds commitments, never what they commit to, so that footage,
//! names and reasons may expire and the log still stands.
//!
//! ```text
//! a site's record      = "WHR1" kind:u8 SHA-256(DSSE envelope)[32]                    37 bytes
//! a controller's event = "WHE1" SHA-256( salt[32] || SHA-256(body) )[32]              36 bytes
//! ```
//! An envelope carries a signature by a key that is destroyed within a day: its digest confirms no
//! guess at its content, so it needs no salt. An event is unsigned, so it has one.

use crate::ids::Digest;
use crate::record::Kind;

/// Bytes of a record's entry.
pub const RECORD_BYTES: usize = 37;
/// Bytes of an event's entry.
pub const EVENT_BYTES: usize = 36;

/// The entry of a record whose envelope has this digest.
#[must_use]
pub fn record(kind: Kind, envelope: Digest) -> [u8; RECORD_BYTES] {
    let mut entry = [0; RECORD_BYTES];
    entry[..4].copy_from_slice(b"WHR1");
    entry[4] = kind.code();
    entry[5..].copy_from_slice(&envelope.0);
    entry
}

/// Reads what [`record`] made.
#[must_use]
pub fn read_record(entry: &[u8]) -> Option<(Kind, Digest)> {
    let rest = entry.strip_prefix(b"WHR1")?;
    let (kind, digest) = rest.split_first()?;
    Some((Kind::from_code(*kind)?, Digest(digest.try_into().ok()?)))
}

/// The entry of an event with this body, under its salt.
#[must_use]
pub fn event(salt: &[u8; 32], body: &[u8]) -> [u8; EVENT_BYTES] {
    let mut entry = [0; EVENT_BYTES];
    entry[..4].copy_from_slice(b"WHE1");
    entry[4..].copy_from_slice(&Digest::of_parts(&[salt, &Digest::of(body).0]).0);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_entry_reads_back_and_every_kind_has_its_number() {
        for kind in Kind::ALL {
            let entry = record(kind, Digest::of(b"envelope"));
            assert_eq!(read_record(&entry), Some((kind, Digest::of(b"envelope"))));
            assert_eq!(read_record(&entry[..36]), None);
        }
        assert_eq!(read_record(&event(&[1; 32], b"{}")), None);
    }

    #[test]
    fn an_event_cannot_be_guessed_without_its_salt() {
        assert_ne!(event(&[1; 32], b"{}"), event(&[2; 32], b"{}"));
        assert_ne!(event(&[1; 32], b"{}"), event(&[1; 32], b"{ }"));
    }
}
