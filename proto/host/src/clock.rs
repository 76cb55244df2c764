//! The only reader of the system's clocks. Everything else asks the [`Clock`] it was given, so that
//! a simulated day takes a moment.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use custody::{ClockSource, WallTime};
use link::Tick;

/// A clock; cheap to clone, clones agree.
#[derive(Debug, Clone)]
pub struct Clock(Inner);

#[derive(Debug, Clone)]
enum Inner {
    System,
    Simulated(Arc<Simulated>),
}

#[derive(Debug, Default)]
struct Simulated {
    wall_us: AtomicI64,
    tick_ms: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Inner::System)
    }

    /// A clock that stands at `wall` until it is moved.
    #[must_use]
    pub fn simulated(wall: WallTime) -> Self {
        let clock = Simulated { wall_us: AtomicI64::new(wall.0), tick_ms: AtomicU64::new(1) };
        Self(Inner::Simulated(Arc::new(clock)))
    }

    /// Lets `ms` milliseconds pass on a simulated clock. The machine's clock cannot be moved.
    pub fn advance_ms(&self, ms: u64) {
        if let Inner::Simulated(clock) = &self.0 {
            let micros = i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
            clock.wall_us.fetch_add(micros, Ordering::SeqCst);
            clock.tick_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Steps a simulated clock's wall time alone, as an administrator or a time service may.
    pub fn step_wall(&self, wall: WallTime) {
        if let Inner::Simulated(clock) = &self.0 {
            clock.wall_us.store(wall.0, Ordering::SeqCst);
        }
    }

    /// Wall time, UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> WallTime {
        match &self.0 {
            Inner::Simulated(clock) => WallTime(clock.wall_us.load(Ordering::SeqCst)),
            Inner::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                WallTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Monotonic milliseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn tick(&self) -> Tick {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Inner::Simulated(clock) => Tick(clock.tick_ms.load(Ordering::SeqCst)),
            Inner::System => {
                let elapsed = START.get_or_init(Instant::now).elapsed();
                Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }

    /// How good the wall clock is, by the kernel's own account (`ntp_adjtime(3)`, read only).
    #[must_use]
    pub fn quality(&self) -> custody::Clock {
        match &self.0 {
            Inner::Simulated(_) => custody::Clock {
                source: ClockSource::Simulated,
                offset_us: 0,
                uncertainty_us: 0,
                camera_offset_ms: None,
            },
            Inner::System => kernel_quality(),
        }
    }
}

#[expect(unsafe_code, reason = "no safe binding of ntp_adjtime exists")]
fn kernel_quality() -> custody::Clock {
    /// RFC 5905's longest synchronisation distance stands for "unknown": 16 s.
    const UNKNOWN_US: i64 = 16_000_000;
    // SAFETY: `timex` is plain data for which all zeroes is a value; `modes` 0 only reads.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::ntp_adjtime(&raw mut timex);
        (state, timex)
    };
    let disciplined = state >= 0 && timex.status & libc::STA_UNSYNC == 0;
    let nanos = timex.status & libc::STA_NANO != 0;
    custody::Clock {
        source: if disciplined { ClockSource::Disciplined } else { ClockSource::Undisciplined },
        offset_us: if nanos { timex.offset / 1000 } else { timex.offset },
        uncertainty_us: if state >= 0 { timex.maxerror } else { UNKNOWN_US },
        camera_offset_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_told() {
        let clock = Clock::simulated(WallTime(5_000_000));
        let twin = clock.clone();
        let before = twin.tick();
        clock.advance_ms(1500);
        assert_eq!((twin.now(), twin.tick().ms_since(before)), (WallTime(6_500_000), 1500));
        clock.step_wall(WallTime(1));
        assert_eq!((twin.now(), twin.tick().ms_since(before)), (WallTime(1), 1500));
    }

    #[test]
    fn the_kernel_says_how_good_its_clock_is() {
        let quality = Clock::system().quality();
        assert!(quality.uncertainty_us >= 0);
        assert_ne!(quality.source, ClockSource::Simulated);
    }
}
