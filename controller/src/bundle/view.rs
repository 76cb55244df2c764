//! Writes the playable copy: an ordinary MP4 with its index in front, the masters' pictures byte
//! for byte behind it, and the captions last.
//!
//! ```text
//! ftyp  [uuid: C2PA]  moov  mdat  mdat
//!       |             |     |     captions: per sample a 16-bit length and that much ASCII text
//!       |             |     pictures: each master's `mdat` payloads, in the order of the chain
//!       |             a track of pictures (one sample entry per decoder configuration; an edit
//!       |             list shows the asked interval) and a track of captions (tx3g)
//!       put there by `c2pa-sign`, which moves the index's offsets and changes no other byte
//! ```
//! Both `mdat` have 64-bit lengths. **The rule of the check** (the verifier's `tables.rs`): the
//! samples of both tracks tile both payloads, byte for byte and each byte once; the samples of the
//! track of pictures are the masters' pictures in their order. So no other picture can lie in the
//! file, and none of the masters' is left out: only the edit list says what is shown.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use aws_lc_rs::digest;
use custody::{CameraId, Digest, Seq, WallTime, bundle};
use mp4_atom::{
    Co64, Ctts, CttsEntry, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode as _, FontEntry,
    FourCC, Ftab, Ftyp, Hdlr, Matrix, Mdhd, Mdia, Minf, Moov, Mvhd, Nmhd, Stbl, Stsc, StscEntry,
    Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Tx3g, Url, Vmhd,
};

use super::bag::{Bag, Draft};
use super::caption::Caption;
use super::movie::{Movie, TIMESCALE};
use super::window::Window;
use super::{BundleError, io_error, wrong};

/// An `mdat` head with a 64-bit length.
const MDAT_HEAD_BYTES: u64 = 16;
const PIECE_BYTES: usize = 1 << 20;
/// Seconds from 1904, where MP4 counts from, to 1970.
const SECONDS_1904_TO_1970: u64 = 2_082_844_800;

/// What a copy holds, and what of it is shown.
pub(super) struct Copy<'a> {
    pub(super) movie: &'a Movie,
    pub(super) window: Window,
    pub(super) captions: Vec<Caption>,
}

/// Writes the copy of a camera whose masters are in the bag; gives the digest of its pictures.
pub(super) fn write(
    camera: &CameraId,
    copy: &Copy<'_>,
    bag: &Bag,
    file: &mut Draft,
) -> Result<Digest, BundleError> {
    let head = head(copy)
        .map_err(|error| wrong(format!("{camera}: the playable copy has no index: {error}")))?;
    file.write(&head)?;
    let pictures = pictures(camera, copy.movie, bag, file)?;
    file.write(&mdat_head(caption_bytes(copy)))?;
    for caption in &copy.captions {
        file.write(&caption.sample())?;
    }
    Ok(pictures)
}

fn pictures(
    camera: &CameraId,
    movie: &Movie,
    bag: &Bag,
    file: &mut Draft,
) -> Result<Digest, BundleError> {
    let mut hasher = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; PIECE_BYTES];
    let mut master: Option<(Seq, File)> = None;
    for chunk in &movie.chunks {
        let path = bag.path(&bundle::master(camera, chunk.seq));
        let read = io_error("read back", &path);
        if master.as_ref().is_none_or(|(seq, _)| *seq != chunk.seq) {
            master = Some((chunk.seq, File::open(&path).map_err(&read)?));
        }
        let Some((_, master)) = &mut master else { continue };
        master.seek(SeekFrom::Start(chunk.in_master.start)).map_err(&read)?;
        let mut left = chunk.in_master.end - chunk.in_master.start;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            master.read_exact(&mut piece[..want]).map_err(&read)?;
            hasher.update(&piece[..want]);
            file.write(&piece[..want])?;
            left -= want as u64;
        }
    }
    let mut sha256 = Digest::NONE;
    sha256.0.copy_from_slice(hasher.finish().as_ref());
    Ok(sha256)
}

