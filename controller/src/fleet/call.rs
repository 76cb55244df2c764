//! What the controller asks of a site's agent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::sealing::Key;
use custody::{CameraId, CaseId, HoldId, OrderId, Seq, SiteId};
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::{
    EraseFootageRequest, FindRequest, PlaceHoldRequest, PullItem, PullRequest, ReleaseHoldRequest,
    ReleaseKeysRequest, WitnessRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::session::Session;
use super::signers::Shown;
use super::{
    ErasedFootage, Fleet, FleetError, Found, FoundRecord, Placed, ReleasedKeys, WantedSegment,
};
use crate::evidence::HoldEntry;
use crate::limits;

/// Files asked for at once; the rest follow.
const PULL_ITEMS_MAX: usize = 64;
/// Keys asked for at once, as the wire allows.
const KEYS_MAX: usize = 512;
/// A pull that brings no byte for this long has broken.
const PULL_STALL: Duration = Duration::from_secs(30);

/// Where files are pulled from, and how fast.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The site that has them.
    pub(super) site: &'a SiteId,
    /// Whether they are another site's, which it keeps.
    pub(super) is_guest: bool,
    /// Bytes a second; 0: no limit.
    pub(super) rate: u64,
}

impl Fleet {
    pub(super) fn agent(&self, site: &SiteId) -> Result<AgentClient<Channel>, FleetError> {
        Ok(self.session(site)?.agent)
    }

    /// The agent, by a stream that gives way to questions.
    pub(super) fn bulk_agent(&self, site: &SiteId) -> Result<AgentClient<Channel>, FleetError> {
        Ok(self.session(site)?.bulk)
    }

    fn session(&self, site: &SiteId) -> Result<Session, FleetError> {
        let session = self.sites().get(site).and_then(|state| state.session.clone());
        session.ok_or_else(|| FleetError::Away { site: site.clone() })
    }

    /// The links of a camera's chain that touch `span`.
    ///
    /// # Errors
    /// When the site is away, or its answer does not hold.
    pub async fn find(&self, camera: &CameraId, span: Span) -> Result<Found, FleetError> {
        let site = camera.site();
        let request =
            FindRequest { camera: camera.to_string(), from_us: span.from.0, to_us: span.to.0 };
        let answer = self.agent(site)?.find(request).await.map_err(|s| failed(site, &s))?;
        let answer = answer.into_inner();
        let broken = |why: String| FleetError::Broken { site: site.clone(), why };
        let shown = Shown::read(site, &self.identity(site), &answer.key_certs).map_err(broken)?;
        let mut records = Vec::with_capacity(answer.records.len());
        for found in answer.records {
            let envelope = Envelope::read(&found.envelope).map_err(|r| broken(r.to_string()))?;
            let record = shown.check(&envelope).map_err(broken)?;
            records.push(FoundRecord { envelope, record, file_bytes: found.file_bytes });
        }
        Ok(Found { camera_known: answer.camera_known, records })
    }

    /// Keeps footage beyond its time. May be repeated.
    ///
    /// # Errors
    /// When the site is away or refuses.
    pub async fn place_hold(&self, hold: &HoldEntry) -> Result<Placed, FleetError> {
        let site = hold.camera.site();
        let grounds = hold.grounds_or_usual();
        let request = PlaceHoldRequest {
            hold: hold.id.to_string(),
            case_ref: hold.case_or_own_name().to_string(),
            camera: hold.camera.to_string(),
            from_us: hold.span.from.0,
            to_us: hold.span.to.0,
            basis: grounds.basis.as_str().to_owned(),
            mopi_group: grounds.mopi_group.number().into(),
            review_us: grounds.review_at.0,
        };
        let answer = self.agent(site)?.place_hold(request).await.map_err(|s| failed(site, &s))?;
        let answer = answer.into_inner();
        let v1::PlaceHoldResponse { segments, open, erased } = answer;
        Ok(Placed { segments, open, erased })
    }

    /// Brings the body of an `add-checkpoint` to the site's witness, for the log with this key.
    ///
    /// # Errors
    /// When the site is away, or the link breaks.
    pub(crate) async fn witness(
        &self,
        site: &SiteId,
        log_vkey: String,
        body: Vec<u8>,
    ) -> Result<(u32, Vec<u8>), FleetError> {
        let request = WitnessRequest { log_vkey, body };
        let answer = self.agent(site)?.witness(request).await.map_err(|s| failed(site, &s))?;
        let answer = answer.into_inner();
        Ok((answer.status, answer.body))
    }

    /// Ends a hold. May be repeated.
    ///
    /// # Errors
    /// When the site is away or refuses.
    pub async fn release_hold(&self, site: &SiteId, hold: &HoldId) -> Result<(), FleetError> {
        let request = ReleaseHoldRequest { hold: hold.to_string() };
        self.agent(site)?.release_hold(request).await.map_err(|s| failed(site, &s))?;
        Ok(())
    }

    /// Erases footage before its time, by an approved order. To be repeated until it is done.
    ///
    /// # Errors
    /// When the site is away, refuses, or answers with something else.
    pub async fn erase_footage(
        &self,
        order: &OrderId,
        camera: &CameraId,
        span: Span,
    ) -> Result<ErasedFootage, FleetError> {
        let site = camera.site();
        let request = EraseFootageRequest {
            order: order.to_string(),
            camera: camera.to_string(),
            from_us: span.from.0,
            to_us: span.to.0,
        };
        let answer = self.agent(site)?.erase_footage(request).await;
        let answer = answer.map_err(|s| failed(site, &s))?.into_inner();
        match answer.state.as_str() {
            "held" => Ok(ErasedFootage::Held { holds: answer.holds }),
            "recording" => Ok(ErasedFootage::Recording),
            "keys-remain" => Ok(ErasedFootage::KeysRemain),
            "done" => Ok(ErasedFootage::Done { segments: answer.segments }),
            _ => Err(FleetError::Broken {
                site: site.clone(),
                why: "it answered an erasure order with a state that is not known".to_owned(),
            }),
        }
    }

