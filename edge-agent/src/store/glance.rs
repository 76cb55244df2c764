//! A look into a store that is not ours to open: read only, beside the agent that records.

use std::collections::BTreeMap;
use std::path::Path;

use custody::record::Hold;
use custody::{CameraId, SiteId};

use super::StoreError;
use super::index::Index;
use super::key::{Family, hold, tally};
use super::read::broken_row;

/// What was stored and held when the look was taken.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// Bytes that each camera has stored, by the hour since 1970 in which they begin.
    pub hours: BTreeMap<CameraId, BTreeMap<u64, u64>>,
    /// The holds that stand.
    pub holds: Vec<Hold>,
}

/// Looks into the store under `state_dir`; none if there is none yet.
///
/// # Errors
/// When its index does not open or read; while the agent writes, another try may do.
pub fn glance(state_dir: &Path, site: &SiteId) -> Result<Option<Glance>, StoreError> {
    let folder = state_dir.join("index");
    if !folder.join("CURRENT").exists() {
        return Ok(None);
    }
    let index = Index::open_to_read(&folder, &[Family::Tallies, Family::Holds])?;
    let mut glance = Glance::default();
    for found in index.rows(Family::Tallies, Vec::new(), None) {
        let (key, value) = found?;
        let read = tally::decode_key(site, &key).zip(tally::Tally::decode(&value));
        let ((camera, hour), tally) = read.ok_or_else(|| broken_row(Family::Tallies))?;
        glance.hours.entry(camera).or_default().insert(hour, tally.bytes);
    }
    for found in index.rows(Family::Holds, Vec::new(), None) {
        let hold = hold::decode(&found?.1).ok_or_else(|| broken_row(Family::Holds))?;
        glance.holds.push(hold);
    }
    Ok(Some(glance))
}
