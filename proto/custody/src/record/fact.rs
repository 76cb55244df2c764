//! What a site's records say of footage, holds, clocks, masks and settings.

use serde::{Deserialize, Serialize};

use super::GapReason;
use crate::ids::{CameraId, CaseId, Digest, HoldId, OrderId, PersonId, Seq, SiteId};
use crate::manifest::{Agent, Mask};
use crate::time::{Clock, WallTime};

/// No footage of a camera for a while. A link of the camera's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Whose footage is missing.
    pub camera: CameraId,
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// The digest of the previous record's envelope.
    pub prev: Digest,
    /// The run of the agent that signs.
    pub boot_id: String,
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
    /// Why.
    pub reason: GapReason,
    /// In words, without personal data.
    pub detail: String,
    /// How good the clock was.
    pub clock: Clock,
}

/// A segment named where its bytes are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRef {
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// The fragment tree's root.
    pub root: Digest,
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
}

/// Why footage was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EraseReason {
    /// Its time was over.
    Retention,
    /// The disc was full; also an alarm.
    DiscFull,
    /// Two people ordered it, for a person's rights in their data.
    Order,
}

/// Segments of one camera erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// Whose footage.
    pub camera: CameraId,
    /// Which, at most [`super::ERASED_MAX`].
    pub segments: Vec<SegmentRef>,
    /// Why.
    pub reason: EraseReason,
    /// By which order, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// When.
    pub at: WallTime,
}

/// Hours' keys destroyed: what they sealed opens for nobody, wherever a copy of it lies. Signed
/// before it is done. What erase records before it name, of any hour given here, is gone for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysDestroyed {
    /// Where.
    pub site: SiteId,
    /// Hours since 1970, at most [`super::ERASED_MAX`].
    pub epochs: Vec<u64>,
    /// Hours of which some footage lives on: only its keys are kept, under the hour's new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rekeyed: Vec<u64>,
    /// The site key that wrapped them, and goes with them: its digest.
    pub site_key_before: Digest,
    /// The site key that wraps what is left.
    pub site_key_after: Digest,
    /// When.
    pub at: WallTime,
}

/// Stored bytes that are not what was signed any more, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// Whose footage.
    pub camera: CameraId,
    /// Which segment.
    pub segment: SegmentRef,
    /// What is wrong with it, in words.
    pub what: String,
    /// What was done.
    pub outcome: DamageOutcome,
    /// When.
    pub at: WallTime,
}

/// What was done about damaged footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageOutcome {
    /// It was found; no sound copy is known.
    Found,
    /// A sound copy from a second place, checked against the signed root, lies there again.
    Repaired,
}

/// A disc taken out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disposal {
    /// Where.
    pub site: SiteId,
    /// The store's volume identity that was on it.
    pub volume: String,
    /// Its maker's serial number, or what is written on it.
    pub disc: String,
    /// Who took it out.
    pub person: PersonId,
    /// What of it could still be read, and was: bytes.
    pub bytes_read: u64,
    /// Segment files found on it, each sealed under a key that is not on it.
    pub sealed_files: u64,
    /// Bytes outside sealed files: heads and manifests, which show no picture.
    pub plain_bytes: u64,
    /// Why it could not be read, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Keys, or footage that is not sealed, were found on it, and where: it must be shredded under a
    /// person's eyes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_sealed: Option<String>,
    /// When.
    pub at: WallTime,
}

/// Footage kept beyond its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Which hold.
    pub hold: HoldId,
    /// For which case.
    pub case: CaseId,
    /// Whose footage.
    pub camera: CameraId,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
    /// Why it may be kept; none in records from before holds had grounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<Grounds>,
    /// When it was placed here.
    pub at: WallTime,
}

/// Why footage may be kept beyond its time (MoPI: Management of Police Information).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grounds {
    /// The law that it rests on.
    pub basis: LegalBasis,
    /// Its MoPI review group.
    pub mopi_group: MopiGroup,
    /// When a person must look at it again.
    pub review_at: WallTime,
}

/// The law that keeping rests on. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegalBasis {
    /// Criminal Procedure and Investigations Act 1996: material of an investigation.
    Cpia,
    /// Data Protection Act 2018, Part 3: law enforcement, where CPIA does not reach.
    LawEnforcement,
    /// Police conduct or complaint, internal or before the IOPC.
    Misconduct,
    /// A person's request for their data, or to have its erasure restricted (section 47, article 18).
    DataRights,
    /// A claim made or defended.
    LegalClaim,
}

