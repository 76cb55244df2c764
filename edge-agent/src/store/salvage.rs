//! Closes a segment file that nobody closed: indexes it if it is complete, else cuts its torn end
//! off, checks that every fragment opens, and signs what is left as `recovered`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use custody::dsse::Envelope;
use custody::record::{KeyUsage, Record};
use custody::sealed::{
    self, BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES, INIT_INDEX, Kind, MAGIC, SealedSegment,
};
use custody::sealing::SegmentSealer;
use custody::{CameraId, Digest, PublicKey, chain, manifest, tree};
use host::durable;

use super::StoreError;
use super::core::{Core, Line, Writing};
use super::disc::Step;
use super::index::Batch;
use super::key::opened::OpenedRow;
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
    let reading = format_args!("reading {}", file.display());
    let bytes = core.step(Step::ReadSegment, reading, || match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    })?;
    if let Some((envelope, manifest, length)) = complete(core, camera, line, &bytes) {
        let segment = SealedSegment::read(&bytes[..length])
            .map_err(|source| StoreError::Damaged { what: file.display().to_string(), source })?;
        let leaves = segment.leaves();
        let closing = as_closed(camera, row, &manifest, &leaves);
        sync(core, &file)?;
        let signed = Signed { kind: custody::record::Kind::Segment, envelope };
        return link_in(core, line, &closing, &signed, length as u64).map(Salvaged::Indexed);
    }
    match openable(core, camera, row, &bytes) {
        Some(kept) if !kept.leaves.is_empty() => {
            finish(core, camera, line, row, &file, &bytes, &kept)
        }
        _ => discard(core, camera, &file).map(|()| Salvaged::Nothing),
    }
}

/// The manifest that a complete file ends with, if it is signed, about this file, and continues the
/// chain; and the length of the file up to it.
pub(super) fn complete(
    core: &Core,
    camera: &CameraId,
    line: &Line,
    bytes: &[u8],
) -> Option<(Envelope, manifest::Segment, usize)> {
    let segment = SealedSegment::read(&bytes[..whole_prefix(bytes)]).ok()?;
    let envelope = Envelope::read(segment.manifest?).ok()?;
    let Ok(Record::Segment(manifest)) = Record::check(&envelope, &signer_of(core, &envelope)?)
    else {
        return None;
    };
    let continues = chain::after(line.head.as_ref()) == (manifest.seq, manifest.prev);
    let fits = manifest.camera == *camera
        && manifest.seq == segment.header.seq
        && manifest.seal.epoch == segment.header.epoch
        && manifest.fragments.root == tree::root(&segment.leaves());
    (continues && fits).then_some((envelope, manifest, segment.whole_bytes))
}

/// The key that an envelope names, if it has a certificate for records here.
pub(super) fn signer_of(core: &Core, envelope: &Envelope) -> Option<PublicKey> {
    let signer = signing::signer_row(core, envelope.key_id())?;
    let certified = signer.cert.is_some_and(|cert| cert.usage == KeyUsage::Records);
    certified.then_some(signer.key)
}

pub(super) fn as_closed<'a>(
    camera: &'a CameraId,
    row: &'a OpenedRow,
    manifest: &manifest::Segment,
    leaves: &'a [Digest],
) -> Closing<'a> {
    Closing {
        camera,
        row,
        prev: manifest.prev,
        boot_id: manifest.boot_id.clone(),
        start: manifest.start,
        end: manifest.end,
        init_sha256: manifest.init_sha256,
        leaves,
        samples: manifest.fragments.samples,
        plain_bytes: manifest.fragments.bytes,
        lost_packets: manifest.reception.lost_packets,
        camera_offset_ms: manifest.clock.camera_offset_ms,
        recovered: manifest.recovered,
    }
}

