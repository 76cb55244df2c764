//! Makes the bundle and lets the stand-alone verifier check it, exactly as a stranger would.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody::sealing::Key;
use custody::{Digest, SiteId};

use super::cases::Pause;
use super::footage::Footage;
use super::waiting::Reason;
use super::{Parts, Proving, Sites};
use crate::bundle::proof::{Proofs, SiteProof};
use crate::bundle::{self, AuditEntry, BundleError, CameraPart, Order, SegmentPart, Signer};
use crate::evidence::Case;
use crate::evidence::case::Step;
use crate::ledger::Ledger;
use crate::limits;
use crate::registry::Authority;
use crate::vault::segment_name;

/// A camera's footage and the keys of its segments, in order.
pub(super) struct Part {
    pub(super) footage: Footage,
    pub(super) keys: Vec<Key>,
}

/// The bundle cannot be made of what there is.
pub const BUNDLE_IMPOSSIBLE: &str = "bundle-impossible";
const VERIFIED: &str = "verified";

/// Makes and checks the bundle on a blocking thread; gives the step that says so.
pub(super) async fn bind<S: Sites>(
    parts: &Parts<S>,
    case: &Case,
    ready: Vec<Part>,
) -> Result<Step, Pause> {
    if let Some(proving) = &parts.proving {
        let waits = "The footage is here; the bundle waits, half a minute at most, for witnesses.";
        parts.progress.set_detail(&case.id, waits);
        if !proving.wait(&parts.ledger, &ready).await {
            tracing::warn!(case = %case.id, "a bundle is made before enough witnesses have cosigned");
        }
    }
    let making = "The footage is here; the bundle is being made and checked.";
    parts.progress.set_detail(&case.id, making);
    let binding = Binding {
        ledger: parts.ledger.clone(),
        authority: parts.authority.clone(),
        vault: parts.vault.clone(),
        proving: parts.proving.clone(),
        signer: parts.signer.clone(),
        case: case.clone(),
    };
    match tokio::task::spawn_blocking(move || bind_now(&binding, ready)).await {
        Ok(bound) => bound,
        Err(error) => {
            Err(Pause::Failed(Reason::disc(format!("making the bundle broke off: {error}"))))
        }
    }
}

/// What a bundle is made of, on a thread of its own.
struct Binding {
    ledger: Ledger,
    authority: Arc<Authority>,
    vault: PathBuf,
    proving: Option<Arc<Proving>>,
    signer: Option<Signer>,
    case: Case,
}

fn bind_now(binding: &Binding, ready: Vec<Part>) -> Result<Step, Pause> {
    let Binding { ledger, authority, vault, case, .. } = binding;
    let audit = audit(ledger, case)?;
    let proofs = proofs(binding, &audit, &ready)?;
    // A case has one bundle, made anew until it is whole.
    let exhibit = format!("{}/1", case.id);
    let order = Order {
        case: &case.id,
        exhibit: &exhibit,
        cameras: ready.into_iter().map(|part| camera_part(part, vault)).collect(),
        span: case.span,
        request_json: request_json(case),
        audit,
        proofs,
        signer: binding.signer.clone(),
        authority: authority.secret(),
        now: ledger.clock().now(),
    };
    let bundles = vault.join("bundles");
    host::durable::create_folder(&bundles).map_err(|e| {
        let what = format!("the bundle cannot be written to {}: {e}", bundles.display());
        Pause::Failed(Reason::disc(what))
    })?;
    let folder = bundles.join(case.id.as_str());
    let built = bundle::build(&order, &folder).map_err(|error| unbuilt(&error, &order))?;
    let report = verifier::verify(&folder, &authority.public());
    let verdict = report.verdict();
    let detail = report.refusals.first().map(ToString::to_string).unwrap_or_default();
    if verdict == VERIFIED {
        tracing::info!(case = %case.id, bytes = built.bytes, "bundle made and verified");
    } else {
        tracing::warn!(case = %case.id, verdict, detail, "bundle made; the verifier refuses it");
    }
    let footage: i64 = report.cameras.iter().map(|c| c.coverage.footage_us).sum();
    let asked: i64 = report.cameras.iter().map(|c| c.coverage.asked.micros()).sum();
    let basis_points = footage.saturating_mul(10_000) / asked.max(1);
    Ok(Step::Bundled {
        bytes: built.bytes,
        verdict: verdict.to_owned(),
        detail: detail.chars().take(limits::TEXT_CHARS_MAX).collect(),
        coverage_basis_points: u32::try_from(basis_points).unwrap_or(0),
    })
}

