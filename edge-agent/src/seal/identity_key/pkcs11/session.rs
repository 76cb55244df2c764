//! One session with the token after another. Blocking; lives on one thread.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use custody::{Digest, PublicKey};
use zeroize::Zeroizing;

use super::TokenError;
use crate::config::Token;

/// The object identifier of P-256, DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// PKCS#11 wraps a point in an octet string; some modules do not.
const POINT_WRAP: [u8; 2] = [0x04, 65];
/// A PIN is longer than this in no token.
const PIN_BYTES_MAX: u64 = 256;

/// Held while a module is talked to: the site key's thread may start it anew, and that ends every
/// session of the process.
static ALONE: Mutex<()> = Mutex::new(());

pub(in crate::seal) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loaded module and the token that the settings name, for whoever needs a session now and then.
pub(in crate::seal) struct Module {
    settings: Token,
    library: Pkcs11,
    refused_pin: Option<Digest>,
}

impl Module {
    pub(in crate::seal) fn load(settings: Token) -> Result<Self, TokenError> {
        let _one = alone();
        let library = load(&settings.module)?;
        Ok(Self { settings, library, refused_pin: None })
    }

    /// A session that may write, logged in.
    pub(in crate::seal) fn write_session(
        &mut self,
    ) -> Result<cryptoki::session::Session, TokenError> {
        log_in(&self.library, &self.settings, &mut self.refused_pin, Access::Write)
    }

    /// Ends the module and starts it again.
    pub(in crate::seal) fn restart(&mut self) -> Result<(), TokenError> {
        restart(&self.library)
    }
}

/// The key, and the session through which it signs while there is one.
pub(super) struct Session {
    settings: Token,
    library: Pkcs11,
    public: PublicKey,
    live: Option<Live>,
    /// The digest of the PIN that the token refused.
    refused_pin: Option<Digest>,
}

struct Live {
    session: cryptoki::session::Session,
    private: ObjectHandle,
}

impl Session {
    /// Loads the module, logs in, finds the key or makes it.
    pub(super) fn open(settings: Token) -> Result<Self, TokenError> {
        let _one = alone();
        let library = load(&settings.module)?;
        let mut refused_pin = None;
        let mut session = log_in(&library, &settings, &mut refused_pin, Access::Read)?;
        if private_keys(&session, &settings)?.is_empty() {
            drop(session);
            make(&library, &settings)?;
            tracing::info!(token = settings.token_label, "the site's identity key was made");
            session = log_in(&library, &settings, &mut refused_pin, Access::Read)?;
        }
        let (private, public) = find(&session, &settings)?;
        let live = Some(Live { session, private });
        Ok(Self { settings, library, public, live, refused_pin })
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs; after a failure once more in a new session, and once more with the module started anew:
    /// some see a token that came back only then.
    pub(super) fn sign(&mut self, digest: &Digest) -> Result<Vec<u8>, TokenError> {
        let _one = alone();
        if let Some(live) = self.live.take()
            && let Ok(signature) = self.sign_in(live, digest)
        {
            return Ok(signature);
        }
        match self.reopen().and_then(|live| self.sign_in(live, digest)) {
            // Another try would be one less, or find the same.
            Err(TokenError::Module { .. } | TokenError::NotThere { .. }) => {}
            settled => return settled,
        }
        self.restart_module()?;
        let live = self.reopen()?;
        self.sign_in(live, digest)
    }

    /// Keeps the session only if it signs.
    fn sign_in(&mut self, live: Live, digest: &Digest) -> Result<Vec<u8>, TokenError> {
        let signature = live
            .session
            .sign(&Mechanism::Ecdsa, live.private, &digest.0)
            .map_err(module("signing"))?;
        self.live = Some(live);
        Ok(signature)
    }

    fn reopen(&mut self) -> Result<Live, TokenError> {
        let session = log_in(&self.library, &self.settings, &mut self.refused_pin, Access::Read)?;
        let (private, public) = find(&session, &self.settings)?;
        if public != self.public {
            return Err(TokenError::NotThere {
                what: format!(
                    "token `{}` now has another key `{}`: the site's identity does not change \
                     while the agent runs",
                    self.settings.token_label, self.settings.key_label
                ),
            });
        }
        Ok(Live { session, private })
    }

    fn restart_module(&mut self) -> Result<(), TokenError> {
        self.live = None;
        restart(&self.library)
    }
}

fn restart(library: &Pkcs11) -> Result<(), TokenError> {
    library.clone().finalize().map_err(module("ending the module"))?;
    initialize(library)
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let library =
        Pkcs11::new(path).map_err(module(format!("loading the module {}", path.display())))?;
    initialize(&library)?;
    Ok(library)
}

fn initialize(library: &Pkcs11) -> Result<(), TokenError> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other.map_err(module("starting the module")),
    }
}

