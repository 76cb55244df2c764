//! Stored footage that is not what was signed: found by reading it again, logged, refused to whoever
//! asks for it, and replaced by a sound copy from a second place.
//!
//! `Found` is logged before anything is done. `Repaired` is logged when the copy lies there, synced: it
//! says that footage is sound again, and must not be said of a file that power loss may still undo.
//! Power loss in between leaves a sound file that is known as damaged; the next look at it logs it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use custody::dsse::Envelope;
use custody::record::{Damage, DamageOutcome, Record, Statement};
use custody::sealed::{INIT_INDEX, SealedSegment};
use custody::sealing::SegmentSealer;
use custody::{CameraId, Code, Digest, Refusal, Seq, WallTime, tree};
use host::durable::{self, Reader};

use super::StoreError;
use super::core::{Alarm, Core, lock};
use super::disc::Step;
use super::index::Batch;
use super::key::expiry::{self, SegmentRow};
use super::key::{self, Family, Writer, after_prefix, damaged, fact};
use super::{path, read, rebuild, salvage, second};
use crate::limits;

/// Read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Named in the alarm.
const NAMED: usize = 3;

/// How far reading the footage again has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// When this pass over the footage began; none before the first.
    pub begun: Option<WallTime>,
    /// When the last whole pass began: what was stored then has been read again since.
    pub until: Option<WallTime>,
    /// The key of the last segment read, in the order of expiry; empty at the beginning of a pass.
    pub(super) at: Vec<u8>,
}

impl Scrubbed {
    /// A pass that begins at `now`.
    #[must_use]
    pub(crate) fn begin(&self, now: WallTime) -> Self {
        Self { begun: Some(now), until: self.until, at: Vec::new() }
    }

    /// Behind `row`.
    #[must_use]
    pub(crate) fn past(&self, row: &SegmentRow) -> Self {
        Self { at: row.key(), ..self.clone() }
    }

    /// The pass is over.
    #[must_use]
    pub(crate) fn end(&self) -> Self {
        Self { begun: None, until: self.begun.or(self.until), at: Vec::new() }
    }

    fn encode(&self) -> Vec<u8> {
        let time = |at: Option<WallTime>| at.unwrap_or(WallTime(i64::MIN));
        let mut out = Writer::default().u8(1).time(time(self.begun)).time(time(self.until)).done();
        out.extend_from_slice(&self.at);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = key::Reader(bytes);
        r.version(1)?;
        let time = |at: WallTime| Some(at).filter(|at| at.0 != i64::MIN);
        Some(Self { begun: time(r.time()?), until: time(r.time()?), at: r.0.to_vec() })
    }
}

/// What a look at a segment's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was signed.
    Sound,
    /// It is not, and in what way.
    Damaged(String),
    /// It is no longer stored.
    Erased,
    /// It lies on the second disc, which is away.
    Away,
}

/// At the start: what is known of damage.
pub(super) fn load(core: &Core) -> Result<(), StoreError> {
    let site = core.identity.site();
    let (lower, upper) = (damaged::PREFIX.to_vec(), after_prefix(damaged::PREFIX));
    let rows = core.index.rows(Family::Facts, lower, Some(upper));
    for row in rows {
        let (key, value) = row?;
        let Some((of, what)) = damaged::decode(site, &key, &value) else { continue };
        // A repair that power loss cut off has left its copy beside the file.
        if let Some(row) = self::row(core, &of.0, of.1)? {
            for root in second::roots(core) {
                let file = path::segment(root, &row.camera, row.epoch, row.seq);
                let aside = file.with_extension("whseg.new");
                if aside.exists() {
                    core.step(Step::Unlink, format_args!("removing {}", aside.display()), || {
                        durable::remove(&aside)
                    })?;
                }
            }
        }
        lock(&core.damaged).insert(of, what);
    }
    say(core);
    Ok(())
}

fn say(core: &Core) {
    let known = lock(&core.damaged).clone();
    if known.is_empty() {
        core.clear(Alarm::FootageDamaged);
        return;
    }
    let named = known.iter().take(NAMED);
    let named: Vec<_> =
        named.map(|((camera, seq), what)| format!("{seq} of {camera} ({what})")).collect();
    core.raise(
        Alarm::FootageDamaged,
        &format!(
            "{} stored segments are not what was signed: {}{}. What is held comes back from the \
             controller's vault by itself, the rest is lost; look at the disc (smartctl) and replace it \
             if there are more tomorrow",
            known.len(),
            named.join(", "),
            if known.len() > NAMED { ", …" } else { "" }
        ),
    );
}

