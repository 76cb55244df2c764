//! The index's rows: one file per kind, each with the layout of its key and value.
//!
//! | file | family | key | value |
//! |---|---|---|---|
//! | [`link`] | `links` | camera seq | a segment, gap or erased segment, and where its record lies |
//! | [`moment`] | `moments` | camera kind time seq | nothing: finds links by time |
//! | [`expiry`] | `expiry` | end camera seq | what retention must know of a stored segment |
//! | [`entry`] | `log` | place | an envelope, packed: the body of a site log's entry |
//! | [`commitment`] | `entries` | place | what stands in the log's tree for it |
//! | [`hash`] | `tree` | number | a stored hash of the log's tree |
//! | [`head`] | `heads` | camera | the chain's last link |
//! | [`opened`] | `opened` | camera | the segment being written |
//! | [`progress`] | `progress` | camera | how much of that is on the disc |
//! | [`condemned`] | `condemned` | camera seq | a file whose erasure is logged and that may still be there |
//! | [`hold`] | `holds` | hold camera | a hold |
//! | [`tally`] | `tallies` | camera epoch | how many segments and bytes |
//! | [`signer`] | `signers` | key id | a key of this site, and its certificate's place |
//! | [`mask`] | `masks` | camera | what covers its picture, as last recorded |
//! | [`fact`] | `facts` | name | volume identity, log's name, orderly stop, rebuild |
//! | [`damaged`] | `facts` | camera seq | a stored segment that is not what was signed |
//! | [`erasures`] | `facts` | | segments erased early or late, by day |
//! | [`second`] | `second` | mark camera seq | which disc a segment lies on, if not the first |
//! | [`checkpoint`] | `facts` | | the greatest tree that may have been signed |
//! | [`residue`] | `facts` | hour | footage was erased, and its hour's key lives on |
//! | [`rotation`] | `facts` | | a change of the keys that is logged and may be unfinished |
//!
//! Integers are big-endian, so that keys sort; signed ones have their top bit flipped. Camera names
//! end with a zero byte. Values begin with the version of their layout.

pub(crate) mod checkpoint;
pub(crate) mod commitment;
pub(crate) mod condemned;
pub(crate) mod damaged;
pub(crate) mod entry;
pub(crate) mod erasures;
pub(crate) mod expiry;
pub(crate) mod fact;
pub(crate) mod hash;
pub(crate) mod head;
pub(crate) mod hold;
pub(crate) mod link;
pub(crate) mod mask;
pub(crate) mod moment;
pub(crate) mod opened;
pub(crate) mod progress;
pub(crate) mod residue;
pub(crate) mod rotation;
pub(crate) mod second;
pub(crate) mod signer;
pub(crate) mod tally;

use custody::{CameraId, Digest, Seq, SiteId, WallTime};

/// A column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// [`link`].
    Links,
    /// [`moment`].
    Moments,
    /// [`expiry`].
    Expiry,
    /// [`entry`].
    Log,
    /// [`commitment`].
    Entries,
    /// [`hash`].
    Tree,
    /// [`head`].
    Heads,
    /// [`opened`].
    Opened,
    /// [`progress`].
    Progress,
    /// [`condemned`].
    Condemned,
    /// [`hold`].
    Holds,
    /// [`tally`].
    Tallies,
    /// [`signer`].
    Signers,
    /// [`mask`].
    Masks,
    /// [`fact`].
    Facts,
    /// [`second`].
    Second,
}

impl Family {
    /// Every family.
    pub(crate) const ALL: [Self; 16] = [
        Self::Links,
        Self::Moments,
        Self::Expiry,
        Self::Log,
        Self::Entries,
        Self::Tree,
        Self::Heads,
        Self::Opened,
        Self::Progress,
        Self::Condemned,
        Self::Holds,
        Self::Tallies,
        Self::Signers,
        Self::Masks,
        Self::Facts,
        Self::Second,
    ];

    /// Its name in RocksDB. Never changes.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Moments => "moments",
            Self::Expiry => "expiry",
            Self::Log => "log",
            Self::Entries => "entries",
            Self::Tree => "tree",
            Self::Heads => "heads",
            Self::Opened => "opened",
            Self::Progress => "progress",
            Self::Condemned => "condemned",
            Self::Holds => "holds",
            Self::Tallies => "tallies",
            Self::Signers => "signers",
            Self::Masks => "masks",
            Self::Facts => "facts",
            Self::Second => "second",
        }
    }
}

/// Builds a key or value from its fields.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// In an order that sorts: the top bit flipped.
    pub(super) fn time(mut self, time: WallTime) -> Self {
        let mut bytes = time.0.to_be_bytes();
        bytes[0] ^= 0x80;
        self.0.extend_from_slice(&bytes);
        self
    }

    pub(super) fn digest(mut self, digest: Digest) -> Self {
        self.0.extend_from_slice(&digest.0);
        self
    }

    pub(super) fn camera(self, camera: &CameraId) -> Self {
        self.text(camera.name())
    }

    /// Text without zero bytes, and a zero byte.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a key or value apart; every step says whether there was enough.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.chunk().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }

    pub(super) fn seq(&mut self) -> Option<Seq> {
        self.u64().map(Seq)
    }

    pub(super) fn time(&mut self) -> Option<WallTime> {
        let mut bytes: [u8; 8] = self.chunk()?;
        bytes[0] ^= 0x80;
        Some(WallTime(i64::from_be_bytes(bytes)))
    }

    pub(super) fn digest(&mut self) -> Option<Digest> {
        self.chunk().map(Digest)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let text = std::str::from_utf8(&self.0[..end]).ok()?.to_owned();
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    pub(super) fn camera(&mut self, site: &SiteId) -> Option<CameraId> {
        CameraId::new(site, &self.text()?).ok()
    }

    /// The version byte, if it is `expected`.
    pub(super) fn version(&mut self, expected: u8) -> Option<()> {
        (self.u8()? == expected).then_some(())
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// What every key of `camera` begins with.
#[must_use]
pub(crate) fn of_camera(camera: &CameraId) -> Vec<u8> {
    Writer::default().camera(camera).done()
}

/// The first key after all that begin with `prefix`; keys here never consist of `0xff` alone.
#[must_use]
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
