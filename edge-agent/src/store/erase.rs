//! How footage goes, in steps that may each be repeated: log and index (one synced batch) → unlink
//! and sync folders → forget the condemned. What makes it final is the change of keys after: `rotate`.
//! Decides nothing: `retention` says what goes. Refuses what is held.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use custody::record::{Erase, EraseReason, Record, SegmentRef, Statement};
use custody::{CameraId, OrderId, Seq};
use host::durable;

use super::StoreError;
use super::core::{Core, lock};
use super::disc::Step;
use super::holds;
use super::index::Batch;
use super::key::Family;
use super::key::condemned::CondemnedRow;
use super::key::erasures::Untimely;
use super::key::expiry::SegmentRow;
use super::key::link::{self, FileFacts, LinkRow, Linked};
use super::{read, rotate, second, untimely, volume};
use crate::limits;
use crate::seal::key_ring;

/// Logs the erasure of segments of one camera and takes them out of the index; their files are
/// condemned, and their hours marked. Leaves out what is held, erased already, or not the segment that
/// was meant. Gives what was condemned.
pub(super) fn condemn(
    core: &Core,
    camera: &CameraId,
    segments: &[SegmentRef],
    reason: EraseReason,
    order: Option<&OrderId>,
) -> Result<Vec<SegmentRef>, StoreError> {
    if segments.len() > custody::record::ERASED_MAX {
        return Err(StoreError::refused("one erase record names at most 512 segments"));
    }
    // Held until the record is durable: no hold is placed between this look and the erasure.
    let holds = core.holds();
    let _line = core.line(camera)?;
    let mut going: Vec<(Seq, LinkRow, FileFacts)> = Vec::new();
    let mut refs = Vec::new();
    for segment in segments {
        let row = read::row(core, camera, segment.seq)?;
        let Linked::Stored(file) = row.what else { continue };
        let held = holds.values().any(|hold| holds::reaches(hold, camera, row.start, row.end));
        let twice = going.iter().any(|(seq, ..)| *seq == segment.seq);
        if held || twice || file.root != segment.root {
            continue;
        }
        going.push((segment.seq, row, file));
        refs.push(SegmentRef { start: row.start, end: row.end, ..segment.clone() });
    }
    if refs.is_empty() {
        return Ok(refs);
    }
    let erase = Erase {
        camera: camera.clone(),
        segments: refs.clone(),
        reason,
        order: order.cloned(),
        at: core.clock.now(),
    };
    let signed = core.sign(&Record::Other(Statement::Erase(erase)))?;
    let hours: BTreeSet<u64> = going.iter().map(|(_, _, file)| file.epoch).collect();
    core.log(&[&signed], |place, batch| {
        for (seq, row, file) in &going {
            take_out(core, batch, camera, *seq, row, file);
        }
        rotate::note_residue(core, batch, place, &hours, order.is_some());
        if reason == EraseReason::DiscFull {
            untimely::count(core, batch, Untimely::Early, going.len());
        }
    })?;
    Ok(refs)
}

fn take_out(
    core: &Core,
    batch: &mut Batch,
    camera: &CameraId,
    seq: Seq,
    row: &LinkRow,
    file: &FileFacts,
) {
    let erased = LinkRow { what: Linked::Erased(*file), ..*row };
    batch.put(Family::Links, link::key(camera, seq), erased.encode());
    let expiry = SegmentRow {
        camera: camera.clone(),
        seq,
        start: row.start,
        end: row.end,
        bytes: file.bytes,
        root: file.root,
        epoch: file.epoch,
    };
    batch.delete(Family::Expiry, expiry.key());
    let condemned = CondemnedRow { camera: camera.clone(), seq, epoch: file.epoch };
    batch.put(Family::Condemned, condemned.key(), condemned.encode());
    core.count(batch, camera, file.epoch, |tally| {
        tally.segments = tally.segments.saturating_sub(1);
        tally.bytes = tally.bytes.saturating_sub(file.bytes);
    });
}

