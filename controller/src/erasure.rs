//! Erasing footage before its time, for a person's rights in their data: who ordered it, who agreed, and
//! what the site did. Pure decisions and a fold of the log; [`crate::reconcile`] has the site do it.
//!
//! ```text
//! ordered ─► approved ─► erased
//!     └─► refused ◄─┘ a hold came first
//! ```
//! Two people: a data protection officer orders, an asset owner approves, never the same person. A hold
//! wins at every step: at the order, at the approval, and at the site, which alone knows to the segment.
//!
//! What of copies? An order names unheld footage alone, and the controller and bundles have copies of
//! held footage alone. A copy that outlives its hold is the hold's to end.

use std::collections::BTreeMap;

use custody::coverage::Span;
use custody::{CameraId, OrderId, PersonId, WallTime};

use crate::access::{Actor, Code, Purpose, Refusal};
use crate::evidence::{Evidence, HoldState, request, text};
use crate::limits;
use crate::log::event::erasure::{Erased, ErasureApproved, ErasureOrdered, ErasureRefused};
use crate::log::{Event, Stored};
use crate::registry::Registry;

/// The fold of all events about erasure orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasures {
    orders: BTreeMap<OrderId, ErasureEntry>,
    /// The last number given, by year.
    numbers: BTreeMap<i32, u32>,
}

/// An order to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureEntry {
    /// Its name.
    pub id: OrderId,
    /// Of this camera.
    pub camera: CameraId,
    /// In this interval.
    pub span: Span,
    /// Because.
    pub reason: String,
    /// Who ordered it.
    pub ordered_by: Option<PersonId>,
    /// When.
    pub ordered_at: WallTime,
    /// Who approved or refused, when, and why.
    pub decision: Option<Decision>,
    /// How far it has come.
    pub state: ErasureState,
}

/// A second person's word, or the site's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whose.
    pub by: Actor,
    /// When.
    pub at: WallTime,
    /// Because.
    pub reason: String,
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureState {
    /// Waits for a second person.
    Ordered,
    /// The site is to do it.
    Approved,
    /// It is not to be done.
    Refused,
    /// The footage opens nowhere.
    Erased {
        /// Since when that is known here.
        at: WallTime,
        /// Segments erased in the interval.
        segments: u32,
    },
}

impl ErasureState {
    /// The state as it is written.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Erased { .. } => "erased",
        }
    }
}

/// An order as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureOrder {
    /// Of this camera.
    pub camera: CameraId,
    /// In this interval.
    pub span: Span,
    /// Because.
    pub reason: String,
}

/// What the site did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureStep {
    /// The footage opens nowhere.
    Erased {
        /// Segments erased in the interval.
        segments: u32,
    },
    /// It will not.
    Refused {
        /// Why not.
        why: String,
    },
}

/// The purpose of every order: a person's rights in their data.
pub const PURPOSE: Purpose = Purpose::SubjectAccess;

impl Erasures {
    /// An order.
    ///
    /// # Errors
    /// `order-unknown`.
    pub fn order(&self, order: &OrderId) -> Result<&ErasureEntry, Refusal> {
        self.orders.get(order).ok_or_else(|| {
            Refusal::new(
                Code::OrderUnknown,
                format!("there is no erasure order {order}: list the orders to see their names"),
            )
        })
    }

    /// All orders, by name.
    pub fn orders(&self) -> impl Iterator<Item = &ErasureEntry> {
        self.orders.values()
    }

    /// Takes one entry of the log in. Never fails: what was decided is so.
    pub fn apply(&mut self, stored: &Stored) {
        match &stored.body {
            Event::ErasureOrdered(event) => self.ordered(event, stored),
            Event::ErasureApproved(event) => {
                self.decided(&event.order, stored, stored.reason.clone(), ErasureState::Approved);
            }
            Event::ErasureRefused(event) => {
                let reason = event.why.clone().unwrap_or_else(|| stored.reason.clone());
                self.decided(&event.order, stored, reason, ErasureState::Refused);
            }
            Event::Erased(event) => {
                if let Some(entry) = self.orders.get_mut(&event.order) {
                    entry.state = ErasureState::Erased { at: stored.at, segments: event.segments };
                }
            }
            _ => {}
        }
    }

    fn ordered(&mut self, event: &ErasureOrdered, stored: &Stored) {
        *self.numbers.entry(stored.at.calendar().year()).or_default() += 1;
        let entry = ErasureEntry {
            id: event.order.clone(),
            camera: event.camera.clone(),
            span: Span { from: event.from, to: event.to },
            reason: stored.reason.clone(),
            ordered_by: stored.actor.account().cloned(),
            ordered_at: stored.at,
            decision: None,
            state: ErasureState::Ordered,
        };
        self.orders.insert(event.order.clone(), entry);
    }

