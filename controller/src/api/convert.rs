//! Our types to the wire's, and back. Generated types stop here.

use custody::coverage::Span;
use custody::record::{LegalBasis, MopiGroup};
use custody::{PersonId, WallTime};
use proto::v1;

use super::door::name;
use crate::access::{Code, Refusal, Role};
use crate::evidence::hold::warning::{self, SiteIs};
use crate::evidence::hold::{Asked, CopyState, GuestState, HoldOrder};
use crate::evidence::{Case, CaseState, HoldEntry, HoldState, RequestOrder};
use crate::log::Stored;
use crate::log::key::entry;
use crate::reconcile::progress::CaseProgress;
use crate::registry::Account;
use crate::vault::book::Copying;

/// Reads a request for footage.
///
/// # Errors
/// `name-invalid`, `purpose-unknown`.
pub fn request_order(wire: &v1::RequestEvidenceRequest) -> Result<RequestOrder, Refusal> {
    Ok(RequestOrder {
        cameras: wire.cameras.iter().map(|camera| name(camera)).collect::<Result<_, _>>()?,
        span: Span { from: WallTime(wire.from_us), to: WallTime(wire.to_us) },
        purpose: wire.purpose.parse()?,
        reason: wire.reason.clone(),
        crime_reference: wire.crime_reference.clone(),
    })
}

/// Reads an order to keep footage.
///
/// # Errors
/// `name-invalid`, `purpose-unknown`, `grounds-unknown`.
pub fn hold_order(wire: &v1::PlaceHoldOrder) -> Result<HoldOrder, Refusal> {
    let case = match wire.case_ref.as_str() {
        "" => None,
        case => Some(name(case)?),
    };
    let site = match wire.site.as_str() {
        "" => None,
        site => Some(name(site)?),
    };
    Ok(HoldOrder {
        cameras: wire.cameras.iter().map(|camera| name(camera)).collect::<Result<_, _>>()?,
        site,
        grounds: grounds(wire)?,
        span: Span { from: WallTime(wire.from_us), to: WallTime(wire.to_us) },
        purpose: wire.purpose.parse()?,
        reason: wire.reason.clone(),
        case,
    })
}

fn grounds(wire: &v1::PlaceHoldOrder) -> Result<Asked, Refusal> {
    let unknown = |what: String| Refusal::new(Code::GroundsUnknown, what);
    let basis = match wire.basis.as_str() {
        "" => None,
        text => Some(LegalBasis::read(text).ok_or_else(|| {
            let known = LegalBasis::ALL.map(LegalBasis::as_str).join(", ");
            unknown(format!("`{text:.40}` is no legal basis: use one of {known}"))
        })?),
    };
    let mopi_group = match wire.mopi_group {
        0 => None,
        number => {
            let group = u8::try_from(number).ok().and_then(MopiGroup::new);
            Some(group.ok_or_else(|| unknown(format!("{number} is no MoPI group: use 1 to 4")))?)
        }
    };
    let review_at = (wire.review_us != 0).then_some(WallTime(wire.review_us));
    Ok(Asked { basis, mopi_group, review_at })
}

/// Reads roles.
///
/// # Errors
/// `role-unknown`.
pub fn roles(wire: &[String]) -> Result<std::collections::BTreeSet<Role>, Refusal> {
    wire.iter().map(|role| role.parse()).collect()
}

/// A case, and how it is doing.
#[must_use]
pub fn case(case: &Case, progress: CaseProgress) -> v1::Case {
    let mut wire = v1::Case {
        case_ref: case.id.to_string(),
        state: case.state.as_str().to_owned(),
        cameras: case.cameras.iter().map(ToString::to_string).collect(),
        from_us: case.span.from.0,
        to_us: case.span.to.0,
        purpose: case.purpose.to_string(),
        reason: case.reason.clone(),
        crime_reference: case.crime_reference.clone(),
        requested_by: case.requested_by.to_string(),
        requested_us: case.requested_at.0,
        ..v1::Case::default()
    };
    if let Some(decision) = &case.decision {
        wire.decided_by = decision.by.to_string();
        wire.decided_us = decision.at.0;
        wire.decision_reason.clone_from(&decision.reason);
    }
    match &case.state {
        CaseState::Requested => "waits for an authoriser".clone_into(&mut wire.detail),
        CaseState::Refused => {}
        CaseState::Approved | CaseState::Held => wire.detail = progress.detail,
        CaseState::Pulling { bytes, .. } => {
            wire.bytes_to_pull = *bytes;
            wire.bytes_pulled = progress.bytes_pulled;
            wire.detail = progress.detail;
        }
        CaseState::Bundled(bundled) => {
            wire.bundled_us = bundled.at.0;
            wire.bundle_bytes = bundled.bytes;
            wire.verdict.clone_from(&bundled.verdict);
            wire.coverage_per_cent = f64::from(bundled.coverage_basis_points) / 100.0;
            wire.detail.clone_from(&bundled.detail);
        }
        CaseState::Failed { code, detail } => wire.detail = format!("{code}: {detail}"),
    }
    wire
}

