//! The door: who may, what is kept, lost races, a failing log, and folds that come back.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use custody::coverage::Span;
use custody::{Digest, WallTime};

use super::*;
use crate::access::{Purpose, Role};
use crate::evidence::case::Step;
use crate::evidence::{CaseState, RequestOrder};
use crate::log::check::check;
use crate::log::{Body, Head, RocksLog, SignError};
use crate::registry::token;

/// A log that can be told to fail, and that others write to behind the ledger's back.
struct Faulty {
    log: Arc<RocksLog>,
    fails: Arc<AtomicBool>,
}

impl EventLog for Faulty {
    fn append(
        &self,
        stream: &Stream,
        expected: u64,
        entries: &[Entry],
    ) -> Result<Range<u64>, AppendError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(AppendError::Fatal(Fatal::new("appending", "the disc is gone")));
        }
        self.log.append(stream, expected, entries)
    }
    fn read(&self, from: u64, limit: usize) -> Result<Vec<Stored>, Fatal> {
        self.log.read(from, limit)
    }
    fn head(&self) -> Result<u64, Fatal> {
        self.log.head()
    }
    fn instance(&self) -> &str {
        self.log.instance()
    }
    fn body(&self, position: u64) -> Result<Option<Body>, Fatal> {
        self.log.body(position)
    }
    fn node(&self, number: u64) -> Result<Option<Digest>, Fatal> {
        self.log.node(number)
    }
    fn signed(&self) -> Result<Option<Head>, Fatal> {
        self.log.signed()
    }
    fn keep_signed(&self, expected: Option<Head>, new: Head) -> Result<(), SignError> {
        self.log.keep_signed(expected, new)
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    log: Arc<RocksLog>,
    fails: Arc<AtomicBool>,
    clock: Clock,
    ledger: Ledger,
}

const NOON: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

impl Scene {
    /// An estate with one site, two cameras, and people.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(RocksLog::open(folder.path()).unwrap());
        let fails = Arc::new(AtomicBool::new(false));
        let clock = Clock::simulated(at(NOON));
        let door = Faulty { log: log.clone(), fails: fails.clone() };
        let ledger = Ledger::open(Box::new(door), clock.clone()).unwrap();
        let scene = Self { _folder: folder, log, fails, clock, ledger };
        for (name, role) in [
            ("s.root", Role::Administrator),
            ("t.okafor", Role::Requester),
            ("k.ode", Role::Technician),
            ("a.bell", Role::Authoriser),
            ("o.fox", Role::Auditor),
        ] {
            let command = Command::AddPerson {
                person: name.parse().unwrap(),
                roles: [role].into(),
                token_sha256: token::bearer_sha256(name),
            };
            scene.ledger.submit(Actor::Controller, command).unwrap();
        }
        scene.enrol("east", 1);
        let cameras = vec!["east/ext-01".parse().unwrap(), "east/int-01".parse().unwrap()];
        let site = "east".parse().unwrap();
        let announce = Command::AnnounceCameras { site, cameras };
        scene.ledger.submit(Actor::Site("east".parse().unwrap()), announce).unwrap();
        scene
    }

    fn enrol(&self, site: &str, key: u8) {
        let secret_sha256 = Digest::of(&[key]);
        self.act("s.root", create_token(site, secret_sha256)).unwrap();
        self.ledger.submit(Actor::Controller, enrol(site, secret_sha256, key)).unwrap();
    }

    fn act(&self, who: &str, command: Command) -> Result<Vec<Event>, Refusal> {
        self.ledger.submit(Actor::Person(who.parse().unwrap()), command)
    }

    fn refused(&self, who: &str, command: Command) -> Code {
        let head = self.log.head().unwrap();
        let refusal = self.act(who, command).unwrap_err();
        let kept = self.log.read(head, 10).unwrap();
        assert_eq!(kept.len(), 1, "a refusal is kept, and nothing else");
        let Event::AccessRefused(event) = &kept[0].body else { panic!("{:?}", kept[0]) };
        assert_eq!(event.code, refusal.code().as_str());
        assert_eq!(kept[0].actor.to_string(), who);
        assert_eq!(check(&self.log), []);
        refusal.code()
    }

    fn state_of(&self, case: &str) -> CaseState {
        let case = case.parse().unwrap();
        self.ledger.read(|state| state.evidence.case(&case).unwrap().state.clone())
    }
}

