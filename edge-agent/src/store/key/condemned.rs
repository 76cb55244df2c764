//! Family `condemned`: files whose erasure is logged and that may still be there.
//!
//! ```text
//! key   = camera 0x00 seq:u64
//! value = 1:u8 epoch:u64
//! ```

use custody::{CameraId, Seq, SiteId};

use super::{Reader, Writer, link};

/// One condemned file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CondemnedRow {
    /// Whose footage it was.
    pub camera: CameraId,
    /// Its place in the chain.
    pub seq: Seq,
    /// In which hour's folder it lies.
    pub epoch: u64,
}

impl CondemnedRow {
    /// The key.
    #[must_use]
    pub(crate) fn key(&self) -> Vec<u8> {
        link::key(&self.camera, self.seq)
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::default().u8(1).u64(self.epoch).done()
    }

    /// Reads a row.
    #[must_use]
    pub(crate) fn decode(site: &SiteId, key: &[u8], value: &[u8]) -> Option<Self> {
        let (camera, seq) = link::decode_key(site, key)?;
        let mut r = Reader(value);
        r.version(1)?;
        let epoch = r.u64()?;
        r.end()?;
        Some(Self { camera, seq, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condemned_file_reads_back() {
        let row = CondemnedRow { camera: "east/int-02".parse().unwrap(), seq: Seq(8), epoch: 77 };
        let site = "east".parse().unwrap();
        assert_eq!(CondemnedRow::decode(&site, &row.key(), &row.encode()), Some(row));
    }
}
