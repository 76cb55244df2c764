//! A segment being written: seal, append, sync; at the end sign, append, sync, link in.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use custody::chain::{self, Head};
use custody::manifest::{self, Analytics, Fragments, Mask, Reception, Seal, Stream};
use custody::record::{GapReason, Record};
use custody::sealed::{self, Header, Kind, MAGIC};
use custody::tree::CompactRange;
use custody::{CameraId, Digest, Seq, WallTime};
use host::durable;

use super::StoreError;
use super::core::{Core, Line, Writing, lock};
use super::disc::Step;
use super::effort::{self, Took};
use super::index::Batch;
use super::key::expiry::SegmentRow;
use super::key::link::{FileFacts, LinkRow, Linked};
use super::key::opened::OpenedRow;
use super::key::progress::Progress;
use super::key::{Family, of_camera};
use super::signing::Signed;
use super::{path, place, rotate};
use crate::limits;
use crate::seal::{Plain, Sealer, key_ring};
use crate::segment;

/// What a segment is opened with.
#[derive(Debug, Clone)]
pub struct OpenSegment {
    /// The wall time of its first frame.
    pub start: WallTime,
    /// The coded stream.
    pub stream: Stream,
    /// What covers the picture.
    pub mask: Mask,
    /// The plain `init` section (`ftyp+moov`).
    pub init: Bytes,
    /// Why it does not continue the one before, if it does not. With one, time may begin anew.
    pub discontinuity: Option<String>,
}

/// A segment that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
    /// The file's length.
    pub bytes: u64,
    /// The fragment tree's root.
    pub root: Digest,
    /// Its record's place in the site log.
    pub place: u64,
}

/// A segment being written. Dropped without [`OpenFile::close`], what reached the disc is closed
/// as `recovered` by the camera's next operation or the next start.
pub struct OpenFile {
    core: Arc<Core>,
    camera: CameraId,
    row: OpenedRow,
    prev: Digest,
    path: PathBuf,
    file: File,
    sealer: Sealer,
    /// What is on the disc.
    written: Progress,
    /// The file's end is unknown: a write failed and could not be undone.
    torn: bool,
    /// No fragment may follow: a write failed.
    full: bool,
    closed: bool,
}

/// Opens a segment of `camera` for writing, after a gap if its start leaves one.
pub(super) fn open(
    core: &Arc<Core>,
    camera: &CameraId,
    line: &mut Line,
    ask: OpenSegment,
) -> Result<OpenFile, StoreError> {
    let anew = ask.discontinuity.is_some();
    let placed = place::place(line.head.as_ref().map(|h| h.end), ask.start, anew)?;
    core.note_mask(camera, line, &ask.mask)?;
    if placed.gap {
        let (reason, detail) = why_late(line, ask.discontinuity.as_deref());
        core.write_gap(camera, line, (None, placed.start), reason, &detail)?;
    }
    let (seq, prev) = chain::after(line.head.as_ref());
    let epoch = key_ring::epoch_of(placed.start);
    let row = OpenedRow {
        seq,
        epoch,
        stream: ask.stream,
        mask: ask.mask,
        discontinuity: ask.discontinuity,
    };
    core.use_epoch(epoch);
    let begun = Sealing::begin(core, camera, &row).and_then(|sealing| {
        let mut batch = Batch::default();
        batch.put(Family::Opened, of_camera(camera), row.encode());
        batch.delete(Family::Progress, of_camera(camera));
        core.write(&batch).map(|()| sealing)
    });
    let sealing = match begun {
        Ok(sealing) => sealing,
        Err(error) => {
            core.leave_epoch(epoch);
            return Err(error);
        }
    };
    // From here on a file may be there: whatever fails, it is seen to before the next segment.
    line.writing = Writing::Abandoned(row.clone());
    let mut head = MAGIC.to_vec();
    head.extend(sealed::block(Kind::Header, &[&sealing.header]));
    head.extend(sealing.sealer.init(&ask.init));
    let path = path::segment(&core.segments, camera, epoch, seq);
    let file = create(core, &path, &head)?;
    line.writing = Writing::Open;
    Ok(OpenFile {
        core: Arc::clone(core),
        camera: camera.clone(),
        row,
        prev,
        path,
        file,
        sealer: sealing.sealer,
        written: Progress {
            seq,
            file_bytes: head.len() as u64,
            start: placed.start,
            end: placed.start,
            samples: 0,
            plain_bytes: 0,
            init_sha256: Digest::of(&ask.init),
            tree: CompactRange::default(),
        },
        torn: false,
        full: false,
        closed: false,
    })
}

