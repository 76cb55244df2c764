//! Keeps footage and its records through power loss, and proves it. Knows neither cameras' streams
//! nor the controller nor when footage falls due.
//!
//! ```text
//! segments/<camera>/<YYYY-MM-DD>/<HH>/<seq>.whseg     footage, append-only, self-describing
//! index/                                              RocksDB: links, site log, holds, see `key`
//! log/                                                the site log in public, see `publish`
//! keys/                                               see `seal::key_ring`, `seal::identity`
//! keys/certs/<key>.dsse                               each records key's certificate once more
//! holds/<hold>.<camera>.dsse                          each standing hold once more
//! volume.json, segments/volume.json                   which belong together, see `volume`
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
//! 5. A key is on the disc while a stored or open segment needs it, and in no other place.
//! 6. The log's tree is that of its entries; every checkpoint that was or may have been signed is a
//!    beginning of it, and the static files are its tiles.
//!
//! # Steps (each a [`Step`]; after a failed sync or index write the process ends)
//!
//! | to | in this order |
//! |---|---|
//! | open | hour key · `opened` row, synced · create file with head · sync file · sync folder |
//! | append | seal · one write · data sync |
//! | close | sign · write manifest · sync file · one synced batch: link, log, head, tally |
//! | gap | sign · one synced batch |
//! | hold | sign · `holds/` file · one synced batch |
//! | records key | certify · `keys/certs/` file · one synced batch · sign with it |
//! | checkpoint | one synced row · tiles · sign · replace `log/checkpoint` |
//! | move | one synced batch: intent · copy, sync, read again on the second disc · one synced batch: it counts · unlink the first copy · sync folder · forget intent |
//! | erase | sign · one synced batch (log, link erased, condemned) · unlink · sync folder · forget condemned · destroy hour key |
//!
//! Power loss between any two leaves what the next start finishes: an `opened` row (close or index
//! the file, or remove it when it holds no whole fragment), condemned rows (unlink), a key without
//! segments (destroyed by the next sweep).

mod check;
mod core;
mod disc;
mod erase;
mod error;
mod heartbeat;
mod holds;
mod index;
mod key;
mod open_file;
mod path;
mod place;
mod publish;
mod read;
mod rebuild;
mod recover;
mod salvage;
mod second;
mod signing;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
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

pub use check::{Checked, Depth, Finding};
pub use core::Alarm;
pub use disc::{Disc, RealDisc, Step};
pub use erase::Space;
pub use error::StoreError;
pub use holds::{PlaceHold, reaches};
pub use index::layout;
pub use key::entry::pack;
pub use key::expiry::SegmentRow;
pub use open_file::{OpenFile, OpenSegment, Stored};
pub use read::{CameraStats, Found, Stats};
pub use recover::Recovery;
pub use salvage::Salvaged;
pub use second::Moved;

use self::core::Core;
use crate::seal::Identity;

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
        Self::open_tiered(state_dir, identity, clock, cameras, (disc, None))
    }

    /// As [`Self::open_on`], with a second disc for older footage mounted at the folder given.
    ///
    /// # Errors
    /// As [`Self::open`]. A second disc that is absent or another is an alarm and no error.
    pub fn open_tiered(
        state_dir: &Path,
        identity: Identity,
        clock: Clock,
        cameras: &[CameraId],
        discs: (Arc<dyn Disc>, Option<&Path>),
    ) -> Result<(Self, Recovery), StoreError> {
        let (core, recovery) = recover::open(state_dir, identity, clock, cameras, discs)?;
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

    /// The links of a camera's chain that touch `span`, in order and without holes.
    ///
    /// # Errors
    /// `Refused` for a camera that is not one here, or an answer of more than 3 000 links or 7 MiB.
    pub fn find(&self, camera: &CameraId, span: Span) -> Result<Vec<Found>, StoreError> {
        read::find(&self.core, camera, span)
    }

    /// Places a hold; gives how many stored segments it reaches now. Repeating it is no error.
    ///
    /// # Errors
    /// `Refused` for another hold of that id on the camera. Otherwise as the disc says.
    pub fn place_hold(&self, ask: PlaceHold) -> Result<u32, StoreError> {
        holds::place(&self.core, ask)
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

    /// Checks every invariant; nothing may be recording meanwhile.
    ///
    /// # Errors
    /// `Fatal` when the index does not read. What does not hold is in the answer, not an error.
    pub fn check(&self, depth: Depth) -> Result<Checked, StoreError> {
        check::check(&self.core, depth)
    }
}

/// For the retention room alone: the steps of erasure.
impl Store {
    /// Stored segments that end at `before` or earlier, oldest end first, after `cursor`.
    pub(crate) fn expiring(
        &self,
        before: WallTime,
        cursor: Option<&SegmentRow>,
        limit: usize,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        erase::expiring(&self.core, before, cursor, limit)
    }

    /// Logs the erasure of at most 512 segments of one camera; what is held stays. Gives those that
    /// go.
    pub(crate) fn condemn(
        &self,
        camera: &CameraId,
        segments: &[SegmentRef],
        reason: EraseReason,
    ) -> Result<Vec<SegmentRef>, StoreError> {
        erase::condemn(&self.core, camera, segments, reason)
    }

    /// Removes the files of at most 512 condemned segments; gives how many.
    pub(crate) fn unlink_condemned(&self) -> Result<usize, StoreError> {
        erase::unlink_condemned(&self.core, erase::UNLINK_STEP)
    }

    /// The hours whose keys are on the disc, and how many segments each still opens.
    pub(crate) fn key_hours(&self) -> Result<BTreeMap<u64, u64>, StoreError> {
        erase::hours(&self.core)
    }

    /// Destroys an hour's key, if nothing is stored or being written under it. Whether it did.
    pub(crate) fn destroy_hour(&self, epoch: u64) -> Result<bool, StoreError> {
        erase::destroy_hour(&self.core, epoch)
    }
}
