//! Keeps footage and its records through power loss, and proves it. Knows neither cameras' streams
//! nor the controller nor when footage falls due.
//!
//! ```text
//! segments/<camera>/<YYYY-MM-DD>/<HH>/<seq>.whseg     footage, append-only, self-describing
//! index/                                              RocksDB: links, site log, holds, see `key`
//! log/                                                the site log in public, see `publish`
//! keys/                                               see `seal::key_ring`, `seal::root`, `seal::identity`
//! keys/certs/<key>.dsse                               each records key's certificate once more
//! holds/<hold>.<camera>.dsse                          each standing hold once more
//! disposals/                                          discs taken out of service, see `disposals`
//! volume.json, segments/volume.json                   which belong together, see `volume`
//! index-aside-<n>/                                    an index that was damaged or older, for the record
//! second.json                                         that there is a second disc, see `second`
//! ```
//!
//! # Invariants (held by [`Store::check`], run after every step of the tests)
//!
//! 1. Every record of a camera begins where the one before it ended, unless it says why not; it
//!    names that one's digest, and its number is the next.
//! 2. A stored link implies a file of that length and root. Every file under `segments` is stored,
//!    being written, or condemned.
//! 3. The site log is dense, every entry is signed, and links, heads, holds, masks, tallies and the
//!    order of expiry are what the log tells. Nothing reads an entry before it would survive power
//!    loss. Each signer's certificate stands earlier in the log and covers the record's time.
//! 4. No erase record names a segment under a hold that stood then.
//! 5. Every stored segment's key opens. An hour's key is destroyed only when nothing is stored under it,
//!    the site key changes only as the log tells, and after it old copies of keys open nowhere.
//! 6. The log's tree is that of its entries; every checkpoint that was or may have been signed is a
//!    beginning of it, and the static files are its tiles.
//!
//! # Steps (each a [`Step`]; after a failed sync or index write the process ends)
//!
//! | to | in this order |
//! |---|---|
//! | start | count the opening (see `volume`) · certify · agent start · finish what a crash left |
//! | open | hour key · `opened` row, synced · create file with head · sync file · sync folder |
//! | append | seal · one write · data sync |
//! | close | sign · write manifest · sync file · one synced batch: link, log, head, tally |
//! | gap | sign · one synced batch |
//! | hold | sign · `holds/` file · one synced batch |
//! | records key | certify · `keys/certs/` file · one synced batch · sign with it |
//! | checkpoint | one synced row · tiles · sign · replace `log/checkpoint` |
//! | damage found | sign · one synced batch (log, damaged) |
//! | damage repaired | check the copy · replace the file, synced · sign · one synced batch |
//! | move | one synced batch: intent · copy, sync, read again on the second disc · one synced batch: it counts · unlink the first copy · sync folder · forget intent |
//! | erase | sign · one synced batch (log, link erased, condemned, hour marked) · unlink · sync folder · forget condemned |
//! | rotate keys | next site key · survivors' keys · sign · one synced batch (log, mark) · key ring · destroy site key · forget marks |
//!
//! Power loss between any two leaves what the next start finishes: an `opened` row (close or index
//! the file, or remove it when it holds no whole fragment), condemned rows (unlink), a mark of a rotation
//! (done to its end), a key without segments (destroyed by a later sweep).

mod aside;
mod budget;
mod check;
mod core;
mod damage;
mod disc;
mod disposals;
mod effort;
mod erase;
mod error;
mod expiring;
mod glance;
mod heartbeat;
mod holds;
mod index;
mod key;
mod oldest;
mod open_file;
mod order;
mod path;
mod place;
mod publish;
mod read;
mod rebuild;
mod recover;
mod rotate;
mod salvage;
mod second;
mod signing;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod untimely;
mod volume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::log::VerifierKey;
use custody::manifest::ForeignCheckpoint;
use custody::record::{EraseReason, GapReason, Hold, SegmentRef};
use custody::sealing::Key;
use custody::{CameraId, CaseId, Digest, HoldId, KeyId, Seq, WallTime};
use host::Clock;

