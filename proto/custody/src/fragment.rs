//! The leaf that commits to one fragment (one GOP as one fMP4 `moof+mdat`), plain and sealed.
//!
//! ```text
//! plain_commit = SHA-256( salt[32] || SHA-256(plaintext) )
//! leaf entry   = "WHF1" index:u32 start_us:i64 duration_us:u64 samples:u32 flags:u32
//!                plain_commit[32] cipher_sha256[32]                    big-endian, 96 bytes
//! leaf         = SHA-256( 0x00 || entry )                              RFC 6962
//! ```
//! The sealed digest lets discs and transfers be checked without keys; the salted digest leaves no
//! guessable trace once the key that grew the salt is destroyed.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::time::WallTime;
use crate::tree;

/// Set when decoding can start at the fragment's first frame.
pub const FLAG_KEY: u32 = 1;

/// What a fragment says of itself; fixed 28 bytes in files and leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FragmentInfo {
    /// The place within the segment, from 0.
    pub index: u32,
    /// The wall time of its first frame.
    pub start: WallTime,
    /// To the start of what follows, microseconds.
    pub duration_us: u64,
    /// How many frames.
    pub samples: u32,
    /// [`FLAG_KEY`].
    pub flags: u32,
}

/// The bytes of an encoded [`FragmentInfo`].
pub const INFO_BYTES: usize = 28;

impl FragmentInfo {
    /// The fixed layout at the top of this file.
    #[must_use]
    pub fn encode(&self) -> [u8; INFO_BYTES] {
        let mut out = [0; INFO_BYTES];
        out[0..4].copy_from_slice(&self.index.to_be_bytes());
        out[4..12].copy_from_slice(&self.start.0.to_be_bytes());
        out[12..20].copy_from_slice(&self.duration_us.to_be_bytes());
        out[20..24].copy_from_slice(&self.samples.to_be_bytes());
        out[24..28].copy_from_slice(&self.flags.to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    #[must_use]
    pub fn decode(bytes: &[u8; INFO_BYTES]) -> Self {
        let (index, rest) = bytes.split_first_chunk().expect("28 bytes hold the index");
        let (start, rest) = rest.split_first_chunk().expect("24 bytes hold the start");
        let (duration, rest) = rest.split_first_chunk().expect("16 bytes hold the duration");
        let (samples, rest) = rest.split_first_chunk().expect("8 bytes hold the samples");
        let (flags, _) = rest.split_first_chunk().expect("4 bytes hold the flags");
        Self {
            index: u32::from_be_bytes(*index),
            start: WallTime(i64::from_be_bytes(*start)),
            duration_us: u64::from_be_bytes(*duration),
            samples: u32::from_be_bytes(*samples),
            flags: u32::from_be_bytes(*flags),
        }
    }

    /// Where the fragment ends.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.start.plus_micros(i64::try_from(self.duration_us).unwrap_or(i64::MAX))
    }
}

/// The salted commitment to the plain bytes' digest.
#[must_use]
pub fn plain_commit(salt: &[u8; 32], plain: Digest) -> Digest {
    Digest::of_parts(&[salt, &plain.0])
}

/// The tree leaf of one fragment.
#[must_use]
pub fn leaf(info: &FragmentInfo, plain_commit: Digest, cipher: Digest) -> Digest {
    let mut entry = Vec::with_capacity(4 + INFO_BYTES + 64);
    entry.extend_from_slice(b"WHF1");
    entry.extend_from_slice(&info.encode());
    entry.extend_from_slice(&plain_commit.0);
    entry.extend_from_slice(&cipher.0);
    tree::leaf(&entry)
}

/// One fragment as a bundle discloses it, beside the plain bytes: with these a stranger recomputes
/// the leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// What it says of itself.
    pub info: FragmentInfo,
    /// How many plain bytes.
    pub bytes: u64,
    /// The salt of its commitment, hexadecimal.
    pub salt: Digest,
    /// The digest of its sealed bytes.
    pub cipher_sha256: Digest,
}

impl Disclosed {
    /// The leaf that `plain` leads to.
    #[must_use]
    pub fn leaf(&self, plain: &[u8]) -> Digest {
        leaf(&self.info, plain_commit(&self.salt.0, Digest::of(plain)), self.cipher_sha256)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_fragment_says_reads_back(index: u32, start: i64, duration_us: u64, samples: u32, flags: u32) {
            let info = FragmentInfo { index, start: WallTime(start), duration_us, samples, flags };
            prop_assert_eq!(FragmentInfo::decode(&info.encode()), info);
        }
    }

    #[test]
    fn every_part_of_a_leaf_counts() {
        let info =
            FragmentInfo { index: 1, start: WallTime(2), duration_us: 3, samples: 4, flags: 1 };
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let leaf_of = leaf(&info, a, b);
        assert_ne!(leaf_of, leaf(&info, b, a));
        assert_ne!(leaf_of, leaf(&FragmentInfo { index: 2, ..info }, a, b));
        assert_ne!(leaf_of, leaf(&FragmentInfo { flags: 0, ..info }, a, b));
    }
}
