//! Burns masks into the pixels before anything is kept. Fails closed: what cannot be masked does
//! not leave this room.
//!
//! | file | holds |
//! |---|---|
//! | [`zone`] | polygons, and exactly which samples each one covers (pure) |
//! | [`policy`] | which zones a camera has, who approved them, or that it needs none |
//! | [`choice`] | what encodes, and how many threads mask, by the settings (pure) |
//! | [`rate`] | how many bytes masked pictures may take: about the camera's own (pure) |
//! | [`turns`] | whose picture is next, and whose are left out when time is short (pure) |
//! | [`pool`] | the workers: all masked cameras on a bounded number of threads |
//! | `transcode` | one camera's decode → fill → encode |
//! | `decode`, `fill`, `encode`, `device` | its steps; the only FFmpeg |
//! | `absent` | takes `transcode`'s place in a build without the feature `media`: no mask starts |
//! | [`annexb`] | the encoder's byte stream as MP4 wants it (pure) |
//!
//! [`CleanFrame`] can be made in two ways only: by [`pass_unmasked`], for a camera whose record
//! says that no mask is required, and by the transcoder, from a picture whose zones were filled.

use std::sync::Arc;

use bytes::Bytes;
use custody::WallTime;

use crate::camera::{Event, Frame, Parameters, Reason};

pub mod annexb;
pub mod choice;
#[cfg(feature = "media")]
mod decode;
#[cfg(feature = "media")]
mod device;
#[cfg(feature = "media")]
mod encode;
#[cfg(feature = "media")]
mod fill;
pub mod policy;
pub mod pool;
pub mod rate;
#[cfg(feature = "media")]
mod transcode;
#[cfg(not(feature = "media"))]
#[path = "mask/absent.rs"]
mod transcode;
pub mod turns;
pub mod zone;

pub use choice::Settings;
pub use policy::{Applied, BadPolicy, Colour, NoMask, Policy};
pub use pool::{Feeder, Pipeline, Pool, StartError};
pub use zone::{Mistake, Point, Zone};

/// A coded picture that may be kept: its masks are burned in, or none is required.
#[derive(Debug, Clone)]
pub struct CleanFrame {
    frame: Frame,
    /// The mask that was burned in.
    applied: Option<Arc<Applied>>,
}

impl CleanFrame {
    /// Presentation time on the session's media clock, 90 kHz ticks.
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.frame.pts
    }

    /// The wall time of [`CleanFrame::pts`].
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.frame.wall
    }

    /// When the camera's frame came in.
    #[must_use]
    pub fn arrived(&self) -> WallTime {
        self.frame.arrived
    }

    /// Whether decoding can start here.
    #[must_use]
    pub fn key(&self) -> bool {
        self.frame.key
    }

    /// NAL units, each after its length in 4 bytes.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.frame.data
    }

    /// What a decoder must know; the encoder's own if a mask was burned in.
    #[must_use]
    pub fn parameters(&self) -> &Arc<Parameters> {
        &self.frame.parameters
    }

    /// RTP packets lost since the frame before.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.frame.lost
    }

    /// The camera's clock minus the recorder's when the frame came in, if known.
    #[must_use]
    pub fn camera_offset_ms(&self) -> Option<i64> {
        self.frame.camera_offset_ms
    }

    /// Which mask was burned in; `None` if the camera requires none.
    #[must_use]
    pub fn applied(&self) -> Option<&Arc<Applied>> {
        self.applied.as_ref()
    }
}

/// Lets a frame through as it is, byte for byte, on the word of `_approval`.
#[must_use]
pub fn pass_unmasked(frame: Frame, _approval: &NoMask) -> CleanFrame {
    CleanFrame { frame, applied: None }
}

/// What leaves this room, in the camera's order.
#[derive(Debug, Clone)]
pub enum Output {
    /// Footage begins.
    Connected,
    /// A picture that may be kept.
    Frame(CleanFrame),
    /// See [`Event::Jump`].
    Jump {
        /// Where the timeline would have put the next frame.
        from: WallTime,
        /// Where it puts it now.
        to: WallTime,
    },
    /// Frames were dropped by a full queue, before or in this room, up to the next key frame.
    Overrun {
        /// Whole frames dropped.
        frames: u64,
    },
    /// There was no time to mask these frames, so they were left out, up to the next key frame.
    LeftOut {
        /// Whole frames; 0: it has just begun, and how many is told when it is over.
        frames: u64,
        /// How many cameras there are and how many can be carried.
        detail: String,
    },
    /// Pictures could not be masked and so are not kept, from `at` up to the next
    /// [`Output::Frame`].
    MaskFailed {
        /// What failed, for a technician.
        detail: String,
        /// The wall time of the first picture that is not kept.
        at: WallTime,
    },
    /// See [`Event::Down`].
    Down {
        /// The stable reason.
        reason: Reason,
        /// What was seen; holds no credentials.
        detail: String,
        /// When the session was given up.
        at: WallTime,
    },
}

/// What becomes of `event` when its camera needs no mask.
#[must_use]
pub fn pass_event(event: Event, approval: &NoMask) -> Output {
    match event {
        Event::Frame(frame) => Output::Frame(pass_unmasked(frame, approval)),
        Event::Connected(_) => Output::Connected,
        Event::Jump { from, to } => Output::Jump { from, to },
        Event::Overrun { frames } => Output::Overrun { frames },
        Event::Down { reason, detail, at } => Output::Down { reason, detail, at },
    }
}