/// Everything before the pictures. The index holds their places, and its own length moves them: it
/// is laid out twice, the second time with the places known. Its length does not depend on them.
fn head(copy: &Copy<'_>) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut out = Vec::new();
    let brand = FourCC::new(b"isom");
    Ftyp {
        major_brand: brand,
        minor_version: 0x200,
        compatible_brands: vec![brand, FourCC::new(b"iso6"), FourCC::new(b"mp41")],
    }
    .encode(&mut out)?;
    let mut measured = Vec::new();
    moov(copy, 0).encode(&mut measured)?;
    let first = (out.len() + measured.len()) as u64 + MDAT_HEAD_BYTES;
    moov(copy, first).encode(&mut out)?;
    out.extend(mdat_head(copy.movie.bytes()));
    Ok(out)
}

fn mdat_head(payload: u64) -> Vec<u8> {
    let length = payload + MDAT_HEAD_BYTES;
    [&1_u32.to_be_bytes()[..], b"mdat", &length.to_be_bytes()].concat()
}

fn caption_bytes(copy: &Copy<'_>) -> u64 {
    copy.captions.iter().map(|caption| caption.sample().len() as u64).sum()
}

/// The index of a copy whose first picture lies at `first`.
fn moov(copy: &Copy<'_>, first: u64) -> Moov {
    let made = copy.window.start().map_or(0, since_1904);
    let text_at = first + copy.movie.bytes() + MDAT_HEAD_BYTES;
    Moov {
        mvhd: Mvhd {
            creation_time: made,
            modification_time: made,
            timescale: TIMESCALE,
            duration: copy.window.end(),
            rate: 1.into(),
            next_track_id: 3,
            ..Mvhd::default()
        },
        trak: vec![picture_track(copy, made, first), caption_track(copy, made, text_at)],
        ..Moov::default()
    }
}

