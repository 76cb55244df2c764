//! Rounds among four sites, a controller and an outside witness: all there, some away, some lying.

use std::time::Duration;

use custody::log::note::Algorithm;
use custody::log::tiles::TreeError;
use custody::log::witness::{AddCheckpoint, Answer, Seen, decide};
use custody::log::{Checkpoint, Policy, SignedCheckpoint, VerifierKey};
use custody::{Digest, SecretKey, SiteId, tree};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::field::{LogHead, SiteWitness};
use super::quorum::Voice;
use super::stamping::StampAuthority;
use super::*;
use crate::fleet::mirror::tests::site::Site;
use crate::log::publish::Standing;
use crate::log::{Event, RocksLog};

/// The sites and their witnesses, in one process. The witnesses decide as the real ones do.
#[derive(Default)]
struct Town {
    sites: Vec<Site>,
    seen: BTreeMap<(SiteId, String), Seen>,
    away: BTreeSet<SiteId>,
    /// Sites whose witness signs with another key than the one it published.
    liars: BTreeSet<SiteId>,
    /// Leaves of the controller's log.
    own: Vec<Digest>,
    handed: Vec<(Option<SiteId>, Vec<u8>)>,
    asked: usize,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Town>>, Clock);

impl Shared {
    fn town(&self) -> std::sync::MutexGuard<'_, Town> {
        self.0.lock().unwrap()
    }
}

const OWN: &str = "controller.force.example/log/0000000c";

fn own_key() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

fn own_head(leaves: &[Digest]) -> LogHead {
    let size = leaves.len() as u64;
    let checkpoint = Checkpoint { origin: OWN.to_owned(), size, root: tree::root(leaves) };
    LogHead {
        site: None,
        vkey: VerifierKey::new(OWN, Algorithm::Ed25519, own_key().public()).unwrap(),
        size,
        note: Arc::new(checkpoint.sign(&own_key())),
    }
}

impl Field for Shared {
    fn logs(&self) -> Vec<LogHead> {
        let town = self.town();
        let of_site = |site: &Site| {
            let key = SecretKey::from_seed(&[site.seed + 20; 32]).public();
            LogHead {
                site: Some(site.id.clone()),
                vkey: VerifierKey::new(&site.origin(), Algorithm::Ed25519, key).unwrap(),
                size: site.records.len() as u64,
                note: Arc::new(site.checkpoint(site.records.len())),
            }
        };
        let own = (!town.own.is_empty()).then(|| own_head(&town.own));
        own.into_iter().chain(town.sites.iter().map(of_site)).collect()
    }

    fn witnesses(&self) -> Vec<SiteWitness> {
        let town = self.town();
        let witness = |site: &Site| {
            let key = site.witness_key().public();
            let vkey = VerifierKey::new(&site.witness_name(), Algorithm::CosignatureV1, key);
            SiteWitness {
                site: site.id.clone(),
                voice: Voice { word: format!("site-{}", site.id), keys: vec![vkey.unwrap()] },
                connected: !town.away.contains(&site.id),
            }
        };
        town.sites.iter().map(witness).collect()
    }

    fn consistency(&self, log: &LogHead, old: u64, size: u64) -> Result<Vec<Digest>, TreeError> {
        let town = self.town();
        let leaves = match &log.site {
            None => town.own.clone(),
            Some(of) => town.sites.iter().find(|site| site.id == *of).unwrap().leaves(),
        };
        let size = usize::try_from(size).unwrap();
        Ok(tree::consistency_path(&leaves[..size], usize::try_from(old).unwrap()))
    }

    async fn ask(
        &self,
        site: &SiteId,
        log: &VerifierKey,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut town = self.town();
        town.asked += 1;
        let request = AddCheckpoint::read(&body).ok_or("no request")?;
        let place = (site.clone(), log.name().to_owned());
        let answer = decide(&request, Some(log), town.seen.get(&place).copied());
        let body = match &answer {
            Answer::Cosign(seen) => {
                town.seen.insert(place, *seen);
                let own = town.sites.iter().find(|own| own.id == *site).unwrap();
                let key = if town.liars.contains(site) {
                    SecretKey::from_seed(&[99; 32])
                } else {
                    own.witness_key()
                };
                let checkpoint = request.checkpoint.checkpoint();
                checkpoint.cosign(&own.witness_name(), &key, self.1.now()).into_bytes()
            }
            Answer::Conflict { size } => format!("{size}\n").into_bytes(),
            _ => Vec::new(),
        };
        Ok((answer.status(), body))
    }

    fn hand_out(&self, notes: Vec<(Option<SiteId>, Vec<u8>)>) {
        self.town().handed = notes;
    }

