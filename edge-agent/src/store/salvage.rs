//! Closes a segment file that nobody closed: indexes it if it is complete, else cuts its torn end
//! off, checks that every fragment opens which was not noted as synced, and signs what is left as
//! `recovered`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use custody::dsse::Envelope;
use custody::record::{KeyUsage, Record};
use custody::sealed::{
    self, BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES, INIT_INDEX, Kind, MAGIC, SealedSegment,
};
use custody::sealing::SegmentSealer;
use custody::tree::CompactRange;
use custody::{CameraId, Digest, PublicKey, Refusal, Seq, chain, manifest};
use host::durable;

use super::StoreError;
use super::core::{Core, Line, Writing};
use super::disc::Step;
use super::index::Batch;
use super::key::opened::OpenedRow;
use super::key::progress::Progress;
use super::key::{Family, of_camera};
use super::open_file::{Closing, Stored, link_in};
use super::signing::{self, Signed};
use super::{path, volume};
use crate::seal;

/// What became of a segment that nobody closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Salvaged {
    /// It was complete: power went between file and index.
    Indexed(Stored),
    /// Its whole fragments are kept; so many bytes of its torn end are not.
    Closed {
        /// What is kept.
        stored: Stored,
        /// Bytes cut off.
        torn_bytes: u64,
    },
    /// No whole fragment had reached the disc.
    Nothing,
}

/// Sees to the camera's abandoned segment, if there is one.
pub(super) fn settle(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
) -> Result<Option<Salvaged>, StoreError> {
    let row = match &line.writing {
        Writing::Nothing => return Ok(None),
        Writing::Open => {
            return Err(StoreError::refused(format!(
                "a segment of {camera} is being written; close it first"
            )));
        }
        Writing::Abandoned(row) => row.clone(),
    };
    volume::is_here(core)?;
    let salvaged = salvage(core, camera, line, &row)?;
    line.writing = Writing::Nothing;
    core.leave_epoch(row.epoch);
    Ok(Some(salvaged))
}

fn salvage(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    row: &OpenedRow,
) -> Result<Salvaged, StoreError> {
    let file = path::segment(&core.segments, camera, row.epoch, row.seq);
    let noted = core.progress(camera, row.seq)?;
    let reading = format_args!("reading {}", file.display());
    let found = core.step(Step::ReadSegment, reading, || read(&file, noted.as_ref()))?;
    let Some(torn) = Torn::of(&found, camera, row.seq) else {
        return discard(core, camera, &file).map(|()| Salvaged::Nothing);
    };
    if let Some((envelope, manifest, tree)) = complete(core, camera, line, &torn) {
        let written = as_written(&manifest, tree);
        let closing = Closing {
            camera,
            row,
            prev: manifest.prev,
            boot_id: manifest.boot_id,
            written: &written,
            lost_packets: manifest.reception.lost_packets,
            camera_offset_ms: manifest.clock.camera_offset_ms,
            recovered: manifest.recovered,
        };
        sync(core, &file)?;
        let signed = Signed { kind: custody::record::Kind::Segment, envelope };
        let file_bytes = found.from + torn.segment.whole_bytes as u64;
        return link_in(core, line, &closing, &signed, file_bytes).map(Salvaged::Indexed);
    }
    match openable(core, camera, row, &found, &torn) {
        Some(kept) if !kept.tree.is_empty() => {
            let torn_bytes = found.from + found.bytes.len() as u64 - kept.file_bytes;
            finish(core, camera, line, row, &file, &torn, &kept)
                .map(|stored| Salvaged::Closed { stored, torn_bytes })
        }
        _ => discard(core, camera, &file).map(|()| Salvaged::Nothing),
    }
}

/// What was read of a segment file.
#[derive(Default)]
struct Found {
    /// The header's block, where the rest is read from further on.
    head: Vec<u8>,
    /// Where `bytes` begins in the file.
    from: u64,
    /// The file from there.
    bytes: Vec<u8>,
    /// What is whole before it.
    noted: Option<Progress>,
}

/// More than any header.
const HEAD_BYTES: u64 = 64 << 10;

