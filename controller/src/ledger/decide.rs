//! Which room answers which command. Decides nothing itself.

use custody::{PersonId, WallTime};

use super::command::Command;
use super::state::State;
use crate::access::{Actor, Code, Purpose, Refusal};
use crate::erasure;
use crate::evidence::{approval, case, hold, request, text};
use crate::log::event::sites::ConnectionRefused;
use crate::log::{Event, Stream};
use crate::registry::{keys, person, site};

/// What follows from a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where the events belong.
    pub stream: Stream,
    /// Who did it, where that is not who submitted it.
    pub actor: Option<Actor>,
    /// For which purpose.
    pub purpose: Option<Purpose>,
    /// Why.
    pub reason: String,
    /// What happened; nothing when all is so already.
    pub events: Vec<Event>,
}

impl Decided {
    fn quiet(stream: Stream, events: Vec<Event>) -> Self {
        Self { stream, actor: None, purpose: None, reason: String::new(), events }
    }
}

/// Decides on a command that `actor` is allowed to give. Pure.
///
/// # Errors
/// The room's refusal.
pub fn decide(
    state: &State,
    actor: &Actor,
    command: &Command,
    now: WallTime,
) -> Result<Decided, Refusal> {
    match command {
        Command::AddPerson { .. } | Command::SuspendPerson { .. } => people(state, command),
        Command::CreateEnrolmentToken { .. }
        | Command::RevokeSite { .. }
        | Command::EnrolSite { .. }
        | Command::RenewSite { .. }
        | Command::SiteConnected { .. }
        | Command::SiteDisconnected { .. }
        | Command::AnnounceCameras { .. } => sites(state, command, now),
        Command::RevokeKey { .. }
        | Command::BeginLog { .. }
        | Command::ContradictLog(_)
        | Command::StampLogs(_) => logs(state, command),
        Command::RequestEvidence(_)
        | Command::ApproveCase { .. }
        | Command::RefuseCase { .. }
        | Command::StepCase { .. }
        | Command::FetchBundle { .. } => cases(state, actor, command, now),
        Command::PlaceHold(_) | Command::ReleaseHold { .. } | Command::StepHold { .. } => {
            holds(state, command, now)
        }
        Command::OrderErasure(_)
        | Command::ApproveErasure { .. }
        | Command::RefuseErasure { .. }
        | Command::StepErasure { .. } => erasures(state, actor, command, now),
        Command::RefuseConnection { remote, reason } => {
            let event = ConnectionRefused { remote: remote.clone(), why: reason.clone() };
            Ok(Decided::quiet(Stream::access(), vec![Event::ConnectionRefused(event)]))
        }
        Command::ReadAudit(read) => {
            Ok(Decided::quiet(Stream::access(), vec![Event::AuditRead(read.clone())]))
        }
        Command::KeepRefusal(who, refused) => Ok(Decided {
            actor: Some(who.clone()),
            ..Decided::quiet(Stream::access(), vec![Event::AccessRefused(refused.clone())])
        }),
    }
}

fn not_mine(command: &Command) -> Refusal {
    // Only reachable if `decide` above hands a command to the wrong room.
    Refusal::new(Code::Busy, format!("{} went to the wrong room", command.act().as_str()))
}

fn people(state: &State, command: &Command) -> Result<Decided, Refusal> {
    match command {
        Command::AddPerson { person, roles, token_sha256 } => {
            let events = person::add(&state.registry, person, roles, *token_sha256)?;
            Ok(Decided::quiet(Stream::person(person), events))
        }
        Command::SuspendPerson { person, reason } => {
            let reason = text::reason(reason)?;
            let events = person::suspend(&state.registry, person)?;
            Ok(Decided { reason, ..Decided::quiet(Stream::person(person), events) })
        }
        other => Err(not_mine(other)),
    }
}

