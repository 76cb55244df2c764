//! What is kept for other sites, and what is not.

use custody::fragment::FragmentInfo;
use custody::sealed::{Header, Kind, MAGIC, SealedFragment, SealedSegment, block};
use custody::tree;

use super::*;
use crate::store::HoldBudget;
use crate::store::tests::Site;

const CAMERA: &str = "west/ext-01";

/// A whole sealed file of a camera, and its root.
fn sealed(camera: &str, seq: u64, fill: u8) -> (Vec<u8>, Digest) {
    let header = Header {
        camera: camera.parse().unwrap(),
        seq: Seq(seq),
        boot_id: "boot".to_owned(),
        epoch: 1,
        wrapped_key: "00".to_owned(),
    };
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = MAGIC.to_vec();
    file.extend(block(Kind::Header, &[&header]));
    file.extend(block(Kind::Init, &[b"init"]));
    for index in 0..3 {
        let info = FragmentInfo { index, ..FragmentInfo::decode(&[0; 28]) };
        let sealed = vec![fill; 1000];
        let plain_commit = Digest::of(&[fill]);
        file.extend(SealedFragment { info, plain_commit, sealed: &sealed }.block());
    }
    file.extend(block(Kind::Manifest, &[b"manifest"]));
    let root = tree::root(&SealedSegment::read(&file).unwrap().leaves());
    (file, root)
}

struct Sent {
    file: Vec<u8>,
    root: Digest,
    seq: u64,
}

impl Sent {
    fn new(seq: u64) -> Self {
        let (file, root) = sealed(CAMERA, seq, 7);
        Self { file, root, seq }
    }

    fn piece(&self, from: usize, to: usize) -> Piece {
        Piece {
            camera: CAMERA.parse().unwrap(),
            seq: Seq(self.seq),
            root: self.root,
            file_bytes: self.file.len() as u64,
            offset: from as u64,
            data: self.file[from..to].to_vec(),
        }
    }

    fn all(&self) -> Piece {
        self.piece(0, self.file.len())
    }
}

fn open(site: &Site, store: &Store) -> GuestRoom {
    GuestRoom::open(site.folder(), store, 0)
}

fn refused(kept: Result<Kept, GuestError>, code: &str) {
    let Err(GuestError::Refused(why)) = kept else { panic!("{code}: {kept:?}") };
    assert!(why.starts_with(code), "{why}");
}

