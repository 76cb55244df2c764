//! Reading footage in after the index was lost, while recording goes on.

use std::fs;

use custody::coverage::Span;
use custody::record::EraseReason;
use custody::{Seq, WallTime};

use super::super::{SegmentRow, Store, StoreError};
use super::{BEGIN, Site, read_in, sound};

const HOUR_MS: u64 = 3_600_000;

fn rows(store: &Store) -> Vec<SegmentRow> {
    store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap()
}

/// A site with a segment of both cameras in each of six hours, whose index is then lost.
fn lost() -> (Site, Vec<SegmentRow>) {
    let site = Site::new();
    let (store, _) = site.start();
    for _ in 0..6 {
        for camera in &site.cameras {
            site.record(&store, camera, 2).unwrap();
        }
        site.clock.advance_ms(HOUR_MS);
    }
    let before = rows(&store);
    store.stop().unwrap();
    drop(store);
    fs::remove_dir_all(site.folder().join("index")).unwrap();
    (site, before)
}

fn hour(n: i64) -> Span {
    Span { from: BEGIN.plus_seconds(n * 3600), to: BEGIN.plus_seconds(n * 3600 + 60) }
}

#[test]
fn the_first_frame_is_recorded_before_old_footage_is_read_in() {
    let (site, before) = lost();
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt);
    assert_eq!(store.alarms()[0].0, "index-rebuilding");
    // The chain goes on with the next number and the newest segment's digest.
    let first = site.record(&store, site.ext_01(), 1).unwrap();
    assert!(first.seq > before.iter().map(|row| row.seq).max().unwrap());
    sound(&store);
    // What is not read in yet is not said to be missing.
    let refused = store.find(site.ext_01(), hour(1)).unwrap_err();
    assert!(matches!(refused, StoreError::NotYet { .. }));
    assert!(refused.to_string().contains("still being read in"), "{refused}");
    // Listed, and then what was asked for comes first.
    assert_eq!(store.read_in().unwrap().unwrap().of, 13);
    assert!(store.find(site.ext_01(), hour(3)).is_err());
    while store.find(site.ext_01(), hour(3)).is_err() {
        let reading = store.read_in().unwrap().unwrap();
        assert!(reading.hours <= 2, "{reading:?}");
        site.record(&store, site.ext_02(), 1).unwrap();
        sound(&store);
    }
    assert_eq!(store.find(site.ext_01(), hour(3)).unwrap().len(), 1);
    assert!(store.find(site.ext_01(), hour(1)).is_err());
    read_in(&store);
    sound(&store);
    assert_eq!(store.alarms(), []);
    let after = rows(&store);
    assert!(before.iter().all(|row| after.contains(row)));
}

#[test]
fn until_it_is_read_in_no_key_goes_and_nothing_newer_goes_first() {
    let (site, before) = lost();
    let (store, _) = site.start();
    assert_eq!(rows(&store), [], "nothing is known to be the oldest");
    for hour in store.key_hours().unwrap().into_keys() {
        assert!(!store.destroy_hour(hour).unwrap());
    }
    store.read_in().unwrap();
    let mut known = 0;
    while store.read_in().unwrap().is_some() {
        let now = rows(&store);
        assert!(now.len() >= known && before.starts_with(&now[..now.len().min(before.len())]));
        known = now.len();
    }
    assert_eq!(rows(&store), before);
    for row in &before {
        store.segment_key(&row.camera, row.seq).unwrap();
    }
    // What is due goes as soon as it is known.
    let oldest = &before[0];
    store.condemn(&oldest.camera, &[oldest.reference()], EraseReason::Retention).unwrap();
    sound(&store);
}

#[test]
fn a_restart_goes_on_reading_in_and_a_second_loss_begins_anew() {
    let (site, before) = lost();
    let (store, _) = site.start();
    for _ in 0..4 {
        store.read_in().unwrap().unwrap();
    }
    site.record(&store, site.ext_01(), 1).unwrap();
    drop(store);
    let (store, recovery) = site.start();
    assert!(!recovery.rebuilt);
    assert_eq!(store.alarms()[0].0, "index-rebuilding");
    sound(&store);
    drop(store);
    fs::remove_dir_all(site.folder().join("index")).unwrap();
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt);
    read_in(&store);
    sound(&store);
    assert_eq!(rows(&store).len(), before.len() + 1);
}

#[test]
fn a_segment_put_into_an_earlier_hour_by_a_stepped_clock_is_the_newest_still() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    site.clock.step_wall(BEGIN.plus_seconds(-10_800));
    let asked = super::ask(site.clock.now(), Some("clock-step"));
    let mut file = store.open_segment(site.ext_01(), asked).unwrap();
    site.append(&mut file).unwrap();
    file.close(site.clock.now(), 0, None).unwrap();
    store.stop().unwrap();
    drop(store);
    fs::remove_dir_all(site.folder().join("index")).unwrap();
    let (store, _) = site.start();
    let next = site.record(&store, site.ext_01(), 1).unwrap();
    assert!(next.seq > Seq(1));
    read_in(&store);
    sound(&store);
    assert_eq!(rows(&store).len(), 3);
}

#[test]
fn a_damaged_index_is_set_aside_for_the_record() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    store.stop().unwrap();
    drop(store);
    // The manifest names tables; rubbish in it is corruption.
    let index = site.folder().join("index");
    let listing = fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
    let manifests =
        listing.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST"));
    for manifest in manifests {
        let mut bytes = fs::read(&manifest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&manifest, bytes).unwrap();
    }
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt);
    assert!(site.folder().join("index-aside-1/CURRENT").exists());
    read_in(&store);
    sound(&store);
    assert_eq!(rows(&store).len(), 1);
    drop(store);
    let (store, recovery) = site.start();
    assert!(!recovery.rebuilt);
    sound(&store);
}