/// Reads what follows the noted part of a file, or all of it; nothing if it is not there. What was noted
/// had been synced: it is believed as it is when a segment is closed in order, and scrubbed as all
/// footage is. So a start after a crash reads a few seconds of each camera, not all that was open.
fn read(file: &Path, noted: Option<&Progress>) -> io::Result<Found> {
    let mut open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        opened => opened?,
    };
    let mut found = Found::default();
    let long_enough = open.metadata()?.len();
    if let Some(noted) = noted.filter(|noted| noted.file_bytes <= long_enough) {
        (&open).take(HEAD_BYTES.min(noted.file_bytes)).read_to_end(&mut found.head)?;
        found.from = open.seek(SeekFrom::Start(noted.file_bytes))?;
        found.noted = Some(noted.clone());
    }
    open.read_to_end(&mut found.bytes)?;
    Ok(found)
}

/// A segment file up to its torn end.
struct Torn<'a> {
    /// All of it, or what follows the noted part.
    segment: SealedSegment<'a>,
    /// The tree over what is noted.
    tree: CompactRange,
}

impl<'a> Torn<'a> {
    /// None if it does not even begin as this segment.
    fn of(found: &'a Found, camera: &CameraId, seq: Seq) -> Option<Self> {
        let torn = match &found.noted {
            None => {
                let whole = &found.bytes[..whole_prefix(&found.bytes, MAGIC)];
                let segment = longest_readable(whole, MAGIC.len(), SealedSegment::read)?;
                Self { segment, tree: CompactRange::default() }
            }
            Some(noted) => {
                let head = &found.head[..whole_prefix(&found.head, MAGIC)];
                let header = longest_readable(head, MAGIC.len(), SealedSegment::read)?.header;
                let first = noted.tree.len();
                let rest = &found.bytes[..whole_prefix(&found.bytes, b"")];
                let read_on = |bytes| SealedSegment::read_on(header.clone(), first, bytes);
                Self { segment: longest_readable(rest, 0, read_on)?, tree: noted.tree.clone() }
            }
        };
        let header = &torn.segment.header;
        (header.camera == *camera && header.seq == seq).then_some(torn)
    }
}

/// The manifest that a complete file ends with, if it is signed, about this file, and continues the
/// chain; and the tree over all of its fragments.
fn complete(
    core: &Core,
    camera: &CameraId,
    line: &Line,
    torn: &Torn<'_>,
) -> Option<(Envelope, manifest::Segment, CompactRange)> {
    let Torn { segment, tree } = torn;
    let envelope = Envelope::read(segment.manifest?).ok()?;
    let Ok(Record::Segment(manifest)) = Record::check(&envelope, &signer_of(core, &envelope)?)
    else {
        return None;
    };
    let mut tree = tree.clone();
    tree.extend(segment.leaves());
    let continues = chain::after(line.head.as_ref()) == (manifest.seq, manifest.prev);
    let fits = manifest.camera == *camera
        && manifest.seq == segment.header.seq
        && manifest.seal.epoch == segment.header.epoch
        && manifest.fragments.root == tree.root();
    (continues && fits).then_some((envelope, manifest, tree))
}

/// What a signed manifest says of its file. Its length is known elsewhere.
fn as_written(manifest: &manifest::Segment, tree: CompactRange) -> Progress {
    Progress {
        seq: manifest.seq,
        file_bytes: 0,
        start: manifest.start,
        end: manifest.end,
        samples: manifest.fragments.samples,
        plain_bytes: manifest.fragments.bytes,
        init_sha256: manifest.init_sha256,
        tree,
    }
}

/// The key that an envelope names, if it has a certificate for records here.
pub(super) fn signer_of(core: &Core, envelope: &Envelope) -> Option<PublicKey> {
    let signer = signing::signer_row(core, envelope.key_id())?;
    let certified = signer.cert.is_some_and(|cert| cert.usage == KeyUsage::Records);
    certified.then_some(signer.key)
}

/// How many bytes, behind what they must begin with, are whole blocks of known kinds: power loss leaves
/// half blocks, or zeroes.
fn whole_prefix(bytes: &[u8], begin: &[u8]) -> usize {
    if !bytes.starts_with(begin) {
        return 0;
    }
    let mut at = begin.len();
    while let Some(([kind, a, b, c, d], rest)) = bytes[at..].split_first_chunk::<BLOCK_HEAD_BYTES>()
    {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if !b"HIFM".contains(kind) || len > BLOCK_BYTES_MAX || rest.len() < len {
            break;
        }
        at += BLOCK_HEAD_BYTES + len;
    }
    at
}

