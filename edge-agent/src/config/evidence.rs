//! `[evidence]` of the site's TOML: the domain in the names of logs and witnesses.

use std::fmt;
use std::str::FromStr;

use host::settings::Section;

/// What a site is in when its settings do not say.
const DEFAULT: &str = "watchhouse.example";
/// RFC 1035's limit on a name, less a site's.
const BYTES_MAX: usize = 200;

/// The domain under which every log and witness of the force has its name. It is never looked up:
/// it only keeps two forces' names apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

/// Text that is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a domain in small letters, like cctv.force.police.uk")]
pub struct BadDomain;

impl FromStr for Domain {
    type Err = BadDomain;
    fn from_str(text: &str) -> Result<Self, BadDomain> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= BYTES_MAX && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadDomain)
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Domain> {
    if section.has("domain") { section.optional("domain") } else { Some(Domain::default()) }
}
