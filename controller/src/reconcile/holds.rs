//! Places and ends holds at the sites.

use custody::HoldId;

use super::driver::Rest;
use super::memory::Memory;
use super::waiting::Reason;
use super::{Parts, Sites};
use crate::access::Actor;
use crate::evidence::hold::HoldStep;
use crate::evidence::{CaseState, HoldEntry, HoldState};
use crate::fleet::FleetError;
use crate::ledger::Command;

/// Does what the hold's state asks for, once.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, memory: &Memory, id: &HoldId) -> Rest {
    let Ok(hold) = parts.ledger.read(|state| state.evidence.hold(id).cloned()) else {
        return Rest::No;
    };
    let step = match hold.state {
        HoldState::Ordered => match parts.sites.place_hold(&hold).await {
            Ok(placed) => HoldStep::Placed { segments: placed.segments, erased: placed.erased },
            Err(FleetError::Refused { why, .. }) => HoldStep::Refused { why },
            Err(error @ (FleetError::Away { .. } | FleetError::Broken { .. })) => {
                return later(parts, memory, id, &Reason::site(&error, "place the hold"));
            }
        },
        HoldState::ReleaseOrdered => {
            match parts.sites.release_hold(hold.camera.site(), id).await {
                Ok(()) => HoldStep::Released,
                // A site that says no to a release keeps too much, never too little: ask again.
                Err(error) => {
                    return later(parts, memory, id, &Reason::site(&error, "end the hold"));
                }
            }
        }
        HoldState::Placed { .. } | HoldState::Refused { .. } | HoldState::Released => {
            return Rest::No;
        }
    };
    memory.set_hold(id, None);
    let command = Command::StepHold { hold: id.clone(), step };
    if let Err(refusal) = parts.ledger.send(Actor::Controller, command).await {
        // The hold moved on while the site was asked; the next pass sees how.
        tracing::debug!(hold = %id, %refusal, "a hold's step was refused");
    }
    Rest::No
}

/// Remembers why, and says so in the hold's case while that waits for its holds.
fn later<S>(parts: &Parts<S>, memory: &Memory, id: &HoldId, reason: &Reason) -> Rest {
    tracing::debug!(hold = %id, why = reason.what, "a hold waits");
    memory.set_hold(id, Some(reason.clone()));
    let waiting = parts.ledger.read(|state| {
        let case = state.evidence.hold(id).ok()?.case.clone()?;
        let is_waiting = state.evidence.case(&case).ok()?.state == CaseState::Approved;
        let is_open = |hold: &&HoldEntry| hold.state == HoldState::Ordered;
        let open = state.evidence.holds_of(&case).filter(is_open).map(|hold| hold.id.clone());
        let open: Vec<_> = open.collect();
        let all = state.evidence.holds_of(&case).count();
        is_waiting.then_some((case, open, all))
    });
    let Some((case, open, all)) = waiting else { return Rest::Needed };
    if let Some(first) = memory.first_reason(&open) {
        let reason = Reason::holds(open.len(), all, &first);
        parts.progress.set_detail(&case, &memory.waits(&case, &reason, parts.ledger.clock()));
    }
    Rest::Needed
}
