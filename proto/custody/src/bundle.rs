//! Where things lie in a bundle: a BagIt 1.0 folder (RFC 8493).
//!
//! ```text
//! bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt
//! bundle.dsse.json                        the authority's statement about manifest-sha256.txt
//! data/request.json                       what was asked, why, by whom, and who approved
//! data/custody/audit.jsonl                the audit extract of the case, one event a line
//! data/keys/<site>.key.dsse.json          the authority's statement about a site's signing key
//! data/keys/authority.pem                 the authority's public key, to compare with your own copy
//! data/cameras/<site>/<camera>/records.dsse.jsonl       segments and gaps, in chain order
//! data/cameras/<site>/<camera>/master/init-<seq>.mp4    the plain init section of segment seq
//! data/cameras/<site>/<camera>/master/<seq>.m4s         its plain fragments, end to end
//! data/cameras/<site>/<camera>/master/<seq>.json        its disclosed fragments (JSON array)
//! data/cameras/<site>/<camera>/view.mp4                 playable copy, not re-encoded
//! ```
//! Sequence numbers are written with ten digits, so that names sort as numbers do.

use crate::ids::{CameraId, Seq, SiteId};

/// The authority's statement about the bundle.
pub const SEAL: &str = "bundle.dsse.json";
/// BagIt's declaration.
pub const BAGIT: &str = "bagit.txt";
/// What `bagit.txt` holds.
pub const BAGIT_TEXT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// BagIt's description.
pub const BAG_INFO: &str = "bag-info.txt";
/// Digests of the payload.
pub const MANIFEST: &str = "manifest-sha256.txt";
/// Digests of the tag files.
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// The request and approvals.
pub const REQUEST: &str = "data/request.json";
/// The audit extract.
pub const AUDIT: &str = "data/custody/audit.jsonl";
/// The authority's public key.
pub const AUTHORITY: &str = "data/keys/authority.pem";

/// The statement about a site's key.
#[must_use]
pub fn key_grant(site: &SiteId) -> String {
    format!("data/keys/{site}.key.dsse.json")
}

/// A camera's folder, without a slash at the end.
#[must_use]
pub fn camera(camera: &CameraId) -> String {
    format!("data/cameras/{camera}")
}

/// A camera's chain.
#[must_use]
pub fn records(id: &CameraId) -> String {
    format!("{}/records.dsse.jsonl", camera(id))
}

/// A segment's init section.
#[must_use]
pub fn init(id: &CameraId, seq: Seq) -> String {
    format!("{}/master/init-{:010}.mp4", camera(id), seq.0)
}

/// A segment's plain fragments.
#[must_use]
pub fn master(id: &CameraId, seq: Seq) -> String {
    format!("{}/master/{:010}.m4s", camera(id), seq.0)
}

/// A segment's disclosed fragments.
#[must_use]
pub fn disclosed(id: &CameraId, seq: Seq) -> String {
    format!("{}/master/{:010}.json", camera(id), seq.0)
}

/// A camera's playable copy.
#[must_use]
pub fn view(id: &CameraId) -> String {
    format!("{}/view.mp4", camera(id))
}
