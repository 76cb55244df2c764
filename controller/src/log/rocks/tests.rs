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
fn an_edit_that_reads_well_is_named_by_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    let entries: Vec<Entry> = (0..5).map(|_| entry("a")).collect();
    log.append(&stream("a"), 0, &entries).unwrap();
    // Every field is as it may be, and every number in its place: only the reason is another.
    let original = log.db().get(entry::key(3)).unwrap().unwrap();
    let text = String::from_utf8(original.clone()).unwrap();
    let edited = text.replace("left the force", "left the house");
    assert_ne!(edited, text);
    log.db().put(entry::key(3), edited).unwrap();
    let named = Fault::Edited { position: 3, place: "the log".to_owned() };
    assert_eq!(check(&log), std::slice::from_ref(&named));
    log.db().put(entry::key(3), original).unwrap();
    assert_eq!(check(&log), []);

    log.db().put(salt::key(3), [7; 32]).unwrap();
    assert_eq!(check(&log), [named]);
    log.db().put(salt::key(3), [7; 31]).unwrap();
    assert!(matches!(check(&log)[..], [Fault::Entry { position: 3, .. }]));
}

#[test]
fn an_inner_hash_or_signed_root_that_was_changed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    let entries: Vec<Entry> = (0..4).map(|_| entry("a")).collect();
    log.append(&stream("a"), 0, &entries).unwrap();
    let head = Head { size: 4, root: tiles::root(4, &Nodes(&log)).unwrap() };
    log.keep_signed(None, head).unwrap();
    assert_eq!(check(&log), []);
    // Hash 2 is the one over entries 0 and 1.
    let inner = log.db().get(node::key(2)).unwrap().unwrap();
    log.db().put(node::key(2), [9; 32]).unwrap();
    assert!(matches!(check(&log)[..], [Fault::Tree(_), ..]));
    log.db().put(node::key(2), inner).unwrap();
    log.db().put(signed::KEY, signed::value(&Head { size: 5, ..head })).unwrap();
    assert!(matches!(check(&log)[..], [Fault::Tree(_)]));
    log.db().put(signed::KEY, signed::value(&Head { size: 3, ..head })).unwrap();
    assert!(matches!(check(&log)[..], [Fault::Tree(_)]));
}

#[test]
fn the_head_to_sign_is_replaced_only_by_who_knows_the_present_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    let head = |size| Head { size, root: Digest::of(&[size.to_be_bytes()[7]]) };
    log.keep_signed(None, head(3)).unwrap();
    for wrong in [None, Some(head(2)), Some(Head { root: head(2).root, ..head(3) })] {
        let refused = log.keep_signed(wrong, head(4)).unwrap_err();
        assert!(matches!(refused, SignError::Conflict { .. }), "{refused}");
    }
    log.keep_signed(Some(head(3)), head(4)).unwrap();
    drop(log);
    let log = RocksLog::open(folder.path()).unwrap();
    assert_eq!(log.signed().unwrap(), Some(head(4)));
}

#[test]
fn every_entry_has_a_salt_of_its_own_and_a_log_a_name_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    log.append(&stream("a"), 0, &[entry("a"), entry("a")]).unwrap();
    let body = |position| log.body(position).unwrap().unwrap();
    assert_ne!(body(0).salt, body(1).salt);
    assert_eq!(log.body(2).unwrap(), None);
    let name = log.instance().to_owned();
    let (own, root) = (body(0).salt, tiles::root(2, &Nodes(&log)).unwrap());
    drop(log);
    let log = RocksLog::open(folder.path()).unwrap();
    assert_eq!(log.instance(), name);
    assert_eq!(log.body(0).unwrap().unwrap().salt, own);
    assert_eq!(tiles::root(2, &Nodes(&log)).unwrap(), root);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(RocksLog::open(other.path()).unwrap().instance(), name);
}

#[test]
fn a_log_from_before_logs_were_published_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksLog::open(folder.path()).unwrap();
    log.db().put(format::KEY, [1]).unwrap();
    drop(log);
    let refused = RocksLog::open(folder.path()).err().unwrap();
    let why = host::telemetry::chain(&refused);
    assert!(why.contains("layout 1") && why.contains("no salts"), "{why}");
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