/// How many bytes are whole blocks of known kinds: power loss leaves half blocks, or zeroes.
fn whole_prefix(bytes: &[u8]) -> usize {
    if !bytes.starts_with(MAGIC) {
        return 0;
    }
    let mut at = MAGIC.len();
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

/// What of a torn file opens under its key.
struct Kept {
    boot_id: String,
    init_sha256: Digest,
    leaves: Vec<Digest>,
    start: custody::WallTime,
    end: custody::WallTime,
    samples: u32,
    plain_bytes: u64,
    file_bytes: usize,
}

/// The longest beginning of a file whose fragments all open. None if not even its head does.
fn openable(core: &Core, camera: &CameraId, row: &OpenedRow, bytes: &[u8]) -> Option<Kept> {
    let segment = longest_readable(&bytes[..whole_prefix(bytes)])?;
    if segment.header.camera != *camera || segment.header.seq != row.seq {
        return None;
    }
    let key = core.ring.segment_key(&segment.header).ok()?;
    let opener = SegmentSealer::new(&key, camera, row.seq);
    let mut init = segment.init?.to_vec();
    opener.open(INIT_INDEX, &mut init).ok()?;
    let first = segment.fragments.first()?;
    let mut kept = Kept {
        boot_id: segment.header.boot_id.clone(),
        init_sha256: Digest::of(&init),
        leaves: Vec::new(),
        start: first.info.start,
        end: first.info.start,
        samples: 0,
        plain_bytes: 0,
        file_bytes: 0,
    };
    for fragment in &segment.fragments {
        let Ok(plain) = seal::fragment::open(&opener, fragment) else { break };
        kept.leaves.push(fragment.leaf());
        kept.end = kept.end.max(fragment.info.end());
        kept.samples = kept.samples.saturating_add(fragment.info.samples);
        kept.plain_bytes += plain.len() as u64;
        // The slice's end within the file: blocks lie one behind the other.
        let end = fragment.sealed.as_ptr() as usize + fragment.sealed.len();
        kept.file_bytes = end - bytes.as_ptr() as usize;
    }
    Some(kept)
}

/// Reads a file, leaving off blocks at its end until it reads.
fn longest_readable(bytes: &[u8]) -> Option<SealedSegment<'_>> {
    let mut ends = Vec::new();
    let mut at = MAGIC.len();
    while let Some(([_, a, b, c, d], _)) =
        bytes.get(at..).and_then(<[u8]>::split_first_chunk::<BLOCK_HEAD_BYTES>)
    {
        at += BLOCK_HEAD_BYTES + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        ends.push(at);
    }
    ends.iter().rev().find_map(|end| SealedSegment::read(bytes.get(..*end)?).ok())
}

/// Cuts the torn end off, signs, and links in.
fn finish(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    row: &OpenedRow,
    file: &Path,
    bytes: &[u8],
    kept: &Kept,
) -> Result<Salvaged, StoreError> {
    let shown = file.display();
    core.step(Step::Truncate, format_args!("cutting {shown}"), || {
        OpenOptions::new().write(true).open(file)?.set_len(kept.file_bytes as u64)
    })?;
    sync(core, file)?;
    let closing = Closing {
        camera,
        row,
        prev: chain::after(line.head.as_ref()).1,
        boot_id: kept.boot_id.clone(),
        start: kept.start,
        end: kept.end,
        init_sha256: kept.init_sha256,
        leaves: &kept.leaves,
        samples: kept.samples,
        plain_bytes: kept.plain_bytes,
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
    let file_bytes = (kept.file_bytes + block.len()) as u64;
    let stored = link_in(core, line, &closing, &signed, file_bytes)?;
    let torn_bytes = (bytes.len() - kept.file_bytes) as u64;
    Ok(Salvaged::Closed { stored, torn_bytes })
}

pub(super) fn sync(core: &Core, file: &Path) -> Result<(), StoreError> {
    core.step(Step::SyncFile, format_args!("syncing {}", file.display()), || {
        fs::File::open(file)?.sync_all()
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
