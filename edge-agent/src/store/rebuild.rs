//! Files that the index does not know: adopted one by one when they continue their chain, or all of
//! them when the index is gone, while recording goes on.
//!
//! | when | what is read |
//! |---|---|
//! | at the start | each camera's newest whole file: its number and digest are what the next segment continues |
//! | afterwards | one hour of one camera a step, oldest first, unless somebody asked for another |
//!
//! Until an hour is read, `find` refuses to answer for it, its key is not destroyed, and nothing that
//! ends after the oldest unread hour is erased: so what goes first is still the oldest. Where the
//! reading stands is not kept: after a restart the folders are listed again, and known files skipped.
//!
//! | file | holds |
//! |---|---|
//! | `rebuild/listing.rs` | what lies in the folders |
//!
//! What a lost index takes with it: gap records, the erase, hold, release, transfer and agent-start
//! records of the site log, and the order of its entries. The new log holds each camera's newest
//! record, then what is recorded, and among it the older segments' own records as they are read; holds
//! come back from the folder `holds/`. The controller's copy of the old log is whole.
//!
//! A second disc is read as the first is. While the one that this store has had is away, its hours are not
//! known: the reading goes no further than the first disc, and waits for it.
//!
//! Of a segment that was being written when the index was lost only the file is left, without what its
//! manifest must say: it stays where it is, as a stray.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use custody::chain;
use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::manifest;
use custody::record::{Kind, Record};
use custody::sealed::{BLOCK_HEAD_BYTES, Header, MAGIC};
use custody::{CameraId, Seq, WallTime};

use super::StoreError;
use super::core::{Alarm, Core, Line, lock};
use super::disc::Step;
use super::index::Batch;
use super::key::expiry::SegmentRow;
use super::key::link::{FileFacts, LinkRow, Linked};
use super::key::{Family, fact, link};
use super::recover::Recovery;
use super::signing::Signed;
use super::{path, rotate, salvage, second};
use crate::limits;
use crate::seal::key_ring;

mod listing;

pub(super) use listing::list;
use listing::{cameras_on_disc, files, hours_of};

/// A manifest's block lies within so many bytes of a file's end: a signed manifest is about 3 kB.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// A file's header block is shorter.
const HEADER_BYTES_MAX: usize = 4096;
/// Hours of a camera that the start looks into for its newest file: two days, by which a clock that
/// was stepped back may have put a later segment into an earlier hour. 71 cameras: 3 400 folders.
const NEWEST_HOURS: usize = 48;
/// Segments that are taken in by one synced batch.
const BATCH_SEGMENTS: usize = 64;

/// An hour of one camera.
type Hour = (u64, CameraId);

/// What the index does not know yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Oldest first; none until the folders are listed.
    hours: Option<BTreeSet<Hour>>,
    /// What somebody asked for: read first.
    wanted: BTreeSet<Hour>,
    /// How many hours there were.
    hours_all: usize,
    /// The second disc was away when they were listed.
    second_missing: bool,
}

/// How far reading the footage in has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Hours of cameras read.
    pub hours: usize,
    /// Of so many; 0 until they are listed.
    pub of: usize,
}

impl Unread {
    /// Whether `camera` may have footage of `span` that is not read.
    fn touches(&mut self, camera: &CameraId, span: Span) -> bool {
        let Some(hours) = &self.hours else { return true };
        // A segment is at most an hour long and lies in the hour in which it begins.
        let first = key_ring::epoch_of(span.from).saturating_sub(1);
        let last = key_ring::epoch_of(span.to);
        let asked = hours
            .range((first, camera.clone())..)
            .take_while(|(hour, _)| *hour <= last)
            .filter(|(_, of)| of == camera);
        let asked: Vec<Hour> = asked.cloned().collect();
        let is_touched = !asked.is_empty();
        self.wanted.extend(asked);
        is_touched
    }

    fn next(&self) -> Option<Hour> {
        let hours = self.hours.as_ref()?;
        self.wanted.first().or_else(|| hours.first()).cloned()
    }

    fn reading(&self) -> Reading {
        let left = self.hours.as_ref().map_or(self.hours_all, BTreeSet::len);
        Reading { hours: self.hours_all.saturating_sub(left), of: self.hours_all }
    }
}

