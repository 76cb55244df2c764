//! Takes a case from step to step: approved → held → pulling → bundled. Each step reads the state
//! again, so that it may be broken off anywhere and begun anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use custody::{CaseId, SiteId};
use futures::future::join_all;

use super::binding::{self, Part};
use super::driver::Rest;
use super::footage::Footage;
use super::{Parts, Sites};
use crate::access::{Actor, Code, Refusal};
use crate::evidence::case::Step;
use crate::evidence::{Case, CaseState, HoldState};
use crate::fleet::{FleetError, WantedSegment};
use crate::ledger::Command;

/// Why a case does not go on now.
#[derive(Debug)]
pub(super) enum Pause {
    /// It waits for this, and is tried again.
    Waits(String),
    /// Its holds are not all placed.
    Holds,
    /// It never will.
    Fails {
        /// A stable code.
        code: &'static str,
        /// Why.
        detail: String,
    },
    /// Its state has moved on meanwhile, or the log has failed.
    Refused(Refusal),
}

impl From<FleetError> for Pause {
    fn from(error: FleetError) -> Self {
        let detail = error.to_string();
        match error {
            FleetError::Away { .. } | FleetError::Broken { .. } => Self::Waits(detail),
            FleetError::Refused { .. } => Self::Fails { code: SITE_REFUSED, detail },
        }
    }
}

/// A site answered no: asking again will not help.
pub const SITE_REFUSED: &str = "site-refused";
/// A camera's gaps are named up to so many characters.
const DETAIL_CHARS_MAX: usize = 2000;

/// Goes as far as the case goes now.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, id: &CaseId) -> Rest {
    loop {
        let Ok(case) = parts.ledger.read(|state| state.evidence.case(id).cloned()) else {
            return Rest::No;
        };
        let done = match case.state {
            CaseState::Approved => hold(parts, &case).await,
            CaseState::Held => begin_pull(parts, &case).await,
            CaseState::Pulling { .. } => bundle(parts, &case).await,
            CaseState::Requested
            | CaseState::Refused
            | CaseState::Bundled(_)
            | CaseState::Failed { .. } => {
                parts.progress.forget(id);
                return Rest::No;
            }
        };
        match done {
            Ok(()) => parts.progress.set_detail(id, ""),
            Err(Pause::Waits(detail)) => {
                tracing::debug!(case = %id, detail, "a case waits");
                parts.progress.set_detail(id, &detail);
                return Rest::Needed;
            }
            // The hold's task says what it waits for, and its end moves the log.
            Err(Pause::Holds) => return Rest::No,
            Err(Pause::Fails { code, detail }) => {
                tracing::info!(case = %id, code, "a case cannot be fulfilled");
                let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
                let failed = Step::Failed { code: code.to_owned(), detail };
                if step(parts, id, failed).await.is_err() {
                    return Rest::Needed;
                }
            }
            Err(Pause::Refused(refusal)) => {
                tracing::debug!(case = %id, %refusal, "a case's step was refused");
                return Rest::Needed;
            }
        }
    }
}

pub(super) async fn step<S>(parts: &Parts<S>, case: &CaseId, step: Step) -> Result<(), Pause> {
    let command = Command::StepCase { case: case.clone(), step };
    parts.ledger.send(Actor::Controller, command).await.map_err(Pause::Refused)?;
    Ok(())
}

/// The holds are placed by their own task; here it is only seen that all are.
async fn hold<S>(parts: &Parts<S>, case: &Case) -> Result<(), Pause> {
    let holds: Vec<_> =
        parts.ledger.read(|state| state.evidence.holds_of(&case.id).cloned().collect());
    for hold in holds {
        match hold.state {
            HoldState::Refused { why } => {
                let detail = format!("site {} refused a hold: {why}", hold.camera.site());
                return Err(Pause::Fails { code: SITE_REFUSED, detail });
            }
            HoldState::Ordered => return Err(Pause::Holds),
            HoldState::Placed { .. } | HoldState::ReleaseOrdered | HoldState::Released => {}
        }
    }
    step(parts, &case.id, Step::Held).await
}

