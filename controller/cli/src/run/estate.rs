//! `sites`, `site`, `cameras`, `logs`, `health`.

use custody::SiteId;
use proto::v1::estate_client::EstateClient;
use proto::v1::{
    CreateEnrolmentTokenRequest, ListCamerasRequest, ListLogsRequest, ListSitesRequest,
    RevokeKeyRequest, RevokeSiteRequest,
};
use serde::Serialize;

use crate::args::{Args, Output, SiteCommand};
use crate::connect::{Connection, connect};
use crate::failure::{Exit, Failure};
use crate::show::estate::{Camera, Site};
use crate::show::health::{health as findings, hold_findings};
use crate::show::logs::Log;
use crate::{show, when};

/// An enrolment token, shown once.
#[derive(Serialize)]
struct EnrolToken {
    site: String,
    token: String,
    ends: Option<custody::WallTime>,
}

async fn client(args: &Args) -> Result<EstateClient<Connection>, Failure> {
    let client = EstateClient::new(connect(&args.controller).await?);
    Ok(client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX))
}

async fn list_sites(client: &mut EstateClient<Connection>) -> Result<Vec<Site>, Failure> {
    let answer = client.list_sites(ListSitesRequest {}).await?.into_inner();
    Ok(answer.sites.into_iter().map(Site::from).collect())
}

async fn list_cameras(
    client: &mut EstateClient<Connection>,
    site: String,
) -> Result<Vec<Camera>, Failure> {
    let answer = client.list_cameras(ListCamerasRequest { site }).await?.into_inner();
    Ok(answer.cameras.into_iter().map(Camera::from).collect())
}

pub(super) async fn sites(args: &Args) -> Result<Exit, Failure> {
    let sites = list_sites(&mut client(args).await?).await?;
    show::list(args.output, &sites)?;
    Ok(Exit::Done)
}

pub(super) async fn cameras(args: &Args, site: Option<&SiteId>) -> Result<Exit, Failure> {
    let site = site.map(ToString::to_string).unwrap_or_default();
    let cameras = list_cameras(&mut client(args).await?, site).await?;
    show::list(args.output, &cameras)?;
    Ok(Exit::Done)
}

pub(super) async fn logs(args: &Args) -> Result<Exit, Failure> {
    let answer = client(args).await?.list_logs(ListLogsRequest {}).await?.into_inner();
    let logs: Vec<Log> = answer.logs.into_iter().map(Log::from).collect();
    show::list(args.output, &logs)?;
    Ok(Exit::Done)
}

pub(super) async fn health(args: &Args) -> Result<Exit, Failure> {
    let mut client = client(args).await?;
    let answer = client.list_sites(ListSitesRequest {}).await?.into_inner();
    let sites: Vec<Site> = answer.sites.into_iter().map(Site::from).collect();
    let cameras = list_cameras(&mut client, String::new()).await?;
    let mut found = findings(&sites, &cameras, &answer.alarms, when::now());
    found.extend(hold_findings(&answer.hold_warnings));
    found.sort();
    show::list(args.output, &found)?;
    Ok(if found.iter().all(|finding| finding.ok) { Exit::Done } else { Exit::Unhealthy })
}

pub(super) async fn site(args: &Args, command: &SiteCommand) -> Result<Exit, Failure> {
    let mut client = client(args).await?;
    match command {
        SiteCommand::EnrolToken { site, hours } => {
            let request = CreateEnrolmentTokenRequest {
                site: site.to_string(),
                lives_s: hours.saturating_mul(3_600),
            };
            let answer = client.create_enrolment_token(request).await?.into_inner();
            match args.output {
                // The token alone, so that it can be written to the recorder's file as it is.
                Output::Table => show::print(&answer.token)?,
                Output::Json => show::json(&EnrolToken {
                    site: site.to_string(),
                    token: answer.token,
                    ends: show::time(answer.ends_us),
                })?,
            }
        }
        SiteCommand::RevokeKey { site, key, reason } => {
            let request = RevokeKeyRequest {
                site: site.to_string(),
                key_id: key.clone(),
                reason: reason.clone(),
            };
            let lines = client.revoke_key(request).await?.into_inner().lines;
            let lines = lines.iter().map(|line| match line.origin.as_str() {
                "" => "nothing".to_owned(),
                origin => format!("what stands below {} in {origin}", line.log_size),
            });
            let believed = lines.collect::<Vec<_>>().join(" and ");
            done(args, &format!("key {key} of {site} is revoked; still believed: {believed}"))?;
        }
        SiteCommand::Revoke { site, reason } => {
            let request = RevokeSiteRequest { site: site.to_string(), reason: reason.clone() };
            client.revoke_site(request).await?;
            done(args, &format!("{site} is revoked"))?;
        }
    }
    Ok(Exit::Done)
}

/// Says what was done; for programs, an object that says nothing more.
pub(super) fn done(args: &Args, what: &str) -> Result<(), Failure> {
    match args.output {
        Output::Table => show::print(what),
        Output::Json => show::json(&serde_json::json!({ "done": true })),
    }
}
