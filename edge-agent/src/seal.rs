//! Makes a fragment evidence: commits to it, seals it, signs for it. Knows nothing of the index.
//!
//! | file | holds |
//! |---|---|
//! | [`identity`] | who signs: the site's evidence key, this run, this program |
//! | [`key_ring`] | the site key and the hourly keys, as files; destroying one is erasure |
//! | [`fragment`] | the only maker of sealed fragments |
//!
//! ```text
//! keys/site.key ──wraps──► keys/epoch/<hour>.key ──wraps──► the key in a segment file's header
//! ```
//! No key is ever in RocksDB, whose log and tables keep what was deleted.

pub mod fragment;
pub mod identity;
pub mod key_ring;

pub use fragment::{Plain, SealedFragment, Sealer};
pub use identity::Identity;
pub use key_ring::{KeyError, KeyRing};
