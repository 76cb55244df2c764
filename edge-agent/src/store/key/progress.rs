//! Family `progress`: how much of the segment being written is on the disc, per camera. Written after
//! each fragment's sync and not synced itself: an older row, or none, costs a start after a crash the
//! reading of what it does not tell.
//!
//! ```text
//! key   = camera 0x00
//! value = 1:u8 seq:u64 file_bytes:u64 start end samples:u64 plain_bytes:u64 init_sha256[32]
//!         leaves:u64 subtree[32]*
//! ```

use custody::tree::CompactRange;
use custody::{Digest, Seq, WallTime};

use super::{Reader, Writer};

/// What is whole of a segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Its place in the chain.
    pub seq: Seq,
    /// Where its last whole block ends.
    pub file_bytes: u64,
    /// The wall time of its first frame.
    pub start: WallTime,
    /// Where its last fragment ends.
    pub end: WallTime,
    /// Pictures.
    pub samples: u32,
    /// Bytes before they were sealed.
    pub plain_bytes: u64,
    /// Of the plain `init` section.
    pub init_sha256: Digest,
    /// The tree over its fragments.
    pub tree: CompactRange,
}

impl Progress {
    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let begun = Writer::default()
            .u8(1)
            .u64(self.seq.0)
            .u64(self.file_bytes)
            .time(self.start)
            .time(self.end)
            .u64(self.samples.into())
            .u64(self.plain_bytes)
            .digest(self.init_sha256)
            .u64(self.tree.len().into());
        self.tree.subtrees().iter().fold(begun, |row, root| row.digest(*root)).done()
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let (seq, file_bytes, start, end) = (r.seq()?, r.u64()?, r.time()?, r.time()?);
        let (samples, plain_bytes) = (u32::try_from(r.u64()?).ok()?, r.u64()?);
        let (init_sha256, leaves) = (r.digest()?, u32::try_from(r.u64()?).ok()?);
        let subtrees = (0..leaves.count_ones()).map(|_| r.digest()).collect::<Option<_>>()?;
        r.end()?;
        let tree = CompactRange::of(leaves, subtrees)?;
        Some(Self { seq, file_bytes, start, end, samples, plain_bytes, init_sha256, tree })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_back() {
        let mut progress = Progress {
            seq: Seq(4),
            file_bytes: 9_000,
            start: WallTime(-9),
            end: WallTime(4_000_000),
            samples: 75,
            plain_bytes: 8_000,
            init_sha256: Digest::of(b"init"),
            tree: CompactRange::default(),
        };
        for n in 0..7_u8 {
            assert_eq!(Progress::decode(&progress.encode()), Some(progress.clone()));
            progress.tree.push(Digest::of(&[n]));
        }
        let whole = progress.encode();
        assert_eq!(Progress::decode(&whole[..whole.len() - 32]), None);
    }
}
