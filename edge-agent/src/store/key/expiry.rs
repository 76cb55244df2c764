//! Family `expiry`: stored segments of all cameras, oldest end first: the order in which they go.
//!
//! ```text
//! key   = end camera 0x00 seq:u64
//! value = 1:u8 start bytes:u64 root[32] epoch:u64
//! ```

use custody::record::SegmentRef;
use custody::{CameraId, Digest, Seq, SiteId, WallTime};

use super::{Reader, Writer};

/// What retention must know of a stored segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// Whose footage.
    pub camera: CameraId,
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// From.
    pub start: WallTime,
    /// To. Its age counts from here.
    pub end: WallTime,
    /// The file's length.
    pub bytes: u64,
    /// The fragment tree's root.
    pub root: Digest,
    /// The hour under whose key it is sealed.
    pub epoch: u64,
}

impl SegmentRow {
    /// The key.
    #[must_use]
    pub(crate) fn key(&self) -> Vec<u8> {
        Writer::default().time(self.end).camera(&self.camera).u64(self.seq.0).done()
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let out = Writer::default().u8(1).time(self.start).u64(self.bytes);
        out.digest(self.root).u64(self.epoch).done()
    }

    /// Reads what [`Self::key`] and [`Self::encode`] wrote.
    #[must_use]
    pub(crate) fn decode(site: &SiteId, key: &[u8], value: &[u8]) -> Option<Self> {
        let (mut k, mut v) = (Reader(key), Reader(value));
        let (end, camera, seq) = (k.time()?, k.camera(site)?, k.seq()?);
        v.version(1)?;
        let row = Self {
            camera,
            seq,
            start: v.time()?,
            end,
            bytes: v.u64()?,
            root: v.digest()?,
            epoch: v.u64()?,
        };
        k.end()?;
        v.end()?;
        Some(row)
    }

    /// How records name it.
    #[must_use]
    pub(crate) fn reference(&self) -> SegmentRef {
        SegmentRef { seq: self.seq, root: self.root, start: self.start, end: self.end }
    }
}

/// The first key of segments that end after `time`.
#[must_use]
pub(crate) fn after(time: WallTime) -> Vec<u8> {
    Writer::default().time(time.plus_micros(1)).done()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_reads_back_and_sorts_by_end(start: i64, end in -10_000_i64..10_000, other in -10_000_i64..10_000, seq: u64, bytes: u64) {
            let site: SiteId = "east".parse().unwrap();
            let row = SegmentRow {
                camera: "east/ext-01".parse().unwrap(),
                seq: Seq(seq),
                start: WallTime(start),
                end: WallTime(end),
                bytes,
                root: Digest([7; 32]),
                epoch: 5,
            };
            prop_assert_eq!(SegmentRow::decode(&site, &row.key(), &row.encode()), Some(row.clone()));
            prop_assert_eq!(row.key() < after(WallTime(other)), end <= other);
        }
    }
}
