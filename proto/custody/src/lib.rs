//! What evidence *is*: records, their signatures, fragment trees, camera chains, coverage.
//!
//! Pure: takes bytes and times, gives values or a [`Refusal`]; reads no clock, file, socket or
//! randomness, and knows nothing of RTSP, RocksDB or gRPC.
//!
//! | file | holds |
//! |---|---|
//! | [`ids`] | names of sites, cameras, cases, holds, people, keys; digests |
//! | [`time`] | wall time in microseconds, and how good it was |
//! | [`tree`] | RFC 6962 Merkle trees, audit paths, consistency |
//! | [`log`] | transparency logs: entries, checkpoints, witnesses, policies, proofs |
//! | [`fragment`] | the leaf that commits to one GOP, plain and sealed |
//! | [`sealed`] | the segment file as it lies on disc and travels |
//! | [`dsse`] | signed envelopes: sign bytes, check, and only then parse |
//! | [`keys`] | Ed25519 and P-256 keys and their PEM form |
//! | [`record`] | the closed list of signed statements |
//! | [`manifest`] | the statement about one segment |
//! | [`chain`] | a camera's unbroken line of segments and gaps |
//! | [`coverage`] | how much of an interval is footage, explained gap, or neither |
//! | [`bundle`] | where things lie in a bundle |
//! | [`refusal`] | the closed vocabulary of what can be wrong |

pub mod bundle;
pub mod chain;
pub mod coverage;
pub mod dsse;
pub mod fragment;
pub mod ids;
pub mod keys;
pub mod log;
pub mod manifest;
pub mod record;
pub mod refusal;
pub mod sealed;
#[cfg(feature = "seal")]
pub mod sealing;
pub mod time;
pub mod tree;

pub use ids::{CameraId, CaseId, Digest, HoldId, KeyId, OrderId, PersonId, Seq, SiteId};
pub use keys::{PublicKey, SecretKey, SignError, Signer};
pub use refusal::{Code, Refusal};
pub use time::{Clock, ClockSource, WallTime};
