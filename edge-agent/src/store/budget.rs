//! How much of the disc held footage may take, so that holds never starve the ring. A hold that
//! would take more is refused, and what stands stays: nothing held is erased for space.
//!
//! Held bytes are counted when the store is first asked, then kept up as holds come and go, and
//! counted anew each hour, since footage of a held interval may be closed after the hold came.
//!
//! What is kept for other sites (see [`crate::guest`]) counts as held here.

use std::collections::{BTreeMap, BTreeSet};

use custody::CameraId;
use custody::coverage::Span;
use custody::record::Hold;

use super::core::{Alarm, Core, Holds, lock};
use super::erase;
use super::holds::{PlaceHold, reaches};
use super::key::link::LinkRow;
use super::{Store, StoreError, read, second};
use crate::limits;

/// How much of the disc held footage may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldBudget {
    /// So many bytes.
    Bytes(u64),
    /// This part of the segments' discs, per cent; of a second one while it is there.
    Percent(u8),
}

impl Default for HoldBudget {
    fn default() -> Self {
        Self::Percent(limits::HOLD_BUDGET_PERCENT)
    }
}

impl HoldBudget {
    /// The budget of a disc of so many bytes.
    #[must_use]
    pub fn bytes(self, disc_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (disc_bytes / 100).saturating_mul(u64::from(percent)),
        }
    }
}

/// What held footage takes, and may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Bytes of stored segments that a hold reaches, each counted once, and of other sites' files.
    pub bytes: u64,
    /// How many may be.
    pub budget_bytes: u64,
}

/// The budget, and the last count.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) budget: HoldBudget,
    counted: Option<Counted>,
    /// Bytes of other sites' files.
    guest_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    bytes: u64,
    /// Monotonic milliseconds.
    at_ms: u64,
}

/// What held footage takes now; raises or clears the alarm.
pub(super) fn held(core: &Core) -> Result<Held, StoreError> {
    let holds = core.holds();
    let guest_bytes = lock(&core.held).guest_bytes;
    let bytes = counted(core, &holds)?.saturating_add(guest_bytes);
    drop(holds);
    let held = Held { bytes, budget_bytes: budget_bytes(core)? };
    let part = bytes.saturating_mul(100) / held.budget_bytes.max(1);
    if part >= limits::HOLD_BUDGET_ALARM_PERCENT {
        let what = format!(
            "held footage takes {part} % of what it may, {} MB of it for other sites: release holds \
             that are past their review, or raise hold.budget_percent in the site's settings",
            guest_bytes >> 20
        );
        core.raise(Alarm::HoldBudget, &what);
    } else {
        core.clear(Alarm::HoldBudget);
    }
    Ok(held)
}

fn budget_bytes(core: &Core) -> Result<u64, StoreError> {
    let budget = lock(&core.held).budget;
    Ok(match budget {
        HoldBudget::Bytes(bytes) => bytes,
        HoldBudget::Percent(_) => {
            let second = second::space(core)?.map_or(0, |space| space.total_bytes);
            budget.bytes(erase::free_bytes(core)?.total_bytes.saturating_add(second))
        }
    })
}

/// Refuses a hold beyond the budget. Gives the bytes that it adds. Under the lock of the holds.
pub(super) fn check(core: &Core, holds: &Holds, ask: &PlaceHold) -> Result<u64, StoreError> {
    let span = Span { from: ask.from, to: ask.to };
    let adds = unheld_bytes(core, holds, &ask.camera, span)?;
    let guest_bytes = lock(&core.held).guest_bytes;
    let would = counted(core, holds)?.saturating_add(guest_bytes).saturating_add(adds);
    let may = budget_bytes(core)?;
    if adds > 0 && would > may {
        return Err(StoreError::refused(format!(
            "hold-budget: held footage of site {} would take {} MB of the {} MB that it may; release \
             holds that are past their review, or raise hold.budget_percent in the site's settings, \
             and place the hold again",
            core.identity.site(),
            would >> 20,
            may >> 20
        )));
    }
    Ok(adds)
}

/// What is kept for other sites.
impl Store {
    /// So many bytes are kept for other sites, as was counted.
    pub fn set_guest_bytes(&self, bytes: u64) {
        lock(&self.core.held).guest_bytes = bytes;
    }