/// Links in complete files of `camera` that continue its chain: the index lost its last writes. Looks
/// only into the hours from the chain's end on.
pub(super) fn adopt(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let from = line.head.as_ref().map_or(0, |h| key_ring::epoch_of(h.end).saturating_sub(1));
    for (seq, file) in files(core, camera, from)? {
        let due = chain::after(line.head.as_ref()).0;
        if seq < due {
            if core.index.get(Family::Links, &link::key(camera, seq))?.is_none()
                && lock(&core.unread).is_none()
            {
                recovery.strays.push(file);
            }
            continue;
        }
        let found = read_checked(core, camera, seq, &file);
        let continues = |found: &Found| {
            (found.manifest.seq, found.manifest.prev) == chain::after(line.head.as_ref())
        };
        match found.filter(continues) {
            Some(found) => {
                let head = found.head();
                link_all(core, camera, vec![found], true)?;
                line.head = Some(head);
                recovery.adopted += 1;
            }
            None => recovery.strays.push(file),
        }
    }
    Ok(())
}

/// Begins with an empty index: takes in each camera's newest whole file, so that its chain goes on,
/// and the holds. The rest is read by [`step`].
pub(super) fn begin(core: &mut Core, recovery: &mut Recovery) -> Result<(), StoreError> {
    for camera in cameras_on_disc(core)? {
        core.lines.entry(camera).or_insert_with(|| Mutex::new(Line::default()));
    }
    let mut batch = Batch::default();
    batch.put(Family::Facts, fact::REBUILDING.to_vec(), []);
    core.write(&batch)?;
    for (camera, line) in &core.lines {
        if let Some(found) = newest(core, camera)? {
            let head = found.head();
            link_all(core, camera, vec![found], true)?;
            lock(line).head = Some(head);
        }
    }
    super::holds::restore(core)?;
    recovery.rebuilt = true;
    Ok(())
}

/// At every start: whether footage is still to be read in.
pub(super) fn resume(core: &Core) -> Result<(), StoreError> {
    if core.index.get(Family::Facts, fact::REBUILDING)?.is_some() {
        *lock(&core.unread) = Some(Unread::default());
        say(core, Reading { hours: 0, of: 0 });
    }
    Ok(())
}

/// Reads the next hour in. None when there is nothing left to read.
pub(super) fn step(core: &Core) -> Result<Option<Reading>, StoreError> {
    core.alive()?;
    let next = match &*lock(&core.unread) {
        None => return Ok(None),
        Some(unread) if unread.hours.is_none() => None,
        Some(unread) => Some(unread.next()),
    };
    match next {
        None => list_again(core)?,
        Some(Some(hour)) => {
            read_hour(core, &hour)?;
            if let Some(unread) = &mut *lock(&core.unread) {
                unread.wanted.remove(&hour);
                if let Some(hours) = &mut unread.hours {
                    hours.remove(&hour);
                }
            }
        }
        Some(None) if lock(&core.unread).as_ref().is_some_and(|unread| unread.second_missing) => {
            if let Some(away) = second::awaited(core) {
                return Err(StoreError::NotYet { why: away });
            }
            list_again(core)?;
        }
        Some(None) => {
            rotate::after_rebuild(core)?;
            let mut batch = Batch::default();
            let size = lock(&core.tail).size();
            batch.put(Family::Facts, fact::REBUILT.to_vec(), size.to_be_bytes());
            batch.delete(Family::Facts, fact::REBUILDING.to_vec());
            core.write(&batch)?;
            *lock(&core.unread) = None;
            core.clear(Alarm::IndexRebuilding);
            tracing::info!("the index is whole again");
            return Ok(None);
        }
    }
    let reading = lock(&core.unread).as_ref().map(Unread::reading);
    if let Some(reading) = reading {
        say(core, reading);
    }
    Ok(reading)
}

/// Lists what there is to read: every hour of every camera on the discs that are here.
fn list_again(core: &Core) -> Result<(), StoreError> {
    // Asked first: a disc that comes meanwhile is listed once more.
    let second_missing = second::awaited(core).is_some();
    let hours = list_hours(core)?;
    let hours_all = hours.len();
    let mut unread = lock(&core.unread);
    let wanted = unread.take().map(|before| before.wanted).unwrap_or_default();
    let wanted = wanted.intersection(&hours).cloned().collect();
    *unread = Some(Unread { hours: Some(hours), wanted, hours_all, second_missing });
    Ok(())
}

/// Says how far it is; in the log once, for the words change with every step.
fn say(core: &Core, Reading { hours, of }: Reading) {
    let per_cent = (hours * 100).checked_div(of).unwrap_or(0);
    let what = format!(
        "the index was lost, damaged or older than the footage; it is read in again from the segment \
         files while recording goes on: {per_cent} %. Until then older footage is not found, and \
         what is due is erased as it is read"
    );
    let is_new = lock(&core.alarms).insert(Alarm::IndexRebuilding, what.clone()).is_none();
    if is_new {
        tracing::error!(code = Alarm::IndexRebuilding.code(), what, "alarm");
    }
}

