//! The service `Holds`.

use custody::HoldId;
use proto::v1;
use proto::v1::holds_server::Holds;
use tonic::{Request, Response, Status};

use super::door::{Door, name};
use super::{convert, status};
use crate::access::{Act, Object};
use crate::evidence::HoldState;
use crate::ledger::{Command, Event};

/// Footage kept beyond its time.
pub struct HoldsService(pub Door);

impl HoldsService {
    fn now(&self, id: &HoldId) -> Result<Response<v1::Hold>, Status> {
        let hold = self.0.parts().ledger.read(|state| state.evidence.hold(id).map(convert::hold));
        hold.map(Response::new).map_err(|refusal| status::of(&refusal))
    }
}

#[tonic::async_trait]
impl Holds for HoldsService {
    async fn place(
        &self,
        request: Request<v1::PlaceHoldOrder>,
    ) -> Result<Response<v1::Hold>, Status> {
        let actor = self.0.actor(&request).await?;
        let order = match convert::hold_order(request.get_ref()) {
            Ok(order) => order,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::PlaceHold, refusal).await),
        };
        let events = self.0.send(actor, Command::PlaceHold(order)).await?;
        let ordered = events.iter().find_map(|event| match event {
            Event::HoldOrdered(ordered) => Some(&ordered.hold),
            _ => None,
        });
        self.now(ordered.ok_or_else(|| Status::internal("an order made no hold"))?)
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseHoldOrder>,
    ) -> Result<Response<v1::Hold>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::ReleaseHoldOrder { hold, reason } = request.into_inner();
        let hold: HoldId = match name(&hold) {
            Ok(hold) => hold,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::ReleaseHold, refusal).await),
        };
        self.0.send(actor, Command::ReleaseHold { hold: hold.clone(), reason }).await?;
        self.now(&hold)
    }

    async fn list(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeHolds, Object::Estate).await?;
        let with_released = request.get_ref().with_released;
        let holds = self.0.parts().ledger.read(|state| {
            let holds = state.evidence.holds();
            let shown = holds.filter(|hold| with_released || hold.state != HoldState::Released);
            shown.map(convert::hold).collect()
        });
        Ok(Response::new(v1::ListHoldsResponse { holds }))
    }
}