    /// Brings sealed files into the vault, going on where an earlier pull stopped. `progress` gets
    /// the bytes so far of all wanted.
    ///
    /// # Errors
    /// When the site is away, misses a file, or the link breaks.
    pub async fn pull(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), FleetError> {
        let rate = self.0.parts.pull_bytes_per_second;
        self.pull_at(Source { site, is_guest: false, rate }, wanted, progress).await
    }

    /// As [`Self::pull`], at the rate at which held footage is copied.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn copy(&self, site: &SiteId, wanted: &[WantedSegment]) -> Result<(), FleetError> {
        let rate = self.copy_bytes_per_second();
        self.pull_at(Source { site, is_guest: false, rate }, wanted, &|_| {}).await
    }

    pub(super) fn copy_bytes_per_second(&self) -> u64 {
        let rates = [limits::COPY_BYTES_PER_SECOND, self.0.parts.pull_bytes_per_second];
        rates.into_iter().filter(|rate| *rate > 0).min().unwrap_or(0)
    }

    pub(super) async fn pull_at(
        &self,
        source: Source<'_>,
        wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), FleetError> {
        let intake = &self.0.intake;
        let mut done_bytes = 0;
        for batch in wanted.chunks(PULL_ITEMS_MAX) {
            let (here, missing): (Vec<_>, Vec<_>) =
                batch.iter().cloned().partition(|w| intake.has(w));
            done_bytes += here.iter().map(|w| w.file_bytes).sum::<u64>();
            if !missing.is_empty() {
                let progress = |bytes| progress(done_bytes + bytes);
                self.pull_batch(source, &missing, &progress).await?;
                done_bytes += missing.iter().map(|w| w.file_bytes).sum::<u64>();
            }
            progress(done_bytes);
        }
        Ok(())
    }

    async fn pull_batch(
        &self,
        Source { site, is_guest, rate }: Source<'_>,
        wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), FleetError> {
        let broken = |why: String| FleetError::Broken { site: site.clone(), why };
        let intake = &self.0.intake;
        let transfer = self.0.transfers.fetch_add(1, Ordering::Relaxed);
        let expected = intake.expect(transfer, site, wanted);
        let items = wanted
            .iter()
            .map(|w| PullItem {
                camera: w.camera.to_string(),
                seq: w.seq.0,
                offset: intake.received(w),
                guest_root: if is_guest { w.root.0.to_vec() } else { Vec::new() },
            })
            .collect();
        let request = PullRequest { transfer, items, bytes_per_second: rate };
        let answer = self.agent(site)?.pull(request).await.map_err(|s| failed(site, &s))?;
        if let Some(miss) = answer.into_inner().missing.first() {
            let why = format!("{} segment {}: {}", miss.camera, miss.seq, miss.reason);
            return Err(FleetError::Refused { site: site.clone(), why });
        }
        loop {
            let (bytes, arrived, failure) = expected.pull.progress();
            progress(bytes);
            if let Some(why) = failure {
                return Err(broken(why));
            }
            if arrived >= wanted.len() {
                return Ok(());
            }
            let changed = expected.pull.changed.notified();
            if tokio::time::timeout(PULL_STALL, changed).await.is_err() {
                return Err(broken("the pull stalled".to_owned()));
            }
        }
    }

    /// The keys of segments held for `case`; the site signs a transfer record first.
    ///
    /// # Errors
    /// When the site is away, refuses, or answers with something else.
    pub async fn release_keys(
        &self,
        case: &CaseId,
        camera: &CameraId,
        seqs: &[Seq],
    ) -> Result<ReleasedKeys, FleetError> {
        let site = camera.site();
        let broken = |why: &str| FleetError::Broken { site: site.clone(), why: why.to_owned() };
        let mut released = ReleasedKeys::default();
        for seqs in seqs.chunks(KEYS_MAX) {
            let request = ReleaseKeysRequest {
                case_ref: case.to_string(),
                camera: camera.to_string(),
                seqs: seqs.iter().map(|s| s.0).collect(),
            };
            let answer = self.agent(site)?.release_keys(request).await;
            let answer = answer.map_err(|s| failed(site, &s))?.into_inner();
            let keys: Option<Vec<Key>> = answer
                .keys
                .iter()
                .map(|key| <[u8; 32]>::try_from(key.as_slice()).ok().map(Key::new))
                .collect();
            let keys = keys
                .filter(|keys| keys.len() == seqs.len())
                .ok_or_else(|| broken("the keys that came are not those asked for"))?;
            let transfer_record = Envelope::read(&answer.transfer_record)
                .map_err(|_| broken("the transfer record does not read"))?;
            let shown = Shown::read(site, &self.identity(site), &answer.key_certs)
                .and_then(|shown| shown.check(&transfer_record));
            shown.map_err(|why| broken(&format!("the transfer record: {why}")))?;
            released.keys.extend(keys);
            released.transfer_records.push(transfer_record);
        }
        Ok(released)
    }
}

/// Which kind of failure a status is.
pub(super) fn failed(site: &SiteId, status: &Status) -> FleetError {
    let site = site.clone();
    let why = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::OutOfRange
        | Code::Unauthenticated
        | Code::AlreadyExists => FleetError::Refused { site, why },
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => FleetError::Broken { site, why },
    }
}
