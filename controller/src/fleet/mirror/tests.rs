//! The copy against sites that send all, again, late, wrong, and lie.

use custody::record::{Heartbeat, KeyCert, Revoked};
use custody::{Clock, ClockSource, SecretKey, WallTime, tree};

use super::*;
use crate::fleet::signers::Identity;
use crate::log::event::logs::{Contradiction, ContradictionKind};
use site::Site;

pub(crate) mod site {
    //! A site as its agent would be, as far as its log goes.

    use super::*;
    use custody::log::entry;
    use custody::record::{Record, Statement};

    /// A site's keys and log.
    pub(crate) struct Site {
        pub(crate) id: SiteId,
        pub(crate) seed: u8,
        pub(crate) instance: u32,
        pub(crate) records: Vec<Envelope>,
    }

    pub(crate) fn heartbeat(site: &str, at: i64) -> Record {
        let quality = Clock {
            source: ClockSource::Simulated,
            offset_us: 0,
            uncertainty_us: 0,
            camera_offset_ms: None,
        };
        Record::Other(Statement::Heartbeat(Heartbeat {
            site: site.parse().unwrap(),
            boot_id: "boot".to_owned(),
            clock: quality,
            cameras: Vec::new(),
            at: WallTime(at),
        }))
    }

    impl Site {
        pub(crate) fn new(name: &str, seed: u8) -> Self {
            Self { id: name.parse().unwrap(), seed, instance: 1, records: Vec::new() }
        }

        fn key(&self, more: u8) -> SecretKey {
            SecretKey::from_seed(&[self.seed + more; 32])
        }

        pub(crate) fn identity(&self) -> Identity {
            Identity { keys: vec![self.key(0).public()], revoked: Vec::new() }
        }

        pub(crate) fn origin(&self) -> String {
            format!("{}.force.example/log/{:08x}", self.id, self.instance)
        }

        pub(crate) fn witness_name(&self) -> String {
            format!("{}.force.example/witness", self.id)
        }

        pub(crate) fn witness_key(&self) -> SecretKey {
            self.key(30)
        }

        /// The identity certifies the key grown from `seed`.
        pub(crate) fn cert(&self, usage: KeyUsage, name: Option<&str>, seed: u8) -> Envelope {
            let key = SecretKey::from_seed(&[seed; 32]).public();
            let life_s = if usage == KeyUsage::Records { 86_400 } else { 366 * 86_400 };
            Record::Other(Statement::KeyCert(KeyCert {
                site: self.id.clone(),
                usage,
                key_id: key.id(),
                public_key: key.to_hex(),
                name: name.map(str::to_owned),
                not_before: WallTime(0),
                not_after: WallTime(0).plus_seconds(life_s),
            }))
            .sign(&self.key(0))
        }

        /// The log's first three records: its keys.
        pub(crate) fn begin(mut self) -> Self {
            let (origin, witness) = (self.origin(), self.witness_name());
            self.records = vec![
                self.cert(KeyUsage::Records, None, self.seed + 10),
                self.cert(KeyUsage::Log, Some(&origin), self.seed + 20),
                self.cert(KeyUsage::Witness, Some(&witness), self.seed + 30),
            ];
            self
        }

        pub(crate) fn beats(&mut self, count: usize) {
            for _ in 0..count {
                let at = i64::try_from(self.records.len()).unwrap();
                let record = heartbeat(self.id.as_str(), at).sign(&self.key(10));
                self.records.push(record);
            }
        }

        pub(crate) fn leaves(&self) -> Vec<Digest> {
            let leaf = |envelope: &Envelope| {
                let kind = Record::danger_read_unchecked(envelope).unwrap().kind().unwrap();
                tree::leaf(&entry::record(kind, envelope.digest()))
            };
            self.records.iter().map(leaf).collect()
        }

        pub(crate) fn checkpoint(&self, size: usize) -> Vec<u8> {
            let root = tree::root(&self.leaves()[..size]);
            let origin = self.origin();
            Checkpoint { origin, size: size as u64, root }.sign(&self.key(20))
        }

