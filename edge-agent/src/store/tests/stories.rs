//! What a site sees of its store on ordinary and less ordinary days.

use std::fs;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::{EraseReason, GapReason, Record, Statement};
use custody::sealed::SealedSegment;
use custody::sealing::SegmentSealer;
use custody::{CameraId, Seq, WallTime};

use super::super::{Depth, PlaceHold, Rotation, SegmentRow, Store, StoreError};
use super::{BEGIN, Site, ask, chain, read_in, records, sound, told};

fn hold(camera: &CameraId, from: WallTime, to: WallTime) -> PlaceHold {
    PlaceHold {
        hold: "WH-2026-000001-a".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: camera.clone(),
        from,
        to,
        grounds: super::grounds(),
    }
}

fn all_rows(store: &Store) -> Vec<SegmentRow> {
    store.expiring(WallTime(i64::MAX - 1), None, usize::MAX).unwrap()
}

#[test]
fn a_recorded_minute_opens_again_and_stands_in_log_and_chain() {
    let site = Site::new();
    let (store, recovery) = site.start();
    assert!(recovery.orderly);
    let stored = site.record(&store, site.ext_01(), 3).unwrap();
    sound(&store);
    assert_eq!((stored.seq, stored.start, stored.end), (Seq(0), BEGIN, BEGIN.plus_seconds(6)));

    let path = store.segment_path(site.ext_01(), Seq(0)).unwrap();
    assert!(path.ends_with("segments/ext-01/2026-11-22/14/0000000000.whseg"), "{path:?}");
    let file = fs::read(&path).unwrap();
    let sealed = SealedSegment::read(&file).unwrap();
    assert_eq!(sealed.fragments.len(), 3);
    let key = store.segment_key(site.ext_01(), Seq(0)).unwrap();
    let opener = SegmentSealer::new(&key, site.ext_01(), Seq(0));
    let plain = crate::seal::fragment::open(&opener, &sealed.fragments[1]).unwrap();
    assert!(plain.starts_with(b"moof mdat 0 "));
    assert!(!file.windows(9).any(|w| w == b"moof mdat"));

    let records = records(&store);
    assert!(matches!(records[3], Record::Other(Statement::AgentStart(_))));
    let Some(Record::Segment(manifest)) = records.last() else { panic!("{:?}", records.last()) };
    assert_eq!(manifest.fragments.root, stored.root);
    assert_eq!(manifest.clock.camera_offset_ms, Some(-40));
    assert!(!manifest.recovered);
}

#[test]
fn every_instant_has_a_record_whatever_the_camera_does() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    let first = store.gap(camera, None, BEGIN, GapReason::CameraUnreachable, "");
    assert!(matches!(first, Err(StoreError::Refused { .. })));
    let from = Some(BEGIN.plus_seconds(-5));
    store.gap(camera, from, BEGIN, GapReason::CameraUnreachable, "no route").unwrap();
    site.record(&store, camera, 2).unwrap();
    // A little late: taken to continue. Later: a gap first, with the last reason known.
    site.clock.advance_ms(80);
    site.record(&store, camera, 2).unwrap();
    site.clock.advance_ms(9000);
    site.record(&store, camera, 2).unwrap();
    let end = store.chain_end(camera).unwrap().unwrap();
    store.gap(camera, None, end, GapReason::StreamStalled, "").unwrap();
    store.gap(camera, None, end.plus_seconds(3), GapReason::StreamStalled, "").unwrap();
    site.clock.advance_ms(5000);
    site.record(&store, camera, 1).unwrap();
    sound(&store);
    let expected = [
        "camera-unreachable",
        "segment",
        "segment",
        "stream-ended",
        "segment",
        "stream-stalled",
        "stream-stalled",
        "segment",
    ];
    assert_eq!(chain(&store, camera), expected);
    assert!(chain(&store, site.ext_02()).is_empty());
}