pub use budget::{Held, HoldBudget};
pub use check::{Checked, Depth, Finding};
pub use core::Alarm;
pub use damage::{Scrubbed, Verdict};
pub use disc::{Disc, RealDisc, Step};
pub use disposals::DisposalAsk;
pub use erase::Space;
pub use error::StoreError;
pub(crate) use expiring::Expiring;
pub use glance::{Glance, glance};
pub use holds::{PlaceHold, reaches};
pub use index::layout;
pub use key::entry::pack;
pub use key::erasures::Erasures;
pub use key::expiry::SegmentRow;
pub use oldest::Unheld;
pub use open_file::{OpenFile, OpenSegment, Stored};
pub use order::{EraseOrder, Ordered};
pub use read::{CameraStats, Found, Stats};
pub use rebuild::Reading;
pub use recover::Recovery;
pub use rotate::{KeyState, Rotation};
pub use salvage::Salvaged;
pub use second::Moved;

use self::core::Core;
use crate::seal::{FileRoot, Identity, Root};

/// Where a store lies, beside its state folder.
pub struct Places<'a> {
    /// What acts on the discs.
    pub disc: Arc<dyn Disc>,
    /// Where the site key is kept.
    pub root: Box<dyn Root>,
    /// Where a second disc for older footage is mounted.
    pub second: Option<&'a Path>,
}

impl Places<'_> {
    /// The machine's discs, the site key in a file, and no second disc.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        let root = Box::new(FileRoot::new(&state_dir.join("keys")));
        Self { disc: Arc::new(RealDisc), root, second: None }
    }
}

/// The store of one site. Cheap to clone; every method blocks, so call it from a thread that may.
#[derive(Clone)]
pub struct Store {
    core: Arc<Core>,
}

impl Store {
    /// Opens the store under `state_dir`, finishes what a crash left, and records that the agent came
    /// up and what each of `cameras` missed meanwhile.
    ///
    /// # Errors
    /// `InUse`, `Volume`, `Key`, `Refused`, or as the disc says; all name what to do.
    pub fn open(
        state_dir: &Path,
        identity: Identity,
        clock: Clock,
        cameras: &[CameraId],
    ) -> Result<(Self, Recovery), StoreError> {
        Self::open_on(state_dir, identity, clock, cameras, Arc::new(RealDisc))
    }