/// A hold, how its site is, and how far its copies have come: the vault's, and another site's.
#[must_use]
pub fn hold(hold: &HoldEntry, site: SiteIs, copying: &[Copying; 2], now: WallTime) -> v1::Hold {
    let [copying, guest] = copying;
    let (segments, erased) = match hold.state {
        HoldState::Placed { segments, erased } => (segments, erased),
        _ => (0, 0),
    };
    let (copied, to_copy) = match hold.copy {
        CopyState::Open => (copying.copied, copying.to_copy),
        CopyState::Whole { segments } => {
            let segments = u32::try_from(segments).unwrap_or(u32::MAX);
            (segments, segments)
        }
        CopyState::Deleted => (0, 0),
    };
    let warned = warning::of(hold, site, now).map(|warning| warning.detail);
    let waits = || (!copying.waits.is_empty()).then(|| format!("copy waits: {}", copying.waits));
    let also_at = hold.guest.site().map(ToString::to_string).unwrap_or_default();
    let (also_copied, also_to_copy) = match &hold.guest {
        GuestState::None | GuestState::Begun { .. } => (guest.copied, guest.to_copy),
        GuestState::Whole { segments, .. } => {
            let segments = u32::try_from(*segments).unwrap_or(u32::MAX);
            (segments, segments)
        }
        GuestState::Deleted => (0, 0),
    };
    let guest_waits = || {
        let waits = &guest.waits;
        (!waits.is_empty()).then(|| format!("copy at another site waits: {waits}"))
    };
    v1::Hold {
        order: hold.order.to_string(),
        basis: hold.grounds.map(|it| it.basis.as_str().to_owned()).unwrap_or_default(),
        mopi_group: hold.grounds.map_or(0, |it| it.mopi_group.number().into()),
        review_us: hold.grounds.map_or(0, |it| it.review_at.0),
        is_due: hold.is_due(now),
        segments,
        erased,
        copied,
        to_copy,
        expires_us: warning::expires(hold).map_or(0, |at| at.0),
        also_at,
        also_copied,
        also_to_copy,
        detail: warned.or_else(waits).or_else(guest_waits).unwrap_or_default(),
        hold: hold.id.to_string(),
        case_ref: hold.case.as_ref().map(ToString::to_string).unwrap_or_default(),
        camera: hold.camera.to_string(),
        from_us: hold.span.from.0,
        to_us: hold.span.to.0,
        state: hold.state.as_str().to_owned(),
        ordered_by: hold.ordered_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        ordered_us: hold.ordered_at.0,
        purpose: hold.purpose.map(|purpose| purpose.to_string()).unwrap_or_default(),
        reason: hold.reason.clone(),
    }
}

/// An account, without its token.
#[must_use]
pub fn person(person: &PersonId, account: &Account) -> v1::Person {
    v1::Person {
        person: person.to_string(),
        roles: account.roles.iter().map(ToString::to_string).collect(),
        suspended: account.suspended,
    }
}

/// An entry of the log, whole.
#[must_use]
pub fn audit_entry(stored: &Stored) -> v1::AuditEntry {
    v1::AuditEntry {
        position: stored.position,
        at_us: stored.at.0,
        actor: stored.actor.to_string(),
        event: stored.body.name().to_owned(),
        object: stored.body.object(),
        purpose: stored.purpose.map(|purpose| purpose.to_string()).unwrap_or_default(),
        reason: stored.reason.clone(),
        json: String::from_utf8_lossy(&entry::value(stored)).into_owned(),
    }
}
