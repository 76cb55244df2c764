//! The log on a real disc: appended, raced for, reopened, tampered with.

use super::*;
use crate::access::Actor;
use crate::log::check::{Fault, check};
use crate::log::event::people::PersonSuspended;

use custody::{PersonId, WallTime};

fn entry(who: &str) -> Entry {
    let person: PersonId = who.parse().unwrap();
    Entry {
        at: WallTime(1_763_733_780_000_000),
        actor: Actor::Controller,
        purpose: None,
        reason: "left the force".to_owned(),
        body: crate::log::Event::PersonSuspended(PersonSuspended { person }),
    }
}

fn stream(who: &str) -> Stream {
    Stream::person(&who.parse().unwrap())
}

#[test]
fn positions_and_versions_are_dense_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    assert_eq!(log.append(&stream("a"), 0, &[entry("a"), entry("a")]).unwrap(), 0..2);
    assert_eq!(log.append(&stream("b"), 0, &[entry("b")]).unwrap(), 2..3);
    assert_eq!(check(&log), []);
    drop(log);
    let log = RocksLog::open(folder.path()).unwrap();
    assert_eq!(log.head().unwrap(), 3);
    assert_eq!(log.append(&stream("a"), 2, &[entry("a")]).unwrap(), 3..4);
    let read = log.read(1, 10).unwrap();
    let places: Vec<_> =
        read.iter().map(|s| (s.position, s.stream.to_string(), s.version)).collect();
    let place = |position, stream: &str, version| (position, stream.to_owned(), version);
    assert_eq!(places, [place(1, "person/a", 1), place(2, "person/b", 0), place(3, "person/a", 2)]);
    assert_eq!(read[0].reason, "left the force");
    assert_eq!(log.read(1, 2).unwrap().len(), 2);
    assert_eq!(check(&log), []);
}

#[test]
fn who_decides_on_an_old_view_is_told_and_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    log.append(&stream("a"), 0, &[entry("a")]).unwrap();
    for expected in [0, 2] {
        let error = log.append(&stream("a"), expected, &[entry("a"), entry("a")]).unwrap_err();
        assert!(matches!(error, AppendError::Conflict { found: 1, .. }), "{error}");
    }
    assert_eq!(log.head().unwrap(), 1);
    assert_eq!(check(&log), []);
}

#[test]
fn many_writers_keep_positions_dense() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for who in ["a", "b", "c", "d"] {
            let log = &log;
            scope.spawn(move || {
                for version in 0..20 {
                    log.append(&stream(who), version, &[entry(who)]).unwrap();
                }
            });
        }
    });
    assert_eq!(log.head().unwrap(), 80);
    assert_eq!(check(&log), []);
}

#[test]
fn a_log_edited_by_hand_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    log.append(&stream("a"), 0, &[entry("a"), entry("a"), entry("a")]).unwrap();
    let original = log.db().get(entry::key(1)).unwrap().unwrap();
    let put = |value: &[u8]| log.db().put(entry::key(1), value).unwrap();

    put(b"{}");
    assert!(matches!(
        check(&log)[..],
        [Fault::Entry { position: 1, .. }, Fault::Stream { .. }, ..]
    ));
    assert!(log.read(0, 10).is_err());

    let text = String::from_utf8(original.clone()).unwrap();
    put(text.replace("person-suspended", "person-promoted").as_bytes());
    assert!(matches!(check(&log)[..], [Fault::Entry { position: 1, .. }, ..]));

    put(text.replace("\"version\":1", "\"version\":7").as_bytes());
    assert!(matches!(check(&log)[..], [Fault::Stream { .. }, ..]));

    put(text.replace("person/a", "person/b").as_bytes());
    assert!(!check(&log).is_empty());

    log.db().delete(entry::key(1)).unwrap();
    assert!(check(&log).contains(&Fault::Hole { due: 1, found: 2 }));

    put(&original);
    assert_eq!(check(&log), []);
}

#[test]
fn a_log_of_a_later_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    log.db().put(format::KEY, [9]).unwrap();
    drop(log);
    assert!(RocksLog::open(folder.path()).is_err());
}

#[test]
fn two_processes_cannot_have_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let _log = RocksLog::open(folder.path()).unwrap();
    assert!(RocksLog::open(folder.path()).is_err());
}
