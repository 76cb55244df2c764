//! Drives a rotation of the keys (see `seal::key_ring`): spent hours' keys are destroyed, hours of which
//! footage was erased get new ones, and the site key changes, so that old copies of any of it open
//! nowhere. Decides nothing: `retention::keys` says when and which. Refuses what is still in use.
//!
//! In this order: next site key kept · survivors' keys under their hours' next keys · record signed and
//! logged, with a mark (one synced batch) · ring replaced · old site key destroyed · mark taken away. No
//! lock of the recording path is held while a token or the footage disc is asked.
//!
//! What the mark is for: a start, or the next sweep, that finds it goes on where power went, with the
//! site key that the record names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::MutexGuard;

use custody::record::{ERASED_MAX, KeysDestroyed, Record, Statement};
use custody::sealing::Key;
use custody::{CameraId, Seq, WallTime};

use super::StoreError;
use super::core::{Alarm, Core, lock};
use super::disc::Step;
use super::index::Batch;
use super::key::Family;
use super::key::link::Linked;
use super::key::moment::{self, Order};
use super::key::residue::{self, Residue};
use super::key::rotation::{self, RotationRow};
use super::{erase, read, rebuild, second};
use crate::seal::KeyError;
use crate::seal::key_ring::{Next, epoch_of};

/// What there is to do about keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyState {
    /// The hours that have keys, and how many segments each still opens, those being written counted.
    pub hours: BTreeMap<u64, u64>,
    /// Hours of which footage was erased: since when, and whether by order.
    pub residues: BTreeMap<u64, (WallTime, bool)>,
    /// A rotation was cut off.
    pub unfinished: bool,
}

/// What to do about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Hours that hold nothing any more.
    pub destroy: Vec<u64>,
    /// Hours that hold less than they did.
    pub rekey: Vec<u64>,
}

/// Gives what there is to do.
pub(super) fn state(core: &Core) -> Result<KeyState, StoreError> {
    let residues = residues(core)?;
    Ok(KeyState {
        hours: erase::hours(core),
        residues: residues.iter().map(|(hour, it)| (*hour, (it.since, it.ordered))).collect(),
        unfinished: mark(core)?.is_some(),
    })
}

/// Destroys and re-keys, but for what is in use. Gives the hours whose keys are gone.
pub(super) fn rotate(core: &Core, ask: &Rotation) -> Result<Vec<u64>, StoreError> {
    core.alive()?;
    let _one = core.ring.rotating();
    let outcome = settle_held(core).and_then(|()| rotate_held(core, ask));
    tell(core, &outcome);
    outcome
}

/// At start: finishes a rotation that was cut off, if there is one. What cannot be done now is an alarm, and tried
/// again by the next sweep: the recorder records meanwhile.
pub(super) fn settle(core: &Core) -> Result<(), StoreError> {
    let _one = core.ring.rotating();
    let outcome = settle_held(core).and_then(|()| {
        // A next site key that was kept and never came into force.
        step(core, Step::DestroyKey, "tidying the site keys", || core.ring.finish())
    });
    tell(core, &outcome);
    match outcome {
        Err(error) if !error.is_fatal() => Ok(()),
        settled => settled,
    }
}

fn tell<T>(core: &Core, outcome: &Result<T, StoreError>) {
    match outcome {
        Ok(_) => core.clear(Alarm::KeysNotDestroyed),
        Err(error) => {
            let why = host::telemetry::chain(error);
            core.raise(Alarm::KeysNotDestroyed, &format!("keys of erased footage remain: {why}"));
        }
    }
}

fn rotate_held(core: &Core, ask: &Rotation) -> Result<Vec<u64>, StoreError> {
    if in_use(core, ask, &lock(&core.epochs)) == Rotation::default() {
        return Ok(Vec::new());
    }
    let known = residues(core)?;
    let what = format!("keeping the next site key in {}", core.ring.place());
    let mut next = step(core, Step::WriteRoot, &what, || core.ring.prepare())?;
    let rekeyed = rekey(core, &mut next, &ask.rekey)?;
    let ask = Rotation { destroy: ask.destroy.clone(), rekey: rekeyed };
    let going = in_use(core, &ask, &lock(&core.epochs));
    if going == Rotation::default() {
        return Ok(Vec::new());
    }
    // Signed before the lock is taken: a records key that is due asks a token.
    let signed = core.sign(&Record::Other(Statement::KeysDestroyed(KeysDestroyed {
        site: core.identity.site().clone(),
        epochs: going.destroy.clone(),
        rekeyed: going.rekey.clone(),
        site_key_before: core.ring.site_key(),
        site_key_after: next.site_key(),
        at: core.clock.now(),
    })))?;
    let row = RotationRow {
        site_key: next.site_key(),
        destroyed: going.destroy.clone(),
        rekeyed: going.rekey.clone(),
    };
    // Held until the ring is replaced, so that no segment is opened under what goes.
    let epochs = lock(&core.epochs);
    if in_use(core, &going, &epochs) != going {
        // Footage of a clock that was set back; the next sweep looks again.
        return Ok(Vec::new());
    }
    core.log(&[&signed], |_, batch| {
        batch.put(Family::Facts, rotation::KEY.to_vec(), row.encode());
    })?;
    turn(core, &next, &row)?;
    drop(epochs);
    finish(core, &row, &known)?;
    Ok(row.destroyed)
}

