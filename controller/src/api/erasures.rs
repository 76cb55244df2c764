//! The service `Erasures`.

use custody::coverage::Span;
use custody::{OrderId, WallTime};
use proto::v1;
use proto::v1::erasures_server::Erasures;
use tonic::{Request, Response, Status};

use super::door::{Door, name};
use super::status;
use crate::access::{Act, Object, Refusal};
use crate::erasure::{ErasureEntry, ErasureOrder, ErasureState};
use crate::ledger::{Command, Event};

/// Footage erased before its time.
pub struct ErasuresService(pub Door);

impl ErasuresService {
    async fn decide(
        &self,
        request: Request<v1::DecideErasureRequest>,
        act: Act,
        command: impl FnOnce(OrderId, String) -> Command,
    ) -> Result<Response<v1::Erasure>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::DecideErasureRequest { order, reason } = request.into_inner();
        let order: OrderId = match name(&order) {
            Ok(order) => order,
            Err(refusal) => return Err(self.0.refuse(&actor, act, refusal).await),
        };
        self.0.send(actor, command(order.clone(), reason)).await?;
        self.now(&order)
    }

    fn now(&self, id: &OrderId) -> Result<Response<v1::Erasure>, Status> {
        let parts = self.0.parts();
        let entry = parts.ledger.read(|state| state.erasures.order(id).cloned());
        let entry = entry.map_err(|refusal| status::of(&refusal))?;
        Ok(Response::new(wire(&entry, parts.progress.order(id))))
    }
}

fn read(wire: &v1::OrderErasureRequest) -> Result<ErasureOrder, Refusal> {
    Ok(ErasureOrder {
        camera: name(&wire.camera)?,
        span: Span { from: WallTime(wire.from_us), to: WallTime(wire.to_us) },
        reason: wire.reason.clone(),
    })
}

fn wire(entry: &ErasureEntry, waits: Option<String>) -> v1::Erasure {
    let mut wire = v1::Erasure {
        order: entry.id.to_string(),
        state: entry.state.as_str().to_owned(),
        camera: entry.camera.to_string(),
        from_us: entry.span.from.0,
        to_us: entry.span.to.0,
        reason: entry.reason.clone(),
        ordered_by: entry.ordered_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        ordered_us: entry.ordered_at.0,
        ..v1::Erasure::default()
    };
    if let Some(decision) = &entry.decision {
        wire.decided_by = decision.by.to_string();
        wire.decided_us = decision.at.0;
        wire.decision_reason.clone_from(&decision.reason);
    }
    match &entry.state {
        ErasureState::Ordered => "waits for a second person".clone_into(&mut wire.detail),
        ErasureState::Approved => {
            wire.detail = waits.unwrap_or_else(|| "the site is being asked".to_owned());
        }
        ErasureState::Refused => wire.detail.clone_from(&wire.decision_reason),
        ErasureState::Erased { at, segments } => {
            wire.erased_us = at.0;
            wire.segments = *segments;
        }
    }
    wire
}

#[tonic::async_trait]
impl Erasures for ErasuresService {
    async fn order(
        &self,
        request: Request<v1::OrderErasureRequest>,
    ) -> Result<Response<v1::Erasure>, Status> {
        let actor = self.0.actor(&request).await?;
        let order = match read(request.get_ref()) {
            Ok(order) => order,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::OrderErasure, refusal).await),
        };
        let events = self.0.send(actor, Command::OrderErasure(order)).await?;
        let ordered = events.iter().find_map(|event| match event {
            Event::ErasureOrdered(ordered) => Some(&ordered.order),
            _ => None,
        });
        self.now(ordered.ok_or_else(|| Status::internal("an order made no order"))?)
    }

    async fn approve(
        &self,
        request: Request<v1::DecideErasureRequest>,
    ) -> Result<Response<v1::Erasure>, Status> {
        let command = |order, reason| Command::ApproveErasure { order, reason };
        self.decide(request, Act::ApproveErasure, command).await
    }

    async fn refuse(
        &self,
        request: Request<v1::DecideErasureRequest>,
    ) -> Result<Response<v1::Erasure>, Status> {
        let command = |order, reason| Command::RefuseErasure { order, reason };
        self.decide(request, Act::RefuseErasure, command).await
    }

    async fn list(
        &self,
        request: Request<v1::ListErasuresRequest>,
    ) -> Result<Response<v1::ListErasuresResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeErasures, Object::Estate).await?;
        let parts = self.0.parts();
        let entries: Vec<_> = parts.ledger.read(|state| state.erasures.orders().cloned().collect());
        let erasures =
            entries.iter().map(|entry| wire(entry, parts.progress.order(&entry.id))).collect();
        Ok(Response::new(v1::ListErasuresResponse { erasures }))
    }
}
