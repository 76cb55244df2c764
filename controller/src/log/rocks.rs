//! The log on this machine's disc: RocksDB, every append one synced write batch of entries, salts
//! and tree hashes.
//!
//! One process has the folder (RocksDB's own lock); inside it one append at a time, so that
//! positions are dense. A synced batch is one fsync: about 1 to 10 ms on the discs we have, which
//! is far more than people and sites ask of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use custody::Digest;
use custody::log::tiles::{self, Hashes, TreeError};
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use super::key::{entry, format, instance, node, salt, signed, stream_end};
use super::{AppendError, Body, Entry, EventLog, Fatal, Head, Nodes, SignError, Stored, Stream};

/// The log in a folder.
pub struct RocksLog {
    db: DB,
    instance: String,
    /// The position that comes next. Held while a batch is written: appends are one after another.
    next: Mutex<u64>,
}

impl RocksLog {
    /// Opens the log in `folder`, or begins one there.
    ///
    /// # Errors
    /// When another process has it, the disc fails, or a later program wrote it.
    pub fn open(folder: &Path) -> Result<Self, Fatal> {
        let doing = || format!("opening {}", folder.display());
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_paranoid_checks(true);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        // A torn last batch goes; anything else that is damaged is not passed over.
        options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_keep_log_file_num(4);
        let db = DB::open(&options, folder).map_err(|e| Fatal::new(doing(), e))?;
        match db.get(format::KEY).map_err(|e| Fatal::new(doing(), e))? {
            Some(version) => format::check(&version).map_err(|e| Fatal::new(doing(), e))?,
            None => {
                let mut batch = WriteBatch::default();
                batch.put(format::KEY, [format::VERSION]);
                batch.put(instance::KEY, hex::encode(random::<4>()));
                db.write_opt(batch, &synced()).map_err(|e| Fatal::new(doing(), e))?;
            }
        }
        let last = last_position(&db).map_err(|e| Fatal::new(doing(), e))?;
        let next = Mutex::new(last.map_or(0, |position| position + 1));
        let own = db.get(instance::KEY).map_err(|e| Fatal::new(doing(), e))?.unwrap_or_default();
        let instance = instance::read_value(&own).map_err(|e| Fatal::new(doing(), e))?;
        Ok(Self { db, instance, next })
    }

    /// Puts an entry's salt and the tree hashes that it completes into `batch`; `fresh` holds those
    /// that are in the batch already.
    fn grow(
        &self,
        batch: &mut WriteBatch,
        fresh: &mut BTreeMap<u64, Digest>,
        position: u64,
        value: Vec<u8>,
    ) -> Result<(), Fatal> {
        let body = Body { bytes: value, salt: random() };
        let new = tiles::append(position, body.leaf(), &Growing { log: self, fresh })
            .map_err(|e| Fatal::new(format!("adding entry {position} to the tree"), e))?;
        for (number, hash) in new {
            batch.put(node::key(number), hash.0);
            fresh.insert(number, hash);
        }
        batch.put(salt::key(position), body.salt);
        batch.put(entry::key(position), body.bytes);
        Ok(())
    }

    fn stream_entries(&self, stream: &Stream) -> Result<u64, Fatal> {
        let doing = || format!("looking for stream {stream}");
        match self.db.get(stream_end::key(stream)).map_err(|e| Fatal::new(doing(), e))? {
            Some(value) => stream_end::read_value(&value).map_err(|e| Fatal::new(doing(), e)),
            None => Ok(0),
        }
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }
}

/// The tree with what is about to be written.
struct Growing<'a> {
    log: &'a RocksLog,
    fresh: &'a BTreeMap<u64, Digest>,
}

impl Hashes for Growing<'_> {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        self.fresh.get(&number).copied().map_or_else(|| Nodes(self.log).hash(number), Ok)
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("aws-lc's random source does not fail once seeded");
    bytes
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn last_position(db: &DB) -> Result<Option<u64>, rocksdb::Error> {
    let last = db.iterator(IteratorMode::From(&entry::key(u64::MAX), Direction::Reverse)).next();
    Ok(last.transpose()?.and_then(|(key, _)| entry::read_key(&key)))
}

