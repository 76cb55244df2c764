//! Holds: footage kept beyond its time.

use custody::record::Grounds;
use custody::{CameraId, CaseId, Digest, HoldId, SiteId, WallTime};
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

about_hold!(
    HoldOrdered,
    HoldPlaced,
    HoldRefused,
    HoldReleaseOrdered,
    HoldReleased,
    HoldCopied,
    HoldCopyDeleted,
    HoldCopyingToSite,
    HoldCopiedToSite,
    HoldSiteCopyDeleted
);

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
    /// The order that it came with, together with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<HoldId>,
    /// Why it may be kept; none in entries from before holds had grounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<Grounds>,
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
    /// Segments of the interval that were erased before the hold came.
    #[serde(default, skip_serializing_if = "is_none")]
    pub erased: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
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

/// The vault has a checked copy of all held footage, and its keys, wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldCopied {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// Sealed files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digests of the site's signed transfer records, by which it released the keys.
    pub transfers_sha256: Vec<Digest>,
}

/// The vault's copy of a released hold was deleted, but for what another hold needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldCopyDeleted {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// Sealed files deleted.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Held footage goes to another site, too, from now on: sealed files, without any key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldCopyingToSite {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// To this site.
    pub site: SiteId,
}

/// Another site has all held footage, checked there against the signed roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldCopiedToSite {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// At this site.
    pub site: SiteId,
    /// Sealed files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The other site's copy of a released hold was deleted, but for what another hold needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldSiteCopyDeleted {
    /// Which.
    pub hold: HoldId,
    /// For this case.
    pub case: Option<CaseId>,
    /// At this site.
    pub site: SiteId,
    /// Sealed files deleted.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}