fn create_token(site: &str, secret_sha256: Digest) -> Command {
    Command::CreateEnrolmentToken { site: site.parse().unwrap(), secret_sha256, lives_s: 0 }
}

fn enrol(site: &str, secret_sha256: Digest, key: u8) -> Command {
    Command::EnrolSite {
        site: site.parse().unwrap(),
        secret_sha256,
        evidence_key: custody::SecretKey::from_seed(&[key; 32]).public().to_bytes(),
        serial: format!("{key:02x}"),
        certificate_ends: at("2027-01-20T12:00:00Z"),
    }
}

fn order() -> RequestOrder {
    RequestOrder {
        cameras: vec!["east/ext-01".parse().unwrap()],
        span: Span { from: at("2026-11-21T10:00:00Z"), to: at("2026-11-21T10:10:00Z") },
        purpose: Purpose::Crime,
        reason: "robbery in Mill Lane".to_owned(),
        crime_reference: "42/1234/26".to_owned(),
    }
}

fn request() -> Command {
    Command::RequestEvidence(order())
}

fn approve(case: &str) -> Command {
    Command::ApproveCase { case: case.parse().unwrap(), reason: "proportionate".to_owned() }
}

fn step(case: &str, step: Step) -> Command {
    Command::StepCase { case: case.parse().unwrap(), step }
}

#[test]
fn a_request_is_numbered_approved_by_another_and_held() {
    let scene = Scene::new();
    let events = scene.act("t.okafor", request()).unwrap();
    assert_eq!(events[0].object(), "WH-2026-000001");
    assert_eq!(scene.act("k.ode", request()).unwrap()[0].object(), "WH-2026-000002");
    let approved = scene.act("a.bell", approve("WH-2026-000001")).unwrap();
    let names: Vec<_> = approved.iter().map(Event::name).collect();
    assert_eq!(names, ["case-approved", "hold-ordered"]);
    assert_eq!(scene.state_of("WH-2026-000001"), CaseState::Approved);
    let kept = scene.log.read(scene.log.head().unwrap() - 2, 1).unwrap();
    assert_eq!(kept[0].purpose, Some(Purpose::Crime));
    assert_eq!(kept[0].reason, "proportionate");

    scene.clock.step_wall(at("2027-01-01T00:00:01Z"));
    let span = Span { from: at("2026-12-31T23:00:00Z"), to: at("2026-12-31T23:10:00Z") };
    let next_year = Command::RequestEvidence(RequestOrder { span, ..order() });
    assert_eq!(scene.act("t.okafor", next_year).unwrap()[0].object(), "WH-2027-000001");
    assert_eq!(check(&scene.log), []);
}

