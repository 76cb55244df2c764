//! The version of the whole store's layout.

use super::BadRecord;

/// The key.
pub const KEY: [u8; 1] = [1];
/// The layout that this program writes.
pub const VERSION: u8 = 1;

/// Refuses a store that this program does not know.
///
/// # Errors
/// When the version is another.
pub fn check(value: &[u8]) -> Result<(), BadRecord> {
    match value {
        [VERSION] => Ok(()),
        other => Err(BadRecord::new(format!(
            "the log has layout {other:?} and this program knows {VERSION}: use the program that \
             wrote it, or a later one"
        ))),
    }
}
