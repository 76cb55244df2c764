//! The oldest unheld footage of each camera, for whoever checks that erasure works. Shares nothing
//! with what erasure goes by: not the order of expiry, not the tallies in memory. It reads the index's
//! own tallies for where a camera's footage begins, and its links for what is there.

use std::collections::BTreeMap;

use custody::record::Hold;
use custody::{CameraId, WallTime};

use super::core::Core;
use super::holds::reaches;
use super::key::link::LinkRow;
use super::key::moment::{self, Order};
use super::key::{Family, after_prefix, of_camera, tally};
use super::read::{self, broken_row};
use super::{Store, StoreError};
use crate::limits;
use crate::seal::key_ring;

/// Footage that no hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheld {
    /// From.
    pub start: WallTime,
    /// To. Its age counts from here.
    pub end: WallTime,
}

impl Store {
    /// The oldest unheld footage of every camera that has any. Reads other rows of the index than
    /// erasure goes by.
    ///
    /// # Errors
    /// `Damaged`, `Fatal` when the index does not read.
    pub fn oldest_unheld(&self) -> Result<BTreeMap<CameraId, Unheld>, StoreError> {
        oldest_unheld(&self.core)
    }
}

fn oldest_unheld(core: &Core) -> Result<BTreeMap<CameraId, Unheld>, StoreError> {
    let holds: Vec<Hold> = core.holds().values().cloned().collect();
    let mut oldest = BTreeMap::new();
    for camera in core.lines.keys() {
        let of_camera: Vec<&Hold> = holds.iter().filter(|hold| hold.camera == *camera).collect();
        if let Some(unheld) = of(core, camera, &of_camera)? {
            oldest.insert(camera.clone(), unheld);
        }
    }
    Ok(oldest)
}

fn of(core: &Core, camera: &CameraId, holds: &[&Hold]) -> Result<Option<Unheld>, StoreError> {
    let prefix = of_camera(camera);
    let upper = after_prefix(&prefix);
    for found in core.index.rows(Family::Tallies, prefix, Some(upper)) {
        let (_, hour) = tally::decode_key(camera.site(), &found?.0)
            .ok_or_else(|| broken_row(Family::Tallies))?;
        // An hour that one hold covers whole is not looked into: holds may be years old.
        let begins = key_ring::epoch_begins(hour);
        let ends =
            key_ring::epoch_begins(hour.saturating_add(1)).plus_micros(limits::SEGMENT_US_MAX);
        if holds.iter().any(|hold| hold.from <= begins && ends <= hold.to) {
            continue;
        }
        if let Some(unheld) = in_hour(core, camera, hour, holds)? {
            return Ok(Some(unheld));
        }
    }
    Ok(None)
}

fn in_hour(
    core: &Core,
    camera: &CameraId,
    hour: u64,
    holds: &[&Hold],
) -> Result<Option<Unheld>, StoreError> {
    let key = |hour| {
        moment::key(camera, Order::SegmentStart, key_ring::epoch_begins(hour), custody::Seq(0))
    };
    let upper = Some(key(hour.saturating_add(1)));
    for found in core.index.rows(Family::Moments, key(hour), upper) {
        let (_, seq) = moment::decode_key(camera, Order::SegmentStart, &found?.0)
            .ok_or_else(|| broken_row(Family::Moments))?;
        let row: LinkRow = read::row(core, camera, seq)?;
        let is_held = holds.iter().any(|hold| reaches(hold, camera, row.start, row.end));
        if row.stored().is_some() && !is_held {
            return Ok(Some(Unheld { start: row.start, end: row.end }));
        }
    }
    Ok(None)
}
