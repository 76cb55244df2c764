//! Two people, and no hold: through the ledger, as it is done.

use std::collections::BTreeSet;

use custody::{Digest, HoldId, SiteId};
use host::Clock;

use super::*;
use crate::access::Role;
use crate::evidence::hold::{Asked, HoldOrder, HoldStep};
use crate::ledger::{Command, Ledger};
use crate::log::RocksLog;

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn asked() -> ErasureOrder {
    ErasureOrder {
        camera: "east/ext-01".parse().unwrap(),
        span: Span { from: at("2026-11-20T11:50:00Z"), to: at("2026-11-20T11:59:00Z") },
        reason: "a neighbour's request, DR-44".to_owned(),
    }
}

fn scene(folder: &std::path::Path) -> Ledger {
    let clock = Clock::simulated(at("2026-11-21T12:00:00Z"));
    let log = RocksLog::open(&folder.join("log")).unwrap();
    let ledger = Ledger::open(Box::new(log), clock).unwrap();
    for (name, roles) in [
        ("d.mensah", &[Role::Dpo, Role::AssetOwner][..]),
        ("o.ahmed", &[Role::AssetOwner]),
        ("k.ode", &[Role::Technician]),
        ("s.root", &[Role::Administrator]),
    ] {
        let add = Command::AddPerson {
            person: name.parse().unwrap(),
            roles: roles.iter().copied().collect::<BTreeSet<_>>(),
            token_sha256: Digest::of(name.as_bytes()),
        };
        ledger.submit(Actor::Controller, add).unwrap();
    }
    let site: SiteId = "east".parse().unwrap();
    let secret_sha256 = Digest::of(b"secret");
    let token = Command::CreateEnrolmentToken { site: site.clone(), secret_sha256, lives_s: 0 };
    by(&ledger, "s.root", token).unwrap();
    let enrol = Command::EnrolSite {
        site: site.clone(),
        secret_sha256,
        evidence_key: custody::SecretKey::from_seed(&[7; 32]).public().to_bytes(),
        serial: "40".to_owned(),
        certificate_ends: at("2027-01-20T12:00:00Z"),
    };
    ledger.submit(Actor::Controller, enrol).unwrap();
    let cameras = vec!["east/ext-01".parse().unwrap()];
    let announce = Command::AnnounceCameras { site: site.clone(), cameras };
    ledger.submit(Actor::Site(site), announce).unwrap();
    ledger
}

fn by(ledger: &Ledger, who: &str, command: Command) -> Result<Vec<Event>, Refusal> {
    ledger.submit(Actor::Person(who.parse().unwrap()), command)
}

fn approve(order: &OrderId) -> Command {
    Command::ApproveErasure { order: order.clone(), reason: "no crime is in question".to_owned() }
}

fn code(answer: Result<Vec<Event>, Refusal>) -> Code {
    answer.unwrap_err().code()
}

fn hold(ledger: &Ledger) -> HoldId {
    let order = HoldOrder {
        cameras: vec![asked().camera],
        site: None,
        span: Span { from: at("2026-11-20T11:58:00Z"), to: at("2026-11-20T12:30:00Z") },
        purpose: Purpose::Security,
        reason: "fall on the front steps".to_owned(),
        case: None,
        grounds: Asked::default(),
    };
    let events = by(ledger, "k.ode", Command::PlaceHold(order)).unwrap();
    let [Event::HoldOrdered(ordered)] = events.as_slice() else { panic!("{events:?}") };
    ordered.hold.clone()
}