/// Leaves out hours that are in use, may hold footage that is not read in yet, have no key, or are too
/// many for one record.
fn in_use(core: &Core, ask: &Rotation, open: &MutexGuard<'_, BTreeMap<u64, u32>>) -> Rotation {
    let present = epoch_of(core.clock.now());
    let free = |hour: &u64| {
        core.ring.has_hour(*hour) && !open.contains_key(hour) && !rebuild::may_hold(core, *hour)
    };
    let tallies = lock(&core.tallies);
    let stored = |hour: &u64| tallies.values().any(|hours| hours.contains_key(hour));
    let kept = |hours: &[u64], wanted: &dyn Fn(&u64) -> bool| -> Vec<u64> {
        hours.iter().filter(|hour| free(hour) && wanted(hour)).take(ERASED_MAX).copied().collect()
    };
    Rotation {
        destroy: kept(&ask.destroy, &|hour| !stored(hour)),
        // The present hour and its neighbours will still seal.
        rekey: kept(&ask.rekey, &|hour| stored(hour) && hour.abs_diff(present) > 1),
    }
}

/// Draws new keys for these hours and keeps their survivors' keys under them. Gives the hours for which
/// it could: one whose survivors do not read keeps its key, for what is held comes before what is erased.
fn rekey(core: &Core, next: &mut Next, hours: &[u64]) -> Result<Vec<u64>, StoreError> {
    let mut done = Vec::new();
    for hour in hours {
        let survivors = match survivors(core, *hour) {
            Ok(survivors) => survivors,
            Err(error @ StoreError::Fatal { .. }) => return Err(error),
            Err(error) => {
                let why = host::telemetry::chain(&error);
                tracing::error!(hour, why, "an hour of which footage was erased keeps its key");
                continue;
            }
        };
        let what = format!("keeping the keys of hour {hour}");
        step(core, Step::WriteRing, &what, || core.ring.rekey(next, *hour, &survivors))?;
        done.push(*hour);
    }
    Ok(done)
}

/// The stored segments of an hour, with their keys.
fn survivors(core: &Core, hour: u64) -> Result<Vec<(CameraId, Seq, Key)>, StoreError> {
    let cameras: Vec<CameraId> = {
        let tallies = lock(&core.tallies);
        let stored = tallies.iter().filter(|(_, hours)| hours.contains_key(&hour));
        stored.map(|(camera, _)| camera.clone()).collect()
    };
    let begins = |hour: u64| {
        WallTime(0).plus_seconds(i64::try_from(hour).unwrap_or(i64::MAX).saturating_mul(3600))
    };
    let mut survivors = Vec::new();
    for camera in cameras {
        let at = |time| moment::key(&camera, Order::SegmentStart, time, Seq(0));
        let (lower, upper) = (at(begins(hour)), at(begins(hour.saturating_add(1))));
        for found in core.index.rows(Family::Moments, lower, Some(upper)) {
            let Some((_, seq)) = moment::decode_key(&camera, Order::SegmentStart, &found?.0) else {
                continue;
            };
            if let Linked::Stored(file) = read::row(core, &camera, seq)?.what {
                // Its head is enough: a segment that has rotted further on may yet be repaired.
                let file = second::place(core, &camera, file.epoch, seq)?;
                let key = read::key_in(core, &camera, seq, &file)?;
                survivors.push((camera.clone(), seq, key));
            }
        }
    }
    Ok(survivors)
}

fn turn(core: &Core, next: &Next, row: &RotationRow) -> Result<(), StoreError> {
    step(core, Step::WriteRing, "replacing the key ring", || {
        core.ring.turn(next, &row.destroyed, &row.rekeyed)
    })
}

