//! Cases and holds against sites that are away, refuse, break off, or have nothing.

mod guests;
mod kept;
mod village;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::manifest::{Agent, Analytics, Fragments, Mask, Reception, Seal, Segment, Stream};
use custody::record::{Gap, GapReason, Record, Statement};
use custody::sealing::Key;
use custody::{CameraId, CaseId, Digest, HoldId, OrderId, SecretKey, Seq, SiteId, WallTime};
use host::{Clock, Tasks};

use super::*;
use crate::access::{Actor, Purpose, Role};
use crate::erasure::ErasureOrder;
use crate::evidence::hold::{Asked, CopyState, HoldOrder};
use crate::evidence::{CaseState, HoldEntry, HoldState, RequestOrder};
use crate::fleet::{
    ErasedFootage, FleetError, Found, FoundRecord, Guest, Placed, ReleasedKeys, WantedSegment,
};
use crate::ledger::{Command, Ledger, State};
use crate::limits;
use crate::log::{Event, RocksLog};
use crate::registry::Authority;
use crate::vault::{self, Shelf, Vault};

use village::Village;

struct Scene {
    folder: tempfile::TempDir,
    village: Village,
    clock: Clock,
    ledger: Ledger,
    progress: Progress,
    tasks: Tasks,
}

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn asked() -> Span {
    Span { from: at("2026-11-21T11:50:00Z"), to: at("2026-11-21T11:59:00Z") }
}

/// A hold of what is [`asked`], by itself.
fn hold_order(purpose: Purpose, reason: &str) -> HoldOrder {
    HoldOrder {
        cameras: vec!["east/ext-01".parse().unwrap()],
        site: None,
        grounds: Asked::default(),
        span: asked(),
        purpose,
        reason: reason.to_owned(),
        case: None,
    }
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(at("2026-11-21T12:00:00Z"));
        let log = RocksLog::open(&folder.path().join("log")).unwrap();
        let ledger = Ledger::open(Box::new(log), clock.clone()).unwrap();
        let scene = Self {
            village: Village::default(),
            clock,
            ledger,
            progress: Progress::default(),
            tasks: Tasks::new(),
            folder,
        };
        for (name, role) in [
            ("s.root", Role::Administrator),
            ("k.ode", Role::Technician),
            ("a.bell", Role::Authoriser),
            ("d.mensah", Role::Dpo),
            ("o.ahmed", Role::AssetOwner),
        ] {
            let add = Command::AddPerson {
                person: name.parse().unwrap(),
                roles: [role].into(),
                token_sha256: Digest::of(name.as_bytes()),
            };
            scene.ledger.submit(Actor::Controller, add).unwrap();
        }
        let site: SiteId = "east".parse().unwrap();
        let secret_sha256 = Digest::of(b"secret");
        let token = Command::CreateEnrolmentToken { site: site.clone(), secret_sha256, lives_s: 0 };
        scene.act("s.root", token);
        let enrol = Command::EnrolSite {
            site: site.clone(),
            secret_sha256,
            evidence_key: SecretKey::from_seed(&[7; 32]).public().to_bytes(),
            serial: "40".to_owned(),
            certificate_ends: at("2027-01-20T12:00:00Z"),
        };
        scene.ledger.submit(Actor::Controller, enrol).unwrap();
        let cameras = vec!["east/ext-01".parse().unwrap()];
        let announce = Command::AnnounceCameras { site: site.clone(), cameras };
        scene.ledger.submit(Actor::Site(site), announce).unwrap();
        scene
    }

    fn act(&self, who: &str, command: Command) {
        self.ledger.submit(Actor::Person(who.parse().unwrap()), command).unwrap();
    }

    fn approved(&self) -> CaseId {
        let order = RequestOrder {
            cameras: vec!["east/ext-01".parse().unwrap()],
            span: asked(),
            purpose: Purpose::Security,
            reason: "fall on the front steps".to_owned(),
            crime_reference: String::new(),
        };
        self.act("k.ode", Command::RequestEvidence(order));
        let case: CaseId = "WH-2026-000001".parse().unwrap();
        let reason = "proportionate".to_owned();
        self.act("a.bell", Command::ApproveCase { case: case.clone(), reason });
        case
    }

    fn run(&self) {
        self.run_with(&[]);
    }

    /// With other sites for held footage.
    fn run_with(&self, also_at: &[&str]) -> Vault {
        let copies = Vault::open(self.folder.path()).unwrap();
        self.village.set(|mood| mood.shelf = Some(copies.shelf().clone()));
        let parts = Parts {
            copies: copies.clone(),
            also_at: also_at.iter().map(|site| site.parse().unwrap()).collect(),
            ledger: self.ledger.clone(),
            sites: self.village.clone(),
            authority: Arc::new(Authority::create(self.folder.path()).ok().unwrap()),
            vault: self.folder.path().join("vault"),
            proving: None,
            signer: None,
            progress: self.progress.clone(),
            tasks: self.tasks.clone(),
        };
        self.tasks.spawn("driver", run(parts));
        copies
    }

    /// The site's agent comes back, which is an event, which is a pass.
    fn agent_comes(&self) {
        let (site, remote) = ("east".parse().unwrap(), "10.1.0.2:1".to_owned());
        self.ledger.submit(Actor::Controller, Command::SiteConnected { site, remote }).unwrap();
    }

    async fn until(&self, what: &str, is_so: impl Fn(&State, &Progress) -> bool) {
        let (mut log, mut progress) = (self.ledger.watch(), self.progress.watch());
        let waiting = async {
            while !self.ledger.read(|state| is_so(state, &self.progress)) {
                tokio::select! {
                    moved = log.changed() => moved.unwrap(),
                    moved = progress.changed() => moved.unwrap(),
                }
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "{what}");
    }

    async fn end(self) {
        assert!(self.tasks.shut_down(Duration::from_secs(10)).await);
    }
}

