//! Holds: footage kept beyond its time, for a case or before there is one.

use custody::coverage::Span;
use custody::{CameraId, CaseId, HoldId, PersonId, WallTime};

use super::case::Case;
use super::{Evidence, request, text};
use crate::access::{Code, Purpose, Refusal};
use crate::log::event::holds::{
    HoldOrdered, HoldPlaced, HoldRefused, HoldReleaseOrdered, HoldReleased,
};
use crate::log::{Event, Stored, Stream};
use crate::registry::Registry;

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEntry {
    /// Its name.
    pub id: HoldId,
    /// For this case; none where no case needs it yet.
    pub case: Option<CaseId>,
    /// Of this camera.
    pub camera: CameraId,
    /// In this interval.
    pub span: Span,
    /// Who ordered it; none when it follows from an approval that the log has lost.
    pub ordered_by: Option<PersonId>,
    /// When.
    pub ordered_at: WallTime,
    /// For this purpose.
    pub purpose: Option<Purpose>,
    /// Because.
    pub reason: String,
    /// How far it has come.
    pub state: HoldState,
    /// Where its events are.
    pub stream: Stream,
}

/// How far a hold has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldState {
    /// The site is to keep the footage.
    Ordered,
    /// The site keeps it.
    Placed {
        /// Segments held when it was placed.
        segments: u32,
    },
    /// The site will not.
    Refused {
        /// Why not.
        why: String,
    },
    /// The site need keep it no longer.
    ReleaseOrdered,
    /// The site keeps it no longer.
    Released,
}

impl HoldState {
    /// The state as it is written.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Placed { .. } => "placed",
            Self::Refused { .. } => "refused",
            Self::ReleaseOrdered => "release-ordered",
            Self::Released => "released",
        }
    }
}

impl HoldEntry {
    /// The case that the site's record of the hold names: its own name where it has none.
    ///
    /// # Panics
    /// Never: every name of a hold is also a case reference.
    #[must_use]
    pub fn case_or_own_name(&self) -> CaseId {
        self.case.clone().unwrap_or_else(|| {
            self.id.as_str().parse().expect("holds and cases are named by the same rule")
        })
    }
}

/// An order to keep footage, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// Of this camera.
    pub camera: CameraId,
    /// In this interval.
    pub span: Span,
    /// For this purpose.
    pub purpose: Purpose,
    /// Because.
    pub reason: String,
    /// For this case, if there is one.
    pub case: Option<CaseId>,
}

/// What the sites did about a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldStep {
    /// The site keeps the footage.
    Placed {
        /// So many segments now.
        segments: u32,
    },
    /// The site will not.
    Refused {
        /// Why not.
        why: String,
    },
    /// The site keeps it no longer.
    Released,
}

/// Decides to keep footage. Gives the hold's name, the reason and the event.
///
/// # Errors
/// As [`request::decide`]; `case-unknown`.
pub fn place(
    evidence: &Evidence,
    registry: &Registry,
    order: &HoldOrder,
    now: WallTime,
) -> Result<(HoldId, String, Event), Refusal> {
    order.purpose.check_footage()?;
    let reason = text::reason(&order.reason)?;
    request::check_span(order.span, now)?;
    request::check_camera(registry, &order.camera)?;
    request::check_age(evidence, &order.camera, order.span, now)?;
    if let Some(case) = &order.case {
        evidence.case(case)?;
    }
    let year = now.calendar().year();
    let number = evidence.hold_numbers.get(&year).copied().unwrap_or(0) + 1;
    let hold: HoldId =
        format!("H-{year}-{number:06}").parse().expect("digits and hyphens make a hold's name");
    let event = Event::HoldOrdered(HoldOrdered {
        hold: hold.clone(),
        case: order.case.clone(),
        camera: order.camera.clone(),
        from: order.span.from,
        to: order.span.to,
    });
    Ok((hold, reason, event))
}

