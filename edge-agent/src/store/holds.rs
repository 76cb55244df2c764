//! Holds: footage that retention may not erase. A hold names one camera and a stretch of time, and
//! reaches segments recorded after it was placed.
//!
//! Each hold is a signed record in the site log, a row, and a file `holds/<hold>.<camera>.dsse`, so
//! that a lost index loses no hold. The file is written before the row and removed before it: a file
//! without a row was never promised, a row without a file is promised still.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::{Grounds, Hold, Kind, Record, Release, Statement};
use custody::{CameraId, CaseId, HoldId, Seq, WallTime};
use host::durable::{self, Reader};

use super::StoreError;
use super::core::Core;
use super::disc::Step;
use super::key::link::{LinkRow, Linked};
use super::key::{Family, hold};
use super::signing::Signed;
use super::{budget, read};
use crate::limits;

/// A hold as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceHold {
    /// Which hold.
    pub hold: HoldId,
    /// For which case.
    pub case: CaseId,
    /// Whose footage.
    pub camera: CameraId,
    /// From.
    pub from: WallTime,
    /// To. May lie in the future.
    pub to: WallTime,
    /// Why it may be kept.
    pub grounds: Grounds,
}

/// Whether a hold reaches footage from `start` to `end`.
#[must_use]
pub fn reaches(hold: &Hold, camera: &CameraId, start: WallTime, end: WallTime) -> bool {
    hold.camera == *camera
        && Span { from: hold.from, to: hold.to }.overlaps(Span { from: start, to: end })
}

fn folder(core: &Core) -> PathBuf {
    core.state_dir.join("holds")
}

fn file(core: &Core, hold: &HoldId, camera: &CameraId) -> PathBuf {
    folder(core).join(format!("{hold}.{}.dsse", camera.name()))
}

/// Places a hold; gives how many stored segments it reaches now. Repeating it is no error.
pub(super) fn place(core: &Core, ask: PlaceHold) -> Result<u32, StoreError> {
    core.alive()?;
    let span = Span { from: ask.from, to: ask.to };
    if !core.lines.contains_key(&ask.camera) {
        return Err(StoreError::refused(format!("{} is not a camera here", ask.camera)));
    }
    if span.micros() == 0 {
        return Err(StoreError::refused("a hold must end after it begins"));
    }
    let camera = ask.camera.clone();
    // Held until the record is durable: an erasure sees all of a hold or nothing of it.
    let mut holds = core.holds_mut();
    let key = (ask.hold.clone(), camera.clone());
    if let Some(known) = holds.get(&key) {
        let same_grounds = known.grounds.is_none_or(|grounds| grounds == ask.grounds);
        if (&known.case, known.from, known.to) != (&ask.case, ask.from, ask.to) || !same_grounds {
            return Err(StoreError::refused(format!(
                "hold {} stands on {camera} for another case, time or ground; use another hold id",
                ask.hold
            )));
        }
    } else if holds.len() >= limits::HOLDS_MAX {
        return Err(StoreError::refused("there are 10 000 holds at this site; release some"));
    } else {
        let adds = budget::check(core, &holds, &ask)?;
        let placed = Hold {
            hold: ask.hold,
            case: ask.case,
            camera: ask.camera,
            from: ask.from,
            to: ask.to,
            grounds: Some(ask.grounds),
            at: core.clock.now(),
        };
        let signed = core.sign(&Record::Other(Statement::Hold(placed.clone())))?;
        write_file(core, &placed, &signed.envelope)?;
        core.log(&[&signed], |_, batch| {
            batch.put(Family::Holds, hold::key(&key.0, &key.1), hold::encode(&placed));
        })?;
        holds.insert(key, placed);
        budget::add(core, adds);
    }
    drop(holds);
    let held = read::touching(core, &camera, span)?;
    let held = held.iter().filter(|(_, row)| row.stored().is_some()).count();
    Ok(u32::try_from(held).unwrap_or(u32::MAX))
}

