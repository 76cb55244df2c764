//! What may go, and what must. Pure.

use std::collections::BTreeMap;

use custody::record::{ERASED_MAX, EraseReason, Hold, SegmentRef};
use custody::{CameraId, Seq, WallTime};

use crate::limits;
use crate::store::{SegmentRow, reaches};

/// How long one class of cameras' footage is kept from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keep {
    /// At least this long, microseconds: before that only when the disc is full.
    pub floor_us: i64,
    /// At most this long, microseconds; not below the floor.
    pub ceiling_us: i64,
}

/// What the site's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Of cameras that are not named below, also of those that are no longer configured.
    pub standard: Keep,
    /// Of each camera of another class.
    pub cameras: BTreeMap<CameraId, Keep>,
    /// With less than this free, unheld footage goes before its ceiling.
    pub reserve_bytes: u64,
}

impl Rules {
    /// How long this camera's footage is kept.
    #[must_use]
    pub fn keep(&self, camera: &CameraId) -> Keep {
        self.cameras.get(camera).copied().unwrap_or(self.standard)
    }

    /// Until when footage of `camera` that ends at `end` must be kept.
    #[must_use]
    pub fn floor_ends(&self, camera: &CameraId, end: WallTime) -> WallTime {
        end.plus_micros(self.keep(camera).floor_us)
    }

    /// When footage of `camera` that ends at `end` must be gone.
    #[must_use]
    pub fn due(&self, camera: &CameraId, end: WallTime) -> WallTime {
        end.plus_micros(self.keep(camera).ceiling_us)
    }
}

/// One erase record to be: segments of one camera, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose footage.
    pub camera: CameraId,
    /// Why. [`EraseReason::DiscFull`] is footage below its floor: an early erasure.
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
    /// How many segments are so late.
    pub late_segments: usize,
}

/// What must not go, and what could not go until now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held<'a> {
    /// The holds that stand.
    pub standing: &'a [Hold],
    /// Those that ended since the last whole sweep: what they reached is not late.
    pub released: &'a [Hold],
}

/// Decides over `rows`. What has reached its ceiling goes. With less than the reserve free after
/// that, so does what is left, in the order in which the floors end, across all cameras, until the
/// reserve is there: what is past its floor first, which is no early erasure, and then what is
/// nearest to it. What is held never goes.
#[must_use]
pub fn plan(
    rows: &[SegmentRow],
    held: Held<'_>,
    now: WallTime,
    rules: &Rules,
    free_bytes: u64,
) -> Plan {
    let reached = |holds: &[Hold], row: &SegmentRow| {
        holds.iter().any(|hold| reaches(hold, &row.camera, row.start, row.end))
    };
    let mut plan = Plan::default();
    let mut groups: BTreeMap<(CameraId, bool), Vec<SegmentRef>> = BTreeMap::new();
    let mut take = |plan: &mut Plan, row: &SegmentRow| {
        plan.frees_bytes = plan.frees_bytes.saturating_add(row.bytes);
        let is_early = rules.floor_ends(&row.camera, row.end) > now;
        groups.entry((row.camera.clone(), is_early)).or_default().push(row.reference());
    };
    let unheld = rows.iter().filter(|row| !reached(held.standing, row));
    let (due, mut others): (Vec<_>, Vec<_>) =
        unheld.partition(|row| rules.due(&row.camera, row.end) <= now);
    for row in due {
        let is_late = now.micros_since(rules.due(&row.camera, row.end)) >= limits::LATE_US;
        if is_late && !reached(held.released, row) {
            plan.late = Some(plan.late.map_or(row.end, |late| late.min(row.end)));
            plan.late_segments += 1;
        }
        take(&mut plan, row);
    }
    others.sort_by_cached_key(|row| order(rules, row));
    for row in others {
        if free_bytes.saturating_add(plan.frees_bytes) >= rules.reserve_bytes {
            break;
        }
        take(&mut plan, row);
    }
    for ((camera, is_early), segments) in groups {
        let reason = if is_early { EraseReason::DiscFull } else { EraseReason::Retention };
        plan.erase.extend(segments.chunks(ERASED_MAX).map(|segments| Erasure {
            camera: camera.clone(),
            reason,
            segments: segments.to_vec(),
        }));
    }
    plan
}

/// What goes first when the disc needs the room: whose floor ends first.
pub(super) fn order(rules: &Rules, row: &SegmentRow) -> (WallTime, CameraId, Seq) {
    (rules.floor_ends(&row.camera, row.end), row.camera.clone(), row.seq)
}

#[cfg(test)]
mod tests {
    use custody::Digest;
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

    /// ext-00 is of a class of its own; the others keep 100 minutes exactly.
    fn rules() -> Rules {
        let keep =
            |floor, ceiling| Keep { floor_us: floor * MINUTE_US, ceiling_us: ceiling * MINUTE_US };
        Rules {
            standard: keep(100, 100),
            cameras: BTreeMap::from([("east/ext-00".parse().unwrap(), keep(20, 60))]),
            reserve_bytes: 50,
        }
    }

