//! The identity key in a PKCS#11 token (a smart card, a network HSM, a TPM through its PKCS#11
//! module): made there at first use, and never out of it.
//!
//! The module is foreign code that may block for as long as it likes, so one thread talks to it and
//! whoever wants a signature waits for a bounded time. The library is loaded at run time, and only if
//! the settings name one.
//!
//! | seen | answer |
//! |---|---|
//! | the session is gone: token pulled, HSM restarted | a new session; then the module started anew; then the error |
//! | the token has the key's label twice, or another key than before | refused: nobody may swap an identity |
//! | the PIN is refused | it is not tried again until its file changes, so that no restart locks a token |
//! | one try for the PIN is left | none is made: a person must enter it |
//! | a signature does not fit the key | refused |

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use custody::Digest;
use custody::keys::{PublicKey, SignError, Signer};
use host::telemetry::chain;

use super::IdentityKey;
use crate::config::Token;

pub(in crate::seal) mod session;

use session::Session;

/// How long a token may take to be found, and to make a key: smart cards take tens of seconds.
const OPEN: Duration = Duration::from_secs(120);
/// How long it may take to sign.
const SIGN: Duration = Duration::from_secs(30);

/// A token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file with the PIN.
    #[error("{path}: {what}")]
    PinFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Why it could not be read.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The token refuses the PIN, or would lock at the next wrong one.
    #[error("token `{token}`: {what}")]
    PinRefused {
        /// Which token.
        token: String,
        /// What to do.
        what: &'static str,
    },
    /// The module, the token or the key is not what the settings say.
    #[error("{what}")]
    NotThere {
        /// What is missing.
        what: String,
    },
    /// The module answered with an error.
    #[error("{attempt}")]
    Module {
        /// What was asked of it.
        attempt: String,
        /// Its answer.
        #[source]
        source: cryptoki::error::Error,
    },
    /// There is no answer at all.
    #[error("the token does not answer; it is asked again at the next need")]
    Silent,
    /// No thread can be had for it.
    #[error("no thread for the token")]
    Thread(#[source] std::io::Error),
}

type Answer = Result<Vec<u8>, TokenError>;

/// Something to sign, and where the signature goes.
struct Ask {
    digest: Digest,
    to: SyncSender<Answer>,
}

/// The key, by the thread that holds its session. The session is closed when this is dropped.
pub struct TokenKey {
    place: String,
    public: PublicKey,
    asks: SyncSender<Ask>,
}

impl TokenKey {
    /// Finds the key, or makes it if the token has none of that label. Waits for the token.
    ///
    /// # Errors
    /// When the token cannot be used; the error says what to do.
    pub fn open(settings: Token) -> Result<Self, TokenError> {
        let place = format!("key `{}` in token `{}`", settings.key_label, settings.token_label);
        // One is being signed and one waits: a site certifies a key a day.
        let (asks, asked) = mpsc::sync_channel(1);
        let (ready, opened) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("identity token".to_owned())
            .spawn(move || serve(settings, &ready, &asked))
            .map_err(TokenError::Thread)?;
        let public = opened.recv_timeout(OPEN).map_err(|_| TokenError::Silent)??;
        Ok(Self { place, public, asks })
    }

    fn ask(&self, digest: Digest) -> Answer {
        let (to, answer) = mpsc::sync_channel(1);
        match self.asks.try_send(Ask { digest, to }) {
            Ok(()) => answer.recv_timeout(SIGN).unwrap_or(Err(TokenError::Silent)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(TokenError::Silent),
        }
    }
}

impl Signer for TokenKey {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let told = |error: &TokenError| SignError::new(format!("{}: {}", self.place, chain(error)));
        let raw = self.ask(Digest::of(message)).map_err(|error| told(&error))?;
        let wrong =
            || SignError::new(format!("{}: its signature does not fit the key", self.place));
        let signature = low_s_der(&raw).ok_or_else(wrong)?;
        // A token that was swapped or is broken is found here, not by a court.
        if !self.public.verifies(message, &signature) {
            return Err(wrong());
        }
        Ok(signature)
    }
}

impl IdentityKey for TokenKey {
    fn place(&self) -> &str {
        &self.place
    }
}

/// PKCS#11's r and s, end to end, as DER with s in its lower half.
fn low_s_der(raw: &[u8]) -> Option<Vec<u8>> {
    let signature = p256::ecdsa::Signature::from_slice(raw).ok()?;
    let low = signature.normalize_s().unwrap_or(signature);
    Some(low.to_der().as_bytes().to_vec())
}

/// The thread: opens, then signs until nobody asks any more.
fn serve(
    settings: Token,
    ready: &SyncSender<Result<PublicKey, TokenError>>,
    asked: &Receiver<Ask>,
) {
    let mut session = match Session::open(settings) {
        Ok(session) => session,
        Err(error) => {
            // Whoever asked may have given up meanwhile.
            drop(ready.send(Err(error)));
            return;
        }
    };
    if ready.send(Ok(session.public().clone())).is_err() {
        return;
    }
    while let Ok(Ask { digest, to }) = asked.recv() {
        drop(to.send(session.sign(&digest)));
    }
}

#[cfg(test)]
mod tests;
