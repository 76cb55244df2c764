//! Moving segments of one camera to the second disc, in steps that may each be repeated:
//!
//! | step | in this order |
//! |---|---|
//! | intent | one synced batch: each is being moved |
//! | copy | write · sync file · sync folder · read again and compare: bytes, signed root, logged manifest |
//! | turn | one synced batch: the second copy counts; not for what was erased meanwhile |
//! | leave | unlink the first copy · sync folder · forget the intent |
//!
//! A crash leaves two copies at most, never none, and a row that says which counts: [`settle`]
//! removes the other. What the second disc refuses is never fatal: its copies count for nothing yet.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use custody::{CameraId, Seq};
use host::durable;
use rustix::fs::Advice;

use super::{Mark, key, root};
use crate::seal::key_ring;
use crate::store::StoreError;
use crate::store::check::same_footage;
use crate::store::core::Core;
use crate::store::disc::Step;
use crate::store::index::Batch;
use crate::store::key::Family;
use crate::store::key::expiry::SegmentRow;
use crate::store::key::link;
use crate::store::{path, read};

/// Copied and paced at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What came of moving segments.
#[derive(Debug, Default)]
pub struct Moved {
    /// How many lie on the second disc now.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Those that stayed on the first, and why.
    pub stayed: Vec<(Seq, String)>,
    /// What the second disc refused; nothing more was tried.
    pub refused: Option<StoreError>,
}

/// Moves `rows`, all of `camera`. `pace` is called before so many bytes are read or written.
pub(in crate::store) fn move_there(
    core: &Core,
    camera: &CameraId,
    rows: &[SegmentRow],
    pace: &mut dyn FnMut(usize),
) -> Result<Moved, StoreError> {
    let mut moved = Moved::default();
    let Some(root) = root(core) else { return Ok(moved) };
    let mut intent = Batch::default();
    for row in rows {
        let moving = key::key(Mark::Moving, camera, row.seq);
        intent.put(Family::Second, moving, key::encode(row.epoch));
    }
    core.write(&intent)?;
    let mut copied = Vec::new();
    for row in rows {
        match copy(core, root, row, pace) {
            Ok(Copied::Whole) => copied.push(row.clone()),
            Err(error) if error.is_fatal() => return Err(error),
            // Erased meanwhile, and its copies with it: no disc is at fault.
            Ok(Copied::Unlike(_)) | Err(_) if stored(core, camera, row.seq)?.is_none() => {}
            Ok(Copied::Unlike(why)) => moved.stayed.push((row.seq, why)),
            Err(error) => {
                moved.refused = Some(error);
                break;
            }
        }
    }
    let turned = turn(core, camera, &copied)?;
    moved.segments = turned.len();
    moved.bytes = turned.iter().map(|row| row.bytes).sum();
    for row in rows {
        finish(core, camera, row.epoch, row.seq)?;
    }
    Ok(moved)
}

enum Copied {
    Whole,
    /// The first copy does not read, or is not the segment that was signed.
    Unlike(String),
}

fn copy(
    core: &Core,
    root: &Path,
    row: &SegmentRow,
    pace: &mut dyn FnMut(usize),
) -> Result<Copied, StoreError> {
    let from = path::segment(&core.segments, &row.camera, row.epoch, row.seq);
    let to = path::segment(root, &row.camera, row.epoch, row.seq);
    let folder = to.parent().expect("a segment lies in its hour's folder");
    let shown = to.display();
    let unlike = |why: &dyn Display| Copied::Unlike(format!("{}: {why}", from.display()));
    let mut source = match File::open(&from) {
        Ok(source) => source,
        Err(error) => return Ok(unlike(&error)),
    };
    let (mut sent, mut unread) = (None, None);
    core.step(Step::CopySegment, format_args!("copying to {shown}"), || {
        durable::create_folder(folder)?;
        let mut copy = File::create(&to)?;
        let mut digest = Context::new(&SHA256);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            pace(CHUNK_BYTES);
            let length = match source.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => {
                    unread = Some(error);
                    return Ok(());
                }
            };
            copy.write_all(&chunk[..length])?;
            digest.update(&chunk[..length]);
        }
        sent = Some(digest.finish());
        Ok(())
    })?;
    if let Some(error) = unread {
        return Ok(unlike(&error));
    }
    core.step(Step::SyncCopy, format_args!("syncing {shown}"), || File::open(&to)?.sync_all())?;
    core.step(Step::SyncCopyFolder, format_args!("syncing the folder of {shown}"), || {
        durable::sync_folder(folder)
    })?;
    let came = reread(&to, pace)
        .map_err(|source| Step::CopySegment.error(format!("reading {shown} again"), source))?;
    if sent.is_none_or(|sent| sent.as_ref() != came.as_ref()) {
        let why = format!("{shown} does not read as it was written; look at the second disc");
        return Err(StoreError::DiscFault { what: why, source: io::Error::other("other bytes") });
    }
    let link = read::row(core, &row.camera, row.seq)?;
    match same_footage(&to, &row.camera, row.seq, row.root, link.digest) {
        Ok(()) => Ok(Copied::Whole),
        Err(why) => Ok(unlike(&why)),
    }
}

