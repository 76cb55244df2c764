//! The service `Estate`: what the log says exists, joined with what the sites report.

use custody::{CameraId, KeyId, SiteId};
use proto::v1;
use proto::v1::estate_server::Estate;
use tonic::{Request, Response, Status};

use super::door::{Door, name};
use super::{holds, logs};
use crate::access::{Act, Object};
use crate::fleet::Presence;
use crate::ledger::{Command, Event};
use crate::registry::SiteEntry;
use crate::registry::token::{EnrolmentToken, Secret};

/// Sites and cameras.
pub struct EstateService(pub Door);

const RECORDING: &str = "recording";
const UNKNOWN: &str = "unknown";

#[tonic::async_trait]
impl Estate for EstateService {
    async fn list_sites(
        &self,
        request: Request<v1::ListSitesRequest>,
    ) -> Result<Response<v1::ListSitesResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeEstate, Object::Estate).await?;
        let parts = self.0.parts();
        let presence = parts.fleet.presence();
        let sites = parts.ledger.read(|state| {
            let sites = state.registry.sites();
            sites.map(|(id, entry)| site(id, entry, presence.get(id))).collect()
        });
        Ok(Response::new(v1::ListSitesResponse {
            sites,
            alarms: logs::alarms(parts),
            hold_warnings: holds::warnings(parts),
        }))
    }

    async fn list_cameras(
        &self,
        request: Request<v1::ListCamerasRequest>,
    ) -> Result<Response<v1::ListCamerasResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeEstate, Object::Estate).await?;
        let of_site: Option<SiteId> = match request.get_ref().site.as_str() {
            "" => None,
            text => match name(text) {
                Ok(site) => Some(site),
                Err(refusal) => return Err(self.0.refuse(&actor, Act::SeeEstate, refusal).await),
            },
        };
        let parts = self.0.parts();
        let presence = parts.fleet.presence();
        let cameras = parts.ledger.read(|state| {
            let cameras = state.registry.cameras();
            cameras
                .filter(|(_, entry)| entry.is_recorded)
                .filter(|(id, _)| of_site.as_ref().is_none_or(|site| id.site() == site))
                .map(|(id, _)| camera(id, presence.get(id.site())))
                .collect()
        });
        Ok(Response::new(v1::ListCamerasResponse { cameras }))
    }

    async fn create_enrolment_token(
        &self,
        request: Request<v1::CreateEnrolmentTokenRequest>,
    ) -> Result<Response<v1::CreateEnrolmentTokenResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::CreateEnrolmentTokenRequest { site, lives_s } = request.into_inner();
        let site: SiteId = match name(&site) {
            Ok(site) => site,
            Err(refusal) => {
                return Err(self.0.refuse(&actor, Act::CreateEnrolmentToken, refusal).await);
            }
        };
        let secret = Secret::new();
        let secret_sha256 = secret.sha256();
        let create = Command::CreateEnrolmentToken { site: site.clone(), secret_sha256, lives_s };
        let events = self.0.send(actor, create).await?;
        let ends_us = events.iter().find_map(|event| match event {
            Event::EnrolmentTokenCreated(created) => Some(created.ends.0),
            _ => None,
        });
        let token = EnrolmentToken { site, secret, ca_sha256: self.0.parts().ca_sha256 };
        Ok(Response::new(v1::CreateEnrolmentTokenResponse {
            token: token.text().to_string(),
            ends_us: ends_us.unwrap_or_default(),
        }))
    }

    async fn revoke_site(
        &self,
        request: Request<v1::RevokeSiteRequest>,
    ) -> Result<Response<v1::RevokeSiteResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::RevokeSiteRequest { site, reason } = request.into_inner();
        let site = match name(&site) {
            Ok(site) => site,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::RevokeSite, refusal).await),
        };
        self.0.send(actor, Command::RevokeSite { site, reason }).await?;
        Ok(Response::new(v1::RevokeSiteResponse {}))
    }

    async fn revoke_key(
        &self,
        request: Request<v1::RevokeKeyRequest>,
    ) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::RevokeKeyRequest { site, key_id, reason } = request.into_inner();
        let key_id = KeyId(key_id);
        let named = name(&site).and_then(|site: SiteId| {
            let line = logs::line(self.0.parts(), &site, &key_id)?;
            Ok((site, line))
        });
        let (site, line) = match named {
            Ok(named) => named,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::RevokeKey, refusal).await),
        };
        let shown = v1::KeyLine { origin: line.origin.clone(), log_size: line.log_size };
        self.0.send(actor, Command::RevokeKey { site, key_id, lines: vec![line], reason }).await?;
        Ok(Response::new(v1::RevokeKeyResponse { lines: vec![shown] }))
    }

    async fn list_logs(
        &self,
        request: Request<v1::ListLogsRequest>,
    ) -> Result<Response<v1::ListLogsResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeLogs, Object::Estate).await?;
        let standing = self.0.parts().witnessing.standing();
        let logs = standing.into_iter().map(logs::log).collect();
        Ok(Response::new(v1::ListLogsResponse { logs }))
    }
}

