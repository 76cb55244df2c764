//! `people`.

use proto::v1::people_client::PeopleClient;
use proto::v1::{AddPersonRequest, ListPeopleRequest, SuspendPersonRequest};

use super::estate::done;
use crate::args::{Args, Output, PeopleCommand};
use crate::connect::connect;
use crate::failure::{Exit, Failure};
use crate::show;
use crate::show::estate::Person;

pub(super) async fn run(args: &Args, command: &PeopleCommand) -> Result<Exit, Failure> {
    let client = PeopleClient::new(connect(&args.controller).await?);
    let mut client = client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    match command {
        PeopleCommand::Add { person, roles } => {
            let request = AddPersonRequest { person: person.to_string(), roles: roles.clone() };
            let token = client.add_person(request).await?.into_inner().token;
            match args.output {
                Output::Table => show::print(&token)?,
                Output::Json => show::json(
                    &serde_json::json!({ "person": person.to_string(), "token": token }),
                )?,
            }
        }
        PeopleCommand::List => {
            let answer = client.list_people(ListPeopleRequest {}).await?.into_inner();
            let people: Vec<_> = answer.people.into_iter().map(Person::from).collect();
            show::list(args.output, &people)?;
        }
        PeopleCommand::Suspend { person, reason } => {
            let request =
                SuspendPersonRequest { person: person.to_string(), reason: reason.clone() };
            client.suspend_person(request).await?;
            done(args, &format!("{person} is suspended"))?;
        }
    }
    Ok(Exit::Done)
}