#[test]
fn each_refusal_has_its_code_and_is_kept() {
    let scene = Scene::new();
    let span = |from, to| Span { from: at(from), to: at(to) };
    let with = |change: fn(&mut RequestOrder)| {
        let mut order = order();
        change(&mut order);
        Command::RequestEvidence(order)
    };
    let in_span = |span| Command::RequestEvidence(RequestOrder { span, ..order() });
    let table = [
        (with(|o| o.reason = " .. ".to_owned()), Code::ReasonMissing),
        (with(|o| o.reason = "x".repeat(1001)), Code::TextTooLong),
        (with(|o| o.crime_reference.clear()), Code::CrimeReferenceMissing),
        (with(|o| o.purpose = Purpose::Maintenance), Code::PurposeNotAllowed),
        (with(|o| o.cameras.clear()), Code::CamerasInvalid),
        (with(|o| o.cameras = vec!["east/ext-99".parse().unwrap()]), Code::CameraUnknown),
        (in_span(span("2026-11-21T10:10:00Z", "2026-11-21T10:10:00Z")), Code::RangeInvalid),
        (in_span(span("2026-11-21T11:59:00Z", "2026-11-21T12:00:01Z")), Code::RangeInvalid),
        (in_span(span("2026-11-20T10:00:00Z", "2026-11-21T10:00:01Z")), Code::RangeTooLong),
        (in_span(span("2026-10-21T11:59:59Z", "2026-10-21T13:00:00Z")), Code::NoFootage),
    ];
    for (command, code) in table {
        assert_eq!(scene.refused("t.okafor", command), code);
    }
    assert_eq!(scene.refused("s.root", request()), Code::RoleMissing);
    assert_eq!(scene.refused("o.fox", request()), Code::RoleMissing);
    assert_eq!(scene.refused("n.obody", request()), Code::RoleMissing);
    assert_eq!(scene.refused("a.bell", approve("WH-2026-000001")), Code::CaseUnknown);
    scene.act("t.okafor", request()).unwrap();
    scene.act("a.bell", approve("WH-2026-000001")).unwrap();
    assert_eq!(scene.refused("a.bell", approve("WH-2026-000001")), Code::CaseState);
    let fetch = Command::FetchBundle { case: "WH-2026-000001".parse().unwrap() };
    assert_eq!(scene.refused("k.ode", fetch), Code::CaseState);
    let release = |hold: &str| Command::ReleaseHold {
        hold: hold.parse().unwrap(),
        reason: "no longer needed".to_owned(),
    };
    assert_eq!(scene.refused("k.ode", release("WH-2026-000001-01")), Code::CaseState);
    assert_eq!(scene.refused("k.ode", release("H-2026-000001")), Code::HoldUnknown);
}

#[test]
fn nobody_approves_their_own_request_whatever_their_roles() {
    let scene = Scene::new();
    let both = Command::AddPerson {
        person: "b.oth".parse().unwrap(),
        roles: [Role::Requester, Role::Authoriser].into(),
        token_sha256: token::bearer_sha256("b.oth"),
    };
    scene.act("s.root", both).unwrap();
    scene.act("b.oth", request()).unwrap();
    assert_eq!(scene.refused("b.oth", approve("WH-2026-000001")), Code::OwnRequest);
    scene.act("a.bell", approve("WH-2026-000001")).unwrap();
}

#[test]
fn a_token_enrols_one_site_once_and_in_time() {
    let scene = Scene::new();
    let digest = Digest::of(b"west");
    let site = "west".parse().unwrap();
    let usable = |now| scene.ledger.read(|s| s.registry.token_usable(&site, digest, now));
    assert_eq!(usable(at(NOON)).unwrap_err().code(), Code::SiteUnknown);
    scene.act("s.root", create_token("west", digest)).unwrap();
    usable(at(NOON)).unwrap();
    assert_eq!(usable(at("2026-11-22T12:00:00Z")).unwrap_err().code(), Code::TokenExpired);
    let other = scene.ledger.read(|s| s.registry.token_usable(&site, Digest::NONE, at(NOON)));
    assert_eq!(other.unwrap_err().code(), Code::TokenUnknown);
    let stolen_key = scene.ledger.submit(Actor::Controller, enrol("west", digest, 1)).unwrap_err();
    assert_eq!(stolen_key.code(), Code::EvidenceKeyInvalid);
    scene.ledger.submit(Actor::Controller, enrol("west", digest, 2)).unwrap();
    let again = scene.ledger.submit(Actor::Controller, enrol("west", digest, 2)).unwrap_err();
    assert_eq!(again.code(), Code::TokenUsed);
    assert_eq!(scene.refused("k.ode", create_token("west", digest)), Code::RoleMissing);
}