fn gap(end: WallTime) -> FoundRecord {
    let gap = Gap {
        camera: "east/ext-01".parse().unwrap(),
        seq: Seq(4),
        prev: Digest::NONE,
        boot_id: "boot".to_owned(),
        start: at("2026-11-21T11:00:00Z"),
        end,
        reason: GapReason::CameraUnreachable,
        detail: String::new(),
        clock: Clock::simulated(end).quality(),
    };
    let record = Record::Other(Statement::Gap(gap));
    let envelope: Envelope = record.sign(&SecretKey::from_seed(&[7; 32]));
    FoundRecord { envelope, record, file_bytes: 0 }
}

/// A sealed minute that reaches the interval's end.
fn segment(seq: u64) -> FoundRecord {
    let record = Record::Segment(Segment {
        camera: "east/ext-01".parse().unwrap(),
        seq: Seq(seq),
        prev: Digest::NONE,
        boot_id: "boot".to_owned(),
        start: at("2026-11-21T11:58:00Z"),
        end: at("2026-11-21T11:59:00Z"),
        clock: Clock::simulated(asked().to).quality(),
        stream: Stream {
            codec: "avc1.64001f".to_owned(),
            width: 960,
            height: 720,
            parameters_sha256: Digest::NONE,
            byte_exact: true,
        },
        init_sha256: Digest::NONE,
        fragments: Fragments { count: 30, root: Digest::NONE, samples: 1500, bytes: 4000 },
        mask: Mask::NotRequired { approved_by: "d.mensah".to_owned() },
        reception: Reception::default(),
        seal: Seal { algorithm: "AES-256-GCM".to_owned(), epoch: 1 },
        agent: Agent {
            version: "0.1.0".to_owned(),
            binary_sha256: Digest::NONE,
            config_sha256: Digest::NONE,
        },
        analytics: Analytics::None,
        recovered: false,
        foreign_checkpoint: None,
    });
    let envelope = record.sign(&SecretKey::from_seed(&[7; 32]));
    FoundRecord { envelope, record, file_bytes: 4096 }
}

fn state_of<'a>(state: &'a State, case: &CaseId) -> &'a CaseState {
    &state.evidence.case(case).unwrap().state
}

#[tokio::test]
async fn a_case_waits_for_its_site_and_fails_where_there_are_only_gaps() {
    let scene = Scene::new();
    scene.village.set(|mood| {
        mood.is_away = true;
        mood.records = vec![gap(asked().to)];
    });
    let case = scene.approved();
    scene.run();
    scene
        .until("it says that the site is away", |state, progress| {
            *state_of(state, &case) == CaseState::Approved
                && progress.of(&case).detail.contains("east is not connected")
        })
        .await;
    scene.village.set(|mood| mood.is_away = false);
    scene.agent_comes();
    let hold: HoldId = "WH-2026-000001-01".parse().unwrap();
    scene
        .until("it fails, and its hold is released", |state, _| {
            let is_released = state.evidence.hold(&hold).unwrap().state == HoldState::Released;
            matches!(state_of(state, &case), CaseState::Failed { code, detail }
                if code == "no-footage" && detail.contains("east/ext-01: camera-unreachable"))
                && is_released
        })
        .await;
    assert!(scene.village.0.lock().unwrap().holds.is_empty());
    scene.end().await;
}