/// Removes the files of at most `limit` condemned segments, and empty folders that held them. Gives
/// how many.
pub(super) fn unlink_condemned(core: &Core, limit: usize) -> Result<usize, StoreError> {
    let site = core.identity.site();
    let rows = core.index.rows(Family::Condemned, Vec::new(), None);
    let rows: Vec<(CondemnedRow, Vec<PathBuf>)> = rows
        .filter_map(|row| {
            row.map(|(key, value)| CondemnedRow::decode(site, &key, &value)).transpose()
        })
        // What lies on a second disc that is away waits for it, and nothing waits behind it.
        .filter_map(|row| {
            row.and_then(|row| Ok(second::copies(core, &row)?.map(|files| (row, files))))
                .transpose()
        })
        .take(limit)
        .collect::<Result<_, _>>()?;
    let is_first = |file: &PathBuf| file.starts_with(&core.segments);
    if rows.iter().any(|(_, files)| files.iter().any(is_first)) {
        // On a disc that is away nothing is missing.
        volume::is_here(core)?;
    }
    let mut batch = Batch::default();
    let mut gone = Vec::with_capacity(rows.len());
    for (row, files) in rows {
        match remove(core, &files) {
            Ok(()) => gone.push((row, files)),
            // What the second disc refuses waits, and nothing waits behind it.
            Err(error) if !error.is_fatal() && !files.iter().all(is_first) => {
                tracing::error!(error = %host::telemetry::chain(&error), "left on the second disc");
            }
            Err(error) => return Err(error),
        }
    }
    let folders: BTreeSet<&Path> =
        gone.iter().flat_map(|(_, files)| files.iter().filter_map(|file| file.parent())).collect();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let of_first = folder.starts_with(&core.segments);
        let step = if of_first { Step::SyncFolder } else { Step::SyncCopyFolder };
        core.step(step, format_args!("syncing {}", folder.display()), || {
            durable::sync_folder(folder)
        })?;
    }
    for (row, _) in &gone {
        batch.delete(Family::Condemned, row.key());
        second::forget(&mut batch, row);
    }
    if !gone.is_empty() {
        core.write(&batch)?;
        remove_empty(core, &gone);
    }
    Ok(gone.len())
}

fn remove(core: &Core, files: &[PathBuf]) -> Result<(), StoreError> {
    for file in files {
        let of_first = file.starts_with(&core.segments);
        let step = if of_first { Step::Unlink } else { Step::RemoveCopy };
        core.step(step, format_args!("removing {}", file.display()), || {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })?;
    }
    Ok(())
}

/// Removes folders that hold nothing any more. One that is not empty, or is gone, stays as it is;
/// the hour being recorded and the one before it are left alone.
fn remove_empty(core: &Core, rows: &[(CondemnedRow, Vec<PathBuf>)]) {
    let recent = key_ring::epoch_of(core.clock.now()).saturating_sub(1);
    let hours: BTreeSet<&Path> = rows
        .iter()
        .filter(|(row, _)| row.epoch < recent)
        .flat_map(|(_, files)| files.iter().filter_map(|file| file.parent()))
        .collect();
    for hour in hours {
        let hour_gone = fs::remove_dir(hour).is_ok();
        if let Some(day) = hour.parent().filter(|_| hour_gone) {
            // A day's folder goes with its last hour; what remains is only a name.
            let _still_used = fs::remove_dir(day).is_err();
        }
    }
}

/// The hours that have keys, and how many segments each still opens, those being written counted.
pub(super) fn hours(core: &Core) -> BTreeMap<u64, u64> {
    let mut hours: BTreeMap<u64, u64> =
        core.ring.hours().into_iter().map(|hour| (hour, 0)).collect();
    for tallies in lock(&core.tallies).values() {
        for (epoch, tally) in tallies {
            hours.entry(*epoch).and_modify(|n| *n += tally.segments);
        }
    }
    for (epoch, open) in lock(&core.epochs).iter() {
        hours.entry(*epoch).and_modify(|n| *n += u64::from(*open));
    }
    hours
}

/// How many bytes are free where the segments are.
pub(super) fn free_bytes(core: &Core) -> Result<Space, StoreError> {
    space_of(&core.segments)
}

/// How full the disc of a folder is.
pub(super) fn space_of(folder: &Path) -> Result<Space, StoreError> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| StoreError::DiscFault {
        what: format!("asking how full {} is", folder.display()),
        source: error.into(),
    })?;
    Ok(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// How full a disc is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this program may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// The most condemned files that one step of a sweep removes.
pub(super) const UNLINK_STEP: usize = limits::ERASE_STEP_SEGMENTS;
