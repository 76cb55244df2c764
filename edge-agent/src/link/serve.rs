//! The gRPC service `Agent`: what the controller asks of the site.

use std::collections::BTreeSet;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::{Grounds, LegalBasis, MopiGroup};
use custody::{CameraId, CaseId, HoldId, KeyId, Seq, WallTime};
use proto::v1::agent_server::Agent;
use proto::v1::{
    DropGuestsRequest, DropGuestsResponse, EraseFootageRequest, EraseFootageResponse, FindRequest,
    FindResponse, FoundRecord, KeepGuestRequest, KeepGuestResponse, ListGuestsRequest,
    ListGuestsResponse, PlaceHoldRequest, PlaceHoldResponse, PullRequest, PullResponse,
    ReleaseHoldRequest, ReleaseHoldResponse, ReleaseKeysRequest, ReleaseKeysResponse,
    WitnessRequest, WitnessResponse,
};
use tonic::{Request, Response, Status};

use super::upload::Uploads;
use super::{Parts, guests};
use crate::limits::FIND_KEY_CERTS_MAX;
use crate::store::{EraseOrder, Ordered, PlaceHold, Store, StoreError};

pub(super) struct AgentService {
    parts: Parts,
    uploads: Uploads,
}

impl AgentService {
    pub(super) fn new(parts: Parts, uploads: Uploads) -> Self {
        Self { parts, uploads }
    }

    fn camera(&self, name: &str) -> Result<CameraId, Status> {
        let camera: CameraId = read(name)?;
        let here = self.parts.recorders.iter().any(|r| r.camera.id == camera);
        if here {
            Ok(camera)
        } else {
            Err(Status::not_found(format!("site {} has no camera {camera}", self.parts.site())))
        }
    }

    /// Asks the store off the async threads.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        let store = self.parts.store.clone();
        tokio::task::spawn_blocking(move || question(&store))
            .await
            .map_err(|_| Status::unavailable("the agent is stopping"))?
            .map_err(|error| match error {
                StoreError::Refused { why } => Status::failed_precondition(why),
                StoreError::NotYet { why } => Status::unavailable(why),
                other => {
                    tracing::error!(error = %other, "the store could not answer the controller");
                    Status::internal(other.to_string())
                }
            })
    }
}

pub(super) fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Status> {
    text.parse().map_err(|error: T::Err| Status::invalid_argument(error.to_string()))
}

/// The certificates of the keys that signed these envelopes, each once.
fn key_certs(store: &Store, envelopes: &[&[u8]]) -> Result<Vec<Vec<u8>>, StoreError> {
    let signers: BTreeSet<KeyId> = envelopes
        .iter()
        .filter_map(|bytes| Envelope::read(bytes).ok())
        .map(|envelope| envelope.key_id().clone())
        .collect();
    let certs = signers.iter().take(FIND_KEY_CERTS_MAX).map(|key| store.key_cert(key));
    certs.filter_map(Result::transpose).collect()
}

fn grounds(request: &PlaceHoldRequest) -> Result<Grounds, Status> {
    let basis = LegalBasis::read(&request.basis);
    let group = u8::try_from(request.mopi_group).ok().and_then(MopiGroup::new);
    let (Some(basis), Some(mopi_group)) = (basis, group) else {
        return Err(Status::invalid_argument(
            "a hold needs a legal basis and a MoPI group from 1 to 4: is the controller older than \
             this recorder?",
        ));
    };
    Ok(Grounds { basis, mopi_group, review_at: WallTime(request.review_us) })
}

fn span(from_us: i64, to_us: i64) -> Result<Span, Status> {
    if from_us < to_us {
        Ok(Span { from: WallTime(from_us), to: WallTime(to_us) })
    } else {
        Err(Status::invalid_argument("the interval ends before it begins"))
    }
}

#[tonic::async_trait]
impl Agent for AgentService {
    async fn find(&self, request: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        let request = request.into_inner();
        let span = span(request.from_us, request.to_us)?;
        let Ok(camera) = self.camera(&request.camera) else {
            return Ok(Response::new(FindResponse::default()));
        };
        let (found, key_certs) = self
            .ask(move |store| {
                let found = store.find(&camera, span)?;
                let signed: Vec<&[u8]> = found.iter().map(|it| it.envelope.as_slice()).collect();
                let key_certs = key_certs(store, &signed)?;
                Ok((found, key_certs))
            })
            .await?;
        let records = found
            .into_iter()
            .map(|found| FoundRecord { envelope: found.envelope, file_bytes: found.file_bytes })
            .collect();
        Ok(Response::new(FindResponse { camera_known: true, records, key_certs }))
    }

