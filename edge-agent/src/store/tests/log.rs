//! The site log as others see it: what stands in it, its checkpoints, proofs and static files, and
//! that it never forks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use custody::dsse::Envelope;
use custody::log::{Checkpoint, SignedCheckpoint, entry};
use custody::manifest::{ForeignCheckpoint, Mask};
use custody::record::{Kind, Record, Statement};
use custody::{CameraId, Digest, Seq, tree};

use super::super::{Depth, OpenSegment, RealDisc, Store, StoreError};
use super::{Site, ask, chain, records, sound};

pub(super) fn kinds(store: &Store) -> Vec<Kind> {
    records(store).iter().map(|record| record.kind().unwrap()).collect()
}

/// A note that the site's log key signed.
fn read(store: &Store, note: &[u8]) -> Checkpoint {
    SignedCheckpoint::read(note).unwrap().check(&store.log_vkey()).unwrap().clone()
}

fn published(store: &Store) -> Checkpoint {
    read(store, &store.publish().unwrap().unwrap())
}

fn static_note(site: &Site) -> PathBuf {
    site.folder().join("log/checkpoint")
}

/// Every record's place is proved to lie in the tree, and each smaller tree to be its beginning.
fn proves_everything(store: &Store, checkpoint: &Checkpoint) {
    let bodies = store.log_read(0, usize::MAX, usize::MAX).unwrap();
    let size = usize::try_from(checkpoint.size).unwrap();
    for (at, (body, record)) in bodies.iter().zip(records(store)).enumerate().take(size) {
        let place = u64::try_from(at).unwrap();
        let leaf = tree::leaf(&entry::record(record.kind().unwrap(), Digest::of(body)));
        let path = store.inclusion_proof(checkpoint.size, place).unwrap();
        assert_eq!(tree::root_by_path(leaf, at, size, &path), Some(checkpoint.root), "{at}");
        let old = (place, store.log_root(place).unwrap());
        let proof = store.consistency_proof(checkpoint.size, place).unwrap();
        assert!(tree::is_consistent(old, (checkpoint.size, checkpoint.root), &proof), "{at}");
    }
}

#[test]
fn a_log_begins_with_its_keys_and_proves_every_record() {
    let site = Site::new();
    let (store, _) = site.start();
    assert_eq!(store.checkpoint(), None);
    site.record(&store, site.ext_01(), 2).unwrap();
    assert_eq!(
        kinds(&store),
        [
            Kind::KeyCert,
            Kind::KeyCert,
            Kind::KeyCert,
            Kind::AgentStart,
            Kind::MaskChange,
            Kind::Segment
        ]
    );
    assert!(store.log_origin().starts_with("east.watchhouse.example/log/"));
    let checkpoint = published(&store);
    assert_eq!((checkpoint.size, checkpoint.origin.as_str()), (6, store.log_origin()));
    assert_eq!(store.checkpoint().as_deref(), Some(&*fs::read(static_note(&site)).unwrap()));
    proves_everything(&store, &checkpoint);
    sound(&store);
    for _ in 0..4 {
        site.record(&store, site.ext_02(), 1).unwrap();
    }
    assert_eq!(published(&store).size, 11);
    proves_everything(&store, &published(&store));
    assert!(matches!(store.inclusion_proof(12, 0), Err(StoreError::Refused { .. })));
    assert!(matches!(store.inclusion_proof(11, 11), Err(StoreError::Refused { .. })));
    assert!(matches!(store.consistency_proof(3, 4), Err(StoreError::Refused { .. })));
    sound(&store);
}

#[test]
fn whole_tiles_take_the_place_of_their_beginnings() {
    let site = Site::new();
    let (store, _) = site.start();
    let quiet = BTreeMap::new();
    for n in 0..300 {
        store.heartbeat(&quiet).unwrap();
        if n % 50 == 0 {
            store.publish().unwrap();
        }
    }
    let checkpoint = published(&store);
    assert_eq!(checkpoint.size, 304);
    let log = site.folder().join("log");
    for there in ["tile/0/000", "tile/0/001.p/48", "tile/1/000.p/1", "tile/entries/000"] {
        assert!(log.join(there).exists(), "{there}");
    }
    assert!(!log.join("tile/0/000.p").exists());
    sound(&store);
}

