//! The closed list of signed statements about a site.
//!
//! | kind | says | payload |
//! |---|---|---|
//! | segment | this footage was recorded | in-toto Statement, see [`crate::manifest`] |
//! | gap | no footage from … to …, because … | `watchhouse.record.v1` |
//! | erase | these segments were erased, because … | as above |
//! | hold, release | footage is kept beyond its time; no longer | as above |
//! | agent-start | the recorder came up, and how it had ended | as above |
//! | transfer | footage went to the controller for a case | as above |
//! | key | this key signs for that site (by the authority) | as above |
//! | bundle | this bundle was made (by the authority) | as above |
//!
//! Segments and gaps of one camera form its chain; every record of a site has a place in its log.

use serde::{Deserialize, Serialize};

use crate::dsse::Envelope;
use crate::ids::{CameraId, CaseId, Digest, HoldId, KeyId, Seq, SiteId};
use crate::keys::{PublicKey, SecretKey};
use crate::manifest::{self, Agent, Segment};
use crate::refusal::{Code, Refusal};
use crate::time::{Clock, WallTime};

/// The DSSE payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The DSSE payload type of all other records.
pub const RECORD: &str = "application/vnd.watchhouse.record.v1+json";
/// An erase record names at most this many segments: about 125 kB of JSON.
pub const ERASED_MAX: usize = 512;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every record is a segment")]
pub enum Record {
    /// Footage was recorded.
    Segment(Segment),
    /// Anything else.
    Other(Statement),
}

/// A statement that is not about a segment's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Statement {
    /// No footage, and why.
    Gap(Gap),
    /// Segments erased.
    Erase(Erase),
    /// Footage kept beyond its time.
    Hold(Hold),
    /// A hold ended.
    Release(Release),
    /// The recorder came up.
    AgentStart(AgentStart),
    /// Footage left the site.
    Transfer(Transfer),
    /// A key signs for a site.
    Key(KeyGrant),
    /// A bundle was made.
    Bundle(BundleSeal),
}

/// Why there is no footage. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// No connection to the camera.
    CameraUnreachable,
    /// The camera refused our name or password.
    CredentialsRefused,
    /// The camera has no such stream.
    StreamNotFound,
    /// Neither H.264 nor H.265.
    CodecUnsupported,
    /// The connection stood, and no frame came.
    StreamStalled,
    /// What came was not a stream.
    StreamGarbage,
    /// The camera ended the session.
    StreamEnded,
    /// Frames came, and none to start decoding from.
    NoKeyFrame,
    /// The camera's clock jumped; the recorder began anew.
    TimestampJump,
    /// A mask is required and could not be applied.
    MaskNotApplied,
    /// The recorder could not keep up.
    RecorderOverrun,
    /// No space on the disc.
    DiscFull,
    /// The disc refused.
    DiscFault,
    /// The recorder was stopped in order.
    AgentStopped,
    /// The recorder ended without saying so.
    AgentCrashed,
    /// The recorder's clock was stepped.
    ClockStep,
}

impl GapReason {
    /// The reason as it is printed and signed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CameraUnreachable => "camera-unreachable",
            Self::CredentialsRefused => "credentials-refused",
            Self::StreamNotFound => "stream-not-found",
            Self::CodecUnsupported => "codec-unsupported",
            Self::StreamStalled => "stream-stalled",
            Self::StreamGarbage => "stream-garbage",
            Self::StreamEnded => "stream-ended",
            Self::NoKeyFrame => "no-key-frame",
            Self::TimestampJump => "timestamp-jump",
            Self::MaskNotApplied => "mask-not-applied",
            Self::RecorderOverrun => "recorder-overrun",
            Self::DiscFull => "disc-full",
            Self::DiscFault => "disc-fault",
            Self::AgentStopped => "agent-stopped",
            Self::AgentCrashed => "agent-crashed",
            Self::ClockStep => "clock-step",
        }
    }
}

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
    /// Which, at most [`ERASED_MAX`].
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
    /// Which segments' keys were released, at most [`ERASED_MAX`].
    pub segments: Vec<SegmentRef>,
    /// When.
    pub at: WallTime,
}

