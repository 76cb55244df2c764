//! What the two ends of the fleet link say to each other beside gRPC: stream kinds, the bulk
//! stream's header, pacing, back-off and resumption. Pure: time is a [`Tick`] passed in, chance a
//! number passed in; knows no socket.
//!
//! One QUIC connection, dialled by the agent, ALPN [`ALPN`]. Either side opens streams:
//!
//! | stream | opened by | first byte | then |
//! |---|---|---|---|
//! | bidirectional | agent | [`stream::FLEET`] | HTTP/2, gRPC service `Fleet` |
//! | bidirectional | controller | [`stream::AGENT`] | HTTP/2, gRPC service `Agent` |
//! | unidirectional | agent | [`stream::BULK`] | [`stream::BulkHeader`], then the file's bytes, FIN |

pub mod backoff;
pub mod catch_up;
pub mod pace;
pub mod stream;

/// The application protocol of the link, version 1.
pub const ALPN: &[u8] = b"watchhouse/1";

/// What an agent's evidence key signs to prove at enrolment that the agent holds it: this, then the
/// signing request (PKCS#10, DER).
pub const ENROL_PREFIX: &[u8] = b"watchhouse enrol 1";

/// Monotonic milliseconds since some moment of the program's choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// This tick moved by `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier`; 0 if it is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
