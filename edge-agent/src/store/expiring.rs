//! Stored footage of some cameras in the order of its ends: what retention walks when not all cameras
//! are kept alike. Looks only where these cameras have footage, by the hours' tallies: a class that is
//! kept a day costs no walk over the month of the others.

use std::collections::{BTreeMap, BTreeSet};

use custody::{CameraId, WallTime};

use super::core::{Core, lock};
use super::key::expiry::{self, SegmentRow};
use super::key::tally::Tally;
use super::key::{Family, after_prefix};
use super::read::broken_row;
use super::{Store, StoreError, rebuild};
use crate::limits;
use crate::seal::key_ring;

/// At most `limit` segments of `cameras` that end at `before` or earlier, oldest end first, after
/// `cursor`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiring<'a> {
    /// Whose.
    pub cameras: &'a BTreeSet<CameraId>,
    /// The newest end.
    pub before: WallTime,
    /// Behind this one.
    pub cursor: Option<&'a SegmentRow>,
    /// How many.
    pub limit: usize,
}

impl Store {
    /// As `expiring`, of some cameras.
    pub(crate) fn expiring_of(&self, ask: Expiring<'_>) -> Result<Vec<SegmentRow>, StoreError> {
        expiring_of(&self.core, ask)
    }

    /// Bytes that each camera has stored, by the hour since 1970 in which they begin.
    #[must_use]
    pub fn hours(&self) -> BTreeMap<CameraId, BTreeMap<u64, u64>> {
        let bytes = |hours: &BTreeMap<u64, Tally>| {
            hours.iter().map(|(hour, tally)| (*hour, tally.bytes)).collect()
        };
        let tallies = lock(&self.core.tallies);
        tallies.iter().map(|(camera, hours)| (camera.clone(), bytes(hours))).collect()
    }
}

fn expiring_of(core: &Core, ask: Expiring<'_>) -> Result<Vec<SegmentRow>, StoreError> {
    let first = ask.cursor.map_or_else(Vec::new, |row| after_prefix(&row.key()));
    // Nothing goes before something older that is still to be read in.
    let last = expiry::after(ask.before.min(rebuild::known_until(core)));
    let mut rows = Vec::new();
    for (from, to) in ends_of(&hours_of(core, ask.cameras)) {
        let lower = expiry::after(from).max(first.clone());
        let upper = expiry::after(to).min(last.clone());
        for found in core.index.rows(Family::Expiry, lower, Some(upper)) {
            let (key, value) = found?;
            let row = SegmentRow::decode(core.identity.site(), &key, &value)
                .ok_or_else(|| broken_row(Family::Expiry))?;
            if ask.cameras.contains(&row.camera) {
                rows.push(row);
            }
            if rows.len() >= ask.limit {
                return Ok(rows);
            }
        }
    }
    Ok(rows)
}

/// The hours in which footage of these cameras begins.
fn hours_of(core: &Core, cameras: &BTreeSet<CameraId>) -> BTreeSet<u64> {
    let tallies = lock(&core.tallies);
    let of = cameras.iter().filter_map(|camera| tallies.get(camera));
    of.flat_map(|hours| hours.keys().copied()).collect()
}

/// After and up to when footage ends that begins in these hours: a segment lasts an hour at most.
fn ends_of(hours: &BTreeSet<u64>) -> Vec<(WallTime, WallTime)> {
    let mut spans: Vec<(WallTime, WallTime)> = Vec::new();
    for hour in hours {
        let from = key_ring::epoch_begins(*hour);
        let to = key_ring::epoch_begins(hour.saturating_add(1)).plus_micros(limits::SEGMENT_US_MAX);
        match spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => spans.push((from, to)),
        }
    }
    spans
}

impl Store {
    /// At most `limit` stored segments of all cameras that end at `before` or earlier, oldest end first,
    /// after `cursor`, whatever the tallies say; none that is newer than something still to be read in.
    pub(crate) fn expiring(
        &self,
        before: WallTime,
        cursor: Option<&SegmentRow>,
        limit: usize,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        let lower = cursor.map_or_else(Vec::new, |row| after_prefix(&row.key()));
        let last = expiry::after(before.min(rebuild::known_until(&self.core)));
        let rows = self.core.index.rows(Family::Expiry, lower, Some(last));
        let read = |(key, value): super::index::Row| {
            SegmentRow::decode(self.core.identity.site(), &key, &value)
                .ok_or_else(|| broken_row(Family::Expiry))
        };
        rows.take(limit).map(|found| found.and_then(read)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_that_touch_are_one_span_and_the_rest_is_not_looked_at() {
        let at = |hour: i64| WallTime(hour * 3_600_000_000);
        let hours = BTreeSet::from([5, 6, 8, 20]);
        assert_eq!(ends_of(&hours), [(at(5), at(10)), (at(20), at(22))]);
    }
}
