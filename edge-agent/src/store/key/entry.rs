//! Family `log`: the site log. Key: place as `u64`. Value: the envelope's exact bytes.

use super::{Reader, Writer};

/// The key.
#[must_use]
pub(crate) fn key(place: u64) -> Vec<u8> {
    Writer::default().u64(place).done()
}

/// Reads a key.
#[must_use]
pub(crate) fn decode_key(bytes: &[u8]) -> Option<u64> {
    let mut r = Reader(bytes);
    let place = r.u64()?;
    r.end()?;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back_in_order() {
        assert_eq!(decode_key(&key(258)), Some(258));
        assert!(key(255) < key(256));
        assert_eq!(decode_key(&[0; 9]), None);
    }
}
