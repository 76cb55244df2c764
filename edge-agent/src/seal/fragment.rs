//! The only maker of sealed fragments: commits to the plain bytes, seals them in their place, and
//! gives the block that goes to the file and the leaf that goes to the tree.

use custody::fragment::{self, FLAG_KEY, FragmentInfo};
use custody::sealed::{self, INIT_INDEX, Kind};
use custody::sealing::{Key, SegmentSealer};
use custody::{CameraId, Digest, Seq, WallTime};

use crate::segment;

/// One clean fragment on its way to be sealed. Outside of tests made only of a
/// [`segment::Fragment`], and so only of masked pixels.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    bytes: &'a [u8],
    start: WallTime,
    end: WallTime,
    samples: u32,
    key: bool,
}

impl<'a> Plain<'a> {
    /// What a fragment of the segment room holds.
    #[must_use]
    pub fn of(fragment: &'a segment::Fragment) -> Self {
        Self {
            bytes: fragment.bytes(),
            start: fragment.start(),
            end: fragment.end(),
            samples: fragment.samples(),
            key: fragment.sync(),
        }
    }

    /// A fragment of no camera, for tests of the rooms behind this one.
    #[cfg(test)]
    #[must_use]
    pub fn fake(bytes: &'a [u8], start: WallTime, duration_us: i64) -> Self {
        Self { bytes, start, end: start.plus_micros(duration_us), samples: 25, key: true }
    }

    /// The wall time of its first frame.
    #[must_use]
    pub fn start(&self) -> WallTime {
        self.start
    }

    /// Where its last frame ends.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.end
    }

    /// How many plain bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same pictures said to begin at `start`, ending where they ended or there.
    #[must_use]
    pub fn starting(self, start: WallTime) -> Self {
        Self { start, end: self.end.max(start), ..self }
    }
}

/// A fragment that only its segment's key opens.
#[derive(Debug)]
pub struct SealedFragment {
    info: FragmentInfo,
    leaf: Digest,
    block: Vec<u8>,
}

impl SealedFragment {
    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &FragmentInfo {
        &self.info
    }

    /// Its leaf in the segment's tree.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        self.leaf
    }

    /// Its block in the segment's file.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }
}

/// Seals the fragments of one segment, in order, each index once.
pub struct Sealer {
    segment: SegmentSealer,
    next_index: u32,
}

impl Sealer {
    /// For segment `seq` of `camera` under its own new key.
    #[must_use]
    pub fn new(key: &Key, camera: &CameraId, seq: Seq) -> Self {
        Self { segment: SegmentSealer::new(key, camera, seq), next_index: 0 }
    }

    /// The block of the sealed `init` section. Call once.
    #[must_use]
    pub fn init(&self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        self.segment.seal(INIT_INDEX, &mut sealed);
        sealed::block(Kind::Init, &[&sealed])
    }

    /// Seals the next fragment.
    #[must_use]
    pub fn seal(&mut self, plain: Plain<'_>) -> SealedFragment {
        let index = self.next_index;
        self.next_index += 1;
        let info = FragmentInfo {
            index,
            start: plain.start,
            duration_us: u64::try_from(plain.end.micros_since(plain.start)).unwrap_or(0),
            samples: plain.samples,
            flags: if plain.key { FLAG_KEY } else { 0 },
        };
        let commit = fragment::plain_commit(&self.segment.salt(index), Digest::of(plain.bytes));
        let mut bytes = Vec::with_capacity(plain.bytes.len() + custody::sealing::TAG_BYTES);
        bytes.extend_from_slice(plain.bytes);
        self.segment.seal(index, &mut bytes);
        let sealed = sealed::SealedFragment { info, plain_commit: commit, sealed: &bytes };
        SealedFragment { info, leaf: sealed.leaf(), block: sealed.block() }
    }
}

/// Opens one sealed fragment and checks its commitment; gives its plain bytes.
///
/// # Errors
/// `seal-broken` or `fragment-altered`.
pub fn open(
    opener: &SegmentSealer,
    sealed: &sealed::SealedFragment<'_>,
) -> Result<Vec<u8>, custody::Refusal> {
    let mut bytes = sealed.sealed.to_vec();
    opener.open(sealed.info.index, &mut bytes)?;
    let commit = fragment::plain_commit(&opener.salt(sealed.info.index), Digest::of(&bytes));
    if commit != sealed.plain_commit {
        let what = format!("fragment {} is not the one committed to", sealed.info.index);
        return Err(custody::Refusal::new(custody::Code::FragmentAltered, what));
    }
    Ok(bytes)
}