/// Files below the room's folder.
fn names(site: &Site) -> Vec<String> {
    let folder = site.folder().join("guest/west/ext-01");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_in_pieces_is_checked_and_goes_again() {
    let site = Site::new();
    let (store, _) = site.start();
    let room = open(&site, &store);
    let sent = Sent::new(42);
    let length = sent.file.len() as u64;
    let camera: CameraId = CAMERA.parse().unwrap();
    let part = |bytes| Kept { bytes, is_whole: false };
    let whole = Kept { bytes: length, is_whole: true };
    assert_eq!(room.keep(&sent.piece(0, 0)).unwrap(), part(0));
    assert_eq!(room.keep(&sent.piece(0, 1000)).unwrap(), part(1000));
    // The same piece again, one from behind the end: it is told where to go on.
    assert_eq!(room.keep(&sent.piece(0, 1000)).unwrap(), part(1000));
    assert_eq!(room.keep(&sent.piece(2000, 2100)).unwrap(), part(1000));
    assert_eq!(room.path(&camera, Seq(42), sent.root), None, "a part is not given to anybody");
    assert_eq!(room.keep(&sent.piece(1000, sent.file.len())).unwrap(), whole);
    assert_eq!(room.keep(&sent.all()).unwrap(), whole);
    assert_eq!(store.held().unwrap().bytes, length);

    let root = sent.root.to_string();
    assert_eq!(names(&site), [format!("0000000042-{}.whseg", &root[..16])]);
    let path = room.path(&camera, Seq(42), sent.root).unwrap();
    assert_eq!(fs::read(path).unwrap(), sent.file);
    assert_eq!(room.path(&camera, Seq(42), Digest::NONE), None);
    let name = Name::of(Seq(42), sent.root);
    assert_eq!(room.list(&camera, None).unwrap(), (vec![Guest { name, kept: whole }], false));
    assert_eq!(room.list(&camera, Some(name)).unwrap(), (vec![], false));

    // A restart knows what is there.
    drop((room, store));
    let (store, _) = site.start();
    let room = open(&site, &store);
    assert_eq!(store.held().unwrap().bytes, length);
    for _ in 0..2 {
        room.remove(&camera, &[name]).unwrap();
        assert_eq!(store.held().unwrap().bytes, 0);
    }
    assert_eq!(fs::read_dir(site.folder().join("guest")).unwrap().count(), 0);
}

#[test]
fn what_is_not_the_named_file_is_thrown_away() {
    let site = Site::new();
    let (store, _) = site.start();
    let room = open(&site, &store);
    let good = Sent::new(1);
    let mut bent = Sent::new(1);
    *bent.file.iter_mut().rev().nth(100).unwrap() ^= 1;
    let other_root = Sent { root: Digest::of(b"another"), ..Sent::new(1) };
    let other_seq = Sent { seq: 2, ..Sent::new(1) };
    let other_camera = {
        let (file, root) = sealed("west/ext-02", 1, 7);
        Sent { file, root, seq: 1 }
    };
    let mut cut = Sent::new(1);
    cut.file.truncate(cut.file.len() - 3);
    let mut garbage = Sent::new(1);
    garbage.file.fill(b'x');
    let longer = Sent { file: [&good.file[..], b"F"].concat(), ..Sent::new(1) };
    for sent in [bent, other_root, other_seq, other_camera, cut, garbage, longer] {
        refused(room.keep(&sent.all()), "guest-not-sealed: ");
        assert_eq!((names(&site), store.held().unwrap().bytes), (vec![], 0));
    }
    assert!(room.keep(&good.all()).unwrap().is_whole);
}

#[test]
fn a_torn_part_goes_on_or_is_found_out() {
    let site = Site::new();
    let (store, _) = site.start();
    let room = open(&site, &store);
    let sent = Sent::new(1);
    room.keep(&sent.piece(0, 2000)).unwrap();
    let part = Name::of(Seq(1), sent.root).part(&site.folder().join("guest/west/ext-01"));
    let length = sent.file.len();
    // Power went: the length was written and what should be there was not.
    fs::write(&part, [0; 1500]).unwrap();
    let room = open(&site, &store);
    assert_eq!(room.keep(&sent.piece(0, 0)).unwrap().bytes, 1500);
    refused(room.keep(&sent.piece(1500, length)), "guest-not-sealed: ");
    assert_eq!(names(&site), [""; 0], "it begins anew");
    // All of it had come, and power went before it was checked.
    fs::write(&part, &sent.file).unwrap();
    assert!(room.keep(&sent.piece(length, length)).unwrap().is_whole);
    // A part longer than the file.
    let other = Sent::new(2);
    let part = Name::of(Seq(2), other.root).part(&site.folder().join("guest/west/ext-01"));
    fs::write(&part, vec![0; other.file.len() + 1]).unwrap();
    assert_eq!(room.keep(&other.piece(0, 0)).unwrap().bytes, 0);
    assert!(room.keep(&other.all()).unwrap().is_whole);
}

#[test]
fn guests_count_as_held_and_never_take_more() {
    let site = Site::new();
    let (store, _) = site.start();
    let room = open(&site, &store);
    let [first, second] = [Sent::new(1), Sent::new(2)];
    let length = first.file.len() as u64;
    store.set_hold_budget(HoldBudget::Bytes(2 * length - 1));
    assert!(room.keep(&first.all()).unwrap().is_whole);
    // Refused at its first piece, and not when half of it has come.
    refused(room.keep(&second.piece(0, 10)), "guest-budget: ");
    assert_eq!(names(&site).len(), 1);
    // And what is held here finds less room.
    let recorded = site.record(&store, site.ext_01(), 1).unwrap();
    store.set_hold_budget(HoldBudget::Bytes(length + recorded.bytes - 1));
    let ask = crate::store::PlaceHold {
        hold: "h1".parse().unwrap(),
        case: "WH-2026-000001".parse().unwrap(),
        camera: site.ext_01().clone(),
        from: crate::store::tests::BEGIN,
        to: crate::store::tests::BEGIN.plus_seconds(60),
        grounds: crate::store::tests::grounds(),
    };
    assert!(matches!(store.place_hold(ask.clone()), Err(StoreError::Refused { .. })));
    room.remove(&CAMERA.parse().unwrap(), &[Name::of(Seq(1), first.root)]).unwrap();
    assert_eq!(store.place_hold(ask).unwrap(), 1);
    // Recording keeps its reserve.
    let reserved = GuestRoom::open(site.folder(), &store, u64::MAX);
    store.set_hold_budget(HoldBudget::Bytes(u64::MAX));
    refused(reserved.keep(&first.all()), "guest-room: ");
}

#[test]
fn own_footage_and_files_out_of_bounds_are_refused() {
    let site = Site::new();
    let (store, _) = site.start();
    let room = open(&site, &store);
    let sent = Sent::new(1);
    let own = Piece { camera: "east/ext-09".parse().unwrap(), ..sent.all() };
    refused(room.keep(&own), "guest-own: ");
    let length = sent.file.len() as u64;
    for (file_bytes, offset) in
        [(0, 0), (limits::SEGMENT_BYTES_MAX + 1, 0), (length, 1), (length, u64::MAX)]
    {
        refused(room.keep(&Piece { file_bytes, offset, ..sent.all() }), "guest-bounds: ");
    }
    let data = vec![0; limits::GUEST_PIECE_BYTES_MAX + 1];
    let file_bytes = limits::SEGMENT_BYTES_MAX;
    refused(room.keep(&Piece { data, file_bytes, ..sent.all() }), "guest-bounds: ");
    assert!(!site.folder().join("guest").exists());
    let names = vec![Name::of(Seq(1), sent.root); limits::GUESTS_DROPPED_MAX + 1];
    assert!(room.remove(&CAMERA.parse().unwrap(), &names).is_err());
}

#[test]
fn only_names_that_are_ours_are_read() {
    let name = Name { seq: Seq(42), root: RootStart([0xab; 8]) };
    let good = "0000000042-abababababababab";
    assert_eq!(Name::read(&format!("{good}.whseg")), Some((name, true)));
    assert_eq!(Name::read(&format!("{good}.part")), Some((name, false)));
    for text in [
        format!("{good}.whseg.new"),
        good.to_owned(),
        "42-abababababababab.whseg".to_owned(),
        "0000000042-ABABABABABABABAB.whseg".to_owned(),
        "0000000042-abab.part".to_owned(),
        "+000000042-abababababababab.part".to_owned(),
        "../0000000042-abababababababab.part".to_owned(),
    ] {
        assert_eq!(Name::read(&text), None, "{text}");
    }
}