/// What the case's records and events lead back to.
fn proofs(binding: &Binding, audit: &[AuditEntry], ready: &[Part]) -> Result<Proofs, Pause> {
    let Binding { ledger, authority, case, .. } = binding;
    let unread = |error: Box<dyn std::error::Error + Send + Sync>| {
        Pause::Failed(Reason::disc(format!("the proofs of the bundle cannot be read: {error}")))
    };
    let sites: BTreeSet<_> = case.cameras.iter().map(custody::CameraId::site).collect();
    let mut proofs = Proofs::default();
    for site in sites {
        let grants = ledger.read(|state| {
            let entry = state.registry.site(site);
            entry.map(|entry| authority.grants(site, entry)).unwrap_or_default()
        });
        let proof = match &binding.proving {
            Some(proving) => proving.of_site(site, grants, ready).map_err(unread)?,
            None => SiteProof::of_grants(SiteId::clone(site), grants),
        };
        proofs.sites.push(proof);
    }
    if let Some(proving) = &binding.proving {
        proofs.controller = proving.of_controller(ledger, authority, audit).map_err(unread)?;
    }
    Ok(proofs)
}

fn camera_part(part: Part, vault: &Path) -> CameraPart {
    let Part { footage, keys } = part;
    let segments = footage.wanted().zip(keys).map(|(wanted, key)| SegmentPart {
        seq: wanted.seq,
        sealed_path: vault.join(segment_name(&wanted.camera, wanted.seq, wanted.root)),
        key,
    });
    CameraPart {
        segments: segments.collect(),
        records: footage.records.into_iter().map(|f| (f.envelope, f.record)).collect(),
        camera: footage.camera,
    }
}

fn unbuilt(error: &BundleError, order: &Order<'_>) -> Pause {
    match error {
        BundleError::Segment { camera, seq, .. } => {
            // Not as signed: pulled anew next time.
            let of_camera = order.cameras.iter().filter(|part| part.camera == *camera);
            let mut segments = of_camera.flat_map(|part| &part.segments);
            let path = segments.find(|part| part.seq == *seq).map(|part| part.sealed_path.clone());
            let path = path.unwrap_or_default();
            tracing::warn!(%camera, %seq, %error, "a pulled file is not as signed");
            match host::durable::remove(&path) {
                Ok(()) => Pause::Failed(Reason::file(camera, *seq)),
                Err(e) => Pause::Failed(Reason::disc(format!(
                    "the pulled file of {camera} segment {seq} is not as signed, and {} cannot be \
                     removed: {e}",
                    path.display()
                ))),
            }
        }
        BundleError::Io { source, .. } => {
            tracing::error!(%error, %source, "a bundle cannot be written");
            let what = format!("the bundle cannot be made, the controller {error}: {source}");
            Pause::Failed(Reason::disc(what))
        }
        BundleError::Order { .. } | BundleError::Media { .. } => {
            Pause::Fails { code: BUNDLE_IMPOSSIBLE, detail: error.to_string() }
        }
    }
}

fn request_json(case: &Case) -> Vec<u8> {
    let decision = case.decision.as_ref().map(|decision| {
        serde_json::json!({
            "by": decision.by,
            "at": decision.at,
            "reason": decision.reason,
        })
    });
    let request = serde_json::json!({
        "case": case.id,
        "cameras": case.cameras,
        "from": case.span.from,
        "to": case.span.to,
        "purpose": case.purpose,
        "reason": case.reason,
        "crime_reference": case.crime_reference,
        "requested_by": case.requested_by,
        "requested_at": case.requested_at,
        "approval": decision,
    });
    let mut text = serde_json::to_vec_pretty(&request).unwrap_or_default();
    text.push(b'\n');
    text
}

/// The case's own events, each as it lies in the log.
fn audit(ledger: &Ledger, case: &Case) -> Result<Vec<AuditEntry>, Pause> {
    let mut lines = Vec::new();
    let mut from = case.position;
    loop {
        let entries = ledger
            .entries(from, limits::READ_ENTRIES)
            .map_err(|refusal| Pause::refused(&refusal))?;
        for stored in entries.iter().filter(|stored| stored.body.case() == Some(&case.id)) {
            let position = stored.position;
            let body = ledger.body(position).map_err(|refusal| Pause::refused(&refusal))?;
            lines.push(AuditEntry { position, salt: Some(Digest(body.salt)), body: body.bytes });
        }
        match entries.last() {
            Some(last) if entries.len() == limits::READ_ENTRIES => from = last.position + 1,
            _ => return Ok(lines),
        }
    }
}
