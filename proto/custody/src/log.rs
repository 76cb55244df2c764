//! Transparency logs: what stands in them, how a checkpoint is signed and cosigned, who must have
//! cosigned it, and how a record's place is proved. All in the formats of C2SP, so that others'
//! tools check them: tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy,
//! tlog-proof, tlog-witness.
//!
//! | file | holds |
//! |---|---|
//! | [`entry`] | the bytes of a log entry: a site's record, the controller's event |
//! | [`note`] | verifier keys, checkpoints, signatures and timed cosignatures |
//! | [`policy`] | which witnesses are enough |
//! | [`proof`] | the text that proves one entry's place |
//! | [`witness`] | what a witness answers (pure: the driver persists before it answers) |
//! | `log/tiles.rs` | growing a tree from stored hashes; proofs and tiles (feature `tiles`) |
//!
//! Trees are RFC 6962's with SHA-256, see [`crate::tree`].

pub mod entry;
pub mod note;
pub mod policy;
pub mod proof;
#[cfg(feature = "tiles")]
pub mod tiles;
pub mod witness;

pub use note::{Checkpoint, Cosignature, SignedCheckpoint, VerifierKey};
pub use policy::Policy;
pub use proof::Proof;
