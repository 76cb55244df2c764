//! Thirty-five days of a small site on a clock we own, and what a sweep does when things go wrong.

mod raw_image;

use std::collections::BTreeMap;

use custody::record::{EraseReason, Record, Statement};
use custody::{Seq, WallTime};

use super::super::plan::Keep;
use super::*;
use crate::seal::key_ring::epoch_of;
use crate::store::tests::{BEGIN, Site, records, sound};
use crate::store::{Depth, Erasures, PlaceHold};

const DAY_US: i64 = 86_400_000_000;
const RETAIN_US: i64 = 31 * DAY_US;
const PLENTY: u64 = 1 << 40;

fn rules() -> Rules {
    let standard = Keep { floor_us: RETAIN_US, ceiling_us: RETAIN_US };
    Rules { standard, cameras: BTreeMap::new(), reserve_bytes: 1000 }
}

fn hold(site: &Site, from: WallTime, to: WallTime) -> PlaceHold {
    PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: site.ext_01().clone(),
        from,
        to,
        grounds: crate::store::tests::grounds(),
    }
}

#[test]
fn thirty_five_days_keep_what_is_held_and_nothing_else_beyond_thirty_one() {
    let site = Site::new();
    let (mut store, _) = site.start();
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules());
    let held = hold(&site, BEGIN.plus_seconds(86_400), BEGIN.plus_seconds(86_400 + 7200));
    store.place_hold(held).unwrap();
    for hour in 0..35_u64 * 8 {
        for camera in &site.cameras {
            site.record(&store, camera, 1).unwrap();
        }
        site.clock.advance_ms(3 * 3_600_000 - 4000);
        let swept = sweeper.sweep_with(PLENTY).unwrap();
        assert_eq!((swept.early.len(), swept.clock_doubted), (0, false));
        let now = site.clock.now();
        let rows = store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap();
        let holds = store.holds();
        let outlived = rows.iter().find(|row| {
            rules().due(&row.camera, row.end) <= now
                && !holds.iter().any(|h| crate::store::reaches(h, &row.camera, row.start, row.end))
        });
        assert_eq!(outlived, None);
        // A day's end: the oracle, and the agent starts again.
        if hour % 40 == 39 {
            assert_eq!(store.check(Depth::Sizes).unwrap().findings, []);
            drop((store, sweeper));
            (store, _) = site.start();
            sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules());
        }
    }
    sound(&store);
    let mut erased = 0;
    for record in records(&store) {
        if let Record::Other(Statement::Erase(erase)) = record {
            assert_eq!(erase.reason, EraseReason::Retention);
            for segment in &erase.segments {
                let age_us = erase.at.micros_since(segment.end);
                assert!((RETAIN_US..RETAIN_US + 3 * 3_600_000_000).contains(&age_us));
                erased += 1;
            }
        }
    }
    // Four days' worth of both cameras has gone, but for the one segment that is held.
    assert_eq!(erased, 4 * 8 * 2 - 1);
    let oldest = store.stats().unwrap().cameras[site.ext_01()].oldest.unwrap();
    assert_eq!(oldest.micros_since(BEGIN) / DAY_US, 1);
    // An hour that holds held footage keeps its key; hours without footage have none.
    let hours = store.key_state().unwrap().hours;
    assert!(hours.contains_key(&epoch_of(oldest)));
    assert!(hours.iter().all(|(hour, n)| *n > 0 || hour.abs_diff(epoch_of(site.clock.now())) < 5));
    let late = store.erasures().late;
    store.release_hold(&"h1".parse().unwrap()).unwrap();
    let swept = sweeper.sweep_with(PLENTY).unwrap();
    assert_eq!((swept.retired, swept.hours), (1, vec![epoch_of(oldest)]));
    assert_eq!(swept.late, None, "what a hold kept until now is not late");
    assert_eq!(store.erasures().late, late);
    sound(&store);
}