#[test]
fn a_day_later_another_key_signs_and_old_records_still_check() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    let signer = |store: &Store| {
        let newest = store.log_read(store.log_size() - 1, 1, usize::MAX).unwrap();
        Envelope::read(&newest[0]).unwrap().key_id().clone()
    };
    site.record(&store, camera, 1).unwrap();
    let first = signer(&store);
    store.heartbeat(&BTreeMap::new()).unwrap();
    assert_eq!(signer(&store), first);
    // A segment that is open across the change is signed by the new key.
    site.clock.advance_ms(82_700_000);
    let mut file = site.open(&store, camera).unwrap();
    site.append(&mut file).unwrap();
    site.clock.advance_ms(200_000);
    site.append(&mut file).unwrap();
    store.heartbeat(&BTreeMap::new()).unwrap();
    let second = signer(&store);
    assert_ne!(second, first);
    file.close(site.clock.now(), 0, None).unwrap();
    assert_eq!(signer(&store), second);
    sound(&store);
    for key in [&first, &second] {
        let cert = Envelope::read(&store.key_cert(key).unwrap().unwrap()).unwrap();
        assert_eq!(*cert.key_id(), store.identity().public_key().id());
    }
    drop(store);
    let (store, _) = site.start();
    site.record(&store, camera, 1).unwrap();
    assert!(![first, second].contains(&signer(&store)), "each run has its own key");
    sound(&store);
    // No heartbeat came for two days: the first signature of all waits for its key.
    site.clock.advance_ms(2 * 86_400_000);
    site.record(&store, camera, 1).unwrap();
    sound(&store);
}

#[test]
fn a_stepped_clock_is_recorded_before_anything_else_is_signed() {
    for step_s in [-7 * 86_400, -3600, -1, 1, 3600, 7 * 86_400] {
        let site = Site::new();
        let (store, _) = site.start();
        let camera = site.ext_01();
        site.record(&store, camera, 2).unwrap();
        let mut open = site.open(&store, site.ext_02()).unwrap();
        site.append(&mut open).unwrap();
        let size = store.log_size();
        let expected = site.clock.now();
        let stepped = expected.plus_seconds(step_s);
        site.clock.step_wall(stepped);
        open.close(expected, 0, None).unwrap();
        let since = &records(&store)[usize::try_from(size).unwrap()..];
        let step = since.iter().find_map(|record| match record {
            Record::Other(Statement::ClockStep(step)) => Some((step.expected, step.at)),
            _ => None,
        });
        assert_eq!(step, Some((expected, stepped)), "{step_s}");
        assert!(matches!(since.last(), Some(Record::Segment(_))), "{step_s}");
        assert!(
            !matches!(since[0], Record::Segment(_)),
            "{step_s}: the step comes before the segment"
        );
        store.heartbeat(&BTreeMap::new()).unwrap();
        let steps = kinds(&store).iter().filter(|kind| **kind == Kind::ClockStep).count();
        assert_eq!(steps, 1, "{step_s}");
        sound(&store);
    }
}

#[test]
fn changed_settings_and_masks_are_recorded_with_what_was_before() {
    let site = Site::new();
    let (store, _) = site.start();
    let camera = site.ext_01();
    site.record(&store, camera, 1).unwrap();
    site.record(&store, camera, 1).unwrap();
    drop(store);
    let (store, _) = site.start_with(b"config", Arc::new(RealDisc)).unwrap();
    drop(store);
    let (store, _) = site.start_with(b"other", Arc::new(RealDisc)).unwrap();
    let masked = Mask::Burned {
        policy_id: "ext-01".into(),
        revision: 2,
        approved_by: "s.okafor".into(),
        geometry_sha256: Digest::of(b"zones"),
    };
    let opening = OpenSegment { mask: masked.clone(), ..ask(site.clock.now(), None) };
    let mut file = store.open_segment(camera, opening).unwrap();
    site.append(&mut file).unwrap();
    file.close(site.clock.now(), 0, None).unwrap();
    sound(&store);
    let (mut settings, mut masks) = (Vec::new(), Vec::new());
    for record in records(&store) {
        match record {
            Record::Other(Statement::ConfigChange(it)) => settings.push((it.before, it.after)),
            Record::Other(Statement::MaskChange(it)) => masks.push((it.before, it.after)),
            _ => {}
        }
    }
    assert_eq!(settings, [(Digest::of(b"config"), Digest::of(b"other"))]);
    let unmasked = Mask::NotRequired { approved_by: "d.mensah".into() };
    assert_eq!(masks, [(None, unmasked.clone()), (Some(unmasked), masked)]);
}

#[test]
fn a_heartbeat_says_how_far_each_chain_has_come() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    let states: BTreeMap<CameraId, String> = [
        (site.ext_01().clone(), "recording".to_owned()),
        (site.ext_02().clone(), "camera-unreachable".to_owned()),
    ]
    .into();
    store.heartbeat(&states).unwrap();
    sound(&store);
    let records = records(&store);
    let Some(Record::Other(Statement::Heartbeat(beat))) = records.last() else {
        panic!("{:?}", records.last())
    };
    assert_eq!(beat.boot_id, store.identity().boot_id());
    let said: Vec<_> = beat.cameras.iter().map(|c| (c.next, c.state.as_str())).collect();
    assert_eq!(said, [(Seq(1), "recording"), (Seq(0), "camera-unreachable")]);
    let stranger = BTreeMap::from([("east/ext-09".parse().unwrap(), String::new())]);
    assert!(matches!(store.heartbeat(&stranger), Err(StoreError::Refused { .. })));
}

