//! Footage on two discs: moved, erased, held, lost sight of and found again, with every durable step
//! failing in turn. The oracle runs after every step.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use custody::coverage::Span;
use custody::record::EraseReason;
use custody::{CameraId, Seq, WallTime};
use tempfile::TempDir;

use super::super::{
    Disc, Moved, PlaceHold, RealDisc, Recovery, Rotation, SegmentRow, Step, Store, StoreError,
};
use super::{BEGIN, Site, grounds, read_in, sound, told};

/// A site and the folder where its second disc is mounted.
struct Two {
    site: Site,
    second: TempDir,
}

impl Two {
    fn new() -> Self {
        let second = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { site: Site::new(), second }
    }

    fn start(&self) -> (Store, Recovery) {
        self.start_on(Arc::new(RealDisc)).unwrap_or_else(|e| panic!("{}", told(&e)))
    }

    fn start_on(&self, disc: Arc<dyn Disc>) -> Result<(Store, Recovery), StoreError> {
        self.site.start_tiered(self.second.path(), disc)
    }

    fn root(&self) -> PathBuf {
        self.second.path().join("segments")
    }

    /// Unmounts the second disc; gives where it is now.
    fn unmount(&self) -> PathBuf {
        let away = self.second.path().with_extension("away");
        host::durable::rename(self.second.path(), &away).unwrap();
        fs::create_dir(self.second.path()).unwrap();
        away
    }

    fn mount(&self, away: &Path) {
        fs::remove_dir_all(self.second.path()).unwrap();
        host::durable::rename(away, self.second.path()).unwrap();
    }
}

fn rows(store: &Store, camera: &CameraId) -> Vec<SegmentRow> {
    let mut rows = store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap();
    rows.retain(|row| row.camera == *camera);
    rows
}

fn move_all(store: &Store, camera: &CameraId) -> Result<Moved, StoreError> {
    let rows = store.by_disc(rows(store, camera))?.0;
    store.move_to_second(camera, &rows, &mut |_| {})
}

fn erase(store: &Store, camera: &CameraId, rows: &[SegmentRow]) -> Result<usize, StoreError> {
    let of: Vec<_> = rows.iter().map(SegmentRow::reference).collect();
    let gone = store.condemn(camera, &of, EraseReason::Retention)?;
    while store.unlink_condemned()? > 0 {}
    Ok(gone.len())
}

/// How many segment files lie under a folder.
fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            usize::from(path.extension().is_some_and(|e| e == "whseg"))
        }
    };
    entries.map(|entry| of(entry.unwrap().path())).sum()
}

fn codes(store: &Store) -> Vec<&'static str> {
    store.alarms().into_iter().map(|(code, _)| code).collect()
}

#[test]
fn a_moved_segment_is_the_same_on_the_other_disc() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..3 {
        two.site.record(&store, camera, 2).unwrap();
    }
    two.site.record(&store, two.site.ext_02(), 1).unwrap();
    let before = fs::read(store.segment_path(camera, Seq(1)).unwrap()).unwrap();
    let moved = move_all(&store, camera).unwrap();
    assert_eq!((moved.segments, moved.stayed.len()), (3, 0));
    assert!(moved.refused.is_none());
    sound(&store);
    let path = store.segment_path(camera, Seq(1)).unwrap();
    assert_eq!(path, two.root().join("ext-01/2026-11-22/14/0000000001.whseg"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!((files(&two.root()), files(&two.site.folder().join("segments"))), (3, 1));
    assert!(store.second_space().unwrap().unwrap().total_bytes > 0);

    // Held, released and erased where it lies.
    let hold = PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: camera.clone(),
        from: BEGIN,
        to: BEGIN.plus_seconds(4),
        grounds: grounds(),
    };
    assert_eq!(store.place_hold(hold.clone()).unwrap(), 1);
    assert_eq!(store.release_keys(&hold.case, camera, &[Seq(0)]).unwrap().0.len(), 1);
    assert_eq!(erase(&store, camera, &rows(&store, camera)).unwrap(), 2);
    sound(&store);
    assert_eq!(files(&two.root()), 1);
    drop(store);
    let (store, _) = two.start();
    sound(&store);
    store.segment_key(camera, Seq(0)).unwrap();
    store.release_hold(&hold.hold).unwrap();
    erase(&store, camera, &rows(&store, camera)).unwrap();
    sound(&store);
    assert_eq!(files(&two.root()), 0);
    assert_eq!(codes(&store), [""; 0]);
}