#[test]
fn a_hold_that_is_on_its_way_comes_before_what_it_would_lose() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    site.record(&store, site.ext_02(), 2).unwrap();
    // The site was off for the 31 days, and comes back: both segments are due.
    site.clock.advance_ms(32 * 86_400_000);
    let grace = Grace::at_start(site.clock.tick());
    let rules = Rules { reserve_bytes: 1 << 30, ..rules() };
    let sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules);
    let mut sweeper = sweeper.with_grace(grace.clone());
    assert_eq!(sweeper.sweep_with(PLENTY).unwrap().retired, 0);
    grace.handle_answer(true);
    site.clock.advance_ms(20_000);
    assert_eq!(sweeper.sweep_with(PLENTY).unwrap().retired, 0);
    // A full disc does not wait: recording goes on.
    assert_eq!(sweeper.sweep_with(0).unwrap().retired, 2);
    let (seconds, other) = (BEGIN.plus_seconds(60), site.ext_02());
    site.record(&store, site.ext_01(), 2).unwrap();
    let oldest = store.stats().unwrap().cameras[site.ext_01()].oldest.unwrap();
    store.place_hold(hold(&site, oldest, oldest.plus_seconds(2))).unwrap();
    let lost = custody::coverage::Span { from: BEGIN, to: seconds };
    assert_eq!(store.erased_within(other, lost).unwrap(), 1, "what a late hold lost is counted");
    grace.handle_answer(false);
    site.clock.advance_ms(32 * 86_400_000);
    assert_eq!(sweeper.sweep_with(PLENTY).unwrap().retired, 0, "it is held");
    sound(&store);
}

#[test]
fn a_full_disc_takes_the_oldest_unheld_first_and_says_so() {
    let site = Site::new();
    let (store, _) = site.start();
    let mut bytes = 0;
    for _ in 0..4 {
        bytes = site.record(&store, site.ext_01(), 1).unwrap().bytes;
    }
    store.place_hold(hold(&site, BEGIN, BEGIN.plus_seconds(1))).unwrap();
    let rules = Rules { reserve_bytes: 2 * bytes, ..rules() };
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules);
    let swept = sweeper.sweep_with(1).unwrap();
    assert_eq!(swept.early, [(site.ext_01().clone(), 2)]);
    assert!(store.segment_path(site.ext_01(), Seq(0)).unwrap().exists());
    assert!(store.segment_path(site.ext_01(), Seq(2)).is_err());
    assert!(store.segment_path(site.ext_01(), Seq(3)).unwrap().exists());
    sound(&store);
    let swept = sweeper.sweep_with(0).unwrap();
    assert!(swept.disc_full_of_holds);
    assert_eq!(store.stats().unwrap().segments, 1);
    sound(&store);
}

