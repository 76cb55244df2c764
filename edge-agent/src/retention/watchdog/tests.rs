//! The watchdog over real stores: one that is swept, one that nobody sweeps, one whose clock is
//! doubted, one whose disc is too small.

use super::super::plan::Keep;
use super::super::sweep::Sweeper;
use super::*;
use crate::store::PlaceHold;
use crate::store::tests::{Site, sound};

const HOUR_MS: u64 = 3_600_000;
const PLENTY: u64 = 1 << 50;

struct Scene {
    site: Site,
    store: Store,
    sweeper: Sweeper,
    watchdog: Watchdog,
}

/// Two cameras, kept for so many hours at least and at most.
fn scene(floor_hours: i64, ceiling_hours: i64) -> Scene {
    let site = Site::new();
    let (store, _) = site.start();
    let standard = Keep { floor_us: floor_hours * HOUR_US, ceiling_us: ceiling_hours * HOUR_US };
    let rules = Rules { standard, cameras: BTreeMap::new(), reserve_bytes: 0 };
    let sweeper = Sweeper::new(store.clone(), site.clock.clone(), rules.clone());
    let recorded = site.cameras.iter().map(|camera| (camera.clone(), Some(8))).collect();
    let settings = Settings { rules, recorded, second_reserve_bytes: 0 };
    let watchdog = Watchdog::new(store.clone(), site.clock.clone(), settings, sweeper.last());
    Scene { site, store, sweeper, watchdog }
}

impl Scene {
    fn codes(&mut self, free_bytes: u64) -> Vec<&'static str> {
        self.watchdog.look_with(free_bytes).unwrap();
        self.store.alarms().into_iter().map(|(code, _)| code).collect()
    }

    /// A minute passes.
    fn minute(&self) {
        self.site.clock.advance_ms(60_000);
    }
}

#[test]
fn a_store_that_is_swept_raises_nothing_and_its_figures_are_known() {
    let mut scene = scene(2, 3);
    for _ in 0..20 {
        for camera in &scene.site.cameras {
            scene.site.record(&scene.store, camera, 1).unwrap();
        }
        scene.site.clock.advance_ms(HOUR_MS / 4 - 4000);
        scene.sweeper.sweep_with(PLENTY).unwrap();
        assert_eq!(scene.codes(PLENTY), Vec::<&str>::new());
    }
    let standing = scene.watchdog.board().standing();
    let now = scene.site.clock.now();
    assert_eq!((standing.at, standing.shortfall), (Some(now), None));
    for camera in &scene.site.cameras {
        let seen = standing.cameras[camera];
        assert_eq!(
            seen.oldest.map(|o| o.start),
            scene.store.stats().unwrap().cameras[camera].oldest
        );
        assert!(now.micros_since(seen.oldest.unwrap().end) < 3 * HOUR_US);
        assert_eq!(seen.expected_kbps, Some(8));
        assert!(seen.day_kbps.is_some() && seen.hour_kbps.is_some());
    }
    sound(&scene.store);
}

#[test]
fn a_store_that_nobody_sweeps_is_told_from_one_that_is() {
    let mut scene = scene(2, 2);
    scene.site.record(&scene.store, scene.site.ext_01(), 1).unwrap();
    assert!(scene.codes(PLENTY).is_empty());
    scene.site.clock.advance_ms(limits::SWEEP_OVERDUE_MS);
    assert_eq!(scene.codes(PLENTY), ["sweep-overdue"]);
    scene.site.clock.advance_ms(2 * HOUR_MS - limits::SWEEP_OVERDUE_MS + 600_000);
    assert_eq!(scene.codes(PLENTY), ["sweep-overdue"], "ten minutes are not over, or only just");
    scene.minute();
    scene.watchdog.look_with(PLENTY).unwrap();
    scene.minute();
    assert_eq!(scene.codes(PLENTY), ["over-ceiling", "sweep-overdue"]);
    let (_, said) = scene.store.alarms().remove(0);
    assert!(said.contains("east/ext-01") && said.contains("1 camera"), "{said}");
    // The sweep comes at last: both are over, and what went late stays counted.
    scene.sweeper.sweep_with(PLENTY).unwrap();
    assert!(scene.codes(PLENTY).is_empty());
    assert_eq!(scene.watchdog.board().standing().erasures.late, 1);
}

