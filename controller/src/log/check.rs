//! The oracle: is the log whole, does it lead to the tree that was signed, and is it the one that
//! was published? Called after every step of the tests, and by `controller check-log`. Reads
//! everything; changes nothing.
//!
//! An entry changed by hand is *named*, as long as one of its hashes still stands: the tree's own
//! hashes in the store, or those in the published tiles. Where both were changed to fit, the roots
//! that were signed and witnessed still say that something was.

use std::collections::BTreeMap;
use std::path::Path;

use custody::Digest;
use custody::log::tiles::{self, EntryTile, Hashes, TreeError};
use custody::log::{SignedCheckpoint, VerifierKey};
use host::tiles::CHECKPOINT;
use rocksdb::{Direction, IteratorMode};

use super::key::{entry, stream_end};
use super::{Body, EventLog as _, RocksLog, Stream};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store does not read.
    #[error("the store does not read: {0}")]
    Store(String),
    /// A position is missing.
    #[error("entry {due} is missing: the next one is {found}")]
    Hole {
        /// The position that is due.
        due: u64,
        /// The one that comes instead.
        found: u64,
    },
    /// An entry does not read, or not as it was written.
    #[error("entry {position}: {why}")]
    Entry {
        /// Which.
        position: u64,
        /// What is wrong.
        why: String,
    },
    /// An entry's bytes or salt are not those that its hash commits to: it was changed after it was
    /// kept.
    #[error("entry {position} was changed after it was kept: it does not fit its hash in {place}")]
    Edited {
        /// Which.
        position: u64,
        /// Where the hash stands that it does not fit: `the log`, or a published file.
        place: String,
    },
    /// The tree is not the one over its entries, or not the one that was signed.
    #[error("the tree: {0}")]
    Tree(String),
    /// A published file is missing or does not read.
    #[error("published file {path}: {why}")]
    Published {
        /// Which, below the folder of public files.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A stream's numbers are not dense, or its end is not where its entries end.
    #[error("stream {stream}: {why}")]
    Stream {
        /// Which.
        stream: Stream,
        /// What is wrong.
        why: String,
    },
}

impl Fault {
    /// The entry that it names as changed, if it does.
    #[must_use]
    pub fn entry(&self) -> Option<u64> {
        match self {
            Self::Edited { position, .. } | Self::Entry { position, .. } => Some(*position),
            _ => None,
        }
    }
}

/// Everything that is wrong with the log; nothing when it is whole.
#[must_use]
pub fn check(log: &RocksLog) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut entries_of: BTreeMap<Stream, u64> = BTreeMap::new();
    let mut due = 0;
    let from = entry::key(0);
    for item in log.db().iterator(IteratorMode::From(&from, Direction::Forward)) {
        let (key, value) = match item {
            Ok(item) => item,
            Err(error) => {
                faults.push(Fault::Store(error.to_string()));
                return faults;
            }
        };
        let Some(position) = entry::read_key(&key) else { break };
        if position != due {
            faults.push(Fault::Hole { due, found: position });
        }
        due = position + 1;
        check_entry(position, &value, &mut entries_of, &mut faults);
    }
    check_ends(log, entries_of, &mut faults);
    check_tree(log, due, &mut faults);
    faults
}

/// Recomputes every hash from the entries and their salts.
fn check_tree(log: &RocksLog, size: u64, faults: &mut Vec<Fault>) {
    let mut tree = Recomputed::default();
    for position in 0..size {
        let body = match log.body(position) {
            Ok(Some(body)) => body,
            // A hole is told already; the tree over it cannot be computed.
            Ok(None) => return,
            Err(error) => {
                let why = format!("{error}: {}", causes(&error));
                return faults.push(Fault::Entry { position, why });
            }
        };
        // Hashes above an edited entry are compared with those of the entry as it was kept, so that
        // one edit is one fault.
        let kept = log.node(tiles::stored_count(position)).ok().flatten();
        if kept != Some(body.leaf()) {
            faults.push(Fault::Edited { position, place: "the log".to_owned() });
        }
        match tiles::append(position, kept.unwrap_or_else(|| body.leaf()), &tree) {
            Ok(new) => {
                for (number, hash) in &new[1..] {
                    if log.node(*number).ok().flatten() != Some(*hash) {
                        faults.push(Fault::Tree(format!(
                            "hash {number}, completed by entry {position}, is not the one over its \
                             entries"
                        )));
                    }
                }
                tree.grow(position + 1, new);
            }
            Err(error) => return faults.push(Fault::Tree(error.to_string())),
        }
    }
    check_signed(log, size, faults);
}

fn check_signed(log: &RocksLog, size: u64, faults: &mut Vec<Fault>) {
    match log.signed() {
        Ok(None) => {}
        Ok(Some(head)) if head.size > size => faults
            .push(Fault::Tree(format!("{} entries were signed and there are {size}", head.size))),
        Ok(Some(head)) => {
            let root = tiles::root(head.size, &super::Nodes(log));
            if root.as_ref() != Ok(&head.root) {
                faults.push(Fault::Tree(format!(
                    "the root that was signed of {} entries is {}, and theirs is {root:?}",
                    head.size, head.root
                )));
            }
        }
        Err(error) => faults.push(Fault::Store(format!("{error}: {}", causes(&error)))),
    }
}

