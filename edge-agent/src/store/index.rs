//! RocksDB as the store uses it: families, batches, bounded walks. Knows nothing of what rows mean,
//! but that those of the site log are packed.
//!
//! Memory: 32 MiB of write buffers and 32 MiB of block cache for all families together, 64 MiB of
//! write-ahead log, 256 open files. Its own log is written before a commit returns and synced by
//! [`Index::sync`]; recovery keeps every whole batch up to the first torn one.
//!
//! Recording comes first: flushes and compactions write no faster than
//! [`limits::INDEX_COMPACTION_BYTES_PER_SECOND`]. Their threads keep the priority of all others: on a
//! machine whose cores are taken they would starve, and then RocksDB would hold up the writers.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, Direction,
    IteratorMode, Options, ReadOptions, WriteBatch,
};

use super::key::{Family, entry};
use super::{StoreError, aside};
use crate::limits;

/// The open index.
pub(super) struct Index {
    db: DB,
    /// Where it lies; none for one that is only looked into.
    folder: Option<PathBuf>,
}

/// Changes that are made together or not at all, in the order given: a later one of the same key
/// holds.
#[derive(Default)]
pub(super) struct Batch(Vec<Change>);

/// A family, a key, and its new value; none: it goes.
type Change = (Family, Vec<u8>, Option<Vec<u8>>);

impl Batch {
    pub(super) fn put(&mut self, family: Family, key: Vec<u8>, value: impl Into<Vec<u8>>) {
        self.0.push((family, key, Some(value.into())));
    }

    pub(super) fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.0.push((family, key, None));
    }
}

/// A key and its value.
pub(super) type Row = (Box<[u8]>, Box<[u8]>);