/// Refuses to answer for a span of which footage is not read in yet, and has it read next.
pub(super) fn is_known(core: &Core, camera: &CameraId, span: Span) -> Result<(), StoreError> {
    // Younger footage is never moved to the second disc.
    let young = core.clock.now().plus_micros(-limits::TIER_YOUNGEST_US);
    let is_unread = lock(&core.unread).as_mut().is_some_and(|unread| {
        unread.touches(camera, span) || (unread.second_missing && span.from < young)
    });
    if is_unread {
        let why = format!(
            "older footage of {camera} is still being read in after the index was lost; what you ask \
             for comes first, so ask again in a minute"
        );
        return Err(StoreError::NotYet { why });
    }
    Ok(())
}

/// Whether an hour's key may open footage that is not read in yet.
pub(super) fn may_hold(core: &Core, epoch: u64) -> bool {
    lock(&core.unread).as_ref().is_some_and(|unread| match &unread.hours {
        None => true,
        Some(hours) => unread.second_missing || hours.iter().any(|(hour, _)| *hour == epoch),
    })
}

/// Whether a file lies in an hour that is not read in yet.
pub(super) fn is_unread(core: &Core, file: &Path) -> bool {
    let folder = file.parent().unwrap_or(file);
    lock(&core.unread).as_ref().is_some_and(|unread| match &unread.hours {
        None => true,
        Some(hours) => hours.iter().any(|(hour, camera)| {
            second::roots(core).any(|root| path::hour_folder(root, camera, *hour) == folder)
        }),
    })
}

/// Footage that ends by then is all known: what is older than the oldest unread hour.
pub(super) fn known_until(core: &Core) -> WallTime {
    match &*lock(&core.unread) {
        None => WallTime(i64::MAX - 1),
        Some(unread) => {
            let oldest = unread.hours.as_ref().map(BTreeSet::first);
            match oldest {
                None => WallTime(i64::MIN),
                Some(None) => WallTime(i64::MAX - 1),
                Some(Some((hour, _))) => {
                    let seconds = i64::try_from(*hour).unwrap_or(i64::MAX).saturating_mul(3600);
                    WallTime(0).plus_seconds(seconds)
                }
            }
        }
    }
}

/// Every hour of every camera that has a folder.
fn list_hours(core: &Core) -> Result<BTreeSet<Hour>, StoreError> {
    let mut hours = BTreeSet::new();
    for camera in cameras_on_disc(core)? {
        for (hour, _) in hours_of(core, &camera, 0)? {
            hours.insert((hour, camera.clone()));
        }
    }
    Ok(hours)
}

/// Takes in what the index does not know of one hour. What is being recorded is left alone.
fn read_hour(core: &Core, (epoch, camera): &Hour) -> Result<(), StoreError> {
    let Some(line) = core.lines.get(camera) else { return Ok(()) };
    let due = chain::after(lock(line).head.as_ref()).0;
    let mut files = Vec::new();
    for root in second::roots(core) {
        files.extend(list(&path::hour_folder(root, camera, *epoch))?);
    }
    let mut found: Vec<Found> = Vec::new();
    let mut last = BTreeSet::new();
    for file in files {
        let Some(seq) = path::seq_of(&file).filter(|seq| *seq < due) else { continue };
        // Of two whole copies the first disc's counts.
        if !last.insert(seq) || core.index.get(Family::Links, &link::key(camera, seq))?.is_some() {
            continue;
        }
        match read_checked(core, camera, seq, &file) {
            Some(read) => found.push(read),
            None => {
                last.remove(&seq);
                tracing::error!(file = %file.display(), "no whole segment; left where it is");
            }
        }
        if found.len() == BATCH_SEGMENTS {
            link_all(core, camera, std::mem::take(&mut found), false)?;
        }
    }
    if found.is_empty() { Ok(()) } else { link_all(core, camera, found, false) }
}

/// The camera's whole file with the highest number among its newest hours.
fn newest(core: &Core, camera: &CameraId) -> Result<Option<Found>, StoreError> {
    let hours = hours_of(core, camera, 0)?;
    let mut listed = Vec::new();
    for (_, folder) in hours.iter().rev().take(NEWEST_HOURS) {
        listed.extend(list(folder)?.into_iter().filter_map(|f| Some((path::seq_of(&f)?, f))));
    }
    // Stable: of two copies the first disc's comes before the other.
    listed.sort_by_key(|(seq, _)| Reverse(*seq));
    let whole = listed.iter();
    Ok(whole.filter_map(|(seq, file)| read_checked(core, camera, *seq, file)).next())
}

