//! The service `Evidence`.

use custody::CaseId;
use proto::v1;
use proto::v1::evidence_server::Evidence;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::door::{Door, name};
use super::{convert, fetch, status};
use crate::access::{Act, Actor, Object};
use crate::ledger::Command;

/// Cases: from request to bundle.
pub struct EvidenceService(pub Door);

/// Changes ready before the client takes them. A slow client misses none: it sees the latest.
const CHANGES_WAITING: usize = 1;

impl EvidenceService {
    fn now(&self, id: &CaseId) -> Result<v1::Case, Status> {
        let parts = self.0.parts();
        let case = parts.ledger.read(|state| state.evidence.case(id).cloned());
        let case = case.map_err(|refusal| status::of(&refusal))?;
        Ok(convert::case(&case, parts.progress.of(id)))
    }

    async fn case_of(&self, actor: &Actor, act: Act, text: &str) -> Result<CaseId, Status> {
        match name(text) {
            Ok(case) => Ok(case),
            Err(refusal) => Err(self.0.refuse(actor, act, refusal).await),
        }
    }

    async fn may_see(&self, actor: &Actor, case: &CaseId) -> Result<(), Status> {
        let asked_by = self
            .0
            .parts()
            .ledger
            .read(|state| state.evidence.case(case).ok().map(|case| case.requested_by.clone()));
        self.0.permit(actor, Act::SeeCase, Object::Case(case, asked_by.as_ref())).await
    }
}

#[tonic::async_trait]
impl Evidence for EvidenceService {
    async fn request(
        &self,
        request: Request<v1::RequestEvidenceRequest>,
    ) -> Result<Response<v1::Case>, Status> {
        let actor = self.0.actor(&request).await?;
        let order = match convert::request_order(request.get_ref()) {
            Ok(order) => order,
            Err(refusal) => {
                return Err(self.0.refuse(&actor, Act::RequestEvidence, refusal).await);
            }
        };
        let events = self.0.send(actor, Command::RequestEvidence(order)).await?;
        let case = events.iter().find_map(|event| event.case().cloned());
        let case = case.ok_or_else(|| Status::internal("a request made no case"))?;
        Ok(Response::new(self.now(&case)?))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::Case>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::ApproveRequest { case_ref, reason } = request.into_inner();
        let case = self.case_of(&actor, Act::ApproveCase, &case_ref).await?;
        self.0.send(actor, Command::ApproveCase { case: case.clone(), reason }).await?;
        Ok(Response::new(self.now(&case)?))
    }

    async fn refuse(
        &self,
        request: Request<v1::RefuseRequest>,
    ) -> Result<Response<v1::Case>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::RefuseRequest { case_ref, reason } = request.into_inner();
        let case = self.case_of(&actor, Act::RefuseCase, &case_ref).await?;
        self.0.send(actor, Command::RefuseCase { case: case.clone(), reason }).await?;
        Ok(Response::new(self.now(&case)?))
    }

    async fn list(
        &self,
        request: Request<v1::ListCasesRequest>,
    ) -> Result<Response<v1::ListCasesResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeCase, Object::Estate).await?;
        let parts = self.0.parts();
        let cases: Vec<_> = parts.ledger.read(|state| {
            let principal = state.registry.principal(&actor);
            let may_see = |case: &&crate::evidence::Case| {
                let object = Object::Case(&case.id, Some(&case.requested_by));
                crate::access::decide(&principal, Act::SeeCase, object).is_ok()
            };
            state.evidence.cases().filter(may_see).cloned().collect()
        });
        let cases = cases.iter().map(|case| convert::case(case, parts.progress.of(&case.id)));
        Ok(Response::new(v1::ListCasesResponse { cases: cases.collect() }))
    }

    async fn get(
        &self,
        request: Request<v1::GetCaseRequest>,
    ) -> Result<Response<v1::Case>, Status> {
        let actor = self.0.actor(&request).await?;
        let case = self.case_of(&actor, Act::SeeCase, &request.get_ref().case_ref).await?;
        self.may_see(&actor, &case).await?;
        Ok(Response::new(self.now(&case)?))
    }

    type WatchStream = ReceiverStream<Result<v1::Case, Status>>;

    async fn watch(
        &self,
        request: Request<v1::GetCaseRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let actor = self.0.actor(&request).await?;
        let case = self.case_of(&actor, Act::SeeCase, &request.get_ref().case_ref).await?;
        self.may_see(&actor, &case).await?;
        self.now(&case)?;
        let (send, receive) = mpsc::channel(CHANGES_WAITING);
        let watcher = Self(self.0.clone());
        self.0.parts().tasks.spawn("watch case", async move {
            watcher.follow(&actor, &case, send).await;
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    type FetchStream = fetch::Pieces;

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let actor = self.0.actor(&request).await?;
        let case = self.case_of(&actor, Act::FetchBundle, &request.get_ref().case_ref).await?;
        // Logged as a disclosure before the first byte goes.
        self.0.send(actor, Command::FetchBundle { case: case.clone() }).await?;
        Ok(Response::new(fetch::send(self.0.parts(), &case).await?))
    }
}

impl EvidenceService {
    /// Sends the case now, and each time it has changed, until nothing more will change.
    async fn follow(
        &self,
        actor: &Actor,
        id: &CaseId,
        send: mpsc::Sender<Result<v1::Case, Status>>,
    ) {
        let parts = self.0.parts();
        let (mut log, mut progress) = (parts.ledger.watch(), parts.progress.watch());
        let mut last = None;
        loop {
            log.mark_unchanged();
            progress.mark_unchanged();
            let now = match self.may_see(actor, id).await {
                Ok(()) => self.now(id),
                Err(status) => Err(status),
            };
            let is_last = now.is_err()
                || parts.ledger.read(|state| {
                    state.evidence.case(id).map_or(true, |case| case.state.is_final())
                });
            if last.as_ref() != now.as_ref().ok() || now.is_err() {
                last = now.as_ref().ok().cloned();
                if send.send(now).await.is_err() {
                    return;
                }
            }
            // A state read before the last change would end the stream too early.
            if is_last && log.has_changed().is_ok_and(|changed| !changed) {
                return;
            }
            tokio::select! {
                moved = log.changed() => if moved.is_err() { return },
                moved = progress.changed() => if moved.is_err() { return },
                () = send.closed() => return,
                () = parts.tasks.stopping() => {
                    // Whether the client still listens does not matter any more.
                    drop(send.send(Err(status::stopping())).await);
                    return;
                }
            }
        }
    }
}
