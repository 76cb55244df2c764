//! The parts of a pretended site: cameras good and bad, a network, our programs as processes.
//!
//! Everything a test starts here ends when its value is dropped. Waiting is done in
//! [`eventually`] and by deadlines; no test sleeps for luck.
//!
//! | file | holds |
//! |---|---|
//! | [`cameras`] | real RTSP cameras (GStreamer) from clips, that can go away and come back |
//! | [`captured`] | sessions of real servers, captured and played again, also bent |
//! | [`crowd`] | hundreds of cameras from one cheap thread, for benchmarks |
//! | [`faulty`] | an RTSP camera that misbehaves in one chosen way |
//! | [`foreign`] | verifiers, witnesses and authorities that nobody here wrote |
//! | [`footage`] | the clips, and their access units |
//! | [`impair`] | a UDP path with loss, delay and cuts, for QUIC |
//! | [`process`] | our programs, their logs, their deaths |
//! | [`tls_front`] | TLS before a camera |
//! | [`mod@eventually`] | wait until something is so |
//! | [`ports`] | free loopback ports |
//! | [`dice`] | random numbers that replay |

pub mod cameras;
pub mod captured;
pub mod crowd;
pub mod dice;
pub mod eventually;
pub mod faulty;
pub mod footage;
pub mod foreign;
pub mod impair;
pub mod ports;
pub mod process;
pub mod tls_front;
