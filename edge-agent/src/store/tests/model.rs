//! What a history was promised, and that it was kept: beside the oracle, which knows only what the
//! store says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use custody::log::SignedCheckpoint;
use custody::sealed::SealedSegment;
use custody::{CameraId, HoldId, Seq, WallTime};

use super::super::{PlaceHold, Recovery, Store, StoreError, reaches};

/// Footage that was acknowledged.
#[derive(Debug, Clone, Copy)]
struct Promise {
    fragments: usize,
    closed: bool,
}

/// How sure something is that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// It was acknowledged.
    Yes,
    /// The run ended while it was being done: it is so or not.
    Perhaps,
}

/// What the outside world was told.
#[derive(Debug, Default)]
pub(super) struct Model {
    promised: BTreeMap<(CameraId, Seq), Promise>,
    erased: BTreeSet<(CameraId, Seq)>,
    /// Asked to be erased when the run ended.
    erasing: BTreeSet<(CameraId, Seq)>,
    holds: BTreeMap<HoldId, (PlaceHold, Sure)>,
    releasing: BTreeSet<HoldId>,
    pub(super) log_size: u64,
    origin: String,
    notes: Vec<Arc<[u8]>>,
}

impl Model {
    pub(super) fn appended(&mut self, camera: &CameraId, seq: Seq) {
        let promise = Promise { fragments: 0, closed: false };
        self.promised.entry((camera.clone(), seq)).or_insert(promise).fragments += 1;
    }

    pub(super) fn closed(&mut self, camera: &CameraId, seq: Seq) {
        if let Some(promise) = self.promised.get_mut(&(camera.clone(), seq)) {
            promise.closed = true;
        }
    }

    pub(super) fn erasing(&mut self, camera: &CameraId, seqs: impl Iterator<Item = Seq>) {
        self.erasing.extend(seqs.map(|seq| (camera.clone(), seq)));
    }

    /// The erasure was answered: `gone` are erased, the others asked for are not.
    pub(super) fn erased(&mut self, camera: &CameraId, gone: &[custody::record::SegmentRef]) {
        self.erasing.clear();
        for segment in gone {
            let held = self.holds.values().filter(|(_, sure)| *sure == Sure::Yes);
            let held = held.filter(|(hold, _)| !self.releasing.contains(&hold.hold));
            for (hold, _) in held {
                let record = custody::record::Hold {
                    hold: hold.hold.clone(),
                    case: hold.case.clone(),
                    camera: hold.camera.clone(),
                    from: hold.from,
                    to: hold.to,
                    grounds: Some(super::grounds()),
                    at: WallTime(0),
                };
                assert!(
                    !reaches(&record, camera, segment.start, segment.end),
                    "segment {} of {camera} was erased under {}",
                    segment.seq,
                    hold.hold
                );
            }
            self.erased.insert((camera.clone(), segment.seq));
        }
    }

    pub(super) fn holding(&mut self, hold: &PlaceHold, sure: Sure) {
        self.holds.insert(hold.hold.clone(), (hold.clone(), sure));
    }

    pub(super) fn releasing(&mut self, hold: &HoldId) {
        self.releasing.insert(hold.clone());
    }

    pub(super) fn released(&mut self, hold: &HoldId) {
        self.holds.remove(hold);
        self.releasing.remove(hold);
    }

    pub(super) fn some_hold(&self, number: usize) -> Option<PlaceHold> {
        let count = self.holds.len().max(1);
        self.holds.values().nth(number % count).map(|(hold, _)| hold.clone())
    }

    pub(super) fn seen(&mut self, note: Arc<[u8]>) {
        self.notes.push(note);
    }

    /// At each start: whether it is still the same log.
    pub(super) fn note_log(&mut self, store: &Store) {
        if !self.origin.is_empty() && self.origin != store.log_origin() {
            self.log_begins_anew();
        }
        self.origin = store.log_origin().to_owned();
    }

    /// A new log begins: what the old one promised of itself, another keeps.
    fn log_begins_anew(&mut self) {
        self.notes.clear();
        self.log_size = 0;
        // Erase records went with the index; files that were still to be unlinked are footage again.
        let (erased, erasing) = (&self.erased, &self.erasing);
        self.promised.retain(|key, _| !erased.contains(key) && !erasing.contains(key));
        self.erasing.clear();
        self.erased.clear();
    }

    /// After a start: everything acknowledged is so.
    pub(super) fn check(&mut self, store: &Store, recovery: &Recovery) {
        self.note_log(store);
        assert!(store.log_size() >= self.log_size, "the log has lost acknowledged entries");
        self.log_size = store.log_size();
        for note in &self.notes {
            let note = SignedCheckpoint::read(note).unwrap();
            if note.checkpoint().origin != store.log_origin() {
                // The log before this one, whose index was lost.
                continue;
            }
            let seen = note.check(&store.log_vkey()).unwrap();
            assert!(seen.size <= store.log_size(), "a published checkpoint is gone");
            assert_eq!(store.log_root(seen.size).unwrap(), seen.root, "the log has forked");
        }
        self.check_holds(store);
        let unsettled = |camera: &CameraId| recovery.unsettled.iter().any(|(it, _)| it == camera);
        let erasing = std::mem::take(&mut self.erasing);
        for ((camera, seq), promise) in &mut self.promised {
            let key = (camera.clone(), *seq);
            let there = store.segment_path(camera, *seq);
            if self.erased.contains(&key) {
                assert!(matches!(there, Err(StoreError::Refused { .. })), "{key:?} came back");
                continue;
            }
            let path = match there {
                Ok(path) => path,
                Err(StoreError::Refused { .. }) if erasing.contains(&key) => {
                    self.erased.insert(key);
                    continue;
                }
                Err(_) if unsettled(camera) && !promise.closed => continue,
                Err(error) => panic!("{key:?} with {promise:?} is gone: {error}"),
            };
            let bytes = fs::read(&path).unwrap();
            let fragments = SealedSegment::read(&bytes).unwrap().fragments.len();
            // Each fragment was synced before it was acknowledged.
            assert!(fragments >= promise.fragments, "{key:?}: {fragments} of {promise:?}");
            *promise = Promise { fragments, closed: true };
            store.segment_key(camera, *seq).unwrap_or_else(|e| panic!("{key:?}: {e}"));
        }
        self.promised.retain(|_, promise| promise.closed || promise.fragments > 0);
    }

    fn check_holds(&mut self, store: &Store) {
        let standing: BTreeSet<HoldId> = store.holds().into_iter().map(|it| it.hold).collect();
        let releasing = std::mem::take(&mut self.releasing);
        self.holds.retain(|id, (_, sure)| {
            let stands = standing.contains(id);
            assert!(
                stands || *sure == Sure::Perhaps || releasing.contains(id),
                "hold {id} is gone"
            );
            *sure = Sure::Yes;
            stands
        });
        for id in &standing {
            assert!(self.holds.contains_key(id), "hold {id} came back");
        }
    }
}
