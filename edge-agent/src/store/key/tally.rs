//! Family `tallies`: how many segments and bytes a camera has stored under an hour's key.
//!
//! ```text
//! key   = camera 0x00 epoch:u64
//! value = 1:u8 segments:u64 bytes:u64
//! ```

use custody::{CameraId, SiteId};

use super::{Reader, Writer};

/// Segments and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// How many segments.
    pub segments: u64,
    /// How many bytes of files.
    pub bytes: u64,
}

impl Tally {
    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::default().u8(1).u64(self.segments).u64(self.bytes).done()
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let tally = Self { segments: r.u64()?, bytes: r.u64()? };
        r.end()?;
        Some(tally)
    }
}

/// The key.
#[must_use]
pub(crate) fn key(camera: &CameraId, epoch: u64) -> Vec<u8> {
    Writer::default().camera(camera).u64(epoch).done()
}

/// Reads a key.
#[must_use]
pub(crate) fn decode_key(site: &SiteId, bytes: &[u8]) -> Option<(CameraId, u64)> {
    let mut r = Reader(bytes);
    let read = (r.camera(site)?, r.u64()?);
    r.end()?;
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_reads_back() {
        let (site, camera) = ("east".parse().unwrap(), "east/ext-01".parse().unwrap());
        let tally = Tally { segments: 60, bytes: 9 };
        assert_eq!(Tally::decode(&tally.encode()), Some(tally));
        assert_eq!(decode_key(&site, &key(&camera, 6)), Some((camera, 6)));
    }
}