#[test]
fn an_absent_or_swapped_second_disc_is_an_alarm_and_recording_goes_on() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..2 {
        two.site.record(&store, camera, 2).unwrap();
    }
    move_all(&store, camera).unwrap();
    let away = two.unmount();
    assert!(!store.look_at_second().unwrap());
    assert_eq!(codes(&store), ["second-tier-away"]);
    let refused = store.segment_path(camera, Seq(0)).unwrap_err().to_string();
    assert!(refused.contains("not mounted"), "{refused}");
    two.site.record(&store, camera, 1).unwrap();
    assert_eq!(move_all(&store, camera).unwrap().segments, 0);
    assert!(!two.root().exists(), "nothing is written where no disc is mounted");
    sound(&store);
    drop(store);

    // The same at a start; and with a disc of another store.
    let (store, _) = two.start();
    assert_eq!(codes(&store), ["second-tier-away"]);
    let other = r#"{"volume":"00112233445566778899aabbccddeeff","site":"east"}"#;
    fs::create_dir(two.root()).unwrap();
    fs::write(two.root().join("volume.json"), other).unwrap();
    assert!(!store.look_at_second().unwrap());
    let said = store.alarms();
    assert!(said[0].1.contains("another disc is there"), "{said:?}");
    assert!(store.second_state().unwrap().contains("another disc"));
    two.site.record(&store, camera, 1).unwrap();

    // What is erased meanwhile opens for nobody at once; its file goes when the disc is back.
    two.site.clock.advance_ms(3 * 3_600_000);
    assert_eq!(erase(&store, camera, &rows(&store, camera)).unwrap(), 4);
    for hour in store.key_hours().unwrap().into_keys() {
        assert!(store.destroy_hour(hour).unwrap());
    }
    assert_eq!((files(&away), files(&two.site.folder().join("segments"))), (2, 0));
    two.mount(&away);
    assert!(store.look_at_second().unwrap());
    assert_eq!(codes(&store), [""; 0]);
    while store.unlink_condemned().unwrap() > 0 {}
    assert_eq!(files(&two.root()), 0);
    sound(&store);
}

#[test]
fn what_is_erased_while_it_is_copied_lies_nowhere() {
    let two = Two::new();
    let camera = two.site.ext_01().clone();
    let (store, _) = two.start();
    for _ in 0..3 {
        two.site.record(&store, &camera, 2).unwrap();
    }
    let all = rows(&store, &camera);
    let mut calls = 0;
    let moved = store.move_to_second(&camera, &all, &mut |_| {
        calls += 1;
        if calls == 1 {
            erase(&store, &camera, &all[..2]).unwrap();
        }
    });
    assert_eq!(moved.unwrap().segments, 1);
    sound(&store);
    assert_eq!((files(&two.root()), files(&two.site.folder().join("segments"))), (1, 0));
}

#[test]
fn damaged_footage_stays_where_it_is() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..2 {
        two.site.record(&store, camera, 2).unwrap();
    }
    let path = store.segment_path(camera, Seq(0)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let moved = move_all(&store, camera).unwrap();
    assert_eq!((moved.segments, moved.stayed.len(), moved.stayed[0].0), (1, 1, Seq(0)));
    assert_eq!(store.segment_path(camera, Seq(0)).unwrap(), path);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(files(&two.root()), 1);
}

#[test]
fn a_lost_index_is_built_again_from_both_discs() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..2 {
        two.site.record(&store, camera, 2).unwrap();
    }
    let first_copy = store.segment_path(camera, Seq(1)).unwrap();
    let kept = fs::read(&first_copy).unwrap();
    move_all(&store, camera).unwrap();
    two.site.record(&store, camera, 2).unwrap();
    drop(store);
    // As if power had gone before the first copy was unlinked.
    fs::create_dir_all(first_copy.parent().unwrap()).unwrap();
    fs::write(&first_copy, kept).unwrap();
    fs::remove_dir_all(two.site.folder().join("index")).unwrap();
    let (store, recovery) = two.start();
    assert!(recovery.rebuilt && recovery.strays.is_empty(), "{recovery:?}");
    sound(&store);
    read_in(&store);
    sound(&store);
    assert!(store.look_at_second().unwrap());
    sound(&store);
    assert_eq!((files(&two.root()), files(&two.site.folder().join("segments"))), (1, 2));
    assert!(store.segment_path(camera, Seq(0)).unwrap().starts_with(two.root()));
    assert_eq!(store.segment_path(camera, Seq(1)).unwrap(), first_copy);
}