/// The right edge of a tree that is computed anew.
#[derive(Default)]
struct Recomputed(BTreeMap<u64, Digest>);

impl Recomputed {
    fn grow(&mut self, size: u64, new: Vec<(u64, Digest)>) {
        self.0.extend(new);
        let edge = tiles::edge(size);
        self.0.retain(|number, _| edge.contains(number));
    }
}

impl Hashes for Recomputed {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let found = self.0.get(&number).copied();
        found.ok_or_else(|| TreeError::new(format!("hash {number} was not computed")))
    }
}

/// Everything in which the log differs from what was published of it in `folder`, signed as `vkey`.
/// The files may be a copy that somebody else has kept.
#[must_use]
pub fn check_published(log: &RocksLog, folder: &Path, vkey: &VerifierKey) -> Vec<Fault> {
    let mut faults = Vec::new();
    let published = |why: &str| Fault::Published { path: CHECKPOINT.to_owned(), why: why.into() };
    let Ok(bytes) = std::fs::read(folder.join(CHECKPOINT)) else {
        // Nothing was published yet, unless something was signed.
        if !matches!(log.signed(), Ok(None)) {
            faults.push(published("it is missing, and a tree head was signed"));
        }
        return faults;
    };
    let checkpoint = SignedCheckpoint::read(&bytes).and_then(|note| note.check(vkey).cloned());
    let checkpoint = match checkpoint {
        Ok(checkpoint) => checkpoint,
        Err(refusal) => {
            faults.push(published(&refusal.to_string()));
            return faults;
        }
    };
    for tile in tiles::entry_tiles(0, checkpoint.size) {
        check_tile(log, folder, &tile, &mut faults);
    }
    // Where an entry is named already, that the root differs says nothing more.
    let root = tiles::root(checkpoint.size, &super::Nodes(log));
    if faults.is_empty() && root.as_ref() != Ok(&checkpoint.root) {
        faults.push(published("its root is not that of the log's entries at its size"));
    }
    faults
}

fn check_tile(log: &RocksLog, folder: &Path, tile: &EntryTile, faults: &mut Vec<Fault>) {
    let path = tile.path();
    let bad = |why: &str| Fault::Published { path: path.clone(), why: why.to_owned() };
    // Once a tile is whole, its partial ones may be gone: it answers for them.
    let whole = path.split_once(".p/").map(|(whole, _)| whole);
    let read = |path: &str| std::fs::read(folder.join(path)).ok();
    let Some(bytes) = read(&path).or_else(|| whole.and_then(read)) else {
        return faults.push(bad("it is missing"));
    };
    let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
    let entries = EntryTile::read(&bytes).and_then(|read| read.get(..width).map(<[_]>::to_vec));
    let Some(entries) = entries else {
        return faults.push(bad("it does not read"));
    };
    for (position, entry) in (tile.first..).zip(entries) {
        let body = log.body(position).ok().flatten();
        if body.as_ref().map(Body::commitment).is_none_or(|own| own != entry) {
            faults.push(Fault::Edited { position, place: path.clone() });
        }
    }
}

fn check_entry(
    position: u64,
    value: &[u8],
    entries_of: &mut BTreeMap<Stream, u64>,
    faults: &mut Vec<Fault>,
) {
    let stored = match entry::read_value(position, value) {
        Ok(stored) => stored,
        Err(error) => {
            let why = format!("{error}: {}", causes(&error));
            faults.push(Fault::Entry { position, why });
            return;
        }
    };
    if entry::value(&stored) != value {
        let why = "its bytes are not as this program writes them".to_owned();
        faults.push(Fault::Entry { position, why });
    }
    let version = entries_of.entry(stored.stream.clone()).or_default();
    if stored.version != *version {
        let why = format!("entry {position} has version {} where {version} is due", stored.version);
        faults.push(Fault::Stream { stream: stored.stream, why });
    }
    *version += 1;
}

fn check_ends(log: &RocksLog, mut entries_of: BTreeMap<Stream, u64>, faults: &mut Vec<Fault>) {
    let from = [stream_end::KIND];
    for item in log.db().iterator(IteratorMode::From(&from, Direction::Forward)) {
        // Rows of other kinds come after the streams' ends.
        if item.as_ref().is_ok_and(|(key, _)| key.first() != Some(&stream_end::KIND)) {
            break;
        }
        let read = item.map_err(|e| e.to_string()).and_then(|(key, value)| {
            let stream = stream_end::read_key(&key).map_err(|e| e.to_string())?;
            Ok((stream, stream_end::read_value(&value).map_err(|e| e.to_string())?))
        });
        match read {
            Ok((stream, end)) => {
                let entries = entries_of.remove(&stream).unwrap_or(0);
                if entries != end {
                    let why = format!("it has {entries} entries and should have {end}");
                    faults.push(Fault::Stream { stream, why });
                }
            }
            Err(why) => faults.push(Fault::Store(why)),
        }
    }
    for (stream, entries) in entries_of {
        let why = format!("it has {entries} entries and no end");
        faults.push(Fault::Stream { stream, why });
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push(error.to_string());
        cause = error.source();
    }
    text.join(": ")
}