/// The holds that an approved case needs: one a camera.
pub(super) fn order_for_case(case: &Case) -> impl Iterator<Item = Event> + '_ {
    case.cameras.iter().enumerate().map(|(index, camera)| {
        let name = format!("{}-{:02}", case.id, index + 1);
        Event::HoldOrdered(HoldOrdered {
            hold: name.parse().expect("a case reference and two digits make a hold's name"),
            case: Some(case.id.clone()),
            camera: camera.clone(),
            from: case.span.from,
            to: case.span.to,
        })
    })
}

/// Decides to end a hold.
///
/// # Errors
/// `hold-state` (already ended), `case-state` (its case still needs it), `reason-missing`,
/// `text-too-long`.
pub fn release(
    evidence: &Evidence,
    hold: &HoldEntry,
    reason: &str,
) -> Result<(String, Vec<Event>), Refusal> {
    let reason = text::reason(reason)?;
    if let Some(case) = hold.case.as_ref().and_then(|case| evidence.cases.get(case))
        && !case.state.is_final()
    {
        return Err(Refusal::new(
            Code::CaseState,
            format!(
                "hold {} is needed by {}, which is {}: wait until it is bundled or failed",
                hold.id,
                case.id,
                case.state.as_str()
            ),
        ));
    }
    match release_event(hold) {
        Some(event) => Ok((reason, vec![event])),
        None => Err(Refusal::new(
            Code::HoldState,
            format!("hold {} is {}: nothing is left to end", hold.id, hold.state.as_str()),
        )),
    }
}

/// The event that ends a hold, if it has not ended.
pub(super) fn release_event(hold: &HoldEntry) -> Option<Event> {
    let event = HoldReleaseOrdered { hold: hold.id.clone(), case: hold.case.clone() };
    match hold.state {
        HoldState::Ordered | HoldState::Placed { .. } => Some(Event::HoldReleaseOrdered(event)),
        HoldState::Refused { .. } | HoldState::ReleaseOrdered | HoldState::Released => None,
    }
}

/// Decides that a site did something about a hold.
///
/// # Errors
/// `hold-state`, when it was not asked to.
pub fn step(hold: &HoldEntry, step: &HoldStep) -> Result<Vec<Event>, Refusal> {
    let (id, case) = (hold.id.clone(), hold.case.clone());
    match (step, &hold.state) {
        (HoldStep::Placed { segments }, HoldState::Ordered) => {
            Ok(vec![Event::HoldPlaced(HoldPlaced { hold: id, case, segments: *segments })])
        }
        (HoldStep::Refused { why }, HoldState::Ordered) => {
            Ok(vec![Event::HoldRefused(HoldRefused { hold: id, case, why: why.clone() })])
        }
        (HoldStep::Released, HoldState::ReleaseOrdered) => {
            Ok(vec![Event::HoldReleased(HoldReleased { hold: id, case })])
        }
        _ => Err(Refusal::new(
            Code::HoldState,
            format!("hold {id} is {}, which is not where this begins", hold.state.as_str()),
        )),
    }
}

pub(super) fn apply_ordered(evidence: &mut Evidence, event: &HoldOrdered, at: &Stored) {
    if at.stream == Stream::hold(&event.hold) {
        *evidence.hold_numbers.entry(at.at.calendar().year()).or_default() += 1;
    }
    let entry = HoldEntry {
        id: event.hold.clone(),
        case: event.case.clone(),
        camera: event.camera.clone(),
        span: Span { from: event.from, to: event.to },
        ordered_by: at.actor.account().cloned(),
        ordered_at: at.at,
        purpose: at.purpose,
        reason: at.reason.clone(),
        state: HoldState::Ordered,
        stream: at.stream.clone(),
    };
    evidence.holds.insert(event.hold.clone(), entry);
}

pub(super) fn apply_state(evidence: &mut Evidence, hold: &HoldId, state: HoldState) {
    if let Some(hold) = evidence.holds.get_mut(hold) {
        hold.state = state;
    }
}
