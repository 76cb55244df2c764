//! Every durable step fails, before and after it took effect, and the agent starts again. What was
//! acknowledged is there, and the oracle finds nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use custody::record::{EraseReason, GapReason};
use custody::{CameraId, Seq, WallTime};

use super::super::{Disc, PlaceHold, Rotation, SegmentRow, Step, Store, StoreError};
use super::{Site, sound, told};
use crate::seal::{FileRoot, Root as _};

/// When the step that fails does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// A disc that loses power at its `at`-th step: from then on nothing more happens.
struct DyingDisc {
    at: usize,
    when: When,
    taken: AtomicUsize,
}

impl Disc for DyingDisc {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let number = self.taken.fetch_add(1, Ordering::SeqCst);
        if number < self.at {
            return act();
        }
        if number == self.at && self.when == When::After {
            act()?;
        }
        Err(io::Error::other(format!("power went at step {number}, {step:?}")))
    }
}

/// What was acknowledged before power went.
#[derive(Default)]
struct Promised {
    stored: Vec<(CameraId, Seq)>,
    /// Fragments of the segment being written.
    appended: Option<(CameraId, Seq, usize)>,
    held: bool,
    released: bool,
    erased: Vec<(CameraId, Seq)>,
    /// 1: the erased segments' keys are gone; 2: all keys are.
    rotations: u8,
    log_size: u64,
    /// Checkpoints that others may have seen.
    notes: Vec<Arc<[u8]>>,
}

fn hold(camera: &CameraId) -> PlaceHold {
    PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: camera.clone(),
        from: super::BEGIN,
        to: super::BEGIN.plus_seconds(3600),
        grounds: super::grounds(),
    }
}

/// A short day: record, miss, hold, erase, release keys, release.
fn day(site: &Site, store: &Store, done: &mut Promised) -> Result<(), StoreError> {
    record(site, store, site.ext_01(), done)?;
    site.clock.advance_ms(7000);
    store.gap(site.ext_01(), None, site.clock.now(), GapReason::StreamStalled, "")?;
    record(site, store, site.ext_02(), done)?;
    site.clock.advance_ms(4000);
    record(site, store, site.ext_02(), done)?;
    done.notes.extend(store.publish()?);
    store.place_hold(hold(site.ext_01()))?;
    done.held = true;
    record(site, store, site.ext_01(), done)?;
    done.log_size = store.log_size();
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 100)?;
    for camera in &site.cameras {
        let of: Vec<_> =
            rows.iter().filter(|row| row.camera == *camera).map(SegmentRow::reference).collect();
        let gone = store.condemn(camera, &of, EraseReason::DiscFull)?;
        done.erased.extend(gone.into_iter().map(|s| (camera.clone(), s.seq)));
    }
    while store.unlink_condemned()? > 0 {}
    let hold = hold(site.ext_01());
    store.release_keys(&hold.case, site.ext_01(), &[done.stored[0].1])?;
    done.log_size = store.log_size();
    done.notes.extend(store.publish()?);
    // A day passes: the heartbeat changes the records key.
    site.clock.advance_ms(82_900_000);
    store.heartbeat(&site.cameras.iter().map(|c| (c.clone(), String::new())).collect())?;
    store.release_hold(&hold.hold)?;
    done.released = true;
    done.notes.extend(store.publish()?);
    // The erased segments' hour lives on with what was held in it: it is re-keyed.
    let residues = store.key_state()?.residues;
    let rekey = Rotation { destroy: vec![], rekey: residues.into_keys().collect() };
    store.rotate_keys(&rekey)?;
    done.rotations = 1;
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 100)?;
    let of: Vec<_> = rows.iter().map(SegmentRow::reference).collect();
    let gone = store.condemn(site.ext_01(), &of, EraseReason::Retention)?;
    done.erased.extend(gone.into_iter().map(|s| (site.ext_01().clone(), s.seq)));
    while store.unlink_condemned()? > 0 {}
    for hour in store.key_hours()?.into_keys() {
        store.destroy_hour(hour)?;
    }
    done.rotations = 2;
    done.log_size = store.log_size();
    Ok(())
}

fn record(
    site: &Site,
    store: &Store,
    camera: &CameraId,
    done: &mut Promised,
) -> Result<(), StoreError> {
    let mut file = site.open(store, camera)?;
    let seq = file.seq();
    for appended in 1..=2 {
        site.append(&mut file)?;
        done.appended = Some((camera.clone(), seq, appended));
    }
    file.close(site.clock.now(), 0, None)?;
    done.appended = None;
    done.stored.push((camera.clone(), seq));
    Ok(())
}