    fn moved(&self) -> (watch::Receiver<u64>, watch::Receiver<Standing>) {
        let (grown, standing) = (watch::Sender::new(0), watch::Sender::new(Standing::default()));
        (grown.subscribe(), standing.subscribe())
    }
}

struct Scene {
    folder: tempfile::TempDir,
    clock: Clock,
    town: Shared,
    ledger: Ledger,
    witnessing: Witnessing<Shared>,
}

impl Scene {
    fn new(outside: Vec<Outside>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap());
        let mut town = Town::default();
        for (number, name) in ["east", "hq", "south", "west"].into_iter().enumerate() {
            let mut site = Site::new(name, 1 + 40 * u8::try_from(number).unwrap()).begin();
            site.beats(4);
            town.sites.push(site);
        }
        town.own = (0..9_u8).map(|n| tree::leaf(&[n])).collect();
        let town = Shared(Arc::new(Mutex::new(town)), clock.clone());
        let log = RocksLog::open(&folder.path().join("log")).unwrap();
        let ledger = Ledger::open(Box::new(log), clock.clone()).unwrap();
        let witnessing = witnessing(&folder, &clock, &town, &ledger, outside);
        Self { folder, clock, town, ledger, witnessing }
    }

    /// Another run of the controller on the same disc.
    fn again(self) -> Self {
        let Self { folder, clock, town, ledger, witnessing: gone } = self;
        drop(gone);
        let witnessing = witnessing(&folder, &clock, &town, &ledger, Vec::new());
        Self { folder, clock, town, ledger, witnessing }
    }

    /// Each log's entries under its quorum.
    fn quorums(&self) -> Vec<Option<u64>> {
        let size = |log: LogHead| {
            let kept = self.witnessing.book().quorum(log.vkey.name()).unwrap()?;
            let policy = self.witnessing.book().policy(kept.policy).unwrap().unwrap();
            let note = SignedCheckpoint::read(&kept.note).unwrap();
            assert!(note.check(&log.vkey).is_ok());
            assert!(Policy::read(&policy).unwrap().witnessed(&note).quorum);
            Some(kept.size)
        };
        self.town.logs().into_iter().map(size).collect()
    }

    fn events(&self, name: &str) -> usize {
        let entries = self.ledger.entries(0, 1000).unwrap();
        entries.iter().filter(|entry| entry.body.name() == name).count()
    }
}

fn witnessing(
    folder: &tempfile::TempDir,
    clock: &Clock,
    town: &Shared,
    ledger: &Ledger,
    outside: Vec<Outside>,
) -> Witnessing<Shared> {
    let book = Arc::new(Book::open(&folder.path().join("witnessing")).unwrap());
    let key = SecretKey::from_seed(&[201; 32]);
    let vkey = crate::registry::own::witness_vkey("force.example", &key);
    Witnessing::new(Parts {
        field: town.clone(),
        own: OwnWitness::new(vkey, key, book.clone(), clock.clone()),
        book,
        outside,
        ledger: ledger.clone(),
        forks: folder.path().join("forks"),
        clock: clock.clone(),
    })
}

#[tokio::test]
async fn in_one_round_every_log_is_cosigned_by_enough() {
    let scene = Scene::new(Vec::new());
    assert!(scene.witnessing.round().await);
    assert_eq!(scene.quorums(), [Some(9), Some(7), Some(7), Some(7), Some(7)]);
    assert_eq!(scene.town.town().asked, 3 * 5, "three sites for each of five logs");
    assert!(!scene.witnessing.round().await, "nothing grew: nobody is asked");
    // What grew is brought from where each witness stands.
    scene.town.town().sites[0].beats(300);
    assert!(scene.witnessing.round().await);
    assert_eq!(scene.quorums()[1], Some(307));
    assert_eq!(scene.town.town().asked, 15 + 3);
    assert!(scene.witnessing.standing().iter().all(|log| log.late_since.is_none()));
    // What sites are handed is kept, so that a bundle can show what a record names.
    let handed = scene.town.town().handed.clone();
    assert_eq!(handed.len(), 5);
    for (_, note) in handed {
        assert_eq!(scene.witnessing.book().by_digest(Digest::of(&note)).unwrap(), Some(note));
    }
}

#[tokio::test]
async fn after_a_start_witnesses_say_where_they_stand() {
    let scene = Scene::new(Vec::new());
    scene.witnessing.round().await;
    let scene = scene.again();
    scene.town.town().sites[2].beats(1);
    assert!(scene.witnessing.round().await);
    assert_eq!(scene.quorums(), [Some(9), Some(7), Some(7), Some(8), Some(7)]);
    assert!(scene.witnessing.standing().iter().all(|log| log.late_since.is_none()));
}