    fn decided(&mut self, order: &OrderId, stored: &Stored, reason: String, state: ErasureState) {
        if let Some(entry) = self.orders.get_mut(order) {
            let by = stored.actor.clone();
            entry.decision = Some(Decision { by, at: stored.at, reason });
            entry.state = state;
        }
    }
}

/// Decides to order an erasure. Gives the order's name, the reason and the event.
///
/// # Errors
/// `reason-missing`, `text-too-long`, `range-invalid`, `range-too-long`, `camera-unknown`,
/// `site-revoked`, `no-footage`, `footage-held`.
pub fn order(
    erasures: &Erasures,
    evidence: &Evidence,
    registry: &Registry,
    order: &ErasureOrder,
    now: WallTime,
) -> Result<(OrderId, String, Event), Refusal> {
    let reason = text::reason(&order.reason)?;
    request::check_span(order.span, now)?;
    request::check_camera(registry, &order.camera)?;
    check_holds(evidence, &order.camera, order.span)?;
    if order.span.to <= now.plus_seconds(-limits::RETENTION_S) {
        return Err(Refusal::new(
            Code::NoFootage,
            format!(
                "footage of {} up to {} has been erased already: it is kept for {} days",
                order.camera,
                order.span.to,
                limits::RETENTION_S / 86_400
            ),
        ));
    }
    let year = now.calendar().year();
    let number = erasures.numbers.get(&year).copied().unwrap_or(0) + 1;
    let id: OrderId =
        format!("E-{year}-{number:06}").parse().expect("digits and hyphens make an order's name");
    let event = Event::ErasureOrdered(ErasureOrdered {
        order: id.clone(),
        camera: order.camera.clone(),
        from: order.span.from,
        to: order.span.to,
    });
    Ok((id, reason, event))
}

/// Refuses footage that a hold reaches, or may still reach at its site.
fn check_holds(evidence: &Evidence, camera: &CameraId, span: Span) -> Result<(), Refusal> {
    let holds: Vec<_> = evidence
        .holds()
        .filter(|hold| hold.camera == *camera && hold.span.overlaps(span))
        .filter(|hold| match hold.state {
            HoldState::Refused { .. } | HoldState::Released => false,
            HoldState::Ordered | HoldState::Placed { .. } | HoldState::ReleaseOrdered => true,
        })
        .map(|hold| hold.id.as_str())
        .collect();
    if holds.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::FootageHeld,
        format!(
            "footage of {camera} in that interval is held by {}: what is held is not erased; end the \
             hold first, or order what lies outside it",
            holds.join(", ")
        ),
    ))
}

/// Decides to approve an order.
///
/// # Errors
/// `own-request`, `order-state`, `footage-held`, `reason-missing`, `text-too-long`.
pub fn approve(
    evidence: &Evidence,
    entry: &ErasureEntry,
    by: &PersonId,
    reason: &str,
) -> Result<(String, Vec<Event>), Refusal> {
    if entry.ordered_by.as_ref() == Some(by) {
        return Err(Refusal::new(
            Code::OwnRequest,
            format!("{by} ordered {} and so cannot approve it: ask another person", entry.id),
        ));
    }
    check_open(entry)?;
    check_holds(evidence, &entry.camera, entry.span)?;
    let event = ErasureApproved { order: entry.id.clone() };
    Ok((text::reason(reason)?, vec![Event::ErasureApproved(event)]))
}

/// Decides to refuse an order, or to take it back: anyone who may can stop an erasure.
///
/// # Errors
/// `order-state`, `reason-missing`, `text-too-long`.
pub fn refuse(entry: &ErasureEntry, reason: &str) -> Result<(String, Vec<Event>), Refusal> {
    check_open(entry)?;
    let event = ErasureRefused { order: entry.id.clone(), why: None };
    Ok((text::reason(reason)?, vec![Event::ErasureRefused(event)]))
}

fn check_open(entry: &ErasureEntry) -> Result<(), Refusal> {
    match entry.state {
        ErasureState::Ordered => Ok(()),
        ErasureState::Approved | ErasureState::Refused | ErasureState::Erased { .. } => {
            Err(wrong_state(entry))
        }
    }
}

fn wrong_state(entry: &ErasureEntry) -> Refusal {
    Refusal::new(
        Code::OrderState,
        format!("{} is {}: nothing is left to decide on it", entry.id, entry.state.as_str()),
    )
}

/// Decides that the site did something about an order.
///
/// # Errors
/// `order-state`, when it was not asked to.
pub fn step(entry: &ErasureEntry, step: &ErasureStep) -> Result<Vec<Event>, Refusal> {
    if entry.state != ErasureState::Approved {
        return Err(wrong_state(entry));
    }
    let order = entry.id.clone();
    Ok(vec![match step {
        ErasureStep::Erased { segments } => Event::Erased(Erased { order, segments: *segments }),
        ErasureStep::Refused { why } => {
            Event::ErasureRefused(ErasureRefused { order, why: Some(why.clone()) })
        }
    }])
}

#[cfg(test)]
mod tests;
