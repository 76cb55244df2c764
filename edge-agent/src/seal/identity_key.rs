//! The site's identity key: the one key that the authority vouches for. It proves possession at
//! enrolment and certifies the keys that sign records, the log and as a witness; nothing else.
//!
//! | file | the key lies in |
//! |---|---|
//! | [`file`](mod@file) | `keys/identity.pem`, which only the owner may read |
//! | `pkcs11` | a PKCS#11 token, never out of it (feature `hsm`) |

use std::path::Path;

use custody::keys::{SignError, Signer};

use super::key_ring::KeyError;
use crate::config;

pub mod file;
#[cfg(feature = "hsm")]
pub mod pkcs11;

pub use file::FileKey;

/// A P-256 key that signs in the form of [`custody::keys`]. It may be asked from any thread, and may
/// take its time: a token answers in tens of milliseconds, a TPM in hundreds.
pub trait IdentityKey: Signer + Send + Sync {
    /// Where the key lies, for messages: a file, a token's slot.
    fn place(&self) -> &str;
}

/// The key that the settings name, under `state_dir` if it is a file; made at first use.
///
/// # Errors
/// When it can be neither reached nor made.
pub fn open(
    settings: &config::Identity,
    state_dir: &Path,
) -> Result<Box<dyn IdentityKey>, KeyError> {
    match settings {
        config::Identity::File => {
            let folder = super::identity::keys_folder(state_dir)?;
            Ok(Box::new(FileKey::load(&folder.join("identity.pem"))?))
        }
        config::Identity::Pkcs11(token) => open_token(token),
    }
}

#[cfg(feature = "hsm")]
fn open_token(token: &config::Token) -> Result<Box<dyn IdentityKey>, KeyError> {
    match pkcs11::TokenKey::open(token.clone()) {
        Ok(key) => Ok(Box::new(key)),
        Err(error) => Err(unanswered(token, host::telemetry::chain(&error))),
    }
}

/// The settings are refused before this is reached.
#[cfg(not(feature = "hsm"))]
fn open_token(token: &config::Token) -> Result<Box<dyn IdentityKey>, KeyError> {
    Err(unanswered(token, "this program was built without the feature `hsm`"))
}

fn unanswered(token: &config::Token, why: impl Into<String>) -> KeyError {
    let place = format!("token `{}`", token.token_label);
    KeyError::Identity { place, source: SignError::new(why) }
}
