//! What lies in the vault, and what it is worth to a thief.

use custody::SecretKey;
use custody::record::{Gap, GapReason, Record, Statement};

use super::*;
use crate::fleet::{Found, FoundRecord};

#[test]
fn a_stolen_vault_disc_opens_nothing() {
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let camera: CameraId = "east/ext-01".parse().unwrap();
    let (seq, root, key) = (Seq(7), Digest::of(b"root"), Key::new([5; 32]));
    let vault = Vault::open(home.path()).unwrap();
    let wrapped = vault.wrap(&camera, seq, root, &key);
    let again = Vault::open(home.path()).unwrap();
    let opened = again.unwrap(&camera, seq, root, &wrapped).ok().unwrap();
    assert_eq!(opened.danger_bytes(), key.danger_bytes());
    // The key lies outside the vault's folder: elsewhere, or for another segment, nothing opens.
    assert!(!home.path().join("vault").join(KEY_FILE).exists());
    assert!(Vault::open(away.path()).unwrap().unwrap(&camera, seq, root, &wrapped).is_err());
    assert!(again.unwrap(&camera, Seq(8), root, &wrapped).is_err());
    assert!(again.unwrap(&camera, seq, Digest::NONE, &wrapped).is_err());
    std::fs::write(home.path().join(KEY_FILE), b"short").unwrap();
    assert!(Vault::open(home.path()).is_err(), "a cut key is not silently made anew");
}

#[test]
fn what_is_kept_of_a_hold_reads_back_and_chains_lie_apart() {
    let home = tempfile::tempdir().unwrap();
    let vault = Vault::open(home.path()).unwrap();
    let camera: CameraId = "east/ext-01".parse().unwrap();
    let hold: HoldId = "H-2026-000001".parse().unwrap();
    assert_eq!(vault.held(&hold).unwrap(), None);
    let gap = Gap {
        camera: camera.clone(),
        seq: Seq(4),
        prev: Digest::NONE,
        boot_id: "boot".to_owned(),
        start: custody::WallTime(1),
        end: custody::WallTime(2),
        reason: GapReason::CameraUnreachable,
        detail: String::new(),
        clock: host::Clock::simulated(custody::WallTime(2)).quality(),
    };
    let record = Record::Other(Statement::Gap(gap));
    let envelope = record.sign(&SecretKey::from_seed(&[7; 32]));
    let found = FoundRecord { envelope: envelope.clone(), record, file_bytes: 0 };
    let found = Found { camera_known: true, records: vec![found] };
    let keys = vec![held::KeptKey { seq: Seq(4), wrapped: "00ff".to_owned() }];
    let kept = HeldFile::of(&found).with_keys(keys, std::slice::from_ref(&envelope));
    vault.keep_held(&hold, &kept).unwrap();
    let read = vault.held(&hold).unwrap().unwrap();
    assert_eq!(read, kept);
    assert_eq!(read.transfers().unwrap(), std::slice::from_ref(&envelope));
    assert_eq!(read.found().unwrap().records[0].envelope, envelope);
    assert_eq!(read.segments().unwrap(), []);

    let (old, new) = (Digest::of(b"before the fire"), Digest::of(b"after it"));
    for root in [old, new] {
        let name = segment_name(&camera, Seq(0), root);
        assert_eq!(vault.shelf().bytes(&name).unwrap(), None);
        vault.shelf().put(&name, &root.0).unwrap();
    }
    let shelf = vault.shelf();
    assert_eq!(shelf.read(&segment_name(&camera, Seq(0), old), 0, 99).unwrap(), old.0);
    assert!(vault.find(&camera, Seq(0)).unwrap().is_some());
    assert_eq!(vault.find(&camera, Seq(1)).unwrap(), None);
    shelf.remove(&segment_name(&camera, Seq(0), old)).unwrap();
    shelf.remove(&segment_name(&camera, Seq(0), old)).unwrap();
    assert_eq!(shelf.list("segments/east/ext-01/").unwrap().len(), 1);
}
