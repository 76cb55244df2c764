//! Growing a tree from stored hashes, its proofs, and its tiles as static files (C2SP tlog-tiles),
//! by the `tlog_tiles` crate. Pure: hashes are read through [`Hashes`], and what is to be kept is
//! given back.
//!
//! A stored hash has a number, the one of Go's `tlog.StoredHashIndex`: appending entry n adds one
//! or more hashes at the end of the numbers, which have no holes. Tiles have height 8.
//!
//! ```text
//! tile/<level>/<N>[.p/<width>]     up to 256 hashes of 32 bytes
//! tile/entries/<N>[.p/<width>]     up to 256 entries, each length:u16 and its bytes
//! <N> = 000 … 999, x001/000 …
//! ```

use std::cell::RefCell;

use tlog_tiles::{Error, Hash, HashReader, Tile};

use crate::ids::Digest;

const HEIGHT: u8 = 8;
/// Entries, or hashes of the level below, in a whole tile.
pub const TILE_WIDTH: u64 = 1 << HEIGHT;

/// Stored hashes do not make the tree that was asked of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log's stored hashes: {what}")]
pub struct TreeError {
    what: String,
}

impl TreeError {
    /// What is wrong, in words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Where stored hashes lie.
pub trait Hashes {
    /// The hash of this number.
    ///
    /// # Errors
    /// When it cannot be read, or is not there.
    fn hash(&self, number: u64) -> Result<Digest, TreeError>;
}

struct Reader<'a, H> {
    hashes: &'a H,
    failed: RefCell<Option<TreeError>>,
}

impl<H: Hashes> HashReader for Reader<'_, H> {
    fn read_hashes(&self, numbers: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |number: &u64| {
            self.hashes.hash(*number).map(|digest| Hash(digest.0)).map_err(|error| {
                *self.failed.borrow_mut() = Some(error);
                Error::IndexesNotInTree
            })
        };
        numbers.iter().map(read).collect()
    }
}

/// Asks `tlog_tiles`, and gives the reader's own error where that was the cause.
fn ask<H: Hashes, T>(
    hashes: &H,
    question: impl FnOnce(&Reader<'_, H>) -> Result<T, Error>,
) -> Result<T, TreeError> {
    let reader = Reader { hashes, failed: RefCell::default() };
    question(&reader)
        .map_err(|error| reader.failed.take().unwrap_or_else(|| TreeError::new(error.to_string())))
}

/// How many stored hashes a tree of `size` entries has: the number of the next.
#[must_use]
pub fn stored_count(size: u64) -> u64 {
    if size == 0 { 0 } else { tlog_tiles::stored_hash_count(size) }
}

/// The hashes to store, with their numbers, when entry `size` with this leaf is appended.
///
/// # Errors
/// When a hash that it needs is missing. It needs those on the right edge alone.
pub fn append(
    size: u64,
    leaf: Digest,
    hashes: &impl Hashes,
) -> Result<Vec<(u64, Digest)>, TreeError> {
    let new = ask(hashes, |reader| {
        tlog_tiles::stored_hashes_for_record_hash(size, Hash(leaf.0), reader)
    })?;
    Ok((stored_count(size)..).zip(new.into_iter().map(|hash| Digest(hash.0))).collect())
}

/// The numbers of the hashes on the right edge of a tree: with these in memory, appending and the
/// root need no other.
#[must_use]
pub fn edge(size: u64) -> Vec<u64> {
    if size == 0 { Vec::new() } else { tlog_tiles::sub_tree_index(0, size, Vec::new()) }
}

/// The root of the tree at a size.
///
/// # Errors
/// When a hash is missing.
pub fn root(size: u64, hashes: &impl Hashes) -> Result<Digest, TreeError> {
    if size == 0 {
        return Ok(Digest::of(b""));
    }
    ask(hashes, |reader| tlog_tiles::tree_hash(size, reader)).map(|hash| Digest(hash.0))
}

/// The audit path of entry `index` in the tree at `size`, lowest sibling first.
///
/// # Errors
/// When a hash is missing or the entry is not in that tree.
pub fn inclusion(size: u64, index: u64, hashes: &impl Hashes) -> Result<Vec<Digest>, TreeError> {
    if index >= size {
        return Err(TreeError::new(format!("entry {index} is not in a tree of {size}")));
    }
    let path = ask(hashes, |reader| tlog_tiles::prove_record(size, index, reader))?;
    Ok(path.into_iter().map(|hash| Digest(hash.0)).collect())
}

/// That the tree at `size` continues the one at `old` (RFC 6962 section 2.1.2).
///
/// # Errors
/// When a hash is missing or `old` is greater.
pub fn consistency(size: u64, old: u64, hashes: &impl Hashes) -> Result<Vec<Digest>, TreeError> {
    if old > size {
        return Err(TreeError::new(format!("a tree of {size} does not continue one of {old}")));
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let path = ask(hashes, |reader| tlog_tiles::prove_tree(size, old, reader))?;
    Ok(path.into_iter().map(|hash| Digest(hash.0)).collect())
}

/// A static file of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashTile(Tile);

impl HashTile {
    /// Its path under the log's folder.
    #[must_use]
    pub fn path(&self) -> String {
        // `tlog_tiles` writes Go's path, with the height in it.
        self.0.path().replacen("tile/8/", "tile/", 1)
    }

    /// Whether it will never change.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        u64::from(self.0.width()) == TILE_WIDTH
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When a hash is missing.
    pub fn bytes(&self, hashes: &impl Hashes) -> Result<Vec<u8>, TreeError> {
        ask(hashes, |reader| self.0.read_data(reader))
    }
}

/// The tiles to publish when a tree grows from `old` to `size`.
#[must_use]
pub fn hash_tiles(old: u64, size: u64) -> Vec<HashTile> {
    Tile::new_tiles(HEIGHT, old, size).into_iter().map(HashTile).collect()
}

/// A static file of entries: which, and its path under the log's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryTile {
    /// The first entry in it.
    pub first: u64,
    /// How many.
    pub width: u64,
}

impl EntryTile {
    /// Its path under the log's folder.
    #[must_use]
    pub fn path(&self) -> String {
        let width = u32::try_from(self.width).unwrap_or(u32::MAX);
        let tile = Tile::new(HEIGHT, 0, self.first / TILE_WIDTH, width, true);
        tile.path().replacen("tile/8/data/", "tile/entries/", 1)
    }

    /// Its bytes, of the entries in it. An entry is at most 65 535 bytes; ours have 37.
    #[must_use]
    pub fn bytes<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            let length = u16::try_from(entry.len()).expect("entries are commitments of 37 bytes");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        bytes
    }

    /// Reads what [`Self::bytes`] made; none if it is torn.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            entries.push(entry);
            bytes = rest;
        }
        Some(entries)
    }
}