#[test]
fn a_clock_stepped_back_is_said_in_the_record() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    site.record(&store, camera, 5).unwrap();
    let back = BEGIN.plus_seconds(1);
    site.clock.step_wall(back);
    let refused = site.open(&store, camera);
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    let mut file = store.open_segment(camera, ask(back, Some("clock-step"))).unwrap();
    site.append(&mut file).unwrap();
    site.clock.step_wall(BEGIN.plus_seconds(-60));
    let gone_back = site.append(&mut file);
    assert!(matches!(gone_back, Err(StoreError::Refused { .. })));
    file.close(back, 0, None).unwrap();
    sound(&store);
    // Both segments touch the doubled seconds, in chain order.
    let span = Span { from: back, to: back.plus_seconds(1) };
    let found = store.find(camera, span).unwrap();
    assert_eq!(found.iter().map(|f| f.seq.0).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn find_gives_what_touches_an_interval_and_nothing_else() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    for _ in 0..5 {
        site.record(&store, camera, 5).unwrap();
    }
    site.clock.advance_ms(86_400_000 * 3);
    store.gap(camera, None, site.clock.now(), GapReason::CameraUnreachable, "").unwrap();
    site.record(&store, camera, 5).unwrap();
    site.record(&store, site.ext_02(), 5).unwrap();
    let seqs = |from: i64, to: i64| -> Vec<u64> {
        let span = Span { from: BEGIN.plus_seconds(from), to: BEGIN.plus_seconds(to) };
        store.find(camera, span).unwrap().iter().map(|f| f.seq.0).collect()
    };
    assert_eq!(seqs(10, 20), [1]);
    assert_eq!(seqs(5, 25), [0, 1, 2]);
    assert_eq!(seqs(-50, 1), [0]);
    assert_eq!(seqs(-50, 0), Vec::<u64>::new());
    assert_eq!(seqs(45, 60), [4, 5]);
    assert_eq!(seqs(90_000, 90_001), [5]);
    let day = 86_400;
    assert_eq!(seqs(3 * day + 49, 3 * day + 51), [5, 6]);
    assert_eq!(seqs(4 * day, 5 * day), Vec::<u64>::new());
    let found = store.find(camera, Span { from: BEGIN, to: BEGIN.plus_seconds(60) }).unwrap();
    for link in &found {
        Envelope::read(&link.envelope).unwrap();
        assert_eq!(link.file_bytes == 0, link.seq == Seq(5));
    }
    assert!(store.find(&"east/ext-09".parse().unwrap(), Span { from: BEGIN, to: BEGIN }).is_err());
}

#[test]
fn an_orderly_stop_and_a_crash_are_told_apart() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    store.stop().unwrap();
    drop(store);
    site.clock.advance_ms(60_000);
    let (store, recovery) = site.start();
    assert!(recovery.orderly);
    sound(&store);
    let mut file = site.open(&store, site.ext_01()).unwrap();
    site.append(&mut file).unwrap();
    drop((file, store));
    site.clock.advance_ms(60_000);
    let (store, recovery) = site.start();
    assert!(!recovery.orderly);
    assert_eq!(recovery.salvaged.len(), 1);
    sound(&store);
    let expected = ["segment", "agent-stopped", "recovered", "agent-crashed"];
    assert_eq!(chain(&store, site.ext_01()), expected);
    let second = site.start_on(std::sync::Arc::new(super::super::RealDisc));
    assert!(matches!(second, Err(StoreError::InUse { .. })));
}

#[test]
fn a_dropped_segment_is_closed_by_the_cameras_next_step() {
    let site = Site::new();
    let (store, _) = site.start();
    let mut file = site.open(&store, site.ext_01()).unwrap();
    let twice = site.open(&store, site.ext_01());
    assert!(matches!(twice, Err(StoreError::Refused { .. })));
    site.append(&mut file).unwrap();
    drop(file);
    let empty = site.open(&store, site.ext_01()).unwrap();
    assert!(matches!(empty.close(BEGIN, 0, None), Err(StoreError::Refused { .. })));
    site.record(&store, site.ext_01(), 1).unwrap();
    sound(&store);
    assert_eq!(chain(&store, site.ext_01()), ["recovered", "segment"]);
}

