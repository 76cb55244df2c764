//! Writes the playable copy: an ordinary MP4 with its index in front, the masters' pictures byte
//! for byte behind it.
//!
//! ```text
//! ftyp  moov(one track, one sample entry per decoder configuration)  mdat(64-bit length)
//! ```

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use custody::{CameraId, Seq, WallTime, bundle};
use mp4_atom::{
    Co64, Ctts, CttsEntry, Dinf, Dref, DrefEntry, Encode as _, FourCC, Ftyp, Hdlr, Mdhd, Mdia,
    Minf, Moov, Mvhd, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd,
    Trak, Url, Vmhd,
};

use super::bag::Bag;
use super::movie::{Movie, TIMESCALE};
use super::{BundleError, io_error, wrong};

/// An `mdat` head with a 64-bit length.
const MDAT_HEAD_BYTES: u64 = 16;
const PIECE_BYTES: usize = 1 << 20;
/// Seconds from 1904, where MP4 counts from, to 1970.
const SECONDS_1904_TO_1970: u64 = 2_082_844_800;

/// Writes the copy of a camera whose masters are in the bag.
pub(super) fn write(camera: &CameraId, movie: &Movie, bag: &mut Bag) -> Result<(), BundleError> {
    let pictures: u64 = movie.chunks.iter().map(|c| c.in_master.end - c.in_master.start).sum();
    let head = head(movie, pictures)
        .map_err(|error| wrong(format!("{camera}: the playable copy has no index: {error}")))?;
    let mut file = bag.begin(bundle::view(camera))?;
    file.write(&head)?;
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
            file.write(&piece[..want])?;
            left -= want as u64;
        }
    }
    bag.end(file)
}

/// Everything before the pictures. The index holds their places, and its own length moves them: it
/// is laid out twice, the second time with the places known. Its length does not depend on them.
fn head(movie: &Movie, pictures: u64) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut out = Vec::new();
    let brand = FourCC::new(b"isom");
    Ftyp {
        major_brand: brand,
        minor_version: 0x200,
        compatible_brands: vec![brand, FourCC::new(b"iso6"), FourCC::new(b"mp41")],
    }
    .encode(&mut out)?;
    let mut moov = moov(movie);
    let mut measured = Vec::new();
    moov.encode(&mut measured)?;
    let first = (out.len() + measured.len()) as u64 + MDAT_HEAD_BYTES;
    if let Some(trak) = moov.trak.first_mut() {
        trak.mdia.minf.stbl.co64 = Some(Co64 { entries: places(movie, first) });
    }
    moov.encode(&mut out)?;
    out.extend_from_slice(&1_u32.to_be_bytes());
    out.extend_from_slice(b"mdat");
    out.extend_from_slice(&(pictures + MDAT_HEAD_BYTES).to_be_bytes());
    Ok(out)
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

fn moov(movie: &Movie) -> Moov {
    let made = movie.start.map_or(0, since_1904);
    Moov {
        mvhd: Mvhd {
            creation_time: made,
            modification_time: made,
            timescale: TIMESCALE,
            duration: movie.end_ticks,
            rate: 1.into(),
            next_track_id: 2,
            ..Mvhd::default()
        },
        trak: vec![Trak {
            tkhd: Tkhd {
                creation_time: made,
                modification_time: made,
                track_id: 1,
                duration: movie.end_ticks,
                enabled: true,
                in_movie: true,
                width: movie.width.into(),
                height: movie.height.into(),
                ..Tkhd::default()
            },
            mdia: Mdia {
                mdhd: Mdhd {
                    creation_time: made,
                    modification_time: made,
                    timescale: TIMESCALE,
                    duration: movie.end_ticks,
                    language: "und".into(),
                },
                hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "Watchhouse".into() },
                minf: Minf {
                    vmhd: Some(Vmhd::default()),
                    dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                    stbl: stbl(movie),
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }],
        ..Moov::default()
    }
}

fn stbl(movie: &Movie) -> Stbl {
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
        co64: Some(Co64 { entries: places(movie, 0) }),
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
