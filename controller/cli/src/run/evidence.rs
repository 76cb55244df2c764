//! `evidence`: from a request to a bundle.

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1::evidence_client::EvidenceClient;
use proto::v1::{
    ApproveRequest, GetCaseRequest, ListCasesRequest, RefuseRequest, RequestEvidenceRequest,
};

use super::fetch;
use crate::args::{Args, EvidenceCommand, Output, RequestArgs};
use crate::connect::{Connection, connect};
use crate::failure::{Exit, Failure, printable};
use crate::show;
use crate::show::cases::Case;
use crate::when;

pub(super) async fn run(args: &Args, command: &EvidenceCommand) -> Result<Exit, Failure> {
    let client = EvidenceClient::new(connect(&args.controller).await?);
    let mut client = client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let case_ref = |case: &custody::CaseId| case.to_string();
    let case = match command {
        EvidenceCommand::Request(request) => client.request(ordered(request)?).await?,
        EvidenceCommand::Approve { case, reason } => {
            let request = ApproveRequest { case_ref: case_ref(case), reason: reason.clone() };
            client.approve(request).await?
        }
        EvidenceCommand::Refuse { case, reason } => {
            let request = RefuseRequest { case_ref: case_ref(case), reason: reason.clone() };
            client.refuse(request).await?
        }
        EvidenceCommand::Show { case } => {
            client.get(GetCaseRequest { case_ref: case_ref(case) }).await?
        }
        EvidenceCommand::List => {
            let answer = client.list(ListCasesRequest {}).await?.into_inner();
            let cases: Vec<_> = answer.cases.into_iter().map(Case::from).collect();
            show::list(args.output, &cases)?;
            return Ok(Exit::Done);
        }
        EvidenceCommand::Watch { case } => {
            return watch(args.output, &mut client, case_ref(case)).await;
        }
        EvidenceCommand::Fetch { case, to, recipients, key } => {
            let wish = fetch::Wish { case, to, recipients, key: key.as_deref() };
            return fetch::run(args.output, &mut client, &wish).await;
        }
    };
    let case = Case::from(case.into_inner());
    show::one(args.output, &case, &case.fields())?;
    Ok(Exit::Done)
}

fn ordered(request: &RequestArgs) -> Result<RequestEvidenceRequest, Failure> {
    let now = when::now();
    let (from, to) = (request.from.at(now), request.to.at(now));
    if from >= to {
        return Err(Failure::usage(
            format!("the interval {from} to {to} is empty"),
            "give a --from that is before --to",
        ));
    }
    Ok(RequestEvidenceRequest {
        cameras: request.cameras.iter().map(ToString::to_string).collect(),
        from_us: from.0,
        to_us: to.0,
        purpose: request.purpose.as_str().to_owned(),
        reason: request.reason.clone(),
        crime_reference: request.crime_reference.clone(),
    })
}

/// Follows a case; in a terminal as a bar, for programs as a line of JSON each time it changes.
async fn watch(
    output: Output,
    client: &mut EvidenceClient<Connection>,
    case_ref: String,
) -> Result<Exit, Failure> {
    let mut changes = client.watch(GetCaseRequest { case_ref }).await?.into_inner();
    let bar = bar();
    let mut last = None;
    while let Some(case) = changes.message().await? {
        let case = Case::from(case);
        if output == Output::Json {
            show::json_line(&case)?;
        } else {
            bar.set_length(case.bytes_to_pull);
            bar.set_position(case.bytes_pulled);
            let detail = case.detail.as_deref().unwrap_or_default();
            bar.set_message(printable(&format!("{} {detail}", case.state)));
        }
        let over = case.is_over();
        last = Some(case);
        if over {
            break;
        }
    }
    bar.finish_and_clear();
    let last = last.filter(Case::is_over).ok_or_else(|| {
        Failure::away("the controller ended the stream before the case was over", "watch again")
    })?;
    if output == Output::Table {
        show::one(output, &last, &last.fields())?;
    }
    Ok(if last.state == "bundled" { Exit::Done } else { Exit::Refused })
}

/// A bar on standard error; invisible when that is no terminal.
pub(super) fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {wide_msg}",
    );
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