    /// As [`Self::open`], with every durable step going through `disc`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        state_dir: &Path,
        identity: Identity,
        clock: Clock,
        cameras: &[CameraId],
        disc: Arc<dyn Disc>,
    ) -> Result<(Self, Recovery), StoreError> {
        let places = Places { disc, ..Places::of(state_dir) };
        Self::open_with(state_dir, identity, clock, cameras, places)
    }

    /// As [`Self::open_on`], with the site key and a second disc where `places` says.
    ///
    /// # Errors
    /// As [`Self::open`]. A second disc that is absent or another is an alarm and no error.
    pub fn open_with(
        state_dir: &Path,
        identity: Identity,
        clock: Clock,
        cameras: &[CameraId],
        places: Places<'_>,
    ) -> Result<(Self, Recovery), StoreError> {
        let (core, recovery) = recover::open(state_dir, identity, clock, cameras, places)?;
        Ok((Self { core }, recovery))
    }

    /// Notes that the agent ends in order. Call last, when every segment is closed; the next start
    /// then says `agent-stopped` and not `agent-crashed`.
    ///
    /// # Errors
    /// `Fatal`.
    pub fn stop(&self) -> Result<(), StoreError> {
        let mut batch = index::Batch::default();
        let now = self.core.clock.now().to_string();
        batch.put(key::Family::Facts, key::fact::STOPPED.to_vec(), now);
        self.core.write(&batch)
    }

    /// Who signs here.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.core.identity
    }

    /// Every camera that is recorded or has footage.
    pub fn cameras(&self) -> impl Iterator<Item = &CameraId> {
        self.core.lines.keys()
    }

    /// Where the camera's chain ends; none before its first record.
    ///
    /// # Errors
    /// `Refused` for a camera that is not one here.
    pub fn chain_end(&self, camera: &CameraId) -> Result<Option<WallTime>, StoreError> {
        Ok(self.core.line(camera)?.head.as_ref().map(|head| head.end))
    }

    /// Opens a segment for writing. Where it begins on the chain: see `place`. One at a time per
    /// camera.
    ///
    /// # Errors
    /// `Refused` when one is open, or its start lies more than 2 s before the chain's end and it
    /// names no discontinuity. `DiscFull`, `DiscFault`, `Key`: record a gap, try again. `Fatal`.
    pub fn open_segment(
        &self,
        camera: &CameraId,
        ask: OpenSegment,
    ) -> Result<OpenFile, StoreError> {
        // A step of the clock is seen before footage is dated by it: the key that signs the segment
        // must cover its time, though the clock may be set right again before it is closed.
        self.core.make_ready()?;
        volume::is_here(&self.core)?;
        let mut line = self.core.line(camera)?;
        salvage::settle(&self.core, camera, &mut line)?;
        open_file::open(&self.core, camera, &mut line, ask)
    }

    /// Records that there is no footage up to `to`, from the end of the camera's chain, or from
    /// `from` as its first record. A gap without length is not written.
    ///
    /// # Errors
    /// `Refused` while a segment is open, or without `from` for a first record. `Fatal`.
    pub fn gap(
        &self,
        camera: &CameraId,
        from: Option<WallTime>,
        to: WallTime,
        reason: GapReason,
        detail: &str,
    ) -> Result<(), StoreError> {
        let mut line = self.core.line(camera)?;
        salvage::settle(&self.core, camera, &mut line)?;
        self.core.write_gap(camera, &mut line, (from, to), reason, detail)
    }

    /// How many entries of the site log survive power loss.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        self.core.durable.load(Ordering::SeqCst)
    }

    /// Entries of the site log from `first` on: at most `count_max` and `bytes_max`, but one if
    /// there is one.
    ///
    /// # Errors
    /// `Fatal` when the index does not read.
    pub fn log_read(
        &self,
        first: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        read::log_read(&self.core, first, count_max, bytes_max)
    }

    /// The site log's name, as its checkpoints carry it.
    #[must_use]
    pub fn log_origin(&self) -> &str {
        &self.core.origin
    }

    /// The key that checks the site log's checkpoints.
    #[must_use]
    pub fn log_vkey(&self) -> VerifierKey {
        publish::vkey(&self.core)
    }

    /// Publishes the log's tree if it has grown; gives the newest checkpoint's note. None when the log
    /// contradicts what was published of it: then [`Self::alarms`] says so.
    ///
    /// # Errors
    /// `DiscFull`, `DiscFault`: nothing is lost, try again. `Fatal`.
    pub fn publish(&self) -> Result<Option<Arc<[u8]>>, StoreError> {
        publish::publish(&self.core)
    }

    /// The newest published checkpoint's note; none before the first of this run.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Arc<[u8]>> {
        publish::note(&self.core)
    }

    /// The root of the log's tree when it had `size` entries.
    ///
    /// # Errors
    /// `Refused` when there are fewer; `Fatal` when the index does not read.
    pub fn log_root(&self, size: u64) -> Result<Digest, StoreError> {
        publish::root(&self.core, size)
    }

    /// The audit path of the entry at `place` in the tree of `size`, lowest sibling first.
    ///
    /// # Errors
    /// `Refused` when it is not in that tree, or there are fewer entries; `Fatal`.
    pub fn inclusion_proof(&self, size: u64, place: u64) -> Result<Vec<Digest>, StoreError> {
        publish::inclusion(&self.core, size, place)
    }

    /// That the tree of `size` continues the tree of `old`.
    ///
    /// # Errors
    /// `Refused` when there are fewer entries; `Fatal`.
    pub fn consistency_proof(&self, size: u64, old: u64) -> Result<Vec<Digest>, StoreError> {
        publish::consistency(&self.core, size, old)
    }

    /// The envelope of the newest certificate of the key with this id; none if it has none here.
    ///
    /// # Errors
    /// `Fatal` when the index does not read.
    pub fn key_cert(&self, key: &KeyId) -> Result<Option<Vec<u8>>, StoreError> {
        signing::cert_of(&self.core, key)
    }

    /// Remembers the newest cosigned checkpoint of another log: manifests name it from now on.
    pub fn set_foreign_checkpoint(&self, checkpoint: ForeignCheckpoint) {
        *core::lock(&self.core.foreign) = Some(checkpoint);
    }

    /// Logs that the site runs, with each camera's chain and the state given for it; changes the
    /// records key when its time is nearly over. Once a minute.
    ///
    /// # Errors
    /// `Refused` for a camera that is not one here. `Fatal`.
    pub fn heartbeat(&self, states: &BTreeMap<CameraId, String>) -> Result<(), StoreError> {
        heartbeat::beat(&self.core, states)
    }

    /// What a person must see to: a stable code, and words. Recording goes on meanwhile.
    #[must_use]
    pub fn alarms(&self) -> Vec<(&'static str, String)> {
        heartbeat::alarms(&self.core)
    }

    /// Reads the next hour of footage in that the index does not know because it was lost; none when
    /// there is nothing left. Call until then, off the threads that record.
    ///
    /// # Errors
    /// `DiscFault`: try again. `Fatal`.
    pub fn read_in(&self) -> Result<Option<Reading>, StoreError> {
        rebuild::step(&self.core)
    }

    /// What keeping footage took since the store was opened, in a line for people.
    #[must_use]
    pub fn effort(&self) -> String {
        self.core.effort.to_string()
    }

    /// The links of a camera's chain that touch `span`, in order and without holes.
    ///
    /// # Errors
    /// `Refused` for a camera that is not one here, or an answer of more than 3 000 links or 7 MiB;
    /// `NotYet` for footage that is still being read in after the index was lost.
    pub fn find(&self, camera: &CameraId, span: Span) -> Result<Vec<Found>, StoreError> {
        read::find(&self.core, camera, span)
    }

    /// Places a hold; gives how many stored segments it reaches now. Repeating it is no error.
    ///
    /// # Errors
    /// `Refused` for another hold of that id on the camera, and beyond the hold budget
    /// (`hold-budget: …`). Otherwise as the disc says.
    pub fn place_hold(&self, ask: PlaceHold) -> Result<u32, StoreError> {
        holds::place(&self.core, ask)
    }

    /// How many segments of `span` are erased: what a hold that came too late has lost.
    ///
    /// # Errors
    /// `Fatal` when the index does not read.
    pub fn erased_within(&self, camera: &CameraId, span: Span) -> Result<u32, StoreError> {
        holds::erased(&self.core, camera, span)
    }

    /// From now on held footage may take so much of the disc. What is held already stays.
    pub fn set_hold_budget(&self, budget: HoldBudget) {
        core::lock(&self.core.held).budget = budget;
    }

    /// What held footage takes and may take; an alarm from 80 % on.
    ///
    /// # Errors
    /// `DiscFault`; `Fatal` when the index does not read.
    pub fn held(&self) -> Result<Held, StoreError> {
        budget::held(&self.core)
    }

    /// Releases a hold from all its cameras. Repeating it is no error.
    ///
    /// # Errors
    /// As the disc says.
    pub fn release_hold(&self, hold: &HoldId) -> Result<(), StoreError> {
        holds::release(&self.core, hold)
    }

    /// The holds that stand.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.core.holds().values().cloned().collect()
    }

    /// The file of a stored segment.
    ///
    /// # Errors
    /// `Refused` when it is a gap, erased, or never was.
    pub fn segment_path(&self, camera: &CameraId, seq: Seq) -> Result<PathBuf, StoreError> {
        read::segment_path(&self.core, camera, seq)
    }

    /// The key of a stored segment, for showing it on the site.
    ///
    /// # Errors
    /// As [`Self::segment_path`]; `Key`, `DiscFault`, `Damaged`.
    pub fn segment_key(&self, camera: &CameraId, seq: Seq) -> Result<Key, StoreError> {
        read::segment_key(&self.core, camera, seq)
    }

    /// The keys of segments held for `case`, with the signed transfer record that now says so.
    ///
    /// # Errors
    /// `Refused` when one is under no hold of the case; then no key is given.
    pub fn release_keys(
        &self,
        case: &CaseId,
        camera: &CameraId,
        seqs: &[Seq],
    ) -> Result<(Vec<Key>, Envelope), StoreError> {
        read::release_keys(&self.core, case, camera, seqs)
    }

    /// Erases the footage that an order names, unless some of it is held or being recorded. Repeat it
    /// until it says that keys are gone too.
    ///
    /// # Errors
    /// `Refused` for a camera that is not one here. Otherwise as the disc says.
    pub fn erase_for_order(&self, order: &EraseOrder) -> Result<Ordered, StoreError> {
        order::erase(&self.core, order)
    }

    /// Signs and logs the disposals of discs that were handed over. Gives how many.
    ///
    /// # Errors
    /// As the disc says.
    pub fn take_disposals(&self) -> Result<usize, StoreError> {
        disposals::take(&self.core)
    }

    /// Figures, from tallies that are kept as segments come and go.
    ///
    /// # Errors
    /// `Fatal` when the index does not read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        read::stats(&self.core)
    }

    /// How full the segment disc is.
    ///
    /// # Errors
    /// `DiscFault`.
    pub fn space(&self) -> Result<Space, StoreError> {
        erase::free_bytes(&self.core)
    }

    /// How full the second disc is; none without one, or while it is away.
    ///
    /// # Errors
    /// `DiscFault`.
    pub fn second_space(&self) -> Result<Option<Space>, StoreError> {
        second::space(&self.core)
    }

    /// How the second disc is: nothing without one, `here`, or why it is away.
    #[must_use]
    pub fn second_state(&self) -> Option<String> {
        second::state(&self.core)
    }

    /// Stored segments that are known to be damaged, and what is wrong with each.
    #[must_use]
    pub fn damaged(&self) -> BTreeMap<(CameraId, Seq), String> {
        core::lock(&self.core.damaged).clone()
    }

    /// How far reading the footage again has come.
    ///
    /// # Errors
    /// `Fatal` when the index does not read.
    pub fn scrubbed(&self) -> Result<Scrubbed, StoreError> {
        damage::scrubbed(&self.core)
    }

    /// Checks every invariant; nothing may be recording meanwhile.
    ///
    /// # Errors
    /// `Fatal` when the index does not read. What does not hold is in the answer, not an error.
    pub fn check(&self, depth: Depth) -> Result<Checked, StoreError> {
        check::check(&self.core, depth)
    }
}