/// The entry tiles to publish when a log grows from `old` to `size`.
#[must_use]
pub fn entry_tiles(old: u64, size: u64) -> Vec<EntryTile> {
    let from = old / TILE_WIDTH * TILE_WIDTH;
    if old >= size {
        return Vec::new();
    }
    let firsts = (from..size).step_by(usize::try_from(TILE_WIDTH).unwrap_or(usize::MAX));
    firsts.map(|first| EntryTile { first, width: TILE_WIDTH.min(size - first) }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::tree;

    #[derive(Default)]
    struct Kept(BTreeMap<u64, Digest>);

    impl Hashes for Kept {
        fn hash(&self, number: u64) -> Result<Digest, TreeError> {
            self.0.get(&number).copied().ok_or_else(|| TreeError::new(format!("no {number}")))
        }
    }

    fn leaf(index: u64) -> Digest {
        tree::leaf(&index.to_be_bytes())
    }

    /// A tree grown with nothing but its right edge in memory.
    fn grown(size: u64) -> Kept {
        let (mut all, mut right) = (Kept::default(), Kept::default());
        for index in 0..size {
            let new = append(index, leaf(index), &right).unwrap();
            all.0.extend(new.iter().copied());
            right.0.extend(new);
            let edge = edge(index + 1);
            right.0.retain(|number, _| edge.contains(number));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_grown_tree_is_rfc_6962s(size in 1_u64..700, pick: u64, old: u64) {
            let (index, old) = (pick % size, old % (size + 1));
            let kept = grown(size);
            prop_assert_eq!(kept.0.len() as u64, stored_count(size));
            let leaves: Vec<_> = (0..size).map(leaf).collect();
            let top = root(size, &kept).unwrap();
            prop_assert_eq!(top, tree::root(&leaves));
            let path = inclusion(size, index, &kept).unwrap();
            let at = usize::try_from(index).unwrap();
            prop_assert_eq!(&path, &tree::audit_path(&leaves, at));
            let proof = consistency(size, old, &kept).unwrap();
            if old > 0 {
                let before = root(old, &kept).unwrap();
                prop_assert!(tree::is_consistent((old, before), (size, top), &proof));
                prop_assert_eq!(&proof, &tree::consistency_path(&leaves, usize::try_from(old).unwrap()));
            }
        }
    }

    #[test]
    fn tiles_lie_where_the_standard_says() {
        let paths = |old, size| -> Vec<String> {
            let hashes = hash_tiles(old, size).into_iter().map(|tile| tile.path());
            hashes.chain(entry_tiles(old, size).iter().map(EntryTile::path)).collect()
        };
        assert_eq!(paths(0, 1), ["tile/0/000.p/1", "tile/entries/000.p/1"]);
        assert_eq!(
            paths(255, 258),
            [
                "tile/0/000",
                "tile/0/001.p/2",
                "tile/1/000.p/1",
                "tile/entries/000",
                "tile/entries/001.p/2"
            ]
        );
        assert!(paths(7, 7).is_empty());
        assert_eq!(
            entry_tiles(256_000 * 5, 256_000 * 5 + 1)[0].path(),
            "tile/entries/x005/000.p/1"
        );
        let kept = grown(300);
        let whole = hash_tiles(0, 300)[0];
        assert!(whole.is_whole());
        assert_eq!(whole.bytes(&kept).unwrap().len(), 256 * 32);
    }

    #[test]
    fn entries_read_back_from_their_tile() {
        let entries: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes = EntryTile::bytes(entries);
        assert_eq!(EntryTile::read(&bytes).unwrap(), entries);
        assert!(EntryTile::read(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn a_missing_hash_is_named() {
        let error = root(3, &Kept::default()).unwrap_err();
        assert!(error.to_string().contains("no "), "{error}");
        assert!(inclusion(3, 3, &grown(3)).is_err());
        assert!(consistency(3, 4, &grown(3)).is_err());
    }
}