#[test]
fn a_manifest_names_the_newest_foreign_checkpoint() {
    let site = Site::new();
    let (store, _) = site.start();
    let foreign = ForeignCheckpoint {
        origin: "west.watchhouse.example/log/00000001".into(),
        size: 7,
        root: Digest::of(b"root"),
        note_sha256: Digest::of(b"note"),
    };
    site.record(&store, site.ext_01(), 1).unwrap();
    store.set_foreign_checkpoint(foreign.clone());
    site.record(&store, site.ext_01(), 1).unwrap();
    sound(&store);
    let named: Vec<_> = records(&store)
        .into_iter()
        .filter_map(|record| match record {
            Record::Segment(segment) => Some(segment.foreign_checkpoint),
            Record::Other(_) => None,
        })
        .collect();
    assert_eq!(named, [None, Some(foreign)]);
}

#[test]
fn a_rebuilt_index_begins_a_new_log_that_names_the_old_one() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    site.clock.advance_ms(86_400_000);
    site.record(&store, site.ext_01(), 2).unwrap();
    let old = published(&store);
    site.record(&store, site.ext_01(), 2).unwrap();
    drop(store);
    fs::remove_dir_all(site.folder().join("index")).unwrap();
    let (store, recovery) = site.start();
    assert!(recovery.rebuilt);
    assert_eq!(recovery.strays, Vec::<PathBuf>::new());
    sound(&store);
    super::read_in(&store);
    sound(&store);
    assert_ne!(store.log_origin(), old.origin);
    let Record::Other(Statement::AgentStart(start)) = &records(&store)[3] else {
        panic!("{:?}", kinds(&store))
    };
    let end = start.continues.clone().unwrap();
    assert_eq!((end.origin.as_str(), end.size, end.root), (&*old.origin, old.size, old.root));
    let kept = chain(&store, site.ext_01());
    assert_eq!(kept.iter().filter(|kind| **kind == "segment").count(), 3);
    let new = published(&store);
    assert_eq!(new.origin, store.log_origin());
    proves_everything(&store, &new);
    let instance = old.origin.rsplit('/').next().unwrap();
    let moved = fs::read(site.folder().join(format!("log-{instance}/checkpoint"))).unwrap();
    assert_eq!(SignedCheckpoint::read(&moved).unwrap().checkpoint(), &old);
    drop(store);
    let (store, _) = site.start();
    assert_eq!(store.alarms(), []);
    assert_eq!(published(&store).origin, new.origin);
    sound(&store);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

#[test]
fn an_index_from_a_backup_publishes_nothing_against_what_was_published() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    published(&store);
    drop(store);
    let (index, backup) = (site.folder().join("index"), site.folder().join("backup"));
    copy(&index, &backup);
    let volume = site.folder().join("segments/volume.json");
    let counted = fs::read(&volume).unwrap();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    let lost = published(&store);
    drop(store);
    let note = fs::read(static_note(&site)).unwrap();
    fs::remove_dir_all(&index).unwrap();
    copy(&backup, &index);
    // The counters of both sides are put back too, or the older copy would be known by them.
    fs::write(&volume, counted).unwrap();
    let (store, _) = site.start();
    assert_eq!(store.alarms()[0].0, "log-contradicted");
    for _ in 0..3 {
        // Recording goes on, past the size that was published.
        site.record(&store, site.ext_01(), 2).unwrap();
        assert_eq!(store.publish().unwrap(), None);
    }
    assert!(store.log_size() > lost.size);
    assert_eq!(fs::read(static_note(&site)).unwrap(), note, "what was published stays");
    drop(store);
    let (store, _) = site.start();
    assert_eq!(store.alarms()[0].0, "log-contradicted", "a restart does not mend it");
    drop(store);
    // What the alarm says to do mends it.
    fs::remove_dir_all(&index).unwrap();
    let (store, _) = site.start();
    super::read_in(&store);
    assert_eq!(store.alarms(), []);
    sound(&store);
    assert_ne!(published(&store).origin, lost.origin);
    sound(&store);
}