#[test]
fn a_revoked_site_is_out_until_it_enrols_again() {
    let scene = Scene::new();
    let revoke = || Command::RevokeSite {
        site: "east".parse().unwrap(),
        reason: "recorder stolen".to_owned(),
    };
    scene.act("s.root", revoke()).unwrap();
    assert_eq!(scene.refused("s.root", revoke()), Code::SiteRevoked);
    let connected =
        Command::SiteConnected { site: "east".parse().unwrap(), remote: "10.1.0.2:1".to_owned() };
    let refusal = scene.ledger.submit(Actor::Controller, connected.clone()).unwrap_err();
    assert_eq!(refusal.code(), Code::SiteRevoked);
    assert_eq!(scene.refused("t.okafor", request()), Code::SiteRevoked);
    scene.enrol("east", 3);
    scene.ledger.submit(Actor::Controller, connected).unwrap();
    let site = "east".parse().unwrap();
    scene.ledger.read(|state| {
        let entry = state.registry.site(&site).unwrap();
        assert_eq!(entry.serials, ["03"]);
        assert_eq!(entry.evidence_keys.len(), 2);
    });
}

#[test]
fn the_last_administrator_stays() {
    let scene = Scene::new();
    let suspend = |who: &str| Command::SuspendPerson {
        person: who.parse().unwrap(),
        reason: "left the force".to_owned(),
    };
    assert_eq!(scene.refused("s.root", suspend("s.root")), Code::LastAdministrator);
    assert_eq!(scene.refused("s.root", suspend("n.obody")), Code::PersonUnknown);
    let actor = scene.ledger.read(|s| s.registry.authenticate("t.okafor")).unwrap();
    scene.act("s.root", suspend("t.okafor")).unwrap();
    assert_eq!(scene.refused("t.okafor", request()), Code::PersonSuspended);
    assert_eq!(actor.to_string(), "t.okafor");
    let ended = scene.ledger.read(|s| s.registry.authenticate("t.okafor")).unwrap_err();
    assert_eq!(ended.code(), Code::PersonSuspended);
    let unknown = scene.ledger.read(|s| s.registry.authenticate("guess")).unwrap_err();
    assert_eq!(unknown.code(), Code::TokenUnknown);
}

