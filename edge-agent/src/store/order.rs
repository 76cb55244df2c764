//! Erasing footage before its time, because two people ordered it for a person's rights in their data.
//!
//! A hold wins: if any of the footage is held, nothing of it goes, and the holds are named. Segments go
//! whole, so up to a segment's length on either side goes with them; the erase records say which. The
//! footage is gone from the disc at once, and its keys at the next rotation, which an order hastens.

use custody::coverage::Span;
use custody::record::{EraseReason, SegmentRef};
use custody::{CameraId, HoldId, OrderId, WallTime};

use super::core::{Core, Writing};
use super::key::link::Linked;
use super::{StoreError, erase, holds, read, rebuild, rotate};
use crate::seal::key_ring::epoch_of;

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseOrder {
    /// Which order.
    pub order: OrderId,
    /// Whose footage.
    pub camera: CameraId,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
}

/// How far it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// These holds reach some of it: nothing was erased.
    Held(Vec<HoldId>),
    /// Some of it is still being recorded: nothing was erased yet.
    Recording,
    /// The footage is gone; its hours' keys are not yet.
    KeysRemain,
    /// So many segments that began in the interval or reached into it are erased, keys and all.
    Done(u32),
}

/// Carries an order out as far as it goes now. Repeating it is no error.
pub(super) fn erase(core: &Core, ask: &EraseOrder) -> Result<Ordered, StoreError> {
    core.alive()?;
    let span = Span { from: ask.from, to: ask.to };
    if span.micros() == 0 {
        return Err(StoreError::refused("an order must end after it begins"));
    }
    if is_recording(core, ask)? {
        return Ok(Ordered::Recording);
    }
    let mut stored = Vec::new();
    let mut hours = std::collections::BTreeSet::new();
    let mut erased = 0;
    // Not before all of it is known: what is not read in yet would be left.
    rebuild::is_known(core, &ask.camera, span)?;
    for (seq, row) in read::touching(core, &ask.camera, span)? {
        match row.what {
            Linked::Gap => {}
            Linked::Erased(file) => {
                erased += 1;
                hours.insert(file.epoch);
            }
            Linked::Stored(file) => {
                stored.push(SegmentRef { seq, root: file.root, start: row.start, end: row.end });
                hours.insert(file.epoch);
            }
        }
    }
    let held = held(core, ask, &stored);
    if !held.is_empty() {
        return Ok(Ordered::Held(held));
    }
    for segments in stored.chunks(custody::record::ERASED_MAX) {
        erase::condemn(core, &ask.camera, segments, EraseReason::Order, Some(&ask.order))?;
    }
    while erase::unlink_condemned(core, erase::UNLINK_STEP)? > 0 {}
    let residues = rotate::residues(core)?;
    // Whatever was erased of these hours, by whom ever, is not gone while their keys are as they were.
    if !stored.is_empty()
        || hours.iter().any(|hour| core.ring.has_hour(*hour) && residues.contains_key(hour))
    {
        return Ok(Ordered::KeysRemain);
    }
    Ok(Ordered::Done(erased))
}

/// Whether a segment of the interval is being written or to be.
fn is_recording(core: &Core, ask: &EraseOrder) -> Result<bool, StoreError> {
    let line = core.line(&ask.camera)?;
    let open = !matches!(line.writing, Writing::Nothing);
    let begins = line.head.as_ref().map(|head| head.end);
    let reached = open && begins.is_none_or(|begins| begins < ask.to);
    // The hours around the present one still seal: their keys could not change yet.
    let present = epoch_of(core.clock.now());
    Ok(reached || epoch_of(ask.to).saturating_add(1) >= present)
}

fn held(core: &Core, ask: &EraseOrder, stored: &[SegmentRef]) -> Vec<HoldId> {
    let reached = |hold: &custody::record::Hold| {
        let whole = holds::reaches(hold, &ask.camera, ask.from, ask.to);
        whole || stored.iter().any(|it| holds::reaches(hold, &ask.camera, it.start, it.end))
    };
    let holds = core.holds();
    let mut held: Vec<_> =
        holds.values().filter(|hold| reached(hold)).map(|hold| hold.hold.clone()).collect();
    held.sort();
    held.dedup();
    held
}
