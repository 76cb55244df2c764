//! The end of the site log and the right edge of its tree, in memory: an append reads nothing.

use std::collections::BTreeMap;
use std::io;

use custody::Digest;
use custody::log::tiles::{self, Hashes, TreeError};

use super::StoreError;
use super::index::{Batch, Index};
use super::key::{Family, commitment, hash};

/// The stored hashes as they lie in the index.
pub(super) struct Stored<'a>(pub(super) &'a Index);

impl Hashes for Stored<'_> {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let row = self.0.get(Family::Tree, &hash::key(number));
        let row = row.map_err(|error| TreeError::new(error.to_string()))?;
        row.and_then(|row| hash::decode(&row))
            .ok_or_else(|| TreeError::new(format!("number {number} is missing")))
    }
}

/// The end of the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    size: u64,
    /// The hashes of [`tiles::edge`].
    right: Right,
}

#[derive(Debug, Clone, Default)]
struct Right(BTreeMap<u64, Digest>);

impl Hashes for Right {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let hash = self.0.get(&number).copied();
        hash.ok_or_else(|| TreeError::new(format!("number {number} is not on the right edge")))
    }
}

impl Tail {
    /// The end of a log of `size` entries whose hashes are stored.
    pub(super) fn load(size: u64, stored: &Stored<'_>) -> Result<Self, TreeError> {
        let right = tiles::edge(size)
            .into_iter()
            .map(|number| Ok((number, stored.hash(number)?)))
            .collect::<Result<_, TreeError>>()?;
        Ok(Self { size, right: Right(right) })
    }

    /// How many entries there are: the place of the next.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends `entry`: it and its new hashes go into `batch`.
    pub(super) fn push(&mut self, entry: &[u8], batch: &mut Batch) -> Result<(), TreeError> {
        batch.put(Family::Entries, commitment::key(self.size), entry);
        for (number, digest) in self.grow(entry)? {
            batch.put(Family::Tree, hash::key(number), hash::encode(digest));
        }
        Ok(())
    }

    /// Appends `entry`; gives the hashes that its tree then has more, with their numbers.
    pub(super) fn grow(&mut self, entry: &[u8]) -> Result<Vec<(u64, Digest)>, TreeError> {
        let leaf = custody::tree::leaf(entry);
        let new = tiles::append(self.size, leaf, &self.right)?;
        self.size += 1;
        self.right.0.extend(new.iter().copied());
        let edge = tiles::edge(self.size);
        self.right.0.retain(|number, _| edge.contains(number));
        Ok(new)
    }
}

/// What a tree that does not hold together is to the store.
pub(super) fn broken(error: TreeError) -> StoreError {
    StoreError::Fatal {
        what: "reading the site log's tree (if it is damaged, move the index away: it is rebuilt, \
               and a new log begins)"
            .into(),
        source: io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_in_memory_leads_to_the_same_tree_as_the_stored_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let mut tail = Tail::default();
        let mut leaves = Vec::new();
        for n in 0_u64..70 {
            let entry = n.to_be_bytes();
            leaves.push(custody::tree::leaf(&entry));
            let mut batch = Batch::default();
            tail.push(&entry, &mut batch).unwrap();
            index.write(&batch).unwrap();
            let root = tiles::root(tail.size(), &tail.right).unwrap();
            assert_eq!(root, custody::tree::root(&leaves));
            let loaded = Tail::load(n + 1, &Stored(&index)).unwrap();
            assert_eq!((loaded.size, loaded.right.0), (tail.size, tail.right.0.clone()));
            assert!(tail.right.0.len() <= 7);
        }
    }
}
