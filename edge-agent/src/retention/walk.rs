//! Walks stored footage in the order in which it goes: cameras that are kept alike lie in one lane,
//! oldest end first, and the lanes are merged by when their floors end. Pure but for the reader that
//! it is given, so that a model disc walks as the real one does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use custody::{CameraId, WallTime};

use super::plan::{self, Keep, Rules};
use crate::store::{Expiring, SegmentRow};

/// A walk over what may go.
#[derive(Debug)]
pub(super) struct Walk {
    lanes: Vec<Lane>,
    for_room: bool,
}

#[derive(Debug)]
struct Lane {
    cameras: BTreeSet<CameraId>,
    before: WallTime,
    ahead: VecDeque<SegmentRow>,
    cursor: Option<SegmentRow>,
    ended: bool,
}

impl Walk {
    /// Over what has reached its ceiling at `now`.
    #[must_use]
    pub(super) fn due<'a>(
        cameras: impl IntoIterator<Item = &'a CameraId>,
        rules: &Rules,
        now: WallTime,
    ) -> Self {
        let before = |keep: Keep| now.plus_micros(keep.ceiling_us.saturating_neg());
        Self { lanes: lanes(cameras, rules, before), for_room: false }
    }

    /// Over everything, for as long as the disc needs the room.
    #[must_use]
    pub(super) fn all<'a>(cameras: impl IntoIterator<Item = &'a CameraId>, rules: &Rules) -> Self {
        let lanes = lanes(cameras, rules, |_| WallTime(i64::MAX - 1));
        Self { lanes, for_room: true }
    }

    /// Whether the walk goes on only while the disc needs the room.
    #[must_use]
    pub(super) fn is_for_room(&self) -> bool {
        self.for_room
    }

    /// The next rows, at most `limit`; none: that was all.
    ///
    /// # Errors
    /// As `read` says.
    pub(super) fn next<E>(
        &mut self,
        rules: &Rules,
        limit: usize,
        mut read: impl FnMut(Expiring<'_>) -> Result<Vec<SegmentRow>, E>,
    ) -> Result<Vec<SegmentRow>, E> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            for lane in self.lanes.iter_mut().filter(|lane| lane.ahead.is_empty() && !lane.ended) {
                lane.ahead = read(Expiring {
                    cameras: &lane.cameras,
                    before: lane.before,
                    cursor: lane.cursor.as_ref(),
                    limit,
                })?
                .into();
                lane.cursor = lane.ahead.back().cloned().or_else(|| lane.cursor.take());
                lane.ended = lane.ahead.len() < limit;
            }
            let next = |lane: &&mut Lane| lane.ahead.front().map(|row| plan::order(rules, row));
            let lanes = self.lanes.iter_mut().filter(|lane| !lane.ahead.is_empty());
            let Some(row) = lanes.min_by_key(next).and_then(|lane| lane.ahead.pop_front()) else {
                break;
            };
            rows.push(row);
        }
        Ok(rows)
    }
}

/// One lane for each way in which cameras are kept.
fn lanes<'a>(
    cameras: impl IntoIterator<Item = &'a CameraId>,
    rules: &Rules,
    before: impl Fn(Keep) -> WallTime,
) -> Vec<Lane> {
    let mut lanes: BTreeMap<Keep, BTreeSet<CameraId>> = BTreeMap::new();
    for camera in cameras {
        lanes.entry(rules.keep(camera)).or_default().insert(camera.clone());
    }
    let lane = |(keep, cameras)| Lane {
        cameras,
        before: before(keep),
        ahead: VecDeque::new(),
        cursor: None,
        ended: false,
    };
    lanes.into_iter().map(lane).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use custody::{Digest, Seq};
    use proptest::prelude::*;

    use super::*;

    fn row(camera: u8, end: i64) -> SegmentRow {
        SegmentRow {
            camera: format!("east/ext-0{camera}").parse().unwrap(),
            seq: Seq(end.unsigned_abs()),
            start: WallTime(end - 1),
            end: WallTime(end),
            bytes: 1,
            root: Digest([0; 32]),
            epoch: 0,
        }
    }

    proptest! {
        #[test]
        fn every_row_comes_once_in_the_order_in_which_floors_end(
            ends in proptest::collection::btree_set((0_u8..4, 0_i64..100), 0..80),
            floors in proptest::array::uniform4(1_i64..50),
            limit in 1_usize..20,
        ) {
            let keep = |floor| Keep { floor_us: floor, ceiling_us: floor + 10 };
            let cameras: Vec<CameraId> = (0..4).map(|camera| row(camera, 0).camera).collect();
            let rules = Rules {
                standard: keep(floors[0]),
                cameras: cameras.iter().cloned().zip(floors.map(keep)).skip(1).collect(),
                reserve_bytes: 0,
            };
            let mut stored: Vec<_> = ends.into_iter().map(|(camera, end)| row(camera, end)).collect();
            stored.sort_by_key(SegmentRow::key);
            let read = |ask: Expiring<'_>| -> Result<Vec<SegmentRow>, Infallible> {
                let after = ask.cursor.map(SegmentRow::key);
                let of = |row: &&SegmentRow| {
                    ask.cameras.contains(&row.camera)
                        && row.end <= ask.before
                        && after.as_ref().is_none_or(|after| row.key() > *after)
                };
                Ok(stored.iter().filter(of).take(ask.limit).cloned().collect())
            };
            let walk_all = |mut walk: Walk| {
                let mut walked = Vec::new();
                loop {
                    let Ok(rows) = walk.next(&rules, limit, read);
                    if rows.is_empty() {
                        return walked;
                    }
                    assert!(rows.len() <= limit);
                    walked.extend(rows);
                }
            };
            let mut expected = stored.clone();
            expected.sort_by_key(|row| plan::order(&rules, row));
            prop_assert_eq!(&walk_all(Walk::all(&cameras, &rules)), &expected);
            let now = WallTime(70);
            expected.retain(|row| rules.due(&row.camera, row.end) <= now);
            prop_assert_eq!(walk_all(Walk::due(&cameras, &rules, now)), expected);
        }
    }
}
