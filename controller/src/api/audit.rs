//! The service `Audit`: the event log as it stands. Reading it is itself an entry.

use custody::CaseId;
use proto::v1;
use proto::v1::audit_server::Audit;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::door::{Door, name};
use super::{convert, status};
use crate::access::Act;
use crate::ledger::{Command, Ledger};
use crate::limits;
use crate::log::Stored;
use crate::log::event::audit::AuditRead;

/// The audit trail.
pub struct AuditService(pub Door);

/// What is asked for.
struct Filter {
    case: Option<CaseId>,
    actor: String,
    from_us: i64,
    to_us: i64,
}

impl Filter {
    fn fits(&self, stored: &Stored) -> bool {
        self.case.as_ref().is_none_or(|case| stored.body.case() == Some(case))
            && (self.actor.is_empty() || stored.actor.to_string() == self.actor)
            && stored.at.0 >= self.from_us
            && (self.to_us == 0 || stored.at.0 < self.to_us)
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    type ListStream = ReceiverStream<Result<v1::AuditEntry, Status>>;

    async fn list(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::ListAuditRequest { case_ref, actor: of_actor, from_us, to_us } =
            request.into_inner();
        let case = match case_ref.as_str() {
            "" => None,
            text => match name(text) {
                Ok(case) => Some(case),
                Err(refusal) => return Err(self.0.refuse(&actor, Act::ReadAudit, refusal).await),
            },
        };
        let of_actor: String = of_actor.chars().take(limits::TEXT_CHARS_MAX).collect();
        let read = AuditRead { case: case.clone(), of_actor: of_actor.clone() };
        self.0.send(actor, Command::ReadAudit(read)).await?;
        let filter = Filter { case, actor: of_actor, from_us, to_us };
        let parts = self.0.parts();
        // Up to and with the entry that says who reads; what comes after is another reading's.
        let end = parts.ledger.read(crate::ledger::State::head);
        let (send, receive) = mpsc::channel(limits::AUDIT_WAITING);
        let (ledger, tasks) = (parts.ledger.clone(), parts.tasks.clone());
        parts.tasks.spawn("read audit", async move {
            tokio::select! {
                () = send_entries(ledger, filter, end, &send) => {}
                () = tasks.stopping() => drop(send.send(Err(status::stopping())).await),
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

async fn send_entries(
    ledger: Ledger,
    filter: Filter,
    end: u64,
    send: &mpsc::Sender<Result<v1::AuditEntry, Status>>,
) {
    let mut from = 0;
    while from < end {
        let page = {
            let ledger = ledger.clone();
            tokio::task::spawn_blocking(move || ledger.entries(from, limits::READ_ENTRIES)).await
        };
        let entries = match page {
            Ok(Ok(entries)) => entries,
            Ok(Err(refusal)) => return drop(send.send(Err(status::of(&refusal))).await),
            Err(_) => return drop(send.send(Err(status::stopping())).await),
        };
        let Some(last) = entries.last() else { return };
        from = last.position + 1;
        for stored in entries.iter().filter(|e| e.position < end && filter.fits(e)) {
            if send.send(Ok(convert::audit_entry(stored))).await.is_err() {
                return;
            }
        }
    }
}
