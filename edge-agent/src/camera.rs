//! Gets coded frames from cameras, or says that there are none, and why.
//!
//! | file | holds |
//! |---|---|
//! | `camera/timeline.rs` | RTP time to wall time: anchor, drift, jumps (pure) |
//! | `camera/watch.rs` | when to give a session up, and how long to wait before the next (pure) |
//! | `camera/worker.rs` | one RTSP session after another, by `retina` |

use std::sync::Arc;

use bytes::Bytes;
use custody::WallTime;

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
    /// Whether decoding can start here.
    pub key: bool,
    /// NAL units, each after its length in 4 bytes, exactly as the camera made them.
    pub data: Bytes,
    /// The stream's parameters when this frame was sent.
    pub parameters: Arc<Parameters>,
    /// RTP packets lost since the frame before.
    pub lost: u32,
}
