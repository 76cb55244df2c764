//! Names and digests, each its own type, each checked once where it enters.
//!
//! Names are `[a-z0-9]` with `-` inside (1 to 40 characters), so that they are safe in file names,
//! URLs, log lines and keys. A case reference keeps its capitals: `WH-2026-000001`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A name that breaks the rules, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a {kind}: {rule}")]
pub struct BadName {
    name: String,
    kind: &'static str,
    rule: &'static str,
}

const NAME_LEN_MAX: usize = 40;
const NAME_RULE: &str = "use 1 to 40 of a-z, 0-9 and inner hyphens";

fn is_name(name: &str, extra: fn(u8) -> bool) -> bool {
    let bytes = name.as_bytes();
    (1..=NAME_LEN_MAX).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || extra(*b))
        && !name.starts_with('-')
        && !name.ends_with('-')
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:expr, $extra:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(name: &str) -> Result<Self, BadName> {
                if is_name(name, $extra) {
                    Ok(Self(name.to_owned()))
                } else {
                    let name = name.chars().take(60).collect();
                    Err(BadName { name, kind: $kind, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(name: String) -> Result<Self, BadName> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A site: `east`, `west`, `south`, `hq`.
    SiteId, "site", NAME_RULE, |_| false
);
name_type!(
    /// A hold on footage: one case may place several.
    HoldId, "hold", "use 1 to 40 of A-Z, a-z, 0-9 and inner hyphens", |b| b.is_ascii_uppercase()
);
name_type!(
    /// An order to erase footage before its time: `E-2026-000001`.
    OrderId, "erasure order", "use 1 to 40 of A-Z, a-z, 0-9 and inner hyphens",
    |b| b.is_ascii_uppercase()
);
name_type!(
    /// A request for evidence and all that follows from it: `WH-2026-000001`.
    CaseId, "case reference", "use 1 to 40 of A-Z, a-z, 0-9 and inner hyphens",
    |b| b.is_ascii_uppercase()
);
name_type!(
    /// A person or system with an account: `t.okafor`.
    PersonId, "person", "use 1 to 40 of a-z, 0-9, dots and inner hyphens", |b| b == b'.'
);

/// A camera in the estate: its site and its name there, written `east/ext-01`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CameraId {
    site: SiteId,
    name: SiteId,
}

impl CameraId {
    /// The camera `name` of `site`.
    ///
    /// # Errors
    /// When `name` breaks the rule for names.
    pub fn new(site: &SiteId, name: &str) -> Result<Self, BadName> {
        format!("{site}/{name}").parse()
    }

    /// The site that records this camera.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// The name within the site.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl FromStr for CameraId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName {
            name: text.chars().take(90).collect(),
            kind: "camera",
            rule: "write SITE/CAMERA, like east/ext-01",
        };
        let (site, name) = text.split_once('/').ok_or_else(bad)?;
        let site = site.parse().map_err(|_| bad())?;
        let name = name.parse().map_err(|_| bad())?;
        Ok(Self { site, name })
    }
}

impl TryFrom<String> for CameraId {
    type Error = BadName;
    fn try_from(name: String) -> Result<Self, BadName> {
        name.parse()
    }
}

impl From<CameraId> for String {
    fn from(camera: CameraId) -> Self {
        camera.to_string()
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.site, self.name)
    }
}

/// A place in a camera's chain. The first record of a camera is 0; there are no holes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A SHA-256 digest (FIPS 180-4), written in lower-case hexadecimal as `sha256sum` writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What a camera's first record names as its predecessor.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of the parts laid end to end.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadName {
            name: text.chars().take(70).collect(),
            kind: "SHA-256 digest",
            rule: "64 hexadecimal digits",
        })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Which key signed: the first 16 hexadecimal digits of the SHA-256 of the raw public key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_named_by_its_site_and_its_place() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        assert_eq!((camera.site().as_str(), camera.name()), ("east", "ext-01"));
        assert_eq!(camera.to_string(), "east/ext-01");
    }

    #[test]
    fn names_that_could_walk_out_of_a_folder_are_refused() {
        for bad in ["", "east", "east/", "/x", "east/..", "east/a/b", "East/x", "east/-x", "é/x"] {
            assert!(bad.parse::<CameraId>().is_err(), "{bad}");
        }
        assert!("../../etc".parse::<CaseId>().is_err());
        assert!("a".repeat(41).parse::<SiteId>().is_err());
    }

    #[test]
    fn digests_read_back_as_they_were_written() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }
}
