//! Rot of every kind is found, logged, refused and mended, whatever the restarts in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use custody::WallTime;
use custody::record::{DamageOutcome, EraseReason, Record, Statement};

use super::*;
use crate::store::RealDisc;
use crate::store::tests::{Site, records, sound};

const RULES: Rules = Rules { pass_s: 86_400, bytes_per_second_max: 1 << 20 };

/// A second place that holds what it was given.
#[derive(Default)]
struct Vault(Mutex<BTreeMap<(CameraId, Seq), Vec<u8>>>);

impl Vault {
    fn keep(&self, camera: &CameraId, seq: Seq, bytes: Vec<u8>) {
        self.0.lock().unwrap().insert((camera.clone(), seq), bytes);
    }
}

impl SecondCopy for Vault {
    fn fetch(&self, camera: &CameraId, seq: Seq, _: u64) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().get(&(camera.clone(), seq)).cloned())
    }
}

fn path(store: &Store, camera: &CameraId, seq: u64) -> PathBuf {
    store.segment_path(camera, Seq(seq)).unwrap()
}

/// Steps until it rests; what it did.
fn pass(scrubber: &mut Scrubber) -> Vec<Done> {
    let mut done = Vec::new();
    loop {
        match scrubber.step(&mut |_| {}).unwrap() {
            Done::Rest(0) => {}
            Done::Rest(_) => return done,
            other => done.push(other),
        }
    }
}

fn outcomes(store: &Store) -> Vec<(u64, DamageOutcome)> {
    let of = |record| match record {
        Record::Other(Statement::Damage(it)) => Some((it.segment.seq.0, it.outcome)),
        _ => None,
    };
    records(store).into_iter().filter_map(of).collect()
}

/// Spoils the first five files, each in its own way.
fn spoil(store: &Store, camera: &CameraId, sound_files: &[Vec<u8>]) {
    let middle = |bytes: &[u8], of: &[u8]| bytes.windows(of.len()).position(|w| w == of).unwrap();
    for (seq, bytes) in sound_files.iter().enumerate().take(5) {
        let file = path(store, camera, seq as u64);
        let mut rotten = bytes.clone();
        let sealed = custody::sealed::SealedSegment::read(bytes).unwrap();
        match seq {
            0 => rotten[middle(bytes, sealed.fragments[1].sealed)] ^= 1,
            1 => {
                let at = middle(bytes, sealed.header.wrapped_key.as_bytes());
                rotten[at] = if rotten[at] == b'0' { b'1' } else { b'0' };
            }
            2 => rotten[middle(bytes, sealed.init.unwrap())] ^= 1,
            3 => rotten.truncate(bytes.len() - 1),
            _ => {
                fs::remove_file(&file).unwrap();
                continue;
            }
        }
        fs::write(&file, rotten).unwrap();
    }
}

#[test]
fn rot_of_every_kind_is_found_refused_and_mended() {
    let site = Site::new();
    let camera = site.ext_01();
    let vault = Arc::new(Vault::default());
    let (store, _) = site.start();
    for _ in 0..6 {
        site.record(&store, camera, 2).unwrap();
    }
    let mut scrubber = Scrubber::new(
        store.clone(),
        site.clock.clone(),
        RULES,
        Arc::clone(&vault) as Arc<dyn SecondCopy>,
    );
    let mut waited_ms = 0;
    let first = scrubber.step(&mut |_| {}).unwrap();
    assert_eq!(first, Done::Rest(0), "a pass begins");
    let read = scrubber.step(&mut |ms| waited_ms += ms).unwrap();
    assert_eq!(read, Done::Read(camera.clone(), Seq(0), Verdict::Sound));
    pass(&mut scrubber);
    assert_eq!(outcomes(&store), []);
    assert!(store.scrubbed().unwrap().until.is_some());

    // A flipped byte in a fragment, in the key, in `init`; a cut; a missing file.
    let sound_files: Vec<_> =
        (0..6).map(|seq| fs::read(path(&store, camera, seq)).unwrap()).collect();
    spoil(&store, camera, &sound_files);
    site.clock.advance_ms(86_400_000);
    pass(&mut scrubber);
    let found: Vec<_> = (0..5).map(|seq| (seq, DamageOutcome::Found)).collect();
    assert_eq!(outcomes(&store), found);
    assert_eq!(store.damaged().len(), 5);
    assert_eq!(store.alarms()[0].0, "footage-damaged");
    sound(&store);
    for seq in 0..5 {
        let refused = store.segment_path(camera, Seq(seq)).unwrap_err().to_string();
        assert!(refused.contains("is damaged"), "{refused}");
    }
    path(&store, camera, 5);

    // What is known survives a restart, and is logged once. A bad copy replaces nothing.
    drop((scrubber, store));
    let (store, _) = site.start();
    assert_eq!(store.damaged().len(), 5);
    vault.keep(camera, Seq(0), sound_files[1].clone());
    let mut scrubber = Scrubber::new(
        store.clone(),
        site.clock.clone(),
        RULES,
        Arc::clone(&vault) as Arc<dyn SecondCopy>,
    );
    pass(&mut scrubber);
    assert_eq!(outcomes(&store), found);

    // One of them is erased meanwhile; the others come back.
    let row = store.stored_row(camera, Seq(4)).unwrap().unwrap();
    store.condemn(camera, &[row.reference()], EraseReason::Retention).unwrap();
    store.unlink_condemned().unwrap();
    for (seq, bytes) in sound_files.iter().enumerate() {
        vault.keep(camera, Seq(seq as u64), bytes.clone());
    }
    site.clock.advance_ms(3_600_000);
    assert_eq!(pass(&mut scrubber)[0], Done::Mended(4));
    assert_eq!(store.damaged().len(), 0);
    assert_eq!(store.alarms(), []);
    assert_eq!(outcomes(&store)[5..].len(), 4);
    for seq in 0..4 {
        let bytes = fs::read(path(&store, camera, seq)).unwrap();
        assert_eq!(bytes, sound_files[usize::try_from(seq).unwrap()]);
    }
    sound(&store);
}