#[test]
fn footage_that_a_doubted_clock_keeps_is_over_its_ceiling_all_the_same() {
    let mut scene = scene(2, 2);
    scene.site.record(&scene.store, scene.site.ext_01(), 1).unwrap();
    scene.site.clock.step_wall(scene.site.clock.now().plus_seconds(3 * 3600));
    for _ in 0..2 {
        scene.minute();
        assert!(scene.sweeper.sweep_with(PLENTY).unwrap().clock_doubted);
        scene.watchdog.look_with(PLENTY).unwrap();
    }
    assert_eq!(scene.codes(PLENTY), ["over-ceiling"]);
}

#[test]
fn held_footage_is_over_nothing_and_its_release_is_no_alarm() {
    let mut scene = scene(2, 2);
    let begin = scene.site.clock.now();
    let segment = scene.site.record(&scene.store, scene.site.ext_01(), 1).unwrap();
    let place = PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: scene.site.ext_01().clone(),
        from: begin,
        to: begin.plus_micros(1),
        grounds: crate::store::tests::grounds(),
    };
    scene.store.place_hold(place).unwrap();
    scene.site.clock.advance_ms(100 * HOUR_MS);
    for _ in 0..3 {
        scene.minute();
        scene.sweeper.sweep_with(PLENTY).unwrap();
        assert!(scene.codes(PLENTY).is_empty());
    }
    assert_eq!(scene.watchdog.board().standing().cameras[scene.site.ext_01()].oldest, None);
    scene.store.release_hold(&"h1".parse().unwrap()).unwrap();
    // The look comes before the sweep that takes it.
    assert!(scene.codes(PLENTY).is_empty());
    assert_eq!(scene.sweeper.sweep_with(PLENTY).unwrap().retired, 1);
    scene.minute();
    assert!(scene.codes(PLENTY).is_empty());
    assert_eq!(scene.store.erasures(), Erasures::default());
    assert!(scene.store.segment_path(scene.site.ext_01(), segment.seq).is_err());
}

#[test]
fn a_disc_too_small_is_foretold_and_an_early_erasure_stays_an_alarm_for_31_days() {
    let mut scene = scene(100, 200);
    // 8 kbit/s are 3.6 MB an hour, of two cameras; the disc has room for ten hours.
    assert_eq!(scene.codes(72_000_000), ["retention-at-risk"]);
    let standing = scene.watchdog.board().standing();
    let hours = standing.shortfall.unwrap().micros_since(scene.site.clock.now()) / HOUR_US;
    assert!((9..=10).contains(&hours), "{hours}");
    assert_eq!(standing.lacking_bytes, 7_200_000 * 90);
    let (_, said) = scene.store.alarms().remove(0);
    assert!(said.contains("lower") && said.contains("east/ext-02 8"), "{said}");
    assert!(scene.codes(720_000_000).is_empty());
    // It came to that.
    scene.site.record(&scene.store, scene.site.ext_01(), 1).unwrap();
    scene.watchdog.settings.rules.reserve_bytes = 1;
    let rules = scene.watchdog.settings.rules.clone();
    scene.sweeper = Sweeper::new(scene.store.clone(), scene.site.clock.clone(), rules);
    scene.watchdog.last_sweep = scene.sweeper.last();
    assert_eq!(scene.sweeper.sweep_with(0).unwrap().early.len(), 1);
    assert_eq!(scene.codes(PLENTY), ["under-floor"]);
    for (days, expected) in [(30, &["under-floor"][..]), (2, &[])] {
        scene.site.clock.advance_ms(days * 24 * HOUR_MS);
        scene.sweeper.sweep_with(PLENTY).unwrap();
        assert_eq!(scene.codes(PLENTY), expected);
    }
    sound(&scene.store);
}