#[tokio::test]
async fn a_case_waits_for_the_segment_that_is_being_recorded() {
    let scene = Scene::new();
    scene.village.set(|mood| mood.records = vec![gap(at("2026-11-21T11:58:00Z"))]);
    let case = scene.approved();
    scene.run();
    scene
        .until("it says what it waits for", |state, progress| {
            *state_of(state, &case) == CaseState::Held
                && progress.of(&case).detail.contains("last segment")
        })
        .await;
    // Long after the interval's end nothing more will come.
    let wait_ms = u64::try_from(limits::CHAIN_WAIT_S).unwrap() * 1000;
    scene.clock.advance_ms(wait_ms);
    scene.agent_comes();
    scene
        .until("it goes on with what there is", |state, _| state_of(state, &case).is_final())
        .await;
    scene.end().await;
}

#[tokio::test]
async fn a_disc_that_refuses_costs_one_release_of_keys_and_ever_rarer_tries() {
    let scene = Scene::new();
    scene.village.set(|mood| {
        mood.gives = true;
        mood.records = vec![segment(4)];
    });
    // Where the bundles' folder should be lies a file: nothing can be written there.
    let vault = scene.folder.path().join("vault");
    std::fs::create_dir(&vault).unwrap();
    std::fs::write(vault.join("bundles"), b"").unwrap();
    let case = scene.approved();
    scene.run();
    let says = |next_try: &'static str| {
        let case = case.clone();
        move |state: &State, progress: &Progress| {
            let detail = progress.of(&case).detail;
            matches!(state_of(state, &case), CaseState::Pulling { .. })
                && detail.starts_with("Waits since 2026-11-21T12:00:00Z: the bundle cannot be")
                && detail.contains("Check the space")
                && detail.ends_with(&format!("The next try is at {next_try}."))
        }
    };
    scene.until("the first try fails", says("2026-11-21T12:00:05Z")).await;
    for (pause_ms, next_try) in [
        (5_000, "2026-11-21T12:00:15Z"),
        (10_000, "2026-11-21T12:00:35Z"),
        (20_000, "2026-11-21T12:01:15Z"),
    ] {
        // The log moves long before the pause is over: nothing is tried.
        scene.agent_comes();
        scene.clock.advance_ms(pause_ms);
        scene.agent_comes();
        scene.until("the next try comes after twice the pause", says(next_try)).await;
    }
    scene.village.set(|mood| {
        assert_eq!(mood.keys_asked, [1], "the keys of one segment, once");
        // And at most one for the hold's copy, which then lets the case go first.
        assert!([5, 6].contains(&mood.finds), "one look before the pull, and one a try");
    });
    let entries = scene.ledger.entries(0, 1000).unwrap();
    let released = entries.iter().filter(|e| matches!(e.body, Event::KeysReleased(_)));
    assert_eq!(released.count(), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_site_that_refuses_ends_the_case() {
    let scene = Scene::new();
    scene.village.set(|mood| mood.refuses = true);
    let case = scene.approved();
    scene.run();
    scene
        .until("it fails", |state, _| {
            matches!(state_of(state, &case), CaseState::Failed { code, detail }
                if code == "site-refused" && detail.contains("no such camera"))
        })
        .await;
    scene.end().await;
}

#[tokio::test]
async fn a_hold_without_a_case_is_placed_and_released() {
    let scene = Scene::new();
    scene.run();
    let order = hold_order(Purpose::Security, "fall on the front steps");
    scene.act("k.ode", Command::PlaceHold(order));
    let hold: HoldId = "H-2026-000001".parse().unwrap();
    let is = |wanted: HoldState| {
        let hold = hold.clone();
        move |state: &State, _: &Progress| state.evidence.hold(&hold).unwrap().state == wanted
    };
    scene.until("it is placed", is(HoldState::Placed { segments: 11, erased: 0 })).await;
    assert_eq!(scene.village.0.lock().unwrap().holds, std::slice::from_ref(&hold));
    let reason = "claim withdrawn".to_owned();
    scene.act("k.ode", Command::ReleaseHold { hold: hold.clone(), reason });
    scene.until("it is released", is(HoldState::Released)).await;
    assert!(scene.village.0.lock().unwrap().holds.is_empty());
    scene.end().await;
}
