//! What is remembered of one log: its key, the newest tree, the note that showed it, and the roots
//! before. Written whole or not at all.
//!
//! ```json
//! {"format":"watchhouse-witness/v1","origin":"…","vkey":"…","size":42,"root":"<hex>",
//!  "note":"<the log's signed checkpoint>","before":[{"size":40,"root":"<hex>"}, …]}
//! ```

use std::io;
use std::path::{Path, PathBuf};

use custody::Digest;
use custody::log::VerifierKey;
use custody::log::note::NOTE_BYTES_MAX;
use custody::log::witness::Seen;
use host::durable::{self, Reader};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "watchhouse-witness/v1";
/// Roots that are remembered besides the newest: a note that a slow carrier brings late is told from
/// a log that was rolled back. A checkpoint a second makes this half a minute, in 3 kB.
const BEFORE_MAX: usize = 32;
/// A memory's file is never longer: a note, which JSON may double, and 32 roots of 100 bytes.
const FILE_BYTES_MAX: u64 = 2 * NOTE_BYTES_MAX as u64 + 8192;

/// What is remembered of one log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Memory {
    pub(super) origin: String,
    pub(super) vkey: VerifierKey,
    /// The newest tree.
    pub(super) seen: Seen,
    /// The log's own words for it, which prove a lie together with others.
    pub(super) note: String,
    /// Smaller trees, oldest first.
    pub(super) before: Vec<Seen>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    origin: String,
    vkey: String,
    size: u64,
    root: Digest,
    note: String,
    before: Vec<Tree>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    size: u64,
    root: Digest,
}

impl Memory {
    /// The log `vkey` names, seen for the first time.
    pub(super) fn first(vkey: VerifierKey, seen: Seen, note: &[u8]) -> Self {
        let origin = vkey.name().to_owned();
        Self { origin, vkey, seen, note: text(note), before: Vec::new() }
    }

    /// The same log, grown to `seen`.
    pub(super) fn after(&self, seen: Seen, note: &[u8]) -> Self {
        let mut before = self.before.clone();
        if seen.size > self.seen.size {
            before.push(self.seen);
        }
        before.drain(..before.len().saturating_sub(BEFORE_MAX));
        Self { seen, note: text(note), before, ..self.clone() }
    }

    /// The root that this log had at `size`, if it is remembered.
    pub(super) fn root_at(&self, size: u64) -> Option<Digest> {
        let trees = self.before.iter().chain([&self.seen]);
        trees.into_iter().find(|tree| tree.size == size).map(|tree| tree.root)
    }

    /// Puts it on the disc, synced.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let before = self.before.iter().map(|seen| Tree { size: seen.size, root: seen.root });
        let file = File {
            format: FORMAT.to_owned(),
            origin: self.origin.clone(),
            vkey: self.vkey.to_string(),
            size: self.seen.size,
            root: self.seen.root,
            note: self.note.clone(),
            before: before.collect(),
        };
        let bytes = serde_json::to_vec_pretty(&file).map_err(io::Error::other)?;
        durable::replace(&path(folder, &self.origin), &bytes, Reader::Anyone)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let length = std::fs::metadata(path).map_err(|error| told(&error))?.len();
        if length > FILE_BYTES_MAX {
            return Err(told(&"too long"));
        }
        let bytes = std::fs::read(path).map_err(|error| told(&error))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| told(&error))?;
        let vkey: VerifierKey = file.vkey.parse().map_err(|error| told(&error))?;
        let is_its_own = file.format == FORMAT
            && vkey.name() == file.origin
            && path.file_name() == self::path(Path::new(""), &file.origin).file_name();
        if !is_its_own {
            return Err(told(&"not what was witnessed of the log in its name"));
        }
        let before = file.before.into_iter().map(|tree| Seen { size: tree.size, root: tree.root });
        Ok(Self {
            origin: file.origin,
            vkey,
            seen: Seen { size: file.size, root: file.root },
            note: file.note,
            before: before.collect(),
        })
    }
}

fn text(note: &[u8]) -> String {
    // A note that was read is UTF-8.
    String::from_utf8_lossy(note).into_owned()
}

fn path(folder: &Path, origin: &str) -> PathBuf {
    folder.join(format!("{}.json", Digest::of(origin.as_bytes())))
}

/// Every memory in `folder`, by the digest of its log's origin; why, where one does not read.
pub(super) fn read_all(folder: &Path) -> io::Result<Vec<(Digest, Result<Memory, String>)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A file that was being replaced when the power went has another ending, and never counted.
        let Some(log) = name.strip_suffix(".json").and_then(|name| name.parse().ok()) else {
            continue;
        };
        all.push((log, Memory::read(&path)));
    }
    Ok(all)
}
