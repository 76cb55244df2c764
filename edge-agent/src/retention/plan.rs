//! What may go, and what must. Pure.

use std::collections::BTreeMap;

use custody::record::{ERASED_MAX, EraseReason, Hold, SegmentRef};
use custody::{CameraId, WallTime};

use crate::limits;
use crate::store::{SegmentRow, reaches};

/// What the site's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long footage is kept from its end, microseconds.
    pub retain_us: i64,
    /// With less than this free, the oldest unheld footage goes first.
    pub reserve_bytes: u64,
}

impl Rules {
    /// Footage that ends at this time or earlier is due.
    #[must_use]
    pub fn due(&self, now: WallTime) -> WallTime {
        now.plus_micros(self.retain_us.saturating_neg())
    }
}

/// One erase record to be: segments of one camera, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose footage.
    pub camera: CameraId,
    /// Why.
    pub reason: EraseReason,
    /// Which, oldest first; at most [`ERASED_MAX`].
    pub segments: Vec<SegmentRef>,
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which to do it.
    pub erase: Vec<Erasure>,
    /// Bytes that it frees.
    pub frees_bytes: u64,
    /// Where the oldest unheld footage ends that should have gone ten minutes ago or earlier: an
    /// alarm, for nobody swept.
    pub late: Option<WallTime>,
}

/// Decides over `rows`, given oldest end first: what is due goes; with less than the reserve free,
/// so does the oldest that is not, until the reserve is there. What is held never goes.
#[must_use]
pub fn plan(
    rows: &[SegmentRow],
    holds: &[Hold],
    now: WallTime,
    rules: Rules,
    free_bytes: u64,
) -> Plan {
    let due = rules.due(now);
    let late = due.plus_micros(-limits::LATE_US);
    let mut plan = Plan::default();
    let mut groups: BTreeMap<(CameraId, bool), Vec<SegmentRef>> = BTreeMap::new();
    for row in rows {
        if holds.iter().any(|hold| reaches(hold, &row.camera, row.start, row.end)) {
            continue;
        }
        let is_due = row.end <= due;
        let short = free_bytes.saturating_add(plan.frees_bytes) < rules.reserve_bytes;
        if !is_due && !short {
            continue;
        }
        if row.end <= late && plan.late.is_none_or(|late| row.end < late) {
            plan.late = Some(row.end);
        }
        plan.frees_bytes = plan.frees_bytes.saturating_add(row.bytes);
        groups.entry((row.camera.clone(), is_due)).or_default().push(row.reference());
    }
    for ((camera, is_due), segments) in groups {
        let reason = if is_due { EraseReason::Retention } else { EraseReason::DiscFull };
        plan.erase.extend(segments.chunks(ERASED_MAX).map(|segments| Erasure {
            camera: camera.clone(),
            reason,
            segments: segments.to_vec(),
        }));
    }
    plan
}

#[cfg(test)]
mod tests {
    use custody::{Digest, Seq};
    use proptest::prelude::*;

    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn row(camera: &str, seq: u64, minute: i64) -> SegmentRow {
        SegmentRow {
            camera: format!("east/{camera}").parse().unwrap(),
            seq: Seq(seq),
            start: WallTime(minute * MINUTE_US),
            end: WallTime((minute + 1) * MINUTE_US),
            bytes: 10,
            root: Digest([1; 32]),
            epoch: 0,
        }
    }

    fn hold(camera: &str, from: i64, to: i64) -> Hold {
        Hold {
            hold: "h1".parse().unwrap(),
            case: "WH-2026-000001".parse().unwrap(),
            camera: format!("east/{camera}").parse().unwrap(),
            from: WallTime(from * MINUTE_US),
            to: WallTime(to * MINUTE_US),
            grounds: None,
            at: WallTime(0),
        }
    }

    fn minutes(minutes: i64) -> WallTime {
        WallTime(minutes * MINUTE_US)
    }

    const RULES: Rules = Rules { retain_us: 100 * MINUTE_US, reserve_bytes: 50 };

    #[test]
    fn footage_goes_when_its_end_is_of_age_and_not_a_moment_before() {
        let rows = [row("ext-01", 0, 0), row("ext-01", 1, 1)];
        let at = |now: WallTime| plan(&rows, &[], now, RULES, 50).erase;
        assert_eq!(at(minutes(101).plus_micros(-1)), []);
        let erase = at(minutes(101));
        assert_eq!(erase.len(), 1);
        assert_eq!(erase[0].reason, EraseReason::Retention);
        assert_eq!(erase[0].segments, [rows[0].reference()]);
    }

    #[test]
    fn a_full_disc_takes_the_oldest_unheld_and_says_so() {
        let rows: Vec<_> = (0_i64..6).map(|m| row("ext-01", m.unsigned_abs(), m)).collect();
        let holds = [hold("ext-01", 0, 2)];
        let plan = plan(&rows, &holds, minutes(10), RULES, 25);
        assert_eq!(plan.frees_bytes, 30);
        assert_eq!(plan.late, None);
        let [erasure] = plan.erase.as_slice() else { panic!("{plan:?}") };
        assert_eq!(erasure.reason, EraseReason::DiscFull);
        let gone: Vec<_> = erasure.segments.iter().map(|s| s.seq.0).collect();
        assert_eq!(gone, [2, 3, 4]);
    }

    proptest! {
        #[test]
        fn nothing_held_goes_nothing_due_stays_nothing_early_without_need(
            cameras in proptest::collection::vec(0_u8..3, 1..60),
            holds in proptest::collection::vec((0_u8..3, 0_i64..60, 1_i64..20), 0..4),
            now in 0_i64..200,
            free in 0_u64..120,
        ) {
            let name = |camera: u8| format!("ext-0{camera}");
            let rows: Vec<_> = cameras
                .iter()
                .zip(0_i64..)
                .map(|(camera, minute)| row(&name(*camera), minute.unsigned_abs(), minute))
                .collect();
            let holds: Vec<_> =
                holds.iter().map(|(c, from, len)| hold(&name(*c), *from, from + len)).collect();
            let now = minutes(now);
            let plan = plan(&rows, &holds, now, RULES, free);
            let gone: Vec<_> =
                plan.erase.iter().flat_map(|e| e.segments.iter().map(|s| (s.seq, e.reason))).collect();
            let mut needed = 50_i64 - i64::try_from(free).unwrap();
            for row in &rows {
                let held = holds.iter().any(|h| {
                    h.camera == row.camera && h.from < row.end && row.start < h.to
                });
                let is_due = now.micros_since(row.end) >= RULES.retain_us;
                let went = gone.iter().find(|(seq, _)| *seq == row.seq).map(|(_, reason)| *reason);
                let expected = match (held, is_due, needed > 0) {
                    (true, ..) | (false, false, false) => None,
                    (false, true, _) => Some(EraseReason::Retention),
                    (false, false, true) => Some(EraseReason::DiscFull),
                };
                prop_assert_eq!(went, expected);
                if went.is_some() {
                    needed -= 10;
                }
            }
            prop_assert_eq!(plan.frees_bytes, 10 * gone.len() as u64);
        }
    }
}