#[tokio::test]
async fn one_site_away_costs_nothing_and_two_are_late_until_they_are_back() {
    let scene = Scene::new(Vec::new());
    let (hq, west): (SiteId, SiteId) = ("hq".parse().unwrap(), "west".parse().unwrap());
    scene.town.town().away.insert(west.clone());
    scene.witnessing.round().await;
    assert_eq!(scene.quorums(), [Some(9), Some(7), Some(7), Some(7), Some(7)]);

    scene.town.town().away.insert(hq.clone());
    scene.town.town().sites[0].beats(1);
    scene.witnessing.round().await;
    assert_eq!(scene.quorums()[1], Some(7), "east has south and the controller: not enough");
    let standing = scene.witnessing.standing();
    let east = standing.iter().find(|log| log.origin.starts_with("east")).unwrap();
    assert!(east.late_since.is_some());
    let trouble: Vec<_> = east.witnesses.iter().map(|w| (w.name.as_str(), w.cosigned)).collect();
    assert_eq!(trouble, [("hq", 7), ("south", 8), ("west", 0), ("controller", 8)]);

    // Back: asked at once, and the cosignatures that came before still count.
    scene.town.town().away.clear();
    let asked = scene.town.town().asked;
    scene.witnessing.round().await;
    assert_eq!(scene.quorums()[1], Some(8));
    // West for the three other sites' logs, and hq for the one that grew.
    assert_eq!(scene.town.town().asked, asked + 3 + 1);
}

#[tokio::test]
async fn a_cosignature_by_another_key_does_not_count() {
    let scene = Scene::new(Vec::new());
    {
        let mut town = scene.town.town();
        town.liars.insert("hq".parse().unwrap());
        town.liars.insert("south".parse().unwrap());
    }
    scene.witnessing.round().await;
    assert_eq!(scene.quorums()[1], None);
    let standing = scene.witnessing.standing();
    let east = standing.iter().find(|log| log.origin.starts_with("east")).unwrap();
    let liars = east.witnesses.iter().filter(|w| w.trouble.contains("does not fit its key"));
    assert_eq!(liars.count(), 2);
}

#[tokio::test]
async fn a_fork_is_refused_by_the_witnesses_kept_as_proof_and_told_once() {
    let scene = Scene::new(Vec::new());
    for who in ["east", "hq"] {
        // Known to the log, so that something can be noted about it.
        let created = Command::CreateEnrolmentToken {
            site: who.parse().unwrap(),
            secret_sha256: Digest::of(who.as_bytes()),
            lives_s: 0,
        };
        let root = Command::AddPerson {
            person: format!("s.{who}").parse().unwrap(),
            roles: [crate::access::Role::Administrator].into(),
            token_sha256: Digest::of(b"t"),
        };
        scene.ledger.submit(Actor::Controller, root).unwrap();
        let root = Actor::Person(format!("s.{who}").parse().unwrap());
        scene.ledger.submit(root, created).unwrap();
    }
    scene.witnessing.round().await;
    {
        // Another past of the same log: as if its disc had been restored and gone on.
        let mut town = scene.town.town();
        town.sites[0].records.truncate(3);
        town.sites[0].records.rotate_left(0);
        let mut other = Site::new("east", 1).begin();
        other.beats(9);
        other.records.remove(4);
        town.sites[0].records = other.records;
    }
    for _ in 0..3 {
        scene.clock.advance_ms(400_000);
        scene.witnessing.round().await;
    }
    assert_eq!(scene.quorums()[1], Some(7), "the other past was cosigned by nobody");
    assert!(scene.events("log-contradicted") >= 1);
    let proofs: Vec<_> = std::fs::read_dir(scene.folder.path().join("forks")).unwrap().collect();
    assert_eq!(proofs.len(), 4, "one for each witness that refused");
    for proof in proofs {
        let note = std::fs::read(proof.unwrap().path().join("contradicting.note")).unwrap();
        let key = SecretKey::from_seed(&[21; 32]).public();
        let origin = "east.force.example/log/00000001";
        let vkey = VerifierKey::new(origin, Algorithm::Ed25519, key).unwrap();
        assert!(SignedCheckpoint::read(&note).unwrap().check(&vkey).is_ok());
    }
}

#[tokio::test]
async fn a_bundle_waits_for_the_quorum_and_no_longer_than_it_may() {
    let scene = Scene::new(Vec::new());
    let tasks = Tasks::new();
    tasks.spawn("witnessing", scene.witnessing.clone().run(tasks.clone()));
    let east = "east.force.example/log/00000001".to_owned();
    let witnessed = [(east.clone(), 6), (OWN.to_owned(), 8)];
    let soon = tokio::time::Instant::now() + limits::WITNESS_WAIT;
    assert!(scene.witnessing.wait_for(&witnessed, soon).await);
    assert!(tasks.shut_down(Duration::from_secs(10)).await);
    let not_yet = [(east, 7)];
    assert!(!scene.witnessing.wait_for(&not_yet, tokio::time::Instant::now()).await);
}

