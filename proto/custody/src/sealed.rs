//! The segment file as it lies on disc and travels: append-only and self-describing, so that an
//! index can be rebuilt from it and a torn end found. Format 1:
//!
//! ```text
//! file   = magic "WHSEG\x01\r\n"  block*
//! block  = kind:u8  len:u32  payload[len]                              big-endian
//! ```
//!
//! | kind | times | payload |
//! |---|---|---|
//! | `H` | once, first | header, JSON: [`Header`] |
//! | `I` | once, second | sealed `init` section (`ftyp+moov`) |
//! | `F` | any | `info[28] plain_commit[32]`, sealed fragment |
//! | `M` | at most once, last | the manifest's DSSE envelope |
//!
//! Sealed bytes are AES-256-GCM, ciphertext then a 16-byte tag, see `sealing.rs`. A file without
//! `M` is open, or was when power went.

use serde::{Deserialize, Serialize};

use crate::fragment::{self, FragmentInfo, INFO_BYTES};
use crate::ids::{CameraId, Digest, Seq};
use crate::refusal::{Code, Refusal};

/// The first eight bytes.
pub const MAGIC: &[u8; 8] = b"WHSEG\x01\r\n";
/// Bytes before each block's payload.
pub const BLOCK_HEAD_BYTES: usize = 5;
/// No block is longer: a fragment is cut at 16 MiB of frames, plus boxes and tag.
pub const BLOCK_BYTES_MAX: usize = 20 << 20;
/// No segment has more fragments: a minute of one-picture GOPs at 60 frames a second, doubled.
pub const FRAGMENTS_MAX: usize = 7_200;
/// The index under which the `init` section is sealed; no fragment reaches it.
pub const INIT_INDEX: u32 = u32::MAX;

/// The first block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Whose footage.
    pub camera: CameraId,
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// The run of the agent that wrote it.
    pub boot_id: String,
    /// The epoch key (hours since 1970) under which `wrapped_key` is wrapped.
    pub epoch: u64,
    /// The segment key, wrapped (AES-256-GCM under the epoch key), hexadecimal.
    pub wrapped_key: String,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The header.
    Header,
    /// The sealed `init` section.
    Init,
    /// A sealed fragment with what it says of itself.
    Fragment,
    /// The manifest: the file is complete.
    Manifest,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Init => b'I',
            Self::Fragment => b'F',
            Self::Manifest => b'M',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Header, Self::Init, Self::Fragment, Self::Manifest]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// The head of a block with `len` payload bytes.
#[must_use]
pub fn block_head(kind: Kind, len: usize) -> [u8; BLOCK_HEAD_BYTES] {
    let len = u32::try_from(len).expect("writers keep to BLOCK_BYTES_MAX");
    let [a, b, c, d] = len.to_be_bytes();
    [kind.byte(), a, b, c, d]
}

/// A whole block.
#[must_use]
pub fn block(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|p| p.len()).sum();
    let mut out = Vec::with_capacity(BLOCK_HEAD_BYTES + len);
    out.extend_from_slice(&block_head(kind, len));
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A sealed fragment in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFragment<'a> {
    /// What it says of itself.
    pub info: FragmentInfo,
    /// The salted commitment to its plain bytes.
    pub plain_commit: Digest,
    /// Ciphertext and tag.
    pub sealed: &'a [u8],
}

impl SealedFragment<'_> {
    /// The tree leaf, from what the block holds: no key needed.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        fragment::leaf(&self.info, self.plain_commit, Digest::of(self.sealed))
    }

    /// The block's bytes.
    #[must_use]
    pub fn block(&self) -> Vec<u8> {
        block(Kind::Fragment, &[&self.info.encode(), &self.plain_commit.0, self.sealed])
    }

    fn parse(payload: &[u8]) -> Option<SealedFragment<'_>> {
        let (info, rest) = payload.split_first_chunk::<INFO_BYTES>()?;
        let (plain_commit, sealed) = rest.split_first_chunk::<32>()?;
        let info = FragmentInfo::decode(info);
        Some(SealedFragment { info, plain_commit: Digest(*plain_commit), sealed })
    }
}

/// A segment file taken apart; slices into its bytes.
#[derive(Debug, Clone)]
pub struct SealedSegment<'a> {
    /// The header.
    pub header: Header,
    /// The sealed `init` section; none if the file was torn before it.
    pub init: Option<&'a [u8]>,
    /// The fragments, in order.
    pub fragments: Vec<SealedFragment<'a>>,
    /// The manifest's envelope bytes, if the segment was closed.
    pub manifest: Option<&'a [u8]>,
    /// How many bytes are whole blocks. Less than the file's length: the rest was torn off.
    pub whole_bytes: usize,
}

