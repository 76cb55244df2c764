//! Erasure that is erasure, seen from the store: what survives, what opens nowhere, and who wins.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use custody::record::{EraseReason, KeysDestroyed, Record, Statement};
use custody::sealed::{Header, SealedSegment};
use custody::{CameraId, Seq, WallTime};

use super::super::{
    EraseOrder, Ordered, PlaceHold, Places, Rotation, SegmentRow, Store, StoreError,
};
use super::{BEGIN, Site, records, sound};
use crate::seal::key_ring::{KeyError, epoch_of};
use crate::seal::root::Secret;
use crate::seal::{FileRoot, KeyRing, Root};

fn hold(camera: &CameraId, from: WallTime, to: WallTime) -> PlaceHold {
    PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: camera.clone(),
        from,
        to,
        grounds: super::grounds(),
    }
}

fn order(camera: &CameraId, from: WallTime, to: WallTime) -> EraseOrder {
    EraseOrder { order: "E-2026-000001".parse().unwrap(), camera: camera.clone(), from, to }
}

fn header(store: &Store, camera: &CameraId, seq: u64) -> Header {
    let file = fs::read(store.segment_path(camera, Seq(seq)).unwrap()).unwrap();
    SealedSegment::read(&file).unwrap().header
}

/// What the key folder as it lies there opens.
fn opens(site: &Site, header: &Header) -> bool {
    let keys = site.folder().join("keys");
    let root = Box::new(FileRoot::new(&keys));
    let ring = KeyRing::open(&keys, &"east".parse().unwrap(), root).unwrap();
    ring.segment_key(header).is_ok()
}

fn destroyed(store: &Store) -> Vec<KeysDestroyed> {
    let of = |record| match record {
        Record::Other(Statement::KeysDestroyed(gone)) => Some(gone),
        _ => None,
    };
    records(store).into_iter().filter_map(of).collect()
}

fn rekey(hour: u64) -> Rotation {
    Rotation { destroy: vec![], rekey: vec![hour] }
}

#[test]
fn a_held_neighbour_keeps_its_own_key_and_not_the_erased_ones() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    for _ in 0..3 {
        site.record(&store, camera, 1).unwrap();
    }
    site.record(&store, site.ext_02(), 1).unwrap();
    let (erased, held) = (header(&store, camera, 0), header(&store, camera, 2));
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 9).unwrap();
    let first: Vec<_> = rows[..1].iter().map(SegmentRow::reference).collect();
    store.condemn(camera, &first, EraseReason::Retention).unwrap();
    store.unlink_condemned().unwrap();
    assert!(opens(&site, &erased), "unlinking alone leaves what opens");
    let hour = epoch_of(BEGIN);
    assert!(store.key_state().unwrap().residues.contains_key(&hour));
    assert!(store.rotate_keys(&rekey(hour)).unwrap().is_empty());
    assert!(opens(&site, &erased), "the present hour still seals: its key stays");
    site.clock.advance_ms(2 * 3_600_000);
    store.rotate_keys(&rekey(hour)).unwrap();
    assert!(!opens(&site, &erased));
    assert!(opens(&site, &held));
    assert!(store.key_state().unwrap().residues.is_empty());
    sound(&store);
    let [gone] = destroyed(&store).try_into().unwrap();
    assert_eq!((gone.epochs, gone.rekeyed), (vec![], vec![hour]));
    assert!(gone.site_key_before != gone.site_key_after);
    drop(store);
    let (store, _) = site.start();
    store.segment_key(camera, Seq(2)).unwrap_or_else(|e| panic!("{e}"));
    sound(&store);
}

#[test]
fn an_order_erases_what_it_names_keys_and_all() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    for _ in 0..4 {
        site.record(&store, camera, 1).unwrap();
    }
    let named = header(&store, camera, 1);
    // Two seconds a segment: the second, and a moment of the third.
    let ask = order(camera, BEGIN.plus_seconds(3), BEGIN.plus_micros(4_500_000));
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::Recording, "its hour still seals");
    site.clock.advance_ms(2 * 3_600_000);
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::KeysRemain);
    assert!(store.segment_path(camera, Seq(0)).is_ok());
    assert!(store.segment_path(camera, Seq(1)).is_err());
    assert!(store.segment_path(camera, Seq(2)).is_err());
    assert!(store.segment_path(camera, Seq(3)).is_ok());
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::KeysRemain);
    store.rotate_keys(&rekey(epoch_of(BEGIN))).unwrap();
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::Done(2));
    assert!(!opens(&site, &named));
    sound(&store);
    let erased = records(&store).into_iter().find_map(|record| match record {
        Record::Other(Statement::Erase(erase)) => Some(erase),
        _ => None,
    });
    let erased = erased.unwrap();
    assert_eq!(erased.reason, EraseReason::Order);
    assert_eq!(erased.order, Some(ask.order));
    assert_eq!(erased.segments.len(), 2);
}

