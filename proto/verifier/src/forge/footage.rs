//! Real small pictures, cut into fragments as a recorder cuts them, and the playable copy of them.

use std::ops::Range;

use custody::fragment::{Disclosed, FLAG_KEY, FragmentInfo};
use custody::{Digest, WallTime};

use crate::boxes;

/// Numbers that count, H.264, 160x120, 5 frames a second, a key frame every 2 seconds.
const EAST: &[u8] = include_bytes!("../../testdata/numbers-a.mp4");
/// The same size and rate, another picture.
const WEST: &[u8] = include_bytes!("../../testdata/numbers-b.mp4");

/// Ticks of a second.
const TIMESCALE: u32 = 90_000;
/// Ticks of a frame.
const FRAME_TICKS: u32 = 18_000;
/// Frames of a fragment.
pub const FRAMES: u32 = 10;
/// Microseconds of a fragment.
pub const FRAGMENT_US: u64 = 2_000_000;
/// Fragments of a segment.
pub const FRAGMENTS: usize = 4;

/// A camera's footage, not yet cut into segments.
#[derive(Debug, Clone)]
pub struct Reel {
    /// `ftyp` and `moov`.
    pub init: Vec<u8>,
    /// `moof` and `mdat` of each fragment.
    pub fragments: Vec<Vec<u8>>,
}

/// The footage of the camera in the east.
#[must_use]
pub fn east() -> Reel {
    reel(EAST)
}

/// The footage of the camera in the west.
#[must_use]
pub fn west() -> Reel {
    reel(WEST)
}

fn reel(file: &[u8]) -> Reel {
    let places = boxes::in_bytes(file).expect("the footage is whole boxes");
    let mut reel = Reel { init: Vec::new(), fragments: Vec::new() };
    for place in places {
        let bytes = &file[range(place.start..place.end)];
        match &place.kind {
            b"ftyp" | b"moov" => reel.init.extend_from_slice(bytes),
            b"moof" => reel.fragments.push(bytes.to_vec()),
            _ => reel.fragments.last_mut().expect("mdat follows moof").extend_from_slice(bytes),
        }
    }
    reel
}

fn range(range: Range<u64>) -> Range<usize> {
    let at = |at| usize::try_from(at).expect("the footage is small");
    at(range.start)..at(range.end)
}

/// One segment's plain fragments.
#[derive(Debug, Clone)]
pub struct Shot {
    /// The init section.
    pub init: Vec<u8>,
    /// Each fragment, and what it says of itself.
    pub fragments: Vec<(Disclosed, Vec<u8>)>,
}

impl Shot {
    /// The segment `number` of a reel, which began at `start`.
    #[must_use]
    pub fn new(reel: &Reel, number: usize, start: WallTime) -> Self {
        let cut = reel.fragments.iter().skip(number * FRAGMENTS).take(FRAGMENTS);
        let fragments = (0_u32..).zip(cut).map(|(index, plain)| {
            let plain = moved(plain, index);
            let salt = Digest::of_parts(&[b"salt", &plain, &start.0.to_be_bytes()]);
            let elapsed = i64::from(index) * i64::try_from(FRAGMENT_US).expect("two seconds");
            let info = FragmentInfo {
                index,
                start: start.plus_micros(elapsed),
                duration_us: FRAGMENT_US,
                samples: FRAMES,
                flags: FLAG_KEY,
            };
            let cipher_sha256 = Digest::of_parts(&[b"sealed", &plain]);
            (Disclosed { info, bytes: plain.len() as u64, salt, cipher_sha256 }, plain)
        });
        Self { init: reel.init.clone(), fragments: fragments.collect() }
    }

    /// All plain fragments end to end.
    #[must_use]
    pub fn plain(&self) -> Vec<u8> {
        self.fragments.iter().flat_map(|(_, plain)| plain.clone()).collect()
    }

    /// The root over the fragments.
    #[must_use]
    pub fn root(&self) -> Digest {
        let leaves: Vec<_> = self.fragments.iter().map(|(one, plain)| one.leaf(plain)).collect();
        custody::tree::root(&leaves)
    }

