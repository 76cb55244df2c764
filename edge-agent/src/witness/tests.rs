//! The witness on a real folder, under interleaved requests, lies and deaths.

use std::collections::BTreeMap;
use std::process::Command;

use custody::SecretKey;
use custody::log::witness::request;
use custody::tree;
use proptest::prelude::*;

use super::*;

const NOW: WallTime = WallTime(1_795_356_600_000_000);
const ORIGIN: &str = "west.example/log/0000beef";
const CHILD: &str = "WATCHHOUSE_TEST_WITNESS";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn witness_key() -> SecretKey {
    SecretKey::from_seed(&[42; 32])
}

fn open_with(folder: &Path, cosign: Cosign) -> Witness {
    Witness::open(folder, "east.example/log/", Clock::simulated(NOW), cosign).unwrap()
}

fn open(folder: &Path) -> Witness {
    open_with(folder, Box::new(|it, at| it.cosign("east.example/witness", &witness_key(), at)))
}

/// A pretended log: its leaves, and how it differs from itself.
#[derive(Clone, Copy)]
struct Log {
    origin: &'static str,
    seed: u8,
    /// From this leaf on it says something else.
    forks_at: u64,
}

impl Log {
    fn honest() -> Self {
        Self { origin: ORIGIN, seed: 1, forks_at: u64::MAX }
    }

    fn forked(at: u64) -> Self {
        Self { forks_at: at, ..Self::honest() }
    }

    fn vkey(self) -> String {
        let key = SecretKey::from_seed(&[self.seed; 32]).public();
        VerifierKey::new(self.origin, Algorithm::Ed25519, key).unwrap().to_string()
    }

    fn leaves(self, size: u64) -> Vec<Digest> {
        let leaf =
            |i: u64| tree::leaf(&[i.to_be_bytes(), [u8::from(i >= self.forks_at); 8]].concat());
        (0..size).map(leaf).collect()
    }

    fn root(self, size: u64) -> Digest {
        tree::root(&self.leaves(size))
    }

    fn note(self, size: u64) -> Vec<u8> {
        let checkpoint = Checkpoint { origin: self.origin.to_owned(), size, root: self.root(size) };
        checkpoint.sign(&SecretKey::from_seed(&[self.seed; 32]))
    }

    fn body(self, old: u64, size: u64) -> Vec<u8> {
        let old_leaves = usize::try_from(old).unwrap();
        let proof = if (1..size).contains(&old) {
            tree::consistency_path(&self.leaves(size), old_leaves)
        } else {
            Vec::new()
        };
        request(old, &proof, &self.note(size))
    }

    fn ask(self, witness: &Witness, old: u64, size: u64) -> Reply {
        witness.answer(&self.vkey(), &self.body(old, size))
    }
}

fn codes(witness: &Witness) -> Vec<&'static str> {
    witness.alarms().into_iter().map(|alarm| alarm.code).collect()
}

#[test]
fn a_log_that_grows_is_cosigned_and_the_cosignature_holds() {
    let folder = folder();
    let witness = open(folder.path());
    let log = Log::honest();
    for (old, size) in [(0, 5), (5, 5), (5, 9)] {
        let reply = log.ask(&witness, old, size);
        assert_eq!(reply.status, 200, "{reply:?}");
        let note = SignedCheckpoint::read(&log.note(size)).unwrap();
        let note = note.with_lines(std::str::from_utf8(&reply.body).unwrap());
        let vkey = VerifierKey::new(
            "east.example/witness",
            Algorithm::CosignatureV1,
            witness_key().public(),
        );
        let seen = SignedCheckpoint::read(&note).unwrap().cosignature(&vkey.unwrap()).unwrap();
        assert_eq!(seen.at, NOW);
    }
    let conflict = log.ask(&witness, 5, 12);
    assert_eq!((conflict.status, conflict.content_type), (409, "text/x.tlog.size"));
    assert_eq!(conflict.body, b"9\n");
    assert_eq!(codes(&witness), [""; 0], "a client that does not know where we stand is no liar");
    let own = Log { origin: "east.example/log/00000001", ..log };
    assert_eq!(own.ask(&witness, 0, 5).status, 404);
    assert_eq!(witness.answer(&log.vkey(), b"old 5").status, 400);
    assert_eq!(witness.answer(&own.vkey(), &Log { origin: "x", ..log }.body(0, 3)).status, 404);
}

#[test]
fn what_was_seen_outlives_a_restart_and_the_first_key_stays() {
    let folder = folder();
    let log = Log::honest();
    assert_eq!(log.ask(&open(folder.path()), 0, 7).status, 200);
    let witness = open(folder.path());
    assert_eq!(log.ask(&witness, 0, 9).status, 409);
    let other = Log { seed: 2, ..log };
    assert_eq!(other.ask(&witness, 7, 9).status, 403);
    assert_eq!(codes(&witness), ["log-key-changed"]);
    assert_eq!(log.ask(&witness, 7, 9).status, 200);
    assert_eq!(witness.known(ORIGIN).unwrap().0.to_string(), log.vkey());
}

