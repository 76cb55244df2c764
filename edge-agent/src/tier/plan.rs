//! What moves to the second disc now. Pure.

use std::collections::BTreeMap;

use custody::{CameraId, WallTime};

use crate::store::{SegmentRow, Space};

/// What the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Footage moves when its end is this old, microseconds.
    pub after_us: i64,
    /// With less than this free on the first disc, the oldest moves before its time: twice what
    /// retention keeps free, so that moving comes before erasing.
    pub first_reserve_bytes: u64,
    /// This much stays free on the second disc.
    pub second_reserve_bytes: u64,
    /// Footage younger than this never moves, microseconds: its hour is still being written.
    pub youngest_us: i64,
}

/// Segments of one camera that move in one step, oldest end first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whose footage.
    pub camera: CameraId,
    /// Which, at most as many as were asked for.
    pub segments: Vec<SegmentRow>,
}

/// What moves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which to do it.
    pub groups: Vec<Group>,
    /// Something should move, and the second disc has no room for it.
    pub second_full: bool,
}

/// Decides over `rows`, which lie on the first disc, oldest end first. A group has at most
/// `group_max` segments.
#[must_use]
pub fn plan(
    rows: &[SegmentRow],
    now: WallTime,
    rules: Rules,
    (first, second): (Space, Space),
    group_max: usize,
) -> Plan {
    let of_age = now.plus_micros(rules.after_us.saturating_neg());
    let movable = now.plus_micros(rules.youngest_us.saturating_neg());
    let mut room = second.free_bytes.saturating_sub(rules.second_reserve_bytes);
    let mut missing = rules.first_reserve_bytes.saturating_sub(first.free_bytes);
    let mut plan = Plan::default();
    let mut of_camera: BTreeMap<&CameraId, Vec<SegmentRow>> = BTreeMap::new();
    for row in rows {
        let goes = row.end <= movable && (row.end <= of_age || missing > 0);
        if !goes {
            continue;
        }
        if row.bytes > room {
            // The oldest goes first: nothing younger takes its place.
            plan.second_full = true;
            break;
        }
        room -= row.bytes;
        missing = missing.saturating_sub(row.bytes);
        of_camera.entry(&row.camera).or_default().push(row.clone());
    }
    for (camera, segments) in of_camera {
        plan.groups.extend(
            segments
                .chunks(group_max.max(1))
                .map(|segments| Group { camera: camera.clone(), segments: segments.to_vec() }),
        );
    }
    plan
}

#[cfg(test)]
mod tests {
    use custody::{Digest, Seq};
    use proptest::prelude::*;

    use super::*;

    const MINUTE_US: i64 = 60_000_000;
    const RULES: Rules = Rules {
        after_us: 100 * MINUTE_US,
        first_reserve_bytes: 50,
        second_reserve_bytes: 20,
        youngest_us: 10 * MINUTE_US,
    };

    fn row(camera: u8, minute: i64) -> SegmentRow {
        SegmentRow {
            camera: format!("east/ext-0{camera}").parse().unwrap(),
            seq: Seq(minute.unsigned_abs()),
            start: WallTime((minute - 1) * MINUTE_US),
            end: WallTime(minute * MINUTE_US),
            bytes: 10,
            root: Digest([1; 32]),
            epoch: 0,
        }
    }

    fn space(free_bytes: u64) -> Space {
        Space { free_bytes, total_bytes: 1000 }
    }

    fn moved(plan: &Plan) -> Vec<u64> {
        let mut seqs: Vec<u64> =
            plan.groups.iter().flat_map(|g| g.segments.iter().map(|s| s.seq.0)).collect();
        seqs.sort_unstable();
        seqs
    }

    #[test]
    fn footage_moves_when_it_is_of_age_and_sooner_when_the_first_disc_is_short() {
        let rows: Vec<_> = (1..=8).map(|minute| row(1, minute)).collect();
        let at = |minute: i64, first, second| {
            plan(&rows, WallTime(minute * MINUTE_US), RULES, (space(first), space(second)), 3)
        };
        assert_eq!(moved(&at(102, 50, 1000)), [1, 2]);
        // 25 are missing: three of ten.
        assert_eq!(moved(&at(50, 25, 1000)), [1, 2, 3]);
        // The hour being written stays, however short the disc is.
        assert_eq!(moved(&at(14, 0, 1000)), [1, 2, 3, 4]);
        let full = at(150, 50, 45);
        assert_eq!((moved(&full), full.second_full), (vec![1, 2], true));
        assert!(at(150, 50, 1000).groups.iter().all(|group| group.segments.len() <= 3));
    }

    proptest! {
        #[test]
        fn nothing_young_moves_nothing_overfills_and_the_oldest_goes_first(
            cameras in proptest::collection::vec(0_u8..3, 1..80),
            now in 0_i64..300,
            first in 0_u64..100,
            second in 0_u64..400,
            group_max in 1_usize..5,
        ) {
            let rows: Vec<_> =
                cameras.iter().zip(1_i64..).map(|(camera, minute)| row(*camera, minute)).collect();
            let now = WallTime(now * MINUTE_US);
            let plan = plan(&rows, now, RULES, (space(first), space(second)), group_max);
            let moved = moved(&plan);
            let bytes = 10 * moved.len() as u64;
            prop_assert!(bytes <= second.saturating_sub(20));
            // Those that go are the oldest of all: rows are a minute apart, so places count them.
            prop_assert_eq!(&moved, &(1..=moved.len() as u64).collect::<Vec<_>>());
            for row in &rows {
                let went = moved.contains(&row.seq.0);
                let age = now.micros_since(row.end);
                let short = 10 * (row.seq.0 - 1) < 50_u64.saturating_sub(first);
                let should = age >= RULES.youngest_us && (age >= RULES.after_us || short);
                prop_assert!(!went || should);
                prop_assert!(went || !should || plan.second_full);
            }
            for group in &plan.groups {
                prop_assert!(group.segments.len() <= group_max);
                prop_assert!(group.segments.iter().all(|s| s.camera == group.camera));
                prop_assert!(group.segments.is_sorted_by_key(|s| s.end));
            }
        }
    }
}