#[test]
fn a_lost_index_is_not_whole_while_the_second_disc_is_away() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..2 {
        two.site.record(&store, camera, 2).unwrap();
    }
    move_all(&store, camera).unwrap();
    two.site.clock.advance_ms(3 * 3_600_000);
    two.site.record(&store, camera, 1).unwrap();
    let before = rows(&store, camera);
    drop(store);
    let away = two.unmount();
    fs::remove_dir_all(two.site.folder().join("index")).unwrap();
    let (store, _) = two.start();
    let waits = loop {
        match store.read_in() {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    let why = waits.unwrap_err().to_string();
    assert!(why.contains("second.json"), "{why}");
    // Nothing that may lie there is said to be missing, and no key goes.
    let span = Span { from: BEGIN, to: BEGIN.plus_seconds(60) };
    assert!(matches!(store.find(camera, span), Err(StoreError::NotYet { .. })));
    for hour in store.key_hours().unwrap().into_keys() {
        assert!(!store.destroy_hour(hour).unwrap());
    }
    two.site.record(&store, camera, 1).unwrap();
    sound(&store);
    two.mount(&away);
    assert!(store.look_at_second().unwrap());
    read_in(&store);
    sound(&store);
    let after = rows(&store, camera);
    assert!(before.iter().all(|row| after.contains(row)) && after.len() == 4);
    for row in &after {
        store.segment_key(camera, row.seq).unwrap();
    }
    assert_eq!(codes(&store), [""; 0]);
}

#[test]
fn an_hours_keys_change_only_when_its_survivors_on_the_second_disc_can_be_read() {
    let two = Two::new();
    let camera = two.site.ext_01();
    let (store, _) = two.start();
    for _ in 0..2 {
        two.site.record(&store, camera, 2).unwrap();
    }
    move_all(&store, camera).unwrap();
    assert_eq!(erase(&store, camera, &rows(&store, camera)[..1]).unwrap(), 1);
    two.site.clock.advance_ms(3 * 3_600_000);
    let hour = rows(&store, camera)[0].epoch;
    let ask = Rotation { destroy: vec![], rekey: vec![hour] };
    let away = two.unmount();
    assert!(!store.look_at_second().unwrap());
    store.rotate_keys(&ask).unwrap();
    assert!(store.key_state().unwrap().residues.contains_key(&hour));
    two.mount(&away);
    assert!(store.look_at_second().unwrap());
    store.rotate_keys(&ask).unwrap();
    assert!(store.key_state().unwrap().residues.is_empty());
    store.segment_key(camera, Seq(1)).unwrap();
    sound(&store);
}

/// A disc that loses power at its `at`-th step, or refuses that one alone.
struct FailingDisc {
    at: usize,
    /// Whether the step takes effect all the same.
    takes_effect: bool,
    /// Whether nothing happens from then on.
    dies: bool,
    taken: AtomicUsize,
}

impl Disc for FailingDisc {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let number = self.taken.fetch_add(1, Ordering::SeqCst);
        if number < self.at || (number > self.at && !self.dies) {
            return act();
        }
        if number == self.at && self.takes_effect {
            act()?;
        }
        Err(io::Error::other(format!("failed at step {number}, {step:?}")))
    }
}

