//! The site's identity key: the one key that the authority vouches for. It proves possession at
//! enrolment and certifies the keys that sign records, the log and as a witness; nothing else.
//!
//! | file | the key lies in |
//! |---|---|
//! | [`file`](mod@file) | `keys/identity.pem`, which only the owner may read |

use custody::keys::Signer;

pub mod file;

pub use file::FileKey;

/// A P-256 key that signs in the form of [`custody::keys`]. It may be asked from any thread, and may
/// take its time: a token answers in tens of milliseconds, a TPM in hundreds.
pub trait IdentityKey: Signer + Send + Sync {
    /// Where the key lies, for messages: a file, a token's slot.
    fn place(&self) -> &str;
}
