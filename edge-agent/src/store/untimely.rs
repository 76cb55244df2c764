//! Counts segments that were erased below their floor or after their ceiling, kept over restarts; and
//! lets the retention room raise its alarms.

use super::core::{Core, lock};
use super::index::{Batch, Index};
use super::key::Family;
use super::key::erasures::{self, Erasures, ErasuresRow, Untimely};
use super::{Alarm, Store, StoreError};

impl Store {
    /// Segments of the last 31 days that were erased below their floor or after their ceiling.
    #[must_use]
    pub fn erasures(&self) -> Erasures {
        lock(&self.core.erasures).figures(self.core.clock.now())
    }

    /// Counts segments that are about to be erased after their ceiling.
    pub(crate) fn count_late(&self, segments: usize) -> Result<(), StoreError> {
        count_late(&self.core, segments)
    }

    /// Tells that a person must see to something, or that it is over.
    pub(crate) fn set_alarm(&self, alarm: Alarm, what: Option<&str>) {
        match what {
            Some(what) => self.core.raise(alarm, what),
            None => self.core.clear(alarm),
        }
    }
}

/// Counts in memory and in the batch, with which it becomes durable.
pub(super) fn count(core: &Core, batch: &mut Batch, which: Untimely, segments: usize) {
    let mut row = lock(&core.erasures);
    row.count(which, u64::try_from(segments).unwrap_or(u64::MAX), core.clock.now());
    batch.put(Family::Facts, erasures::KEY.to_vec(), row.encode());
}

fn count_late(core: &Core, segments: usize) -> Result<(), StoreError> {
    if segments == 0 {
        return Ok(());
    }
    let mut batch = Batch::default();
    count(core, &mut batch, Untimely::Late, segments);
    core.write(&batch)
}

/// As it was counted so far. What does not read begins anew: it is a count and no record.
pub(super) fn load(index: &Index) -> Result<ErasuresRow, StoreError> {
    let row = index.get(Family::Facts, erasures::KEY)?;
    Ok(row.and_then(|bytes| ErasuresRow::decode(&bytes)).unwrap_or_default())
}