/// Records, moves, erases on both discs; gives the segments that must be there after.
fn day(two: &Two, store: &Store, kept: &mut Vec<(CameraId, Seq)>) -> Result<(), StoreError> {
    let site = &two.site;
    for camera in [site.ext_01(), site.ext_02(), site.ext_01(), site.ext_01()] {
        let stored = site.record(store, camera, 2)?;
        kept.push((camera.clone(), stored.seq));
    }
    move_all(store, site.ext_01())?;
    site.record(store, site.ext_01(), 1)?;
    let oldest = rows(store, site.ext_01()).into_iter().next().expect("it was just recorded");
    kept.retain(|(camera, seq)| (camera, *seq) != (site.ext_01(), oldest.seq));
    erase(store, site.ext_01(), &[oldest])?;
    move_all(store, site.ext_02())?;
    site.record(store, site.ext_02(), 1)?;
    store.look_at_second()?;
    Ok(())
}

/// Runs the day with every other step failing in its turn, from `first` on.
fn every_step(takes_effect: bool, dies: bool, first: usize) {
    for at in (first..).step_by(2) {
        let two = Two::new();
        let taken = AtomicUsize::new(0);
        let disc = Arc::new(FailingDisc { at, takes_effect, dies, taken });
        let mut kept = Vec::new();
        let ended = two
            .start_on(Arc::clone(&disc) as Arc<dyn Disc>)
            .and_then(|(store, _)| day(&two, &store, &mut kept));
        two.site.clock.advance_ms(60_000);
        let (store, _) = two.start();
        sound(&store);
        assert!(store.look_at_second().unwrap(), "step {at}");
        for (camera, seq) in &kept {
            let path = store.segment_path(camera, *seq).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert!(path.exists(), "step {at}: {camera} {seq} lies nowhere");
            store.segment_key(camera, *seq).unwrap();
        }
        for camera in &two.site.cameras {
            move_all(&store, camera).unwrap();
            two.site.record(&store, camera, 1).unwrap();
        }
        sound(&store);
        // Nothing lies on both discs, and all that was stored before on the second.
        let all: usize = two.site.cameras.iter().map(|camera| rows(&store, camera).len()).sum();
        let on = (files(&two.root()), files(&two.site.folder().join("segments")));
        assert_eq!(on, (all - 2, 2), "step {at}");
        if disc.taken.load(Ordering::SeqCst) <= at {
            assert!(ended.is_ok() && at > 60, "the day has more steps than {at}");
            return;
        }
    }
}

#[test]
fn power_may_go_before_any_step_of_a_move_part_1() {
    every_step(false, true, 0);
}

#[test]
fn power_may_go_before_any_step_of_a_move_part_2() {
    every_step(false, true, 1);
}

#[test]
fn power_may_go_after_any_step_of_a_move_part_1() {
    every_step(true, true, 0);
}

#[test]
fn power_may_go_after_any_step_of_a_move_part_2() {
    every_step(true, true, 1);
}

#[test]
fn any_one_step_of_a_move_may_be_refused_part_1() {
    every_step(false, false, 0);
}

#[test]
fn any_one_step_of_a_move_may_be_refused_part_2() {
    every_step(false, false, 1);
}

#[test]
fn a_second_disc_that_refuses_costs_nothing() {
    for step in [Step::CopySegment, Step::SyncCopy, Step::SyncCopyFolder, Step::RemoveCopy] {
        let two = Two::new();
        let refusing = Arc::new(Refusing { step, from: AtomicUsize::new(usize::MAX) });
        let (store, _) = two.start_on(Arc::clone(&refusing) as Arc<dyn Disc>).unwrap();
        let camera = two.site.ext_01();
        two.site.record(&store, camera, 2).unwrap();
        refusing.from.store(0, Ordering::SeqCst);
        let moved = move_all(&store, camera).unwrap();
        assert_eq!(moved.segments, usize::from(step == Step::RemoveCopy), "{step:?}");
        assert_eq!(moved.refused.is_some(), step != Step::RemoveCopy, "{step:?}");
        two.site.record(&store, camera, 2).unwrap();
        sound(&store);
        refusing.from.store(usize::MAX, Ordering::SeqCst);
        store.look_at_second().unwrap();
        move_all(&store, camera).unwrap();
        sound(&store);
        assert_eq!(files(&two.root()), 2, "{step:?}");
    }
}

/// A disc that refuses one kind of step from then on.
struct Refusing {
    step: Step,
    from: AtomicUsize,
}

impl Disc for Refusing {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if step == self.step && self.from.load(Ordering::SeqCst) == 0 {
            return Err(io::Error::other(format!("{step:?} is refused")));
        }
        act()
    }
}
