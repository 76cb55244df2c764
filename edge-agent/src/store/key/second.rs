//! Family `second`: which segments lie on the second disc, and which are on their way there.
//!
//! ```text
//! key   = 'S' camera 0x00 seq:u64       it lies on the second disc
//!       | 'M' camera 0x00 seq:u64       it is being moved: the other disc may hold a copy as well
//! value = 1:u8 epoch:u64
//! ```
//! A segment without a row lies on the first disc alone. While 'M' stands alone the first copy
//! counts; once 'S' is there the second does, and 'M' goes when the first copy is gone.

use custody::{CameraId, Seq, SiteId};

use super::{Reader, Writer};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// On the second disc.
    There,
    /// On its way.
    Moving,
}

impl Mark {
    fn byte(self) -> u8 {
        match self {
            Self::There => b'S',
            Self::Moving => b'M',
        }
    }

    /// What every key of this mark begins with.
    #[must_use]
    pub(crate) fn prefix(self) -> Vec<u8> {
        vec![self.byte()]
    }
}

/// One segment's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecondRow {
    /// Whose footage.
    pub camera: CameraId,
    /// Its place in the chain.
    pub seq: Seq,
    /// In which hour's folder it lies.
    pub epoch: u64,
}

/// The key.
#[must_use]
pub(crate) fn key(mark: Mark, camera: &CameraId, seq: Seq) -> Vec<u8> {
    Writer::default().u8(mark.byte()).camera(camera).u64(seq.0).done()
}

/// The value.
#[must_use]
pub(crate) fn encode(epoch: u64) -> Vec<u8> {
    Writer::default().u8(1).u64(epoch).done()
}

/// Reads a row.
#[must_use]
pub(crate) fn decode(site: &SiteId, key: &[u8], value: &[u8]) -> Option<(Mark, SecondRow)> {
    let (mut k, mut v) = (Reader(key), Reader(value));
    let mark = match k.u8()? {
        b'S' => Mark::There,
        b'M' => Mark::Moving,
        _ => return None,
    };
    v.version(1)?;
    let row = SecondRow { camera: k.camera(site)?, seq: k.seq()?, epoch: v.u64()? };
    k.end()?;
    v.end()?;
    Some((mark, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        let (site, camera): (SiteId, CameraId) =
            ("east".parse().unwrap(), "east/int-02".parse().unwrap());
        for mark in [Mark::There, Mark::Moving] {
            let key = key(mark, &camera, Seq(8));
            let row = SecondRow { camera: camera.clone(), seq: Seq(8), epoch: 77 };
            assert_eq!(decode(&site, &key, &encode(77)), Some((mark, row)));
            assert_eq!(decode(&site, &key[..key.len() - 1], &encode(77)), None);
            assert!(key.starts_with(&mark.prefix()));
        }
    }
}
