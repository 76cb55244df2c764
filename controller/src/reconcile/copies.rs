//! Brings held footage to a second place at once: the controller's vault. In the background, at a
//! capped rate, behind the pulls of cases, resumable at every file; checked on arrival against the
//! signed root. When the last hold on a segment has ended, its copy goes too.

use std::io;

use custody::coverage::Span;
use custody::{HoldId, SiteId};
use host::telemetry::chain;

use super::driver::Rest;
use super::footage::Footage;
use super::memory::Memory;
use super::waiting::Reason;
use super::{Parts, Sites};
use crate::access::Actor;
use crate::evidence::hold::{CopyState, HoldStep};
use crate::evidence::{CaseState, HoldEntry, HoldState};
use crate::fleet::{FleetError, WantedSegment};
use crate::ledger::{Command, State};
use crate::limits;
use crate::vault::held::{self, HeldSegment, KeptKey};
use crate::vault::{Book, HeldFile, segment_name};

/// Why a copy does not go on now.
pub(super) enum Wait {
    /// For this, in words; looking again costs little.
    For(String),
    /// The try failed for this; the next is after a pause that grows.
    Failed(String),
    /// Nothing is left to do.
    Over,
}

impl Wait {
    pub(super) fn site(error: &FleetError, to_do: &str) -> Self {
        let what = Reason::site(error, to_do).what;
        match error {
            FleetError::Away { .. } => Self::For(what),
            FleetError::Refused { .. } | FleetError::Broken { .. } => Self::Failed(what),
        }
    }
}

impl From<io::Error> for Wait {
    fn from(error: io::Error) -> Self {
        Self::Failed(format!("the vault cannot be used: {}", chain(&error)))
    }
}

/// Whether there is something to copy or to delete.
pub(super) fn is_due(hold: &HoldEntry, book: &Book) -> bool {
    match (&hold.state, hold.copy) {
        (HoldState::Placed { .. }, CopyState::Open)
        | (HoldState::Released, CopyState::Whole { .. }) => true,
        // Ended before its copy was whole: what had come must go, too.
        (HoldState::Released, CopyState::Open) => !book.is_empty(&hold.id),
        _ => false,
    }
}

/// Copies what a standing hold keeps, or deletes the copy of one that has ended.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, memory: &Memory, id: &HoldId) -> Rest {
    let Ok(hold) = parts.ledger.read(|state| state.evidence.hold(id).cloned()) else {
        return Rest::No;
    };
    if !is_due(&hold, parts.copies.book()) {
        return Rest::No;
    }
    let done = match hold.state {
        HoldState::Placed { .. } => copy(parts, &hold).await,
        _ => delete(parts, &hold).await,
    };
    let (why, rest) = match done {
        Ok(()) | Err(Wait::Over) => {
            parts.copies.book().forget(id);
            memory.forget_copy(id);
            return Rest::No;
        }
        Err(Wait::For(why)) => (why, Rest::Needed),
        Err(Wait::Failed(why)) => {
            memory.copy_failed(id, parts.ledger.clock().tick());
            (why, Rest::No)
        }
    };
    tracing::debug!(hold = %id, why, "a hold's copy waits");
    parts.copies.book().waits(id, &why);
    rest
}

async fn copy<S: Sites>(parts: &Parts<S>, hold: &HoldEntry) -> Result<(), Wait> {
    after_cases(parts, hold.camera.site())?;
    let found = parts.sites.find(&hold.camera, hold.span).await;
    let found = found.map_err(|e| Wait::site(&e, "list the held footage"))?;
    let segments = held::segments(&found);
    let is_complete = Footage::new(hold.camera.clone(), found.clone())
        .is_complete(hold.span, parts.ledger.clock().now());
    // First, so that whatever comes is known to belong to a hold, and goes with it.
    let kept = HeldFile::of(&found);
    keep(parts, hold, kept.clone()).await?;
    bring(parts, hold, &segments).await?;
    if !is_complete {
        let why = "the last segment of the interval is still being recorded";
        return Err(Wait::Failed(why.to_owned()));
    }
    let (kept, transfers_sha256) = with_keys(parts, hold, kept, &segments).await?;
    keep(parts, hold, kept).await?;
    // Nothing is deleted between this look and the event.
    let _turn = parts.copies.settle().await;
    if missing(parts, hold, &segments).await?.is_empty() {
        let copied = HoldStep::Copied {
            segments: segments.len() as u64,
            bytes: segments.iter().map(|segment| segment.file_bytes).sum(),
            transfers_sha256,
        };
        note(parts, hold, copied).await
    } else {
        Err(Wait::For("a copied file is gone again; it is pulled anew".to_owned()))
    }
}

/// Pulls what is not here, a few files at a time.
async fn bring<S: Sites>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    segments: &[HeldSegment],
) -> Result<(), Wait> {
    loop {
        let wanted = missing(parts, hold, segments).await?;
        parts.copies.book().set(&hold.id, segments.len() - wanted.len(), segments.len());
        if wanted.is_empty() {
            return Ok(());
        }
        let stands = |state: &State| {
            let now = state.evidence.hold(&hold.id);
            now.is_ok_and(|hold| matches!(hold.state, HoldState::Placed { .. }))
        };
        if !parts.ledger.read(stands) {
            return Err(Wait::Over);
        }
        after_cases(parts, hold.camera.site())?;
        let batch: Vec<_> = wanted.into_iter().take(limits::COPY_FILES).collect();
        let bytes: u64 = batch.iter().map(|wanted| wanted.file_bytes).sum();
        let shelf = parts.copies.shelf().clone();
        let free = on_disc(move || shelf.free_bytes()).await?;
        if free < bytes.saturating_add(limits::VAULT_RESERVE_BYTES) {
            let free_mb = free >> 20;
            return Err(Wait::Failed(format!(
                "only {free_mb} MB are free in the vault: give it more space"
            )));
        }
        let pulled = parts.sites.copy(hold.camera.site(), &batch).await;
        pulled.map_err(|e| Wait::site(&e, "send the held footage"))?;
    }
}

