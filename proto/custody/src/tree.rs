//! RFC 6962 section 2.1 Merkle trees over SHA-256: the root of a segment, and audit paths of a cut.

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
    }
}
