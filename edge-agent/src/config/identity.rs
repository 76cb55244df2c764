//! `[identity]` of the site's TOML: where the site's identity key lies.

use std::path::PathBuf;

use host::settings::Section;

/// PKCS#11 gives a token's label 32 bytes.
const TOKEN_LABEL_BYTES_MAX: usize = 32;
/// What is still read on a screen.
const KEY_LABEL_BYTES_MAX: usize = 64;

/// Where the site's identity key lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// In `keys/identity.pem` under `state_dir`.
    #[default]
    File,
    /// In a PKCS#11 token.
    Pkcs11(Token),
}

/// Which key of which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The module's shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The key's label in the token.
    pub key_label: String,
    /// The file with the user's PIN.
    pub pin_path: PathBuf,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Pkcs11,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Identity> {
    place(section, "watchhouse-identity")
}

/// Where a key lies, by the settings that every key has.
pub(super) fn place(section: &mut Section<'_>, default_label: &str) -> Option<Identity> {
    let kinds = [("file", Kind::File), ("pkcs11", Kind::Pkcs11)];
    match section.choice("kind", &kinds, Some(Kind::File))? {
        Kind::File => Some(Identity::File),
        Kind::Pkcs11 => {
            if !cfg!(feature = "hsm") {
                section.object("kind", "this program was built without the feature `hsm`");
            }
            token(section, default_label).map(Identity::Pkcs11)
        }
    }
}

fn token(section: &mut Section<'_>, default_label: &str) -> Option<Token> {
    let module = path(section, "module");
    let token_label = label(section, "token_label", TOKEN_LABEL_BYTES_MAX);
    let key_label = if section.has("key_label") {
        label(section, "key_label", KEY_LABEL_BYTES_MAX)
    } else {
        Some(default_label.to_owned())
    };
    let pin_path = path(section, "pin_path");
    Some(Token {
        module: module?,
        token_label: token_label?,
        key_label: key_label?,
        pin_path: pin_path?,
    })
}

/// A path from the root: a library's bare name would be searched for, and somebody else's found.
fn path(section: &mut Section<'_>, key: &str) -> Option<PathBuf> {
    let path: PathBuf = section.required(key)?;
    if path.is_absolute() {
        return Some(path);
    }
    section.object(key, "must begin at the root, like /usr/lib/softhsm/libsofthsm2.so");
    None
}

fn label(section: &mut Section<'_>, key: &str, bytes_max: usize) -> Option<String> {
    let label: String = section.required(key)?;
    // Modules pad labels with spaces, so a label of spaces or with them at its end is another's.
    let good = (1..=bytes_max).contains(&label.len())
        && label.trim() == label
        && !label.contains(char::is_control);
    if good {
        return Some(label);
    }
    section.object(key, format!("must be 1 to {bytes_max} bytes without spaces at its ends"));
    None
}
