//! Holds: footage kept beyond its time.

use custody::{CameraId, CaseId, HoldId, WallTime};
use serde::{Deserialize, Serialize};

use super::About;

macro_rules! about_hold {
    ($($name:ident),*) => {
        $(impl About for $name {
            fn object(&self) -> String {
                self.hold.to_string()
            }
            fn case(&self) -> Option<&CaseId> {
                self.case.as_ref()
            }
        })*
    };
}

about_hold!(HoldOrdered, HoldPlaced, HoldRefused, HoldReleaseOrdered, HoldReleased);

/// A hold was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldOrdered {
    /// Its name from now on.
    pub hold: HoldId,
    /// For this case; none where no case needs it yet.
    pub case: Option<CaseId>,
    /// Of this camera.
    pub camera: CameraId,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
}

/// The site keeps the footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldPlaced {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// Segments held at that moment.
    pub segments: u32,
}

/// The site will not keep the footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRefused {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// Why not, in the site's words.
    pub why: String,
}

/// The end of a hold was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldReleaseOrdered {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
}

/// The site keeps the footage no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldReleased {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
}
