//! Holds: footage kept beyond its time, for a case or before there is one. One order may name
//! several cameras; each gets its own hold, under the order's name.
//!
//! | file | holds |
//! |---|---|
//! | [`grounds`] | by which law, and when to look again |
//! | [`guest`] | its copy at another site |
//! | [`warning`] | what people must see to, in words |

use custody::coverage::Span;
use custody::record::Grounds;
use custody::{CameraId, CaseId, Digest, HoldId, PersonId, SiteId, WallTime};

use super::case::Case;
use super::{Evidence, request, text};
use crate::access::{Code, Purpose, Refusal};
use crate::limits;
use crate::log::event::holds::{
    HoldCopied, HoldCopyDeleted, HoldOrdered, HoldPlaced, HoldRefused, HoldReleaseOrdered,
    HoldReleased,
};
use crate::log::{Event, Stored, Stream};
use crate::registry::Registry;

pub mod grounds;
pub mod guest;
pub mod warning;

pub use grounds::Asked;
pub use guest::{GuestState, GuestStep};

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEntry {
    /// Its name.
    pub id: HoldId,
    /// The order that it came with; its own name where it came alone.
    pub order: HoldId,
    /// For this case; none where no case needs it yet.
    pub case: Option<CaseId>,
    /// Of this camera.
    pub camera: CameraId,
    /// In this interval.
    pub span: Span,
    /// Why it may be kept; none for those from before holds had grounds.
    pub grounds: Option<Grounds>,
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
    /// The copy in the vault.
    pub copy: CopyState,
    /// The copy at another site.
    pub guest: GuestState,
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
        /// Segments erased by then.
        erased: u32,
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

/// What the vault has of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyState {
    /// Not all of it.
    #[default]
    Open,
    /// All of it, checked.
    Whole {
        /// Sealed files.
        segments: u64,
    },
    /// Nothing any more.
    Deleted,
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

    /// Whether footage under it must be kept, here and at the site.
    #[must_use]
    pub fn stands(&self) -> bool {
        match self {
            Self::Ordered | Self::Placed { .. } | Self::ReleaseOrdered => true,
            Self::Refused { .. } | Self::Released => false,
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

    /// The grounds that the site's record names: what they were, or what they would be by the
    /// purpose, for a hold from before holds had grounds.
    #[must_use]
    pub fn grounds_or_usual(&self) -> Grounds {
        let usual = || {
            let purpose = self.purpose.unwrap_or(Purpose::Crime);
            let usual = grounds::decide(Asked::default(), purpose, self.ordered_at);
            usual.expect("the latest review of a group lies within its time")
        };
        self.grounds.unwrap_or_else(usual)
    }

    /// Whether the vault has all of an interval of a camera, under this hold.
    #[must_use]
    pub fn copies(&self, camera: &CameraId, span: Span) -> bool {
        let is_whole = matches!(self.state, HoldState::Placed { .. })
            && matches!(self.copy, CopyState::Whole { .. });
        is_whole && self.camera == *camera && self.span.from <= span.from && span.to <= self.span.to
    }

    /// Whether its review date is over while it stands.
    #[must_use]
    pub fn is_due(&self, now: WallTime) -> bool {
        let stands = matches!(self.state, HoldState::Ordered | HoldState::Placed { .. });
        stands && self.grounds.is_some_and(|grounds| grounds.review_at <= now)
    }
}

/// An order to keep footage, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// Of these cameras.
    pub cameras: Vec<CameraId>,
    /// Or of all cameras of this site.
    pub site: Option<SiteId>,
    /// In this interval.
    pub span: Span,
    /// For this purpose.
    pub purpose: Purpose,
    /// Because.
    pub reason: String,
    /// For this case, if there is one.
    pub case: Option<CaseId>,
    /// By which law.
    pub grounds: Asked,
}

/// What was done about a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldStep {
    /// The site keeps the footage.
    Placed {
        /// So many segments now.
        segments: u32,
        /// So many had been erased.
        erased: u32,
    },
    /// The site will not.
    Refused {
        /// Why not.
        why: String,
    },
    /// The site keeps it no longer.
    Released,
    /// The vault has all of it.
    Copied {
        /// Sealed files.
        segments: u64,
        /// Their bytes.
        bytes: u64,
        /// The site's transfer records.
        transfers_sha256: Vec<Digest>,
    },
    /// The vault has nothing of it any more.
    CopyDeleted {
        /// Sealed files.
        segments: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The copy at another site has come further.
    Guest {
        /// Which site.
        site: SiteId,
        /// How far.
        step: GuestStep,
    },
}

/// What was decided: the order's name, the reason, the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placing {
    /// The order's name.
    pub order: HoldId,
    /// The reason, trimmed.
    pub reason: String,
    /// One a camera.
    pub events: Vec<Event>,
}

