//! The site log in public: its tree as static files and its newest checkpoint, under `log/`, in the
//! layout of C2SP tlog-tiles; and the proofs that others ask for.
//!
//! | step | in this order |
//! |---|---|
//! | a checkpoint | tree over durable entries · compare with the last · fact `checkpoint`, synced · tiles, synced · sign · replace `log/checkpoint` |
//!
//! A tree is signed only after its size and root are kept, and only if it continues the one kept
//! before. So whatever was published, or may have been when power went, is a beginning of the log
//! that the next start finds. If it is not — the index is an older copy, or was edited — nothing more
//! is published until a person has looked; recording goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use custody::Digest;
use custody::log::note::Algorithm;
use custody::log::tiles::{self, EntryTile, TreeError};
use custody::log::{Checkpoint, SignedCheckpoint, VerifierKey};
use custody::record::LogEnd;
use host::durable;
use host::tiles::PublishError;

use super::StoreError;
use super::core::{Alarm, Core, lock};
use super::disc::Step;
use super::index::Batch;
use super::key::{Family, checkpoint, commitment};
use super::tail::{Stored, broken};

/// What of the log is published.
#[derive(Default)]
pub(super) struct Publisher {
    /// The greatest tree that may have been signed.
    promised: Option<(u64, Digest)>,
    /// Up to which entry the static files are written.
    written: u64,
    /// The published checkpoint.
    note: Option<Arc<[u8]>>,
    /// Whether `log/` holds another log's files, or a checkpoint that does not read.
    foreign_folder: bool,
    /// The log contradicts what was published.
    contradicted: bool,
}

fn folder(core: &Core) -> PathBuf {
    core.state_dir.join("log")
}

/// The static checkpoint, if this site's log key signed it.
pub(super) fn static_checkpoint(core: &Core) -> Option<Checkpoint> {
    let note = SignedCheckpoint::read(&host::tiles::published(&folder(core)).ok()??).ok()?;
    let key = core.identity.log_key().public();
    let key = VerifierKey::new(&note.checkpoint().origin, Algorithm::Ed25519, key).ok()?;
    note.check(&key).ok().cloned()
}

/// At start: compares the log with what was published of it. Gives the end of the log before this
/// one, if this one is new and static files show another.
pub(super) fn look_back(core: &Core, first: bool) -> Result<Option<LogEnd>, StoreError> {
    let mut publisher = lock(&core.publisher);
    publisher.promised = last_promise(core)?;
    let size = lock(&core.tail).size();
    let found = static_checkpoint(core);
    let own = found.as_ref().filter(|found| found.origin == core.origin);
    let published = own.map(|own| (own.size, own.root));
    for known in [publisher.promised, published].into_iter().flatten() {
        if known.0 > size || tiles::root(known.0, &Stored(&core.index)).map_err(broken)? != known.1
        {
            contradict(core, &mut publisher, known, size);
        }
    }
    publisher.foreign_folder = own.is_none() && folder(core).join(host::tiles::CHECKPOINT).exists();
    publisher.written = match published {
        Some((size, _)) if !publisher.contradicted && are_whole(core, size) => size,
        _ => 0,
    };
    let before = found.filter(|found| first && found.origin != core.origin);
    Ok(before.map(|end| LogEnd { origin: end.origin, size: end.size, root: end.root }))
}

fn last_promise(core: &Core) -> Result<Option<(u64, Digest)>, StoreError> {
    let Some(row) = core.index.get(Family::Facts, checkpoint::KEY)? else { return Ok(None) };
    checkpoint::decode(&row).map(Some).ok_or_else(|| StoreError::Fatal {
        what: "reading the index's facts".into(),
        source: io::Error::other("the last checkpoint does not read; move the index away"),
    })
}

fn contradict(core: &Core, publisher: &mut Publisher, known: (u64, Digest), size: u64) {
    publisher.contradicted = true;
    let (known_size, root) = known;
    core.raise(
        Alarm::LogContradicted,
        &format!(
            "a checkpoint of {known_size} entries with root {root} was published, and the log of \
             {size} does not continue it: the index is an older copy or was changed. Nothing is \
             published any more. Keep a copy of the state folder, then move `index` away: it is \
             rebuilt from the footage, and a new log begins that names this one"
        ),
    );
}

/// Whether the static files of a tree are there, and those that grow hold what they should.
fn are_whole(core: &Core, size: u64) -> bool {
    let folder = folder(core);
    let hashes = tiles::hash_tiles(0, size).into_iter().all(|tile| {
        let path = folder.join(tile.path());
        if tile.is_whole() {
            fs::metadata(path).is_ok_and(|m| m.len() == tiles::TILE_WIDTH * 32)
        } else {
            tile.bytes(&Stored(&core.index)).is_ok_and(|bytes| fs::read(path).ok() == Some(bytes))
        }
    });
    hashes
        && tiles::entry_tiles(0, size).into_iter().all(|tile| {
            let path = folder.join(tile.path());
            if tile.width == tiles::TILE_WIDTH {
                let length = tiles::TILE_WIDTH * (2 + custody::log::entry::RECORD_BYTES as u64);
                fs::metadata(path).is_ok_and(|m| m.len() == length)
            } else {
                entry_bytes(core, &tile).is_ok_and(|bytes| fs::read(path).ok() == Some(bytes))
            }
        })
}

/// The bytes of an entry tile.
pub(super) fn entry_bytes(core: &Core, tile: &EntryTile) -> Result<Vec<u8>, TreeError> {
    let entries = entries(core, tile.first, tile.width)?;
    Ok(EntryTile::bytes(entries.iter().map(Vec::as_slice)))
}

