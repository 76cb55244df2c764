//! Publishing on a real disc: power lost before and after each step, and edits by hand.

use std::fs;

use custody::tree;
use host::tiles::CHECKPOINT;

use super::*;
use crate::access::Actor;
use crate::log::check::{Fault, check, check_published};
use crate::log::event::people::PersonSuspended;
use crate::log::key::{entry, node, salt, signed};
use crate::log::{Entry, Event, RocksLog, Stream};

fn entry_about(who: &str) -> Entry {
    let person = who.parse().unwrap();
    Entry {
        at: custody::WallTime(1_763_733_780_000_000),
        actor: Actor::Controller,
        purpose: None,
        reason: "left the force".to_owned(),
        body: Event::PersonSuspended(PersonSuspended { person }),
    }
}

struct Scene {
    folder: tempfile::TempDir,
    log: Arc<RocksLog>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(RocksLog::open(&folder.path().join("log")).unwrap());
        Self { folder, log }
    }

    fn append(&self, count: usize) {
        let stream = Stream::access();
        let have = self.log.head().unwrap();
        let entries: Vec<Entry> = (0..count).map(|_| entry_about("a.b")).collect();
        self.log.append(&stream, have, &entries).unwrap();
    }

    fn publisher(&self) -> Publisher {
        let key = SecretKey::from_seed(&[5; 32]);
        let origin = origin(&*self.log, "force.example");
        Publisher::new(self.log.clone(), self.folder.path(), &origin, key)
    }

    fn public(&self) -> PathBuf {
        self.folder.path().join(FOLDER)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let bytes = fs::read(self.public().join(CHECKPOINT)).ok()?;
        let note = SignedCheckpoint::read(&bytes).unwrap();
        Some(note.check(self.publisher().vkey()).unwrap().clone())
    }

    /// Power is lost: everything in memory goes.
    fn restart(&mut self) {
        let folder = self.folder.path().join("log");
        assert_eq!(Arc::strong_count(&self.log), 1, "nobody else may hold the log open");
        let closed = tempfile::tempdir().unwrap();
        let other = Arc::new(RocksLog::open(closed.path()).unwrap());
        drop(std::mem::replace(&mut self.log, other));
        self.log = Arc::new(RocksLog::open(&folder).unwrap());
    }

    /// The oracle: the log is whole, what is published is the log's, and nothing that was ever
    /// published is contradicted.
    fn is_well(&self, ever: &mut Vec<Checkpoint>) {
        assert_eq!(check(&self.log), []);
        if let Some(now) = self.checkpoint() {
            assert_eq!(check_published(&self.log, &self.public(), self.publisher().vkey()), []);
            ever.push(now);
        }
        for published in &*ever {
            let root = tiles::root(published.size, &Nodes(&*self.log)).unwrap();
            assert_eq!(root, published.root, "{} entries", published.size);
        }
    }
}

#[test]
fn what_grew_is_published_and_every_entry_proved_by_the_files_alone() {
    let scene = Scene::new();
    let publisher = scene.publisher();
    assert_eq!(publisher.publish().unwrap(), None);
    for count in [1, 2, 250, 10, 300] {
        scene.append(count);
        let head = publisher.publish().unwrap().unwrap();
        assert_eq!(head.size, scene.log.head().unwrap());
        assert_eq!(publisher.publish().unwrap(), Some(head), "again changes nothing");
        scene.is_well(&mut Vec::new());
    }
    let checkpoint = scene.checkpoint().unwrap();
    let mut leaves = Vec::new();
    for tile in tiles::entry_tiles(0, checkpoint.size) {
        let bytes = fs::read(scene.public().join(tile.path())).unwrap();
        let entries = tiles::EntryTile::read(&bytes).unwrap();
        leaves.extend(entries.iter().map(|entry| tree::leaf(entry)));
    }
    assert_eq!((leaves.len() as u64, tree::root(&leaves)), (checkpoint.size, checkpoint.root));
    let note = publisher.standing().borrow().note.clone().unwrap();
    assert_eq!(*note, fs::read(scene.public().join(CHECKPOINT)).unwrap());
}

