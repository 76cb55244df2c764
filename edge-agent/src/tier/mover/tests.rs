//! A site whose footage moves by its age, and by need.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody::CameraId;

use super::*;
use crate::retention::{self, Sweeper};
use crate::store::RealDisc;
use crate::store::tests::{Site, sound};

const RULES: Rules = Rules {
    after_us: 24 * 3_600_000_000,
    first_reserve_bytes: 0,
    second_reserve_bytes: 0,
    youngest_us: 2 * 3_600_000_000,
};

/// A site with a second disc that has recorded a segment of each camera an hour, for so many hours.
fn recorded(hours: u64) -> (Site, tempfile::TempDir, Store) {
    let site = Site::new();
    let second = tempfile::tempdir().unwrap();
    let (store, _) = site.start_tiered(second.path(), Arc::new(RealDisc)).unwrap();
    for _ in 0..hours {
        for camera in site.cameras.clone() {
            site.record(&store, &camera, 1).unwrap();
        }
        site.clock.advance_ms(3_600_000);
    }
    (site, second, store)
}

fn turn(site: &Site, store: &Store, rules: Rules) -> Turn {
    let mut mover = Mover::new(store.clone(), site.clock.clone(), rules, 0);
    let turn = mover.turn(&|| false).unwrap();
    sound(store);
    turn
}

fn on_second(site: &Site, store: &Store, second: &std::path::Path) -> usize {
    let there = |camera: &CameraId, seq| {
        store.segment_path(camera, custody::Seq(seq)).is_ok_and(|path| path.starts_with(second))
    };
    site.cameras.iter().map(|camera| (0..200).filter(|seq| there(camera, *seq)).count()).sum()
}

#[test]
fn footage_moves_at_its_age_and_again_when_more_is_of_age() {
    let (site, second, store) = recorded(30);
    let mut mover = Mover::new(store.clone(), site.clock.clone(), RULES, 0);
    // The last began 30 hours ago at most: those of the first six hours are a day old.
    let first = mover.turn(&|| false).unwrap();
    let there = on_second(&site, &store, second.path());
    assert_eq!((first.moved, first.stayed, first.more), (there, 0, false));
    assert!((12..=14).contains(&there), "{there}");
    assert_eq!(mover.turn(&|| false).unwrap(), Turn::default());
    site.clock.advance_ms(3 * 3_600_000);
    assert_eq!(mover.turn(&|| false).unwrap().moved, 6);
    sound(&store);
    // One that starts anew finds what is left, and nothing twice.
    site.clock.advance_ms(3_600_000);
    assert_eq!(turn(&site, &store, RULES).moved, 2);
    assert_eq!(on_second(&site, &store, second.path()), there + 8);
    // Asked to stop, it stops.
    site.clock.advance_ms(24 * 3_600_000);
    let mut stopped = Mover::new(store, site.clock, RULES, 0);
    assert_eq!(stopped.turn(&|| true).unwrap().moved, 0);
}

#[test]
fn a_short_first_disc_moves_footage_early_and_a_full_second_one_is_an_alarm() {
    let (site, second, store) = recorded(5);
    let full = Rules { second_reserve_bytes: u64::MAX, first_reserve_bytes: u64::MAX, ..RULES };
    assert_eq!(turn(&site, &store, full).moved, 0);
    assert_eq!(store.alarms()[0].0, "second-tier-full");
    let short = Rules { first_reserve_bytes: u64::MAX, ..RULES };
    let moved = turn(&site, &store, short).moved;
    assert!((6..=8).contains(&moved), "{moved}: the last two hours stay");
    assert_eq!(on_second(&site, &store, second.path()), moved);
    assert_eq!(store.alarms(), []);
}

#[test]
fn a_disc_that_is_short_erases_early_where_it_is_short_and_due_footage_goes_from_both() {
    let (site, second, store) = recorded(30);
    let moved = turn(&site, &store, RULES).moved;
    let keep = retention::Keep { floor_us: 48 * 3_600_000_000, ceiling_us: 48 * 3_600_000_000 };
    let rules = retention::Rules { standard: keep, cameras: BTreeMap::new(), reserve_bytes: 1 };
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules.clone());
    let swept = sweeper.sweep_with(0).unwrap();
    sound(&store);
    let early: usize = swept.early.iter().map(|(_, segments)| segments).sum();
    assert_eq!((swept.retired, early), (0, 1));
    assert_eq!(
        on_second(&site, &store, second.path()),
        moved,
        "they free nothing on the first disc"
    );
    site.clock.advance_ms(48 * 3_600_000);
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules);
    let swept = sweeper.sweep_with(u64::MAX).unwrap();
    assert_eq!(swept.retired, 59);
    assert_eq!(on_second(&site, &store, second.path()), 0);
    sound(&store);
}

#[test]
fn a_second_disc_that_goes_away_is_waited_for() {
    let (site, second, store) = recorded(30);
    let folder = second.path().to_owned();
    let away = folder.with_extension("away");
    host::durable::rename(&folder, &away).unwrap();
    let mut mover = Mover::new(store.clone(), site.clock.clone(), RULES, 0);
    assert!(mover.turn(&|| false).unwrap().away);
    site.record(&store, site.ext_01(), 1).unwrap();
    host::durable::rename(&away, &folder).unwrap();
    let turn = mover.turn(&|| false).unwrap();
    assert!(!turn.away && turn.moved > 0, "{turn:?}");
    sound(&store);
}