/// An outside witness: the real core behind HTTP, for `count` requests.
async fn outside(folder: &std::path::Path, clock: &Clock, count: usize) -> Outside {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/w", listener.local_addr().unwrap());
    let key = SecretKey::from_seed(&[202; 32]);
    let name = "witness.pcc.example";
    let vkey = VerifierKey::new(name, Algorithm::CosignatureV1, key.public()).unwrap();
    let book = Arc::new(Book::open(folder).unwrap());
    let core = OwnWitness::new(vkey.clone(), key, book, clock.clone());
    let own = VerifierKey::new(OWN, Algorithm::Ed25519, own_key().public()).unwrap();
    Tasks::new().spawn("outside witness", async move {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let body = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                assert!(head.starts_with("POST /w/add-checkpoint HTTP/1.1\r\n"), "{head}");
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                });
                if body.len() >= length.unwrap_or(0_usize) {
                    break body.to_owned();
                }
            };
            // It knows the controller's log alone.
            let is_own = body.contains(OWN);
            let (status, answer) = if is_own {
                core.answer(&own, body.as_bytes()).unwrap()
            } else {
                (404, Vec::new())
            };
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
        }
    });
    let party = web::WebParty::new(url.parse().unwrap(), None).unwrap();
    let voice = Voice { word: "outside-1".to_owned(), keys: vec![vkey] };
    Outside { name: "commissioner".to_owned(), voice, party }
}

#[tokio::test]
async fn an_outside_witness_is_asked_over_http_and_its_word_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap());
    let scene = Scene::new(vec![outside(folder.path(), &clock, 5).await]);
    scene.witnessing.round().await;
    assert_eq!(scene.quorums(), [Some(9), None, None, None, None], "it knows one log of five");
    let kept = scene.witnessing.book().quorum(OWN).unwrap().unwrap();
    assert!(String::from_utf8(kept.note).unwrap().contains("\u{2014} witness.pcc.example "));
    let standing = scene.witnessing.standing();
    let east = standing.iter().find(|log| log.origin.starts_with("east")).unwrap();
    let outside = east.witnesses.iter().find(|w| w.kind == "outside").unwrap();
    assert_eq!(
        (outside.name.as_str(), outside.trouble.as_str()),
        ("commissioner", "it does not know this log")
    );
}

#[tokio::test]
async fn cosigned_notes_are_stamped_and_an_authority_that_is_away_is_told() {
    let scene = Scene::new(Vec::new());
    let rig = stamp::tests::Rig::new();
    let authority = |path: &str| StampAuthority {
        name: format!("http://127.0.0.1:{}{path}", rig.port),
        party: rig.party(path),
    };
    assert_eq!(scene.witnessing.stamp(&authority("/")).await, 0, "nothing is cosigned yet");
    scene.witnessing.round().await;
    for path in ["/busy", "/refuse", "/other"] {
        assert_eq!(scene.witnessing.stamp(&authority(path)).await, 0);
        assert!(scene.witnessing.troubles()[0].starts_with("time-stamping: "), "{path}");
    }
    assert_eq!(scene.witnessing.stamp(&authority("/")).await, 5);
    assert!(scene.witnessing.troubles().is_empty());
    assert_eq!(scene.events("logs-stamped"), 1);
    let east = "east.force.example/log/00000001";
    let stamp = scene.witnessing.book().stamp_covering(east, 6).unwrap().unwrap();
    assert!(rig.openssl_verifies(&stamp.note, &stamp.response));
    // A bundle needs what came after it: one stamp, and none where there is one.
    scene.town.town().sites[0].beats(2);
    scene.witnessing.round().await;
    let places = [(east.to_owned(), 8), ("hq.force.example/log/00000001".to_owned(), 6)];
    for _ in 0..2 {
        scene.witnessing.stamp_places(&authority("/"), &places).await;
        assert_eq!(scene.events("logs-stamped"), 2);
    }
    let stamp = scene.witnessing.book().stamp_covering(east, 8).unwrap().unwrap();
    let kept = scene.ledger.entries(0, 100).unwrap();
    let Event::LogsStamped(event) = &kept.last().unwrap().body else { panic!("{kept:?}") };
    assert!(event.stamps.iter().any(|s| s.token_sha256 == Digest::of(&stamp.response)));
}
