//! Makes a fragment evidence: commits to it, seals it, signs for it. Knows nothing of the index.
//!
//! | file | holds |
//! |---|---|
//! | [`identity`] | who signs: this site, this run, this program; records keys and their change |
//! | [`identity_key`] | the key that the authority vouches for: in a file, or behind the same trait |
//! | [`root`] | where the site key lies: in a file, or in a token |
//! | [`key_ring`] | the hourly keys under the site key, and how both change: that is erasure |
//! | [`fragment`] | the only maker of sealed fragments |
//!
//! ```text
//! site key (root) ──wraps──► hour's key (keys/ring) ──wraps──► the key in a segment file's header,
//!                                                             or in keys/hours once the hour lost footage
//! ```
//! No key is ever in RocksDB, whose log and tables keep what was deleted.

pub mod fragment;
pub mod identity;
pub mod identity_key;
pub mod key_ring;
pub mod root;

pub use fragment::{Plain, SealedFragment, Sealer};
pub use identity::Identity;
pub use identity_key::{FileKey, IdentityKey};
pub use key_ring::{KeyError, KeyRing};
pub use root::{FileRoot, Root};