#[test]
fn one_person_orders_another_approves_and_never_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = scene(folder.path());
    let order: OrderId = "E-2026-000001".parse().unwrap();
    assert_eq!(code(by(&ledger, "k.ode", Command::OrderErasure(asked()))), Code::RoleMissing);
    assert_eq!(code(by(&ledger, "o.ahmed", Command::OrderErasure(asked()))), Code::RoleMissing);
    let no_reason = ErasureOrder { reason: " ".to_owned(), ..asked() };
    let refused = by(&ledger, "d.mensah", Command::OrderErasure(no_reason));
    assert_eq!(code(refused), Code::ReasonMissing);
    by(&ledger, "d.mensah", Command::OrderErasure(asked())).unwrap();
    assert_eq!(code(by(&ledger, "d.mensah", approve(&order))), Code::OwnRequest);
    let done = ErasureStep::Erased { segments: 9 };
    let step = |step: &ErasureStep| {
        let command = Command::StepErasure { order: order.clone(), step: step.clone() };
        ledger.submit(Actor::Controller, command)
    };
    assert_eq!(code(step(&done)), Code::OrderState, "nobody has approved");
    by(&ledger, "o.ahmed", approve(&order)).unwrap();
    assert_eq!(code(by(&ledger, "o.ahmed", approve(&order))), Code::OrderState);
    step(&done).unwrap();
    let entry = ledger.read(|state| state.erasures.order(&order).cloned()).unwrap();
    assert!(matches!(entry.state, ErasureState::Erased { segments: 9, .. }), "{entry:?}");
    assert_eq!(entry.decision.unwrap().by, Actor::Person("o.ahmed".parse().unwrap()));
    let trail = ledger.entries(0, 100).unwrap();
    assert!(
        trail
            .iter()
            .all(|it| it.body.object() != order.as_str()
                || it.purpose == Some(Purpose::SubjectAccess))
    );
    let events: Vec<_> = trail.iter().map(|it| it.body.name()).collect();
    assert_eq!(events.iter().filter(|name| **name == "access-refused").count(), 5);
    // Folding the log anew gives the same.
    let log = ledger.shared_log();
    let mut again = Erasures::default();
    log.read(0, 100).unwrap().iter().for_each(|stored| again.apply(stored));
    assert_eq!(ledger.read(|state| state.erasures.clone()), again);
}

#[test]
fn a_hold_wins_at_the_order_at_the_approval_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = scene(folder.path());
    by(&ledger, "d.mensah", Command::OrderErasure(asked())).unwrap();
    let hold = hold(&ledger);
    let first: OrderId = "E-2026-000001".parse().unwrap();
    let refused = by(&ledger, "o.ahmed", approve(&first)).unwrap_err();
    assert_eq!(refused.code(), Code::FootageHeld);
    assert!(refused.message().contains(hold.as_str()), "{refused}");
    let refused = by(&ledger, "d.mensah", Command::OrderErasure(asked()));
    assert_eq!(code(refused), Code::FootageHeld);
    // What lies before the hold may go.
    let mut before = asked();
    before.span.to = at("2026-11-20T11:58:00Z");
    by(&ledger, "d.mensah", Command::OrderErasure(before)).unwrap();
    // Until the site has released it, the hold stands.
    let placed = HoldStep::Placed { segments: 1, erased: 0 };
    let step = |step| Command::StepHold { hold: hold.clone(), step };
    ledger.submit(Actor::Controller, step(placed)).unwrap();
    let release = Command::ReleaseHold { hold: hold.clone(), reason: "not needed".to_owned() };
    by(&ledger, "k.ode", release).unwrap();
    assert_eq!(code(by(&ledger, "o.ahmed", approve(&first))), Code::FootageHeld);
    ledger.submit(Actor::Controller, step(HoldStep::Released)).unwrap();
    by(&ledger, "o.ahmed", approve(&first)).unwrap();
    // The site knows to the segment: its refusal ends the order.
    let refused = ErasureStep::Refused { why: "held for H-9".to_owned() };
    let command = Command::StepErasure { order: first.clone(), step: refused };
    ledger.submit(Actor::Controller, command).unwrap();
    let entry = ledger.read(|state| state.erasures.order(&first).cloned()).unwrap();
    assert_eq!(entry.state, ErasureState::Refused);
    assert_eq!(entry.decision.unwrap().reason, "held for H-9");
    let refuse = Command::RefuseErasure {
        order: "E-2026-000002".parse().unwrap(),
        reason: "the person withdrew".to_owned(),
    };
    by(&ledger, "d.mensah", refuse).unwrap();
}

#[test]
fn what_is_over_or_is_to_come_is_not_ordered() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = scene(folder.path());
    let with = |from: &str, to: &str| {
        let order = ErasureOrder { span: Span { from: at(from), to: at(to) }, ..asked() };
        by(&ledger, "d.mensah", Command::OrderErasure(order))
    };
    let future = with("2026-11-21T11:00:00Z", "2026-11-21T13:00:00Z");
    assert_eq!(code(future), Code::RangeInvalid);
    let old = with("2026-10-01T11:00:00Z", "2026-10-01T12:00:00Z");
    assert_eq!(code(old), Code::NoFootage);
    let unknown = ErasureOrder { camera: "east/ext-09".parse().unwrap(), ..asked() };
    let unknown = by(&ledger, "d.mensah", Command::OrderErasure(unknown));
    assert_eq!(code(unknown), Code::CameraUnknown);
}