fn picture_track(copy: &Copy<'_>, made: u64, first: u64) -> Trak {
    let (movie, window) = (copy.movie, &copy.window);
    let edit = |segment_duration, media_time| ElstEntry {
        segment_duration,
        media_time,
        media_rate: 1.into(),
    };
    let blank = (window.blank > 0).then(|| edit(window.blank, None));
    let footage = edit(window.length, Some(window.from + movie.lead_ticks()));
    Trak {
        tkhd: Tkhd {
            width: movie.width.into(),
            height: movie.height.into(),
            ..tkhd(1, made, window.blank + window.length)
        },
        edts: Some(Edts {
            elst: Some(Elst { entries: blank.into_iter().chain([footage]).collect() }),
        }),
        mdia: Mdia {
            mdhd: mdhd(made, movie.end_ticks, "und"),
            hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "Watchhouse".into() },
            minf: Minf {
                vmhd: Some(Vmhd::default()),
                dinf: here(),
                stbl: stbl(movie, first),
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}

fn caption_track(copy: &Copy<'_>, made: u64, first: u64) -> Trak {
    let (width, height) = (copy.movie.width, copy.movie.height);
    let band = (height / 6).max(1);
    let mut durations: Vec<SttsEntry> = Vec::new();
    for caption in &copy.captions {
        match durations.last_mut() {
            Some(last) if last.sample_delta == caption.ticks => last.sample_count += 1,
            _ => durations.push(SttsEntry { sample_count: 1, sample_delta: caption.ticks }),
        }
    }
    let sizes = copy.captions.iter().map(|c| u32::try_from(c.sample().len()).unwrap_or(0));
    let count = u32::try_from(copy.captions.len()).unwrap_or(u32::MAX);
    let run = StscEntry { first_chunk: 1, samples_per_chunk: count, sample_description_index: 1 };
    Trak {
        tkhd: Tkhd {
            // In front of the picture, at its foot.
            layer: u16::MAX,
            width: width.into(),
            height: band.into(),
            matrix: Matrix { y: i32::from(height - band.min(height)) << 16, ..Matrix::default() },
            ..tkhd(2, made, copy.window.end())
        },
        mdia: Mdia {
            mdhd: mdhd(made, copy.window.end(), "eng"),
            hdlr: Hdlr { handler: FourCC::new(b"sbtl"), name: "Date and time".into() },
            minf: Minf {
                nmhd: Some(Nmhd::default()),
                dinf: here(),
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![caption_entry(width, band).into()] },
                    stts: Stts { entries: durations },
                    stsc: Stsc { entries: vec![run] },
                    stsz: Stsz { samples: StszSamples::Different { sizes: sizes.collect() } },
                    co64: Some(Co64 { entries: vec![first] }),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}

/// White on black, three lines to a band.
fn caption_entry(width: u16, band: u16) -> Tx3g {
    // Some players take it as pixels, others as parts of 288 lines: legible in both.
    let size = u8::try_from((band / 8).clamp(10, 20)).unwrap_or(10);
    let side = |pixels: u16| i16::try_from(pixels).unwrap_or(i16::MAX);
    Tx3g {
        data_reference_index: 1,
        box_record: [0, 0, side(band), side(width)],
        style_record: [0, 0, 0, 0, 0, 1, 0, size, 255, 255, 255, 255],
        ftab: Some(Ftab {
            font_entries: vec![FontEntry { font_id: 1, font: "Sans-Serif".into() }],
        }),
        ..Tx3g::default()
    }
}

fn tkhd(track_id: u32, made: u64, duration: u64) -> Tkhd {
    Tkhd {
        creation_time: made,
        modification_time: made,
        track_id,
        duration,
        enabled: true,
        in_movie: true,
        ..Tkhd::default()
    }
}

fn mdhd(made: u64, duration: u64, language: &str) -> Mdhd {
    Mdhd {
        creation_time: made,
        modification_time: made,
        timescale: TIMESCALE,
        duration,
        language: language.into(),
    }
}

/// The samples lie in this file.
fn here() -> Dinf {
    Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } }
}

fn places(movie: &Movie, first: u64) -> Vec<u64> {
    let mut at = first;
    let mut places = Vec::with_capacity(movie.chunks.len());
    for chunk in &movie.chunks {
        places.push(at);
        at += chunk.in_master.end - chunk.in_master.start;
    }
    places
}

fn stbl(movie: &Movie, first: u64) -> Stbl {
    let offset =
        |&(sample_count, sample_offset): &(u32, i64)| CttsEntry { sample_count, sample_offset };
    let duration =
        |&(sample_count, sample_delta): &(u32, u32)| SttsEntry { sample_count, sample_delta };
    let reordered = movie.offsets.iter().any(|(_, ticks)| *ticks != 0);
    Stbl {
        stsd: Stsd { codecs: movie.entries.clone() },
        stts: Stts { entries: movie.durations.iter().map(duration).collect() },
        ctts: reordered.then(|| Ctts { entries: movie.offsets.iter().map(offset).collect() }),
        stss: Some(Stss { entries: movie.keys.clone() }),
        stsc: Stsc { entries: chunk_runs(movie) },
        stsz: Stsz { samples: StszSamples::Different { sizes: movie.sizes.clone() } },
        co64: Some(Co64 { entries: places(movie, first) }),
        ..Stbl::default()
    }
}

/// Chunks of as many frames under the same sample entry are named once.
fn chunk_runs(movie: &Movie) -> Vec<StscEntry> {
    let mut runs: Vec<StscEntry> = Vec::new();
    for (number, chunk) in (1..).zip(&movie.chunks) {
        let continues = runs.last().is_some_and(|run| {
            run.samples_per_chunk == chunk.samples && run.sample_description_index == chunk.entry
        });
        if !continues {
            runs.push(StscEntry {
                first_chunk: number,
                samples_per_chunk: chunk.samples,
                sample_description_index: chunk.entry,
            });
        }
    }
    runs
}

fn since_1904(wall: WallTime) -> u64 {
    u64::try_from(wall.0 / 1_000_000).unwrap_or(0) + SECONDS_1904_TO_1970
}
