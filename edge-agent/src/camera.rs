//! Gets coded frames from cameras, or says that there are none, and why.
//!
//! | file | holds |
//! |---|---|
//! | [`address`] | where a camera is and how to log in; never shows the password |
//! | [`timeline`] | RTP time to wall time: anchor, drift, jumps (pure) |
//! | [`drift`] | how much faster the camera's media clock runs (pure) |
//! | [`sender_clock`] | how far the camera's clock is from ours, by its RTCP reports (pure) |
//! | [`watch`] | when to give a session up, and how long to wait before the next (pure) |
//! | [`strays`] | packets of sessions that are no longer ours (pure) |
//! | [`gate`] | how many cameras of a site are connected to at once |
//! | [`facts`] | the numbers that session and recorder tell each other past the queue |
//! | [`outbox`] | the bounded queue to the recorder, and what it drops when full |
//! | [`pin`] | whom an RTSPS connection must be with |
//! | [`stream`] | what `retina` says about a stream, in our words (pure) |
//! | `camera/tunnel.rs` | TLS for `retina`, which has none |
//! | [`worker`] | one RTSP session after another, by `retina` |
//!
//! **What is kept byte for byte.** [`Frame::data`] holds every NAL unit of the access unit in the
//! camera's order and unchanged (slices, SEI, access unit delimiters, end-of-sequence, vendor
//! types such as in-camera signatures), each after its length in 4 bytes. Two things differ from
//! the wire: RTP packetisation (and a camera's wrongly sent start codes with their zero padding)
//! is undone, and parameter sets (SPS, PPS, VPS) sent in-band are lifted out, because `avc1` and
//! `hvc1` samples must not carry them; their bytes stand unchanged in
//! [`Parameters::decoder_config`]. One SPS, PPS and VPS at a time is kept: a camera that uses
//! several at once gives new parameters at every change, and so a new segment.
//!
//! **Lost packets** are what the packet numbers leave out, as `retina` counts them, signed in each
//! manifest: never more than were lost, and fewer where losses follow each other within pictures that
//! are lost anyway (31 of 33 at 10 %, 92 of 145 at 40 %). On TCP nothing is lost on the way: the camera dropped them. A number that goes back on
//! TCP, or comes twice, ends the session (`stream-garbage`): the camera is broken there.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use custody::WallTime;

pub mod address;
#[cfg(test)]
pub(crate) mod clip;
pub mod drift;
pub mod facts;
pub mod gate;
pub mod outbox;
pub mod pin;
pub mod sender_clock;
pub mod strays;
pub mod stream;
pub mod timeline;
mod tunnel;
pub mod watch;
pub mod worker;

pub use address::{Address, BadAddress};
pub use facts::Facts;
pub use gate::Gate;
pub use pin::Pin;
pub use worker::{Settings, run};

/// Which compression a stream uses. Everything else is refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// ITU-T H.265, ISO/IEC 23008-2.
    H265,
}

/// What a decoder must know before the first frame. A new value means a new `init` section and so
/// a new segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The compression.
    pub codec: Codec,
    /// Luma width in pixels.
    pub width: u16,
    /// Luma height in pixels.
    pub height: u16,
    /// The body of the `avcC` or `hvcC` box (ISO/IEC 14496-15), with 4-byte NAL lengths.
    pub decoder_config: Bytes,
    /// The RFC 6381 codec name: `avc1.64001f`, `hvc1.1.6.L93.90`.
    pub rfc6381: String,
}

/// One coded picture as the camera sent it: unmasked, so it may go to the mask room and nowhere
/// else.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Presentation time on the session's media clock, 90 kHz ticks from the session's first frame.
    pub pts: i64,
    /// The wall time of `pts` by the session's anchor (see `camera::timeline`).
    pub wall: WallTime,
    /// When its last packet came in.
    pub arrived: WallTime,
    /// Whether decoding can start here: IDR in H.264, IRAP in H.265.
    pub key: bool,
    /// NAL units, each after its length in 4 bytes, exactly as the camera made them.
    pub data: Bytes,
    /// The stream's parameters when this frame was sent.
    pub parameters: Arc<Parameters>,
    /// RTP packets lost since the frame before.
    pub lost: u32,
    /// The camera's clock minus the recorder's, if the camera told its time within the last minute.
    pub camera_offset_ms: Option<i64>,
}

/// What a camera does, in the order it happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// Footage begins: the next event is this session's first frame.
    Connected(Arc<Parameters>),
    /// One picture.
    Frame(Frame),
    /// The session's time no longer follows the wall clock (either of the two was set, or the
    /// camera restarted its counter). The frame that follows is at `to`; `to` may lie before
    /// `from`.
    Jump {
        /// Where the timeline would have put the next frame.
        from: WallTime,
        /// Where it puts it now.
        to: WallTime,
    },
    /// The recorder took frames too slowly, so these were dropped, up to the next key frame,
    /// which follows (or the session ended before one came).
    Overrun {
        /// Whole frames dropped.
        frames: u64,
    },
    /// There is no footage, and why. Another session is tried after a pause.
    Down {
        /// The stable reason.
        reason: Reason,
        /// What was seen, for a technician; holds no credentials.
        detail: String,
        /// When the session was given up.
        at: WallTime,
    },
}

/// Why a camera gives no footage. The codes stand in signed gaps and never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No connection, or no answer in time.
    Unreachable,
    /// The camera refuses our user or password.
    CredentialsRefused,
    /// The camera answers, but has no such stream, or not over TCP.
    NotFound,
    /// The camera sends no H.264 or H.265.
    CodecUnsupported,
    /// The session stands, but no frame comes.
    Stalled,
    /// What the camera sends breaks the protocol.
    Garbage,
    /// The camera closed the session.
    Ended,
    /// Frames come, but none that decoding can start at.
    NeverKeyFrame,
}

impl Reason {
    /// Every reason, in the order of the codes' documentation.
    pub const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::CredentialsRefused,
        Self::NotFound,
        Self::CodecUnsupported,
        Self::Stalled,
        Self::Garbage,
        Self::Ended,
        Self::NeverKeyFrame,
    ];

    /// The code in records, metrics and messages.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::CredentialsRefused => "credentials-refused",
            Self::NotFound => "not-found",
            Self::CodecUnsupported => "codec-unsupported",
            Self::Stalled => "stalled",
            Self::Garbage => "garbage",
            Self::Ended => "ended",
            Self::NeverKeyFrame => "never-key-frame",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
