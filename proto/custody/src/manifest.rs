//! The statement about one segment: an in-toto Statement v1 whose subject is the fragment tree's
//! root, in a DSSE envelope.

use serde::{Deserialize, Serialize};

use crate::ids::{CameraId, Digest, Seq};
use crate::time::{Clock, WallTime};

/// What the predicate is; the version is part of the name.
pub const PREDICATE_TYPE: &str = "https://watchhouse.example/cctv-segment/v1";

/// Facts about one segment. Every segment and gap of a camera is one link of that camera's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Whose footage.
    pub camera: CameraId,
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// The digest of the previous record's envelope; [`Digest::NONE`] for the first.
    pub prev: Digest,
    /// The run of the agent that recorded it.
    pub boot_id: String,
    /// The wall time of the first frame.
    pub start: WallTime,
    /// Where the last frame ends.
    pub end: WallTime,
    /// How good the recorder's clock was at the end.
    pub clock: Clock,
    /// The coded stream.
    pub stream: Stream,
    /// The digest of the plain `init` section.
    pub init_sha256: Digest,
    /// The fragment tree.
    pub fragments: Fragments,
    /// What covers the picture.
    pub mask: Mask,
    /// What the network did.
    pub reception: Reception,
    /// How the file is sealed.
    pub seal: Seal,
    /// The program that made it.
    pub agent: Agent,
    /// Always `none`: no face or number plate matching exists in this product.
    pub analytics: Analytics,
    /// Whether the segment was closed after a crash, from what had reached the disc.
    pub recovered: bool,
    /// The newest cosigned checkpoint of another log when this was signed: it was signed after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_checkpoint: Option<ForeignCheckpoint>,
}

/// A checkpoint of another party's log, with its witnesses' signatures: nobody could know its bytes
/// before the youngest of those was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignCheckpoint {
    /// Which log.
    pub origin: String,
    /// Its entries.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The digest of the note's bytes, cosignatures included.
    pub note_sha256: Digest,
}

/// The coded stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// RFC 6381 name: `avc1.64001f`.
    pub codec: String,
    /// Luma width in pixels.
    pub width: u16,
    /// Luma height in pixels.
    pub height: u16,
    /// The digest of the decoder configuration (`avcC` or `hvcC` body): the SPS and PPS.
    pub parameters_sha256: Digest,
    /// Whether the frames are the camera's own, byte for byte.
    pub byte_exact: bool,
}

/// The tree over the fragments, see [`crate::fragment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fragments {
    /// How many.
    pub count: u32,
    /// The RFC 6962 root; also the statement's subject.
    pub root: Digest,
    /// Frames in all.
    pub samples: u32,
    /// Plain bytes in all, without `init`.
    pub bytes: u64,
}

/// What covers the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mask {
    /// The camera's record says that it needs none.
    NotRequired {
        /// Who approved that.
        approved_by: String,
    },
    /// Burned into the pixels before anything was stored.
    Burned {
        /// Which mask.
        policy_id: String,
        /// Which revision of it.
        revision: u32,
        /// Who approved that revision.
        approved_by: String,
        /// The digest of the polygons.
        geometry_sha256: Digest,
    },
}

/// What the network did between camera and recorder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reception {
    /// RTP packets lost.
    pub lost_packets: u64,
    /// Why the segment does not continue the one before; none if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discontinuity: Option<String>,
}

/// How the file is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// `AES-256-GCM`.
    pub algorithm: String,
    /// The hourly key, hours since 1970.
    pub epoch: u64,
}

/// The program that made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its version.
    pub version: String,
    /// The digest of its executable.
    pub binary_sha256: Digest,
    /// The digest of its configuration file.
    pub config_sha256: Digest,
}

/// What looked at the footage. A closed list with one entry, so that an addition is a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analytics {
    /// Nothing.
    None,
}
