//! What all handles of one store share, and the one way to change it: [`Core::log`].
//!
//! Locks, in the order in which they may be taken: `publisher` → `holds` → one camera's `line` →
//! `epochs` → `signing` → `tail` → `tallies`; `synced`, `foreign`, `held`, `unread`, `damaged`,
//! `erasures`, `alarms` and the second disc's state are held for moments, and nothing is taken under
//! them. Only opening, closing, gaps, repairs and turns of moves take a line; appending a fragment takes
//! no lock.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use custody::chain::{self, Head};
use custody::log::entry as log_entry;
use custody::manifest::{ForeignCheckpoint, Mask};
use custody::record::{Gap, GapReason, Hold, MaskChange, Record, Statement};
use custody::{CameraId, HoldId, Seq, WallTime};
use host::Clock;

use super::StoreError;
use super::budget::Account;
use super::disc::{Disc, Step};
use super::effort::{Buffers, Effort};
use super::index::{Batch, Index};
use super::key::erasures::ErasuresRow;
use super::key::link::{LinkRow, Linked};
use super::key::moment::{self, Order};
use super::key::opened::OpenedRow;
use super::key::progress::Progress;
use super::key::tally::{self, Tally};
use super::key::{Family, entry, head, link, mask, of_camera};
use super::publish::Publisher;
use super::rebuild::Unread;
use super::second::Second;
use super::signing::{Signed, Signing};
use super::tail::{Tail, broken};
use super::volume::Lock;
use crate::limits;
use crate::seal::{Identity, KeyRing};

/// Holds by hold and camera.
pub(super) type Holds = BTreeMap<(HoldId, CameraId), Hold>;
/// What each camera has stored, by hour.
pub(super) type Tallies = BTreeMap<CameraId, BTreeMap<u64, Tally>>;

/// The state behind every handle.
pub(super) struct Core {
    pub(super) state_dir: PathBuf,
    pub(super) segments: PathBuf,
    /// The slower disc for older footage, if the settings name one.
    pub(super) second: Option<Second>,
    pub(super) identity: Identity,
    pub(super) ring: KeyRing,
    pub(super) clock: Clock,
    pub(super) index: Index,
    pub(super) disc: Arc<dyn Disc>,
    /// Where fragments are sealed, and what keeping them took.
    pub(super) buffers: Buffers,
    pub(super) effort: Effort,
    /// Every camera that is recorded or has footage.
    pub(super) lines: BTreeMap<CameraId, Mutex<Line>>,
    /// How many open or abandoned files each hour has; under it, destroying an hour's key is decided.
    pub(super) epochs: Mutex<BTreeMap<u64, u32>>,
    /// The site log's name.
    pub(super) origin: String,
    /// What is looked at before each signature.
    pub(super) signing: Mutex<Signing>,
    /// The end of the site log.
    pub(super) tail: Mutex<Tail>,
    /// Held while the index is synced: those who wait for it are served by one sync.
    pub(super) synced: Mutex<()>,
    /// How many log entries survive power loss: what others may read, and what may be published.
    pub(super) durable: AtomicU64,
    /// What of the site log is published.
    pub(super) publisher: Mutex<Publisher>,
    /// The newest cosigned checkpoint of another log.
    pub(super) foreign: Mutex<Option<ForeignCheckpoint>>,
    /// What a person must see to.
    pub(super) alarms: Mutex<BTreeMap<Alarm, String>>,
    pub(super) holds: RwLock<Holds>,
    /// What held footage takes and may take.
    pub(super) held: Mutex<Account>,
    pub(super) tallies: Mutex<Tallies>,
    /// What footage the index does not know yet; none: all of it is known.
    pub(super) unread: Mutex<Option<Unread>>,
    /// Stored segments that are not what was signed, and what is wrong with each.
    pub(super) damaged: Mutex<BTreeMap<(CameraId, Seq), String>>,
    /// Segments that were not erased in their time.
    pub(super) erasures: Mutex<ErasuresRow>,
    /// Set by the first fatal error: nothing is promised any more.
    pub(super) failed: AtomicBool,
    /// Held until the last handle goes.
    pub(super) _lock: Lock,
}

/// The end of one camera's chain, under its own lock.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) head: Option<Head>,
    /// Why the head is a gap, if it is one of this run.
    pub(super) gap: Option<GapReason>,
    pub(super) writing: Writing,
    /// What covers the picture, as last recorded.
    pub(super) mask: Option<Mask>,
}

/// What a person must see to. The site records on meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The log contradicts what was published of it: nothing more is published.
    LogContradicted,
    /// The identity key does not answer, and the records key's time is over.
    RecordsKey,
    /// The index was lost, damaged or an older copy, and is being built again from the footage.
    IndexRebuilding,
    /// Stored segments are not what was signed, and no sound copy has been had yet.
    FootageDamaged,
    /// Held footage takes nearly all that it may.
    HoldBudget,
    /// Keys of erased footage could not be destroyed: the site key's place or the disc refuses.
    KeysNotDestroyed,
    /// Unheld footage is more than ten minutes over its ceiling.
    OverCeiling,
    /// The sweep has not finished for five minutes.
    SweepOverdue,
    /// Footage below its floor was erased in the last 31 days, because the disc was full.
    UnderFloor,
    /// At the present rates the disc will not hold the floor.
    RetentionAtRisk,
    /// The second disc is absent or another: what lies on it is unavailable, and nothing is moved.
    SecondTierAway,
    /// The second disc has no room for what should be moved to it.
    SecondTierFull,
    /// The second disc refuses, or does not read as it was written.
    SecondTierFault,
}

