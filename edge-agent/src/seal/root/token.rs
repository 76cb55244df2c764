//! The site key in a PKCS#11 token, as a private data object: an old copy of every file of the machine
//! then opens nothing, if the token keeps its objects in its own hardware (a smart card, an HSM). SoftHSM
//! and tpm2-pkcs11 keep theirs in files, which an image of the disc would hold as well.
//!
//! A data object and not a key object: nearly every token has them, and the site key must be in memory
//! anyway to open an hour. Each question opens a session of its own and waits a bounded time; there are a
//! few an hour, and nothing of recording waits for them.
//!
//! ```text
//! value = generation:u64 key[32]      label: the settings' `key_label`, application: "watchhouse"
//! ```

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use custody::sealing::Key;
use host::telemetry::chain;
use zeroize::Zeroizing;

use super::{Root, Secret};
use crate::config::Token;
use crate::seal::identity_key::pkcs11::TokenError;
use crate::seal::identity_key::pkcs11::session::{self, Module, module};
use crate::seal::key_ring::KeyError;

/// How long a token may take to answer: smart cards take tens of seconds.
const ANSWER: Duration = Duration::from_secs(120);
const VALUE_BYTES: usize = 8 + 32;
const APPLICATION: &[u8] = b"watchhouse";

/// Site keys in a token. One thread at a time talks to it.
pub struct TokenRoot {
    place: String,
    asks: mpsc::SyncSender<Ask>,
}

enum Question {
    Secrets,
    Add(Secret),
    Destroy(u64),
}

struct Ask {
    question: Question,
    to: mpsc::SyncSender<Result<Vec<Secret>, TokenError>>,
}

impl TokenRoot {
    /// Loads the token's module.
    ///
    /// # Errors
    /// When the module cannot be loaded; whether the token answers shows at the first question.
    pub fn open(settings: Token) -> Result<Self, KeyError> {
        let place = format!("object `{}` in token `{}`", settings.key_label, settings.token_label);
        let failed = |why: String| KeyError::Root { place: place.clone(), why };
        let mut library = Module::load(settings.clone()).map_err(|error| failed(chain(&error)))?;
        // One is being answered and one waits: whoever else asks is told that it does not answer.
        let (asks, asked) = mpsc::sync_channel::<Ask>(1);
        thread::Builder::new()
            .name("site key token".to_owned())
            .spawn(move || {
                while let Ok(Ask { question, to }) = asked.recv() {
                    // Whoever asked may have given up meanwhile.
                    drop(to.send(answer(&mut library, &settings, &question)));
                }
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { place, asks })
    }

    fn ask(&self, question: Question) -> Result<Vec<Secret>, KeyError> {
        let failed = |error: &TokenError| KeyError::Root {
            place: self.place.clone(),
            why: format!("{}; is the token there and unlocked?", chain(error)),
        };
        let (to, answer) = mpsc::sync_channel(1);
        self.asks.try_send(Ask { question, to }).map_err(|_| failed(&TokenError::Silent)).and_then(
            |()| {
                let answer = answer.recv_timeout(ANSWER).unwrap_or(Err(TokenError::Silent));
                answer.map_err(|error| failed(&error))
            },
        )
    }
}

impl Root for TokenRoot {
    fn place(&self) -> &str {
        &self.place
    }

    fn secrets(&self) -> Result<Vec<Secret>, KeyError> {
        self.ask(Question::Secrets)
    }

    fn add(&self, secret: &Secret) -> Result<(), KeyError> {
        self.ask(Question::Add(secret.clone())).map(drop)
    }

    fn destroy(&self, generation: u64) -> Result<(), KeyError> {
        self.ask(Question::Destroy(generation)).map(drop)
    }
}

/// Answers in a session of its own; once more with the module started anew if that fails: some modules
/// see a token that came back only then.
fn answer(
    library: &mut Module,
    settings: &Token,
    question: &Question,
) -> Result<Vec<Secret>, TokenError> {
    let _one = session::alone();
    let first = library.write_session().and_then(|session| act(&session, settings, question));
    match first {
        Err(TokenError::Module { .. } | TokenError::NotThere { .. }) => {}
        settled => return settled,
    }
    library.restart()?;
    act(&library.write_session()?, settings, question)
}

fn act(
    session: &Session,
    settings: &Token,
    question: &Question,
) -> Result<Vec<Secret>, TokenError> {
    let found = find(session, settings)?;
    match question {
        Question::Secrets => Ok(found.into_iter().map(|(_, secret)| secret).collect()),
        Question::Add(secret) => {
            let known = found.iter().find(|(_, it)| it.generation == secret.generation);
            match known {
                // Asked a second time, after an answer that was lost.
                Some((_, it)) if it.digest() == secret.digest() => return Ok(Vec::new()),
                Some(_) => {
                    return Err(TokenError::NotThere {
                        what: format!("another site key {} is there", secret.generation),
                    });
                }
                None => {}
            }
            let mut value = Zeroizing::new(secret.generation.to_be_bytes().to_vec());
            value.extend_from_slice(secret.key.danger_bytes());
            let object = [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Modifiable(false),
                Attribute::Application(APPLICATION.to_vec()),
                Attribute::Label(settings.key_label.clone().into_bytes()),
                Attribute::Value(value.to_vec()),
            ];
            let made = session.create_object(&object).map_err(module("keeping a site key"));
            object.into_iter().for_each(wipe);
            made.map(|_| Vec::new())
        }
        Question::Destroy(generation) => {
            for (object, _) in found.iter().filter(|(_, it)| it.generation == *generation) {
                session.destroy_object(*object).map_err(module("destroying a site key"))?;
            }
            Ok(Vec::new())
        }
    }
}

fn wipe(attribute: Attribute) {
    if let Attribute::Value(value) = attribute {
        drop(Zeroizing::new(value));
    }
}

fn find(session: &Session, settings: &Token) -> Result<Vec<(ObjectHandle, Secret)>, TokenError> {
    let wanted = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Application(APPLICATION.to_vec()),
        Attribute::Label(settings.key_label.clone().into_bytes()),
    ];
    let objects = session.find_objects(&wanted).map_err(module("looking for site keys"))?;
    let mut found = Vec::new();
    for object in objects {
        let read = session
            .get_attributes(object, &[AttributeType::Value])
            .map_err(module("reading a site key"))?;
        for attribute in read {
            let Attribute::Value(value) = attribute else { continue };
            let value = Zeroizing::new(value);
            let whole = <&[u8; VALUE_BYTES]>::try_from(value.as_slice()).ok();
            let Some((generation, key)) = whole.and_then(|v| v.split_first_chunk::<8>()) else {
                continue;
            };
            let Ok(key) = <[u8; 32]>::try_from(key) else { continue };
            let generation = u64::from_be_bytes(*generation);
            found.push((object, Secret { generation, key: Key::new(key) }));
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests;
