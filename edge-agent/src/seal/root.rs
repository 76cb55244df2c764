//! Where the site key lies: the one secret that everything else is wrapped under, and that is replaced
//! and destroyed whenever hours' keys go. What was wrapped under a destroyed one opens nowhere.
//!
//! | file | the secret lies in |
//! |---|---|
//! | [`file`](mod@file) | `keys/root/<generation>.key`, which only the owner may read |
//! | `token` | a PKCS#11 token, as a private data object (feature `hsm`) |
//!
//! With the file, whoever has an old copy of the whole disc has an old secret too; with a token that
//! keeps its objects in its own hardware, an old copy of every file opens nothing.

use custody::Digest;
use custody::sealing::Key;

use super::key_ring::KeyError;
use crate::config;

pub mod file;
#[cfg(feature = "hsm")]
pub mod token;

pub use file::FileRoot;

use std::path::Path;

/// A site key and its number. Has no `Debug`; wiped when dropped.
#[derive(Clone)]
pub struct Secret {
    /// Counts up by one at each change.
    pub generation: u64,
    /// The site key.
    pub key: Key,
}

impl Secret {
    /// The digest that records name it by. The key is 256 random bits: its digest confirms no guess.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.key.danger_bytes())
    }
}

/// Keeps site keys: one, or two while one takes over from the other. May be asked from any thread, and
/// may take its time; nothing of recording waits for it.
pub trait Root: Send + Sync {
    /// Where they lie, for messages.
    fn place(&self) -> &str;

    /// All that are there.
    ///
    /// # Errors
    /// When the place does not answer.
    fn secrets(&self) -> Result<Vec<Secret>, KeyError>;

    /// Keeps another. It survives power loss when this returns.
    ///
    /// # Errors
    /// When the place does not take it.
    fn add(&self, secret: &Secret) -> Result<(), KeyError>;

    /// Destroys one so that nobody gets it back. No error if it is gone already, so that it may be
    /// repeated.
    ///
    /// # Errors
    /// When it may still be there.
    fn destroy(&self, generation: u64) -> Result<(), KeyError>;
}

/// The place that the settings name; under `state_dir` if it is a folder.
///
/// # Errors
/// When it cannot be reached.
pub fn open(settings: &config::SiteKey, state_dir: &Path) -> Result<Box<dyn Root>, KeyError> {
    match settings {
        config::SiteKey::File => Ok(Box::new(FileRoot::new(&state_dir.join("keys")))),
        config::SiteKey::Pkcs11(token) => open_token(token),
    }
}

#[cfg(feature = "hsm")]
fn open_token(token: &config::Token) -> Result<Box<dyn Root>, KeyError> {
    Ok(Box::new(token::TokenRoot::open(token.clone())?))
}

/// The settings are refused before this is reached.
#[cfg(not(feature = "hsm"))]
fn open_token(token: &config::Token) -> Result<Box<dyn Root>, KeyError> {
    Err(KeyError::Root {
        place: format!("token `{}`", token.token_label),
        why: "this program was built without the feature `hsm`".to_owned(),
    })
}