/// How the index lies on the disc, for a program that opens it while no store does.
#[must_use]
pub fn layout() -> (Options, Vec<ColumnFamilyDescriptor>) {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(limits::INDEX_WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(limits::INDEX_LOG_BYTES_MAX);
    options.set_max_open_files(limits::INDEX_FILES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_background_jobs(2);
    options.set_ratelimiter(limits::INDEX_COMPACTION_BYTES_PER_SECOND, 100_000, 10);
    // Small pieces, so that a sync of footage never waits for a whole table file.
    options.set_bytes_per_sync(1 << 20);
    options.set_wal_bytes_per_sync(1 << 20);
    let cache = Cache::new_lru_cache(limits::INDEX_CACHE_BYTES);
    let families = Family::ALL.map(|family| {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        if family == Family::Log {
            // Records of one kind are alike: more of them in a block compress better.
            blocks.set_block_size(limits::INDEX_LOG_BLOCK_BYTES);
        }
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(limits::INDEX_WRITE_BUFFER_BYTES / 4);
        options.set_block_based_table_factory(&blocks);
        ColumnFamilyDescriptor::new(family.name(), options)
    });
    (options, families.into())
}

/// A value as its family keeps it.
fn kept(family: Family, value: &[u8]) -> Cow<'_, [u8]> {
    if family == Family::Log { Cow::Owned(entry::pack(value)) } else { Cow::Borrowed(value) }
}

impl Index {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let (options, families) = layout();
        let db = DB::open_cf_descriptors(&options, folder, families).map_err(|error| {
            let folder = folder.display();
            StoreError::Fatal {
                what: format!("opening the index {folder}"),
                source: aside::as_io(error),
            }
        })?;
        Ok(Self { db, folder: Some(folder.to_owned()) })
    }

    /// Opens these families of an index that another process may be writing; what it writes later is not
    /// seen. How rows are compressed stands in the files.
    pub(super) fn open_to_read(folder: &Path, families: &[Family]) -> Result<Self, StoreError> {
        let names = families.iter().map(|family| family.name());
        let db = DB::open_cf_for_read_only(&Options::default(), folder, names, false);
        db.map(|db| Self { db, folder: None }).map_err(|error| StoreError::DiscFault {
            what: format!("looking into the index {}", folder.display()),
            source: io::Error::other(error),
        })
    }

    fn family(&self, family: Family) -> std::sync::Arc<rocksdb::BoundColumnFamily<'_>> {
        self.db.cf_handle(family.name()).expect("a family is opened before it is read")
    }

    /// Writes to the index's own log; not yet synced.
    pub(super) fn write(&self, batch: &Batch) -> io::Result<()> {
        let mut out = WriteBatch::default();
        for (family, key, value) in &batch.0 {
            match value {
                Some(value) => out.put_cf(&self.family(*family), key, kept(*family, value)),
                None => out.delete_cf(&self.family(*family), key),
            }
        }
        self.db.write(out).map_err(|error| self.noted(error))
    }

    /// Everything written before this call survives power loss after it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.db.flush_wal(true).map_err(io::Error::other)
    }

    pub(super) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value =
            self.db.get_cf(&self.family(family), key).map_err(|e| self.unreadable(family, e))?;
        value.map(|value| self.given(family, value)).transpose()
    }

    /// Rows from `lower` up to but without `upper`, in order. No `upper`: to the family's end.
    pub(super) fn rows(
        &self,
        family: Family,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        self.walk(family, lower, upper, Direction::Forward)
    }

    /// The same rows, last first.
    pub(super) fn rows_back(
        &self,
        family: Family,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        self.walk(family, lower, upper, Direction::Reverse)
    }

    fn walk(
        &self,
        family: Family,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
        direction: Direction,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        let mut options = ReadOptions::default();
        // RocksDB takes a lower bound above the upper one for a mistake; here it is no rows.
        let empty = upper.as_ref().is_some_and(|upper| *upper <= lower);
        if !empty {
            options.set_iterate_lower_bound(lower);
            if let Some(upper) = upper {
                options.set_iterate_upper_bound(upper);
            }
        }
        let mode = match direction {
            Direction::Forward => IteratorMode::Start,
            Direction::Reverse => IteratorMode::End,
        };
        self.db
            .iterator_cf_opt(&self.family(family), options, mode)
            .take(if empty { 0 } else { usize::MAX })
            .map(move |row| {
                let (key, value) = row.map_err(|e| self.unreadable(family, e))?;
                Ok((key, self.given(family, value.into_vec())?.into_boxed_slice()))
            })
    }

    /// A value as it was given.
    fn given(&self, family: Family, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if family != Family::Log {
            return Ok(value);
        }
        entry::unpack(&value).ok_or_else(|| {
            if let Some(folder) = &self.folder {
                aside::note_damage(folder);
            }
            let why = "a record does not unpack";
            let source = io::Error::new(io::ErrorKind::InvalidData, why);
            StoreError::Fatal { what: "reading the index's log".into(), source }
        })
    }

    fn unreadable(&self, family: Family, error: rocksdb::Error) -> StoreError {
        let what = format!("reading the index's {}", family.name());
        StoreError::Fatal { what, source: self.noted(error) }
    }

    /// A damaged index is noted beside it, so that the next start builds it again.
    fn noted(&self, error: rocksdb::Error) -> io::Error {
        let source = aside::as_io(error);
        if let (io::ErrorKind::InvalidData, Some(folder)) = (source.kind(), &self.folder) {
            aside::note_damage(folder);
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_keep_to_their_bounds_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let mut batch = Batch::default();
        for key in [b"a", b"b", b"c", b"d"] {
            batch.put(Family::Links, key.to_vec(), *key);
        }
        index.write(&batch).unwrap();
        index.sync().unwrap();
        let keys = |rows: Vec<Result<Row, StoreError>>| -> Vec<u8> {
            rows.into_iter().map(|row| row.unwrap().0[0]).collect()
        };
        let bounds = || (b"b".to_vec(), Some(b"d".to_vec()));
        let (lower, upper) = bounds();
        assert_eq!(keys(index.rows(Family::Links, lower, upper).collect()), b"bc");
        let (lower, upper) = bounds();
        assert_eq!(keys(index.rows_back(Family::Links, lower, upper).collect()), b"cb");
        assert_eq!(keys(index.rows(Family::Links, b"c".to_vec(), None).collect()), b"cd");
        let none = index.rows(Family::Links, b"d".to_vec(), Some(b"b".to_vec()));
        assert_eq!(none.count(), 0);
    }
}