fn sites(state: &State, command: &Command, now: WallTime) -> Result<Decided, Refusal> {
    let registry = &state.registry;
    match command {
        Command::CreateEnrolmentToken { site, secret_sha256, lives_s } => {
            let events = site::create_token(site, *secret_sha256, *lives_s, now)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        Command::RevokeSite { site, reason } => {
            let reason = text::reason(reason)?;
            let events = site::revoke(registry, site)?;
            Ok(Decided { reason, ..Decided::quiet(Stream::site(site), events) })
        }
        Command::EnrolSite { site, secret_sha256, evidence_key, serial, certificate_ends } => {
            let enrolment = site::Enrolment {
                site: site.clone(),
                secret_sha256: *secret_sha256,
                evidence_key: evidence_key.clone(),
                serial: serial.clone(),
                certificate_ends: *certificate_ends,
            };
            let events = site::enrol(registry, &enrolment, now)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        Command::RenewSite { site, serial, certificate_ends } => {
            let events = site::renew(registry, site, serial, *certificate_ends)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        Command::SiteConnected { site, remote } => {
            let events = site::connected(registry, site, remote)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        Command::SiteDisconnected { site, reason } => {
            let events = site::disconnected(registry, site, reason)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        Command::AnnounceCameras { site, cameras } => {
            let events = site::announce(registry, site, cameras)?;
            Ok(Decided::quiet(Stream::site(site), events))
        }
        other => Err(not_mine(other)),
    }
}

fn logs(state: &State, command: &Command) -> Result<Decided, Refusal> {
    let registry = &state.registry;
    match command {
        Command::RevokeKey { site, key_id, lines, reason } => {
            let reason = text::reason(reason)?;
            let events = keys::revoke(registry, site, key_id, lines)?;
            Ok(Decided { reason, ..Decided::quiet(Stream::site(site), events) })
        }
        Command::BeginLog { site, vkey } => {
            let events = keys::begin_log(registry, site, vkey)?;
            Ok(Decided::quiet(Stream::site_log(site), events))
        }
        Command::ContradictLog(found) => {
            let events = keys::contradict(registry, found)?;
            Ok(Decided::quiet(Stream::site_log(&found.site), events))
        }
        Command::StampLogs(stamped) => {
            Ok(Decided::quiet(Stream::stamps(), vec![Event::LogsStamped(stamped.clone())]))
        }
        other => Err(not_mine(other)),
    }
}

fn cases(
    state: &State,
    actor: &Actor,
    command: &Command,
    now: WallTime,
) -> Result<Decided, Refusal> {
    let evidence = &state.evidence;
    match command {
        Command::RequestEvidence(order) => {
            let requested = request::decide(evidence, &state.registry, order, now)?;
            Ok(Decided {
                purpose: Some(order.purpose),
                reason: requested.reason,
                ..Decided::quiet(Stream::case(&requested.case), vec![requested.event])
            })
        }
        Command::ApproveCase { case, reason } => {
            let case = evidence.case(case)?;
            let (reason, events) = approval::approve(case, account(actor)?, reason, now)?;
            Ok(about_case(case, reason, events))
        }
        Command::RefuseCase { case, reason } => {
            let case = evidence.case(case)?;
            let (reason, events) = approval::refuse(case, account(actor)?, reason)?;
            Ok(about_case(case, reason, events))
        }
        Command::StepCase { case, step } => {
            let case = evidence.case(case)?;
            let events = case::step(evidence, case, step)?;
            Ok(about_case(case, String::new(), events))
        }
        Command::FetchBundle { case } => {
            let case = evidence.case(case)?;
            Ok(about_case(case, case.reason.clone(), case::fetch(case)?))
        }
        other => Err(not_mine(other)),
    }
}

fn about_case(case: &case::Case, reason: String, events: Vec<Event>) -> Decided {
    let stream = Stream::case(&case.id);
    Decided { stream, actor: None, purpose: Some(case.purpose), reason, events }
}

fn holds(state: &State, command: &Command, now: WallTime) -> Result<Decided, Refusal> {
    let evidence = &state.evidence;
    match command {
        Command::PlaceHold(order) => {
            let placing = hold::place(evidence, &state.registry, order, now)?;
            Ok(Decided {
                purpose: Some(order.purpose),
                reason: placing.reason,
                ..Decided::quiet(Stream::hold(&placing.order), placing.events)
            })
        }
        Command::ReleaseHold { hold, reason } => {
            let hold::Releasing { stream, purpose, reason, events } =
                hold::release(evidence, hold, reason)?;
            Ok(Decided { stream, actor: None, purpose, reason, events })
        }
        Command::StepHold { hold, step } => {
            let entry = evidence.hold(hold)?;
            let events = hold::step(entry, step)?;
            let (stream, purpose) = (entry.stream.clone(), entry.purpose);
            Ok(Decided { stream, actor: None, purpose, reason: String::new(), events })
        }
        other => Err(not_mine(other)),
    }
}

fn erasures(
    state: &State,
    actor: &Actor,
    command: &Command,
    now: WallTime,
) -> Result<Decided, Refusal> {
    let (erasures, evidence) = (&state.erasures, &state.evidence);
    let (order, (reason, events)) = match command {
        Command::OrderErasure(order) => {
            let (id, reason, event) =
                erasure::order(erasures, evidence, &state.registry, order, now)?;
            (id, (reason, vec![event]))
        }
        Command::ApproveErasure { order, reason } => {
            let entry = erasures.order(order)?;
            (order.clone(), erasure::approve(evidence, entry, account(actor)?, reason)?)
        }
        Command::RefuseErasure { order, reason } => {
            (order.clone(), erasure::refuse(erasures.order(order)?, reason)?)
        }
        Command::StepErasure { order, step } => {
            let events = erasure::step(erasures.order(order)?, step)?;
            (order.clone(), (String::new(), events))
        }
        other => return Err(not_mine(other)),
    };
    let quiet = Decided::quiet(Stream::order(&order), events);
    Ok(Decided { purpose: Some(erasure::PURPOSE), reason, ..quiet })
}

fn account(actor: &Actor) -> Result<&PersonId, Refusal> {
    actor.account().ok_or_else(|| {
        Refusal::new(Code::RoleMissing, format!("{actor} is no account and decides on no request"))
    })
}
