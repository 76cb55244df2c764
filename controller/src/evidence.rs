//! From request to handed-over bundle: cases, approvals, holds. Pure decisions and a fold of the
//! log. Never calls a site: it records the wish, and [`crate::reconcile`] fetches.
//!
//! ```text
//! requested ─► approved ─► held ─► pulling ─► bundled
//!     └─► refused  └────────┴────────┴─► failed
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`request`] | what may be asked for |
//! | [`case`] | what a case is, and its steps |
//! | [`approval`] | the two-person rule |
//! | [`hold`] | footage kept beyond its time |
//! | [`text`] | reasons and references |

use std::collections::BTreeMap;

use custody::{CaseId, HoldId};

use crate::access::{Code, Refusal};
use crate::log::{Event, Stored};

pub mod approval;
pub mod case;
pub mod hold;
pub mod request;
pub mod text;

pub use case::{Case, CaseState};
pub use hold::{HoldEntry, HoldState};
pub use request::RequestOrder;

/// The fold of all events about cases and holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    pub(crate) cases: BTreeMap<CaseId, Case>,
    pub(crate) holds: BTreeMap<HoldId, HoldEntry>,
    /// The last number given to a case, and to a hold without one, by year.
    pub(crate) case_numbers: BTreeMap<i32, u32>,
    pub(crate) hold_numbers: BTreeMap<i32, u32>,
}

impl Evidence {
    /// A case.
    ///
    /// # Errors
    /// `case-unknown`.
    pub fn case(&self, case: &CaseId) -> Result<&Case, Refusal> {
        self.cases.get(case).ok_or_else(|| {
            Refusal::new(
                Code::CaseUnknown,
                format!("there is no case {case}: list the cases to see their references"),
            )
        })
    }

    /// All cases, by reference.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// A hold.
    ///
    /// # Errors
    /// `hold-unknown`.
    pub fn hold(&self, hold: &HoldId) -> Result<&HoldEntry, Refusal> {
        self.holds.get(hold).ok_or_else(|| hold_unknown(hold))
    }

    /// All holds, by name.
    pub fn holds(&self) -> impl Iterator<Item = &HoldEntry> {
        self.holds.values()
    }

    /// The holds of a case.
    pub fn holds_of<'a>(&'a self, case: &'a CaseId) -> impl Iterator<Item = &'a HoldEntry> {
        self.holds.values().filter(move |hold| hold.case.as_ref() == Some(case))
    }

    /// Takes one entry of the log in. Never fails: what was decided is so.
    pub fn apply(&mut self, stored: &Stored) {
        match &stored.body {
            Event::EvidenceRequested(e) => case::apply_requested(self, e, stored),
            Event::CaseApproved(e) => case::apply_decided(self, &e.case, stored, true),
            Event::CaseRefused(e) => case::apply_decided(self, &e.case, stored, false),
            Event::CaseHeld(e) => case::apply_state(self, &e.case, CaseState::Held),
            Event::CasePulling(e) => {
                let state = CaseState::Pulling { segments: e.segments, bytes: e.bytes };
                case::apply_state(self, &e.case, state);
            }
            Event::CaseBundled(e) => case::apply_bundled(self, e, stored.at),
            Event::CaseFailed(e) => {
                let state = CaseState::Failed { code: e.code.clone(), detail: e.detail.clone() };
                case::apply_state(self, &e.case, state);
            }
            Event::HoldOrdered(e) => hold::apply_ordered(self, e, stored),
            Event::HoldPlaced(e) => {
                let state = HoldState::Placed { segments: e.segments, erased: e.erased };
                hold::apply_state(self, &e.hold, state);
            }
            Event::HoldRefused(e) => {
                hold::apply_state(self, &e.hold, HoldState::Refused { why: e.why.clone() });
            }
            Event::HoldReleaseOrdered(e) => {
                hold::apply_state(self, &e.hold, HoldState::ReleaseOrdered);
            }
            Event::HoldReleased(e) => hold::apply_state(self, &e.hold, HoldState::Released),
            Event::HoldCopied(e) => {
                hold::apply_copy(self, &e.hold, hold::CopyState::Whole { segments: e.segments });
            }
            Event::HoldCopyDeleted(e) => {
                hold::apply_copy(self, &e.hold, hold::CopyState::Deleted);
            }
            Event::HoldCopyingToSite(e) => {
                let begun = hold::GuestState::Begun { site: e.site.clone() };
                hold::guest::apply(self, &e.hold, begun);
            }
            Event::HoldCopiedToSite(e) => {
                let (site, segments) = (e.site.clone(), e.segments);
                hold::guest::apply(self, &e.hold, hold::GuestState::Whole { site, segments });
            }
            Event::HoldSiteCopyDeleted(e) => {
                hold::guest::apply(self, &e.hold, hold::GuestState::Deleted);
            }
            Event::KeysReleased(_)
            | Event::BundleFetched(_)
            | Event::PersonAdded(_)
            | Event::PersonSuspended(_)
            | Event::EnrolmentTokenCreated(_)
            | Event::SiteEnrolled(_)
            | Event::SiteRenewed(_)
            | Event::SiteRevoked(_)
            | Event::KeyRevoked(_)
            | Event::LogBegan(_)
            | Event::LogContradicted(_)
            | Event::LogsStamped(_)
            | Event::SiteConnected(_)
            | Event::SiteDisconnected(_)
            | Event::ConnectionRefused(_)
            | Event::CamerasAnnounced(_)
            | Event::ErasureOrdered(_)
            | Event::ErasureApproved(_)
            | Event::ErasureRefused(_)
            | Event::Erased(_)
            | Event::AccessRefused(_)
            | Event::AuditRead(_) => {}
        }
    }
}

fn hold_unknown(hold: &HoldId) -> Refusal {
    Refusal::new(
        Code::HoldUnknown,
        format!("there is no hold {hold}: list the holds to see their names"),
    )
}