    /// What each fragment says of itself.
    #[must_use]
    pub fn disclosed(&self) -> Vec<Disclosed> {
        self.fragments.iter().map(|(one, _)| one.clone()).collect()
    }
}

/// The fragment with its number and decode time counted from its segment's start.
fn moved(plain: &[u8], index: u32) -> Vec<u8> {
    let mut out = plain.to_vec();
    let at = |kind: &[u8; 4]| plain.windows(4).position(|window| window == kind);
    let ticks = u64::from(index) * u64::from(FRAMES * FRAME_TICKS);
    if let Some(mfhd) = at(b"mfhd") {
        out[mfhd + 8..mfhd + 12].copy_from_slice(&(index + 1).to_be_bytes());
    }
    if let Some(tfdt) = at(b"tfdt") {
        out[tfdt + 8..tfdt + 16].copy_from_slice(&ticks.to_be_bytes());
    }
    out
}

/// A box with this payload.
#[must_use]
pub fn a_box(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let len = u32::try_from(8 + payload.len()).expect("the boxes here are small");
    [&len.to_be_bytes()[..], kind, &payload].concat()
}

/// The lengths of a fragment's frames: `trun` names each, version 0, with data offset and first flags.
fn frame_sizes(plain: &[u8]) -> Vec<u32> {
    let Some(trun) = plain.windows(4).position(|window| window == b"trun") else {
        return Vec::new();
    };
    let sizes = plain[trun + 20..].chunks_exact(4).take(FRAMES as usize);
    sizes.map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// The payload of a fragment's `mdat`.
fn pictures(plain: &[u8]) -> &[u8] {
    let places = boxes::payloads_in(plain, b"mdat").unwrap_or_default();
    places.first().map_or(&[], |place| &plain[place.clone()])
}

/// The playable copy of these shots, and a track of text with the time of each fragment.
#[must_use]
pub fn view(shots: &[&Shot]) -> Vec<u8> {
    let fragments: Vec<_> = shots.iter().flat_map(|shot| shot.fragments.iter()).collect();
    let text: Vec<Vec<u8>> = fragments.iter().map(|(one, _)| subtitle(one.info.start)).collect();
    let ftyp = a_box(b"ftyp", &[b"isom", &512_u32.to_be_bytes(), b"isomiso6mp41"]);
    let init = shots.first().map_or(&[][..], |shot| &shot.init);
    // The tables hold places, and their own length moves them: laid out twice.
    let first = moov(init, &fragments, &text, 0).len() + ftyp.len() + 8;
    let moov = moov(init, &fragments, &text, u32::try_from(first).expect("a small copy"));
    let pictures: Vec<&[u8]> = fragments.iter().map(|(_, plain)| pictures(plain)).collect();
    let mdat = a_box(b"mdat", &[&pictures.concat(), &text.concat()]);
    [ftyp, moov, mdat].concat()
}

fn subtitle(at: WallTime) -> Vec<u8> {
    let text = at.to_string();
    let len = u16::try_from(text.len()).expect("a time is short");
    [&len.to_be_bytes()[..], text.as_bytes()].concat()
}

fn moov(init: &[u8], fragments: &[&(Disclosed, Vec<u8>)], text: &[Vec<u8>], first: u32) -> Vec<u8> {
    let sizes: Vec<u32> = fragments.iter().flat_map(|(_, plain)| frame_sizes(plain)).collect();
    let text_sizes: Vec<u32> =
        text.iter().map(|one| u32::try_from(one.len()).expect("a time is short")).collect();
    let text_at = first + sizes.iter().sum::<u32>();
    let frames = u32::try_from(sizes.len()).expect("a small copy");
    let ticks = frames * FRAME_TICKS;
    let of = |kind: &[u8; 4]| inner(init, kind).unwrap_or_default();
    let full = |kind: &[u8; 4], rest: &[&[u8]]| a_box(kind, &[&[0; 4], &rest.concat()]);
    let table = |kind: &[u8; 4], rows: &[u32], row: usize| {
        let count = u32::try_from(rows.len() / row).expect("a small copy");
        let rows: Vec<u8> = rows.iter().flat_map(|n| n.to_be_bytes()).collect();
        full(kind, &[&count.to_be_bytes(), &rows])
    };
    let stsz = |sizes: &[u32]| {
        let rows: Vec<u8> = sizes.iter().flat_map(|n| n.to_be_bytes()).collect();
        let count = u32::try_from(sizes.len()).expect("a small copy");
        full(b"stsz", &[&0_u32.to_be_bytes(), &count.to_be_bytes(), &rows])
    };
    let keys: Vec<u32> = (0..frames / FRAMES).map(|n| n * FRAMES + 1).collect();
    let stbl = |stsd: &[u8], sizes: &[u32], delta: u32, at: u32, stss: &[u8]| {
        let count = u32::try_from(sizes.len()).expect("a small copy");
        let tables = [
            stsd.to_vec(),
            table(b"stts", &[count, delta], 2),
            stss.to_vec(),
            table(b"stsc", &[1, count, 1], 3),
            stsz(sizes),
            table(b"stco", &[at], 1),
        ];
        a_box(b"stbl", &[&tables.concat()])
    };
    let mdhd = full(
        b"mdhd",
        &[&[0; 8], &TIMESCALE.to_be_bytes(), &ticks.to_be_bytes(), &[0x55, 0xc4, 0, 0]],
    );
    let hdlr = |kind: &[u8; 4]| full(b"hdlr", &[&[0; 4], kind, &[0; 12], b"forge\0"]);
    let trak = |id: u32, kind: &[u8; 4], head: &[u8], stbl: &[u8]| {
        let tkhd = a_box(
            b"tkhd",
            &[
                &[0, 0, 0, 3],
                &[0; 8],
                &id.to_be_bytes(),
                &[0; 4],
                &ticks.to_be_bytes(),
                &[0; 16],
                &MATRIX,
                &(160_u32 << 16).to_be_bytes(),
                &(120_u32 << 16).to_be_bytes(),
            ],
        );
        let minf = a_box(b"minf", &[head, &of(b"dinf"), stbl]);
        let mdia = a_box(b"mdia", &[&mdhd, &hdlr(kind), &minf]);
        a_box(b"trak", &[&tkhd, &mdia])
    };
    let stss = table(b"stss", &keys, 1);
    let video = stbl(&of(b"stsd"), &sizes, FRAME_TICKS, first, &stss);
    let tx3g = a_box(b"tx3g", &[&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 30]]);
    let stsd = full(b"stsd", &[&1_u32.to_be_bytes(), &tx3g]);
    let words = stbl(&stsd, &text_sizes, FRAMES * FRAME_TICKS, text_at, &[]);
    let mvhd = full(
        b"mvhd",
        &[
            &[0; 8],
            &TIMESCALE.to_be_bytes(),
            &ticks.to_be_bytes(),
            &[0, 1, 0, 0, 1, 0, 0, 0, 0, 0],
            &[0; 6],
            &MATRIX,
            &[0; 24],
            &3_u32.to_be_bytes(),
        ],
    );
    let video = trak(1, b"vide", &of(b"vmhd"), &video);
    let words = trak(2, b"text", &full(b"nmhd", &[]), &words);
    a_box(b"moov", &[&mvhd, &video, &words])
}

/// The unity matrix.
const MATRIX: [u8; 36] = [
    0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0x40, 0, 0, 0,
];

/// A whole box from anywhere in an init section.
fn inner(init: &[u8], kind: &[u8; 4]) -> Option<Vec<u8>> {
    let at = init.windows(4).position(|window| window == kind)?.checked_sub(4)?;
    let len = u32::from_be_bytes(*init.get(at..)?.first_chunk()?);
    init.get(at..at + usize::try_from(len).ok()?).map(<[u8]>::to_vec)
}
