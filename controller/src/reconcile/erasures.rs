//! Has the sites erase what two people ordered.

use custody::OrderId;

use super::driver::Rest;
use super::waiting::Reason;
use super::{Parts, Sites};
use crate::access::Actor;
use crate::erasure::{ErasureState, ErasureStep};
use crate::fleet::{ErasedFootage, FleetError};
use crate::ledger::Command;

/// Asks the site to go on with an approved order, once.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, id: &OrderId) -> Rest {
    let Ok(entry) = parts.ledger.read(|state| state.erasures.order(id).cloned()) else {
        return Rest::No;
    };
    if entry.state != ErasureState::Approved {
        parts.progress.set_order(id, None);
        return Rest::No;
    }
    let site = entry.camera.site();
    let step = match parts.sites.erase_footage(id, &entry.camera, entry.span).await {
        Ok(ErasedFootage::Done { segments }) => ErasureStep::Erased { segments },
        Ok(ErasedFootage::Held { holds }) => ErasureStep::Refused {
            why: format!("site {site} holds some of it for {}", holds.join(", ")),
        },
        Err(FleetError::Refused { why, .. }) => ErasureStep::Refused { why },
        Ok(ErasedFootage::Recording) => {
            let what = "the footage's hour is being recorded; it goes when that hour is over";
            parts.progress.set_order(id, Some(what));
            return Rest::Needed;
        }
        Ok(ErasedFootage::KeysRemain) => {
            let what = "the footage is unlinked; its hour's key changes within minutes";
            parts.progress.set_order(id, Some(what));
            return Rest::Needed;
        }
        Err(error @ (FleetError::Away { .. } | FleetError::Broken { .. })) => {
            let reason = Reason::site(&error, "erase the footage");
            tracing::debug!(order = %id, why = reason.what, "an erasure waits");
            parts.progress.set_order(id, Some(&reason.what));
            return Rest::Needed;
        }
    };
    parts.progress.set_order(id, None);
    let command = Command::StepErasure { order: id.clone(), step };
    if let Err(refusal) = parts.ledger.send(Actor::Controller, command).await {
        tracing::debug!(order = %id, %refusal, "an erasure's step was refused");
    }
    Rest::No
}
