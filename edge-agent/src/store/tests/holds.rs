//! Holds among themselves, against the sweep and against the disc.

use std::collections::BTreeMap;
use std::sync::Barrier;

use custody::coverage::Span;
use custody::record::{EraseReason, Hold, Record, Statement};
use custody::{HoldId, Seq, WallTime};

use super::super::{HoldBudget, PlaceHold, SegmentRow, Store, StoreError};
use super::{BEGIN, Site, grounds, records, sound};
use crate::retention::{Keep, Rules, plan};

fn hold(site: &Site, name: &str, from: WallTime, to: WallTime) -> PlaceHold {
    PlaceHold {
        hold: name.parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: site.ext_01().clone(),
        from,
        to,
        grounds: grounds(),
    }
}

fn rows(store: &Store) -> Vec<SegmentRow> {
    store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap()
}

fn condemn_all(site: &Site, store: &Store) -> Vec<Seq> {
    let refs: Vec<_> = rows(store).iter().map(SegmentRow::reference).collect();
    let gone = store.condemn(site.ext_01(), &refs, EraseReason::Retention).unwrap();
    gone.into_iter().map(|segment| segment.seq).collect()
}

#[test]
fn two_holds_on_one_segment_keep_it_until_the_second_goes() {
    let site = Site::new();
    let (store, _) = site.start();
    for _ in 0..3 {
        site.record(&store, site.ext_01(), 2).unwrap();
    }
    let end = BEGIN.plus_seconds(12);
    store.place_hold(hold(&site, "h1", BEGIN, BEGIN.plus_seconds(7))).unwrap();
    store.place_hold(hold(&site, "h2", BEGIN.plus_seconds(5), end)).unwrap();
    // A hold that only touches a segment's edge does not reach it.
    let edge = BEGIN.plus_seconds(4);
    assert_eq!(store.place_hold(hold(&site, "h3", edge, BEGIN.plus_seconds(8))).unwrap(), 1);
    store.release_hold(&"h3".parse().unwrap()).unwrap();
    assert_eq!(condemn_all(&site, &store), []);
    store.release_hold(&"h1".parse().unwrap()).unwrap();
    assert_eq!(condemn_all(&site, &store), [Seq(0)], "the middle one is still under h2");
    drop(store);
    let (store, _) = site.start();
    assert_eq!(condemn_all(&site, &store), []);
    store.release_hold(&"h2".parse().unwrap()).unwrap();
    assert_eq!(condemn_all(&site, &store), [Seq(1), Seq(2)]);
    sound(&store);
    let signed = records(&store).into_iter().filter_map(|record| match record {
        Record::Other(Statement::Hold(hold)) => Some(hold.grounds),
        _ => None,
    });
    assert_eq!(signed.collect::<Vec<_>>(), vec![Some(grounds()); 3], "grounds are signed");
}

#[test]
fn a_hold_beyond_the_budget_is_refused_and_what_is_held_stays() {
    let site = Site::new();
    let (store, _) = site.start();
    let bytes = site.record(&store, site.ext_01(), 1).unwrap().bytes;
    for _ in 0..3 {
        assert_eq!(site.record(&store, site.ext_01(), 1).unwrap().bytes, bytes);
    }
    store.set_hold_budget(HoldBudget::Bytes(2 * bytes + bytes / 2));
    let place = |name: &str, from: i64, to: i64| {
        store.place_hold(hold(&site, name, BEGIN.plus_seconds(from), BEGIN.plus_seconds(to)))
    };
    place("h1", 0, 3).unwrap();
    // Half of it is held already: each byte counts once.
    place("h2", 1, 4).unwrap();
    assert_eq!(store.held().unwrap().bytes, 2 * bytes);
    assert_eq!(store.alarms()[0].0, "hold-budget-near");
    let Err(StoreError::Refused { why }) = place("h3", 3, 5) else { panic!("over the budget") };
    assert!(why.starts_with("hold-budget: ") && why.contains("release holds"), "{why}");
    assert_eq!(store.holds().len(), 2);
    assert_eq!(condemn_all(&site, &store), [Seq(2), Seq(3)], "only what is not held goes");
    // One of two goes: nothing is freed. The other goes: all is.
    store.release_hold(&"h1".parse().unwrap()).unwrap();
    assert_eq!(store.held().unwrap().bytes, 2 * bytes);
    store.release_hold(&"h2".parse().unwrap()).unwrap();
    assert_eq!((store.held().unwrap().bytes, store.alarms().len()), (0, 0));
    // Footage that is recorded under a standing hold is counted within the hour.
    let from = site.clock.now();
    store.place_hold(hold(&site, "h4", from, from.plus_seconds(60))).unwrap();
    site.record(&store, site.ext_01(), 1).unwrap();
    site.clock.advance_ms(3_600_000);
    assert_eq!(store.held().unwrap().bytes, bytes);
    sound(&store);
}