/// How many segments of an interval are erased: what a hold that came too late has lost.
pub(super) fn erased(core: &Core, camera: &CameraId, span: Span) -> Result<u32, StoreError> {
    let rows = read::touching(core, camera, span)?;
    let is_erased = |(_, row): &&(Seq, LinkRow)| {
        matches!(row.what, Linked::Erased(_))
            && span.overlaps(Span { from: row.start, to: row.end })
    };
    Ok(u32::try_from(rows.iter().filter(is_erased).count()).unwrap_or(u32::MAX))
}

fn write_file(core: &Core, placed: &Hold, envelope: &Envelope) -> Result<(), StoreError> {
    let path = file(core, &placed.hold, &placed.camera);
    core.step(Step::WriteHold, format_args!("writing {}", path.display()), || {
        durable::create_folder(&folder(core))?;
        durable::replace(&path, envelope.bytes(), Reader::Owner)
    })
}

/// Releases a hold from all its cameras. Repeating it is no error.
pub(super) fn release(core: &Core, id: &HoldId) -> Result<(), StoreError> {
    core.alive()?;
    let mut holds = core.holds_mut();
    let cameras: Vec<_> =
        holds.keys().filter(|(hold, _)| hold == id).map(|(_, camera)| camera.clone()).collect();
    for camera in cameras {
        let path = file(core, id, &camera);
        core.step(Step::WriteHold, format_args!("removing {}", path.display()), || {
            durable::create_folder(&folder(core))?;
            durable::remove(&path)
        })?;
        let release = Release { hold: id.clone(), camera: camera.clone(), at: core.clock.now() };
        let signed = core.sign(&Record::Other(Statement::Release(release)))?;
        core.log(&[&signed], |_, batch| batch.delete(Family::Holds, hold::key(id, &camera)))?;
        if let Some(gone) = holds.remove(&(id.clone(), camera)) {
            budget::subtract(core, &holds, &gone)?;
        }
    }
    Ok(())
}

/// Which of `seqs` are under no hold of `case`.
pub(super) fn not_held_for(
    core: &Core,
    case: &CaseId,
    camera: &CameraId,
    segments: &[(Seq, WallTime, WallTime)],
) -> Vec<Seq> {
    let holds = core.holds();
    let of_case: Vec<_> = holds.values().filter(|hold| hold.case == *case).collect();
    let held = |start, end| of_case.iter().any(|hold| reaches(hold, camera, start, end));
    segments.iter().filter(|(_, start, end)| !held(*start, *end)).map(|(seq, ..)| *seq).collect()
}

/// At start: brings files and rows together, see the top of this file.
pub(super) fn match_files(core: &Core) -> Result<(), StoreError> {
    let holds = core.holds();
    let mut wanted = BTreeSet::new();
    for placed in holds.values() {
        let path = file(core, &placed.hold, &placed.camera);
        if !path.exists() {
            let signed = core.sign(&Record::Other(Statement::Hold(placed.clone())))?;
            write_file(core, placed, &signed.envelope)?;
        }
        wanted.insert(path);
    }
    for path in super::rebuild::list(&folder(core))? {
        if !wanted.contains(&path) {
            core.step(Step::WriteHold, format_args!("removing {}", path.display()), || {
                durable::remove(&path)
            })?;
        }
    }
    Ok(())
}

/// After the index was lost: takes the holds back from their files.
pub(super) fn restore(core: &Core) -> Result<(), StoreError> {
    let mut holds = core.holds_mut();
    for path in super::rebuild::list(&folder(core))? {
        let bytes = fs::read(&path).map_err(|source| StoreError::DiscFault {
            what: format!("reading {}", path.display()),
            source,
        })?;
        let Ok(envelope) = Envelope::read(&bytes) else { continue };
        let Some(signer) = super::salvage::signer_of(core, &envelope) else { continue };
        let Ok(Record::Other(Statement::Hold(placed))) = Record::check(&envelope, &signer) else {
            continue;
        };
        let signed = Signed { kind: Kind::Hold, envelope };
        core.log(&[&signed], |_, batch| {
            let key = hold::key(&placed.hold, &placed.camera);
            batch.put(Family::Holds, key, hold::encode(&placed));
        })?;
        holds.insert((placed.hold.clone(), placed.camera.clone()), placed);
    }
    Ok(())
}
