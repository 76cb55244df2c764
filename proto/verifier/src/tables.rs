//! The sample tables of a playable copy (ISO/IEC 14496-12 section 8): where each track's samples
//! lie in the file. Knows nothing of what is in them.
//!
//! What a copy may be, so that no picture travels in it unseen:
//! - top-level boxes are `ftyp moov mdat free uuid`, one `moov`, and whole to the end;
//! - one track of pictures (`vide`), the others are text (`text`, `sbtl`, `subt`);
//! - the samples of all tracks tile the payloads of all `mdat`: every byte is in exactly one sample;
//! - the pictures lie in the file in the order of their table.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use crate::boxes::{self, Place};

/// A `moov` longer than this is refused unread: 12 bytes a frame, ten days at 25 frames a second.
const MOOV_BYTES_MAX: u64 = 256 << 20;
/// One track of pictures, one of text; room for a few more.
const TRACKS_MAX: usize = 8;

/// Why a playable copy does not read.
#[derive(Debug, thiserror::Error)]
pub enum BadView {
    /// The system does not let us read it.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not as the top of this file says.
    #[error("{0}")]
    Form(&'static str),
    /// It holds something that we do not write.
    #[error("it holds a box `{0}`, which a playable copy has not")]
    Foreign(String),
}

/// Where the pictures of the playable copy lie, in decoding order; neighbours are joined.
///
/// # Errors
/// When the copy is not as the top of this file says.
pub fn pictures(file: &mut BufReader<File>, bytes: u64) -> Result<Vec<Range<u64>>, BadView> {
    let boxes = boxes::in_file(file, 0..bytes)?
        .ok_or(BadView::Form("it is not whole MP4 boxes from end to end"))?;
    let known: [&[u8; 4]; 5] = [b"ftyp", b"moov", b"mdat", b"free", b"uuid"];
    if let Some(foreign) = boxes.iter().find(|place| !known.contains(&&place.kind)) {
        return Err(BadView::Foreign(foreign.kind.escape_ascii().to_string()));
    }
    let moov: Vec<_> = boxes.iter().filter(|place| place.kind == *b"moov").collect();
    let [moov] = moov[..] else { return Err(BadView::Form("it has not one `moov`")) };
    let moov = read(file, moov)?;
    let tracks = all(&moov, b"trak").ok_or(BadView::Form("its `moov` is torn"))?;
    if tracks.len() > TRACKS_MAX {
        return Err(BadView::Form("it has too many tracks"));
    }
    let mut of_pictures = None;
    let mut every = Vec::new();
    for track in tracks {
        let track = Track::read(track).ok_or(BadView::Form("a track's tables are torn"))?;
        every.extend_from_slice(&track.samples);
        match &track.handler {
            b"vide" if of_pictures.is_none() => of_pictures = Some(track.samples),
            b"text" | b"sbtl" | b"subt" => {}
            _ => return Err(BadView::Form("it has a track that is neither pictures nor text")),
        }
    }
    let of_pictures = of_pictures.ok_or(BadView::Form("it has no track of pictures"))?;
    if of_pictures.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Err(BadView::Form("its pictures are out of order"));
    }
    every.sort_by_key(|range| (range.start, range.end));
    let payloads = boxes.iter().filter(|place| place.kind == *b"mdat").map(Place::payload);
    // Payloads never touch: a head lies between them.
    let payloads: Vec<_> = payloads.filter(|range| !range.is_empty()).collect();
    if joined(every).ok_or(BadView::Form("its samples overlap"))? != payloads {
        return Err(BadView::Form("it holds bytes that are in no sample, or samples of no bytes"));
    }
    joined(of_pictures).ok_or(BadView::Form("its pictures overlap"))
}

fn read(file: &mut BufReader<File>, place: &Place) -> Result<Vec<u8>, BadView> {
    let len = place.end - place.inside;
    if len > MOOV_BYTES_MAX {
        return Err(BadView::Form("its `moov` is over 256 MiB"));
    }
    file.seek(SeekFrom::Start(place.inside))?;
    let mut bytes = Vec::new();
    file.by_ref().take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len { Ok(bytes) } else { Err(BadView::Form("its `moov` is torn")) }
}

/// Neighbours joined into one; none if ranges, in the order of their starts, overlap.
fn joined(ranges: Vec<Range<u64>>) -> Option<Vec<Range<u64>>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start < last.end => return None,
            Some(last) if range.start == last.end => last.end = range.end,
            _ => out.push(range),
        }
    }
    Some(out)
}

/// The payloads of the boxes of `kind` in a box; none if it is not whole boxes.
fn all<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<Vec<&'a [u8]>> {
    let ranges = boxes::payloads_in(bytes, kind)?;
    Some(ranges.into_iter().map(|range| &bytes[range]).collect())
}