/// The digest of a file's bytes as the disc has them, not the kernel.
fn reread(file: &Path, pace: &mut dyn FnMut(usize)) -> io::Result<Digest> {
    let mut file = File::open(file)?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut digest = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        pace(CHUNK_BYTES);
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok(digest.finish());
        }
        digest.update(&chunk[..length]);
    }
}

/// From here on the second copies count, of those segments that are stored still.
fn turn(
    core: &Core,
    camera: &CameraId,
    copied: &[SegmentRow],
) -> Result<Vec<SegmentRow>, StoreError> {
    // Held until the batch is durable: no erasure comes between the look and the turn.
    let _line = core.line(camera)?;
    let mut batch = Batch::default();
    let mut turned = Vec::new();
    for row in copied {
        if stored(core, camera, row.seq)? == Some(row.root) {
            let there = key::key(Mark::There, camera, row.seq);
            batch.put(Family::Second, there, key::encode(row.epoch));
            turned.push(row.clone());
        }
    }
    if !turned.is_empty() {
        core.write(&batch)?;
    }
    Ok(turned)
}

/// Removes the copy that does not count, and forgets that the segment was being moved. Leaves it for
/// another time when the second disc is away or refuses.
fn finish(core: &Core, camera: &CameraId, epoch: u64, seq: Seq) -> Result<(), StoreError> {
    if core.index.get(Family::Links, &link::key(camera, seq))?.is_none() {
        // A file that a rebuilt index could not take in: what is unknown is not removed.
        return forget(core, camera, seq);
    }
    let stored = stored(core, camera, seq)?.is_some();
    let there = super::is_there(core, camera, seq)?;
    let mut goes = Vec::new();
    if there {
        goes.push((path::segment(&core.segments, camera, epoch, seq), Step::Unlink));
    }
    if !there || !stored {
        let Some(root) = root(core) else { return Ok(()) };
        goes.push((path::segment(root, camera, epoch, seq), Step::RemoveCopy));
    }
    let recent = key_ring::epoch_of(core.clock.now()).saturating_sub(1);
    let mut folders = BTreeSet::new();
    for (file, step) in goes {
        let removed =
            core.step(step, format_args!("removing {}", file.display()), || match fs::remove_file(
                &file,
            ) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        match removed {
            Err(error) if error.is_fatal() => return Err(error),
            // Settled at the next turn.
            Err(_) => return Ok(()),
            Ok(()) => folders.extend(file.parent().map(|folder| (folder.to_owned(), step))),
        }
    }
    for (folder, step) in folders.into_iter().filter(|(folder, _)| folder.is_dir()) {
        let step = if step == Step::Unlink { Step::SyncFolder } else { Step::SyncCopyFolder };
        let synced = core.step(step, format_args!("syncing {}", folder.display()), || {
            durable::sync_folder(&folder)
        });
        match synced {
            Err(error) if error.is_fatal() => return Err(error),
            Err(_) => return Ok(()),
            Ok(()) if epoch < recent => leave_folder(&folder),
            // The hour being recorded, and the one before it.
            Ok(()) => {}
        }
    }
    forget(core, camera, seq)
}

fn forget(core: &Core, camera: &CameraId, seq: Seq) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.delete(Family::Second, key::key(Mark::Moving, camera, seq));
    core.write(&batch)
}

/// The root of a segment that is stored still.
fn stored(core: &Core, camera: &CameraId, seq: Seq) -> Result<Option<custody::Digest>, StoreError> {
    Ok(read::row(core, camera, seq)?.stored().map(|file| file.root))
}

/// An hour's folder that holds nothing any more goes, and its day's with the last one.
fn leave_folder(hour: &Path) {
    if fs::remove_dir(hour).is_ok()
        && let Some(day) = hour.parent()
    {
        let _still_used = fs::remove_dir(day).is_err();
    }
}

/// Finishes moves that a crash, or a disc that was away, left half done. Gives how many are still to
/// be settled.
pub(in crate::store) fn settle(core: &Core) -> Result<usize, StoreError> {
    let site = core.identity.site();
    let begun = || {
        let prefix = Mark::Moving.prefix();
        let upper = crate::store::key::after_prefix(&prefix);
        core.index.rows(Family::Second, prefix, Some(upper))
    };
    for found in begun() {
        let (row, value) = found?;
        if let Some((_, row)) = key::decode(site, &row, &value) {
            finish(core, &row.camera, row.epoch, row.seq)?;
        }
    }
    Ok(begun().count())
}