#[test]
fn holds_reach_the_past_and_the_future_and_keys_go_only_with_a_record() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    site.record(&store, camera, 2).unwrap();
    site.record(&store, camera, 2).unwrap();
    let ask = hold(camera, BEGIN.plus_seconds(5), BEGIN.plus_seconds(600));
    assert_eq!(store.place_hold(ask.clone()).unwrap(), 1);
    let size = store.log_size();
    assert_eq!(store.place_hold(ask.clone()).unwrap(), 1);
    assert_eq!(store.log_size(), size, "repeating a hold is no new record");
    let other = PlaceHold { to: BEGIN.plus_seconds(601), ..ask.clone() };
    assert!(matches!(store.place_hold(other), Err(StoreError::Refused { .. })));
    site.record(&store, camera, 2).unwrap();
    assert_eq!(store.place_hold(ask.clone()).unwrap(), 2, "later footage is held too");

    let refs: Vec<_> = all_rows(&store).iter().map(SegmentRow::reference).collect();
    let gone = store.condemn(camera, &refs, EraseReason::DiscFull).unwrap();
    assert_eq!(gone.iter().map(|s| s.seq.0).collect::<Vec<_>>(), [0]);
    sound(&store);

    let size = store.log_size();
    let unheld = store.release_keys(&ask.case, camera, &[Seq(0)]);
    assert!(matches!(unheld, Err(StoreError::Refused { .. })));
    let stranger = store.release_keys(&"WH-2026-000009".parse().unwrap(), camera, &[Seq(1)]);
    assert!(matches!(stranger, Err(StoreError::Refused { .. })));
    assert_eq!(store.log_size(), size);
    let (keys, transfer) = store.release_keys(&ask.case, camera, &[Seq(1), Seq(2)]).unwrap();
    assert_eq!(keys.len(), 2);
    let logged = store.log_read(size, 1, usize::MAX).unwrap();
    assert_eq!(logged, [transfer.bytes().to_vec()]);

    drop(store);
    let (store, _) = site.start();
    assert_eq!(store.holds().len(), 1);
    store.release_hold(&ask.hold).unwrap();
    store.release_hold(&ask.hold).unwrap();
    assert!(store.holds().is_empty());
    sound(&store);
}

#[test]
fn erased_footage_opens_for_nobody_even_from_a_stolen_copy() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    site.record(&store, camera, 2).unwrap();
    let path = store.segment_path(camera, Seq(0)).unwrap();
    let stolen = fs::read(&path).unwrap();
    let row = all_rows(&store).remove(0);
    let spent = Rotation { destroy: vec![row.epoch], rekey: vec![] };
    assert!(store.rotate_keys(&spent).unwrap().is_empty(), "the hour still holds footage");
    store.condemn(camera, &[row.reference()], EraseReason::Retention).unwrap();
    assert!(path.exists());
    sound(&store);
    assert_eq!(store.unlink_condemned().unwrap(), 1);
    assert!(!path.exists());
    sound(&store);
    assert_eq!(store.rotate_keys(&spent).unwrap(), [row.epoch]);
    sound(&store);
    let header = SealedSegment::read(&stolen).unwrap().header;
    let keys = site.folder().join("keys");
    let root = Box::new(crate::seal::FileRoot::new(&keys));
    let ring = crate::seal::KeyRing::open(&keys, &"east".parse().unwrap(), root).unwrap();
    assert!(ring.segment_key(&header).is_err());
    let found = store.find(camera, Span { from: BEGIN, to: BEGIN.plus_seconds(9) }).unwrap();
    assert_eq!(found.len(), 1, "that there was footage is still known");
    assert_eq!(found[0].file_bytes, 0);
    assert_eq!(store.stats().unwrap().segments, 0);
}

#[test]
fn figures_follow_what_comes_and_goes() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    let first = site.record(&store, camera, 2).unwrap();
    site.clock.advance_ms(2 * 86_400_000);
    let second = site.record(&store, camera, 3).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.bytes), (2, first.bytes + second.bytes));
    let of = &stats.cameras[camera];
    assert_eq!((of.oldest, of.newest), (Some(first.start), Some(second.end)));
    assert_eq!(of.day_bytes, second.bytes);
    let row = all_rows(&store).remove(0);
    store.condemn(camera, &[row.reference()], EraseReason::Retention).unwrap();
    drop(store);
    let (store, recovery) = site.start();
    assert_eq!(recovery.erased_leftovers, 1);
    let stats = store.stats().unwrap();
    let of = &stats.cameras[camera];
    assert_eq!((stats.segments, of.oldest, of.bytes), (1, Some(second.start), second.bytes));
    sound(&store);
}

#[test]
fn the_check_names_a_flipped_byte_a_stranger_and_a_missing_file() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    site.record(&store, site.ext_02(), 2).unwrap();
    let path = store.segment_path(site.ext_01(), Seq(0)).unwrap();
    let mut bad = fs::read(&path).unwrap();
    let sealed = SealedSegment::read(&bad).unwrap().fragments[1].sealed.to_vec();
    let at = bad.windows(sealed.len()).position(|w| w == sealed).unwrap();
    bad[at] ^= 1;
    fs::write(&path, bad).unwrap();
    fs::write(path.with_file_name("notes.txt"), "x").unwrap();
    fs::remove_file(store.segment_path(site.ext_02(), Seq(0)).unwrap()).unwrap();
    let findings = store.check(Depth::Bytes).unwrap().findings;
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings[0].place.ends_with("ext-01/2026-11-22/14/0000000000.whseg"));
    assert_eq!(findings[0].what, "its fragments are not the signed ones");
    assert!(findings[1].place.ends_with("ext-02/2026-11-22/14/0000000000.whseg"));
    assert!(findings[2].place.ends_with("notes.txt"));
}