impl LegalBasis {
    /// Every basis.
    pub const ALL: [Self; 5] =
        [Self::Cpia, Self::LawEnforcement, Self::Misconduct, Self::DataRights, Self::LegalClaim];

    /// The basis as it is printed and signed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpia => "cpia",
            Self::LawEnforcement => "law-enforcement",
            Self::Misconduct => "misconduct",
            Self::DataRights => "data-rights",
            Self::LegalClaim => "legal-claim",
        }
    }

    /// The basis of a text, if it is one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == text)
    }
}

/// A MoPI review group (College of Policing, APP Information Management): 1 certain public
/// protection matters, 2 other sexual, violent or serious offences, 3 all other offending, 4
/// miscellaneous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct MopiGroup(u8);

impl MopiGroup {
    /// The group of a number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=4).contains(&number).then_some(Self(number))
    }

    /// The number, 1 to 4.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl From<MopiGroup> for u8 {
    fn from(group: MopiGroup) -> Self {
        group.0
    }
}

impl TryFrom<u8> for MopiGroup {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("a MoPI group is 1, 2, 3 or 4")
    }
}

/// A hold ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which hold.
    pub hold: HoldId,
    /// Whose footage.
    pub camera: CameraId,
    /// When it was released here.
    pub at: WallTime,
}

/// The end of a log that this one takes over from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnd {
    /// Its name.
    pub origin: String,
    /// Its entries, by the last checkpoint that is known.
    pub size: u64,
    /// Its root at that size.
    pub root: Digest,
}

/// The recorder came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentStart {
    /// Where.
    pub site: SiteId,
    /// The new run.
    pub boot_id: String,
    /// The program.
    pub agent: Agent,
    /// Whether the run before ended in order.
    pub orderly: bool,
    /// The cameras it is to record.
    pub cameras: Vec<CameraId>,
    /// The log before this one, where the index was lost and a log begun anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<LogEnd>,
    /// When.
    pub at: WallTime,
}

/// Footage left the site for a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// For which case.
    pub case: CaseId,
    /// Whose footage.
    pub camera: CameraId,
    /// Which segments' keys were released, at most [`super::ERASED_MAX`].
    pub segments: Vec<SegmentRef>,
    /// When.
    pub at: WallTime,
}

/// How far a camera's chain has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainEnd {
    /// Which camera of the site.
    pub camera: CameraId,
    /// The number that the next link will have.
    pub next: Seq,
    /// `recording`, or a gap reason.
    pub state: String,
}

/// The recorder runs: one a minute, so that a minute without one, or a chain shorter than a
/// heartbeat says, is provably something missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Where.
    pub site: SiteId,
    /// The run of the agent.
    pub boot_id: String,
    /// How good the clock was.
    pub clock: Clock,
    /// Each recorded camera.
    pub cameras: Vec<ChainEnd>,
    /// When.
    pub at: WallTime,
}

/// The wall clock was stepped by more than 100 ms against the monotonic one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Where.
    pub site: SiteId,
    /// The run of the agent.
    pub boot_id: String,
    /// What the clock would have said without the step.
    pub expected: WallTime,
    /// What it said: the difference is the step.
    pub at: WallTime,
    /// How good the clock was after it.
    pub clock: Clock,
}

/// Another mask, or none, covers a camera from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskChange {
    /// Which camera.
    pub camera: CameraId,
    /// What covered its picture before; none for a camera's first.
    pub before: Option<Mask>,
    /// What covers it now.
    pub after: Mask,
    /// When.
    pub at: WallTime,
}

/// The recorder runs with other settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// Where.
    pub site: SiteId,
    /// The digest of the settings before.
    pub before: Digest,
    /// The digest of the settings now.
    pub after: Digest,
    /// When.
    pub at: WallTime,
}

/// Someone looked at footage on the site. Signed before anything is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Whose footage.
    pub camera: CameraId,
    /// Who: the digest of the person's name and a salt that the controller's log keeps.
    pub person: Digest,
    /// The purpose, by its stable code.
    pub purpose: String,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
    /// When.
    pub at: WallTime,
}
