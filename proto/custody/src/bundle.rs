//! Where things lie in a bundle: a BagIt 1.0 folder (RFC 8493).
//!
//! ```text
//! bagit.txt  bag-info.txt  manifest-sha256.txt  manifest-sha512.txt  tagmanifest-sha256.txt
//! bundle.dsse.json                        the authority's statement about manifest-sha256.txt
//! READ-ME-FIRST.txt  VERIFY.txt  VERIFY.html
//! data/request.json                       what was asked, why, by whom, and who approved
//! data/master/<site>/<camera>/init-<seq>.mp4           the plain init section of segment seq
//! data/master/<site>/<camera>/<seq>.m4s                its plain fragments, end to end
//! data/master/<site>/<camera>/index.m3u8               an HLS playlist of these
//! data/view/<site>/<camera>.mp4                        playable copy, not re-encoded
//! data/proof/authority.pem                the authority's public key, to compare with your own copy
//! data/proof/<site>/key.dsse.jsonl        the authority's statements about the site's identity keys
//! data/proof/<site>/keys/<key id>.dsse.json            what the identity certifies, see `record::KeyCert`
//! data/proof/<site>/keys/<key id>.tlog-proof           its place in the site's log
//! data/proof/<site>/policy                whose cosignatures are enough (C2SP tlog-policy)
//! data/proof/<site>/checkpoints/<sha256>.note          other logs' checkpoints that records name
//! data/proof/<site>/tsa/<size>.note  <size>.tsr        checkpoints with RFC 3161 tokens over their bytes
//! data/proof/<site>/<camera>/records.dsse.jsonl        segments and gaps, in chain order
//! data/proof/<site>/<camera>/<seq>.tlog-proof          each one's place in the site's log (C2SP tlog-proof)
//! data/proof/<site>/<camera>/<seq>.json                a segment's disclosed fragments (JSON array)
//! data/proof/controller/log-key.dsse.json              what the authority certifies, see `record::KeyCert`
//! data/proof/controller/policy            whose cosignatures are enough
//! data/proof/controller/audit.json        position and salt of each line of audit.jsonl
//! data/proof/controller/<position>.tlog-proof          each one's place in the controller's log
//! data/custody/audit.jsonl                the case's events, exact bodies, one a line
//! data/custody/custody.case.jsonld        the same as a CASE graph
//! data/custody/custody.html               the same for a person
//! data/report/coverage.json  time-accuracy.json  statement-draft.txt
//! ```
//! Sequence numbers and positions are written with ten digits, so that names sort as numbers do.

use serde::{Deserialize, Serialize};

use crate::ids::{CameraId, Digest, KeyId, Seq, SiteId};

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
/// Digests of the payload, once more, for those who must have SHA-512.
pub const MANIFEST_SHA512: &str = "manifest-sha512.txt";
/// How to check the bundle with openssl and sha256sum.
pub const VERIFY_TXT: &str = "VERIFY.txt";
/// How to check it in a browser.
pub const VERIFY_HTML: &str = "VERIFY.html";
/// For a person who opens the folder.
pub const READ_ME: &str = "READ-ME-FIRST.txt";
/// The request and approvals.
pub const REQUEST: &str = "data/request.json";
/// The audit extract.
pub const AUDIT: &str = "data/custody/audit.jsonl";
/// The audit extract as a CASE graph.
pub const AUDIT_CASE: &str = "data/custody/custody.case.jsonld";
/// The audit extract for a person.
pub const AUDIT_HTML: &str = "data/custody/custody.html";
/// How much of the interval is footage.
pub const COVERAGE: &str = "data/report/coverage.json";
/// How good the times are.
pub const TIME_ACCURACY: &str = "data/report/time-accuracy.json";
/// A draft exhibit statement.
pub const STATEMENT: &str = "data/report/statement-draft.txt";
/// The authority's public key.
pub const AUTHORITY: &str = "data/proof/authority.pem";
/// The controller's log key, certified by the authority.
pub const CONTROLLER_LOG_KEY: &str = "data/proof/controller/log-key.dsse.json";
/// Whose cosignatures on the controller's log are enough.
pub const CONTROLLER_POLICY: &str = "data/proof/controller/policy";
/// Position and salt of each line of the audit extract: [`AuditLine`]s.
pub const AUDIT_PLACES: &str = "data/proof/controller/audit.json";

/// What opens the commitment to one line of the audit extract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    /// Its place in the controller's log.
    pub position: u64,
    /// The salt of its commitment, see [`crate::log::entry::event`].
    pub salt: Digest,
}

/// The proof of an audit line's place.
#[must_use]
pub fn audit_proof(position: u64) -> String {
    format!("data/proof/controller/{position:010}.tlog-proof")
}

/// The authority's statements about a site's identity keys.
#[must_use]
pub fn key_grants(site: &SiteId) -> String {
    format!("data/proof/{site}/key.dsse.jsonl")
}

/// What a site's identity certifies of a key.
#[must_use]
pub fn key_cert(site: &SiteId, key: &KeyId) -> String {
    format!("data/proof/{site}/keys/{key}.dsse.json")
}

/// The proof of that certificate's place.
#[must_use]
pub fn key_cert_proof(site: &SiteId, key: &KeyId) -> String {
    format!("data/proof/{site}/keys/{key}.tlog-proof")
}

/// Whose cosignatures on a site's log are enough.
#[must_use]
pub fn policy(site: &SiteId) -> String {
    format!("data/proof/{site}/policy")
}

/// A foreign checkpoint that the site's records name by its digest.
#[must_use]
pub fn foreign_note(site: &SiteId, note: Digest) -> String {
    format!("data/proof/{site}/checkpoints/{note}.note")
}

/// A checkpoint of the site's log that has a time stamp token.
#[must_use]
pub fn stamped_note(site: &SiteId, size: u64) -> String {
    format!("data/proof/{site}/tsa/{size}.note")
}

/// That token (RFC 3161 TimeStampResp, DER).
#[must_use]
pub fn stamp(site: &SiteId, size: u64) -> String {
    format!("data/proof/{site}/tsa/{size}.tsr")
}

/// A camera's chain.
#[must_use]
pub fn records(id: &CameraId) -> String {
    format!("data/proof/{id}/records.dsse.jsonl")
}

/// The proof of a link's place.
#[must_use]
pub fn link_proof(id: &CameraId, seq: Seq) -> String {
    format!("data/proof/{id}/{:010}.tlog-proof", seq.0)
}

/// A segment's disclosed fragments.
#[must_use]
pub fn disclosed(id: &CameraId, seq: Seq) -> String {
    format!("data/proof/{id}/{:010}.json", seq.0)
}

/// A segment's init section.
#[must_use]
pub fn init(id: &CameraId, seq: Seq) -> String {
    format!("data/master/{id}/init-{:010}.mp4", seq.0)
}

/// A segment's plain fragments.
#[must_use]
pub fn master(id: &CameraId, seq: Seq) -> String {
    format!("data/master/{id}/{:010}.m4s", seq.0)
}

/// The playlist of a camera's masters.
#[must_use]
pub fn playlist(id: &CameraId) -> String {
    format!("data/master/{id}/index.m3u8")
}

/// A camera's playable copy.
#[must_use]
pub fn view(id: &CameraId) -> String {
    format!("data/view/{id}.mp4")
}
