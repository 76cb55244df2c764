//! The copy of each site's log: a site that is lost keeps its proofs, and a site's log that is
//! rewritten is caught. Holds each record's envelope and the tree over them, computed here; a
//! checkpoint of the site must have the root that this tree has at its size.
//!
//! Can be thrown away: agents send it again, and the checkpoints that were witnessed meanwhile still
//! bind them (those lie elsewhere, see [`crate::witnessing`]).
//!
//! | file | does |
//! |---|---|
//! | `mirror/row.rs` | what lies in RocksDB |
//! | `mirror/take.rs` | takes a batch in: signers, order, tree, checkpoint |
//! | `mirror/contradiction.rs` | keeps the proof of a log that contradicts itself |
//!
//! A site has one log at a time. A rebuilt index begins a new one under a new name; the old ones
//! stay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use custody::dsse::Envelope;
use custody::log::note::Algorithm;
use custody::log::tiles::{self, Hashes, TreeError};
use custody::log::{Checkpoint, SignedCheckpoint, VerifierKey};
use custody::record::KeyUsage;
use custody::{Digest, KeyId, SiteId};
use rocksdb::{DB, Direction, IteratorMode, Options};
use tokio::sync::watch;

use super::signers::Cert;

mod contradiction;
mod row;
mod take;

pub(crate) use contradiction::keep_proof;
pub(crate) use take::{Refused, Submission, Taken};