/// The reason of a gap that only the next segment's start shows: the one last recorded if the
/// chain ends with a gap, a clock step if the segment says so, else the end of the stream.
fn why_late(line: &Line, discontinuity: Option<&str>) -> (GapReason, String) {
    let reason = match (line.gap, discontinuity) {
        (_, Some("clock-step")) => GapReason::ClockStep,
        (Some(reason), _) => reason,
        (None, _) => GapReason::StreamEnded,
    };
    (reason, "until the next segment began".to_owned())
}

struct Sealing {
    sealer: Sealer,
    header: Vec<u8>,
}

impl Sealing {
    fn begin(core: &Core, camera: &CameraId, row: &OpenedRow) -> Result<Self, StoreError> {
        if !core.ring.has_hour(row.epoch) {
            let what = format!("making the key of hour {}", row.epoch);
            rotate::step(core, Step::WriteRing, &what, || core.ring.make_hour(row.epoch))?;
        }
        let (key, wrapped) = core.ring.new_segment_key(camera, row.seq, row.epoch)?;
        let header = Header {
            camera: camera.clone(),
            seq: row.seq,
            boot_id: core.identity.boot_id().to_owned(),
            epoch: row.epoch,
            wrapped_key: hex::encode(wrapped),
        };
        Ok(Self {
            sealer: Sealer::new(&key, camera, row.seq),
            header: serde_json::to_vec(&header).expect("names and numbers have a JSON form"),
        })
    }
}

/// Creates the file and makes its name and head survive, so that later data syncs are enough.
fn create(core: &Core, path: &std::path::Path, head: &[u8]) -> Result<File, StoreError> {
    let folder = path.parent().expect("a segment lies in its hour's folder");
    let shown = path.display();
    core.step(Step::MakeFolder, format_args!("creating {}", folder.display()), || {
        durable::create_folder(folder)
    })?;
    let file = core.step(Step::WriteHead, format_args!("creating {shown}"), || {
        let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
        file.write_all(head)?;
        Ok(file)
    })?;
    core.step(Step::SyncFile, format_args!("syncing {shown}"), || file.sync_all())?;
    core.step(Step::SyncFolder, format_args!("syncing the folder of {shown}"), || {
        durable::sync_folder(folder)
    })?;
    Ok(file)
}

