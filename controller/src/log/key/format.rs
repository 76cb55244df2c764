//! The version of the whole store's layout.

use super::BadRecord;

/// The key.
pub const KEY: [u8; 1] = [1];
/// The layout that this program writes.
pub const VERSION: u8 = 2;

/// The layout before entries had salts and a tree: it was never in service.
const UNPUBLISHED: u8 = 1;

/// Refuses a store that this program does not know.
///
/// # Errors
/// When the version is another.
pub fn check(value: &[u8]) -> Result<(), BadRecord> {
    match value {
        [VERSION] => Ok(()),
        [UNPUBLISHED] => Err(BadRecord::new(
            "the log has layout 1, from before logs were published, and its entries have no \
             salts: begin a new one with `controller init` in another state_dir, and keep this one \
             with the program that wrote it",
        )),
        other => Err(BadRecord::new(format!(
            "the log has layout {other:?} and this program knows {VERSION}: use the program that \
             wrote it, or a later one"
        ))),
    }
}
