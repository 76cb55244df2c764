//! Cases: from request to bundle. Purpose and reason stand in the entry around the event.

use custody::{CameraId, CaseId, Digest, WallTime};
use serde::{Deserialize, Serialize};

use super::About;

macro_rules! about_case {
    ($($name:ident),*) => {
        $(impl About for $name {
            fn object(&self) -> String {
                self.case.to_string()
            }
            fn case(&self) -> Option<&CaseId> {
                Some(&self.case)
            }
        })*
    };
}

about_case!(
    EvidenceRequested,
    CaseApproved,
    CaseRefused,
    CaseHeld,
    CasePulling,
    KeysReleased,
    CaseBundled,
    CaseFailed,
    BundleFetched
);

/// Footage was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequested {
    /// The case's reference from now on.
    pub case: CaseId,
    /// Of these cameras.
    pub cameras: Vec<CameraId>,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
    /// The force's own reference; empty where none is needed.
    pub crime_reference: String,
}

/// A request was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseApproved {
    /// Which.
    pub case: CaseId,
}

/// A request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRefused {
    /// Which.
    pub case: CaseId,
}

/// All footage of a case is held at its sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseHeld {
    /// Which.
    pub case: CaseId,
}

/// The footage is being pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasePulling {
    /// Which.
    pub case: CaseId,
    /// Sealed files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A site released keys for a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysReleased {
    /// Which case.
    pub case: CaseId,
    /// Whose footage.
    pub camera: CameraId,
    /// How many segments.
    pub segments: u64,
    /// The digest of the site's signed transfer record.
    pub transfer_sha256: Digest,
}

/// The bundle was made and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseBundled {
    /// Which case.
    pub case: CaseId,
    /// Bytes of the bundle.
    pub bytes: u64,
    /// The verifier's verdict: `verified`, or a refusal's code.
    pub verdict: String,
    /// What the verdict says in words.
    pub detail: String,
    /// Footage in hundredths of a per cent of what was asked, rounded down: 10 000 means all.
    pub coverage_basis_points: u32,
}

/// The case cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFailed {
    /// Which case.
    pub case: CaseId,
    /// A stable code: `no-footage`, `site-refused`.
    pub code: String,
    /// Why, in words.
    pub detail: String,
}

/// The bundle was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFetched {
    /// Which case's.
    pub case: CaseId,
    /// Bytes of the bundle.
    pub bytes: u64,
}