/// Waits while a case's footage is being pulled from a site.
pub(super) fn after_cases<S>(parts: &Parts<S>, site: &SiteId) -> Result<(), Wait> {
    let pulling = parts.ledger.read(|state| {
        let mut cases = state.evidence.cases();
        let case = cases.find(|case| {
            matches!(case.state, CaseState::Pulling { .. })
                && case.cameras.iter().any(|camera| camera.site() == site)
        });
        case.map(|case| case.id.clone())
    });
    match pulling {
        Some(case) => Err(Wait::For(format!("the pull of {case} from the same site goes first"))),
        None => Ok(()),
    }
}

/// Which of a hold's files are not in the vault.
async fn missing<S>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    segments: &[HeldSegment],
) -> Result<Vec<WantedSegment>, Wait> {
    let (shelf, camera, segments) =
        (parts.copies.shelf().clone(), hold.camera.clone(), segments.to_vec());
    on_disc(move || {
        let mut missing = Vec::new();
        for HeldSegment { seq, root, file_bytes, .. } in segments {
            if shelf.bytes(&segment_name(&camera, seq, root))?.is_none() {
                missing.push(WantedSegment { camera: camera.clone(), seq, file_bytes, root });
            }
        }
        Ok(missing)
    })
    .await
}

/// The keys of a hold's segments, wrapped, with the digests of the site's transfer records.
async fn with_keys<S: Sites>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    kept: HeldFile,
    segments: &[HeldSegment],
) -> Result<(HeldFile, Vec<custody::Digest>), Wait> {
    let (mut keys, mut transfers) = (Vec::new(), Vec::new());
    for some in segments.chunks(limits::KEYS_A_RELEASE) {
        let seqs: Vec<_> = some.iter().map(|segment| segment.seq).collect();
        let case = hold.case_or_own_name();
        let released = parts.sites.release_keys(&case, &hold.camera, &seqs).await;
        let released = released.map_err(|e| Wait::site(&e, "release the keys"))?;
        for (HeldSegment { seq, root, .. }, key) in some.iter().zip(&released.keys) {
            let wrapped = parts.copies.wrap(&hold.camera, *seq, *root, key);
            keys.push(KeptKey { seq: *seq, wrapped: hex::encode(wrapped) });
        }
        transfers.extend(released.transfer_records);
    }
    let digests = transfers.iter().map(custody::dsse::Envelope::digest).collect();
    Ok((kept.with_keys(keys, &transfers), digests))
}

async fn keep<S>(parts: &Parts<S>, hold: &HoldEntry, kept: HeldFile) -> Result<(), Wait> {
    let (vault, id) = (parts.copies.clone(), hold.id.clone());
    on_disc(move || vault.keep_held(&id, &kept)).await
}

/// Deletes the keys and records of a hold that has ended, and the files that no other hold needs.
async fn delete<S: Sites>(parts: &Parts<S>, hold: &HoldEntry) -> Result<(), Wait> {
    let _turn = parts.copies.settle().await;
    let others: Vec<Span> = parts.ledger.read(|state| {
        let holds = state.evidence.holds();
        holds
            .filter(|other| other.id != hold.id && other.camera == hold.camera)
            .filter(|other| other.state.stands())
            .map(|other| other.span)
            .collect()
    });
    let (vault, camera, id) = (parts.copies.clone(), hold.camera.clone(), hold.id.clone());
    let deleted = on_disc(move || {
        let (mut segments, mut bytes) = (0, 0);
        let Some(held) = vault.held(&id)? else { return Ok(None) };
        for segment in held.segments()? {
            if others.iter().any(|other| other.overlaps(segment.span)) {
                continue;
            }
            vault.shelf().remove(&segment_name(&camera, segment.seq, segment.root))?;
            (segments, bytes) = (segments + 1, bytes + segment.file_bytes);
        }
        vault.shelf().remove(&crate::vault::held_name(&id))?;
        Ok(Some((segments, bytes)))
    })
    .await?;
    match deleted {
        None if hold.copy == CopyState::Open => {
            parts.copies.book().set_empty(&hold.id);
            Ok(())
        }
        deleted => {
            let (segments, bytes) = deleted.unwrap_or_default();
            note(parts, hold, HoldStep::CopyDeleted { segments, bytes }).await
        }
    }
}

pub(super) async fn note<S>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    step: HoldStep,
) -> Result<(), Wait> {
    let command = Command::StepHold { hold: hold.id.clone(), step };
    match parts.ledger.send(Actor::Controller, command).await {
        Ok(_) => Ok(()),
        // It has ended meanwhile; the next pass sees how.
        Err(refusal) => Err(Wait::Failed(refusal.to_string())),
    }
}

pub(super) async fn on_disc<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Wait> {
    let done = tokio::task::spawn_blocking(act).await;
    Ok(done.map_err(|_| Wait::For("the controller is stopping".to_owned()))??)
}