/// The longest beginning of a file whose fragments all open. None if not even its head does.
fn openable(
    core: &Core,
    camera: &CameraId,
    row: &OpenedRow,
    found: &Found,
    torn: &Torn<'_>,
) -> Option<Progress> {
    let Torn { segment, .. } = torn;
    let key = core.ring.segment_key(&segment.header).ok()?;
    let opener = SegmentSealer::new(&key, camera, row.seq);
    let mut kept = match &found.noted {
        Some(noted) => noted.clone(),
        None => begun(&opener, row.seq, segment)?,
    };
    for fragment in &segment.fragments {
        let Ok(plain) = seal::fragment::open(&opener, fragment) else { break };
        kept.tree.push(fragment.leaf());
        kept.end = kept.end.max(fragment.info.end());
        kept.samples = kept.samples.saturating_add(fragment.info.samples);
        kept.plain_bytes += plain.len() as u64;
        // The slice's end within the file: blocks lie one behind the other.
        let end = fragment.sealed.as_ptr() as usize + fragment.sealed.len();
        kept.file_bytes = found.from + (end - found.bytes.as_ptr() as usize) as u64;
    }
    Some(kept)
}

/// A segment before its first fragment.
fn begun(opener: &SegmentSealer, seq: Seq, segment: &SealedSegment<'_>) -> Option<Progress> {
    let mut init = segment.init?.to_vec();
    opener.open(INIT_INDEX, &mut init).ok()?;
    let start = segment.fragments.first()?.info.start;
    Some(Progress {
        seq,
        file_bytes: 0,
        start,
        end: start,
        samples: 0,
        plain_bytes: 0,
        init_sha256: Digest::of(&init),
        tree: CompactRange::default(),
    })
}

/// Reads blocks, from the first at `at`, leaving them off at the end until they read.
fn longest_readable<'a>(
    bytes: &'a [u8],
    mut at: usize,
    read: impl Fn(&'a [u8]) -> Result<SealedSegment<'a>, Refusal>,
) -> Option<SealedSegment<'a>> {
    let mut ends = vec![at];
    while let Some(([_, a, b, c, d], _)) =
        bytes.get(at..).and_then(<[u8]>::split_first_chunk::<BLOCK_HEAD_BYTES>)
    {
        at += BLOCK_HEAD_BYTES + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        ends.push(at);
    }
    ends.iter().rev().find_map(|end| read(bytes.get(..*end)?).ok())
}

/// Cuts the torn end off, signs, and links in.
fn finish(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    row: &OpenedRow,
    file: &Path,
    torn: &Torn<'_>,
    kept: &Progress,
) -> Result<Stored, StoreError> {
    let shown = file.display();
    core.step(Step::Truncate, format_args!("cutting {shown}"), || {
        OpenOptions::new().write(true).open(file)?.set_len(kept.file_bytes)
    })?;
    sync(core, file)?;
    let closing = Closing {
        camera,
        row,
        prev: chain::after(line.head.as_ref()).1,
        boot_id: torn.segment.header.boot_id.clone(),
        written: kept,
        lost_packets: 0,
        camera_offset_ms: None,
        recovered: true,
    };
    let signed = core.sign(&Record::Segment(closing.manifest(core)))?;
    let block = sealed::block(Kind::Manifest, &[signed.envelope.bytes()]);
    core.step(Step::WriteManifest, format_args!("writing to {shown}"), || {
        OpenOptions::new().append(true).open(file)?.write_all(&block)
    })?;
    sync(core, file)?;
    link_in(core, line, &closing, &signed, kept.file_bytes + block.len() as u64)
}

pub(super) fn sync(core: &Core, file: &Path) -> Result<(), StoreError> {
    core.step(Step::SyncFile, format_args!("syncing {}", file.display()), || {
        File::open(file)?.sync_all()
    })
}

/// Removes a file that holds nothing, and forgets that it was opened.
fn discard(core: &Core, camera: &CameraId, file: &Path) -> Result<(), StoreError> {
    let shown = file.display();
    core.step(Step::Unlink, format_args!("removing {shown}"), || match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })?;
    if let Some(folder) = file.parent().filter(|folder| folder.is_dir()) {
        core.step(Step::SyncFolder, format_args!("syncing the folder of {shown}"), || {
            durable::sync_folder(folder)
        })?;
    }
    let mut batch = Batch::default();
    batch.delete(Family::Opened, of_camera(camera));
    core.write(&batch)
}