    fn held(standing: &[Hold]) -> Held<'_> {
        Held { standing, released: &[] }
    }

    #[test]
    fn footage_goes_when_its_end_reaches_its_ceiling_and_not_a_moment_before() {
        for (camera, ceiling) in [("ext-01", 100), ("ext-00", 60)] {
            let rows = [row(camera, 0, 0), row(camera, 1, 1)];
            let at = |now: WallTime| plan(&rows, held(&[]), now, &rules(), 50).erase;
            assert_eq!(at(minutes(ceiling + 1).plus_micros(-1)), []);
            let erase = at(minutes(ceiling + 1));
            assert_eq!(erase.len(), 1);
            assert_eq!(erase[0].reason, EraseReason::Retention);
            assert_eq!(erase[0].segments, [rows[0].reference()]);
        }
    }

    #[test]
    fn a_full_disc_takes_the_oldest_unheld_and_says_so() {
        let rows: Vec<_> = (0_i64..6).map(|m| row("ext-01", m.unsigned_abs(), m)).collect();
        let holds = [hold("ext-01", 0, 2)];
        let plan = plan(&rows, held(&holds), minutes(10), &rules(), 25);
        assert_eq!(plan.frees_bytes, 30);
        assert_eq!((plan.late, plan.late_segments), (None, 0));
        let [erasure] = plan.erase.as_slice() else { panic!("{plan:?}") };
        assert_eq!(erasure.reason, EraseReason::DiscFull);
        let gone: Vec<_> = erasure.segments.iter().map(|s| s.seq.0).collect();
        assert_eq!(gone, [2, 3, 4]);
    }

    #[test]
    fn the_disc_first_takes_what_is_past_its_floor_and_that_is_not_early() {
        // ext-00's floor is over for minutes 0 to 9; ext-01 is older and has its floor before it.
        let mut rows: Vec<_> = (0_i64..3).map(|m| row("ext-01", m.unsigned_abs(), m)).collect();
        rows.extend((7_i64..13).map(|m| row("ext-00", m.unsigned_abs(), m)));
        let gone = |free| {
            let plan = plan(&rows, held(&[]), minutes(30), &rules(), free);
            let of = |e: &Erasure| {
                (e.camera.name().to_owned(), e.reason, e.segments.iter().map(|s| s.seq.0).collect())
            };
            plan.erase.iter().map(of).collect::<Vec<(String, EraseReason, Vec<u64>)>>()
        };
        let ext = |seqs: &[u64], reason| ("ext-00".to_owned(), reason, seqs.to_vec());
        assert_eq!(gone(20), [ext(&[7, 8, 9], EraseReason::Retention)]);
        // Below the floor the one nearest to it goes first, whichever is older.
        let early = ext(&[10, 11], EraseReason::DiscFull);
        assert_eq!(gone(0), [ext(&[7, 8, 9], EraseReason::Retention), early]);
    }

    #[test]
    fn what_a_hold_kept_until_now_is_not_late() {
        let rows = [row("ext-01", 0, 0), row("ext-01", 1, 20)];
        let released = [hold("ext-01", 0, 1)];
        let late = |released| {
            let held = Held { standing: &[], released };
            let plan = plan(&rows, held, minutes(150), &rules(), 50);
            (plan.late, plan.late_segments)
        };
        assert_eq!(late(&[]), (Some(minutes(1)), 2));
        assert_eq!(late(&released), (Some(minutes(21)), 1));
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
            let (now, rules) = (minutes(now), rules());
            let plan = plan(&rows, held(&holds), now, &rules, free);
            let gone: BTreeMap<_, _> =
                plan.erase.iter().flat_map(|e| e.segments.iter().map(|s| (s.seq, e.reason))).collect();
            let is_held = |row: &SegmentRow| holds.iter().any(|h| {
                h.camera == row.camera && h.from < row.end && row.start < h.to
            });
            let age = |row: &SegmentRow| now.micros_since(row.end);
            let (mut freed, mut needless) = (free, false);
            let mut unheld: Vec<_> = rows.iter().filter(|row| !is_held(row)).collect();
            unheld.sort_by_key(|row| (age(row) < rules.keep(&row.camera).ceiling_us, order(&rules, row)));
            for row in &unheld {
                let keep = rules.keep(&row.camera);
                let is_needed = age(row) >= keep.ceiling_us || freed < rules.reserve_bytes;
                let expected = match age(row) >= keep.floor_us {
                    _ if !is_needed => None,
                    true => Some(EraseReason::Retention),
                    false => Some(EraseReason::DiscFull),
                };
                prop_assert_eq!(gone.get(&row.seq).copied(), expected);
                // Once one stays for want of need, none after it goes: the order is kept.
                prop_assert!(!needless || expected.is_none());
                needless |= expected.is_none();
                freed += if expected.is_some() { row.bytes } else { 0 };
            }
            prop_assert!(gone.keys().all(|seq| unheld.iter().any(|row| row.seq == *seq)));
            prop_assert_eq!(plan.frees_bytes, freed - free);
        }
    }
}
