//! What others may know of the store: links by time, the site log, keys for a case, figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::{Record, SegmentRef, Statement, Transfer};
use custody::sealed::{BLOCK_HEAD_BYTES, Header, MAGIC};
use custody::sealing::Key;
use custody::{CameraId, CaseId, Code, Refusal, Seq, WallTime};

use super::StoreError;
use super::core::{Core, lock};
use super::holds;
use super::key::link::{FileFacts, LinkRow, Linked};
use super::key::moment::{self, Order};
use super::key::{Family, after_prefix, entry, link};
use super::{rebuild, second};
use crate::limits;
use crate::seal::key_ring;

/// A link of a camera's chain with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its place in the chain.
    pub seq: Seq,
    /// The record's envelope, byte-exact.
    pub envelope: Vec<u8>,
    /// The length of the sealed file; 0 for gaps and erased segments.
    pub file_bytes: u64,
}

pub(super) fn broken_row(family: Family) -> StoreError {
    StoreError::Damaged {
        what: format!("the index's {}", family.name()),
        source: Refusal::new(Code::RecordMalformed, "a row does not read"),
    }
}

pub(super) fn row(core: &Core, camera: &CameraId, seq: Seq) -> Result<LinkRow, StoreError> {
    let value = core
        .index
        .get(Family::Links, &link::key(camera, seq))?
        .ok_or_else(|| StoreError::refused(format!("{camera} has no record {seq}")))?;
    LinkRow::decode(&value).ok_or_else(|| broken_row(Family::Links))
}

/// The file of a stored segment.
pub(super) fn stored(
    core: &Core,
    camera: &CameraId,
    seq: Seq,
) -> Result<(LinkRow, FileFacts), StoreError> {
    let row = row(core, camera, seq)?;
    match row.what {
        Linked::Stored(file) => Ok((row, file)),
        Linked::Gap => Err(StoreError::refused(format!(
            "record {seq} of {camera} is a gap: it has no footage"
        ))),
        Linked::Erased(_) => {
            Err(StoreError::refused(format!("segment {seq} of {camera} is erased")))
        }
    }
}

pub(super) fn envelope(core: &Core, place: u64) -> Result<Vec<u8>, StoreError> {
    core.index.get(Family::Log, &entry::key(place))?.ok_or_else(|| broken_row(Family::Log))
}

/// The links that touch `span`, in chain order and without holes: where the clock was stepped, the
/// links between two that touch are given too, so that the chain can be checked.
///
/// A gap that begins after the one that ends behind the span is not looked for further: behind a
/// clock stepped back by more than a gap's length such a gap may be missed.
pub(super) fn touching(
    core: &Core,
    camera: &CameraId,
    span: Span,
) -> Result<Vec<(Seq, LinkRow)>, StoreError> {
    let mut reach: Option<(Seq, Seq)> = None;
    let mut touch = |seq: Seq| {
        let (low, high) = reach.unwrap_or((seq, seq));
        reach = Some((low.min(seq), high.max(seq)));
    };
    let back = span.from.plus_micros(-limits::SEGMENT_US_MAX);
    let lower = moment::key(camera, Order::SegmentStart, back, Seq(0));
    let upper = moment::key(camera, Order::SegmentStart, span.to, Seq(0));
    let mut before = BTreeSet::new();
    for found in core.index.rows(Family::Moments, lower, Some(upper)) {
        let (start, seq) = moment::decode_key(camera, Order::SegmentStart, &found?.0)
            .ok_or_else(|| broken_row(Family::Moments))?;
        if start >= span.from {
            touch(seq);
        } else {
            before.insert(seq);
        }
    }
    for seq in reaching(core, camera, span.from, &before)? {
        touch(seq);
    }
    let lower = moment::key(camera, Order::GapEnd, span.from.plus_micros(1), Seq(0));
    let upper = after_prefix(&moment::prefix(camera, Order::GapEnd));
    for found in core.index.rows(Family::Moments, lower, Some(upper)) {
        let (_, seq) = moment::decode_key(camera, Order::GapEnd, &found?.0)
            .ok_or_else(|| broken_row(Family::Moments))?;
        if row(core, camera, seq)?.start >= span.to {
            break;
        }
        touch(seq);
    }
    let Some((low, high)) = reach else { return Ok(Vec::new()) };
    let (lower, upper) = (link::key(camera, low), link::key(camera, high.next()));
    let rows = core.index.rows(Family::Links, lower, Some(upper)).map(|found| {
        let (key, value) = found?;
        let (_, seq) =
            link::decode_key(camera.site(), &key).ok_or_else(|| broken_row(Family::Links))?;
        let row = LinkRow::decode(&value).ok_or_else(|| broken_row(Family::Links))?;
        Ok((seq, row))
    });
    rows.collect()
}