/// For the scrub room alone: footage is read again, and mended.
impl Store {
    /// The stored segment after the one where reading again stands, oldest end first; none at the end.
    pub(crate) fn next_to_scrub(&self, at: &Scrubbed) -> Result<Option<SegmentRow>, StoreError> {
        damage::next(&self.core, at)
    }

    /// Remembers where reading again stands.
    pub(crate) fn set_scrubbed(&self, at: &Scrubbed) -> Result<(), StoreError> {
        damage::set_scrubbed(&self.core, at)
    }

    /// The row of a stored segment; none if it is erased by now.
    pub(crate) fn stored_row(
        &self,
        camera: &CameraId,
        seq: Seq,
    ) -> Result<Option<SegmentRow>, StoreError> {
        damage::row(&self.core, camera, seq)
    }

    /// Compares a segment's file with its signed root. `rest` is told of bytes as they are read.
    pub(crate) fn examine(
        &self,
        of: &SegmentRow,
        rest: &mut dyn FnMut(u64),
    ) -> Result<Verdict, StoreError> {
        damage::examine(&self.core, of, rest)
    }

    /// Logs that a stored segment is damaged, once.
    pub(crate) fn note_damage(&self, of: &SegmentRow, what: &str) -> Result<(), StoreError> {
        damage::note(&self.core, of, what)
    }

