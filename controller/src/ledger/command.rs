//! Everything that can be asked of the controller's state.

use std::collections::BTreeSet;

use custody::record::Revoked;
use custody::{CameraId, CaseId, Digest, HoldId, KeyId, OrderId, PersonId, SiteId, WallTime};

use crate::access::{Act, Actor, Purpose, Role};
use crate::erasure::{ErasureOrder, ErasureStep};
use crate::evidence::RequestOrder;
use crate::evidence::case::Step;
use crate::evidence::hold::{HoldOrder, HoldStep};
use crate::log::event::audit::{AccessRefused, AuditRead};
use crate::log::event::logs::{Contradiction, LogsStamped};

/// A wish. Whether it is granted, the rooms decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Add an account, whose token has this digest.
    AddPerson {
        /// Whose.
        person: PersonId,
        /// What they are.
        roles: BTreeSet<Role>,
        /// [`crate::registry::token::bearer_sha256`].
        token_sha256: Digest,
    },
    /// End an account.
    SuspendPerson {
        /// Whose.
        person: PersonId,
        /// Because.
        reason: String,
    },
    /// Let a site enrol.
    CreateEnrolmentToken {
        /// Which.
        site: SiteId,
        /// [`crate::registry::token::Secret::sha256`].
        secret_sha256: Digest,
        /// How long the token lives; 0: as usual.
        lives_s: u32,
    },
    /// End a site's certificates.
    RevokeSite {
        /// Which.
        site: SiteId,
        /// Because.
        reason: String,
    },
    /// Believe a key of a site no more.
    RevokeKey {
        /// Whose.
        site: SiteId,
        /// Which.
        key_id: KeyId,
        /// Up to where it still is.
        lines: Vec<Revoked>,
        /// Because.
        reason: String,
    },
    /// A site has begun a log.
    BeginLog {
        /// Whose.
        site: SiteId,
        /// Its name and key.
        vkey: String,
    },
    /// A site's log contradicts itself. Nothing is kept when that is known already.
    ContradictLog(Contradiction),
    /// Checkpoints were stamped.
    StampLogs(LogsStamped),
    /// A site has its first certificate; uses its token up.
    EnrolSite {
        /// Which.
        site: SiteId,
        /// [`crate::registry::token::Secret::sha256`].
        secret_sha256: Digest,
        /// The raw Ed25519 public key.
        evidence_key: Vec<u8>,
        /// The certificate's serial number, hexadecimal.
        serial: String,
        /// When it ends.
        certificate_ends: WallTime,
    },
    /// A site has its next certificate.
    RenewSite {
        /// Which.
        site: SiteId,
        /// The certificate's serial number, hexadecimal.
        serial: String,
        /// When it ends.
        certificate_ends: WallTime,
    },
    /// A site's agent came.
    SiteConnected {
        /// Which.
        site: SiteId,
        /// From this address.
        remote: String,
    },
    /// A site's agent went.
    SiteDisconnected {
        /// Which.
        site: SiteId,
        /// Why.
        reason: String,
    },
    /// Someone knocked and was not let in.
    RefuseConnection {
        /// From this address.
        remote: String,
        /// Why not.
        reason: String,
    },
    /// The cameras that a site has. Nothing is kept when they are known already.
    AnnounceCameras {
        /// Which site.
        site: SiteId,
        /// All of its cameras.
        cameras: Vec<CameraId>,
    },
    /// Ask for footage.
    RequestEvidence(RequestOrder),
    /// Approve a request.
    ApproveCase {
        /// Which.
        case: CaseId,
        /// Because.
        reason: String,
    },
    /// Refuse a request.
    RefuseCase {
        /// Which.
        case: CaseId,
        /// Because.
        reason: String,
    },
    /// A step in carrying a case out.
    StepCase {
        /// Which.
        case: CaseId,
        /// What was done.
        step: Step,
    },
    /// Give a bundle out.
    FetchBundle {
        /// Which case's.
        case: CaseId,
    },
    /// Keep footage beyond its time.
    PlaceHold(HoldOrder),
    /// End a hold.
    ReleaseHold {
        /// Which.
        hold: HoldId,
        /// Because.
        reason: String,
    },
    /// What a site did about a hold.
    StepHold {
        /// Which.
        hold: HoldId,
        /// What was done.
        step: HoldStep,
    },
    /// Erase footage before its time.
    OrderErasure(ErasureOrder),
    /// Agree to an erasure that another person ordered.
    ApproveErasure {
        /// Which.
        order: OrderId,
        /// Because.
        reason: String,
    },
    /// Refuse an erasure.
    RefuseErasure {
        /// Which.
        order: OrderId,
        /// Because.
        reason: String,
    },
    /// What a site did about an erasure.
    StepErasure {
        /// Which.
        order: OrderId,
        /// What was done.
        step: ErasureStep,
    },
    /// Read the audit trail.
    ReadAudit(AuditRead),
    /// Keep that an actor was refused something that would have changed nothing.
    KeepRefusal(Actor, AccessRefused),
}