    /// So many bytes more are kept for other sites, of a file of which so many are still to come.
    ///
    /// # Errors
    /// `Refused` when the whole file does not fit into the hold budget (`guest-budget: …`); `Fatal`
    /// when the index does not read.
    pub fn take_guest(&self, adds: u64, to_come: u64) -> Result<(), StoreError> {
        let core = &self.core;
        // For writing, so that no hold is placed between the look and the sum.
        let holds = core.holds_mut();
        let (held, may) = (counted(core, &holds)?, budget_bytes(core)?);
        let guest_bytes = &mut lock(&core.held).guest_bytes;
        if held.saturating_add(*guest_bytes).saturating_add(to_come) > may {
            return Err(StoreError::refused(format!(
                "guest-budget: held footage of site {} and of other sites takes {} MB of the {} MB \
                 that it may; release holds, or raise hold.budget_percent in the site's settings",
                core.identity.site(),
                held.saturating_add(*guest_bytes) >> 20,
                may >> 20
            )));
        }
        *guest_bytes = guest_bytes.saturating_add(adds);
        Ok(())
    }

    /// So many bytes less are kept for other sites.
    pub fn give_guest_back(&self, bytes: u64) {
        let guest_bytes = &mut lock(&self.core.held).guest_bytes;
        *guest_bytes = guest_bytes.saturating_sub(bytes);
    }
}

/// A hold has come that adds so many bytes.
pub(super) fn add(core: &Core, bytes: u64) {
    if let Some(counted) = &mut lock(&core.held).counted {
        counted.bytes = counted.bytes.saturating_add(bytes);
    }
}

/// A hold has gone; `holds` are those that remain. Under their lock.
pub(super) fn subtract(core: &Core, holds: &Holds, gone: &Hold) -> Result<(), StoreError> {
    let span = Span { from: gone.from, to: gone.to };
    let bytes = unheld_bytes(core, holds, &gone.camera, span)?;
    if let Some(counted) = &mut lock(&core.held).counted {
        counted.bytes = counted.bytes.saturating_sub(bytes);
    }
    Ok(())
}

/// Bytes of stored footage in `span` that none of `holds` reaches.
fn unheld_bytes(
    core: &Core,
    holds: &Holds,
    camera: &CameraId,
    span: Span,
) -> Result<u64, StoreError> {
    let of_camera: Vec<&Hold> = holds.values().filter(|hold| hold.camera == *camera).collect();
    let rows = read::touching(core, camera, span)?;
    let free = |row: &&LinkRow| {
        span.overlaps(Span { from: row.start, to: row.end })
            && !of_camera.iter().any(|hold| reaches(hold, camera, row.start, row.end))
    };
    Ok(rows.iter().map(|(_, row)| row).filter(free).map(stored_bytes).sum())
}

fn stored_bytes(row: &LinkRow) -> u64 {
    row.stored().map_or(0, |file| file.bytes)
}

fn counted(core: &Core, holds: &Holds) -> Result<u64, StoreError> {
    let now_ms = core.clock.tick().0;
    let known = lock(&core.held).counted;
    if let Some(known) = known
        && now_ms.saturating_sub(known.at_ms) < limits::HELD_RECOUNT_MS
    {
        return Ok(known.bytes);
    }
    let bytes = count(core, holds)?;
    lock(&core.held).counted = Some(Counted { bytes, at_ms: now_ms });
    Ok(bytes)
}

/// Looks at every link of every held interval.
fn count(core: &Core, holds: &Holds) -> Result<u64, StoreError> {
    let mut of_camera: BTreeMap<&CameraId, Vec<Span>> = BTreeMap::new();
    for hold in holds.values() {
        let span = Span { from: hold.from, to: hold.to };
        of_camera.entry(&hold.camera).or_default().push(span);
    }
    let mut bytes = 0_u64;
    for (camera, spans) in of_camera {
        let mut seen = BTreeSet::new();
        for span in merged(spans) {
            for (seq, row) in read::touching(core, camera, span)? {
                let inside = span.overlaps(Span { from: row.start, to: row.end });
                if inside && seen.insert(seq) {
                    bytes = bytes.saturating_add(stored_bytes(&row));
                }
            }
        }
    }
    Ok(bytes)
}

/// The spans without overlaps, in order.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.from);
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => merged.push(span),
        }
    }
    merged
}