        pub(crate) fn send(
            &self,
            mirror: &Mirror,
            first: usize,
            end: usize,
            arrival: u64,
        ) -> Result<Taken, Refused> {
            let records: Vec<_> =
                self.records[first..end].iter().map(|r| r.bytes().to_vec()).collect();
            let checkpoint = self.checkpoint(self.records.len());
            self.submit(mirror, first as u64, &records, &checkpoint, arrival)
        }

        pub(crate) fn submit(
            &self,
            mirror: &Mirror,
            first: u64,
            records: &[Vec<u8>],
            checkpoint: &[u8],
            arrival: u64,
        ) -> Result<Taken, Refused> {
            let identity = self.identity();
            let site = &self.id;
            mirror.take(&Submission {
                site,
                identity: &identity,
                first,
                records,
                checkpoint,
                arrival,
            })
        }
    }
}

struct Scene {
    folder: tempfile::TempDir,
    mirror: Mirror,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mirror = open(folder.path());
        Self { folder, mirror }
    }

    fn proofs(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("forks")).map_or(0, Iterator::count)
    }
}

fn open(folder: &Path) -> Mirror {
    Mirror::open(&folder.join("mirror"), &folder.join("forks")).unwrap()
}

fn east(beats: usize) -> Site {
    let mut east = Site::new("east", 1).begin();
    east.beats(beats);
    east
}

fn kind(refused: Refused) -> ContradictionKind {
    match refused {
        Refused::Contradiction(found) => found.kind,
        other => panic!("{other}"),
    }
}

#[test]
fn a_log_is_copied_in_order_and_its_checkpoint_is_checked_once_all_is_here() {
    let Scene { folder, mirror } = Scene::new();
    let mut east = east(9);
    assert_eq!(east.submit(&mirror, 0, &[], &[], 1).unwrap().next, 0);
    let taken = east.send(&mirror, 0, 5, 2).unwrap();
    assert_eq!((taken.next, taken.log.is_some()), (5, false));
    assert!(mirror.mirrored().is_empty(), "twelve are signed and five are here");
    assert_eq!(east.send(&mirror, 9, 12, 3).unwrap().next, 5, "a hole is not filled");
    let taken = east.send(&mirror, 3, 12, 4).unwrap();
    assert_eq!(taken.next, 12);
    assert_eq!(taken.log.unwrap().name(), east.origin());
    let mirrored = mirror.mirrored();
    assert_eq!(mirrored.len(), 1);
    assert_eq!(mirrored[0].checkpoint.size, 12);
    assert_eq!(mirrored[0].checkpoint.root, tree::root(&east.leaves()));

    // Everything is there after a start, and goes on.
    drop(mirror);
    let mirror = open(folder.path());
    assert_eq!(mirror.size(&east.id), 12);
    assert_eq!(mirror.mirrored()[0].checkpoint.size, 12);
    east.beats(300);
    east.send(&mirror, 12, 200, 1).unwrap();
    assert_eq!(east.send(&mirror, 200, 312, 2).unwrap().next, 312);
    let leaves = east.leaves();
    for index in [0_u64, 11, 12, 255, 256, 311] {
        let at = usize::try_from(index).unwrap();
        let place = mirror.place(&east.id, east.records[at].digest()).unwrap().unwrap();
        assert_eq!(place, Place { origin: east.origin(), index });
        let path = mirror.inclusion(&east.origin(), 312, index).unwrap();
        assert_eq!(path, tree::audit_path(&leaves, at));
        assert_eq!(mirror.record(&east.origin(), index).unwrap(), east.records[at]);
    }
    assert_eq!(mirror.place(&east.id, Digest::of(b"none")).unwrap(), None);
    let consistency = tiles::consistency(312, 12, &mirror.nodes(&east.origin())).unwrap();
    assert_eq!(consistency, tree::consistency_path(&leaves, 12));
}

