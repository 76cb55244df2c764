//! What the vault has of a case whose site is away, or has burned: the records of its held interval,
//! and the keys that the site gave for the copy. The sealed files need no site once they are here; those
//! that the vault has lost come back from the other site that keeps them.

use custody::coverage::Span;
use custody::sealing::Key;
use custody::{CameraId, Seq, SiteId};

use super::footage::Footage;
use super::{Parts, Sites};
use crate::evidence::Case;
use crate::fleet::{FleetError, Found, ReleasedKeys, WantedSegment};
use crate::ledger::State;
use crate::vault::HeldFile;

/// What the site finds; what the vault has, where the site is away.
pub(super) async fn find<S: Sites>(
    parts: &Parts<S>,
    case: &Case,
    camera: &CameraId,
) -> Result<Found, FleetError> {
    let away = match parts.sites.find(camera, case.span).await {
        Err(away @ FleetError::Away { .. }) => away,
        found => return found,
    };
    let kept = kept(parts, case, camera).await;
    let mut found = kept.and_then(|kept| kept.found().ok()).ok_or(away)?;
    // The hold may reach further than the case: no more is disclosed than was asked for.
    found.records.retain(|found| {
        let span = found.record.link().map(|link| Span { from: link.start, to: link.end });
        span.is_some_and(|span| span.overlaps(case.span))
    });
    Ok(found)
}

/// Pulls what is not here from the site; from the other site that keeps a copy, where the site is away
/// or has lost it.
pub(super) async fn pull<S: Sites>(
    parts: &Parts<S>,
    case: &Case,
    site: &SiteId,
    wanted: &[WantedSegment],
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), FleetError> {
    let error = match parts.sites.pull(site, wanted, progress).await {
        Err(error @ (FleetError::Away { .. } | FleetError::Refused { .. })) => error,
        pulled => return pulled,
    };
    let mut has_come = false;
    for camera in case.cameras.iter().filter(|camera| camera.site() == site) {
        let keeps = |state: &State| {
            let mut holds = state.evidence.holds().filter(|hold| hold.copies(camera, case.span));
            holds.find_map(|hold| hold.guest.whole_at().cloned())
        };
        let Some(keeper) = parts.ledger.read(keeps) else { continue };
        let of_camera = wanted.iter().filter(|wanted| wanted.camera == *camera).cloned();
        let of_camera: Vec<_> = of_camera.collect();
        tracing::warn!(%camera, %keeper, "footage of a case comes from the other site that keeps it");
        parts.sites.bring_back(&keeper, &of_camera).await?;
        has_come = true;
    }
    // Whatever nobody else keeps is still missing, and the site is still away.
    if has_come { parts.sites.pull(site, wanted, progress).await } else { Err(error) }
}

/// The keys of segments from the site; from the vault, where the site does not give them: it is
/// away, or has just come back and has no hold of the case yet.
pub(super) async fn release_keys<S: Sites>(
    parts: &Parts<S>,
    case: &Case,
    footage: &Footage,
    seqs: &[Seq],
) -> Result<ReleasedKeys, FleetError> {
    let camera = &footage.camera;
    match parts.sites.release_keys(&case.id, camera, seqs).await {
        Ok(released) => Ok(released),
        Err(error) => {
            let kept = kept(parts, case, camera).await;
            kept.and_then(|kept| open(parts, footage, &kept, seqs)).ok_or(error)
        }
    }
}

fn open<S>(
    parts: &Parts<S>,
    footage: &Footage,
    kept: &HeldFile,
    seqs: &[Seq],
) -> Option<ReleasedKeys> {
    let key = |seq: &Seq| -> Option<Key> {
        let wanted = footage.wanted().find(|wanted| wanted.seq == *seq)?;
        let kept = kept.keys.iter().find(|kept| kept.seq == *seq)?;
        let wrapped = hex::decode(&kept.wrapped).ok()?;
        parts.copies.unwrap(&footage.camera, *seq, wanted.root, &wrapped).ok()
    };
    let keys = seqs.iter().map(key).collect::<Option<_>>()?;
    Some(ReleasedKeys { keys, transfer_records: kept.transfers().ok()? })
}

/// What is kept of a hold whose whole copy covers the case's interval of a camera.
async fn kept<S>(parts: &Parts<S>, case: &Case, camera: &CameraId) -> Option<HeldFile> {
    let hold = parts.ledger.read(|state| {
        let mut holds = state.evidence.holds();
        holds.find(|hold| hold.copies(camera, case.span)).map(|hold| hold.id.clone())
    })?;
    let vault = parts.copies.clone();
    let read = tokio::task::spawn_blocking(move || vault.held(&hold)).await;
    read.ok()?.inspect_err(|error| tracing::error!(%error, "the vault cannot be read")).ok()?
}

/// Whether the site of a camera is away and the vault has what a case asks of it.
pub(super) async fn stands_in<S: Sites>(parts: &Parts<S>, case: &Case, camera: &CameraId) -> bool {
    let is_copied = parts.ledger.read(|state| {
        let mut holds = state.evidence.holds();
        holds.any(|hold| hold.copies(camera, case.span))
    });
    is_copied && matches!(parts.sites.find(camera, case.span).await, Err(FleetError::Away { .. }))
}
