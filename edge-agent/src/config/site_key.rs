//! `[site_key]` of the site's TOML: where the key lies that every other key of footage is under.

use host::settings::Section;

use super::identity::{self, Identity, Token};

/// Where the site key lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SiteKey {
    /// In `keys/root` under `state_dir`.
    #[default]
    File,
    /// In a PKCS#11 token, as a private data object.
    Pkcs11(Token),
}

pub(super) fn read(section: &mut Section<'_>) -> Option<SiteKey> {
    Some(match identity::place(section, "watchhouse-site-key")? {
        Identity::File => SiteKey::File,
        Identity::Pkcs11(token) => SiteKey::Pkcs11(token),
    })
}
