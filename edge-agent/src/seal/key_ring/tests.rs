//! What opens, and what opens nowhere any more.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::seal::FileRoot;

fn site() -> SiteId {
    "east".parse().unwrap()
}

fn open(folder: &Path) -> Result<KeyRing, KeyError> {
    KeyRing::open(folder, &site(), Box::new(FileRoot::new(folder)))
}

fn header(ring: &KeyRing, seq: u64, epoch: u64) -> (Key, custody::sealed::Header) {
    let camera: CameraId = "east/ext-01".parse().unwrap();
    let (key, wrapped) = ring.new_segment_key(&camera, Seq(seq), epoch).unwrap();
    let header = custody::sealed::Header {
        camera,
        seq: Seq(seq),
        boot_id: "b".into(),
        epoch,
        wrapped_key: hex::encode(wrapped),
    };
    (key, header)
}

fn rotate(ring: &KeyRing, destroyed: &[u64]) {
    let next = ring.prepare().unwrap();
    ring.turn(&next, destroyed, &[]).unwrap();
    ring.finish().unwrap();
}

/// A copy of a folder, as a backup makes it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let into = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &into);
        } else {
            fs::copy(&path, &into).unwrap();
        }
    }
}

#[test]
fn a_segment_key_opens_until_its_hour_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let ring = open(folder.path()).unwrap();
    let (key, kept) = header(&ring, 3, 500);
    let (_, other) = header(&ring, 3, 501);
    drop(ring);
    let ring = open(folder.path()).unwrap();
    let opened = ring.segment_key(&kept).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(opened.danger_bytes(), key.danger_bytes());
    assert_eq!(ring.hours(), BTreeSet::from([500, 501]));
    let before = ring.site_key();
    rotate(&ring, &[500]);
    assert!(ring.site_key() != before);
    for ring in [ring, open(folder.path()).unwrap()] {
        assert!(matches!(ring.segment_key(&kept), Err(KeyError::Destroyed { epoch: 500 })));
        assert!(ring.segment_key(&other).is_ok());
        assert_eq!(ring.hours(), BTreeSet::from([501]));
        rotate(&ring, &[]);
    }
}

#[test]
fn an_old_ring_opens_under_no_later_site_key() {
    let folder = tempfile::tempdir().unwrap();
    let ring = open(folder.path()).unwrap();
    let (_, kept) = header(&ring, 3, 500);
    let old = fs::read(folder.path().join("ring")).unwrap();
    rotate(&ring, &[500]);
    drop(ring);
    let good = fs::read(folder.path().join("ring")).unwrap();
    fs::write(folder.path().join("ring"), old).unwrap();
    let refused = open(folder.path()).err().unwrap().to_string();
    assert!(refused.contains("opens under no site key"), "{refused}");
    fs::write(folder.path().join("ring"), good).unwrap();
    let ring = open(folder.path()).unwrap();
    assert!(matches!(ring.segment_key(&kept), Err(KeyError::Destroyed { .. })));
}

#[test]
fn a_re_keyed_hour_opens_its_survivors_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ring = open(folder.path()).unwrap();
    let (erased_key, erased) = header(&ring, 1, 500);
    let (key, held) = header(&ring, 2, 500);
    for round in 1..=2 {
        let survivor = ring.segment_key(&held).unwrap();
        let mut next = ring.prepare().unwrap();
        ring.rekey(&mut next, 500, &[(held.camera.clone(), held.seq, survivor)]).unwrap();
        ring.turn(&next, &[], &[500]).unwrap();
        ring.finish().unwrap();
        let ring = open(folder.path()).unwrap();
        assert_eq!(ring.segment_key(&held).unwrap().danger_bytes(), key.danger_bytes());
        assert!(matches!(ring.segment_key(&erased), Err(KeyError::Destroyed { .. })));
        let files = fs::read_dir(folder.path().join("hours")).unwrap();
        let names: Vec<_> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names, [format!("500-{round}")]);
        // Nor does what the header carries open under the hour's key as it is now.
        let wrapped = hex::decode(&erased.wrapped_key).unwrap();
        let place = sealing::segment_key_place(&erased.camera, erased.seq, 500);
        let opened = ring.hour(500).unwrap().key.unwrap(&wrapped, &place);
        assert!(opened.is_err_and(|_| !erased_key.danger_bytes().is_empty()));
    }
    // A segment of the hour that comes later has its key in its header, which is not looked at.
    assert!(ring.has_hour(500) && !ring.has_hour(501));
}

#[test]
fn a_rotation_cut_off_anywhere_leaves_a_ring_that_opens() {
    for cut in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let ring = open(folder.path()).unwrap();
        let (_, going) = header(&ring, 1, 500);
        let (key, held) = header(&ring, 2, 501);
        let next = (cut > 0).then(|| ring.prepare().unwrap());
        if let Some(next) = next.filter(|_| cut > 1) {
            ring.turn(&next, &[500], &[]).unwrap();
        }
        if cut > 2 {
            ring.finish().unwrap();
        }
        drop(ring);
        let ring = open(folder.path()).unwrap();
        assert_eq!(ring.segment_key(&going).is_ok(), cut < 2, "{cut}");
        assert_eq!(ring.segment_key(&held).unwrap().danger_bytes(), key.danger_bytes());
        rotate(&ring, &[500]);
        assert!(ring.segment_key(&going).is_err() && ring.segment_key(&held).is_ok());
        assert_eq!(fs::read_dir(folder.path().join("root")).unwrap().count(), 1);
    }
}

#[test]
fn a_lost_ring_or_root_is_said_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let backup = tempfile::tempdir().unwrap();
    copy(folder.path(), backup.path());
    let ring = open(folder.path()).unwrap();
    ring.make_hour(9).unwrap();
    drop(ring);
    fs::remove_file(folder.path().join("ring")).unwrap();
    let said = open(folder.path()).err().unwrap().to_string();
    assert!(said.contains("ring is missing"), "{said}");
    let other = tempfile::tempdir().unwrap();
    let ring = open(other.path()).unwrap();
    ring.make_hour(9).unwrap();
    drop(ring);
    fs::remove_dir_all(other.path().join("root")).unwrap();
    assert!(matches!(open(other.path()), Err(KeyError::Damaged { .. })));
    // A first start that was cut off between ring and root begins once more.
    fs::remove_dir_all(backup.path().join("root")).unwrap();
    open(backup.path()).unwrap().make_hour(9).unwrap();
}

#[test]
fn a_key_folder_of_the_form_before_is_taken_over_and_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path();
    let (site_key, hour_key) = (Key::new([1; 32]), Key::new([2; 32]));
    fs::create_dir_all(keys.join("epoch")).unwrap();
    fs::write(keys.join("site.key"), site_key.danger_bytes()).unwrap();
    fs::hard_link(keys.join("site.key"), keys.join("seen")).unwrap();
    let wrapped = site_key.wrap(&hour_key, [3; 12], &sealing::epoch_key_place(&site(), 77));
    fs::write(keys.join("epoch/77.key"), wrapped).unwrap();
    for _ in 0..2 {
        let ring = open(keys).unwrap();
        assert_eq!(ring.hour(77).unwrap().key.danger_bytes(), hour_key.danger_bytes());
    }
    assert_eq!(fs::read(keys.join("seen")).unwrap(), [0; 32], "overwritten where it lay");
    assert!(!keys.join("site.key").exists() && !keys.join("epoch").exists());
}
