//! The only maker of sealed fragments: commits to the plain bytes, seals them in their place, and
//! gives the block that goes to the file and the leaf that goes to the tree.

use aws_lc_rs::digest::{Context as Sha256, SHA256};
use bytes::Bytes;
use custody::fragment::{self, FLAG_KEY, FragmentInfo, INFO_BYTES};
use custody::sealed::{self, BLOCK_HEAD_BYTES, INIT_INDEX, Kind};
use custody::sealing::{Key, SegmentSealer, TAG_BYTES};
use custody::{CameraId, Digest, Seq, WallTime};

use crate::segment;

/// One clean fragment on its way to be sealed. Outside of tests made only of a
/// [`segment::Fragment`], and so only of masked pixels.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    head: &'a [u8],
    frames: &'a [Bytes],
    len: usize,
    start: WallTime,
    end: WallTime,
    samples: u32,
    key: bool,
}

impl<'a> Plain<'a> {
    /// What a fragment of the segment room holds.
    #[must_use]
    pub fn of(fragment: &'a segment::Fragment) -> Self {
        let (head, frames) = (&fragment.head()[..], fragment.frames());
        Self {
            head,
            frames,
            len: head.len() + frames.iter().map(Bytes::len).sum::<usize>(),
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
        let end = start.plus_micros(duration_us);
        Self { head: bytes, frames: &[], len: bytes.len(), start, end, samples: 25, key: true }
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
        self.len
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same pictures said to begin at `start`, ending where they ended or there.
    #[must_use]
    pub fn starting(self, start: WallTime) -> Self {
        Self { start, end: self.end.max(start), ..self }
    }

    fn parts(&self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.head).chain(self.frames.iter().map(|frame| &frame[..]))
    }
}

/// A fragment that only its segment's key opens, in the buffer that it was sealed in.
#[derive(Debug)]
pub struct SealedFragment<'a> {
    info: FragmentInfo,
    leaf: Digest,
    block: &'a [u8],
}

impl<'a> SealedFragment<'a> {
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
    pub fn block(&self) -> &'a [u8] {
        self.block
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

    /// Seals the next fragment, in `buffer`, whose old content is given up. The frames are read from
    /// memory once, hashed as they are copied; what follows finds them in the processor's cache. A
    /// buffer that is used again and again costs no fresh pages.
    #[must_use]
    pub fn seal<'b>(&mut self, plain: Plain<'_>, buffer: &'b mut Vec<u8>) -> SealedFragment<'b> {
        let index = self.next_index;
        self.next_index += 1;
        let info = FragmentInfo {
            index,
            start: plain.start,
            duration_us: u64::try_from(plain.end.micros_since(plain.start)).unwrap_or(0),
            samples: plain.samples,
            flags: if plain.key { FLAG_KEY } else { 0 },
        };
        let payload = INFO_BYTES + DIGEST_BYTES + plain.len + TAG_BYTES;
        buffer.clear();
        buffer.reserve(BLOCK_HEAD_BYTES + payload);
        buffer.extend_from_slice(&sealed::block_head(Kind::Fragment, payload));
        buffer.extend_from_slice(&info.encode());
        let commit_at = buffer.len();
        let sealed_at = commit_at + DIGEST_BYTES;
        buffer.resize(sealed_at, 0);
        let mut plain_hash = Sha256::new(&SHA256);
        for part in plain.parts() {
            let from = buffer.len();
            buffer.extend_from_slice(part);
            plain_hash.update(&buffer[from..]);
        }
        let commit = fragment::plain_commit(&self.segment.salt(index), digest(plain_hash.finish()));
        buffer[commit_at..sealed_at].copy_from_slice(&commit.0);
        let tag = self.segment.seal_slice(index, &mut buffer[sealed_at..]);
        buffer.extend_from_slice(&tag);
        let cipher = digest(aws_lc_rs::digest::digest(&SHA256, &buffer[sealed_at..]));
        SealedFragment { info, leaf: fragment::leaf(&info, commit, cipher), block: buffer }
    }
}

const DIGEST_BYTES: usize = 32;

/// A SHA-256 digest of the link's own crypto library: a third faster here than the one that evidence is
/// checked with, and the same by definition; the tests hold the two together.
fn digest(made: aws_lc_rs::digest::Digest) -> Digest {
    Digest(made.as_ref().try_into().expect("SHA-256 has 32 bytes"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_sealed_from_its_frames_is_the_one_that_evidence_describes() {
        let (camera, key) = ("east/int-01".parse().unwrap(), Key::new([5; 32]));
        let frames: Vec<Bytes> =
            [70_000, 1, 0, 333].iter().map(|len| Bytes::from(vec![9; *len])).collect();
        let head = b"moof";
        let plain = |index: i64| Plain {
            head,
            frames: &frames,
            len: 4 + 70_334,
            start: WallTime(index),
            end: WallTime(index + 1),
            samples: 4,
            key: true,
        };
        let whole: Vec<u8> = head.iter().chain(frames.iter().flatten()).copied().collect();
        let (mut sealer, opener) =
            (Sealer::new(&key, &camera, Seq(3)), SegmentSealer::new(&key, &camera, Seq(3)));
        // The second time over the first one's bytes.
        let mut buffer = Vec::new();
        for index in [0, 1] {
            let made = sealer.seal(plain(index), &mut buffer);
            let (leaf, info) = (made.leaf(), *made.info());
            let block = made.block();
            assert_eq!(block[0], b'F');
            let payload = &block[BLOCK_HEAD_BYTES..];
            let len = usize::try_from(u32::from_be_bytes(block[1..5].try_into().unwrap())).unwrap();
            assert_eq!(len, payload.len());
            let sealed = sealed::SealedFragment {
                info,
                plain_commit: Digest(payload[INFO_BYTES..INFO_BYTES + 32].try_into().unwrap()),
                sealed: &payload[INFO_BYTES + 32..],
            };
            assert_eq!(payload[..INFO_BYTES], info.encode());
            assert_eq!(sealed.leaf(), leaf);
            assert_eq!(sealed.block(), block);
            assert!(open(&opener, &sealed).unwrap() == whole);
        }
    }
}
