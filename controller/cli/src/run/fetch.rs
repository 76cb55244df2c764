//! `evidence fetch`: a bundle into a folder, and checked if a key is given.

use std::path::Path;

use custody::CaseId;
use proto::v1::FetchRequest;
use proto::v1::evidence_client::EvidenceClient;

use super::evidence::bar;
use super::verify;
use crate::args::Output;
use crate::connect::Connection;
use crate::failure::{Exit, Failure};
use crate::receive::Arrival;
use crate::show;

pub(super) async fn run(
    output: Output,
    client: &mut EvidenceClient<Connection>,
    case: &CaseId,
    to: &Path,
    key: Option<&Path>,
) -> Result<Exit, Failure> {
    // Both before anything is fetched: a fetch is logged as a disclosure.
    let key = key.map(verify::read_key).transpose()?;
    let mut arrival = Arrival::begin(to)?;
    let request = FetchRequest { case_ref: case.to_string() };
    let mut pieces = client.fetch(request).await?.into_inner();
    let bar = bar();
    while let Some(piece) = pieces.message().await? {
        bar.set_length(piece.bundle_bytes);
        bar.set_position(arrival.take(&piece)?);
    }
    let bytes = arrival.finish()?;
    bar.finish_and_clear();
    if let Some(key) = key {
        return verify::check(output, to, &key);
    }
    match output {
        Output::Table => {
            let size = show::size_text(bytes);
            show::print(&format!(
                "{case} is in {}, {size}, not yet checked: watchhouse verify {} --key FILE",
                to.display(),
                to.display()
            ))?;
        }
        Output::Json => show::json(&serde_json::json!({
            "case": case.to_string(), "folder": to.to_string_lossy(), "bytes": bytes,
        }))?,
    }
    Ok(Exit::Done)
}