#[test]
fn a_lost_index_is_built_again_from_the_footage_and_loses_no_hold() {
    let site = Site::new();
    let (store, _) = site.start();
    for _ in 0..3 {
        site.record(&store, site.ext_01(), 2).unwrap();
        site.record(&store, site.ext_02(), 2).unwrap();
        site.clock.advance_ms(10_000);
    }
    let ask = hold(site.ext_01(), BEGIN, BEGIN.plus_seconds(5));
    store.place_hold(ask).unwrap();
    let before = all_rows(&store);
    drop(store);
    fs::remove_dir_all(site.folder().join("index")).unwrap();
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt);
    assert_eq!(recovery.strays, Vec::<std::path::PathBuf>::new());
    assert_eq!(store.holds().len(), 1);
    sound(&store);
    read_in(&store);
    assert_eq!(all_rows(&store), before);
    sound(&store);
    site.record(&store, site.ext_01(), 2).unwrap();
    sound(&store);
    drop(store);
    let (store, recovery) = site.start();
    assert!(!recovery.rebuilt);
    sound(&store);
}

#[test]
fn an_index_from_an_old_backup_takes_the_newer_footage_in() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    drop(store);
    let (index, backup) = (site.folder().join("index"), site.folder().join("backup"));
    let copied = std::process::Command::new("cp").arg("-a").args([&index, &backup]).status();
    assert!(copied.unwrap().success());
    let (store, _) = site.start();
    let newer = site.record(&store, site.ext_01(), 2).unwrap();
    drop(store);
    fs::remove_dir_all(&index).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").args([&backup, &index]).status();
    assert!(copied.unwrap().success());
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt, "an older copy is set aside");
    assert!(site.folder().join("index-aside-1").is_dir());
    sound(&store);
    read_in(&store);
    assert_eq!(all_rows(&store)[1].root, newer.root);
    assert_eq!(store.alarms(), []);
    sound(&store);
}

#[test]
fn another_sites_disc_is_refused_by_name() {
    let (east, other) = (Site::new(), Site::new());
    drop(east.start());
    drop(other.start());
    fs::copy(
        other.folder().join("segments/volume.json"),
        east.folder().join("segments/volume.json"),
    )
    .unwrap();
    let refused = east.start_on(std::sync::Arc::new(super::super::RealDisc)).err().unwrap();
    let said = told(&refused);
    assert!(matches!(refused, StoreError::Volume { .. }), "{said}");
    assert!(said.contains("segments/volume.json names"), "{said}");
    assert!(said.contains("mount the disc that belongs here"), "{said}");
}

#[test]
fn many_cameras_record_side_by_side_into_one_log() {
    let mut site = Site::new();
    site.cameras = (1..=12).map(|n| format!("east/ext-{n:02}").parse().unwrap()).collect();
    let (store, _) = site.start();
    std::thread::scope(|threads| {
        for camera in &site.cameras {
            let store = store.clone();
            threads.spawn(move || {
                for minute in 0..5 {
                    // The clock is shared: a segment begins where the camera's last one ended.
                    let start = store.chain_end(camera).unwrap().unwrap_or(BEGIN);
                    let mut file = store.open_segment(camera, ask(start, None)).unwrap();
                    for second in 0..3 {
                        let bytes = format!("{camera} {minute} {second}").into_bytes();
                        let start = file.end();
                        file.append_plain(crate::seal::Plain::fake(&bytes, start, 1_000_000))
                            .unwrap();
                    }
                    let end = file.end();
                    file.close(end, 0, None).unwrap();
                }
            });
        }
        for _ in 0..20 {
            // Whoever reads the log meanwhile sees no hole and nothing that is not yet there.
            let size = store.log_size();
            let read = store.log_read(0, usize::MAX, usize::MAX).unwrap();
            assert!(u64::try_from(read.len()).unwrap() >= size);
        }
    });
    assert_eq!(store.stats().unwrap().segments, 60);
    sound(&store);
}

/// The recorder hands its open segment from one blocking thread to the next.
const _: () = {
    const fn may_change_threads<T: Send + 'static>() {}
    may_change_threads::<super::super::OpenFile>();
    may_change_threads::<Store>();
    may_change_threads::<crate::retention::Sweeper>();
};
