//! What a case is, and the steps that the controller notes as it carries the case out.

use custody::coverage::Span;
use custody::{CameraId, CaseId, Digest, PersonId, WallTime};

use super::{Evidence, HoldEntry, HoldState, hold};
use crate::access::{Code, Purpose, Refusal};
use crate::log::event::cases::{
    BundleFetched, CaseBundled, CaseFailed, CaseHeld, CasePulling, EvidenceRequested, KeysReleased,
};
use crate::log::{Event, Stored, Stream};

/// A request for evidence and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its reference.
    pub id: CaseId,
    /// Of these cameras.
    pub cameras: Vec<CameraId>,
    /// In this interval.
    pub span: Span,
    /// For this purpose.
    pub purpose: Purpose,
    /// Because.
    pub reason: String,
    /// The force's own reference.
    pub crime_reference: String,
    /// Who asked.
    pub requested_by: PersonId,
    /// When.
    pub requested_at: WallTime,
    /// Who approved or refused.
    pub decision: Option<Decision>,
    /// How far it has come.
    pub state: CaseState,
    /// Where its first event stands in the log.
    pub position: u64,
}

/// An authoriser's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whose.
    pub by: PersonId,
    /// When.
    pub at: WallTime,
    /// Because.
    pub reason: String,
}

/// How far a case has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseState {
    /// Waits for an authoriser.
    Requested,
    /// An authoriser said no.
    Refused,
    /// An authoriser said yes; the footage is to be held.
    Approved,
    /// The sites hold the footage.
    Held,
    /// The footage is on its way.
    Pulling {
        /// Sealed files.
        segments: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The bundle is there.
    Bundled(Bundled),
    /// It cannot be fulfilled.
    Failed {
        /// A stable code.
        code: String,
        /// Why, in words.
        detail: String,
    },
}

/// What the bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundled {
    /// Since when it is there.
    pub at: WallTime,
    /// Its bytes.
    pub bytes: u64,
    /// The verifier's verdict: `verified`, or a refusal's code.
    pub verdict: String,
    /// In words.
    pub detail: String,
    /// Footage in hundredths of a per cent of what was asked.
    pub coverage_basis_points: u32,
}

impl CaseState {
    /// The state as it is written.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::Approved => "approved",
            Self::Held => "held",
            Self::Pulling { .. } => "pulling",
            Self::Bundled(_) => "bundled",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused | Self::Bundled(_) | Self::Failed { .. } => true,
            Self::Requested | Self::Approved | Self::Held | Self::Pulling { .. } => false,
        }
    }

    /// Whether the controller has something to do.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Approved | Self::Held | Self::Pulling { .. })
    }
}

/// A step that the controller has taken in carrying a case out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All its holds are placed.
    Held,
    /// The sealed files are known, and are being pulled.
    Pulling {
        /// How many.
        segments: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A site released keys.
    KeysReleased {
        /// Whose footage.
        camera: CameraId,
        /// How many.
        segments: u64,
        /// The digest of the site's signed transfer record.
        transfer_sha256: Digest,
    },
    /// The bundle was made and checked.
    Bundled {
        /// Its bytes.
        bytes: u64,
        /// The verdict.
        verdict: String,
        /// In words.
        detail: String,
        /// Footage in hundredths of a per cent.
        coverage_basis_points: u32,
    },
    /// It cannot be fulfilled.
    Failed {
        /// A stable code.
        code: String,
        /// Why.
        detail: String,
    },
}

