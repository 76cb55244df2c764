//! What a camera's session and its recorder tell each other past the queue: a few numbers, the
//! latest of each. Nothing waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use custody::WallTime;

/// Stands for "not known".
const UNKNOWN: i64 = i64::MIN;

/// One camera's numbers; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Facts(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    received_us: AtomicI64,
    written_ms: AtomicU64,
    drift_ppm: AtomicI64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            received_us: AtomicI64::new(UNKNOWN),
            written_ms: AtomicU64::new(0),
            drift_ppm: AtomicI64::new(UNKNOWN),
        }
    }
}

impl Facts {
    /// A frame came from the camera.
    pub fn set_received(&self, at: WallTime) {
        self.0.received_us.store(at.0, Ordering::Relaxed);
    }

    /// When a frame last came from the camera, whatever became of it.
    #[must_use]
    pub fn received(&self) -> Option<WallTime> {
        known(&self.0.received_us).map(WallTime)
    }

    /// Footage reached the disc at `at_ms`, by the monotonic clock.
    pub fn set_written(&self, at_ms: u64) {
        self.0.written_ms.fetch_max(at_ms, Ordering::Relaxed);
    }

    /// When footage last reached the disc, monotonic milliseconds; 0: never.
    #[must_use]
    pub fn written_ms(&self) -> u64 {
        self.0.written_ms.load(Ordering::Relaxed)
    }

    /// The session's drift is now this.
    pub fn set_drift(&self, ppm: Option<i64>) {
        self.0.drift_ppm.store(ppm.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// How much faster the camera's media clock runs than the recorder's, parts per million.
    #[must_use]
    pub fn drift_ppm(&self) -> Option<i64> {
        known(&self.0.drift_ppm)
    }
}

fn known(number: &AtomicI64) -> Option<i64> {
    Some(number.load(Ordering::Relaxed)).filter(|number| *number != UNKNOWN)
}