impl OpenFile {
    /// Its place in the camera's chain.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.row.seq
    }

    /// From.
    #[must_use]
    pub fn start(&self) -> WallTime {
        self.written.start
    }

    /// Where its last fragment ends.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.written.end
    }

    /// Seals a fragment and appends it. It survives power loss when this returns.
    ///
    /// # Errors
    /// `Refused` when the fragment would go back more than 2 s in time, or the segment is an hour or
    /// 512 MiB long: close it and open the next. `DiscFull`, `DiscFault`: the fragment is not kept,
    /// those before it are. `Fatal`.
    pub fn append(&mut self, fragment: &segment::Fragment) -> Result<(), StoreError> {
        self.append_plain(Plain::of(fragment))
    }

    pub(crate) fn append_plain(&mut self, plain: Plain<'_>) -> Result<(), StoreError> {
        self.core.alive()?;
        let plain = self.admit(plain)?;
        let (length, end) = (plain.len() as u64, plain.end());
        let core = Arc::clone(&self.core);
        let mut lent = core.buffers.lend();
        let begun = core.clock.now();
        let sealed = self.sealer.seal(plain, &mut lent.buffer);
        let sealed_at = core.clock.now();
        let (leaf, samples) = (sealed.leaf(), sealed.info().samples);
        let block_bytes = sealed.block().len() as u64;
        self.write(Step::WriteFragment, sealed.block())?;
        drop(lent);
        let written = core.clock.now();
        let shown = self.path.display();
        core.step(Step::SyncFile, format_args!("syncing {shown}"), || self.file.sync_data())?;
        let synced = core.clock.now();
        effort::forget_pages(&self.file, self.written.file_bytes - block_bytes, block_bytes);
        core.effort.note(Took {
            bytes: length,
            seal_us: sealed_at.micros_since(begun),
            write_us: written.micros_since(sealed_at),
            sync_us: synced.micros_since(written),
            behind_us: synced.micros_since(end),
        });
        let written = &mut self.written;
        written.tree.push(leaf);
        written.samples = written.samples.saturating_add(samples);
        written.plain_bytes += length;
        written.end = end;
        core.note_progress(&self.camera, written);
        Ok(())
    }

    /// Checks a fragment's place and bounds; the first one of a segment begins where the segment
    /// does.
    fn admit<'a>(&self, plain: Plain<'a>) -> Result<Plain<'a>, StoreError> {
        if self.torn || self.full {
            return Err(StoreError::refused(format!(
                "a write to {} failed; close it and open the next segment",
                self.path.display()
            )));
        }
        let Progress { start: begun, end, file_bytes, tree, .. } = &self.written;
        let back_us = end.micros_since(plain.start());
        let first = tree.is_empty();
        let plain = if back_us > limits::START_CLAMP_US {
            return Err(StoreError::refused(format!(
                "a fragment from {} stands after one that ends at {}; close the segment and open \
                 the next with discontinuity `clock-step`",
                plain.start(),
                end
            )));
        } else if back_us > 0 || (first && -back_us <= limits::START_SNAP_US) {
            plain.starting(*end)
        } else {
            plain
        };
        let long = plain.end().micros_since(*begun) > limits::SEGMENT_US_MAX;
        let big = file_bytes + plain.len() as u64 > limits::SEGMENT_BYTES_MAX
            || plain.len() > sealed::BLOCK_BYTES_MAX - 1024
            || tree.len() as usize >= sealed::FRAGMENTS_MAX;
        if !first && (long || big) || plain.len() > sealed::BLOCK_BYTES_MAX - 1024 {
            return Err(StoreError::refused(
                "a segment is at most an hour, 512 MiB and 7 200 fragments of 20 MiB; close it and \
                 open the next",
            ));
        }
        Ok(plain)
    }

    /// Appends, or leaves the file as it was.
    fn write(&mut self, step: Step, block: &[u8]) -> Result<(), StoreError> {
        let (file, shown) = (&mut self.file, self.path.display());
        let wrote =
            self.core.step(step, format_args!("writing to {shown}"), || file.write_all(block));
        if let Err(error) = wrote {
            let cut = self.core.step(Step::Truncate, format_args!("cutting {shown}"), || {
                self.file.set_len(self.written.file_bytes)
            });
            self.torn |= cut.is_err();
            // The sealer has used this fragment's index: the next would leave a hole.
            self.full = true;
            return Err(error);
        }
        self.written.file_bytes += block.len() as u64;
        Ok(())
    }

    /// Signs the segment and links it in. It is kept when this returns.
    ///
    /// `end` is where its last frame ends; never before the last fragment's end. `lost_packets` and
    /// the camera's clock offset go into the manifest.
    ///
    /// # Errors
    /// `Refused` when no fragment was appended: the file is removed. After other errors the segment
    /// is closed as `recovered` by the camera's next operation or the next start.
    pub fn close(
        mut self,
        end: WallTime,
        lost_packets: u64,
        camera_offset_ms: Option<i64>,
    ) -> Result<Stored, StoreError> {
        let core = Arc::clone(&self.core);
        let camera = self.camera.clone();
        let mut line = core.line(&camera)?;
        let closed = self.close_on(&core, &mut line, end, lost_packets, camera_offset_ms);
        if closed.is_ok() {
            self.closed = true;
            line.writing = Writing::Nothing;
            core.leave_epoch(self.row.epoch);
        }
        // Before `self`: dropping an unclosed file takes the line again.
        drop(line);
        closed
    }

    fn close_on(
        &mut self,
        core: &Core,
        line: &mut Line,
        end: WallTime,
        lost_packets: u64,
        camera_offset_ms: Option<i64>,
    ) -> Result<Stored, StoreError> {
        let camera = self.camera.clone();
        if self.written.tree.is_empty() || self.torn {
            let why = if self.torn { "its end is torn" } else { "it has no fragment" };
            return Err(StoreError::refused(format!(
                "segment {} of {camera} cannot be closed: {why}",
                self.row.seq
            )));
        }
        let row = self.row.clone();
        let longest = self.written.start.plus_micros(limits::SEGMENT_US_MAX);
        self.written.end = end.min(longest).max(self.written.end);
        let written = self.written.clone();
        let closing = Closing {
            camera: &camera,
            row: &row,
            prev: self.prev,
            boot_id: core.identity.boot_id().to_owned(),
            written: &written,
            lost_packets,
            camera_offset_ms,
            recovered: false,
        };
        let signed = core.sign(&Record::Segment(closing.manifest(core)))?;
        let block = sealed::block(Kind::Manifest, &[signed.envelope.bytes()]);
        self.write(Step::WriteManifest, &block)?;
        let shown = self.path.display();
        core.step(Step::SyncFile, format_args!("syncing {shown}"), || self.file.sync_all())?;
        link_in(core, line, &closing, &signed, self.written.file_bytes)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // The hour's key stays in use until the segment is settled.
        if let Some(line) = self.core.lines.get(&self.camera).filter(|_| !self.closed) {
            lock(line).writing = Writing::Abandoned(self.row.clone());
        }
    }
}