/// Decides to keep footage.
///
/// # Errors
/// As [`request::decide`]; `case-unknown`, `review-invalid`.
pub fn place(
    evidence: &Evidence,
    registry: &Registry,
    asked: &HoldOrder,
    now: WallTime,
) -> Result<Placing, Refusal> {
    asked.purpose.check_footage()?;
    let reason = text::reason(&asked.reason)?;
    request::check_span(asked.span, now)?;
    let grounds = grounds::decide(asked.grounds, asked.purpose, now)?;
    let cameras = cameras(registry, asked)?;
    for camera in &cameras {
        request::check_camera(registry, camera)?;
        request::check_age(evidence, camera, asked.span, now)?;
    }
    if let Some(case) = &asked.case {
        evidence.case(case)?;
    }
    let year = now.calendar().year();
    let number = evidence.hold_numbers.get(&year).copied().unwrap_or(0) + 1;
    let name = format!("H-{year}-{number:06}");
    let order: HoldId = name.parse().expect("digits and hyphens make a hold's name");
    let is_alone = cameras.len() == 1;
    let events = cameras.into_iter().enumerate().map(|(index, camera)| {
        let numbered = || format!("{name}-{:02}", index + 1);
        let hold = if is_alone { name.clone() } else { numbered() };
        Event::HoldOrdered(HoldOrdered {
            hold: hold.parse().expect("digits and hyphens make a hold's name"),
            case: asked.case.clone(),
            camera,
            from: asked.span.from,
            to: asked.span.to,
            order: (!is_alone).then(|| order.clone()),
            grounds: Some(grounds),
        })
    });
    let events = events.collect();
    Ok(Placing { order, reason, events })
}

fn cameras(registry: &Registry, asked: &HoldOrder) -> Result<Vec<CameraId>, Refusal> {
    let bad = |why: String| Err(Refusal::new(Code::CamerasInvalid, why));
    let distinct = match &asked.site {
        None => asked.cameras.iter().cloned().collect(),
        Some(site) if asked.cameras.is_empty() => registry.cameras_of(site),
        Some(site) => {
            return bad(format!("cameras and site {site} were both named: name one of the two"));
        }
    };
    if distinct.is_empty() {
        return bad("no camera was named, or the site has none: name some".to_owned());
    }
    if distinct.len() > limits::HOLD_CAMERAS_MAX {
        let (named, most) = (distinct.len(), limits::HOLD_CAMERAS_MAX);
        return bad(format!("{named} cameras in one order; {most} may be: give several orders"));
    }
    Ok(distinct.into_iter().collect())
}

/// The holds that an approved case needs: one a camera, on the grounds of its purpose.
pub(super) fn order_for_case(case: &Case, now: WallTime) -> Result<Vec<Event>, Refusal> {
    let grounds = grounds::decide(Asked::default(), case.purpose, now)?;
    let holds = case.cameras.iter().enumerate().map(|(index, camera)| {
        let name = format!("{}-{:02}", case.id, index + 1);
        Event::HoldOrdered(HoldOrdered {
            hold: name.parse().expect("a case reference and two digits make a hold's name"),
            case: Some(case.id.clone()),
            camera: camera.clone(),
            from: case.span.from,
            to: case.span.to,
            order: None,
            grounds: Some(grounds),
        })
    });
    Ok(holds.collect())
}

/// What was decided about the end of holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Releasing {
    /// Where their events are.
    pub stream: Stream,
    /// The purpose that they had.
    pub purpose: Option<Purpose>,
    /// The reason, trimmed.
    pub reason: String,
    /// One a hold that had not ended.
    pub events: Vec<Event>,
}

