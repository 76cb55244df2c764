//! Files that the index does not know: adopted one by one when they continue their chain, or all
//! together when the index is gone.
//!
//! What a lost index takes with it: gap records, the erase, hold, release, transfer and agent-start
//! records of the site log, and the order of its entries. The rebuilt log holds the segments' own
//! records, oldest end first, and holds come back from the folder `holds/`. The controller's copy of
//! the log is whole, and shows where the rebuilt one departs from it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use custody::chain;
use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::manifest;
use custody::record::{Kind, Record};
use custody::sealed::{BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES, MAGIC};
use custody::{CameraId, Seq, WallTime};

use super::StoreError;
use super::core::{Core, Line, lock};
use super::index::Batch;
use super::key::expiry::SegmentRow;
use super::key::link::{FileFacts, LinkRow, Linked};
use super::key::{Family, fact, link};
use super::recover::Recovery;
use super::signing::Signed;
use super::{path, salvage, second};
use crate::seal::key_ring;

/// Links in complete files of `camera` that continue its chain: the index was restored from an
/// older copy, or lost its last writes. Looks only into the hours from the chain's end on.
pub(super) fn adopt(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let from = line.head.as_ref().map_or(0, |h| key_ring::epoch_of(h.end).saturating_sub(1));
    for (seq, file) in files(core, camera, from)? {
        let due = chain::after(line.head.as_ref()).0;
        if seq < due && core.index.get(Family::Links, &link::key(camera, seq))?.is_some() {
            continue;
        }
        let adopted = match skim(&file) {
            Ok(Some(found)) => {
                second::note_found(core, camera, found.epoch, seq, &file)?;
                link_found(core, camera, line, seq, &found, Rule::Continues)?
            }
            Ok(None) | Err(_) => false,
        };
        if adopted {
            recovery.adopted += 1;
        } else {
            recovery.strays.push(file);
        }
    }
    Ok(())
}

/// Fills an empty index from the segment files, oldest end first over all cameras.
pub(super) fn rebuild(core: &mut Core, recovery: &mut Recovery) -> Result<(), StoreError> {
    for camera in cameras_on_disc(core)? {
        core.lines.entry(camera).or_insert_with(|| Mutex::new(Line::default()));
    }
    let mut waiting: BTreeMap<CameraId, std::vec::IntoIter<(Seq, PathBuf)>> = BTreeMap::new();
    let mut heap = BinaryHeap::new();
    for camera in core.lines.keys() {
        let mut listed = files(core, camera, 0)?.into_iter();
        push_next(core, camera, &mut listed, &mut heap, recovery);
        waiting.insert(camera.clone(), listed);
    }
    while let Some(Reverse((_, camera, seq, file))) = heap.pop() {
        let found = skim(&file).ok().flatten();
        let mut line = lock(&core.lines[&camera]);
        let kept = match &found {
            Some(found) => {
                second::note_found(core, &camera, found.epoch, seq, &file)?;
                link_found(core, &camera, &mut line, seq, found, Rule::Later)?
            }
            None => false,
        };
        drop(line);
        if !kept {
            recovery.strays.push(file);
        }
        if let Some(listed) = waiting.get_mut(&camera) {
            push_next(core, &camera, listed, &mut heap, recovery);
        }
    }
    super::holds::restore(core)?;
    let size = lock(&core.tail).size();
    let mut batch = Batch::default();
    batch.put(Family::Facts, fact::REBUILT.to_vec(), size.to_be_bytes());
    core.write(&batch)?;
    recovery.rebuilt = true;
    Ok(())
}

type Waiting = BinaryHeap<Reverse<(WallTime, CameraId, Seq, PathBuf)>>;

/// Puts the camera's next readable file into the queue; unreadable ones are strays.
fn push_next(
    core: &Core,
    camera: &CameraId,
    listed: &mut std::vec::IntoIter<(Seq, PathBuf)>,
    heap: &mut Waiting,
    recovery: &mut Recovery,
) {
    for (seq, file) in listed {
        let end = skim(&file).ok().flatten().and_then(|found| found.check(core)).map(|m| m.1.end);
        if let Some(end) = end {
            heap.push(Reverse((end, camera.clone(), seq, file)));
            return;
        }
        recovery.strays.push(file);
    }
}

/// How strictly a found file must continue its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It names the chain's end as its predecessor.
    Continues,
    /// It comes later: the gaps between are lost.
    Later,
}

/// A complete file's length and manifest, unchecked.
struct Found {
    bytes: u64,
    epoch: u64,
    envelope: Vec<u8>,
}