/// The payload of the one box of `kind`.
fn one<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    match all(bytes, kind)?[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// A track's kind, and where its samples lie, in decoding order.
struct Track {
    handler: [u8; 4],
    samples: Vec<Range<u64>>,
}

impl Track {
    fn read(trak: &[u8]) -> Option<Self> {
        let mdia = one(trak, b"mdia")?;
        let handler = *one(mdia, b"hdlr")?.get(8..)?.first_chunk::<4>()?;
        let stbl = one(one(mdia, b"minf")?, b"stbl")?;
        let sizes = sizes(one(stbl, b"stsz")?)?;
        let places = match (one(stbl, b"stco"), one(stbl, b"co64")) {
            (Some(stco), None) => {
                table(stco, 4)?.map(|entry| Some(u64::from(u32_of(entry)?))).collect()
            }
            (None, Some(co64)) => table(co64, 8)?.map(u64_of).collect::<Option<Vec<_>>>(),
            _ => None,
        }?;
        let samples = laid(&sizes, &places, &runs(one(stbl, b"stsc")?)?)?;
        Some(Self { handler, samples })
    }
}

fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

fn u64_of(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

/// The entries of a table of `entry_bytes` each, behind version, flags and their number.
fn table(payload: &[u8], entry_bytes: usize) -> Option<std::slice::ChunksExact<'_, u8>> {
    let count = usize::try_from(u32_of(payload.get(4..)?)?).ok()?;
    let entries = payload.get(8..)?;
    (entries.len() == count.checked_mul(entry_bytes)?).then(|| entries.chunks_exact(entry_bytes))
}

/// `stsz`: the samples' lengths, all alike or each its own.
fn sizes(payload: &[u8]) -> Option<Vec<u32>> {
    let alike = u32_of(payload.get(4..)?)?;
    let count = usize::try_from(u32_of(payload.get(8..)?)?).ok()?;
    if alike != 0 {
        // A length for all needs no bytes: bound what a small file can ask for.
        return (count <= 1 << 20 && payload.len() == 12).then(|| vec![alike; count]);
    }
    table(payload.get(4..)?, 4)?.map(u32_of).collect()
}

/// `stsc`: (first chunk from 1, samples in each chunk).
fn runs(payload: &[u8]) -> Option<Vec<(u32, u32)>> {
    table(payload, 12)?.map(|entry| Some((u32_of(entry)?, u32_of(&entry[4..])?))).collect()
}

/// Lays the samples into their chunks; none unless each has its place and each chunk its samples.
fn laid(sizes: &[u32], places: &[u64], runs: &[(u32, u32)]) -> Option<Vec<Range<u64>>> {
    let mut sizes = sizes.iter();
    let mut runs = runs.iter().peekable();
    let mut in_chunk = None;
    let mut out: Vec<Range<u64>> = Vec::new();
    for (number, place) in (1_u32..).zip(places) {
        if let Some((_, samples)) = runs.next_if(|(first, _)| *first == number) {
            in_chunk = Some(*samples);
        }
        let mut at = *place;
        for _ in 0..in_chunk? {
            let end = at.checked_add(u64::from(*sizes.next()?))?;
            match out.last_mut() {
                _ if at == end => {}
                Some(last) if last.end == at => last.end = end,
                _ => out.push(at..end),
            }
            at = end;
        }
    }
    (sizes.next().is_none() && runs.next().is_none()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_in_their_chunks() {
        let runs = [(1, 2), (3, 1)];
        let laid_out = laid(&[1, 2, 3, 4, 5], &[100, 103, 200], &runs).unwrap();
        assert_eq!(laid_out, [100..110, 200..205], "neighbours are joined");
        assert!(laid(&[1, 2, 3, 4], &[100, 103, 200], &runs).is_none(), "a sample is missing");
        assert!(laid(&[1; 6], &[100, 103, 200], &runs).is_none(), "a sample has no chunk");
        assert!(laid(&[1], &[100], &[(2, 1)]).is_none(), "the first chunk has no run");
        assert!(laid(&[1, 1], &[u64::MAX, 1], &[(1, 1)]).is_none(), "a sample beyond all files");
    }

    #[test]
    fn a_table_is_as_long_as_it_says() {
        let stco = [&[0; 4][..], &2_u32.to_be_bytes(), &[0, 0, 0, 7, 0, 0, 0, 9]].concat();
        let entries: Vec<_> = table(&stco, 4).unwrap().map(u32_of).collect();
        assert_eq!(entries, [Some(7), Some(9)]);
        assert!(table(&stco[..15], 4).is_none());
        assert!(table(&[0, 0, 0, 0, 255, 255, 255, 255], 12).is_none());
        let alike = [&[0; 4][..], &5_u32.to_be_bytes(), &3_u32.to_be_bytes()].concat();
        assert_eq!(sizes(&alike).unwrap(), [5, 5, 5]);
        let many = [&[0; 4][..], &1_u32.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
        assert!(sizes(&many).is_none());
    }
}
