//! Places and ends holds at the sites.

use custody::HoldId;

use super::driver::Rest;
use super::{Parts, Sites};
use crate::access::Actor;
use crate::evidence::HoldState;
use crate::evidence::hold::HoldStep;
use crate::fleet::FleetError;
use crate::ledger::Command;

/// Does what the hold's state asks for, once.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, id: &HoldId) -> Rest {
    let Ok(hold) = parts.ledger.read(|state| state.evidence.hold(id).cloned()) else {
        return Rest::No;
    };
    let step = match hold.state {
        HoldState::Ordered => {
            let case = hold.case_or_own_name();
            match parts.sites.place_hold(id, &case, &hold.camera, hold.span).await {
                Ok(placed) => HoldStep::Placed { segments: placed.segments },
                Err(FleetError::Refused { why, .. }) => HoldStep::Refused { why },
                Err(error @ (FleetError::Away { .. } | FleetError::Broken { .. })) => {
                    return later(parts, id, &error);
                }
            }
        }
        HoldState::ReleaseOrdered => {
            match parts.sites.release_hold(hold.camera.site(), id).await {
                Ok(()) => HoldStep::Released,
                // A site that says no to a release keeps too much, never too little: ask again.
                Err(error) => return later(parts, id, &error),
            }
        }
        HoldState::Placed { .. } | HoldState::Refused { .. } | HoldState::Released => {
            return Rest::No;
        }
    };
    let command = Command::StepHold { hold: id.clone(), step };
    if let Err(refusal) = parts.ledger.send(Actor::Controller, command).await {
        // The hold moved on while the site was asked; the next pass sees how.
        tracing::debug!(hold = %id, %refusal, "a hold's step was refused");
    }
    Rest::No
}

fn later<S>(parts: &Parts<S>, id: &HoldId, error: &FleetError) -> Rest {
    tracing::debug!(hold = %id, %error, "a hold waits");
    let case = parts.ledger.read(|state| {
        let hold = state.evidence.hold(id).ok()?;
        let case = state.evidence.case(hold.case.as_ref()?).ok()?;
        case.state.is_under_way().then(|| case.id.clone())
    });
    if let Some(case) = case {
        parts.progress.set_detail(&case, &error.to_string());
    }
    Rest::Needed
}
