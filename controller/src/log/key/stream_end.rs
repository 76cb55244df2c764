//! How many entries a stream has: what an append's expectation is compared with.

use super::BadRecord;
use crate::log::Stream;

/// The kind.
pub const KIND: u8 = 3;

/// The key of a stream.
#[must_use]
pub fn key(stream: &Stream) -> Vec<u8> {
    let mut key = vec![KIND];
    key.extend_from_slice(stream.as_str().as_bytes());
    key
}

/// The stream of a key.
///
/// # Errors
/// When it is no such key.
pub fn read_key(key: &[u8]) -> Result<Stream, BadRecord> {
    match key.split_first() {
        Some((&KIND, name)) => String::from_utf8(name.to_vec())
            .map(Stream::stored)
            .map_err(|e| BadRecord::because("a stream's name is not text", e)),
        _ => Err(BadRecord::new("not the key of a stream")),
    }
}

/// The value: entries in the stream.
#[must_use]
pub fn value(entries: u64) -> [u8; 8] {
    entries.to_be_bytes()
}

/// Reads the value.
///
/// # Errors
/// When it is not eight bytes.
pub fn read_value(value: &[u8]) -> Result<u64, BadRecord> {
    value
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| BadRecord::new("a stream's end is not eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_end_reads_back() {
        let stream = Stream::access();
        assert_eq!(read_key(&key(&stream)).unwrap(), stream);
        assert_eq!(read_value(&value(7)).unwrap(), 7);
        assert!(read_value(&[0; 7]).is_err());
        assert!(read_key(&[2, 1]).is_err());
    }
}