#[test]
fn records_may_come_before_their_checkpoint() {
    let Scene { mirror, folder: _folder } = Scene::new();
    let east = east(9);
    let records: Vec<_> = east.records.iter().map(|r| r.bytes().to_vec()).collect();
    let nameless = east.submit(&mirror, 0, &records[..1], &[], 1).unwrap_err();
    assert!(matches!(nameless, Refused::Malformed(_)), "no log is known: {nameless}");
    assert_eq!(east.submit(&mirror, 0, &records[..5], &[], 2).unwrap().next, 5);
    assert_eq!(east.submit(&mirror, 5, &records[5..], &[], 3).unwrap().next, 12);
    assert!(mirror.mirrored().is_empty());
    let taken = east.submit(&mirror, 12, &[], &east.checkpoint(12), 4).unwrap();
    assert!(taken.log.is_some());
    assert_eq!(mirror.mirrored()[0].checkpoint.size, 12);
}

#[test]
fn a_record_needs_a_key_that_was_certified_before_it() {
    let scene = Scene::new();
    let mut early = east(3);
    early.records.swap(0, 3);
    let refused = early.send(&scene.mirror, 0, 6, 1).unwrap_err();
    assert!(refused.to_string().contains("record 0"), "{refused}");

    let mut foreign = east(0);
    foreign.records.push(site::heartbeat("east", 9).sign(&SecretKey::from_seed(&[77; 32])));
    let refused = foreign.send(&scene.mirror, 0, 4, 2).unwrap_err();
    assert!(refused.to_string().contains("record 3"), "{refused}");

    // An identity signs certificates alone, and a records key none.
    let mut identity = east(0);
    identity.records.push(site::heartbeat("east", 9).sign(&SecretKey::from_seed(&[1; 32])));
    assert!(identity.send(&scene.mirror, 0, 4, 3).is_err());
    assert_eq!(scene.mirror.size(&early.id), 0, "a refused batch leaves nothing");
    let good = east(2);
    good.send(&scene.mirror, 0, 5, 4).unwrap();
}

#[test]
fn what_a_revoked_key_signed_is_taken_below_its_line_alone() {
    let scene = Scene::new();
    let east = east(6);
    for (key, line, may) in [(1, 5, false), (11, 5, false), (1, 9, true), (11, 9, true)] {
        let mirror = open(&scene.folder.path().join(format!("{key}-{line}")));
        let revoked = Revoked {
            key_id: SecretKey::from_seed(&[key; 32]).public().id(),
            at: WallTime(0),
            origin: east.origin(),
            log_size: line,
        };
        let identity = Identity { revoked: vec![revoked], ..east.identity() };
        let records: Vec<_> = east.records.iter().map(|r| r.bytes().to_vec()).collect();
        let checkpoint = east.checkpoint(9);
        let taken = mirror.take(&Submission {
            site: &east.id,
            identity: &identity,
            first: 0,
            records: &records,
            checkpoint: &checkpoint,
            arrival: 1,
        });
        assert_eq!(taken.is_ok(), may, "key {key} revoked at {line}: {taken:?}");
    }
}

#[test]
fn a_fork_is_refused_and_proved_once() {
    let scene = Scene::new();
    let mut honest = east(9);
    honest.send(&scene.mirror, 0, 12, 1).unwrap();
    // The same numbers, another past.
    let mut liar = east(4);
    liar.records.push(site::heartbeat("east", 999).sign(&SecretKey::from_seed(&[11; 32])));
    liar.beats(6);
    for arrival in [2, 3] {
        let refused = liar.send(&scene.mirror, 12, 14, arrival).unwrap_err();
        let Refused::Contradiction(found) = refused else { panic!("{refused}") };
        assert_eq!(found.kind, ContradictionKind::Fork);
        let folder = scene.folder.path().join("forks").join(&found.proof);
        for file in ["before.note", "contradicting.note"] {
            let note = SignedCheckpoint::read(&std::fs::read(folder.join(file)).unwrap()).unwrap();
            let keys = scene.mirror.vkeys(&honest.origin(), KeyUsage::Log).unwrap();
            assert!(note.check(&keys[0]).is_ok(), "{file} is signed by the log itself");
        }
    }
    assert_eq!(scene.proofs(), 1, "the same proof is kept once");
    assert_eq!(scene.mirror.size(&honest.id), 12, "nothing of the other past was taken");
    honest.beats(1);
    honest.send(&scene.mirror, 12, 13, 4).unwrap();
}