/// What was acknowledged before power went is so after the next start.
fn kept(site: &Site, store: &Store, done: &Promised) {
    assert!(store.log_size() >= done.log_size);
    assert_eq!(store.alarms(), []);
    for note in &done.notes {
        let note = custody::log::SignedCheckpoint::read(note).unwrap();
        let seen = note.check(&store.log_vkey()).unwrap();
        assert_eq!(store.log_root(seen.size).unwrap(), seen.root, "the log has forked");
    }
    for (camera, seq) in &done.stored {
        let gone = done.erased.contains(&(camera.clone(), *seq));
        let there = store.segment_path(camera, *seq);
        if gone {
            assert!(matches!(there, Err(StoreError::Refused { .. })), "{camera} {seq} is erased");
        } else if done.erased.is_empty() && camera.name() == "ext-01" {
            store.segment_key(camera, *seq).unwrap_or_else(|e| panic!("{camera} {seq}: {e}"));
        }
    }
    if let Some((camera, seq, fragments)) = &done.appended {
        let file = std::fs::read(store.segment_path(camera, *seq).unwrap()).unwrap();
        let sealed = custody::sealed::SealedSegment::read(&file).unwrap();
        assert!(sealed.fragments.len() >= *fragments, "{camera} {seq} lost a fragment");
    }
    if done.held && !done.released {
        // A release that was being made may have gone through; a hold may not vanish without one.
        let released = super::records(store).iter().any(|record| {
            matches!(record, custody::record::Record::Other(custody::record::Statement::Release(_)))
        });
        assert_eq!(store.holds().len(), usize::from(!released));
    }
    if done.released {
        assert!(store.holds().is_empty());
    }
    let state = store.key_state().unwrap();
    assert!(!state.unfinished, "a start finishes what was cut off");
    assert!(done.rotations < 1 || state.residues.keys().all(|hour| state.hours[hour] == 0));
    assert!(done.rotations < 2 || state.hours.is_empty(), "{state:?}");
    let root = FileRoot::new(&site.folder().join("keys"));
    assert_eq!(root.secrets().unwrap().len(), 1, "no site key of a cut-off rotation remains");
}

/// In how many tests the steps are shared out, so that they run side by side.
const PARTS: usize = 4;

/// Runs the day with power going at every fourth step in turn, from `first` on.
fn every_step(when: When, first: usize) {
    for at in (first..).step_by(PARTS) {
        let site = Site::new();
        let disc = Arc::new(DyingDisc { at, when, taken: AtomicUsize::new(0) });
        let mut done = Promised::default();
        let ended = site
            .start_on(Arc::clone(&disc) as Arc<dyn Disc>)
            .and_then(|(store, _)| day(&site, &store, &mut done));
        site.clock.advance_ms(60_000);
        let (store, _) = site.start();
        sound(&store);
        kept(&site, &store, &done);
        store.publish().unwrap().expect("nothing was contradicted");
        sound(&store);
        for camera in &site.cameras {
            site.record(&store, camera, 1).unwrap_or_else(|e| panic!("step {at}: {}", told(&e)));
        }
        sound(&store);
        if ended.is_ok() {
            assert!(disc.taken.load(Ordering::SeqCst) <= at);
            assert!(at > 60, "the day has more steps than {at}");
            return;
        }
    }
}

#[test]
fn power_may_go_before_any_step_part_1() {
    every_step(When::Before, 0);
}

#[test]
fn power_may_go_before_any_step_part_2() {
    every_step(When::Before, 1);
}

#[test]
fn power_may_go_before_any_step_part_3() {
    every_step(When::Before, 2);
}

#[test]
fn power_may_go_before_any_step_part_4() {
    every_step(When::Before, 3);
}

#[test]
fn power_may_go_after_any_step_part_1() {
    every_step(When::After, 0);
}

#[test]
fn power_may_go_after_any_step_part_2() {
    every_step(When::After, 1);
}

#[test]
fn power_may_go_after_any_step_part_3() {
    every_step(When::After, 2);
}

#[test]
fn power_may_go_after_any_step_part_4() {
    every_step(When::After, 3);
}

/// A disc on which one kind of step finds no space, so many times.
struct FullDisc {
    step: Step,
    times: AtomicUsize,
}

impl Disc for FullDisc {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let full = step == self.step
            && self
                .times
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1))
                .is_ok();
        if full { Err(io::Error::from_raw_os_error(28)) } else { act() }
    }
}

