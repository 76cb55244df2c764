//! RFC 6962 section 2.1 Merkle trees over SHA-256: the root of a segment or a log, audit paths, and
//! proofs that a tree continues another. From leaves in memory; for a log's stored hashes see
//! `log/tiles.rs`.

use crate::ids::Digest;

/// The hash of a leaf: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], entry])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
fn node(left: Digest, right: Digest) -> Digest {
    Digest::of_parts(&[&[1], &left.0, &right.0])
}

/// The largest power of two below `len`; `len` is at least 2.
fn split(len: usize) -> usize {
    1 << (usize::BITS - 1 - (len - 1).leading_zeros())
}

/// The root over leaf hashes. An empty tree's root is the hash of nothing.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(root(left), root(right))
        }
    }
}

/// A tree that grows: the roots of its perfect subtrees, left to right, which is all that its own root
/// and its next leaves need (a "compact range").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    len: u32,
    subtrees: Vec<Digest>,
}

impl CompactRange {
    /// From what [`CompactRange::subtrees`] gave; none if a tree of `len` leaves has not so many.
    #[must_use]
    pub fn of(len: u32, subtrees: Vec<Digest>) -> Option<Self> {
        (subtrees.len() == len.count_ones() as usize).then_some(Self { len, subtrees })
    }

    /// How many leaves.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The roots of its perfect subtrees, the largest first: one for each bit of its length.
    #[must_use]
    pub fn subtrees(&self) -> &[Digest] {
        &self.subtrees
    }

    /// Takes the next leaf.
    ///
    /// # Panics
    /// After 2^32 - 1 leaves.
    pub fn push(&mut self, leaf: Digest) {
        let mut grown = leaf;
        for _ in 0..self.len.trailing_ones() {
            let left = self.subtrees.pop().expect("one subtree for each bit of the length");
            grown = node(left, grown);
        }
        self.subtrees.push(grown);
        self.len = self.len.checked_add(1).expect("no segment has so many fragments");
    }

    /// The root; as [`root`] of all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let right_first = self.subtrees.iter().rev().copied();
        right_first.reduce(|right, left| node(left, right)).unwrap_or_else(|| Digest::of(b""))
    }
}

impl Extend<Digest> for CompactRange {
    fn extend<T: IntoIterator<Item = Digest>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

/// The audit path of leaf `index`, lowest sibling first (section 2.1.1); empty if out of range.
#[must_use]
pub fn audit_path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() < 2 || index >= leaves.len() {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (audit_path(left, index), root(right))
    } else {
        (audit_path(right, index - left.len()), root(left))
    };
    path.push(sibling);
    path
}

/// The root that `leaf` at `index` of `len` leaves leads to by `path`; none if the path is not of
/// that tree's shape.
#[must_use]
pub fn root_by_path(leaf: Digest, index: usize, len: usize, path: &[Digest]) -> Option<Digest> {
    if index >= len {
        return None;
    }
    if len == 1 {
        return path.is_empty().then_some(leaf);
    }
    let (sibling, below) = path.split_last()?;
    let at = split(len);
    if index < at {
        Some(node(root_by_path(leaf, index, at, below)?, *sibling))
    } else {
        Some(node(*sibling, root_by_path(leaf, index - at, len - at, below)?))
    }
}

/// The proof that the tree over all leaves continues the one over the first `old` (section 2.1.2);
/// empty if `old` is 0, all, or more than all.
#[must_use]
pub fn consistency_path(leaves: &[Digest], old: usize) -> Vec<Digest> {
    if old == 0 || old >= leaves.len() {
        return Vec::new();
    }
    subproof(leaves, old, true)
}

/// SUBPROOF of section 2.1.2: `complete` while the old tree is a subtree whose root is known.
fn subproof(leaves: &[Digest], old: usize, complete: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if complete { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if old <= left.len() {
        (subproof(left, old, complete), root(right))
    } else {
        (subproof(right, old - left.len(), false), root(left))
    };
    path.push(sibling);
    path
}

/// Whether `proof` shows that the tree `new` (size and root) continues the tree `old`.
///
/// The algorithm is RFC 9162's (section 2.1.4.2): both roots are recomputed from the proof.
#[must_use]
pub fn is_consistent(old: (u64, Digest), new: (u64, Digest), proof: &[Digest]) -> bool {
    let ((old_size, old_root), (size, root)) = (old, new);
    if old_size == size {
        return old_root == root && proof.is_empty();
    }
    if old_size == 0 || old_size > size {
        return old_size == 0 && proof.is_empty();
    }
    // An old tree that is a whole subtree is the proof's first hash, unsaid.
    let first = old_size.is_power_of_two().then_some(old_root);
    let mut hashes = first.iter().chain(proof).copied();
    let (mut at, mut last) = (old_size - 1, size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let Some(seed) = hashes.next() else { return false };
    let (mut of_old, mut of_new) = (seed, seed);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node(hash, of_old);
            of_new = node(hash, of_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node(of_new, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == old_root && of_new == root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roots_agree_with_the_published_vectors() {
        // The test vectors of certificate-transparency's reference tree.
        let entries: [&str; 3] = ["", "00", "10"];
        let leaves: Vec<_> = entries.iter().map(|e| leaf(&hex::decode(e).unwrap())).collect();
        assert_eq!(
            root(&leaves[..1]).to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            root(&leaves[..2]).to_string(),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
        assert_eq!(
            root(&leaves).to_string(),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
    }

    proptest! {
        #[test]
        fn every_leaf_proves_its_place_and_no_other(len in 1_usize..70, pick in 0_usize..70) {
            let leaves: Vec<_> = (0..len).map(|i| leaf(&i.to_be_bytes())).collect();
            let index = pick % len;
            let path = audit_path(&leaves, index);
            prop_assert_eq!(root_by_path(leaves[index], index, len, &path), Some(root(&leaves)));
            let wrong = (index + 1) % len;
            if len > 1 {
                prop_assert_ne!(root_by_path(leaves[index], wrong, len, &path), Some(root(&leaves)));
            }
        }

        #[test]
        fn a_longer_tree_continues_its_beginnings_and_no_other(len in 2_usize..150, pick: usize, fork: usize) {
            let old = 1 + pick % (len - 1);
            let leaves: Vec<_> = (0..len).map(|i| leaf(&i.to_be_bytes())).collect();
            let proof = consistency_path(&leaves, old);
            let size = |n: usize| u64::try_from(n).unwrap();
            let (before, after) = ((size(old), root(&leaves[..old])), (size(len), root(&leaves)));
            prop_assert!(is_consistent(before, after, &proof));
            prop_assert!(!is_consistent((before.0 + 1, before.1), after, &proof));
            prop_assert!(!is_consistent(before, (after.0, before.1), &proof));
            let mut forked = leaves;
            forked[fork % old] = leaf(b"another");
            let proof = consistency_path(&forked, old);
            prop_assert!(!is_consistent(before, (after.0, root(&forked)), &proof));
        }
    }
}