#[test]
fn lies_are_refused_kept_as_proof_and_raised_also_after_a_restart() {
    for (lie, old, size, status, code) in [
        (Log::forked(3), 9, 9, 422, "log-forked"),
        (Log::forked(3), 0, 9, 409, "log-forked"),
        (Log::forked(3), 0, 5, 409, "log-forked"),
        (Log::forked(3), 9, 12, 422, "log-not-continued"),
        (Log::honest(), 2, 4, 409, "log-rolled-back"),
    ] {
        let folder = folder();
        let witness = open(folder.path());
        for (old, size) in [(0, 5), (5, 9)] {
            assert_eq!(Log::honest().ask(&witness, old, size).status, 200);
        }
        for _ in 0..2 {
            assert_eq!(lie.ask(&witness, old, size).status, status, "{code}");
        }
        assert_eq!(codes(&witness), [code]);
        let alarm = witness.alarms().remove(0).text;
        assert!(alarm.contains(ORIGIN), "{alarm}");
        let proof = alarm.split_once("the proof is ").unwrap().1;
        let proof: serde_json::Value =
            serde_json::from_slice(&std::fs::read(proof).unwrap()).unwrap();
        assert_eq!(proof["cosigned"].as_str().unwrap().as_bytes(), Log::honest().note(9));
        assert_eq!(proof["shown"].as_str().unwrap().as_bytes(), lie.body(old, size));
        let again = open(folder.path());
        assert_eq!(again.alarms(), witness.alarms());
        assert_eq!(Log::honest().ask(&again, 9, 12).status, 200, "the honest log goes on");
    }
}

#[test]
fn a_slow_carriers_old_note_is_no_roll_back() {
    let folder = folder();
    let witness = open(folder.path());
    for (old, size) in [(0, 5), (5, 9)] {
        assert_eq!(Log::honest().ask(&witness, old, size).status, 200);
    }
    assert_eq!(Log::honest().ask(&witness, 0, 5).status, 409);
    witness.compare(&SignedCheckpoint::read(&Log::honest().note(5)).unwrap());
    assert_eq!(codes(&witness), [""; 0]);
    witness.compare(&SignedCheckpoint::read(&Log::forked(2).note(9)).unwrap());
    assert_eq!(codes(&witness), ["log-forked"]);
}

#[test]
fn proofs_are_bounded_and_one_kind_does_not_wash_out_another() {
    let folder = folder();
    let clock = Clock::simulated(NOW);
    let cosign: Cosign = Box::new(|it, at| it.cosign("east.example/witness", &witness_key(), at));
    let witness = Witness::open(folder.path(), "east.example/log/", clock.clone(), cosign).unwrap();
    assert_eq!(Log::honest().ask(&witness, 0, 9).status, 200);
    assert_eq!(Log::forked(3).ask(&witness, 9, 9).status, 422);
    for size in 10..40 {
        clock.advance_ms(1000);
        assert_eq!(Log::forked(3).ask(&witness, 9, size).status, 422);
    }
    let place = folder.path().join("witness").join(Digest::of(ORIGIN.as_bytes()).to_string());
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 1 + proofs::PROOFS_MAX);
    assert_eq!(codes(&witness), ["log-forked", "log-not-continued"]);
}

#[test]
fn no_more_than_so_many_logs_are_witnessed() {
    let folder = folder();
    let witness = open(folder.path());
    for n in 0..=LOGS_MAX {
        let origin: &'static str = Box::leak(format!("west.example/log/{n:08x}").into_boxed_str());
        let expect = if n < LOGS_MAX { 200 } else { 404 };
        assert_eq!(Log { origin, ..Log::honest() }.ask(&witness, 0, 3).status, expect, "{n}");
    }
    assert_eq!(codes(&witness), ["witness-full"]);
}

