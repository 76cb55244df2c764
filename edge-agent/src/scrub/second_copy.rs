//! Where a sound copy of a damaged segment may come from. What it gives is believed only after it was
//! checked against the signed root.

use custody::{CameraId, Seq};

/// A second place that keeps copies of sealed files.
pub trait SecondCopy: Send + Sync {
    /// The copy of a segment's file; none when there is none, or more than `bytes_max` of it. Blocks,
    /// for at most minutes.
    ///
    /// # Errors
    /// Why the second place did not answer.
    fn fetch(&self, camera: &CameraId, seq: Seq, bytes_max: u64)
    -> Result<Option<Vec<u8>>, String>;
}

/// No second place.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCopy;

impl SecondCopy for NoCopy {
    fn fetch(&self, _: &CameraId, _: Seq, _: u64) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}