    /// Puts a second place's copy in the place of a damaged file, if it is what was signed, and logs it.
    pub(crate) fn repair(&self, of: &SegmentRow, copy: &[u8]) -> Result<(), StoreError> {
        damage::repair(&self.core, of, copy)
    }

    /// Forgets the damage of a segment that is erased by now.
    pub(crate) fn forget_damage(&self, camera: &CameraId, seq: Seq) -> Result<(), StoreError> {
        damage::forget(&self.core, camera, seq)
    }
}

/// For the retention room alone: the steps of erasure.
impl Store {
    /// Logs the erasure of at most 512 segments of one camera; what is held stays. Gives those that
    /// go.
    pub(crate) fn condemn(
        &self,
        camera: &CameraId,
        segments: &[SegmentRef],
        reason: EraseReason,
    ) -> Result<Vec<SegmentRef>, StoreError> {
        erase::condemn(&self.core, camera, segments, reason, None)
    }

    /// Removes the files of at most 512 condemned segments; gives how many.
    pub(crate) fn unlink_condemned(&self) -> Result<usize, StoreError> {
        erase::unlink_condemned(&self.core, erase::UNLINK_STEP)
    }

    /// What there is to do about keys.
    pub(crate) fn key_state(&self) -> Result<KeyState, StoreError> {
        rotate::state(&self.core)
    }

    /// Logs and destroys the keys of hours that hold nothing, gives new ones to hours that hold less than
    /// they did, and changes the site key. What is in use stays. Gives the hours that went.
    pub(crate) fn rotate_keys(&self, rotation: &Rotation) -> Result<Vec<u64>, StoreError> {
        rotate::rotate(&self.core, rotation)
    }
}