/// The one token of that label.
fn slot(library: &Pkcs11, settings: &Token) -> Result<Slot, TokenError> {
    let slots = library.get_slots_with_token().map_err(module("looking for tokens"))?;
    let mut others = Vec::new();
    let mut found = Vec::new();
    for slot in slots {
        match library.get_token_info(slot) {
            Ok(token) if token.label() == settings.token_label => found.push(slot),
            Ok(token) if token.token_initialized() => others.push(token.label().to_owned()),
            // A slot that lost its token between the two questions.
            _ => {}
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        [] => Err(TokenError::NotThere {
            what: format!(
                "no token `{}`; the module has {}",
                settings.token_label,
                if others.is_empty() { "none".to_owned() } else { others.join(", ") }
            ),
        }),
        _ => Err(TokenError::NotThere {
            what: format!("more than one token has the label `{}`", settings.token_label),
        }),
    }
}

/// What a session is for.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

fn log_in(
    library: &Pkcs11,
    settings: &Token,
    refused_pin: &mut Option<Digest>,
    access: Access,
) -> Result<cryptoki::session::Session, TokenError> {
    let slot = slot(library, settings)?;
    let token = library.get_token_info(slot).map_err(module("looking at the token"))?;
    let refused = |what| TokenError::PinRefused { token: settings.token_label.clone(), what };
    if token.user_pin_locked() {
        return Err(refused("its PIN is locked; its security officer must set a new one"));
    }
    if token.user_pin_final_try() {
        return Err(refused(
            "one try for its PIN is left, which the agent does not use; log in by hand, with the \
             right PIN",
        ));
    }
    let pin = read_pin(&settings.pin_path)?;
    let digest = Digest::of(pin.as_bytes());
    if *refused_pin == Some(digest) {
        return Err(refused("the PIN in its file was refused before; correct the file"));
    }
    let session = match access {
        Access::Read => library.open_ro_session(slot),
        Access::Write => library.open_rw_session(slot),
    }
    .map_err(module("opening a session"))?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => {
            *refused_pin = Some(digest);
            Err(refused("it refuses the PIN in its file"))
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => {
            Err(refused("its PIN is locked; its security officer must set a new one"))
        }
        Err(source) => Err(module("logging in")(source)),
    }
}

fn read_pin(path: &Path) -> Result<Zeroizing<String>, TokenError> {
    let wrong = |what, source| TokenError::PinFile { path: path.to_owned(), what, source };
    let cannot = |error| wrong("the PIN cannot be read", Some(error));
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(wrong("anyone may read the PIN; set the file's mode to 0400", None));
    }
    if metadata.len() > PIN_BYTES_MAX {
        return Err(wrong("longer than any PIN", None));
    }
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(cannot)?;
    let pin = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if pin.is_empty() || pin.contains(char::is_control) {
        return Err(wrong("must hold one line, the PIN", None));
    }
    Ok(pin)
}

fn labelled(class: ObjectClass, settings: &Token) -> [Attribute; 3] {
    [
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC),
        Attribute::Label(settings.key_label.clone().into_bytes()),
    ]
}

fn private_keys(
    session: &cryptoki::session::Session,
    settings: &Token,
) -> Result<Vec<ObjectHandle>, TokenError> {
    session
        .find_objects(&labelled(ObjectClass::PRIVATE_KEY, settings))
        .map_err(module("looking for the key"))
}

/// The key pair of that label.
fn find(
    session: &cryptoki::session::Session,
    settings: &Token,
) -> Result<(ObjectHandle, PublicKey), TokenError> {
    let wrong = |what: &str| TokenError::NotThere {
        what: format!("key `{}` in token `{}`: {what}", settings.key_label, settings.token_label),
    };
    let [private] = private_keys(session, settings)?[..] else {
        return Err(wrong("there is not exactly one private key of that label"));
    };
    let publics = session
        .find_objects(&labelled(ObjectClass::PUBLIC_KEY, settings))
        .map_err(module("looking for the public key"))?;
    let [public] = publics[..] else {
        return Err(wrong("there is not exactly one public key of that label"));
    };
    let attributes = session
        .get_attributes(public, &[AttributeType::EcParams, AttributeType::EcPoint])
        .map_err(module("reading the public key"))?;
    let mut key = None;
    for attribute in attributes {
        match attribute {
            Attribute::EcParams(curve) if curve != P256 => return Err(wrong("it is not on P-256")),
            Attribute::EcPoint(point) => {
                let point = point.strip_prefix(&POINT_WRAP).unwrap_or(&point);
                key = PublicKey::from_bytes(point).ok().filter(|key| !key.is_ed25519());
            }
            _ => {}
        }
    }
    Ok((private, key.ok_or_else(|| wrong("its public half is no point on P-256"))?))
}

/// Makes the key pair, the private half so that it can never leave the token.
fn make(library: &Pkcs11, settings: &Token) -> Result<(), TokenError> {
    let slot = slot(library, settings)?;
    let pin = read_pin(&settings.pin_path)?;
    let session = library.open_rw_session(slot).map_err(module("opening a session to write"))?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(source) => return Err(module("logging in")(source)),
    }
    let label = Attribute::Label(settings.key_label.clone().into_bytes());
    let id = Attribute::Id(Digest::of(settings.key_label.as_bytes()).0[..8].to_vec());
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(P256.to_vec()),
        label.clone(),
        id.clone(),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label,
        id,
    ];
    session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .map_err(module("making the key"))?;
    Ok(())
}

pub(in crate::seal) fn module(attempt: impl Into<String>) -> impl FnOnce(Error) -> TokenError {
    let attempt = attempt.into();
    move |source| TokenError::Module { attempt, source }
}