#[test]
fn announcing_the_same_cameras_keeps_nothing() {
    let scene = Scene::new();
    let head = scene.log.head().unwrap();
    let site: custody::SiteId = "east".parse().unwrap();
    let announce = |names: &[&str]| Command::AnnounceCameras {
        site: "east".parse().unwrap(),
        cameras: names.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let east = || Actor::Site("east".parse().unwrap());
    scene.ledger.submit(east(), announce(&["east/int-01", "east/ext-01"])).unwrap();
    assert_eq!(scene.log.head().unwrap(), head);
    scene.ledger.submit(east(), announce(&["east/ext-01"])).unwrap();
    assert_eq!(scene.ledger.read(|s| s.registry.cameras_of(&site)).len(), 1);
    let foreign = scene.ledger.submit(east(), announce(&["west/ext-01"])).unwrap_err();
    assert_eq!(foreign.code(), Code::CamerasInvalid);
    // Footage of a camera that is no longer recorded can still be asked for.
    let old = RequestOrder { cameras: vec!["east/int-01".parse().unwrap()], ..order() };
    scene.act("t.okafor", Command::RequestEvidence(old)).unwrap();
}

#[test]
fn a_lost_race_reads_and_decides_again() {
    let scene = Scene::new();
    scene.act("t.okafor", request()).unwrap();
    // Another controller over the same log refuses the case behind our back.
    let other = Ledger::open(
        Box::new(Faulty { log: scene.log.clone(), fails: Arc::default() }),
        scene.clock.clone(),
    )
    .unwrap();
    let refuse = Command::RefuseCase {
        case: "WH-2026-000001".parse().unwrap(),
        reason: "not proportionate".to_owned(),
    };
    other.submit(Actor::Person("a.bell".parse().unwrap()), refuse).unwrap();
    let mut watch = scene.ledger.watch();
    watch.mark_unchanged();
    let refusal = scene.act("a.bell", approve("WH-2026-000001")).unwrap_err();
    assert_eq!(refusal.code(), Code::CaseState);
    assert_eq!(scene.state_of("WH-2026-000001"), CaseState::Refused);
    assert!(watch.has_changed().unwrap());
    // Another stream's entries between ours are no conflict, and are taken in.
    other.submit(Actor::Person("k.ode".parse().unwrap()), request()).unwrap();
    assert_eq!(scene.act("t.okafor", request()).unwrap()[0].object(), "WH-2026-000003");
    assert_eq!(check(&scene.log), []);
}

#[test]
fn nothing_is_decided_once_the_log_has_failed() {
    let scene = Scene::new();
    let head = scene.log.head().unwrap();
    scene.fails.store(true, Ordering::SeqCst);
    assert_eq!(scene.act("t.okafor", request()).unwrap_err().code(), Code::LogBroken);
    scene.fails.store(false, Ordering::SeqCst);
    assert!(*scene.ledger.broken().borrow());
    assert_eq!(scene.act("t.okafor", request()).unwrap_err().code(), Code::LogBroken);
    assert_eq!(scene.log.head().unwrap(), head);
    assert_eq!(scene.ledger.read(|s| s.evidence.cases().count()), 0);
}

#[test]
fn dropping_the_folds_loses_nothing() {
    let scene = Scene::new();
    scene.act("t.okafor", request()).unwrap();
    scene.act("a.bell", approve("WH-2026-000001")).unwrap();
    let hold = "WH-2026-000001-01".parse().unwrap();
    let placed = crate::evidence::hold::HoldStep::Placed { segments: 11, erased: 0 };
    let controller = || Actor::Controller;
    let held = scene.ledger.submit(controller(), step("WH-2026-000001", Step::Held)).unwrap_err();
    assert_eq!(held.code(), Code::HoldState);
    scene.ledger.submit(controller(), Command::StepHold { hold, step: placed }).unwrap();
    scene.ledger.submit(controller(), step("WH-2026-000001", Step::Held)).unwrap();
    let failed = Step::Failed { code: "no-footage".to_owned(), detail: "gap".to_owned() };
    let events = scene.ledger.submit(controller(), step("WH-2026-000001", failed)).unwrap();
    let names: Vec<_> = events.iter().map(Event::name).collect();
    assert_eq!(names, ["case-failed", "hold-release-ordered"]);
    scene.refused("o.fox", request());
    let before = scene.ledger.read(Clone::clone);
    let again = Ledger::open(
        Box::new(Faulty { log: scene.log.clone(), fails: Arc::default() }),
        scene.clock.clone(),
    )
    .unwrap();
    assert!(before == again.read(Clone::clone), "the fold is the log's and nothing else's");
    assert_eq!(before.head(), scene.log.head().unwrap());
}

#[tokio::test]
async fn looking_without_leave_is_kept_too() {
    let scene = Scene::new();
    let head = scene.log.head().unwrap();
    let auditor = Actor::Person("o.fox".parse().unwrap());
    scene.ledger.permit(&auditor, Act::ReadAudit, Object::Estate).await.unwrap();
    assert_eq!(scene.log.head().unwrap(), head);
    let refusal = scene.ledger.permit(&auditor, Act::SeePeople, Object::Estate).await.unwrap_err();
    assert_eq!(refusal.code(), Code::RoleMissing);
    let kept = scene.log.read(head, 10).unwrap();
    assert_eq!((kept.len(), kept[0].actor.to_string()), (1, "o.fox".to_owned()));
}
