//! Makes a fragment evidence: commits to it, seals it, signs for it. Knows nothing of the index.
//!
//! | file | holds |
//! |---|---|
//! | [`identity`] | who signs: this site, this run, this program; records keys and their change |
//! | [`identity_key`] | the key that the authority vouches for: in a file, or behind the same trait |
//! | [`key_ring`] | the site key and the hourly keys, as files; destroying one is erasure |
//! | [`fragment`] | the only maker of sealed fragments |
//!
//! ```text
//! keys/site.key ──wraps──► keys/epoch/<hour>.key ──wraps──► the key in a segment file's header
//! ```
//! No key is ever in RocksDB, whose log and tables keep what was deleted.

pub mod fragment;
pub mod identity;
pub mod identity_key;
pub mod key_ring;

pub use fragment::{Plain, SealedFragment, Sealer};
pub use identity::Identity;
pub use identity_key::{FileKey, IdentityKey};
pub use key_ring::{KeyError, KeyRing};