/// A key signs for a site, says the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGrant {
    /// For which site.
    pub site: SiteId,
    /// Which key.
    pub key_id: KeyId,
    /// The raw public key, hexadecimal.
    pub public_key: String,
    /// Records from this time on.
    pub not_before: WallTime,
}

/// A bundle was made, says the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleSeal {
    /// For which case.
    pub case: CaseId,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Segment,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    sha256: Digest,
}

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

impl Record {
    /// Signs the record; the envelope's bytes are what is kept.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> Envelope {
        let (payload_type, payload) = match self {
            Self::Segment(segment) => (IN_TOTO, serde_json::to_vec(&in_toto(segment))),
            Self::Other(statement) => (RECORD, serde_json::to_vec(statement)),
        };
        Envelope::sign(payload_type, payload.expect("records always have a JSON form"), key)
    }

    /// Checks the signature and then reads the record.
    ///
    /// # Errors
    /// `signature-invalid` or `record-malformed`.
    pub fn check(envelope: &Envelope, key: &PublicKey) -> Result<Self, Refusal> {
        envelope.check(envelope.payload_type(), key)?;
        Self::danger_read_unchecked(envelope)
    }

    /// Reads the record without checking who signed it: for the program's own store.
    ///
    /// # Errors
    /// `record-malformed`.
    pub fn danger_read_unchecked(envelope: &Envelope) -> Result<Self, Refusal> {
        let bad = |why: String| Refusal::new(Code::RecordMalformed, why);
        let payload = envelope.danger_unchecked_payload();
        match envelope.payload_type() {
            IN_TOTO => {
                let statement: InToto =
                    serde_json::from_slice(payload).map_err(|e| bad(e.to_string()))?;
                let [subject] = <[Subject; 1]>::try_from(statement.subject)
                    .map_err(|_| bad("a segment statement has one subject".into()))?;
                let segment = statement.predicate;
                if statement.kind != STATEMENT_TYPE
                    || statement.predicate_type != manifest::PREDICATE_TYPE
                    || subject.digest.sha256 != segment.fragments.root
                    || subject.name != subject_name(&segment)
                {
                    return Err(bad("subject and predicate disagree".into()));
                }
                Ok(Self::Segment(segment))
            }
            RECORD => {
                serde_json::from_slice(payload).map(Self::Other).map_err(|e| bad(e.to_string()))
            }
            other => Err(bad(format!("unknown payload type {other:.60}"))),
        }
    }

    /// The camera chain that the record is a link of, if it is one.
    #[must_use]
    pub fn link(&self) -> Option<Link<'_>> {
        match self {
            Self::Segment(s) => Some(Link {
                camera: &s.camera,
                seq: s.seq,
                prev: s.prev,
                start: s.start,
                end: s.end,
                anew: s.reception.discontinuity.is_some(),
            }),
            Self::Other(Statement::Gap(g)) => Some(Link {
                camera: &g.camera,
                seq: g.seq,
                prev: g.prev,
                start: g.start,
                end: g.end,
                anew: g.reason == GapReason::ClockStep,
            }),
            Self::Other(_) => None,
        }
    }
}

/// What a segment or gap says of its place in its camera's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Whose chain.
    pub camera: &'a CameraId,
    /// The place.
    pub seq: Seq,
    /// The digest of the link before.
    pub prev: Digest,
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
    /// Whether time may begin anew here, as the record itself explains.
    pub anew: bool,
}

fn subject_name(segment: &Segment) -> String {
    format!("{}/{}", segment.camera, segment.seq)
}

fn in_toto(segment: &Segment) -> InToto {
    InToto {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject {
            name: subject_name(segment),
            digest: SubjectDigest { sha256: segment.fragments.root },
        }],
        predicate_type: manifest::PREDICATE_TYPE.to_owned(),
        predicate: segment.clone(),
    }
}

#[cfg(test)]
mod tests;
