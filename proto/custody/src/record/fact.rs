//! What a site's records say of footage, holds, clocks, masks and settings.

use serde::{Deserialize, Serialize};

use super::GapReason;
use crate::ids::{CameraId, CaseId, Digest, HoldId, Seq, SiteId};
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
    /// When it was placed here.
    pub at: WallTime,
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