/// All footage is due at once.
fn at_once() -> Rules {
    let standard = Keep { floor_us: 0, ceiling_us: 0 };
    Rules { standard, cameras: BTreeMap::new(), reserve_bytes: 0 }
}

fn held(standing: &[Hold]) -> plan::Held<'_> {
    plan::Held { standing, released: &[] }
}

#[test]
fn a_hold_placed_between_plan_and_condemn_wins() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    let holds = store.holds();
    let plan = plan::plan(&rows(&store), held(&holds), site.clock.now(), &at_once(), 1);
    assert_eq!(plan.erase.len(), 1);
    store.place_hold(hold(&site, "h1", BEGIN, BEGIN.plus_seconds(1))).unwrap();
    let gone = store.condemn(site.ext_01(), &plan.erase[0].segments, EraseReason::Retention);
    assert_eq!(gone.unwrap(), []);
    assert_eq!(store.unlink_condemned().unwrap(), 0);
    assert!(store.segment_path(site.ext_01(), Seq(0)).unwrap().exists());
    sound(&store);
}

/// One thread plans and condemns segment by segment, the other holds them from the far end: they
/// meet somewhere, and whatever a hold said that it caught is there afterwards.
#[test]
fn in_a_race_between_hold_and_sweep_what_was_held_is_there() {
    const SEGMENTS: u64 = 24;
    for round in 0..8_u64 {
        let site = Site::new();
        let (store, _) = site.start();
        for _ in 0..SEGMENTS {
            site.record(&store, site.ext_01(), 1).unwrap();
        }
        let rows = rows(&store);
        let start = Barrier::new(2);
        let now = site.clock.now();
        let caught: Vec<(u64, u32)> = std::thread::scope(|scope| {
            let sweeping = scope.spawn(|| {
                start.wait();
                for row in &rows {
                    let one = std::slice::from_ref(row);
                    let plan = plan::plan(one, held(&store.holds()), now, &at_once(), 1);
                    std::thread::yield_now();
                    for erasure in plan.erase {
                        let gone =
                            store.condemn(&erasure.camera, &erasure.segments, erasure.reason);
                        gone.unwrap();
                        store.unlink_condemned().unwrap();
                    }
                }
            });
            let placing = scope.spawn(|| {
                start.wait();
                let place = |row: &SegmentRow| {
                    let name = format!("h{}", row.seq);
                    let ask = hold(&site, &name, row.start, row.end.plus_micros(-1));
                    (row.seq.0, store.place_hold(ask).unwrap())
                };
                // Every round they meet elsewhere.
                let (near, far) = rows.split_at(usize::try_from(round * SEGMENTS / 8).unwrap());
                far.iter().rev().chain(near).map(place).collect()
            });
            sweeping.join().unwrap();
            placing.join().unwrap()
        });
        for (seq, held) in caught {
            let is_there = store.segment_path(site.ext_01(), Seq(seq)).is_ok_and(|p| p.exists());
            assert_eq!(is_there, held == 1, "round {round}, segment {seq}");
            let id: HoldId = format!("h{}", Seq(seq)).parse().unwrap();
            let of_hold = store.holds().into_iter().find(|hold| hold.hold == id).unwrap();
            let span = Span { from: of_hold.from, to: of_hold.to };
            assert_eq!(store.erased_within(site.ext_01(), span).unwrap(), 1 - held);
        }
        sound(&store);
    }
}