impl<'a> SealedSegment<'a> {
    /// Takes a file apart up to its torn end, if it has one.
    ///
    /// # Errors
    /// `sealed-malformed` when the file breaks the layout other than by ending early.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal::new(Code::SealedMalformed, why);
        if !bytes.starts_with(MAGIC) {
            return Err(bad("no segment file of format 1"));
        }
        let mut at = MAGIC.len();
        let (kind, payload) =
            next_block(bytes, &mut at)?.ok_or_else(|| bad("the file ends before its header"))?;
        if kind != Kind::Header {
            return Err(bad("the first block is not the header"));
        }
        let header = serde_json::from_slice(payload)
            .map_err(|e| bad(&format!("the header does not read: {e}")))?;
        let mut segment =
            Self { header, init: None, fragments: Vec::new(), manifest: None, whole_bytes: at };
        segment.take_all(bytes, 0)?;
        Ok(segment)
    }

    /// Takes the rest of a file apart, behind its fragment number `first - 1`. `whole_bytes` counts
    /// from there.
    ///
    /// # Errors
    /// As [`SealedSegment::read`].
    pub fn read_on(header: Header, first: u32, bytes: &'a [u8]) -> Result<Self, Refusal> {
        let init = Some(&bytes[..0]);
        let mut segment =
            Self { header, init, fragments: Vec::new(), manifest: None, whole_bytes: 0 };
        segment.take_all(bytes, first as usize)?;
        Ok(segment)
    }

    fn take_all(&mut self, bytes: &'a [u8], first: usize) -> Result<(), Refusal> {
        let mut at = self.whole_bytes;
        while let Some((kind, payload)) = next_block(bytes, &mut at)? {
            self.take(kind, payload, first)?;
            self.whole_bytes = at;
        }
        Ok(())
    }

    fn take(&mut self, kind: Kind, payload: &'a [u8], first: usize) -> Result<(), Refusal> {
        let bad = |why: &str| Refusal::new(Code::SealedMalformed, why);
        if self.manifest.is_some() {
            return Err(bad("a block follows the manifest"));
        }
        match kind {
            Kind::Header => return Err(bad("a second header")),
            Kind::Init if self.init.is_some() => return Err(bad("a second init section")),
            Kind::Init => self.init = Some(payload),
            Kind::Fragment => {
                let fragment = SealedFragment::parse(payload)
                    .ok_or_else(|| bad("a fragment block is too short"))?;
                let expected = first + self.fragments.len();
                if self.init.is_none() || expected >= FRAGMENTS_MAX {
                    return Err(bad("a fragment stands where none may"));
                }
                if usize::try_from(fragment.info.index) != Ok(expected) {
                    return Err(bad("fragments are out of order"));
                }
                self.fragments.push(fragment);
            }
            Kind::Manifest => self.manifest = Some(payload),
        }
        Ok(())
    }

    /// The leaves of the segment's tree.
    #[must_use]
    pub fn leaves(&self) -> Vec<Digest> {
        self.fragments.iter().map(SealedFragment::leaf).collect()
    }
}

/// The block at `at`, moving `at` behind it; none at the end or where the file is torn.
fn next_block<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<(Kind, &'a [u8])>, Refusal> {
    let Some(([kind, a, b, c, d], rest)) = bytes[*at..].split_first_chunk::<BLOCK_HEAD_BYTES>()
    else {
        return Ok(None);
    };
    let bad = |why: &str| Refusal::new(Code::SealedMalformed, why);
    let kind = Kind::from_byte(*kind).ok_or_else(|| bad("a block of unknown kind"))?;
    let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if len > BLOCK_BYTES_MAX {
        return Err(bad("a block is longer than 20 MiB"));
    }
    let Some(payload) = rest.get(..len) else {
        return Ok(None);
    };
    *at += BLOCK_HEAD_BYTES + len;
    Ok(Some((kind, payload)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::WallTime;

    fn file() -> Vec<u8> {
        let header = Header {
            camera: "east/ext-01".parse().unwrap(),
            seq: Seq(7),
            boot_id: "b".into(),
            epoch: 1,
            wrapped_key: "00".into(),
        };
        let mut out = MAGIC.to_vec();
        out.extend(block(Kind::Header, &[&serde_json::to_vec(&header).unwrap()]));
        out.extend(block(Kind::Init, &[b"init"]));
        for index in 0..3 {
            let info = FragmentInfo {
                index,
                start: WallTime(i64::from(index)),
                duration_us: 1,
                samples: 1,
                flags: 1,
            };
            out.extend(
                SealedFragment { info, plain_commit: Digest::NONE, sealed: b"sealed" }.block(),
            );
        }
        out.extend(block(Kind::Manifest, &[b"manifest"]));
        out
    }

    #[test]
    fn a_file_reads_back_whole() {
        let file = file();
        let read = SealedSegment::read(&file).unwrap();
        assert_eq!((read.header.seq, read.fragments.len()), (Seq(7), 3));
        assert_eq!(read.manifest, Some(&b"manifest"[..]));
        assert_eq!(read.whole_bytes, file.len());
    }

    proptest! {
        #[test]
        fn a_torn_file_keeps_its_whole_blocks(cut in 0_usize..1000) {
            let file = file();
            let cut = cut % file.len();
            if let Ok(read) = SealedSegment::read(&file[..cut]) {
                prop_assert!(read.whole_bytes <= cut);
                prop_assert!(read.manifest.is_none());
                let again = SealedSegment::read(&file[..read.whole_bytes]).unwrap();
                prop_assert_eq!(again.fragments.len(), read.fragments.len());
            }
        }

        #[test]
        fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _verdict = SealedSegment::read(&bytes);
            bytes.splice(0..0, MAGIC.iter().copied());
            let _verdict = SealedSegment::read(&bytes);
        }
    }
}
