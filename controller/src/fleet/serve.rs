//! The gRPC service `Fleet`: what agents ask of the controller.

use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::record::Record;
use custody::{CameraId, Digest, PublicKey, SiteId};
use proto::v1::fleet_server::Fleet as FleetRpc;
use proto::v1::{
    EnrolRequest, EnrolResponse, RenewRequest, RenewResponse, ReportResponse, SiteReport,
    SubmitRecordsRequest, SubmitRecordsResponse,
};
use tonic::{Request, Response, Status};

use super::Fleet;
use super::session::{Peer, submit};
use crate::ledger::{Actor, Command};
use crate::pki::Issued;

/// No site reports more cameras.
const CAMERAS_MAX: usize = 2_000;

pub(super) struct FleetService(Fleet);

impl FleetService {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self(fleet)
    }

    fn site<T>(request: &Request<T>) -> Result<SiteId, Status> {
        request.extensions().get::<Peer>().and_then(|peer| peer.site.clone()).ok_or_else(|| {
            Status::unauthenticated("a connection without certificate may only enrol")
        })
    }

    fn issue(&self, csr: &[u8], site: &SiteId) -> Result<Issued, Status> {
        let parts = &self.0.0.parts;
        parts
            .authority
            .issue(csr, site, parts.clock.now())
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }

    async fn submit(&self, actor: Actor, command: Command) -> Result<(), Status> {
        match submit(&self.0, actor, command).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(refusal)) => Err(Status::failed_precondition(refusal.to_string())),
            None => Err(Status::unavailable("the controller is stopping")),
        }
    }

    /// Checks a batch of log records against the site's keys.
    fn check(&self, site: &SiteId, records: &[Vec<u8>]) -> Result<(), Status> {
        let keys = self.0.evidence_keys(site);
        for bytes in records {
            let envelope = (bytes.len() <= ENVELOPE_BYTES_MAX)
                .then(|| Envelope::read(bytes).ok())
                .flatten()
                .ok_or_else(|| Status::invalid_argument("a record is no DSSE envelope"))?;
            if !keys.iter().any(|key| Record::check(&envelope, key).is_ok()) {
                return Err(Status::invalid_argument(format!(
                    "a record is not signed by a key of site {site}, or does not read"
                )));
            }
        }
        Ok(())
    }
}

impl Fleet {
    pub(super) fn evidence_keys(&self, site: &SiteId) -> Vec<PublicKey> {
        self.0.parts.ledger.read(|state| {
            let keys = state.registry.site(site).map(|s| s.evidence_keys.clone());
            keys.unwrap_or_default().into_iter().map(|(_, key)| key).collect()
        })
    }
}

/// `SITE.SECRET.CA` → the site and the digest of the secret.
fn token_parts(token: &str) -> Option<(SiteId, Digest)> {
    let mut parts = token.split('.');
    let (site, secret) = (parts.next()?.parse().ok()?, parts.next()?);
    let secret = hex::decode(secret).ok().filter(|s| (16..=64).contains(&s.len()))?;
    Some((site, Digest::of(&secret)))
}

#[tonic::async_trait]
impl FleetRpc for FleetService {
    async fn enrol(
        &self,
        request: Request<EnrolRequest>,
    ) -> Result<Response<EnrolResponse>, Status> {
        let request = request.into_inner();
        let (site, secret_sha256) = token_parts(&request.token)
            .ok_or_else(|| Status::invalid_argument("the enrolment token does not read"))?;
        let key = PublicKey::from_bytes(&request.evidence_key).map_err(|_| {
            Status::invalid_argument("the evidence key is neither Ed25519 nor P-256")
        })?;
        let proof = [link::ENROL_PREFIX, &request.csr].concat();
        if !key.verifies(&proof, &request.evidence_proof) {
            return Err(Status::invalid_argument("the evidence key's proof does not hold"));
        }
        let now = self.0.0.parts.clock.now();
        let usable = self
            .0
            .0
            .parts
            .ledger
            .read(|state| state.registry.token_usable(&site, secret_sha256, now));
        if let Err(refusal) = usable {
            let command = Command::RefuseConnection {
                remote: site.to_string(),
                reason: format!("enrolment refused: {refusal}"),
            };
            self.submit(Actor::Controller, command).await?;
            return Err(Status::permission_denied(refusal.to_string()));
        }
        let issued = self.issue(&request.csr, &site)?;
        let enrol = Command::EnrolSite {
            site: site.clone(),
            secret_sha256,
            evidence_key: key.to_bytes(),
            serial: issued.serial,
            certificate_ends: issued.ends,
        };
        self.submit(Actor::Controller, enrol).await?;
        tracing::info!(%site, "site enrolled");
        Ok(Response::new(EnrolResponse {
            certificate: issued.der.to_vec(),
            ca_certificate: self.0.0.parts.authority.certificate().to_vec(),
            site: site.to_string(),
        }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let site = Self::site(&request)?;
        let issued = self.issue(&request.into_inner().csr, &site)?;
        let renew = Command::RenewSite {
            site: site.clone(),
            serial: issued.serial,
            certificate_ends: issued.ends,
        };
        self.submit(Actor::Site(site), renew).await?;
        Ok(Response::new(RenewResponse { certificate: issued.der.to_vec() }))
    }

    async fn report(
        &self,
        request: Request<SiteReport>,
    ) -> Result<Response<ReportResponse>, Status> {
        let site = Self::site(&request)?;
        let report = request.into_inner();
        let cameras: Option<Vec<CameraId>> = report
            .cameras
            .iter()
            .map(|c| c.camera.parse().ok().filter(|camera: &CameraId| *camera.site() == site))
            .collect();
        let cameras = cameras
            .filter(|cameras| cameras.len() <= CAMERAS_MAX)
            .ok_or_else(|| Status::invalid_argument("the report names cameras of another site"))?;
        let known = self.0.0.parts.ledger.read(|state| state.registry.cameras_of(&site));
        let announced = known.len() == cameras.len() && cameras.iter().all(|c| known.contains(c));
        {
            let mut sites = self.0.sites();
            let presence = &mut sites.entry(site.clone()).or_default().presence;
            presence.report = Some(report);
            presence.received = self.0.0.parts.clock.now();
        }
        if !announced {
            let announce = Command::AnnounceCameras { site: site.clone(), cameras };
            self.submit(Actor::Site(site), announce).await?;
        }
        Ok(Response::new(ReportResponse {}))
    }

    async fn submit_records(
        &self,
        request: Request<SubmitRecordsRequest>,
    ) -> Result<Response<SubmitRecordsResponse>, Status> {
        let site = Self::site(&request)?;
        let batch = request.into_inner();
        if batch.records.len() as u64 > link::catch_up::BATCH_RECORDS_MAX {
            return Err(Status::invalid_argument("a batch holds at most 256 records"));
        }
        let fleet = self.0.clone();
        let service = Self(fleet.clone());
        let stored = tokio::task::spawn_blocking(move || {
            service.check(&site, &batch.records)?;
            fleet.0.mirror.append(&site, batch.first_index, &batch.records).map_err(|error| {
                tracing::error!(%site, %error, "the copy of a site's log cannot be written");
                Status::internal("the controller could not keep the records; it will ask again")
            })
        });
        let next_index = stored.await.map_err(|_| Status::unavailable("stopping"))??;
        Ok(Response::new(SubmitRecordsResponse { next_index }))
    }
}
