//! The gRPC service `Fleet`: what agents ask of the controller.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use custody::{CameraId, Digest, PublicKey, Seq, SiteId};
use proto::v1::fleet_server::Fleet as FleetRpc;
use proto::v1::{
    EnrolRequest, EnrolResponse, FetchCopyRequest, RenewRequest, RenewResponse, ReportResponse,
    SiteReport, SubmitRecordsRequest, SubmitRecordsResponse,
};
use tonic::{Request, Response, Status};

use super::mirror::{Refused, Submission, Taken};
use super::session::{Peer, submit};
use super::signers::Identity;
use super::{Fleet, Note, copy};
use crate::evidence::HoldState;
use crate::ledger::{Actor, Command};
use crate::limits;
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

    /// Notes a log that the event log does not know yet.
    async fn note_log(&self, site: &SiteId, taken: &Taken) -> Result<(), Status> {
        let Some(vkey) = taken.log.as_ref().map(ToString::to_string) else { return Ok(()) };
        let is_known = self.0.0.parts.ledger.read(|state| {
            state.registry.site(site).is_some_and(|entry| entry.logs.contains(&vkey))
        });
        if is_known {
            return Ok(());
        }
        let begin = Command::BeginLog { site: site.clone(), vkey };
        self.submit(Actor::Controller, begin).await
    }
}

/// At most so many notes of logs that are not this site's, the controller's first, then those of the
/// sites that come after it in the order of names, so that each is handed to others.
fn notes_for(site: &SiteId, notes: &[Note]) -> Vec<Vec<u8>> {
    let mut others: Vec<&Note> = notes.iter().filter(|n| n.site.as_ref() != Some(site)).collect();
    let turn = |note: &&Note| match &note.site {
        None => (0, None),
        Some(other) if other > site => (1, Some(other.clone())),
        Some(other) => (2, Some(other.clone())),
    };
    others.sort_by_cached_key(turn);
    others.truncate(limits::NOTES_HANDED);
    others.into_iter().map(|note| note.bytes.to_vec()).collect()
}

impl Fleet {
    pub(super) fn identity(&self, site: &SiteId) -> Identity {
        self.0.parts.ledger.read(|state| {
            let Some(entry) = state.registry.site(site) else { return Identity::default() };
            let keys = entry.evidence_keys.iter().map(|(_, key)| key.clone()).collect();
            Identity { keys, revoked: entry.revoked_keys.clone() }
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
    type FetchCopyStream = copy::Pieces;

    async fn fetch_copy(
        &self,
        request: Request<FetchCopyRequest>,
    ) -> Result<Response<Self::FetchCopyStream>, Status> {
        let site = Self::site(&request)?;
        let FetchCopyRequest { camera, seq } = request.into_inner();
        let camera = camera.parse().ok().filter(|camera: &CameraId| *camera.site() == site);
        let camera = camera
            .ok_or_else(|| Status::invalid_argument("a site asks for copies of its own cameras"))?;
        let parts = &self.0.0.parts;
        Ok(Response::new(copy::send(&parts.copies, &parts.tasks, camera, Seq(seq)).await?))
    }

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
            self.submit(Actor::Site(site.clone()), announce).await?;
        }
        let notes = self.0.0.notes.read().unwrap_or_else(PoisonError::into_inner);
        let checkpoints = notes_for(&site, &notes);
        drop(notes);
        let holds_pending = self.0.0.parts.ledger.read(|state| {
            let mut holds = state.evidence.holds();
            holds.any(|hold| hold.state == HoldState::Ordered && *hold.camera.site() == site)
        });
        Ok(Response::new(ReportResponse { checkpoints, holds_pending }))
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
        let (fleet, of_site) = (self.0.clone(), site.clone());
        let arrival = fleet.0.arrivals.fetch_add(1, Ordering::Relaxed);
        let taken = tokio::task::spawn_blocking(move || {
            let identity = fleet.identity(&of_site);
            fleet.0.mirror.take(&Submission {
                site: &of_site,
                identity: &identity,
                first: batch.first_index,
                records: &batch.records,
                checkpoint: &batch.checkpoint,
                arrival,
            })
        });
        match taken.await.map_err(|_| Status::unavailable("stopping"))? {
            Ok(taken) => {
                self.note_log(&site, &taken).await?;
                Ok(Response::new(SubmitRecordsResponse { next_index: taken.next }))
            }
            Err(Refused::Malformed(why)) => {
                tracing::warn!(%site, why, "records of a site's log were refused");
                Err(Status::invalid_argument(why))
            }
            Err(Refused::Contradiction(found)) => {
                tracing::error!(%found, proof = found.proof, "a site's log contradicts itself");
                let why = found.to_string();
                self.submit(Actor::Controller, Command::ContradictLog(found)).await?;
                Err(Status::failed_precondition(why))
            }
            Err(Refused::Mirror(error)) => {
                tracing::error!(%site, %error, "the copy of a site's log cannot be written");
                Err(Status::internal(
                    "the controller could not keep the records; it will ask again",
                ))
            }
        }
    }
}
