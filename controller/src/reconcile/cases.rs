//! Takes a case from step to step: approved → held → pulling → bundled. Each step reads the state
//! again, so that it may be broken off anywhere and begun anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use custody::sealing::Key;
use custody::{CaseId, SiteId};
use futures::future::join_all;

use super::away;
use super::binding::{self, Part};
use super::driver::Rest;
use super::footage::Footage;
use super::memory::Memory;
use super::waiting::Reason;
use super::{Parts, Sites};
use crate::access::{Actor, Code, Refusal};
use crate::evidence::case::Step;
use crate::evidence::{Case, CaseState, HoldState};
use crate::fleet::{FleetError, WantedSegment};
use crate::ledger::Command;
use crate::limits;

/// Why a case does not go on now.
#[derive(Debug)]
pub(super) enum Pause {
    /// It waits for this; looking again costs little.
    Waits(Reason),
    /// The try failed for this; the next is after a pause that grows.
    Failed(Reason),
    /// Its holds are not all placed.
    Holds,
    /// It never will.
    Fails {
        /// A stable code.
        code: &'static str,
        /// Why.
        detail: String,
    },
}

impl Pause {
    /// A site did not do what it was asked: `to_do`, as in "cannot …".
    fn site(error: &FleetError, to_do: &str) -> Self {
        let reason = Reason::site(error, to_do);
        match error {
            FleetError::Away { .. } => Self::Waits(reason),
            FleetError::Broken { .. } => Self::Failed(reason),
            FleetError::Refused { .. } => Self::Fails { code: SITE_REFUSED, detail: reason.what },
        }
    }

    /// The log has failed, or the case has moved on meanwhile, which the next try will see.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self::Failed(Reason::log(refusal))
    }
}

/// A site answered no: asking again will not help.
pub const SITE_REFUSED: &str = "site-refused";
/// Details are so long at most: gaps of many cameras, or the words of a site.
const DETAIL_CHARS_MAX: usize = 2000;

/// Goes as far as the case goes now.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, memory: &Memory, id: &CaseId) -> Rest {
    loop {
        let Ok(case) = parts.ledger.read(|state| state.evidence.case(id).cloned()) else {
            return Rest::No;
        };
        let done = match case.state {
            CaseState::Approved => hold(parts, &case).await,
            CaseState::Held => begin_pull(parts, &case).await,
            CaseState::Pulling { .. } => bundle(parts, memory, &case).await,
            CaseState::Requested
            | CaseState::Refused
            | CaseState::Bundled(_)
            | CaseState::Failed { .. } => {
                parts.progress.forget(id);
                memory.forget(id);
                return Rest::No;
            }
        };
        let done = match done {
            Err(Pause::Fails { code, detail }) => {
                tracing::info!(case = %id, code, "a case cannot be fulfilled");
                step(parts, id, Step::Failed { code: code.to_owned(), detail: short(&detail) })
                    .await
            }
            done => done,
        };
        if let Err(pause) = done {
            return rest(parts, memory, id, &pause);
        }
        memory.went_on(id);
        parts.progress.set_detail(id, "");
    }
}

/// Says what a case waits for, and until when it is left alone.
fn rest<S>(parts: &Parts<S>, memory: &Memory, id: &CaseId, pause: &Pause) -> Rest {
    let (detail, rest) = match pause {
        Pause::Waits(reason) => {
            tracing::debug!(case = %id, why = reason.what, "a case waits");
            (memory.waits(id, reason, parts.ledger.clock()), Rest::Needed)
        }
        Pause::Failed(reason) => {
            tracing::warn!(case = %id, why = reason.what, "a case's try failed");
            (memory.failed(id, reason, parts.ledger.clock()), Rest::No)
        }
        // The hold's task says what it waits for, and its end moves the log.
        Pause::Holds => return Rest::No,
        Pause::Fails { detail, .. } => (detail.clone(), Rest::Needed),
    };
    parts.progress.set_detail(id, &short(&detail));
    rest
}