/// The copy could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store.
    #[error("the copy of the site logs failed: {0}")]
    Store(#[from] rocksdb::Error),
    /// A row is not what it should be.
    #[error("the copy of the site logs is damaged: {0}; remove it and the sites send it again")]
    Row(String),
    /// The tree.
    #[error("the copy of the site logs is damaged: {0}; remove it and the sites send it again")]
    Tree(#[from] TreeError),
    /// The folder of proofs.
    #[error("the proof of a contradiction cannot be kept: {0}")]
    Proof(#[from] std::io::Error),
}

/// The copies of all sites' logs.
pub(crate) struct Mirror {
    rows: DB,
    /// Where proofs of contradictions are kept.
    forks: PathBuf,
    /// The outer lock is held for moments; a site's own while its batch is checked and synced.
    sites: Mutex<BTreeMap<SiteId, Arc<Mutex<Vec<Log>>>>>,
    /// Counts checkpoints that were taken.
    moved: watch::Sender<u64>,
}

/// One log of a site.
#[derive(Debug, Clone)]
struct Log {
    origin: String,
    size: u64,
    /// The newest checkpoint that agrees, and the key that signed it.
    agreed: Option<Agreed>,
    /// The arrival that was last dealt with.
    arrival: u64,
}

/// A checkpoint, the key that signed it, and its note.
type Agreed = (VerifierKey, Checkpoint, Arc<Vec<u8>>);

/// A site's present log as far as it was checked here.
#[derive(Debug, Clone)]
pub(crate) struct Mirrored {
    /// Whose.
    pub(crate) site: SiteId,
    /// The key that signed the checkpoint.
    pub(crate) vkey: VerifierKey,
    /// The newest checkpoint that agrees with the copy.
    pub(crate) checkpoint: Checkpoint,
    /// Its note, signed by the log alone.
    pub(crate) note: Arc<Vec<u8>>,
}

/// A place in a site's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which log.
    pub origin: String,
    /// Where in it.
    pub index: u64,
}

impl Mirror {
    /// Opens the copies in `folder`; proofs of contradictions go to `forks`.
    pub(crate) fn open(folder: &Path, forks: &Path) -> Result<Self, MirrorError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(8 << 20);
        options.set_max_open_files(128);
        options.set_keep_log_file_num(2);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        let mut rows = DB::open(&options, folder)?;
        if rows.get(row::FORMAT)?.as_deref() != Some(&row::VERSION) {
            // Of an earlier layout, or new: the sites send everything again.
            drop(rows);
            DB::destroy(&options, folder)?;
            rows = DB::open(&options, folder)?;
            rows.put(row::FORMAT, row::VERSION)?;
        }
        let moved = watch::Sender::new(0);
        let mirror = Self { rows, forks: forks.to_owned(), sites: Mutex::default(), moved };
        mirror.load()?;
        Ok(mirror)
    }

    fn load(&self) -> Result<(), MirrorError> {
        let mut sites: BTreeMap<SiteId, Vec<Log>> = BTreeMap::new();
        let from = IteratorMode::From(&[2], Direction::Forward);
        for item in self.rows.iterator(from) {
            let (key, origin) = item?;
            // Numbers are dense and sort as they began.
            let Some((site, _)) = row::read_log(&key) else { break };
            let origin = String::from_utf8(origin.to_vec())
                .map_err(|_| MirrorError::Row("a log's name is no text".to_owned()))?;
            let size = self.stored_size(&origin)?;
            let mut log = Log { origin, size, agreed: None, arrival: 0 };
            log.agreed = self.stored_checkpoint(&log.origin)?;
            sites.entry(site).or_default().push(log);
        }
        let sites = sites.into_iter().map(|(site, logs)| (site, Arc::new(Mutex::new(logs))));
        *self.sites.lock().unwrap_or_else(PoisonError::into_inner) = sites.collect();
        Ok(())
    }

    fn stored_size(&self, origin: &str) -> Result<u64, MirrorError> {
        let last = row::body(origin, u64::MAX);
        let item = self.rows.iterator(IteratorMode::From(&last, Direction::Reverse)).next();
        let Some((key, _)) = item.transpose()? else { return Ok(0) };
        Ok(row::read_body(origin, &key).map_or(0, |index| index + 1))
    }

    fn stored_checkpoint(&self, origin: &str) -> Result<Option<Agreed>, MirrorError> {
        let Some(bytes) = self.rows.get(row::checkpoint(origin))? else { return Ok(None) };
        let bad = || MirrorError::Row(format!("the checkpoint of {origin} does not read"));
        let note = SignedCheckpoint::read(&bytes).map_err(|_| bad())?;
        let keys = self.vkeys(origin, KeyUsage::Log)?;
        let signed = keys.into_iter().find(|vkey| note.check(vkey).is_ok()).ok_or_else(bad)?;
        Ok(Some((signed, note.checkpoint().clone(), Arc::new(bytes))))
    }

    fn logs(&self, site: &SiteId) -> Arc<Mutex<Vec<Log>>> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.entry(site.clone()).or_default().clone()
    }

    /// What is known of a site's logs, the present one last.
    fn look<T>(&self, site: &SiteId, look: impl FnOnce(&[Log]) -> T) -> T {
        look(&self.logs(site).lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many records of the site's present log are here.
    pub(crate) fn size(&self, site: &SiteId) -> u64 {
        self.look(site, |logs| logs.last().map_or(0, |log| log.size))
    }

    /// A signal whenever a site's checkpoint was taken.
    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Each site's present log, where a checkpoint of it has been checked.
    pub(crate) fn mirrored(&self) -> Vec<Mirrored> {
        let sites: Vec<_> = {
            let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
            sites.iter().map(|(site, logs)| (site.clone(), logs.clone())).collect()
        };
        let of_site = |(site, logs): (SiteId, Arc<Mutex<Vec<Log>>>)| {
            let logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
            let (vkey, checkpoint, note) = logs.last()?.agreed.clone()?;
            Some(Mirrored { site, vkey, checkpoint, note })
        };
        sites.into_iter().filter_map(of_site).collect()
    }

    /// Where the record whose envelope has this digest stands; the newest log that has it.
    pub(crate) fn place(
        &self,
        site: &SiteId,
        envelope: Digest,
    ) -> Result<Option<Place>, MirrorError> {
        let origins: Vec<String> =
            self.look(site, |logs| logs.iter().rev().map(|log| log.origin.clone()).collect());
        for origin in origins {
            if let Some(value) = self.rows.get(row::digest(&origin, envelope))? {
                let index = value.try_into().map(u64::from_be_bytes);
                let index = index.map_err(|_| MirrorError::Row("an index".to_owned()))?;
                return Ok(Some(Place { origin, index }));
            }
        }
        Ok(None)
    }

    /// The record at a place.
    pub(crate) fn record(&self, origin: &str, index: u64) -> Result<Envelope, MirrorError> {
        let missing = || MirrorError::Row(format!("record {index} of {origin} does not read"));
        let bytes = self.rows.get(row::body(origin, index))?.ok_or_else(missing)?;
        Envelope::read(&bytes).map_err(|_| missing())
    }

    /// A certified key of a log, and where its certificate stands.
    pub(crate) fn cert(
        &self,
        origin: &str,
        key: &KeyId,
    ) -> Result<Option<(u64, Cert)>, MirrorError> {
        let value = self.rows.get(row::cert(origin, key))?;
        value
            .map(|value| row::read_cert(&value).ok_or_else(|| MirrorError::Row("a key".to_owned())))
            .transpose()
    }

    /// The certified keys of a log or a witness, the youngest first; at most
    /// [`crate::limits::NAMED_KEYS`].
    pub(crate) fn vkeys(
        &self,
        origin: &str,
        usage: KeyUsage,
    ) -> Result<Vec<VerifierKey>, MirrorError> {
        let mut found = Vec::new();
        for cert in self.named(origin)? {
            let algorithm = match usage {
                KeyUsage::Log => Algorithm::Ed25519,
                KeyUsage::Witness => Algorithm::CosignatureV1,
                KeyUsage::Records => return Ok(Vec::new()),
            };
            let fits = cert.usage == usage && (usage != KeyUsage::Log || cert.name == origin);
            if fits && let Ok(vkey) = VerifierKey::new(&cert.name, algorithm, cert.key) {
                found.push((cert.not_before, vkey));
            }
        }
        found.sort_by_key(|(not_before, _)| std::cmp::Reverse(*not_before));
        found.truncate(crate::limits::NAMED_KEYS);
        Ok(found.into_iter().map(|(_, vkey)| vkey).collect())
    }

    /// The certified keys of a log that are not for records: a few in ten years.
    fn named(&self, origin: &str) -> Result<Vec<Cert>, MirrorError> {
        let prefix = row::all_named(origin);
        let mut found = Vec::new();
        for item in self.rows.iterator(IteratorMode::From(&prefix, Direction::Forward)) {
            let (key, value) = item?;
            if !key.starts_with(&prefix) {
                break;
            }
            let cert =
                row::read_cert(&value).ok_or_else(|| MirrorError::Row("a key".to_owned()))?;
            found.push(cert.1);
        }
        Ok(found)
    }

    /// The names of a site's logs, the present one last.
    pub(crate) fn origins(&self, site: &SiteId) -> Vec<String> {
        self.look(site, |logs| logs.iter().map(|log| log.origin.clone()).collect())
    }

    /// The hashes of a log's tree.
    pub(crate) fn nodes<'a>(&'a self, origin: &'a str) -> MirrorNodes<'a> {
        MirrorNodes { rows: &self.rows, origin }
    }

    /// The audit path of a record in the tree at `size`.
    pub(crate) fn inclusion(
        &self,
        origin: &str,
        size: u64,
        index: u64,
    ) -> Result<Vec<Digest>, MirrorError> {
        Ok(tiles::inclusion(size, index, &self.nodes(origin))?)
    }
}

/// The hashes of one log's tree.
pub(crate) struct MirrorNodes<'a> {
    rows: &'a DB,
    origin: &'a str,
}

impl Hashes for MirrorNodes<'_> {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let found = self.rows.get(row::node(self.origin, number));
        let found = found.map_err(|error| TreeError::new(error.to_string()))?;
        let hash = found.and_then(|value| value.try_into().ok()).map(Digest);
        hash.ok_or_else(|| TreeError::new(format!("hash {number} of {} is missing", self.origin)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