impl Found {
    fn check(&self, core: &Core) -> Option<(Envelope, manifest::Segment)> {
        let envelope = Envelope::read(&self.envelope).ok()?;
        let key = salvage::signer_of(core, &envelope)?;
        match Record::check(&envelope, &key) {
            Ok(Record::Segment(manifest)) => Some((envelope, manifest)),
            _ => None,
        }
    }
}

fn link_found(
    core: &Core,
    camera: &CameraId,
    line: &mut Line,
    seq: Seq,
    found: &Found,
    rule: Rule,
) -> Result<bool, StoreError> {
    let Some((envelope, manifest)) = found.check(core) else { return Ok(false) };
    let (due, prev) = chain::after(line.head.as_ref());
    let fits = match rule {
        Rule::Continues => (manifest.seq, manifest.prev) == (due, prev),
        Rule::Later => manifest.seq >= due,
    };
    let here =
        manifest.camera == *camera && manifest.seq == seq && manifest.seal.epoch == found.epoch;
    if !fits || !here {
        return Ok(false);
    }
    let (start, end, root) = (manifest.start, manifest.end, manifest.fragments.root);
    let (digest, epoch, bytes) = (envelope.digest(), found.epoch, found.bytes);
    let signed = Signed { kind: Kind::Segment, envelope };
    core.log(&[&signed], |place, batch| {
        let what = Linked::Stored(FileFacts { bytes, root, epoch });
        let row = LinkRow { start, end, place, digest, what };
        Core::put_link(batch, camera, seq, &row);
        let expiry = SegmentRow { camera: camera.clone(), seq, start, end, bytes, root, epoch };
        batch.put(Family::Expiry, expiry.key(), expiry.encode());
        core.count(batch, camera, epoch, |tally| {
            tally.segments += 1;
            tally.bytes += bytes;
        });
    })?;
    line.head = Some(chain::Head { seq, digest, end });
    Ok(true)
}

/// Reads a file's block heads and its manifest, not its footage. None if it has no manifest.
fn skim(file: &Path) -> io::Result<Option<Found>> {
    let mut open = File::open(file)?;
    let bytes = open.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    open.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Ok(None);
    }
    let mut epoch = None;
    let mut at = MAGIC.len() as u64;
    while at < bytes {
        let mut block = [0; BLOCK_HEAD_BYTES];
        open.seek(SeekFrom::Start(at))?;
        open.read_exact(&mut block)?;
        let [kind, a, b, c, d] = block;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let small = len <= ENVELOPE_BYTES_MAX;
        at += (BLOCK_HEAD_BYTES + len) as u64;
        if at > bytes || len > BLOCK_BYTES_MAX {
            return Ok(None);
        }
        match kind {
            b'H' | b'M' if small => {
                let mut payload = vec![0; len];
                open.read_exact(&mut payload)?;
                if kind == b'M' {
                    let whole = at == bytes;
                    return Ok(epoch.filter(|_| whole).map(|epoch| Found {
                        bytes,
                        epoch,
                        envelope: payload,
                    }));
                }
                let header: Option<custody::sealed::Header> = serde_json::from_slice(&payload).ok();
                epoch = header.map(|header| header.epoch);
            }
            b'I' | b'F' => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The camera's segment files in hours from `from` on, by place in the chain.
fn files(core: &Core, camera: &CameraId, from: u64) -> Result<Vec<(Seq, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for root in second::roots(core) {
        let folder = root.join(camera.name());
        let first_hour = path::hour_folder(root, camera, from);
        let first_day = first_hour.parent().unwrap_or(&folder).to_owned();
        // Day and hour names sort as time does.
        for day in list(&folder)?.into_iter().filter(|day| *day >= first_day) {
            for hour in list(&day)?.into_iter().filter(|hour| *hour >= first_hour) {
                let seqs = list(&hour)?.into_iter().filter_map(|f| Some((path::seq_of(&f)?, f)));
                found.extend(seqs);
            }
        }
    }
    // Stable: of two copies the first disc's stays.
    found.sort_by_key(|(seq, _)| *seq);
    found.dedup_by_key(|(seq, _)| *seq);
    Ok(found)
}

fn cameras_on_disc(core: &Core) -> Result<BTreeSet<CameraId>, StoreError> {
    let site = core.identity.site();
    let mut cameras = BTreeSet::new();
    for root in second::roots(core) {
        let folders = list(root)?;
        let names = folders.iter().filter(|path| path.is_dir()).filter_map(|path| path.file_name());
        cameras.extend(names.filter_map(|name| CameraId::new(site, name.to_str()?).ok()));
    }
    Ok(cameras)
}

/// What a folder holds, sorted; nothing if it is not there or no folder.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    match read() {
        Ok(paths) => Ok(paths),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(source) => {
            let what = format!("reading {}", folder.display());
            Err(StoreError::DiscFault { what, source })
        }
    }
}