#[test]
fn a_full_disc_costs_the_fragment_and_a_gap_says_so() {
    for step in [Step::WriteHead, Step::WriteFragment, Step::WriteManifest] {
        let site = Site::new();
        let disc = Arc::new(FullDisc { step, times: AtomicUsize::new(0) });
        let (store, _) = site.start_on(Arc::clone(&disc) as Arc<dyn Disc>).unwrap();
        let camera = site.ext_01();
        site.record(&store, camera, 2).unwrap();
        disc.times.store(1, Ordering::SeqCst);
        let full = site.record(&store, camera, 2);
        assert!(matches!(full, Err(StoreError::DiscFull { .. })), "{step:?}");
        site.clock.advance_ms(1000);
        store.gap(camera, None, site.clock.now(), GapReason::DiscFull, "").unwrap();
        site.record(&store, camera, 2).unwrap();
        sound(&store);
        let chain = super::chain(&store, camera);
        assert_eq!(chain.last(), Some(&"segment"), "{step:?}");
        let expected = if step == Step::WriteManifest { "recovered" } else { "disc-full" };
        assert!(chain.contains(&expected), "{step:?}: {chain:?}");
    }
}

#[test]
fn a_failed_sync_ends_everything_until_the_next_start() {
    let site = Site::new();
    let disc = Arc::new(FullDisc { step: Step::SyncFile, times: AtomicUsize::new(0) });
    let (store, _) = site.start_on(Arc::clone(&disc) as Arc<dyn Disc>).unwrap();
    site.record(&store, site.ext_02(), 1).unwrap();
    disc.times.store(1, Ordering::SeqCst);
    let failed = site.record(&store, site.ext_01(), 1).unwrap_err();
    assert!(failed.is_fatal());
    let other = site.record(&store, site.ext_02(), 1).unwrap_err();
    assert!(other.is_fatal(), "no camera goes on: {other}");
    drop(store);
    let (store, _) = site.start();
    sound(&store);
}

#[test]
fn a_disc_that_is_full_at_the_start_still_lets_the_store_open() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    let mut file = site.open(&store, site.ext_01()).unwrap();
    site.append(&mut file).unwrap();
    drop((file, store));
    let disc = Arc::new(FullDisc { step: Step::WriteManifest, times: AtomicUsize::new(1) });
    let (store, recovery) = site.start_on(disc).unwrap();
    assert_eq!(recovery.unsettled[0].0, *site.ext_01());
    sound(&store);
    site.clock.advance_ms(5000);
    store.gap(site.ext_01(), None, site.clock.now(), GapReason::DiscFull, "").unwrap();
    sound(&store);
    assert_eq!(super::chain(&store, site.ext_01()), ["segment", "recovered", "disc-full"]);
}

#[test]
fn while_the_segment_disc_is_away_nothing_is_kept_elsewhere_and_nothing_is_forgotten() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    site.record(&store, camera, 2).unwrap();
    site.record(&store, site.ext_02(), 2).unwrap();
    let mut file = site.open(&store, camera).unwrap();
    site.append(&mut file).unwrap();
    drop(file);
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 100).unwrap();
    let of: Vec<_> = rows.iter().filter(|row| row.camera == *site.ext_02()).collect();
    let refs: Vec<_> = of.iter().map(|row| row.reference()).collect();
    store.condemn(site.ext_02(), &refs, EraseReason::DiscFull).unwrap();

    // The disc is unmounted: an empty folder of another disc lies there.
    let (segments, away) = (site.folder().join("segments"), site.folder().join("away"));
    host::durable::rename(&segments, &away).unwrap();
    std::fs::create_dir(&segments).unwrap();
    for refused in [
        site.open(&store, camera).map(drop),
        site.open(&store, site.ext_02()).map(drop),
        store.gap(camera, None, site.clock.now(), GapReason::DiscFault, ""),
        store.unlink_condemned().map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::DiscFault { .. })), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(&segments).unwrap().count(), 0, "nothing lies on another disc");

    // It is back: the fragment that was synced is there, and what was to go goes.
    std::fs::remove_dir(&segments).unwrap();
    host::durable::rename(&away, &segments).unwrap();
    site.clock.advance_ms(5000);
    store.gap(camera, None, site.clock.now(), GapReason::DiscFault, "").unwrap();
    let expected = ["segment", "stream-ended", "recovered", "disc-fault"];
    assert_eq!(super::chain(&store, camera), expected);
    assert_eq!(store.unlink_condemned().unwrap(), 1);
    sound(&store);
}

#[test]
fn a_new_file_system_with_its_own_folder_is_no_footage() {
    let site = Site::new();
    std::fs::create_dir_all(site.folder().join("segments/lost+found")).unwrap();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    sound(&store);
}

#[test]
fn an_older_copy_of_the_segment_disc_is_refused_by_name() {
    let site = Site::new();
    drop(site.start());
    let volume = site.folder().join("segments/volume.json");
    let older = std::fs::read(&volume).unwrap();
    drop(site.start());
    drop(site.start());
    std::fs::write(&volume, older).unwrap();
    let refused = site.start_on(Arc::new(super::super::RealDisc)).err().unwrap();
    assert!(matches!(refused, StoreError::Volume { .. }), "{}", told(&refused));
    assert!(told(&refused).contains("is an older copy"), "{}", told(&refused));
}