#[test]
fn a_disc_that_is_away_is_not_taken_for_damage() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    let (segments, away) = (site.folder().join("segments"), site.folder().join("away"));
    host::durable::rename(&segments, &away).unwrap();
    fs::create_dir(&segments).unwrap();
    let mut scrubber = Scrubber::new(store.clone(), site.clock, RULES, Arc::new(NoCopy));
    scrubber.step(&mut |_| {}).unwrap();
    let refused = scrubber.step(&mut |_| {});
    assert!(matches!(refused, Err(StoreError::DiscFault { .. })), "{refused:?}");
    assert_eq!(outcomes(&store), []);
    fs::remove_dir(&segments).unwrap();
    host::durable::rename(&away, &segments).unwrap();
    pass(&mut scrubber);
    assert_eq!(outcomes(&store), []);
    sound(&store);
}

#[test]
fn a_pass_goes_on_where_the_run_before_left_it() {
    let site = Site::new();
    let (store, _) = site.start();
    for _ in 0..3 {
        site.record(&store, site.ext_01(), 1).unwrap();
    }
    let scrubber =
        |store: &Store| Scrubber::new(store.clone(), site.clock.clone(), RULES, Arc::new(NoCopy));
    let mut first = scrubber(&store);
    first.step(&mut |_| {}).unwrap();
    first.step(&mut |_| {}).unwrap();
    drop((first, store));
    let (store, _) = site.start();
    let done = pass(&mut scrubber(&store));
    let seqs: Vec<_> = done
        .iter()
        .filter_map(|it| if let Done::Read(_, seq, _) = it { Some(seq.0) } else { None })
        .collect();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn footage_on_a_second_disc_is_passed_over_while_that_is_away_and_mended_where_it_lies() {
    let site = Site::new();
    let camera = site.ext_01();
    let vault = Arc::new(Vault::default());
    let second = tempfile::tempdir().unwrap();
    let (store, _) = site.start_tiered(second.path(), Arc::new(RealDisc)).unwrap();
    for _ in 0..2 {
        site.record(&store, camera, 2).unwrap();
    }
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 9).unwrap();
    assert_eq!(store.move_to_second(camera, &rows, &mut |_| {}).unwrap().segments, 2);
    let file = path(&store, camera, 0);
    assert!(file.starts_with(second.path()));
    let good = fs::read(&file).unwrap();
    let mut rotten = good.clone();
    rotten[good.len() / 2] ^= 1;
    fs::write(&file, rotten).unwrap();

    let away = second.path().with_extension("away");
    host::durable::rename(second.path(), &away).unwrap();
    let copies = Arc::clone(&vault) as Arc<dyn SecondCopy>;
    let mut scrubber = Scrubber::new(store.clone(), site.clock.clone(), RULES, copies);
    // Not yet known to be away: not read, and not said to be lost.
    assert_eq!(scrubber.step(&mut |_| {}).unwrap(), Done::Rest(0));
    assert!(matches!(scrubber.step(&mut |_| {}), Err(StoreError::DiscFault { .. })));
    assert!(!store.look_at_second().unwrap());
    let done = pass(&mut scrubber);
    assert_eq!(done.len(), 2);
    assert!(done.iter().all(|it| matches!(it, Done::Read(_, _, Verdict::Away))), "{done:?}");
    assert_eq!(outcomes(&store), []);

    host::durable::rename(&away, second.path()).unwrap();
    assert!(store.look_at_second().unwrap());
    vault.keep(camera, Seq(0), good.clone());
    for _ in 0..2 {
        site.clock.advance_ms(86_400_000);
        pass(&mut scrubber);
    }
    assert_eq!(outcomes(&store), [(0, DamageOutcome::Found), (0, DamageOutcome::Repaired)]);
    assert_eq!(fs::read(&file).unwrap(), good);
    assert_eq!(path(&store, camera, 0), file);
    sound(&store);
}