impl Command {
    /// What is done by it, for the table of who may.
    #[must_use]
    pub fn act(&self) -> Act {
        match self {
            Self::AddPerson { .. } => Act::AddPerson,
            Self::SuspendPerson { .. } => Act::SuspendPerson,
            Self::CreateEnrolmentToken { .. } => Act::CreateEnrolmentToken,
            Self::RevokeSite { .. } => Act::RevokeSite,
            Self::RevokeKey { .. } => Act::RevokeKey,
            Self::EnrolSite { .. }
            | Self::RenewSite { .. }
            | Self::SiteConnected { .. }
            | Self::SiteDisconnected { .. }
            | Self::RefuseConnection { .. } => Act::KeepFleet,
            Self::AnnounceCameras { .. } => Act::AnnounceCameras,
            Self::RequestEvidence(_) => Act::RequestEvidence,
            Self::ApproveCase { .. } => Act::ApproveCase,
            Self::RefuseCase { .. } => Act::RefuseCase,
            Self::FetchBundle { .. } => Act::FetchBundle,
            Self::PlaceHold(_) => Act::PlaceHold,
            Self::ReleaseHold { .. } => Act::ReleaseHold,
            Self::OrderErasure(_) => Act::OrderErasure,
            Self::ApproveErasure { .. } => Act::ApproveErasure,
            Self::RefuseErasure { .. } => Act::RefuseErasure,
            Self::ReadAudit(_) => Act::ReadAudit,
            Self::BeginLog { .. }
            | Self::ContradictLog(_)
            | Self::StampLogs(_)
            | Self::StepCase { .. }
            | Self::StepHold { .. }
            | Self::StepErasure { .. }
            | Self::KeepRefusal(..) => Act::CarryOut,
        }
    }

    /// The case that it names.
    #[must_use]
    pub fn case(&self) -> Option<&CaseId> {
        match self {
            Self::ApproveCase { case, .. }
            | Self::RefuseCase { case, .. }
            | Self::FetchBundle { case }
            | Self::StepCase { case, .. } => Some(case),
            Self::PlaceHold(order) => order.case.as_ref(),
            Self::ReadAudit(read) => read.case.as_ref(),
            Self::KeepRefusal(_, refused) => refused.case.as_ref(),
            Self::AddPerson { .. }
            | Self::SuspendPerson { .. }
            | Self::CreateEnrolmentToken { .. }
            | Self::RevokeSite { .. }
            | Self::RevokeKey { .. }
            | Self::BeginLog { .. }
            | Self::ContradictLog(_)
            | Self::StampLogs(_)
            | Self::EnrolSite { .. }
            | Self::RenewSite { .. }
            | Self::SiteConnected { .. }
            | Self::SiteDisconnected { .. }
            | Self::RefuseConnection { .. }
            | Self::AnnounceCameras { .. }
            | Self::RequestEvidence(_)
            | Self::ReleaseHold { .. }
            | Self::StepHold { .. }
            | Self::OrderErasure(_)
            | Self::ApproveErasure { .. }
            | Self::RefuseErasure { .. }
            | Self::StepErasure { .. } => None,
        }
    }

    /// The purpose and reason as given, for the record of a refusal.
    #[must_use]
    pub fn purpose_and_reason(&self) -> (Option<Purpose>, &str) {
        match self {
            Self::RequestEvidence(order) => (Some(order.purpose), &order.reason),
            Self::PlaceHold(order) => (Some(order.purpose), &order.reason),
            Self::OrderErasure(order) => (Some(crate::erasure::PURPOSE), &order.reason),
            Self::ApproveErasure { reason, .. } | Self::RefuseErasure { reason, .. } => {
                (Some(crate::erasure::PURPOSE), reason)
            }
            Self::SuspendPerson { reason, .. }
            | Self::RevokeSite { reason, .. }
            | Self::RevokeKey { reason, .. }
            | Self::ApproveCase { reason, .. }
            | Self::RefuseCase { reason, .. }
            | Self::ReleaseHold { reason, .. } => (None, reason),
            Self::AddPerson { .. }
            | Self::CreateEnrolmentToken { .. }
            | Self::BeginLog { .. }
            | Self::ContradictLog(_)
            | Self::StampLogs(_)
            | Self::EnrolSite { .. }
            | Self::RenewSite { .. }
            | Self::SiteConnected { .. }
            | Self::SiteDisconnected { .. }
            | Self::RefuseConnection { .. }
            | Self::AnnounceCameras { .. }
            | Self::StepCase { .. }
            | Self::FetchBundle { .. }
            | Self::StepHold { .. }
            | Self::StepErasure { .. }
            | Self::ReadAudit(_)
            | Self::KeepRefusal(..) => (None, ""),
        }
    }
}