pub(super) fn scrubbed(core: &Core) -> Result<Scrubbed, StoreError> {
    let kept = core.index.get(Family::Facts, fact::SCRUBBED)?;
    Ok(kept.and_then(|bytes| Scrubbed::decode(&bytes)).unwrap_or_default())
}

pub(super) fn set_scrubbed(core: &Core, at: &Scrubbed) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Family::Facts, fact::SCRUBBED.to_vec(), at.encode());
    core.write(&batch)
}

/// The stored segment behind where reading stands.
pub(super) fn next(core: &Core, at: &Scrubbed) -> Result<Option<SegmentRow>, StoreError> {
    let lower = if at.at.is_empty() { Vec::new() } else { after_prefix(&at.at) };
    let upper = expiry::after(rebuild::known_until(core));
    let row = core.index.rows(Family::Expiry, lower, Some(upper)).next().transpose()?;
    let site = core.identity.site();
    Ok(row.and_then(|(key, value)| SegmentRow::decode(site, &key, &value)))
}

/// The row of a stored segment; none if it is erased or never was.
pub(super) fn row(
    core: &Core,
    camera: &CameraId,
    seq: Seq,
) -> Result<Option<SegmentRow>, StoreError> {
    match read::stored(core, camera, seq) {
        Ok((row, file)) => Ok(Some(SegmentRow {
            camera: camera.clone(),
            seq,
            start: row.start,
            end: row.end,
            bytes: file.bytes,
            root: file.root,
            epoch: file.epoch,
        })),
        Err(StoreError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a segment's file and compares it with its signed root.
pub(super) fn examine(
    core: &Core,
    of: &SegmentRow,
    rest: &mut dyn FnMut(u64),
) -> Result<Verdict, StoreError> {
    let Some(file) = place(core, of)? else { return Ok(Verdict::Away) };
    let signed = signed(core, of)?;
    let reading = format_args!("reading {}", file.display());
    let bytes = core.step(Step::ReadSegment, reading, || read_slowly(&file, rest));
    let what = match bytes {
        Ok(bytes) => match compare(core, &bytes, of, &signed) {
            Ok(()) => return Ok(Verdict::Sound),
            Err(what) => what,
        },
        Err(StoreError::DiscFault { source, .. }) if is_loss(core, &file, &source) => {
            format!("it does not read: {source}")
        }
        Err(error) => return Err(error),
    };
    if row(core, &of.camera, of.seq)?.is_none() {
        // Erased while it was read.
        return Ok(Verdict::Erased);
    }
    match place(core, of)? {
        Some(now) if now == file => Ok(Verdict::Damaged(what)),
        // It was moved while it was read, which happens once.
        Some(_) => examine(core, of, rest),
        None => Ok(Verdict::Away),
    }
}

/// Where a stored segment's file lies; none on a second disc that is away.
fn place(core: &Core, of: &SegmentRow) -> Result<Option<PathBuf>, StoreError> {
    match second::place(core, &of.camera, of.epoch, of.seq) {
        Ok(file) => Ok(Some(file)),
        Err(StoreError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error of reading is the file's own, and not that of a disc that is away.
fn is_loss(core: &Core, file: &Path, error: &io::Error) -> bool {
    const EIO: i32 = 5;
    match error.kind() {
        io::ErrorKind::NotFound => second::is_mounted(core, file),
        io::ErrorKind::UnexpectedEof => true,
        _ => error.raw_os_error() == Some(EIO),
    }
}

/// Reads a file in pieces, telling of each, and lets the page cache forget it.
fn read_slowly(path: &Path, rest: &mut dyn FnMut(u64)) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len().min(limits::SEGMENT_BYTES_MAX * 2);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    loop {
        let read = io::Read::by_ref(&mut file).take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
        if read == 0 || bytes.len() as u64 > limits::SEGMENT_BYTES_MAX * 2 {
            break;
        }
        rest(read as u64);
    }
    // The next look must come from the disc.
    let _forgotten = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(bytes)
}

/// What was signed of a segment.
struct Signed {
    root: Digest,
    init_sha256: Digest,
    envelope: Vec<u8>,
}

fn signed(core: &Core, of: &SegmentRow) -> Result<Signed, StoreError> {
    let damaged = |what: &str| StoreError::Damaged {
        what: format!("the record of segment {} of {}", of.seq, of.camera),
        source: Refusal::new(Code::RecordMalformed, what),
    };
    let row = read::row(core, &of.camera, of.seq)?;
    let bytes = read::envelope(core, row.place)?;
    let envelope = Envelope::read(&bytes).map_err(|error| damaged(&error.to_string()))?;
    let key = salvage::signer_of(core, &envelope).ok_or_else(|| damaged("its key is unknown"))?;
    match Record::check(&envelope, &key) {
        Ok(Record::Segment(manifest)) if manifest.seq == of.seq && manifest.camera == of.camera => {
            let (root, init_sha256) = (manifest.fragments.root, manifest.init_sha256);
            Ok(Signed { root, init_sha256, envelope: bytes })
        }
        _ => Err(damaged("it is not signed, or another segment's")),
    }
}

/// Whether `bytes` are the signed segment's file; if not, why.
fn compare(core: &Core, bytes: &[u8], of: &SegmentRow, signed: &Signed) -> Result<(), String> {
    if bytes.len() as u64 != of.bytes {
        return Err(format!("{} bytes where {} were kept", bytes.len(), of.bytes));
    }
    let segment = SealedSegment::read(bytes).map_err(|error| error.to_string())?;
    let header = &segment.header;
    if (&header.camera, header.seq, header.epoch) != (&of.camera, of.seq, of.epoch) {
        return Err("its header names another segment".to_owned());
    }
    if tree::root(&segment.leaves()) != signed.root {
        return Err("its fragments are not the signed ones".to_owned());
    }
    if segment.whole_bytes != bytes.len() || segment.manifest != Some(&signed.envelope[..]) {
        return Err("its manifest is not the logged one".to_owned());
    }
    // The root covers the fragments; the header holds their key, and the rest is sealed under it.
    let key = core.ring.segment_key(header).map_err(|error| error.to_string())?;
    let opener = SegmentSealer::new(&key, &of.camera, of.seq);
    let mut init = segment.init.ok_or("its `init` section is missing")?.to_vec();
    let opens = opener.open(INIT_INDEX, &mut init).is_ok();
    if !opens || Digest::of(&init) != signed.init_sha256 {
        return Err("its `init` section is not the signed one".to_owned());
    }
    Ok(())
}

fn record(core: &Core, of: &SegmentRow, what: &str, outcome: DamageOutcome) -> Record {
    Record::Other(Statement::Damage(Damage {
        camera: of.camera.clone(),
        segment: of.reference(),
        what: what.chars().take(limits::DETAIL_CHARS_MAX).collect(),
        outcome,
        at: core.clock.now(),
    }))
}

pub(super) fn note(core: &Core, of: &SegmentRow, what: &str) -> Result<(), StoreError> {
    let key = (of.camera.clone(), of.seq);
    if lock(&core.damaged).contains_key(&key) {
        return Ok(());
    }
    let signed = core.sign(&record(core, of, what, DamageOutcome::Found))?;
    core.log(&[&signed], |_, batch| {
        batch.put(Family::Facts, damaged::key(&of.camera, of.seq), damaged::encode(what));
    })?;
    lock(&core.damaged).insert(key, what.to_owned());
    say(core);
    Ok(())
}

/// Replaces a damaged file by `copy`, or, when that is what lies there already, logs that it is sound.
pub(super) fn repair(core: &Core, of: &SegmentRow, copy: &[u8]) -> Result<(), StoreError> {
    let key = (of.camera.clone(), of.seq);
    let Some(what) = lock(&core.damaged).get(&key).cloned() else { return Ok(()) };
    let signed = signed(core, of)?;
    compare(core, copy, of, &signed).map_err(|why| StoreError::Damaged {
        what: format!("the second place's copy of segment {} of {}", of.seq, of.camera),
        source: Refusal::new(Code::SealedMalformed, why),
    })?;
    // Held from the last look at the row to its end: no erasure comes between, and no move turns.
    let line = core.line(&of.camera)?;
    if row(core, &of.camera, of.seq)?.is_none() {
        drop(line);
        return forget(core, &of.camera, of.seq);
    }
    let file = second::place(core, &of.camera, of.epoch, of.seq)?;
    core.step(Step::RepairFile, format_args!("replacing {}", file.display()), || {
        durable::create_folder(&folder(&file))?;
        durable::replace(&file, copy, Reader::Anyone)
    })?;
    let repaired = core.sign(&record(core, of, &what, DamageOutcome::Repaired))?;
    core.log(&[&repaired], |_, batch| {
        batch.delete(Family::Facts, damaged::key(&of.camera, of.seq));
    })?;
    drop(line);
    lock(&core.damaged).remove(&key);
    say(core);
    Ok(())
}

fn folder(file: &Path) -> PathBuf {
    file.parent().unwrap_or(file).to_owned()
}

pub(super) fn forget(core: &Core, camera: &CameraId, seq: Seq) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.delete(Family::Facts, damaged::key(camera, seq));
    core.write(&batch)?;
    lock(&core.damaged).remove(&(camera.clone(), seq));
    say(core);
    Ok(())
}
