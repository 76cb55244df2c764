//! The two-person rule: nobody decides on what they asked for.

use custody::{PersonId, WallTime};

use super::case::{Case, CaseState};
use super::{hold, text};
use crate::access::{Code, Refusal};
use crate::log::Event;
use crate::log::event::cases::{CaseApproved, CaseRefused};

/// Decides to approve a request: the case goes on, and its footage is to be held.
///
/// # Errors
/// `own-request`, `case-state`, `reason-missing`, `text-too-long`.
pub fn approve(
    case: &Case,
    by: &PersonId,
    reason: &str,
    now: WallTime,
) -> Result<(String, Vec<Event>), Refusal> {
    check(case, by, "approved")?;
    let reason = text::reason(reason)?;
    let mut events = vec![Event::CaseApproved(CaseApproved { case: case.id.clone() })];
    events.extend(hold::order_for_case(case, now)?);
    Ok((reason, events))
}

/// Decides to refuse a request.
///
/// # Errors
/// `own-request`, `case-state`, `reason-missing`, `text-too-long`.
pub fn refuse(case: &Case, by: &PersonId, reason: &str) -> Result<(String, Vec<Event>), Refusal> {
    check(case, by, "refused")?;
    let reason = text::reason(reason)?;
    Ok((reason, vec![Event::CaseRefused(CaseRefused { case: case.id.clone() })]))
}

fn check(case: &Case, by: &PersonId, done: &str) -> Result<(), Refusal> {
    if case.requested_by == *by {
        return Err(Refusal::new(
            Code::OwnRequest,
            format!(
                "{by} asked for {} and so cannot decide on it: ask another authoriser",
                case.id
            ),
        ));
    }
    match case.state {
        CaseState::Requested => Ok(()),
        CaseState::Approved
        | CaseState::Refused
        | CaseState::Held
        | CaseState::Pulling { .. }
        | CaseState::Bundled(_)
        | CaseState::Failed { .. } => Err(Refusal::new(
            Code::CaseState,
            format!(
                "{} is {} and can no longer be {done}: look at the case",
                case.id,
                case.state.as_str()
            ),
        )),
    }
}
