//! The service `People`.

use custody::PersonId;
use proto::v1;
use proto::v1::people_server::People;
use tonic::{Request, Response, Status};

use super::convert;
use super::door::{Door, name};
use crate::access::{Act, Object};
use crate::ledger::Command;
use crate::registry::token;

/// Accounts.
pub struct PeopleService(pub Door);

#[tonic::async_trait]
impl People for PeopleService {
    async fn add_person(
        &self,
        request: Request<v1::AddPersonRequest>,
    ) -> Result<Response<v1::AddPersonResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::AddPersonRequest { person, roles } = request.into_inner();
        let read = name::<PersonId>(&person)
            .and_then(|person| convert::roles(&roles).map(|roles| (person, roles)));
        let (person, roles) = match read {
            Ok(read) => read,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::AddPerson, refusal).await),
        };
        let bearer = token::new_bearer();
        let token_sha256 = token::bearer_sha256(&bearer);
        self.0.send(actor, Command::AddPerson { person, roles, token_sha256 }).await?;
        Ok(Response::new(v1::AddPersonResponse { token: bearer.to_string() }))
    }

    async fn list_people(
        &self,
        request: Request<v1::ListPeopleRequest>,
    ) -> Result<Response<v1::ListPeopleResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeePeople, Object::Estate).await?;
        let people = self.0.parts().ledger.read(|state| {
            state.registry.accounts().map(|(name, entry)| convert::person(name, entry)).collect()
        });
        Ok(Response::new(v1::ListPeopleResponse { people }))
    }

    async fn suspend_person(
        &self,
        request: Request<v1::SuspendPersonRequest>,
    ) -> Result<Response<v1::SuspendPersonResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::SuspendPersonRequest { person, reason } = request.into_inner();
        let person = match name(&person) {
            Ok(person) => person,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::SuspendPerson, refusal).await),
        };
        self.0.send(actor, Command::SuspendPerson { person, reason }).await?;
        Ok(Response::new(v1::SuspendPersonResponse {}))
    }
}