/// Decides to end a hold, or all holds of an order.
///
/// # Errors
/// `hold-unknown`, `hold-state` (already ended), `case-state` (a case still needs it),
/// `reason-missing`, `text-too-long`.
pub fn release(evidence: &Evidence, name: &HoldId, reason: &str) -> Result<Releasing, Refusal> {
    let reason = text::reason(reason)?;
    let named: Vec<&HoldEntry> =
        evidence.holds.values().filter(|hold| hold.id == *name || hold.order == *name).collect();
    let Some(first) = named.first() else { return Err(super::hold_unknown(name)) };
    for hold in &named {
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
    }
    let events: Vec<Event> = named.iter().filter_map(|hold| release_event(hold)).collect();
    if events.is_empty() {
        return Err(Refusal::new(
            Code::HoldState,
            format!("hold {name} is {}: nothing is left to end", first.state.as_str()),
        ));
    }
    Ok(Releasing { stream: first.stream.clone(), purpose: first.purpose, reason, events })
}

/// The event that ends a hold, if it has not ended.
pub(super) fn release_event(hold: &HoldEntry) -> Option<Event> {
    let event = HoldReleaseOrdered { hold: hold.id.clone(), case: hold.case.clone() };
    match hold.state {
        HoldState::Ordered | HoldState::Placed { .. } => Some(Event::HoldReleaseOrdered(event)),
        HoldState::Refused { .. } | HoldState::ReleaseOrdered | HoldState::Released => None,
    }
}

/// Decides that something was done about a hold.
///
/// # Errors
/// `hold-state`, when it was not asked to.
pub fn step(hold: &HoldEntry, step: &HoldStep) -> Result<Vec<Event>, Refusal> {
    let (id, case) = (hold.id.clone(), hold.case.clone());
    let refused = || {
        let why =
            format!("hold {} is {}, which is not where this begins", hold.id, hold.state.as_str());
        Refusal::new(Code::HoldState, why)
    };
    let event = match (step, &hold.state) {
        (HoldStep::Placed { segments, erased }, HoldState::Ordered) => {
            Event::HoldPlaced(HoldPlaced { hold: id, case, segments: *segments, erased: *erased })
        }
        (HoldStep::Refused { why }, HoldState::Ordered) => {
            Event::HoldRefused(HoldRefused { hold: id, case, why: why.clone() })
        }
        (HoldStep::Released, HoldState::ReleaseOrdered) => {
            Event::HoldReleased(HoldReleased { hold: id, case })
        }
        (HoldStep::Copied { segments, bytes, transfers_sha256 }, HoldState::Placed { .. })
            if hold.copy == CopyState::Open =>
        {
            let (segments, bytes) = (*segments, *bytes);
            let transfers_sha256 = transfers_sha256.clone();
            Event::HoldCopied(HoldCopied { hold: id, case, segments, bytes, transfers_sha256 })
        }
        (HoldStep::CopyDeleted { segments, bytes }, state)
            if !state.stands() && hold.copy != CopyState::Deleted =>
        {
            let (segments, bytes) = (*segments, *bytes);
            Event::HoldCopyDeleted(HoldCopyDeleted { hold: id, case, segments, bytes })
        }
        (HoldStep::Guest { site, step }, _) => guest::step(hold, site, step).ok_or_else(refused)?,
        _ => return Err(refused()),
    };
    Ok(vec![event])
}

pub(super) fn apply_ordered(evidence: &mut Evidence, event: &HoldOrdered, at: &Stored) {
    let order = event.order.as_ref().unwrap_or(&event.hold);
    // An order is numbered once, by its first hold.
    if at.stream == Stream::hold(order) && at.version == 0 {
        *evidence.hold_numbers.entry(at.at.calendar().year()).or_default() += 1;
    }
    let entry = HoldEntry {
        id: event.hold.clone(),
        order: order.clone(),
        case: event.case.clone(),
        camera: event.camera.clone(),
        span: Span { from: event.from, to: event.to },
        grounds: event.grounds,
        ordered_by: at.actor.account().cloned(),
        ordered_at: at.at,
        purpose: at.purpose,
        reason: at.reason.clone(),
        state: HoldState::Ordered,
        copy: CopyState::default(),
        guest: GuestState::default(),
        stream: at.stream.clone(),
    };
    evidence.holds.insert(event.hold.clone(), entry);
}

pub(super) fn apply_state(evidence: &mut Evidence, hold: &HoldId, state: HoldState) {
    if let Some(hold) = evidence.holds.get_mut(hold) {
        hold.state = state;
    }
}

pub(super) fn apply_copy(evidence: &mut Evidence, hold: &HoldId, copy: CopyState) {
    if let Some(hold) = evidence.holds.get_mut(hold) {
        hold.copy = copy;
    }
}

#[cfg(test)]
mod tests;