/// What each camera's chain holds, sites at once, cameras of a site one after another.
async fn find<S: Sites>(parts: &Parts<S>, case: &Case) -> Result<Vec<Footage>, Pause> {
    let mut cameras_of: BTreeMap<&SiteId, Vec<_>> = BTreeMap::new();
    for camera in &case.cameras {
        cameras_of.entry(camera.site()).or_default().push(camera);
    }
    let asked = cameras_of.into_values().map(|cameras| async move {
        let mut footage = Vec::new();
        for camera in cameras {
            let found = parts.sites.find(camera, case.span).await?;
            footage.push(Footage::new(camera.clone(), found));
        }
        Ok::<_, Pause>(footage)
    });
    let mut all = Vec::new();
    for footage in join_all(asked).await {
        all.extend(footage?);
    }
    Ok(all)
}

async fn begin_pull<S: Sites>(parts: &Parts<S>, case: &Case) -> Result<(), Pause> {
    let footage = find(parts, case).await?;
    let now = parts.ledger.clock().now();
    if let Some(open) = footage.iter().find(|footage| !footage.is_complete(case.span, now)) {
        let waits =
            format!("waits until {} has closed the asked interval's last segment", open.camera);
        return Err(Pause::Waits(waits));
    }
    let wanted: Vec<_> = footage.iter().flat_map(Footage::wanted).collect();
    if wanted.is_empty() {
        let gaps: Vec<_> = footage.iter().map(Footage::gaps).collect();
        let detail = format!("there is no footage in the asked interval: {}", gaps.join("; "));
        return Err(Pause::Fails { code: Code::NoFootage.as_str(), detail });
    }
    let segments = wanted.len() as u64;
    let bytes = wanted.iter().map(|wanted| wanted.file_bytes).sum();
    step(parts, &case.id, Step::Pulling { segments, bytes }).await
}

async fn bundle<S: Sites>(parts: &Parts<S>, case: &Case) -> Result<(), Pause> {
    let footage = find(parts, case).await?;
    pull(parts, case, &footage).await?;
    let mut ready = Vec::new();
    for footage in footage {
        let seqs = footage.seqs();
        let mut keys = Vec::new();
        if !seqs.is_empty() {
            let released = parts.sites.release_keys(&case.id, &footage.camera, &seqs).await?;
            keys = released.keys;
            for record in &released.transfer_records {
                let released = Step::KeysReleased {
                    camera: footage.camera.clone(),
                    segments: seqs.len() as u64,
                    transfer_sha256: record.digest(),
                };
                step(parts, &case.id, released).await?;
            }
        }
        ready.push(Part { footage, keys });
    }
    parts.progress.set_detail(&case.id, "the bundle is being made and checked");
    let bound = binding::bind(parts, case, ready).await?;
    step(parts, &case.id, bound).await
}

/// Sites at once; each site one pull, its cameras in order.
async fn pull<S: Sites>(parts: &Parts<S>, case: &Case, footage: &[Footage]) -> Result<(), Pause> {
    let mut wanted_of: BTreeMap<SiteId, Vec<WantedSegment>> = BTreeMap::new();
    for wanted in footage.iter().flat_map(Footage::wanted) {
        wanted_of.entry(wanted.camera.site().clone()).or_default().push(wanted);
    }
    let arrived: Arc<Vec<AtomicU64>> =
        Arc::new(wanted_of.keys().map(|_| AtomicU64::new(0)).collect());
    let pulls = wanted_of.iter().enumerate().map(|(index, (site, wanted))| {
        let arrived = arrived.clone();
        async move {
            let progress = |bytes: u64| {
                if let Some(mine) = arrived.get(index) {
                    mine.store(bytes, Ordering::Relaxed);
                }
                let all = arrived.iter().map(|site| site.load(Ordering::Relaxed)).sum();
                parts.progress.set_bytes(&case.id, all);
            };
            parts.sites.pull(site, wanted, &progress).await
        }
    });
    // Every pull runs to its own end: one site's trouble does not stop another's bytes.
    for pulled in join_all(pulls).await {
        pulled?;
    }
    Ok(())
}