/// A complete file: its length, and its manifest, whose signature holds.
struct Found {
    file: PathBuf,
    bytes: u64,
    envelope: Envelope,
    manifest: manifest::Segment,
}

impl Found {
    fn head(&self) -> chain::Head {
        let (seq, end) = (self.manifest.seq, self.manifest.end);
        chain::Head { seq, digest: self.envelope.digest(), end }
    }
}

/// Reads a file's header and manifest, and checks that they are those of this segment of this site.
fn read_checked(core: &Core, camera: &CameraId, seq: Seq, file: &Path) -> Option<Found> {
    let reading = format_args!("reading {}", file.display());
    let (bytes, epoch, envelope) =
        core.step(Step::ReadSegment, reading, || skim(file)).ok().flatten()?;
    let key = salvage::signer_of(core, &envelope)?;
    let Ok(Record::Segment(manifest)) = Record::check(&envelope, &key) else { return None };
    let here = manifest.camera == *camera && manifest.seq == seq && manifest.seal.epoch == epoch;
    here.then(|| Found { file: file.to_owned(), bytes, envelope, manifest })
}

/// Links segments of one camera in by one batch. `heads`: the last of them is the chain's end.
fn link_all(
    core: &Core,
    camera: &CameraId,
    found: Vec<Found>,
    heads: bool,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(found.len());
    let mut signed = Vec::with_capacity(found.len());
    for Found { file, bytes, envelope, manifest } in found {
        rows.push((file, bytes, envelope.digest(), manifest));
        signed.push(Signed { kind: Kind::Segment, envelope });
    }
    core.log(&signed.iter().collect::<Vec<_>>(), |first, batch| {
        for ((file, bytes, digest, manifest), place) in rows.into_iter().zip(first..) {
            let (seq, start, end) = (manifest.seq, manifest.start, manifest.end);
            let (root, epoch) = (manifest.fragments.root, manifest.seal.epoch);
            let what = Linked::Stored(FileFacts { bytes, root, epoch });
            let row = LinkRow { start, end, place, digest, what };
            if heads {
                Core::put_link(batch, camera, seq, &row);
            } else {
                Core::put_old_link(batch, camera, seq, &row);
            }
            let expiry = SegmentRow { camera: camera.clone(), seq, start, end, bytes, root, epoch };
            batch.put(Family::Expiry, expiry.key(), expiry.encode());
            second::note_found(core, batch, &expiry, &file);
            core.count(batch, camera, epoch, |tally| {
                tally.segments += 1;
                tally.bytes += bytes;
            });
        }
    })?;
    Ok(())
}

/// Reads a file's header at its beginning and its manifest at its end, not its footage. None if it has
/// no manifest.
fn skim(file: &Path) -> io::Result<Option<(u64, u64, Envelope)>> {
    let mut open = File::open(file)?;
    let bytes = open.metadata()?.len();
    let mut start = Vec::new();
    let head_max = (MAGIC.len() + BLOCK_HEAD_BYTES + HEADER_BYTES_MAX) as u64;
    io::Read::by_ref(&mut open).take(head_max).read_to_end(&mut start)?;
    let Some(header) = header_of(&start) else { return Ok(None) };
    let from = bytes.saturating_sub(MANIFEST_BYTES_MAX).max(MAGIC.len() as u64);
    open.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    open.take(MANIFEST_BYTES_MAX).read_to_end(&mut end)?;
    Ok(manifest_of(&end).map(|envelope| (bytes, header.epoch, envelope)))
}

fn header_of(start: &[u8]) -> Option<Header> {
    let ([kind, len @ ..], rest) =
        start.strip_prefix(MAGIC)?.split_first_chunk::<BLOCK_HEAD_BYTES>()?;
    let len = u32::from_be_bytes(*len) as usize;
    serde_json::from_slice(rest.get(..len).filter(|_| *kind == b'H')?).ok()
}

/// The manifest block that ends exactly where the file does.
fn manifest_of(end: &[u8]) -> Option<Envelope> {
    let starts = (0..end.len().saturating_sub(BLOCK_HEAD_BYTES)).rev();
    starts.filter(|at| end[*at] == b'M').find_map(|at| {
        let ([_, len @ ..], payload) = end[at..].split_first_chunk::<BLOCK_HEAD_BYTES>()?;
        let whole = u32::from_be_bytes(*len) as usize == payload.len();
        if whole { Envelope::read(payload).ok() } else { None }
    })
}
