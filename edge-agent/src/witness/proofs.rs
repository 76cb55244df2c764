//! Requests that prove a lie, kept for whoever must judge it, and what they raise.
//!
//! ```json
//! {"format":"watchhouse-witness-proof/v1","code":"log-forked","at":"…","origin":"…","vkey":"…",
//!  "cosigned":"<the note that this witness cosigned last>","shown":"<what it was asked, verbatim>"}
//! ```
//! Two notes and the log's key are the proof: it needs no word of this site.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use custody::{Digest, WallTime};
use host::durable::{self, Reader};
use serde::{Deserialize, Serialize};

use super::lie::Lie;
use super::memory::Memory;

const FORMAT: &str = "watchhouse-witness-proof/v1";
/// Proofs of one kind that are kept for one log: each is enough by itself. By kind, because a carrier
/// can make as many trees "not continued" as it likes, and must not wash out a fork.
pub(super) const PROOFS_MAX: usize = 16;
/// A proof is a note and a request, which JSON may double: read no longer ones.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What goes wrong for the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A log lied.
    Lie(Lie),
    /// What was seen of a log cannot be read or written.
    MemoryLost,
    /// No room for another log.
    Full,
}

impl Trouble {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Lie(lie) => lie.code(),
            Self::MemoryLost => "witness-memory-lost",
            Self::Full => "witness-full",
        }
    }
}

/// What went wrong, with which log, when, and in words.
pub(super) type Troubles = BTreeMap<(Trouble, String), (WallTime, String)>;

/// Something that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The stable code.
    pub code: &'static str,
    /// When it was seen, the last time.
    pub at: WallTime,
    /// For a person: which log, what, and where the proof is.
    pub text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    code: String,
    at: WallTime,
    origin: String,
    vkey: String,
    cosigned: String,
    shown: String,
}

/// What came of keeping.
pub(super) struct Kept {
    /// Whether it was not known before.
    pub(super) is_news: bool,
    pub(super) text: String,
}

/// Keeps what was shown, if it is not kept yet, and drops the oldest of its kind beyond the newest 16.
/// A disc that does not take it is told, and the alarm stands all the same.
pub(super) fn keep(folder: &Path, memory: &Memory, lie: Lie, shown: &[u8], at: WallTime) -> Kept {
    let digest = Digest::of(shown).to_string();
    let place = place(folder, &memory.origin);
    let mut names = names(&place).unwrap_or_default();
    names.retain(|name| name.starts_with(lie.code()));
    let text = |where_: &str| format!("{} {}; {where_}", memory.origin, lie.words());
    if names.iter().any(|name| name.contains(&digest[..16])) {
        return Kept { is_news: false, text: text("known") };
    }
    let file = File {
        format: FORMAT.to_owned(),
        code: lie.code().to_owned(),
        at,
        origin: memory.origin.clone(),
        vkey: memory.vkey.to_string(),
        cosigned: memory.note.clone(),
        shown: String::from_utf8_lossy(shown).into_owned(),
    };
    let path = place.join(format!("{}-{:016}-{}.json", lie.code(), at.0.max(0), &digest[..16]));
    let text = match write(&place, &path, &file, &names) {
        Ok(()) => text(&format!("the proof is {}", path.display())),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a proof was not written");
            text("the proof could not be written")
        }
    };
    Kept { is_news: true, text }
}

fn write(place: &Path, path: &Path, file: &File, names: &[String]) -> io::Result<()> {
    durable::create_folder(place)?;
    let bytes = serde_json::to_vec_pretty(file).map_err(io::Error::other)?;
    durable::replace(path, &bytes, Reader::Anyone)?;
    let too_many = (names.len() + 1).saturating_sub(PROOFS_MAX);
    for name in names.iter().take(too_many) {
        durable::remove(&place.join(name))?;
    }
    Ok(())
}

/// The alarms of what was kept before this start.
pub(super) fn told(folder: &Path, origin: &str, troubles: &mut Troubles) {
    let place = place(folder, origin);
    // Newest last, so that it is the one that stands.
    for name in names(&place).unwrap_or_default() {
        let path = place.join(name);
        let Some((lie, at)) = read(&path) else { continue };
        let text = format!("{origin} {}; the proof is {}", lie.words(), path.display());
        troubles.insert((Trouble::Lie(lie), origin.to_owned()), (at, text));
    }
}

fn read(path: &Path) -> Option<(Lie, WallTime)> {
    if fs::metadata(path).ok()?.len() > FILE_BYTES_MAX {
        return None;
    }
    let file: File = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let lie = Lie::ALL.into_iter().find(|lie| lie.code() == file.code)?;
    Some((lie, file.at))
}

/// The proofs' file names; those of one kind oldest first.
fn names(place: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.ends_with(".json") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn place(folder: &Path, origin: &str) -> PathBuf {
    folder.join(Digest::of(origin.as_bytes()).to_string())
}