impl EventLog for RocksLog {
    fn append(
        &self,
        stream: &Stream,
        expected: u64,
        entries: &[Entry],
    ) -> Result<Range<u64>, AppendError> {
        // A panic elsewhere while this was held left the number as the last good write set it.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.stream_entries(stream).map_err(AppendError::Fatal)?;
        if found != expected {
            return Err(AppendError::Conflict { stream: stream.clone(), expected, found });
        }
        let (mut batch, mut fresh) = (WriteBatch::default(), BTreeMap::new());
        let (mut position, mut version) = (*next, expected);
        for entry in entries {
            let stored = Stored::place(entry.clone(), stream.clone(), version, position);
            self.grow(&mut batch, &mut fresh, position, entry::value(&stored))
                .map_err(AppendError::Fatal)?;
            position += 1;
            version += 1;
        }
        batch.put(stream_end::key(stream), stream_end::value(version));
        self.db.write_opt(batch, &synced()).map_err(|e| {
            AppendError::Fatal(Fatal::new(format!("appending to stream {stream}"), e))
        })?;
        let positions = *next..position;
        *next = position;
        Ok(positions)
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<Stored>, Fatal> {
        let doing = || format!("reading from entry {from}");
        let mut found = Vec::new();
        let start = entry::key(from);
        for item in self.db.iterator(IteratorMode::From(&start, Direction::Forward)).take(limit) {
            let (key, value) = item.map_err(|e| Fatal::new(doing(), e))?;
            let Some(position) = entry::read_key(&key) else { break };
            let stored = entry::read_value(position, &value);
            found.push(stored.map_err(|e| Fatal::new(doing(), e))?);
        }
        Ok(found)
    }

    fn head(&self) -> Result<u64, Fatal> {
        Ok(*self.next.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn instance(&self) -> &str {
        &self.instance
    }

    fn body(&self, position: u64) -> Result<Option<Body>, Fatal> {
        let doing = || format!("reading the body of entry {position}");
        let get = |key: [u8; 9]| self.db.get(key).map_err(|e| Fatal::new(doing(), e));
        let Some(bytes) = get(entry::key(position))? else { return Ok(None) };
        let found = get(salt::key(position))?.unwrap_or_default();
        let salt = salt::read_value(position, &found).map_err(|e| Fatal::new(doing(), e))?;
        Ok(Some(Body { bytes, salt }))
    }

    fn node(&self, number: u64) -> Result<Option<Digest>, Fatal> {
        let doing = || format!("reading tree hash {number}");
        let found = self.db.get(node::key(number)).map_err(|e| Fatal::new(doing(), e))?;
        let read = |value: Vec<u8>| node::read_value(number, &value);
        found.map(read).transpose().map_err(|e| Fatal::new(doing(), e))
    }

    fn signed(&self) -> Result<Option<Head>, Fatal> {
        let doing = "reading the signed tree head";
        let found = self.db.get(signed::KEY).map_err(|e| Fatal::new(doing, e))?;
        let read = |value: Vec<u8>| signed::read_value(&value);
        found.map(read).transpose().map_err(|e| Fatal::new(doing, e))
    }

    fn keep_signed(&self, expected: Option<Head>, new: Head) -> Result<(), SignError> {
        // One at a time, as appends are: what is compared is what is replaced.
        let _turn = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.signed().map_err(SignError::Fatal)?;
        if found != expected {
            return Err(SignError::Conflict { expected, found });
        }
        let mut batch = WriteBatch::default();
        batch.put(signed::KEY, signed::value(&new));
        self.db
            .write_opt(batch, &synced())
            .map_err(|e| SignError::Fatal(Fatal::new("keeping the signed tree head", e)))
    }
}

#[cfg(test)]
mod tests;