    async fn place_hold(
        &self,
        request: Request<PlaceHoldRequest>,
    ) -> Result<Response<PlaceHoldResponse>, Status> {
        let request = request.into_inner();
        let span = span(request.from_us, request.to_us)?;
        let hold = PlaceHold {
            hold: read(&request.hold)?,
            case: read(&request.case_ref)?,
            camera: self.camera(&request.camera)?,
            from: span.from,
            to: span.to,
            grounds: grounds(&request)?,
        };
        let camera = hold.camera.clone();
        let (segments, erased, reaches) = self
            .ask(move |store| {
                let segments = store.place_hold(hold)?;
                Ok((segments, store.erased_within(&camera, span)?, store.chain_end(&camera)?))
            })
            .await?;
        let open = reaches.is_none_or(|until| until < span.to);
        Ok(Response::new(PlaceHoldResponse { segments, open, erased }))
    }

    async fn release_hold(
        &self,
        request: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        let hold: HoldId = read(&request.into_inner().hold)?;
        self.ask(move |store| store.release_hold(&hold)).await?;
        Ok(Response::new(ReleaseHoldResponse {}))
    }

    async fn erase_footage(
        &self,
        request: Request<EraseFootageRequest>,
    ) -> Result<Response<EraseFootageResponse>, Status> {
        let request = request.into_inner();
        let span = span(request.from_us, request.to_us)?;
        let order = EraseOrder {
            order: read(&request.order)?,
            camera: self.camera(&request.camera)?,
            from: span.from,
            to: span.to,
        };
        let ordered = self.ask(move |store| store.erase_for_order(&order)).await?;
        let mut answer = EraseFootageResponse::default();
        answer.state = match ordered {
            Ordered::Held(holds) => {
                answer.holds = holds.iter().map(ToString::to_string).collect();
                "held"
            }
            Ordered::Recording => "recording",
            Ordered::KeysRemain => "keys-remain",
            Ordered::Done(segments) => {
                answer.segments = segments;
                "done"
            }
        }
        .to_owned();
        Ok(Response::new(answer))
    }

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<PullResponse>, Status> {
        let missing = self.uploads.begin(request.into_inner()).await?;
        Ok(Response::new(PullResponse { missing }))
    }

    async fn release_keys(
        &self,
        request: Request<ReleaseKeysRequest>,
    ) -> Result<Response<ReleaseKeysResponse>, Status> {
        let request = request.into_inner();
        let case: CaseId = read(&request.case_ref)?;
        let camera = self.camera(&request.camera)?;
        let seqs: Vec<Seq> = request.seqs.into_iter().map(Seq).collect();
        let (keys, record, key_certs) = self
            .ask(move |store| {
                let (keys, record) = store.release_keys(&case, &camera, &seqs)?;
                let key_certs = key_certs(store, &[record.bytes()])?;
                Ok((keys, record, key_certs))
            })
            .await?;
        let keys = keys.iter().map(|key| key.danger_bytes().to_vec()).collect();
        let transfer_record = record.bytes().to_vec();
        Ok(Response::new(ReleaseKeysResponse { keys, transfer_record, key_certs }))
    }

    async fn witness(
        &self,
        request: Request<WitnessRequest>,
    ) -> Result<Response<WitnessResponse>, Status> {
        let WitnessRequest { log_vkey, body } = request.into_inner();
        let witness = self.parts.witness.clone();
        let reply = tokio::task::spawn_blocking(move || witness.answer(&log_vkey, &body))
            .await
            .map_err(|_| Status::unavailable("the agent is stopping"))?;
        Ok(Response::new(WitnessResponse {
            status: u32::from(reply.status),
            content_type: reply.content_type.to_owned(),
            body: reply.body,
        }))
    }

    async fn keep_guest(
        &self,
        request: Request<KeepGuestRequest>,
    ) -> Result<Response<KeepGuestResponse>, Status> {
        let piece = guests::piece(request.into_inner())?;
        let kept = guests::ask(&self.parts.guests, move |room| room.keep(&piece)).await?;
        Ok(Response::new(KeepGuestResponse { bytes: kept.bytes, is_whole: kept.is_whole }))
    }

    async fn list_guests(
        &self,
        request: Request<ListGuestsRequest>,
    ) -> Result<Response<ListGuestsResponse>, Status> {
        let ListGuestsRequest { camera, after } = request.into_inner();
        let camera: CameraId = read(&camera)?;
        let after = after.as_ref().map(guests::name).transpose()?;
        let listed = guests::ask(&self.parts.guests, move |room| room.list(&camera, after));
        let (files, has_more) = listed.await?;
        let files = files.into_iter().map(guests::file).collect();
        Ok(Response::new(ListGuestsResponse { files, has_more }))
    }

    async fn drop_guests(
        &self,
        request: Request<DropGuestsRequest>,
    ) -> Result<Response<DropGuestsResponse>, Status> {
        let DropGuestsRequest { camera, files } = request.into_inner();
        let camera: CameraId = read(&camera)?;
        let names: Vec<_> = files.iter().map(guests::name).collect::<Result<_, _>>()?;
        guests::ask(&self.parts.guests, move |room| room.remove(&camera, &names)).await?;
        Ok(Response::new(DropGuestsResponse {}))
    }
}