#[test]
fn a_rollback_and_a_changed_record_are_refused_and_proved() {
    let scene = Scene::new();
    let honest = east(9);
    honest.send(&scene.mirror, 0, 12, 1).unwrap();
    let old = honest.checkpoint(8);
    let refused = honest.submit(&scene.mirror, 12, &[], &old, 2).unwrap_err();
    assert_eq!(kind(refused), ContradictionKind::Rollback);

    let changed = site::heartbeat("east", 777).sign(&SecretKey::from_seed(&[11; 32]));
    let newest = honest.checkpoint(12);
    let refused =
        honest.submit(&scene.mirror, 11, &[changed.bytes().to_vec()], &newest, 3).unwrap_err();
    assert_eq!(kind(refused), ContradictionKind::RecordChanged);
    assert_eq!(scene.proofs(), 2);
    let about = Contradiction {
        site: honest.id,
        origin: String::new(),
        kind: ContradictionKind::Fork,
        size: 0,
        detail: String::new(),
        proof: String::new(),
    };
    assert!(about.to_string().contains("(fork)"));
}

#[test]
fn a_submission_that_was_overtaken_is_no_rollback() {
    let scene = Scene::new();
    let mut east = east(3);
    let old = east.checkpoint(6);
    east.beats(3);
    east.send(&scene.mirror, 0, 9, 8).unwrap();
    let taken = east.submit(&scene.mirror, 0, &[], &old, 7).unwrap();
    assert_eq!(taken.next, 9);
    assert_eq!(scene.proofs(), 0);
}

#[test]
fn a_checkpoint_by_nobody_is_refused_and_is_no_proof() {
    let scene = Scene::new();
    let east = east(3);
    east.send(&scene.mirror, 0, 6, 1).unwrap();
    let root = tree::root(&east.leaves());
    let forged = Checkpoint { origin: east.origin(), size: 6, root };
    let forged = forged.sign(&SecretKey::from_seed(&[99; 32]));
    assert!(matches!(east.submit(&scene.mirror, 6, &[], &forged, 2), Err(Refused::Malformed(_))));
    for origin in ["west.force.example/log/00000001", "east.force.example/log/1", "east/log/x"] {
        let note = Checkpoint { origin: origin.to_owned(), size: 6, root };
        let note = note.sign(&SecretKey::from_seed(&[21; 32]));
        let refused = east.submit(&scene.mirror, 6, &[], &note, 3).unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{origin}: {refused}");
    }
    assert_eq!(scene.proofs(), 0);
}

#[test]
fn a_rebuilt_index_begins_a_new_log_and_the_old_one_is_over() {
    let scene = Scene::new();
    let first = east(3);
    first.send(&scene.mirror, 0, 6, 1).unwrap();
    let mut second = Site { instance: 2, ..Site::new("east", 1) }.begin();
    second.beats(1);
    assert_eq!(second.submit(&scene.mirror, 0, &[], &second.checkpoint(4), 2).unwrap().next, 0);
    second.send(&scene.mirror, 0, 4, 3).unwrap();
    assert_eq!(scene.mirror.size(&second.id), 4);
    assert_eq!(scene.mirror.origins(&first.id), [first.origin(), second.origin()]);
    assert!(first.send(&scene.mirror, 6, 6, 4).is_err());
    // The old records can still be proved.
    let place = scene.mirror.place(&first.id, first.records[4].digest()).unwrap().unwrap();
    assert_eq!(place, Place { origin: first.origin(), index: 4 });
}

#[test]
fn the_witness_key_of_a_site_is_known_from_its_log() {
    let scene = Scene::new();
    let east = east(0);
    east.send(&scene.mirror, 0, 3, 1).unwrap();
    let keys = scene.mirror.vkeys(&east.origin(), KeyUsage::Witness).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].name(), east.witness_name());
    assert_eq!(*keys[0].key(), east.witness_key().public());
}
