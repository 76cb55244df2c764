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
//! | key-cert | this key signs records, the log or as a witness (by the site's identity) | as above |
//! | heartbeat | the recorder runs; how far each camera's chain has come | as above |
//! | clock-step | the wall clock was stepped | as above |
//! | mask-change | another mask, or none, covers a camera from here on | as above |
//! | config-change | the recorder runs with other settings | as above |
//! | access | someone looked at footage on the site | as above |
//! | keys-destroyed | what these hours' keys sealed opens for nobody any more | as above |
//! | damage | stored bytes were found changed; repaired from a second copy, or not | as above |
//! | disposal | a disc was taken out of service, and holds only what is sealed | as above |
//! | key | this identity key is that site's, these keys are revoked (by the authority) | as above |
//! | bundle | this bundle was made (by the authority) | as above |
//!
//! Segments and gaps of one camera form its chain; every record of a site has a place in its log,
//! where [`Kind`] stands beside the digest of its envelope.

use serde::{Deserialize, Serialize};

use crate::dsse::Envelope;
use crate::ids::{CameraId, Digest, Seq};
use crate::keys::{PublicKey, SecretKey, SignError, Signer};
use crate::manifest::{self, Segment};
use crate::refusal::{Code, Refusal};
use crate::time::WallTime;

pub mod fact;
pub mod key;

pub use fact::{
    Access, AgentStart, ChainEnd, ClockStep, ConfigChange, Damage, DamageOutcome, Disposal, Erase,
    EraseReason, Gap, Grounds, Heartbeat, Hold, KeysDestroyed, LegalBasis, LogEnd, MaskChange,
    MopiGroup, Release, SegmentRef, Transfer,
};
pub use key::{BundleSeal, KeyCert, KeyGrant, KeyUsage, RECORDS_KEY_LIFE_US, Revoked};

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
    /// A key signs for the site, says its identity.
    KeyCert(KeyCert),
    /// The recorder runs.
    Heartbeat(Heartbeat),
    /// The wall clock was stepped.
    ClockStep(ClockStep),
    /// A camera's mask is another one.
    MaskChange(MaskChange),
    /// The settings are others.
    ConfigChange(ConfigChange),
    /// Footage was looked at.
    Access(Access),
    /// Hours' keys destroyed.
    KeysDestroyed(KeysDestroyed),
    /// Stored bytes changed.
    Damage(Damage),
    /// A disc taken out of service.
    Disposal(Disposal),
    /// An identity key is a site's.
    Key(KeyGrant),
    /// A bundle was made.
    Bundle(BundleSeal),
}

/// What a record is, as one byte in a site's log. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Record::Segment`].
    Segment = 1,
    /// [`Statement::Gap`].
    Gap = 2,
    /// [`Statement::Erase`].
    Erase = 3,
    /// [`Statement::Hold`].
    Hold = 4,
    /// [`Statement::Release`].
    Release = 5,
    /// [`Statement::AgentStart`].
    AgentStart = 6,
    /// [`Statement::Transfer`].
    Transfer = 7,
    /// [`Statement::KeyCert`].
    KeyCert = 8,
    /// [`Statement::Heartbeat`].
    Heartbeat = 9,
    /// [`Statement::ClockStep`].
    ClockStep = 10,
    /// [`Statement::MaskChange`].
    MaskChange = 11,
    /// [`Statement::ConfigChange`].
    ConfigChange = 12,
    /// [`Statement::Access`].
    Access = 13,
    /// [`Statement::KeysDestroyed`].
    KeysDestroyed = 14,
    /// [`Statement::Damage`].
    Damage = 15,
    /// [`Statement::Disposal`].
    Disposal = 16,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Segment,
        Self::Gap,
        Self::Erase,
        Self::Hold,
        Self::Release,
        Self::AgentStart,
        Self::Transfer,
        Self::KeyCert,
        Self::Heartbeat,
        Self::ClockStep,
        Self::MaskChange,
        Self::ConfigChange,
        Self::Access,
        Self::KeysDestroyed,
        Self::Damage,
        Self::Disposal,
    ];

    /// The byte in a log entry.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a byte, if it is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
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
    /// The mask room could not keep up: these frames were dropped rather than shown unmasked.
    MaskOverload,
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
            Self::MaskOverload => "mask-overload",
            Self::RecorderOverrun => "recorder-overrun",
            Self::DiscFull => "disc-full",
            Self::DiscFault => "disc-fault",
            Self::AgentStopped => "agent-stopped",
            Self::AgentCrashed => "agent-crashed",
            Self::ClockStep => "clock-step",
        }
    }
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
        let (payload_type, payload) = self.payload();
        Envelope::sign(payload_type, payload, key)
    }

    /// As [`Self::sign`], by a key that may not answer.
    ///
    /// # Errors
    /// When the key's holder does not answer.
    pub fn sign_by(&self, signer: &dyn Signer) -> Result<Envelope, SignError> {
        let (payload_type, payload) = self.payload();
        Envelope::sign_by(payload_type, payload, signer)
    }

    fn payload(&self) -> (&'static str, Vec<u8>) {
        let (payload_type, payload) = match self {
            Self::Segment(segment) => (IN_TOTO, serde_json::to_vec(&in_toto(segment))),
            Self::Other(statement) => (RECORD, serde_json::to_vec(statement)),
        };
        (payload_type, payload.expect("records always have a JSON form"))
    }

    /// What it is in a site's log; none for the authority's statements, which stand in no log.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let kind = match self {
            Self::Segment(_) => Kind::Segment,
            Self::Other(statement) => match statement {
                Statement::Gap(_) => Kind::Gap,
                Statement::Erase(_) => Kind::Erase,
                Statement::Hold(_) => Kind::Hold,
                Statement::Release(_) => Kind::Release,
                Statement::AgentStart(_) => Kind::AgentStart,
                Statement::Transfer(_) => Kind::Transfer,
                Statement::KeyCert(_) => Kind::KeyCert,
                Statement::Heartbeat(_) => Kind::Heartbeat,
                Statement::ClockStep(_) => Kind::ClockStep,
                Statement::MaskChange(_) => Kind::MaskChange,
                Statement::ConfigChange(_) => Kind::ConfigChange,
                Statement::Access(_) => Kind::Access,
                Statement::KeysDestroyed(_) => Kind::KeysDestroyed,
                Statement::Damage(_) => Kind::Damage,
                Statement::Disposal(_) => Kind::Disposal,
                Statement::Key(_) | Statement::Bundle(_) => return None,
            },
        };
        Some(kind)
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
