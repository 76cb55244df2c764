//! Which log this is: eight hexadecimal digits, drawn when it began. They stand in its name, so that
//! a log begun anew is another log and not a contradiction of the first.
//!
//! ```text
//! key    7
//! value  8 bytes of text
//! ```

use super::BadRecord;

/// The key.
pub const KEY: [u8; 1] = [7];

/// Reads the value.
///
/// # Errors
/// When it is not eight hexadecimal digits.
pub fn read_value(value: &[u8]) -> Result<String, BadRecord> {
    let is_digit = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    match std::str::from_utf8(value) {
        Ok(text) if text.len() == 8 && value.iter().all(is_digit) => Ok(text.to_owned()),
        _ => Err(BadRecord::new("the log's own number is not eight hexadecimal digits")),
    }
}
