//! `audit`: the trail as it comes, a thousand entries to a table.

use proto::v1::ListAuditRequest;
use proto::v1::audit_client::AuditClient;

use crate::args::{Args, AuditArgs, Output};
use crate::connect::connect;
use crate::failure::{Exit, Failure};
use crate::show;
use crate::show::audit::Entry;
use crate::when;

/// Entries of one table: a trail may be longer than memory.
const TABLE_ROWS_MAX: usize = 1_000;

pub(super) async fn run(args: &Args, which: &AuditArgs) -> Result<Exit, Failure> {
    let client = AuditClient::new(connect(&args.controller).await?);
    let mut client = client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let now = when::now();
    let request = ListAuditRequest {
        case_ref: which.case.as_ref().map(ToString::to_string).unwrap_or_default(),
        actor: which.actor.clone().unwrap_or_default(),
        from_us: which.from.map_or(0, |from| from.at(now).0),
        to_us: which.to.map_or(0, |to| to.at(now).0),
    };
    let mut entries = client.list(request).await?.into_inner();
    let mut rows = Vec::new();
    while let Some(entry) = entries.message().await? {
        let entry = Entry::from(entry);
        if args.output == Output::Json {
            show::json_line(&entry)?;
            continue;
        }
        rows.push(entry);
        if rows.len() == TABLE_ROWS_MAX {
            show::list(args.output, &rows)?;
            rows.clear();
        }
    }
    if args.output == Output::Table {
        show::list(args.output, &rows)?;
    }
    Ok(Exit::Done)
}