/// Which of the segments that begin within the hour before `from` reach beyond it. Their numbers lie
/// close together, so one walk over their links is cheaper than a look-up for each.
fn reaching(
    core: &Core,
    camera: &CameraId,
    from: WallTime,
    before: &BTreeSet<Seq>,
) -> Result<Vec<Seq>, StoreError> {
    let (Some(low), Some(high)) = (before.first(), before.last()) else { return Ok(Vec::new()) };
    let mut reaching = Vec::new();
    if high.0 - low.0 > 4 * before.len() as u64 {
        // The clock was stepped to and fro: what lies between may be a year.
        for seq in before {
            if row(core, camera, *seq)?.end > from {
                reaching.push(*seq);
            }
        }
        return Ok(reaching);
    }
    let (lower, upper) = (link::key(camera, *low), link::key(camera, high.next()));
    for found in core.index.rows(Family::Links, lower, Some(upper)) {
        let (key, value) = found?;
        let (_, seq) =
            link::decode_key(camera.site(), &key).ok_or_else(|| broken_row(Family::Links))?;
        let row = LinkRow::decode(&value).ok_or_else(|| broken_row(Family::Links))?;
        if before.contains(&seq) && row.end > from {
            reaching.push(seq);
        }
    }
    Ok(reaching)
}

/// The records of the links that touch `span`.
pub(super) fn find(core: &Core, camera: &CameraId, span: Span) -> Result<Vec<Found>, StoreError> {
    if !core.lines.contains_key(camera) {
        return Err(StoreError::refused(format!("{camera} is not a camera here")));
    }
    rebuild::is_known(core, camera, span)?;
    let too_much = || StoreError::refused("the answer is too long for one message; ask for a day");
    let links = touching(core, camera, span)?;
    if links.len() > limits::FIND_LINKS_MAX {
        return Err(too_much());
    }
    let mut found = Vec::with_capacity(links.len());
    let mut bytes = 0;
    for (seq, row) in links {
        let envelope = envelope(core, row.place)?;
        bytes += envelope.len();
        if bytes > limits::FIND_BYTES_MAX {
            return Err(too_much());
        }
        found.push(Found { seq, envelope, file_bytes: row.stored().map_or(0, |file| file.bytes) });
    }
    Ok(found)
}

/// Envelopes of the site log from `first` on, at most so many and so many bytes; always one if
/// there is one.
pub(super) fn log_read(
    core: &Core,
    first: u64,
    count_max: usize,
    bytes_max: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let end = core.durable.load(Ordering::SeqCst);
    let (lower, upper) = (entry::key(first), entry::key(end));
    let mut read = Vec::new();
    let mut bytes = 0;
    for row in core.index.rows(Family::Log, lower, Some(upper)).take(count_max) {
        let envelope = row?.1.into_vec();
        bytes += envelope.len();
        if bytes > bytes_max && !read.is_empty() {
            break;
        }
        read.push(envelope);
    }
    Ok(read)
}

/// Where a stored segment's file lies.
pub(super) fn segment_path(
    core: &Core,
    camera: &CameraId,
    seq: Seq,
) -> Result<PathBuf, StoreError> {
    let (_, file) = stored(core, camera, seq)?;
    if let Some(what) = lock(&core.damaged).get(&(camera.clone(), seq)) {
        return Err(StoreError::refused(format!(
            "segment {seq} of {camera} is damaged: {what}; it is replaced when a second place has a \
             sound copy"
        )));
    }
    second::place(core, camera, file.epoch, seq)
}

/// Opens the key that a segment's file carries.
pub(super) fn segment_key(core: &Core, camera: &CameraId, seq: Seq) -> Result<Key, StoreError> {
    key_in(core, camera, seq, &segment_path(core, camera, seq)?)
}

/// Opens the key that the file of a segment carries.
pub(super) fn key_in(
    core: &Core,
    camera: &CameraId,
    seq: Seq,
    file: &std::path::Path,
) -> Result<Key, StoreError> {
    let header = read_header(file).map_err(|source| StoreError::DiscFault {
        what: format!("reading the header of {}", file.display()),
        source,
    })?;
    if header.camera != *camera || header.seq != seq {
        return Err(StoreError::Damaged {
            what: file.display().to_string(),
            source: Refusal::new(Code::RecordMisplaced, "the header names another segment"),
        });
    }
    Ok(core.ring.segment_key(&header)?)
}

fn read_header(file: &std::path::Path) -> io::Result<Header> {
    /// A header is names, numbers and a wrapped key: 400 bytes.
    const HEADER_BYTES_MAX: u32 = 4096;
    let mut file = File::open(file)?;
    let mut start = [0; MAGIC.len() + BLOCK_HEAD_BYTES];
    file.read_exact(&mut start)?;
    let (magic, block) = start.split_at(MAGIC.len());
    let length = match block {
        [b'H', len @ ..] if magic == MAGIC => len.try_into().map(u32::from_be_bytes),
        _ => return Err(io::Error::other("no segment file of format 1")),
    };
    let length = length.ok().filter(|length| *length <= HEADER_BYTES_MAX);
    let mut header = vec![0; length.ok_or_else(|| io::Error::other("no header"))? as usize];
    file.read_exact(&mut header)?;
    serde_json::from_slice(&header).map_err(io::Error::other)
}

