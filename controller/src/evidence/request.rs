//! What may be asked for: which cameras, which interval, for which purpose.

use std::collections::BTreeSet;

use custody::coverage::Span;
use custody::{CameraId, CaseId, WallTime};

use super::{Evidence, HoldState, text};
use crate::access::{Code, Purpose, Refusal};
use crate::limits;
use crate::log::Event;
use crate::log::event::cases::EvidenceRequested;
use crate::registry::Registry;

/// A request for footage, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOrder {
    /// Of these cameras.
    pub cameras: Vec<CameraId>,
    /// In this interval.
    pub span: Span,
    /// For this purpose.
    pub purpose: Purpose,
    /// Because.
    pub reason: String,
    /// The force's own reference; mandatory for `crime`.
    pub crime_reference: String,
}

/// What was decided: the new case and its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// Its reference.
    pub case: CaseId,
    /// The reason, trimmed.
    pub reason: String,
    /// The event.
    pub event: Event,
}

/// Decides on a request.
///
/// # Errors
/// `purpose-not-allowed`, `reason-missing`, `text-too-long`, `crime-reference-missing`,
/// `cameras-invalid`, `range-invalid`, `range-too-long`, `camera-unknown`, `site-revoked`,
/// `no-footage`.
pub fn decide(
    evidence: &Evidence,
    registry: &Registry,
    order: &RequestOrder,
    now: WallTime,
) -> Result<Requested, Refusal> {
    order.purpose.check_footage()?;
    let reason = text::reason(&order.reason)?;
    let crime_reference = text::bounded("the crime reference", &order.crime_reference)?;
    if order.purpose == Purpose::Crime && crime_reference.is_empty() {
        return Err(Refusal::new(
            Code::CrimeReferenceMissing,
            "the purpose is crime and no crime reference was given: add it",
        ));
    }
    check_span(order.span, now)?;
    let cameras = cameras(&order.cameras)?;
    for camera in &cameras {
        check_camera(registry, camera)?;
        check_age(evidence, camera, order.span, now)?;
    }
    let case = next_case(evidence, now);
    let event = Event::EvidenceRequested(EvidenceRequested {
        case: case.clone(),
        cameras,
        from: order.span.from,
        to: order.span.to,
        crime_reference,
    });
    Ok(Requested { case, reason, event })
}

/// Refuses an interval that no request may have.
///
/// # Errors
/// `range-invalid`, `range-too-long`.
pub fn check_span(span: Span, now: WallTime) -> Result<(), Refusal> {
    let Span { from, to } = span;
    if from >= to || from.0 < 0 {
        return Err(Refusal::new(
            Code::RangeInvalid,
            format!("the interval from {from} to {to} ends before it begins: swap the two"),
        ));
    }
    if to > now {
        return Err(Refusal::new(
            Code::RangeInvalid,
            format!("the interval ends at {to}, in the future (it is {now}): ask when it is over"),
        ));
    }
    if span.micros() > limits::REQUEST_SPAN_S_MAX * 1_000_000 {
        return Err(Refusal::new(
            Code::RangeTooLong,
            format!(
                "the interval from {from} to {to} is longer than {} h: make several requests",
                limits::REQUEST_SPAN_S_MAX / 3600
            ),
        ));
    }
    Ok(())
}

fn cameras(asked: &[CameraId]) -> Result<Vec<CameraId>, Refusal> {
    let distinct: BTreeSet<_> = asked.iter().cloned().collect();
    let bad = |why: String| Err(Refusal::new(Code::CamerasInvalid, why));
    if distinct.is_empty() {
        return bad("no camera was named: name at least one, like east/ext-01".to_owned());
    }
    if distinct.len() > limits::REQUEST_CAMERAS_MAX {
        return bad(format!(
            "{} cameras were named; one request has at most {}: make several requests",
            distinct.len(),
            limits::REQUEST_CAMERAS_MAX
        ));
    }
    Ok(distinct.into_iter().collect())
}

/// Refuses a camera that cannot be asked for.
///
/// # Errors
/// `camera-unknown`, `site-revoked`.
pub fn check_camera(registry: &Registry, camera: &CameraId) -> Result<(), Refusal> {
    if registry.camera(camera).is_none() {
        return Err(Refusal::new(
            Code::CameraUnknown,
            format!("no site has announced a camera {camera}: list the cameras to see their names"),
        ));
    }
    let site = camera.site();
    match registry.site(site) {
        Some(entry) if !entry.revoked => Ok(()),
        _ => Err(Refusal::new(
            Code::SiteRevoked,
            format!(
                "camera {camera} cannot be reached, since the certificates of site {site} have \
                 been ended: ask an administrator"
            ),
        )),
    }
}

/// Refuses an interval that is older than footage gets, unless a hold keeps all of it.
///
/// # Errors
/// `no-footage`.
pub fn check_age(
    evidence: &Evidence,
    camera: &CameraId,
    span: Span,
    now: WallTime,
) -> Result<(), Refusal> {
    let oldest = now.plus_seconds(-limits::RETENTION_S);
    let is_kept = |hold: &super::HoldEntry| {
        hold.camera == *camera
            && matches!(hold.state, HoldState::Placed { .. })
            && hold.span.from <= span.from
            && span.to <= hold.span.to
    };
    if span.from >= oldest || evidence.holds().any(is_kept) {
        return Ok(());
    }
    let next_step = if span.to > oldest {
        format!("ask from {oldest} on")
    } else {
        "ask whether a copy was kept for an earlier case".to_owned()
    };
    Err(Refusal::new(
        Code::NoFootage,
        format!(
            "footage of {camera} from {} has been erased: it is kept for {} days and no hold kept \
             it; {next_step}",
            span.from,
            limits::RETENTION_S / 86_400
        ),
    ))
}

fn next_case(evidence: &Evidence, now: WallTime) -> CaseId {
    let year = now.calendar().year();
    let number = evidence.case_numbers.get(&year).copied().unwrap_or(0) + 1;
    format!("WH-{year}-{number:06}").parse().expect("digits and hyphens make a case reference")
}