#[test]
fn a_hold_wins_over_an_order_and_is_named() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    for _ in 0..4 {
        site.record(&store, camera, 1).unwrap();
    }
    // It reaches the last segment, and that only by the moment in which it begins.
    let held = hold(camera, BEGIN.plus_seconds(7), BEGIN.plus_seconds(60));
    store.place_hold(held.clone()).unwrap();
    site.clock.advance_ms(2 * 3_600_000);
    let ask = order(camera, BEGIN, BEGIN.plus_micros(6_500_000));
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::Held(vec![held.hold.clone()]));
    assert_eq!(store.stats().unwrap().segments, 4, "nothing went");
    let other = order(site.ext_02(), BEGIN, BEGIN.plus_seconds(6));
    assert_eq!(store.erase_for_order(&other).unwrap(), Ordered::Done(0));
    store.release_hold(&held.hold).unwrap();
    assert_eq!(store.erase_for_order(&ask).unwrap(), Ordered::KeysRemain);
    assert_eq!(store.stats().unwrap().segments, 0);
    sound(&store);
}

/// A root that is away when it is told to.
struct Fickle {
    root: FileRoot,
    away: Arc<AtomicBool>,
}

impl Fickle {
    fn there(&self) -> Result<(), KeyError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(KeyError::Root { place: "a token".into(), why: "it is pulled".into() });
        }
        Ok(())
    }
}

impl Root for Fickle {
    fn place(&self) -> &'static str {
        "a token"
    }

    fn secrets(&self) -> Result<Vec<Secret>, KeyError> {
        self.there().and_then(|()| self.root.secrets())
    }

    fn add(&self, secret: &Secret) -> Result<(), KeyError> {
        self.there().and_then(|()| self.root.add(secret))
    }

    fn destroy(&self, generation: u64) -> Result<(), KeyError> {
        self.there().and_then(|()| self.root.destroy(generation))
    }
}

#[test]
fn a_root_that_is_away_is_an_alarm_and_recording_goes_on() {
    let site = Site::new();
    let away = Arc::new(AtomicBool::new(false));
    let root = FileRoot::new(&site.folder().join("keys"));
    let root = Box::new(Fickle { root, away: Arc::clone(&away) });
    let name = "east".parse().unwrap();
    let identity =
        crate::seal::Identity::load(site.folder(), &name, "watchhouse.example", b"config").unwrap();
    let places = Places { root, ..Places::of(site.folder()) };
    let (store, _) =
        Store::open_with(site.folder(), identity, site.clock.clone(), &site.cameras, places)
            .unwrap();
    site.record(&store, site.ext_01(), 1).unwrap();
    let rows = store.expiring(WallTime(i64::MAX - 1), None, 9).unwrap();
    store.condemn(site.ext_01(), &[rows[0].reference()], EraseReason::Retention).unwrap();
    store.unlink_condemned().unwrap();
    away.store(true, Ordering::SeqCst);
    let spent = Rotation { destroy: vec![epoch_of(BEGIN)], rekey: vec![] };
    let refused = store.rotate_keys(&spent).unwrap_err();
    assert!(matches!(refused, StoreError::DiscFault { .. }), "{refused}");
    let alarms = store.alarms();
    assert_eq!(alarms[0].0, "keys-not-destroyed");
    assert!(alarms[0].1.contains("it is pulled"), "{alarms:?}");
    site.clock.advance_ms(3_600_000);
    site.record(&store, site.ext_01(), 1).unwrap();
    away.store(false, Ordering::SeqCst);
    assert_eq!(store.rotate_keys(&spent).unwrap(), spent.destroy);
    assert_eq!(store.alarms(), []);
    sound(&store);
}