fn short(detail: &str) -> String {
    detail.chars().take(DETAIL_CHARS_MAX).collect()
}

pub(super) async fn step<S>(parts: &Parts<S>, case: &CaseId, step: Step) -> Result<(), Pause> {
    let command = Command::StepCase { case: case.clone(), step };
    parts
        .ledger
        .send(Actor::Controller, command)
        .await
        .map_err(|refusal| Pause::refused(&refusal))?;
    Ok(())
}

/// The holds are placed by their own task; here it is only seen that all are.
async fn hold<S: Sites>(parts: &Parts<S>, case: &Case) -> Result<(), Pause> {
    let holds: Vec<_> =
        parts.ledger.read(|state| state.evidence.holds_of(&case.id).cloned().collect());
    for hold in holds {
        match hold.state {
            HoldState::Refused { why } => {
                let detail = format!(
                    "site {} will not hold footage of {}: {why}",
                    hold.camera.site(),
                    hold.camera
                );
                return Err(Pause::Fails { code: SITE_REFUSED, detail });
            }
            HoldState::Ordered if away::stands_in(parts, case, &hold.camera).await => {}
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
            let found = away::find(parts, case, camera).await;
            let found = found.map_err(|e| Pause::site(&e, "list the asked footage"))?;
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
        let at_latest = case.span.to.plus_seconds(limits::CHAIN_WAIT_S);
        return Err(Pause::Waits(Reason::recording(&open.camera, at_latest)));
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

async fn bundle<S: Sites>(parts: &Parts<S>, memory: &Memory, case: &Case) -> Result<(), Pause> {
    let footage = find(parts, case).await?;
    pull(parts, memory, case, &footage).await?;
    let mut ready = Vec::new();
    for footage in footage {
        let keys = keys(parts, memory, case, &footage).await?;
        ready.push(Part { footage, keys });
    }
    let bound = binding::bind(parts, case, ready).await?;
    step(parts, &case.id, bound).await
}

/// The keys of a camera's segments, in order. Those that an earlier try was given are not asked for
/// again; each release is noted before its keys are kept.
async fn keys<S: Sites>(
    parts: &Parts<S>,
    memory: &Memory,
    case: &Case,
    footage: &Footage,
) -> Result<Vec<Key>, Pause> {
    let (camera, seqs) = (&footage.camera, footage.seqs());
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    for seqs in memory.keys_missing(&case.id, camera, &seqs).chunks(limits::KEYS_A_RELEASE) {
        let released = away::release_keys(parts, case, footage, seqs).await;
        let released = released.map_err(|e| Pause::site(&e, "release the keys"))?;
        for record in &released.transfer_records {
            let released = Step::KeysReleased {
                camera: camera.clone(),
                segments: seqs.len() as u64,
                transfer_sha256: record.digest(),
            };
            step(parts, &case.id, released).await?;
        }
        memory.keep_keys(&case.id, camera, seqs.iter().copied().zip(released.keys));
    }
    memory.keys(&case.id, camera, &seqs).ok_or_else(|| {
        Pause::site(
            &FleetError::Broken { site: camera.site().clone(), why: "some are missing".to_owned() },
            "release the keys",
        )
    })
}

/// Sites at once; each site one pull, its cameras in order.
async fn pull<S: Sites>(
    parts: &Parts<S>,
    memory: &Memory,
    case: &Case,
    footage: &[Footage],
) -> Result<(), Pause> {
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
                if memory.bytes_came(&case.id, all) {
                    parts.progress.set_detail(&case.id, "The footage is on its way.");
                }
            };
            away::pull(parts, case, site, wanted, &progress).await
        }
    });
    // Every pull runs to its own end: one site's trouble does not stop another's bytes.
    for pulled in join_all(pulls).await {
        pulled.map_err(|e| Pause::site(&e, "send the footage"))?;
    }
    Ok(())
}