#[test]
fn a_class_with_a_short_ceiling_goes_on_time_and_the_others_stay() {
    let site = Site::new();
    let (store, _) = site.start();
    let hour_us = 3_600_000_000;
    let short = Keep { floor_us: hour_us, ceiling_us: 2 * hour_us };
    let cameras = BTreeMap::from([(site.ext_02().clone(), short)]);
    let rules = Rules { cameras, ..rules() };
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules.clone());
    for _ in 0..12 {
        for camera in &site.cameras {
            site.record(&store, camera, 1).unwrap();
        }
        site.clock.advance_ms(1_800_000 - 4000);
        sweeper.sweep_with(PLENTY).unwrap();
        let rows = store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap();
        let mut of_short = rows.iter().filter(|row| row.camera == *site.ext_02());
        let now = site.clock.now();
        assert!(of_short.all(|row| now.micros_since(row.end) < 2 * hour_us));
        sound(&store);
    }
    let stored = |camera| store.stats().unwrap().cameras[camera].segments;
    assert_eq!((stored(site.ext_01()), stored(site.ext_02())), (12, 4));
    // The disc is short: what is past its floor goes first, though it is younger; that is not early.
    let swept = sweeper.sweep_with(999).unwrap();
    assert_eq!((swept.retired, swept.early.len()), (1, 0));
    assert_eq!((stored(site.ext_01()), stored(site.ext_02())), (12, 3));
    assert_eq!((store.erasures().early, store.erasures().early_at), (0, None));
    // Shorter still: below the floors, the nearest to its own first.
    let bytes = store.stats().unwrap().bytes / 15;
    let shorter = Rules { reserve_bytes: bytes + bytes / 2, ..rules };
    sweeper = Sweeper::new(store.clone(), site.clock.clone(), shorter);
    let swept = sweeper.sweep_with(0).unwrap();
    assert!(swept.retired >= 1 && !swept.early.is_empty(), "{swept:?}");
    assert_eq!(swept.early[0].0, *site.ext_02());
    let early: usize = swept.early.iter().map(|(_, segments)| segments).sum();
    assert_eq!(store.erasures().early, early as u64);
    sound(&store);
    // Remembered over a restart, for 31 days.
    drop((store, sweeper));
    let (store, _) = site.start();
    assert_eq!(store.erasures().early, early as u64);
    site.clock.advance_ms(32 * 86_400_000);
    assert_eq!(store.erasures(), Erasures::default());
}

#[test]
fn what_goes_late_is_counted_over_restarts() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    site.clock.advance_ms(31 * 86_400_000 + 600_000);
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules());
    let swept = sweeper.sweep_with(PLENTY).unwrap();
    assert_eq!((swept.retired, swept.late_segments), (1, 1));
    drop((store, sweeper));
    let (store, _) = site.start();
    let erasures = store.erasures();
    assert_eq!((erasures.late, erasures.late_at), (1, Some(site.clock.now())));
}

#[test]
fn a_clock_that_jumps_ahead_erases_nothing_until_it_is_believed() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    let mut sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules());
    site.clock.step_wall(BEGIN.plus_seconds(40 * 86_400));
    let swept = sweeper.sweep_with(PLENTY).unwrap();
    assert!(swept.clock_doubted);
    assert_eq!(store.stats().unwrap().segments, 1);
    site.clock.step_wall(BEGIN.plus_seconds(10));
    assert!(!sweeper.sweep_with(PLENTY).unwrap().clock_doubted);
    site.clock.step_wall(BEGIN.plus_seconds(40 * 86_400));
    assert!(sweeper.sweep_with(PLENTY).unwrap().clock_doubted);
    site.clock.advance_ms(23 * 3_600_000);
    assert!(sweeper.sweep_with(PLENTY).unwrap().clock_doubted);
    site.clock.advance_ms(3_600_000);
    let swept = sweeper.sweep_with(PLENTY).unwrap();
    assert_eq!((swept.clock_doubted, swept.retired), (false, 1));
    sound(&store);
}

#[test]
fn a_start_far_ahead_of_the_footage_is_doubted_until_a_time_service_keeps_the_clock() {
    let newest = WallTime(1_000_000_000_000);
    let wall = newest.plus_seconds(41 * 86_400);
    let mut watch = ClockWatch::at_start(wall, 1_000, Some(newest));
    assert_eq!(watch.look(wall, 1_000), newest);
    assert_eq!(watch.look(wall.plus_seconds(60), 61_000), newest.plus_seconds(60));
    let mut kept = watch.clone();
    kept.handle_kept_clock();
    assert_eq!(kept.look(wall.plus_seconds(80), 81_000), wall.plus_seconds(80));
    // Without one it is believed after a day.
    let day = wall.plus_seconds(86_400 + 60);
    assert_eq!(watch.look(day, 1_000 + 86_460_000), day);
    // A restart soon after the last footage is nothing to doubt.
    let soon = newest.plus_seconds(120);
    assert_eq!(ClockWatch::at_start(soon, 5, Some(newest)).look(soon, 5), soon);
}