/// Gives the keys of segments that are held for `case`, once a signed transfer record says so.
pub(super) fn release_keys(
    core: &Core,
    case: &CaseId,
    camera: &CameraId,
    seqs: &[Seq],
) -> Result<(Vec<Key>, Envelope), StoreError> {
    if seqs.is_empty() || seqs.len() > custody::record::ERASED_MAX {
        return Err(StoreError::refused("ask for the keys of 1 to 512 segments at once"));
    }
    let mut segments = Vec::with_capacity(seqs.len());
    let mut keys = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let (row, file) = stored(core, camera, *seq)?;
        segments.push(SegmentRef { seq: *seq, root: file.root, start: row.start, end: row.end });
        keys.push(segment_key(core, camera, *seq)?);
    }
    let spans: Vec<_> = segments.iter().map(|s| (s.seq, s.start, s.end)).collect();
    if let Some(seq) = holds::not_held_for(core, case, camera, &spans).first() {
        return Err(StoreError::refused(format!(
            "segment {seq} of {camera} is under no hold of {case}; place a hold first"
        )));
    }
    let transfer =
        Transfer { case: case.clone(), camera: camera.clone(), segments, at: core.clock.now() };
    let signed = core.sign(&Record::Other(Statement::Transfer(transfer)))?;
    core.log(&[&signed], |_, _| {})?;
    Ok((keys, signed.envelope))
}

/// Figures about the whole store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Stored segments.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Records in the site log.
    pub log_size: u64,
    /// Holds.
    pub holds: usize,
    /// By camera.
    pub cameras: BTreeMap<CameraId, CameraStats>,
}

/// Figures about one camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CameraStats {
    /// Stored segments.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes of the last 24 hours, to the hour.
    pub day_bytes: u64,
    /// Where its stored footage begins.
    pub oldest: Option<WallTime>,
    /// Where its stored footage ends.
    pub newest: Option<WallTime>,
}

/// Adds the kept tallies up; looks at two links a camera.
pub(super) fn stats(core: &Core) -> Result<Stats, StoreError> {
    let tallies = lock(&core.tallies).clone();
    let day = key_ring::epoch_of(core.clock.now()).saturating_sub(24);
    let mut stats = Stats {
        log_size: core.durable.load(Ordering::SeqCst),
        holds: core.holds().len(),
        ..Stats::default()
    };
    for camera in core.lines.keys() {
        let mut of_camera = CameraStats::default();
        for (epoch, tally) in tallies.get(camera).into_iter().flatten() {
            of_camera.segments += tally.segments;
            of_camera.bytes += tally.bytes;
            if *epoch > day {
                of_camera.day_bytes += tally.bytes;
            }
        }
        if let Some(hours) = tallies.get(camera)
            && let (Some((first, _)), Some((last, _))) =
                (hours.first_key_value(), hours.last_key_value())
        {
            of_camera.oldest = edge(core, camera, *first, Edge::Oldest)?;
            of_camera.newest = edge(core, camera, *last, Edge::Newest)?;
        }
        stats.segments += of_camera.segments;
        stats.bytes += of_camera.bytes;
        stats.cameras.insert(camera.clone(), of_camera);
    }
    Ok(stats)
}

#[derive(Clone, Copy)]
enum Edge {
    Oldest,
    Newest,
}

/// The start of the first, or the end of the last, stored segment of an hour.
fn edge(
    core: &Core,
    camera: &CameraId,
    epoch: u64,
    which: Edge,
) -> Result<Option<WallTime>, StoreError> {
    let begins = key_ring::epoch_begins;
    let key = |time| moment::key(camera, Order::SegmentStart, time, Seq(0));
    let (lower, upper) = (key(begins(epoch)), Some(key(begins(epoch.saturating_add(1)))));
    let look = |found: Result<super::index::Row, StoreError>| {
        let (_, seq) = moment::decode_key(camera, Order::SegmentStart, &found?.0)
            .ok_or_else(|| broken_row(Family::Moments))?;
        row(core, camera, seq)
    };
    let stored =
        |row: &Result<LinkRow, StoreError>| row.as_ref().map_or(true, |row| row.stored().is_some());
    let found = match which {
        Edge::Oldest => core.index.rows(Family::Moments, lower, upper).map(look).find(stored),
        Edge::Newest => core.index.rows_back(Family::Moments, lower, upper).map(look).find(stored),
    };
    found.transpose().map(|row| {
        row.map(|row| match which {
            Edge::Oldest => row.start,
            Edge::Newest => row.end,
        })
    })
}
