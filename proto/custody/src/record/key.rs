//! Which keys sign what, and what the authority says: of sites' identity keys, and of bundles.

use serde::{Deserialize, Serialize};

use crate::ids::{CameraId, CaseId, Digest, KeyId, SiteId};
use crate::time::WallTime;

/// What a certified key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    /// Records, at most [`RECORDS_KEY_LIFE_US`].
    Records,
    /// Checkpoints of the log that [`KeyCert::name`] names.
    Log,
    /// Cosignatures as the witness that [`KeyCert::name`] names.
    Witness,
}

/// A key for records lives at most 24 h, and a minute for the change.
pub const RECORDS_KEY_LIFE_US: i64 = (24 * 3600 + 60) * 1_000_000;

/// A key signs for a site, says the site's identity; for the controller, the authority.
///
/// Stands in the log before anything that the key signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCert {
    /// For which site; `controller` for the controller.
    pub site: SiteId,
    /// What it may sign.
    pub usage: KeyUsage,
    /// Which key.
    pub key_id: KeyId,
    /// The raw Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// The name of the log or the witness; none for records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it signs is from this time on.
    pub not_before: WallTime,
    /// And until this time.
    pub not_after: WallTime,
}

/// A key may not be believed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Which key: an identity key, or one that it has certified.
    pub key_id: KeyId,
    /// When the authority ended it.
    pub at: WallTime,
    /// The log whose witnessed size then draws the line.
    pub origin: String,
    /// What the key signed is believed where its place in that log is below this.
    pub log_size: u64,
}

/// An identity key is a site's, says the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGrant {
    /// For which site.
    pub site: SiteId,
    /// Which key.
    pub key_id: KeyId,
    /// The raw public key, hexadecimal: see [`crate::keys`].
    pub public_key: String,
    /// Certifies from this time on.
    pub not_before: WallTime,
    /// The site's keys that are not believed any more; always there, so that none can be left out.
    pub revoked: Vec<Revoked>,
}

/// A bundle was made, says the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleSeal {
    /// For which case.
    pub case: CaseId,
    /// The exhibit reference, unique over all cases: `WH-2026-000001/1`.
    pub exhibit: String,
    /// The cameras asked for.
    pub cameras: Vec<CameraId>,
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
    /// The digest of `manifest-sha256.txt`, and so of every payload file.
    pub payload_manifest_sha256: Digest,
    /// When.
    pub at: WallTime,
}