/// So many entries from `first` on; fewer if they are not there.
fn entries(core: &Core, first: u64, width: u64) -> Result<Vec<Vec<u8>>, TreeError> {
    let (lower, upper) = (commitment::key(first), commitment::key(first.saturating_add(width)));
    let rows = core.index.rows(Family::Entries, lower, Some(upper));
    rows.map(|row| row.map(|(_, entry)| entry.into_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| TreeError::new(error.to_string()))
}

/// Publishes the tree over the entries that survive power loss, if it has grown. Gives the newest
/// checkpoint; none while there is none, or when the log contradicts what was published.
pub(super) fn publish(core: &Core) -> Result<Option<Arc<[u8]>>, StoreError> {
    core.alive()?;
    let mut publisher = lock(&core.publisher);
    if publisher.contradicted {
        return Ok(None);
    }
    let size = core.durable.load(Ordering::SeqCst);
    let due = publisher.promised.is_none_or(|(promised, _)| promised < size);
    if !due && publisher.note.is_some() {
        return Ok(publisher.note.clone());
    }
    if due && !promise(core, &mut publisher, size)? {
        return Ok(None);
    }
    let Some((size, root)) = publisher.promised else { return Ok(None) };
    move_old_log(core, &mut publisher)?;
    let folder = folder(core);
    let grown = (publisher.written, size);
    core.step(Step::WriteTiles, format_args!("writing to {}", folder.display()), || {
        let stored = Stored(&core.index);
        host::tiles::grow(&folder, grown, &stored, |first, width| entries(core, first, width))
            .map_err(as_io)
    })?;
    publisher.written = size;
    let note = Checkpoint { origin: core.origin.clone(), size, root };
    let note: Arc<[u8]> = note.sign(core.identity.log_key()).into();
    core.step(Step::WriteCheckpoint, format_args!("writing to {}", folder.display()), || {
        host::tiles::replace_note(&folder, &note).map_err(as_io)
    })?;
    publisher.note = Some(Arc::clone(&note));
    Ok(Some(note))
}

/// Keeps (size, root) before anything signs it. Whether it continues what was kept before.
fn promise(core: &Core, publisher: &mut Publisher, size: u64) -> Result<bool, StoreError> {
    let stored = Stored(&core.index);
    let kept = last_promise(core)?;
    if let Some(known) = publisher.promised.or(kept) {
        let root = tiles::root(known.0, &stored).map_err(broken)?;
        if kept != publisher.promised || root != known.1 || known.0 > size {
            contradict(core, publisher, known, size);
            return Ok(false);
        }
    }
    let root = tiles::root(size, &stored).map_err(broken)?;
    let mut batch = Batch::default();
    batch.put(Family::Facts, checkpoint::KEY.to_vec(), checkpoint::encode(size, root));
    core.write(&batch)?;
    publisher.promised = Some((size, root));
    Ok(true)
}

/// Moves the static files of a log before this one aside, under its instance's name.
fn move_old_log(core: &Core, publisher: &mut Publisher) -> Result<(), StoreError> {
    if !publisher.foreign_folder {
        return Ok(());
    }
    let from = folder(core);
    let before = static_checkpoint(core).map(|found| found.origin);
    let instance = before.as_deref().and_then(|origin| origin.rsplit('/').next());
    let good = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric());
    let to = core.state_dir.join(format!("log-{}", instance.filter(good).unwrap_or("unreadable")));
    core.step(
        Step::MoveLog,
        format_args!("moving {} to {}", from.display(), to.display()),
        || {
            remove_folder(&to)?;
            if from.exists() { durable::rename(&from, &to) } else { Ok(()) }
        },
    )?;
    publisher.foreign_folder = false;
    publisher.written = 0;
    Ok(())
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn as_io(error: PublishError) -> io::Error {
    match error {
        PublishError::Disc { source, .. } => source,
        error @ PublishError::Tree(_) => io::Error::other(error),
    }
}

/// The published checkpoint.
pub(super) fn note(core: &Core) -> Option<Arc<[u8]>> {
    lock(&core.publisher).note.clone()
}

/// The verifier key of the log.
pub(super) fn vkey(core: &Core) -> VerifierKey {
    VerifierKey::new(&core.origin, Algorithm::Ed25519, core.identity.log_key().public())
        .expect("a log is named after its site and a domain that the settings have checked")
}

/// Whether a tree of `size` may be asked about.
fn admit(core: &Core, size: u64) -> Result<(), StoreError> {
    let durable = core.durable.load(Ordering::SeqCst);
    if size > durable {
        return Err(StoreError::refused(format!("the log has {durable} entries, not {size}")));
    }
    Ok(())
}

/// The root of the tree at `size`.
pub(super) fn root(core: &Core, size: u64) -> Result<Digest, StoreError> {
    admit(core, size)?;
    tiles::root(size, &Stored(&core.index)).map_err(broken)
}

/// The audit path of entry `place` in the tree at `size`.
pub(super) fn inclusion(core: &Core, size: u64, place: u64) -> Result<Vec<Digest>, StoreError> {
    admit(core, size)?;
    if place >= size {
        return Err(StoreError::refused(format!("entry {place} is not in a tree of {size}")));
    }
    tiles::inclusion(size, place, &Stored(&core.index)).map_err(broken)
}

/// That the tree at `size` continues the one at `old`.
pub(super) fn consistency(core: &Core, size: u64, old: u64) -> Result<Vec<Digest>, StoreError> {
    admit(core, size)?;
    if old > size {
        return Err(StoreError::refused(format!("a tree of {size} does not continue {old}")));
    }
    tiles::consistency(size, old, &Stored(&core.index)).map_err(broken)
}