/// Destroys the old site key and takes the mark away, and those of hours that hold no residue any more:
/// `known` is what there was before survivors were looked at.
fn finish(
    core: &Core,
    row: &RotationRow,
    known: &BTreeMap<u64, Residue>,
) -> Result<(), StoreError> {
    let what = format!("destroying the site key before in {}", core.ring.place());
    step(core, Step::DestroyKey, &what, || core.ring.finish())?;
    let mut batch = Batch::default();
    batch.delete(Family::Facts, rotation::KEY.to_vec());
    for (hour, now) in residues(core)? {
        let done = row.destroyed.contains(&hour) || row.rekeyed.contains(&hour);
        if done && known.get(&hour) == Some(&now) || !core.ring.has_hour(hour) {
            batch.delete(Family::Facts, residue::key(hour));
        }
    }
    core.write(&batch)
}

fn settle_held(core: &Core) -> Result<(), StoreError> {
    let Some(row) = mark(core)? else { return Ok(()) };
    let known = residues(core)?;
    if core.ring.site_key() == row.site_key {
        return finish(core, &row, &known);
    }
    let what = format!("looking for the next site key in {}", core.ring.place());
    let next = step(core, Step::WriteRoot, &what, || core.ring.prepared(row.site_key))?;
    let mut row = row;
    if let Some(mut next) = next {
        row.rekeyed = rekey(core, &mut next, &row.rekeyed)?;
        let epochs = lock(&core.epochs);
        let ask = Rotation { destroy: row.destroyed, rekey: row.rekeyed };
        let going = in_use(core, &ask, &epochs);
        (row.destroyed, row.rekeyed) = (going.destroy, going.rekey);
        turn(core, &next, &row)?;
        drop(epochs);
        return finish(core, &row, &known);
    }
    // The root has lost it: nothing was destroyed, and the next rotation says anew what it does.
    let mut batch = Batch::default();
    batch.delete(Family::Facts, rotation::KEY.to_vec());
    core.write(&batch)
}

/// The rotation that is not known to be finished.
pub(super) fn mark(core: &Core) -> Result<Option<RotationRow>, StoreError> {
    let row = core.index.get(Family::Facts, rotation::KEY)?;
    Ok(row.and_then(|bytes| RotationRow::decode(&bytes)))
}

/// The hours of which footage was erased and whose keys live on.
pub(super) fn residues(core: &Core) -> Result<BTreeMap<u64, Residue>, StoreError> {
    let (lower, upper) = residue::range();
    let mut residues = BTreeMap::new();
    for row in core.index.rows(Family::Facts, lower, Some(upper)) {
        let (key, value) = row?;
        if let (Some(hour), Some(row)) = (residue::decode_key(&key), Residue::decode(&value)) {
            residues.insert(hour, row);
        }
    }
    Ok(residues)
}

/// Marks that the record at `place` erases footage of `hours`.
pub(super) fn note_residue(
    core: &Core,
    batch: &mut Batch,
    place: u64,
    hours: &BTreeSet<u64>,
    ordered: bool,
) {
    for hour in hours {
        let before = core.index.get(Family::Facts, &residue::key(*hour)).ok().flatten();
        let before = before.and_then(|bytes| Residue::decode(&bytes));
        let row = Residue::with(before, core.clock.now(), place, ordered);
        batch.put(Family::Facts, residue::key(*hour), row.encode());
    }
}

/// After the index was lost: which hours had lost footage is not known, so the hours of held footage,
/// which alone live on, are all taken to have.
pub(super) fn after_rebuild(core: &Core) -> Result<(), StoreError> {
    let mut hours = BTreeSet::new();
    {
        let holds = core.holds();
        let tallies = lock(&core.tallies);
        for hold in holds.values() {
            let (from, to) = (epoch_of(hold.from).saturating_sub(1), epoch_of(hold.to));
            let stored = tallies.get(&hold.camera).into_iter().flat_map(|hours| hours.keys());
            hours.extend(stored.filter(|hour| (from..=to).contains(*hour)));
        }
    }
    if hours.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::default();
    note_residue(core, &mut batch, lock(&core.tail).size(), &hours, false);
    core.write(&batch)
}

/// Takes a step of the ring as one of the disc.
pub(super) fn step<T>(
    core: &Core,
    step: Step,
    what: &str,
    mut act: impl FnMut() -> Result<T, KeyError>,
) -> Result<T, StoreError> {
    core.step(step, what, || {
        act().map_err(|error| match error {
            KeyError::Disc { what, source } => {
                io::Error::new(source.kind(), format!("{what}: {source}"))
            }
            other => io::Error::other(other),
        })
    })
}
