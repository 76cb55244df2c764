//! A log's static files (C2SP tlog-tiles): what others fetch, and what stays when an index is lost.
//! Knows nothing of what the entries mean or where the hashes come from.
//!
//! ```text
//! <folder>/checkpoint      the newest signed note; written last, so that its tiles are there
//! <folder>/tile/…          see `custody::log::tiles`
//! ```
//! May be repeated after a crash: files are replaced whole, and a tile that is whole never changes.

use std::fs;
use std::io;
use std::path::Path;

use custody::log::tiles::{self, EntryTile, Hashes, TreeError};

use crate::durable::{self, Reader};

/// The newest signed note.
pub const CHECKPOINT: &str = "checkpoint";

/// What a log grew by could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The disc refused.
    #[error("writing {path}")]
    Disc {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The stored hashes or entries are not all there.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Publishes the growth of a log from `old` to `size`, then `note`, which signs that size.
/// `entries` gives so many entries from a place on. `old` may be smaller than what was published
/// before: then files are written again as they were.
///
/// # Errors
/// When a file cannot be written, or a hash or entry is missing; the note is then not replaced.
pub fn publish(
    folder: &Path,
    (old, size): (u64, u64),
    hashes: &impl Hashes,
    entries: impl Fn(u64, u64) -> Result<Vec<Vec<u8>>, TreeError>,
    note: &[u8],
) -> Result<(), PublishError> {
    grow(folder, (old, size), hashes, entries)?;
    replace_note(folder, note)
}

/// The first half of [`publish`]: the tiles.
///
/// # Errors
/// As [`publish`].
pub fn grow(
    folder: &Path,
    (old, size): (u64, u64),
    hashes: &impl Hashes,
    entries: impl Fn(u64, u64) -> Result<Vec<Vec<u8>>, TreeError>,
) -> Result<(), PublishError> {
    for tile in tiles::entry_tiles(old, size) {
        let held = entries(tile.first, tile.width)?;
        if held.len() as u64 != tile.width {
            return Err(
                TreeError::new(format!("entries from {} on are missing", tile.first)).into()
            );
        }
        let bytes = EntryTile::bytes(held.iter().map(Vec::as_slice));
        write(folder, &tile.path(), &bytes, tile.width == tiles::TILE_WIDTH)?;
    }
    for tile in tiles::hash_tiles(old, size) {
        write(folder, &tile.path(), &tile.bytes(hashes)?, tile.is_whole())?;
    }
    Ok(())
}

/// The second half of [`publish`]: the note, once its tiles are there.
///
/// # Errors
/// As [`publish`].
pub fn replace_note(folder: &Path, note: &[u8]) -> Result<(), PublishError> {
    durable::create_folder(folder).map_err(disc(folder))?;
    let path = folder.join(CHECKPOINT);
    durable::replace(&path, note, Reader::Anyone).map_err(disc(&path))
}

fn write(folder: &Path, path: &str, bytes: &[u8], whole: bool) -> Result<(), PublishError> {
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    durable::create_folder(parent).map_err(disc(parent))?;
    durable::replace(&file, bytes, Reader::Anyone).map_err(disc(&file))?;
    let partial = folder.join(format!("{path}.p"));
    if whole && partial.is_dir() {
        // A whole tile answers for its partial ones.
        fs::remove_dir_all(&partial).map_err(disc(&partial))?;
    }
    Ok(())
}

fn disc(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.display().to_string();
    move |source| PublishError::Disc { path, source }
}

/// The newest note that was published, if there is one.
///
/// # Errors
/// When it is there and cannot be read.
pub fn published(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(CHECKPOINT)) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use custody::{Digest, tree};

    use super::*;

    #[derive(Default)]
    struct Kept(BTreeMap<u64, Digest>);

    impl Hashes for Kept {
        fn hash(&self, number: u64) -> Result<Digest, TreeError> {
            self.0.get(&number).copied().ok_or_else(|| TreeError::new("missing"))
        }
    }

    fn entry(index: u64) -> Vec<u8> {
        index.to_be_bytes().to_vec()
    }

    #[test]
    fn a_log_is_published_as_it_grows() {
        let folder = std::env::temp_dir().join(format!("tiles-{}", std::process::id()));
        let mut kept = Kept::default();
        for index in 0..300 {
            let new = tiles::append(index, tree::leaf(&entry(index)), &kept).unwrap();
            kept.0.extend(new);
        }
        let entries = |first, count| Ok((first..first + count).map(entry).collect());
        let none = |_, _| Err(TreeError::new("no entries"));
        publish(&folder, (0, 200), &kept, entries, b"at 200").unwrap();
        assert!(folder.join("tile/entries/000.p/200").is_file());
        assert!(publish(&folder, (200, 300), &kept, none, b"at 300").is_err());
        assert_eq!(published(&folder).unwrap().as_deref(), Some(&b"at 200"[..]));
        publish(&folder, (200, 300), &kept, entries, b"at 300").unwrap();
        publish(&folder, (200, 300), &kept, entries, b"at 300").unwrap();
        assert_eq!(published(&folder).unwrap().as_deref(), Some(&b"at 300"[..]));
        assert!(!folder.join("tile/0/000.p").exists());
        let whole = fs::read(folder.join("tile/0/000")).unwrap();
        assert_eq!(whole[32..64], tree::leaf(&entry(1)).0);
        let entries = fs::read(folder.join("tile/entries/001.p/44")).unwrap();
        assert_eq!(EntryTile::read(&entries).unwrap()[43], entry(299));
        fs::remove_dir_all(folder).unwrap();
    }
}
