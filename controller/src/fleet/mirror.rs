//! The copy of each site's log: a site that is lost keeps its proofs. Can be thrown away: agents
//! send it again.
//!
//! RocksDB, key = site, a zero byte, index:u64 big-endian; value = DSSE envelope, byte-exact.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use custody::SiteId;
use rocksdb::{DB, IteratorMode, Options, WriteBatch, WriteOptions};

/// The copy could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the copy of the site logs failed: {0}")]
pub struct MirrorError(#[from] rocksdb::Error);

pub(super) struct Mirror {
    rows: DB,
    /// One writer at a time: a batch is checked against the size and written.
    writing: Mutex<()>,
}

fn key(site: &SiteId, index: u64) -> Vec<u8> {
    [site.as_str().as_bytes(), &[0], &index.to_be_bytes()].concat()
}

impl Mirror {
    pub(super) fn open(folder: &Path) -> Result<Self, MirrorError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(8 << 20);
        options.set_max_open_files(128);
        options.set_keep_log_file_num(2);
        Ok(Self { rows: DB::open(&options, folder)?, writing: Mutex::default() })
    }

    /// How many records of `site` are here.
    pub(super) fn size(&self, site: &SiteId) -> Result<u64, MirrorError> {
        let last = key(site, u64::MAX);
        let from = IteratorMode::From(&last, rocksdb::Direction::Reverse);
        let Some(row) = self.rows.iterator(from).next() else { return Ok(0) };
        let (found, _) = row?;
        let prefix = key(site, 0).len() - 8;
        if found.len() != last.len() || found[..prefix] != last[..prefix] {
            return Ok(0);
        }
        let index = found[prefix..].try_into().map_or(0, u64::from_be_bytes);
        Ok(index + 1)
    }

    /// Adds records that come next; skips known ones. The index wanted next.
    pub(super) fn append(
        &self,
        site: &SiteId,
        first: u64,
        records: &[Vec<u8>],
    ) -> Result<u64, MirrorError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let have = self.size(site)?;
        let count = records.len() as u64;
        let Some(known) = link::catch_up::skip(have, first, count) else { return Ok(have) };
        let fresh = &records[usize::try_from(known).unwrap_or(records.len())..];
        if fresh.is_empty() {
            return Ok(have);
        }
        let mut batch = WriteBatch::default();
        for (index, record) in (have..).zip(fresh) {
            batch.put(key(site, index), record);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.rows.write_opt(batch, &options)?;
        Ok(have + fresh.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_copied_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open(folder.path()).unwrap();
        let (east, hq): (SiteId, SiteId) = ("east".parse().unwrap(), "hq".parse().unwrap());
        let records: Vec<Vec<u8>> = (0_u8..5).map(|n| vec![n]).collect();
        assert_eq!(mirror.append(&east, 0, &[]).unwrap(), 0);
        assert_eq!(mirror.append(&east, 0, &records[..3]).unwrap(), 3);
        assert_eq!(mirror.append(&east, 1, &records[1..]).unwrap(), 5);
        assert_eq!(
            mirror.append(&east, 9, &records).unwrap(),
            5,
            "a hole is not filled with later ones"
        );
        assert_eq!(mirror.append(&hq, 0, &records[..1]).unwrap(), 1);
        assert_eq!(mirror.size(&east).unwrap(), 5);
        drop(mirror);
        let mirror = Mirror::open(folder.path()).unwrap();
        assert_eq!(mirror.size(&east).unwrap(), 5);
        assert_eq!(mirror.rows.get(key(&east, 4)).unwrap(), Some(vec![4]));
    }
}