impl Alarm {
    /// The alarm's stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::LogContradicted => "log-contradicted",
            Self::RecordsKey => "records-key-overdue",
            Self::IndexRebuilding => "index-rebuilding",
            Self::FootageDamaged => "footage-damaged",
            Self::HoldBudget => "hold-budget-near",
            Self::KeysNotDestroyed => "keys-not-destroyed",
            Self::OverCeiling => "over-ceiling",
            Self::SweepOverdue => "sweep-overdue",
            Self::UnderFloor => "under-floor",
            Self::RetentionAtRisk => "retention-at-risk",
            Self::SecondTierAway => "second-tier-away",
            Self::SecondTierFull => "second-tier-full",
            Self::SecondTierFault => "second-tier-fault",
        }
    }
}

/// Whether a segment of the camera is being written.
#[derive(Debug, Default, Clone)]
pub(super) enum Writing {
    /// None is.
    #[default]
    Nothing,
    /// An open file is out.
    Open,
    /// It was dropped without being closed: what reached the disc is closed before anything else.
    Abandoned(OpenedRow),
}

/// Locks; a thread that panicked with the lock ends the process anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn line(&self, camera: &CameraId) -> Result<MutexGuard<'_, Line>, StoreError> {
        self.alive()?;
        let line = self.lines.get(camera).ok_or_else(|| {
            StoreError::refused(format!("{camera} is not a camera of this site's configuration"))
        })?;
        Ok(lock(line))
    }

    pub(super) fn holds(&self) -> RwLockReadGuard<'_, Holds> {
        self.holds.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds_mut(&self) -> RwLockWriteGuard<'_, Holds> {
        self.holds.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a segment in that needs the key of hour `epoch`: being written, or to be settled.
    pub(super) fn use_epoch(&self, epoch: u64) {
        *lock(&self.epochs).entry(epoch).or_default() += 1;
    }

    /// Counts it out.
    pub(super) fn leave_epoch(&self, epoch: u64) {
        let mut epochs = lock(&self.epochs);
        if let Some(count) = epochs.get_mut(&epoch) {
            *count = count.saturating_sub(1);
        }
        epochs.retain(|_, count| *count > 0);
    }

    /// Refuses once a fatal error has happened.
    pub(super) fn alive(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Fatal {
                what: "an earlier step of the store".into(),
                source: io::Error::other("this store failed and was not reopened"),
            });
        }
        Ok(())
    }

    /// Takes a durable step of the disc.
    pub(super) fn step<T>(
        &self,
        step: Step,
        what: impl Display,
        mut act: impl FnMut() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        self.alive()?;
        let mut made = None;
        let taken = self.disc.take(step, &mut || act().map(|value| made = Some(value)));
        let taken = taken
            .and_then(|()| made.ok_or_else(|| io::Error::other("the disc did not take the step")));
        taken.map_err(|source| {
            let error = step.error(what.to_string(), source);
            if error.is_fatal() {
                self.failed.store(true, Ordering::SeqCst);
            }
            error
        })
    }

    /// Writes and syncs changes that are no log entry.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.step(Step::WriteIndex, "writing to the index", || self.index.write(batch))?;
        self.step(Step::SyncIndex, "syncing the index", || self.index.sync())
    }

    /// Notes how much of a segment is on the disc. No step of the disc: nothing relies on the row, and a
    /// refusal is met again by the next batch that counts.
    pub(super) fn note_progress(&self, camera: &CameraId, written: &Progress) {
        let mut batch = Batch::default();
        batch.put(Family::Progress, of_camera(camera), written.encode());
        if let Err(error) = self.index.write(&batch) {
            tracing::debug!(%camera, %error, "how far a segment has come was not noted");
        }
    }

    /// What was noted of segment `seq`, if anything was.
    pub(super) fn progress(
        &self,
        camera: &CameraId,
        seq: Seq,
    ) -> Result<Option<Progress>, StoreError> {
        let row = self.index.get(Family::Progress, &of_camera(camera))?;
        Ok(row.and_then(|row| Progress::decode(&row)).filter(|noted| noted.seq == seq))
    }

    /// Appends signed records to the site log and its tree, together with the changes that `fill`
    /// makes for the first one's place: one batch. Durable when it returns.
    pub(super) fn log(
        &self,
        records: &[&Signed],
        fill: impl FnOnce(u64, &mut Batch),
    ) -> Result<u64, StoreError> {
        let (place, end) = {
            let mut tail = lock(&self.tail);
            let mut grown = tail.clone();
            let mut batch = Batch::default();
            let place = grown.size();
            for Signed { kind, envelope } in records {
                batch.put(Family::Log, entry::key(grown.size()), envelope.bytes());
                let commitment = log_entry::record(*kind, envelope.digest());
                grown.push(&commitment, &mut batch).map_err(broken)?;
            }
            fill(place, &mut batch);
            self.step(Step::WriteIndex, "writing to the index", || self.index.write(&batch))?;
            *tail = grown;
            (place, tail.size())
        };
        self.sync_log(end)?;
        Ok(place)
    }

    /// Makes the log's first `end` entries survive power loss. One sync serves all that were written
    /// before it began.
    fn sync_log(&self, end: u64) -> Result<(), StoreError> {
        let _one = lock(&self.synced);
        if self.durable.load(Ordering::SeqCst) >= end {
            return Ok(());
        }
        let written = lock(&self.tail).size();
        self.step(Step::SyncIndex, "syncing the index", || self.index.sync())?;
        self.durable.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    /// Tells that a person must see to something; says so in the log once.
    pub(super) fn raise(&self, alarm: Alarm, what: &str) {
        let said = lock(&self.alarms).insert(alarm, what.to_owned());
        if said.as_deref() != Some(what) {
            tracing::error!(code = alarm.code(), what, "alarm");
        }
    }

    /// It is over.
    pub(super) fn clear(&self, alarm: Alarm) {
        lock(&self.alarms).remove(&alarm);
    }

    /// Records what covers the camera's picture from now on, if it is something else than before.
    pub(super) fn note_mask(
        &self,
        camera: &CameraId,
        line: &mut Line,
        after: &Mask,
    ) -> Result<(), StoreError> {
        if line.mask.as_ref() == Some(after) {
            return Ok(());
        }
        let signed = self.sign(&Record::Other(Statement::MaskChange(MaskChange {
            camera: camera.clone(),
            before: line.mask.clone(),
            after: after.clone(),
            at: self.clock.now(),
        })))?;
        self.log(&[&signed], |_, batch| {
            batch.put(Family::Masks, of_camera(camera), mask::encode(after));
        })?;
        line.mask = Some(after.clone());
        Ok(())
    }

    /// Puts a link's rows into a batch: the link, its moment, the chain's head.
    pub(super) fn put_link(batch: &mut Batch, camera: &CameraId, seq: Seq, row: &LinkRow) {
        Self::put_old_link(batch, camera, seq, row);
        batch.put(Family::Heads, of_camera(camera), head::encode(&row.head(seq)));
    }

    /// As [`Self::put_link`] for a link that is not the chain's last.
    pub(super) fn put_old_link(batch: &mut Batch, camera: &CameraId, seq: Seq, row: &LinkRow) {
        let (order, time) = match row.what {
            Linked::Gap => (Order::GapEnd, row.end),
            Linked::Stored(_) | Linked::Erased(_) => (Order::SegmentStart, row.start),
        };
        batch.put(Family::Links, link::key(camera, seq), row.encode());
        batch.put(Family::Moments, moment::key(camera, order, time, seq), []);
    }

    /// Counts segments in or out of an hour, in memory and in the batch.
    pub(super) fn count(
        &self,
        batch: &mut Batch,
        camera: &CameraId,
        epoch: u64,
        change: impl FnOnce(&mut Tally),
    ) {
        let mut tallies = lock(&self.tallies);
        let hours = tallies.entry(camera.clone()).or_default();
        let tally = hours.entry(epoch).or_default();
        change(tally);
        if tally.segments == 0 {
            hours.remove(&epoch);
            batch.delete(Family::Tallies, tally::key(camera, epoch));
        } else {
            batch.put(Family::Tallies, tally::key(camera, epoch), tally.encode());
        }
    }

    /// Signs a gap from the chain's end, or `from` where no chain is yet, and links it in. A gap
    /// without length is not written.
    pub(super) fn write_gap(
        &self,
        camera: &CameraId,
        line: &mut Line,
        span: (Option<WallTime>, WallTime),
        reason: GapReason,
        detail: &str,
    ) -> Result<(), StoreError> {
        let Some(start) = line.head.as_ref().map(|h| h.end).or(span.0) else {
            return Err(StoreError::refused(format!(
                "the first record of {camera} must say from when on there was no footage"
            )));
        };
        let end = span.1;
        if end <= start {
            return Ok(());
        }
        let (seq, prev) = chain::after(line.head.as_ref());
        let record = Record::Other(Statement::Gap(Gap {
            camera: camera.clone(),
            seq,
            prev,
            boot_id: self.identity.boot_id().to_owned(),
            start,
            end,
            reason,
            detail: detail.chars().take(limits::DETAIL_CHARS_MAX).collect(),
            clock: self.clock.quality(),
        }));
        let signed = self.sign(&record)?;
        let digest = signed.envelope.digest();
        self.log(&[&signed], |place, batch| {
            let row = LinkRow { start, end, place, digest, what: Linked::Gap };
            Self::put_link(batch, camera, seq, &row);
        })?;
        line.head = Some(Head { seq, digest, end });
        line.gap = Some(reason);
        Ok(())
    }
}