fn site(id: &SiteId, entry: &SiteEntry, presence: Option<&Presence>) -> v1::Site {
    let is_connected = presence.is_some_and(|presence| presence.connected);
    let state = if entry.revoked {
        "revoked"
    } else if !entry.is_enrolled() {
        "never-seen"
    } else if is_connected {
        "connected"
    } else {
        "away"
    };
    let report = presence.and_then(|presence| presence.report.clone());
    let last_report_us = match (&report, presence) {
        (Some(_), Some(presence)) => presence.received.0,
        _ => 0,
    };
    let report = report.unwrap_or_default();
    let recording = report.cameras.iter().filter(|camera| camera.state == RECORDING).count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    v1::Site {
        site: id.to_string(),
        state: state.to_owned(),
        last_report_us,
        agent_version: report.agent_version,
        cameras: count(report.cameras.len()),
        cameras_recording: if is_connected { count(recording) } else { 0 },
        disc_free_bytes: report.disc_free_bytes,
        disc_total_bytes: report.disc_total_bytes,
        days_left: report.days_left,
        clock_offset_us: report.clock_offset_us,
        clock_uncertainty_us: report.clock_uncertainty_us,
        clock_disciplined: report.clock_disciplined,
        certificate_ends_us: entry.certificate_ends.0,
        log_size: report.log_size,
        log_copied: presence.map_or(0, |presence| presence.log_copied),
        holds: report.holds,
        segments: report.segments,
        stored_bytes: report.stored_bytes,
        masked_cameras: report.masked_cameras,
        masked_cameras_max: report.masked_cameras_max,
        mask_encoder: report.mask_encoder,
        log_alarm: logs::alarm(entry),
        held_bytes: report.held_bytes,
        hold_budget_bytes: report.hold_budget_bytes,
        alarms: report.alarms,
        forecast_shortfall_us: report.forecast_shortfall_us,
        lacking_bytes: report.lacking_bytes,
        early_erased: report.early_erased,
        early_erased_us: report.early_erased_us,
        late_erased: report.late_erased,
        late_erased_us: report.late_erased_us,
        damaged_segments: report.damaged_segments,
        scrubbed_until_us: report.scrubbed_until_us,
        scrub_begun_us: report.scrub_begun_us,
        scrub_pass_s: report.scrub_pass_s,
        second_state: report.second_state,
        second_free_bytes: report.second_free_bytes,
        second_total_bytes: report.second_total_bytes,
    }
}

fn camera(id: &CameraId, presence: Option<&Presence>) -> v1::Camera {
    let is_connected = presence.is_some_and(|presence| presence.connected);
    let name = id.to_string();
    let report = presence.and_then(|presence| presence.report.as_ref());
    let report = report.and_then(|report| report.cameras.iter().find(|c| c.camera == name));
    let Some(report) = report.cloned() else {
        return v1::Camera { camera: name, state: UNKNOWN.to_owned(), ..v1::Camera::default() };
    };
    v1::Camera {
        camera: name,
        state: if is_connected { report.state } else { UNKNOWN.to_owned() },
        last_frame_us: report.last_frame_us,
        frames_per_second: report.frames_per_second,
        kilobits_per_second: report.kilobits_per_second,
        oldest_footage_us: report.oldest_footage_us,
        codec: report.codec,
        width: report.width,
        height: report.height,
        mask_required: report.mask_required,
        mask_revision: report.mask_revision,
        lost_packets: report.lost_packets,
        camera_offset_ms: report.camera_offset_ms,
        detail: report.detail,
        place: report.place,
        gop_ms: report.gop_ms,
        drift_ppm: report.drift_ppm,
        retention_class: report.retention_class,
        floor_s: report.floor_s,
        ceiling_s: report.ceiling_s,
        oldest_unheld_us: report.oldest_unheld_us,
        days_on_hand: report.days_on_hand,
        day_kbps: report.day_kbps,
        hour_kbps: report.hour_kbps,
        expected_kbps: report.expected_kbps,
    }
}