#[test]
fn a_memory_that_cannot_be_read_or_written_gets_no_cosignature() {
    let folder = folder();
    assert_eq!(Log::honest().ask(&open(folder.path()), 0, 9).status, 200);
    let file =
        folder.path().join("witness").join(format!("{}.json", Digest::of(ORIGIN.as_bytes())));
    let whole = std::fs::read(&file).unwrap();
    // Torn, of another log, and with another root than was seen: only the last cannot be noticed.
    for damaged in [&whole[..whole.len() / 2], b"", &br#"{"format":"watchhouse-witness/v2"}"#[..]] {
        std::fs::write(&file, damaged).unwrap();
        let witness = open(folder.path());
        assert_eq!(Log::honest().ask(&witness, 9, 12).status, 500);
        assert_eq!(codes(&witness), ["witness-memory-lost"]);
        assert!(witness.known(ORIGIN).is_none());
    }
    std::fs::write(&file, &whole).unwrap();
    let witness = open(folder.path());
    // A folder where the new file must be written first stands for a disc that does not take it.
    let mut temporary = file.into_os_string();
    temporary.push(".new");
    std::fs::create_dir(&temporary).unwrap();
    assert_eq!(Log::honest().ask(&witness, 9, 12).status, 500);
    std::fs::remove_dir(&temporary).unwrap();
    assert_eq!(Log::honest().ask(&witness, 9, 12).status, 500, "until a person has looked");
    assert_eq!(Log::honest().ask(&open(folder.path()), 9, 12).status, 200);
}

#[test]
fn killed_between_the_disc_and_the_answer_it_says_the_same_when_asked_again() {
    if let Ok(state) = std::env::var(CHILD) {
        let witness = open_with(Path::new(&state), Box::new(|_, _| std::process::abort()));
        let _never = Log::honest().ask(&witness, 5, 9);
        unreachable!("the process dies before it answers");
    }
    let folder = folder();
    assert_eq!(Log::honest().ask(&open(folder.path()), 0, 5).status, 200);
    let name = "killed_between_the_disc_and_the_answer_it_says_the_same_when_asked_again";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("witness::tests::{name}")])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(6), "{child:?}");
    let witness = open(folder.path());
    // Nobody has its word for 9, yet it stands by it: another tree of 9 is a fork.
    let again = Log::honest().ask(&witness, 5, 9);
    assert_eq!((again.status, again.body.as_slice()), (409, &b"9\n"[..]));
    assert_eq!(Log::forked(7).ask(&witness, 5, 9).status, 409);
    assert_eq!(codes(&witness), ["log-forked"]);
    assert_eq!(Log::honest().ask(&witness, 9, 9).status, 200);
}

#[test]
fn of_two_histories_that_come_at_once_one_is_cosigned() {
    for (seen, size) in [(0, 9), (4, 9)] {
        for round in 0..40 {
            let folder = folder();
            let witness = open(folder.path());
            if seen > 0 {
                assert_eq!(Log::honest().ask(&witness, 0, seen).status, 200);
            }
            let together = std::sync::Barrier::new(2);
            let ask = |log: Log| {
                let body = log.body(seen, size);
                together.wait();
                witness.answer(&log.vkey(), &body).status == 200
            };
            let cosigned = std::thread::scope(|scope| {
                let other = scope.spawn(|| ask(Log::forked(4)));
                usize::from(ask(Log::honest())) + usize::from(other.join().unwrap())
            });
            assert_eq!(cosigned, 1, "round {round} from {seen}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many at once: which history, the old size that is said, the size.
    Ask(Vec<(bool, u64, u64)>),
    /// The agent is stopped and started.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (any::<bool>(), 0_u64..12, 1_u64..12);
    prop_oneof![
        4 => prop::collection::vec(ask, 1..6).prop_map(Step::Ask),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_two_roots_of_one_size_nor_a_way_back(steps in prop::collection::vec(step(), 1..12)) {
        let folder = folder();
        let mut witness = open(folder.path());
        let given = Mutex::new(BTreeMap::<u64, Digest>::new());
        let mut greatest = 0;
        for step in steps {
            let Step::Ask(asks) = step else {
                witness = open(folder.path());
                continue;
            };
            // Two carriers, one of each history, that learn the size from a 409 as the standard says.
            std::thread::scope(|scope| {
                for (forked, old, size) in asks {
                    let (witness, given) = (&witness, &given);
                    scope.spawn(move || {
                        let log = if forked { Log::forked(4) } else { Log::honest() };
                        let mut reply = log.ask(witness, old.min(size), size);
                        if reply.status == 409 {
                            let text = String::from_utf8(reply.body).unwrap();
                            let at: u64 = text.trim_end().parse().unwrap();
                            reply = log.ask(witness, at.min(size), size);
                        }
                        if reply.status == 200 {
                            let root = log.root(size);
                            let other = lock(given).insert(size, root);
                            assert!(other.is_none_or(|other| other == root), "two roots of {size}");
                        }
                    });
                }
            });
            let known = witness.known(ORIGIN).map_or(0, |(_, size)| size);
            prop_assert!(known >= greatest, "{known} after {greatest}");
            greatest = known;
        }
        // All that was given is one history.
        let given = given.into_inner().unwrap();
        let is_of = |log: Log| given.iter().all(|(size, root)| log.root(*size) == *root);
        prop_assert!(is_of(Log::honest()) || is_of(Log::forked(4)));
        prop_assert!(given.keys().last().is_none_or(|size| *size <= greatest));
    }
}