/// The steps of a publication, each undone or cut short as a power loss would.
#[test]
fn power_lost_before_or_after_any_step_forks_nothing() {
    let mut scene = Scene::new();
    let mut ever = Vec::new();
    scene.append(3);
    scene.publisher().publish().unwrap();
    scene.is_well(&mut ever);

    // After the append, before anything is published.
    scene.append(4);
    scene.restart();
    scene.is_well(&mut ever);
    scene.publisher().publish().unwrap();
    scene.is_well(&mut ever);

    // After the head is kept and the tiles are written, before the checkpoint: a folder stands
    // where it is to go.
    scene.append(300);
    let head = |log: &RocksLog| {
        let size = log.head().unwrap();
        Head { size, root: tiles::root(size, &Nodes(log)).unwrap() }
    };
    let in_the_way = scene.public().join("checkpoint.new/x");
    fs::create_dir_all(&in_the_way).unwrap();
    let failed = scene.publisher().publish().unwrap_err();
    assert!(matches!(failed, PublishError::Files(_)), "{failed}");
    assert_eq!(scene.log.signed().unwrap(), Some(head(&scene.log)));
    scene.restart();
    scene.is_well(&mut ever);
    fs::remove_dir_all(scene.public().join("checkpoint.new")).unwrap();
    scene.append(1);
    scene.publisher().publish().unwrap();
    scene.is_well(&mut ever);

    // After the head is kept, before any file; the log grows meanwhile.
    scene.append(2);
    let kept = head(&scene.log);
    scene.log.keep_signed(scene.log.signed().unwrap(), kept).unwrap();
    scene.restart();
    scene.is_well(&mut ever);
    scene.append(1);
    let published = scene.publisher().publish().unwrap().unwrap();
    assert_eq!(published, head(&scene.log));
    scene.is_well(&mut ever);

    // After the checkpoint: the next run has nothing to do.
    scene.restart();
    scene.is_well(&mut ever);
    assert_eq!(scene.publisher().publish().unwrap(), Some(published));

    // A checkpoint that did not reach the disc whole is made again.
    fs::write(scene.public().join(CHECKPOINT), b"controller.for").unwrap();
    assert_eq!(scene.publisher().publish().unwrap(), Some(published));
    scene.is_well(&mut ever);
}

#[test]
fn a_log_restored_from_an_older_copy_publishes_nothing_more() {
    let mut scene = Scene::new();
    scene.append(3);
    scene.publisher().publish().unwrap();
    let (log, copy) = (scene.folder.path().join("log"), scene.folder.path().join("copy"));
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    scene.restart();
    copy_folder(&log, &copy);
    scene.append(5);
    scene.publisher().publish().unwrap();

    // The disc is restored; the public files are elsewhere and stay.
    let other = tempfile::tempdir().unwrap();
    scene.log = Arc::new(RocksLog::open(other.path()).unwrap());
    fs::remove_dir_all(&log).unwrap();
    copy_folder(&copy, &log);
    scene.log = Arc::new(RocksLog::open(&log).unwrap());
    for _ in 0..2 {
        let refused = scene.publisher().publish().unwrap_err();
        assert!(matches!(refused, PublishError::Contradiction(_)), "{refused}");
        // Growing past it does not make it good: other entries stand there now.
        scene.append(9);
    }
}

#[test]
fn an_edit_that_fits_the_stores_own_hashes_is_named_by_the_published_files() {
    let scene = Scene::new();
    scene.append(5);
    let publisher = scene.publisher();
    publisher.publish().unwrap();
    // Whoever edits has read this program: the entry, every hash above it, and the signed head.
    let text = String::from_utf8(scene.log.body(3).unwrap().unwrap().bytes).unwrap();
    let bytes = text.replace("left the force", "left the house").into_bytes();
    scene.log.db().put(entry::key(3), &bytes).unwrap();
    let mut own = std::collections::BTreeMap::new();
    struct Kept<'a>(&'a std::collections::BTreeMap<u64, custody::Digest>);
    impl tiles::Hashes for Kept<'_> {
        fn hash(&self, number: u64) -> Result<custody::Digest, tiles::TreeError> {
            Ok(self.0[&number])
        }
    }
    for position in 0..5 {
        let leaf = scene.log.body(position).unwrap().unwrap().leaf();
        let new = tiles::append(position, leaf, &Kept(&own)).unwrap();
        own.extend(new);
    }
    for (number, hash) in &own {
        scene.log.db().put(node::key(*number), hash.0).unwrap();
    }
    let head = Head { size: 5, root: tiles::root(5, &Kept(&own)).unwrap() };
    scene.log.db().put(signed::KEY, signed::value(&head)).unwrap();
    assert_eq!(check(&scene.log), [], "the store contradicts itself nowhere");

    let faults = check_published(&scene.log, &scene.public(), publisher.vkey());
    let place = "tile/entries/000.p/5".to_owned();
    assert_eq!(faults, [Fault::Edited { position: 3, place }]);
    let refused = publisher.publish().unwrap_err();
    assert!(matches!(refused, PublishError::Contradiction(_)), "{refused}");
}

#[test]
fn public_files_that_are_missing_or_damaged_are_told() {
    let scene = Scene::new();
    scene.append(5);
    let publisher = scene.publisher();
    publisher.publish().unwrap();
    let faults = || check_published(&scene.log, &scene.public(), publisher.vkey());
    let tile = scene.public().join("tile/entries/000.p/5");
    let bytes = fs::read(&tile).unwrap();
    fs::write(&tile, &bytes[1..]).unwrap();
    assert!(matches!(faults()[..], [Fault::Published { .. }]));
    fs::remove_file(&tile).unwrap();
    assert!(matches!(faults()[..], [Fault::Published { .. }]));
    fs::write(&tile, &bytes).unwrap();
    assert_eq!(faults(), []);
    fs::remove_file(scene.public().join(CHECKPOINT)).unwrap();
    assert!(matches!(faults()[..], [Fault::Published { .. }]));
    // A salt that was wiped leaves the entry unprovable, and says so.
    publisher.publish().unwrap();
    scene.log.db().delete(salt::key(2)).unwrap();
    assert_eq!(faults().len(), 1);
}
