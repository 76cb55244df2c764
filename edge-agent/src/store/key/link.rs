//! Family `links`: one link of a camera's chain, and where its record lies in the site log.
//!
//! ```text
//! key   = camera 0x00 seq:u64
//! value = 1:u8 kind:u8 start end place:u64 digest[32]                     kind 0: a gap
//!         then, for kinds 1 (stored) and 2 (erased): bytes:u64 root[32] epoch:u64
//! ```

use custody::chain::Head;
use custody::{CameraId, Digest, Seq, SiteId, WallTime};

use super::{Reader, Writer};

/// One link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkRow {
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
    /// The record's place in the site log.
    pub place: u64,
    /// The digest of the record's envelope.
    pub digest: Digest,
    /// What it links in.
    pub what: Linked,
}

/// What a link is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// No footage.
    Gap,
    /// Footage in a file.
    Stored(FileFacts),
    /// Footage that was, and whose erasure is logged.
    Erased(FileFacts),
}

/// What the index knows of a segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// The file's length.
    pub bytes: u64,
    /// The fragment tree's root.
    pub root: Digest,
    /// The hour under whose key it is sealed, and in whose folder it lies.
    pub epoch: u64,
}

impl LinkRow {
    /// The file, unless this is a gap or erased.
    #[must_use]
    pub(crate) fn stored(&self) -> Option<FileFacts> {
        match self.what {
            Linked::Stored(file) => Some(file),
            Linked::Gap | Linked::Erased(_) => None,
        }
    }

    /// The chain's head if this is its last link.
    #[must_use]
    pub(crate) fn head(&self, seq: Seq) -> Head {
        Head { seq, digest: self.digest, end: self.end }
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, file) = match &self.what {
            Linked::Gap => (0, None),
            Linked::Stored(file) => (1, Some(file)),
            Linked::Erased(file) => (2, Some(file)),
        };
        let out = Writer::default().u8(1).u8(kind).time(self.start).time(self.end);
        let out = out.u64(self.place).digest(self.digest);
        match file {
            Some(file) => out.u64(file.bytes).digest(file.root).u64(file.epoch).done(),
            None => out.done(),
        }
    }

    /// Reads what [`Self::encode`] wrote.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let kind = r.u8()?;
        let (start, end, place, digest) = (r.time()?, r.time()?, r.u64()?, r.digest()?);
        let mut file = || Some(FileFacts { bytes: r.u64()?, root: r.digest()?, epoch: r.u64()? });
        let what = match kind {
            0 => Linked::Gap,
            1 => Linked::Stored(file()?),
            2 => Linked::Erased(file()?),
            _ => return None,
        };
        r.end()?;
        Some(Self { start, end, place, digest, what })
    }
}

/// The key.
#[must_use]
pub(crate) fn key(camera: &CameraId, seq: Seq) -> Vec<u8> {
    Writer::default().camera(camera).u64(seq.0).done()
}

/// Reads a key.
#[must_use]
pub(crate) fn decode_key(site: &SiteId, bytes: &[u8]) -> Option<(CameraId, Seq)> {
    let mut r = Reader(bytes);
    let read = (r.camera(site)?, r.seq()?);
    r.end()?;
    Some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_link_reads_back(start: i64, end: i64, place: u64, d: [u8; 32], kind in 0_u8..3, bytes: u64, epoch: u64) {
            let file = FileFacts { bytes, root: Digest(d), epoch };
            let what = match kind { 0 => Linked::Gap, 1 => Linked::Stored(file), _ => Linked::Erased(file) };
            let row = LinkRow { start: WallTime(start), end: WallTime(end), place, digest: Digest(d), what };
            let value = row.encode();
            prop_assert_eq!(LinkRow::decode(&value), Some(row));
            for cut in 0..value.len() {
                prop_assert_eq!(LinkRow::decode(&value[..cut]), None);
            }
        }

        #[test]
        fn keys_sort_by_camera_then_place(a: u64, b: u64) {
            let site: SiteId = "east".parse().unwrap();
            let (one, ten): (CameraId, CameraId) =
                ("east/ext-1".parse().unwrap(), "east/ext-10".parse().unwrap());
            prop_assert_eq!(key(&one, Seq(a)).cmp(&key(&one, Seq(b))), a.cmp(&b));
            prop_assert!(key(&one, Seq(a)) < key(&ten, Seq(b)));
            prop_assert_eq!(decode_key(&site, &key(&ten, Seq(a))), Some((ten, Seq(a))));
        }
    }
}