/// Decides that a step was taken.
///
/// # Errors
/// `case-state`, when the case is not where that step begins.
pub fn step(evidence: &Evidence, case: &Case, step: &Step) -> Result<Vec<Event>, Refusal> {
    let id = case.id.clone();
    match (step, &case.state) {
        (Step::Held, CaseState::Approved) => {
            // What the vault has needs no hold at a site that is away.
            let is_open = |hold: &&HoldEntry| {
                hold.state == HoldState::Ordered
                    && !evidence.holds().any(|other| other.copies(&hold.camera, case.span))
            };
            match evidence.holds_of(&case.id).find(is_open) {
                Some(hold) => Err(Refusal::new(
                    Code::HoldState,
                    format!("hold {} of {id} is not placed yet: place it first", hold.id),
                )),
                None => Ok(vec![Event::CaseHeld(CaseHeld { case: id })]),
            }
        }
        (Step::Pulling { segments, bytes }, CaseState::Held) => {
            let event = CasePulling { case: id, segments: *segments, bytes: *bytes };
            Ok(vec![Event::CasePulling(event)])
        }
        (Step::KeysReleased { camera, segments, transfer_sha256 }, CaseState::Pulling { .. }) => {
            Ok(vec![Event::KeysReleased(KeysReleased {
                case: id,
                camera: camera.clone(),
                segments: *segments,
                transfer_sha256: *transfer_sha256,
            })])
        }
        (
            Step::Bundled { bytes, verdict, detail, coverage_basis_points },
            CaseState::Pulling { .. },
        ) => Ok(vec![Event::CaseBundled(CaseBundled {
            case: id,
            bytes: *bytes,
            verdict: verdict.clone(),
            detail: detail.clone(),
            coverage_basis_points: *coverage_basis_points,
        })]),
        (Step::Failed { code, detail }, state) if state.is_under_way() => {
            let failed = CaseFailed { case: id, code: code.clone(), detail: detail.clone() };
            let mut events = vec![Event::CaseFailed(failed)];
            // A hold on nothing would stand for ever.
            if code == Code::NoFootage.as_str() {
                let own = Stream::case(&case.id);
                let holds = evidence.holds_of(&case.id).filter(|hold| hold.stream == own);
                events.extend(holds.filter_map(hold::release_event));
            }
            Ok(events)
        }
        _ => Err(Refusal::new(
            Code::CaseState,
            format!("{id} is {}, which is not where this step begins", case.state.as_str()),
        )),
    }
}

/// Decides to give the bundle out.
///
/// # Errors
/// `case-state`, when there is none.
pub fn fetch(case: &Case) -> Result<Vec<Event>, Refusal> {
    match &case.state {
        CaseState::Bundled(bundled) => Ok(vec![Event::BundleFetched(BundleFetched {
            case: case.id.clone(),
            bytes: bundled.bytes,
        })]),
        other => Err(Refusal::new(
            Code::CaseState,
            format!(
                "{} is {} and has no bundle: watch the case until it is bundled",
                case.id,
                other.as_str()
            ),
        )),
    }
}

pub(super) fn apply_requested(evidence: &mut Evidence, event: &EvidenceRequested, at: &Stored) {
    let year = at.at.calendar().year();
    *evidence.case_numbers.entry(year).or_default() += 1;
    // Requests come from accounts and name their purpose: it was decided so.
    let (Some(by), Some(purpose)) = (at.actor.account(), at.purpose) else { return };
    let case = Case {
        id: event.case.clone(),
        cameras: event.cameras.clone(),
        span: Span { from: event.from, to: event.to },
        purpose,
        reason: at.reason.clone(),
        crime_reference: event.crime_reference.clone(),
        requested_by: by.clone(),
        requested_at: at.at,
        decision: None,
        state: CaseState::Requested,
        position: at.position,
    };
    evidence.cases.insert(event.case.clone(), case);
}

pub(super) fn apply_decided(evidence: &mut Evidence, case: &CaseId, at: &Stored, yes: bool) {
    let (Some(case), Some(by)) = (evidence.cases.get_mut(case), at.actor.account()) else { return };
    case.decision = Some(Decision { by: by.clone(), at: at.at, reason: at.reason.clone() });
    case.state = if yes { CaseState::Approved } else { CaseState::Refused };
}

pub(super) fn apply_state(evidence: &mut Evidence, case: &CaseId, state: CaseState) {
    if let Some(case) = evidence.cases.get_mut(case) {
        case.state = state;
    }
}

pub(super) fn apply_bundled(evidence: &mut Evidence, event: &CaseBundled, at: WallTime) {
    let bundled = Bundled {
        at,
        bytes: event.bytes,
        verdict: event.verdict.clone(),
        detail: event.detail.clone(),
        coverage_basis_points: event.coverage_basis_points,
    };
    apply_state(evidence, &event.case, CaseState::Bundled(bundled));
}