/// What a manifest says, whoever closes the segment.
pub(super) struct Closing<'a> {
    pub(super) camera: &'a CameraId,
    pub(super) row: &'a OpenedRow,
    pub(super) prev: Digest,
    pub(super) boot_id: String,
    pub(super) written: &'a Progress,
    pub(super) lost_packets: u64,
    pub(super) camera_offset_ms: Option<i64>,
    pub(super) recovered: bool,
}

impl Closing<'_> {
    pub(super) fn manifest(&self, core: &Core) -> manifest::Segment {
        let written = self.written;
        manifest::Segment {
            camera: self.camera.clone(),
            seq: self.row.seq,
            prev: self.prev,
            boot_id: self.boot_id.clone(),
            start: written.start,
            end: written.end,
            clock: custody::Clock {
                camera_offset_ms: self.camera_offset_ms,
                ..core.clock.quality()
            },
            stream: self.row.stream.clone(),
            init_sha256: written.init_sha256,
            fragments: Fragments {
                count: written.tree.len(),
                root: written.tree.root(),
                samples: written.samples,
                bytes: written.plain_bytes,
            },
            mask: self.row.mask.clone(),
            reception: Reception {
                lost_packets: self.lost_packets,
                discontinuity: self.row.discontinuity.clone(),
            },
            seal: Seal { algorithm: "AES-256-GCM".to_owned(), epoch: self.row.epoch },
            agent: core.identity.agent().clone(),
            analytics: Analytics::None,
            recovered: self.recovered,
            foreign_checkpoint: lock(&core.foreign).clone(),
        }
    }
}

/// Puts a complete segment file into index, log and chain: one synced batch.
pub(super) fn link_in(
    core: &Core,
    line: &mut Line,
    closing: &Closing<'_>,
    signed: &Signed,
    file_bytes: u64,
) -> Result<Stored, StoreError> {
    let (camera, seq, epoch) = (closing.camera, closing.row.seq, closing.row.epoch);
    let Progress { start, end, ref tree, .. } = *closing.written;
    let root = tree.root();
    let digest = signed.envelope.digest();
    let file = FileFacts { bytes: file_bytes, root, epoch };
    let place = core.log(&[signed], |place, batch| {
        let row = LinkRow { start, end, place, digest, what: Linked::Stored(file) };
        Core::put_link(batch, camera, seq, &row);
        let expiry =
            SegmentRow { camera: camera.clone(), seq, start, end, bytes: file_bytes, root, epoch };
        batch.put(Family::Expiry, expiry.key(), expiry.encode());
        batch.delete(Family::Opened, of_camera(camera));
        core.count(batch, camera, epoch, |tally| {
            tally.segments += 1;
            tally.bytes += file_bytes;
        });
    })?;
    line.head = Some(Head { seq, digest, end });
    line.gap = None;
    Ok(Stored { seq, start, end, bytes: file_bytes, root, place })
}