#[test]
fn a_promise_that_the_log_does_not_keep_stops_publishing() {
    let site = Site::new();
    let (store, _) = site.start();
    published(&store);
    site.record(&store, site.ext_01(), 1).unwrap();
    // Someone edits the index: the kept checkpoint is another one.
    let mut batch = super::super::index::Batch::default();
    let edited = super::super::key::checkpoint::encode(2, Digest::of(b"edited"));
    batch.put(
        super::super::key::Family::Facts,
        super::super::key::checkpoint::KEY.to_vec(),
        edited,
    );
    store.core.write(&batch).unwrap();
    assert_eq!(store.publish().unwrap(), None);
    assert_eq!(store.alarms()[0].0, "log-contradicted");
    let findings = store.check(Depth::Sizes).unwrap().findings;
    assert!(findings.iter().any(|f| f.place == "checkpoint"), "{findings:?}");
    site.record(&store, site.ext_01(), 1).unwrap();
}

#[test]
fn static_files_that_were_lost_torn_or_rolled_back_are_written_again() {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    published(&store);
    let log = site.folder().join("log");
    let before = site.folder().join("before");
    copy(&log, &before);
    site.record(&store, site.ext_01(), 1).unwrap();
    let newest = published(&store);
    let note = store.checkpoint().unwrap();
    drop(store);
    let tile = log.join(format!("tile/0/000.p/{}", newest.size));
    let entries = log.join(format!("tile/entries/000.p/{}", newest.size));
    let harms: [&dyn Fn(); 7] = [
        &|| fs::remove_dir_all(&log).unwrap(),
        &|| fs::write(static_note(&site), &note[..note.len() / 2]).unwrap(),
        &|| fs::write(static_note(&site), b"").unwrap(),
        &|| fs::write(&tile, b"torn").unwrap(),
        &|| fs::remove_file(&tile).unwrap(),
        &|| fs::write(&entries, b"torn").unwrap(),
        &|| {
            fs::remove_dir_all(&log).unwrap();
            copy(&before, &log);
        },
    ];
    for (at, harm) in harms.iter().enumerate() {
        harm();
        let (store, _) = site.start();
        assert_eq!(store.alarms(), [], "{at}");
        let again = published(&store);
        assert!(again.size > newest.size);
        sound(&store);
        drop(store);
        // As it was for the next harm.
        for path in [&tile, &entries] {
            if !path.exists() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, b"").unwrap();
            }
        }
    }
}

#[test]
fn the_check_names_what_was_edited_in_the_log() {
    use super::super::key::{Family, commitment, hash};
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 1).unwrap();
    published(&store);
    let found = |store: &Store| -> BTreeSet<String> {
        store.check(Depth::Sizes).unwrap().findings.into_iter().map(|f| f.place).collect()
    };
    assert_eq!(found(&store), BTreeSet::new());
    for (family, key, value, expected) in [
        (Family::Tree, hash::key(0), vec![7; 32], "log entry 0"),
        (Family::Entries, commitment::key(2), vec![7; 37], "log entry 2"),
        (Family::Tree, hash::key(999), vec![7; 32], "tree"),
    ] {
        let was = store.core.index.get(family, &key).unwrap();
        let mut batch = super::super::index::Batch::default();
        batch.put(family, key.clone(), value);
        store.core.write(&batch).unwrap();
        assert!(found(&store).contains(expected), "{expected}: {:?}", found(&store));
        let mut batch = super::super::index::Batch::default();
        match was {
            Some(was) => batch.put(family, key, was),
            None => batch.delete(family, key),
        }
        store.core.write(&batch).unwrap();
        assert_eq!(found(&store), BTreeSet::new());
    }
    fs::write(site.folder().join("log/tile/0/000.p/6"), b"edited").unwrap();
    assert_eq!(found(&store), BTreeSet::from(["tile/0/000.p/6".to_owned()]));
    // A record signed by a key that nobody certified.
    let key = custody::SecretKey::from_seed(&[9; 32]);
    let body = store.log_read(5, 1, usize::MAX).unwrap().remove(0);
    let record = Record::danger_read_unchecked(&Envelope::read(&body).unwrap()).unwrap();
    let mut batch = super::super::index::Batch::default();
    let forged = record.sign(&key);
    batch.put(Family::Log, super::super::key::entry::key(5), forged.bytes());
    store.core.write(&batch).unwrap();
    let findings = store.check(Depth::Sizes).unwrap().findings;
    assert_eq!(findings[0].what, "signed by a key without a certificate earlier in the log");
}

#[test]
fn an_older_checkpoint_is_never_contradicted_by_a_later_one() {
    let site = Site::new();
    let (store, _) = site.start();
    let mut seen = Vec::new();
    for _ in 0..5 {
        site.record(&store, site.ext_01(), 1).unwrap();
        seen.push(published(&store));
        assert_eq!(published(&store), *seen.last().unwrap(), "nothing new, nothing published");
    }
    let last = seen.last().unwrap();
    for checkpoint in &seen {
        let proof = store.consistency_proof(last.size, checkpoint.size).unwrap();
        let (old, new) = ((checkpoint.size, checkpoint.root), (last.size, last.root));
        assert!(tree::is_consistent(old, new, &proof));
    }
}
