//! The log's tree: grown again from the entries, compared with what is stored, promised and
//! published.

use std::fs;
use std::sync::atomic::Ordering;

use custody::dsse::Envelope;
use custody::log::tiles::{self, Hashes as _};
use custody::log::{SignedCheckpoint, entry as log_entry};
use custody::record::Record;

use super::Checked;
use crate::store::StoreError;
use crate::store::core::Core;
use crate::store::key::{Family, checkpoint, commitment};
use crate::store::publish;
use crate::store::tail::{Stored, Tail, broken};

/// The tree that the records lead to.
#[derive(Default)]
pub(super) struct Regrown(Tail);

impl Regrown {
    /// Takes the record at `place` in: its entry and the hashes it adds are those stored.
    pub(super) fn take(
        &mut self,
        core: &Core,
        place: u64,
        record: &Record,
        envelope: &Envelope,
    ) -> Result<(), String> {
        let kind = record.kind().ok_or("a statement of the authority stands in no site's log")?;
        let entry = log_entry::record(kind, envelope.digest());
        let kept = core.index.get(Family::Entries, &commitment::key(place));
        if kept.map_err(|e| e.to_string())?.as_deref() != Some(&entry[..]) {
            return Err("its entry is not the record's commitment".into());
        }
        for (number, hash) in self.0.grow(&entry).map_err(|e| e.to_string())? {
            if Stored(&core.index).hash(number) != Ok(hash) {
                return Err(format!("stored hash {number} is not what the records lead to"));
            }
        }
        Ok(())
    }
}

/// Compares counts, the promised checkpoint, and the static files.
pub(super) fn compare(
    core: &Core,
    seen: &mut Checked,
    regrown: &Regrown,
) -> Result<(), StoreError> {
    let size = regrown.0.size();
    let hashes = core.index.rows(Family::Tree, Vec::new(), None).count() as u64;
    let entries = core.index.rows(Family::Entries, Vec::new(), None).count() as u64;
    if (hashes, entries) != (tiles::stored_count(size), size) {
        seen.note("tree", format!("{hashes} hashes and {entries} entries for {size} records"));
        return Ok(());
    }
    let promised = core.index.get(Family::Facts, checkpoint::KEY)?;
    let promised = promised.and_then(|row| checkpoint::decode(&row));
    if let Some((of, root)) = promised {
        let durable = core.durable.load(Ordering::SeqCst);
        if of > durable || tiles::root(of, &Stored(&core.index)).map_err(broken)? != root {
            seen.note("checkpoint", "what may have been signed is no beginning of the log");
        }
    }
    let folder = core.state_dir.join("log");
    let Ok(note) = fs::read(folder.join("checkpoint")) else { return Ok(()) };
    let read = SignedCheckpoint::read(&note);
    let Some(own) = read.ok().filter(|note| note.checkpoint().origin == core.origin) else {
        // Another log's, or torn: moved aside before anything is published.
        return Ok(());
    };
    match own.check(&publish::vkey(core)) {
        Err(refusal) => seen.note("log/checkpoint", refusal),
        Ok(own) => {
            let of = own.size;
            if promised.is_none_or(|(promised, _)| promised < of) {
                seen.note("log/checkpoint", "it was published before it was promised");
            } else if tiles::root(of, &Stored(&core.index)).map_err(broken)? != own.root {
                seen.note("log/checkpoint", "it is no beginning of the log");
            } else {
                compare_tiles(core, seen, of)?;
            }
        }
    }
    Ok(())
}

fn compare_tiles(core: &Core, seen: &mut Checked, size: u64) -> Result<(), StoreError> {
    let folder = core.state_dir.join("log");
    let mut look = |path: String, expected: Vec<u8>| match fs::read(folder.join(&path)) {
        Ok(bytes) if bytes == expected => {}
        Ok(_) => seen.note(path, "it does not hold what the log does"),
        Err(error) => seen.note(path, error),
    };
    for tile in tiles::hash_tiles(0, size) {
        look(tile.path(), tile.bytes(&Stored(&core.index)).map_err(broken)?);
    }
    for tile in tiles::entry_tiles(0, size) {
        look(tile.path(), publish::entry_bytes(core, &tile).map_err(broken)?);
    }
    Ok(())
}
