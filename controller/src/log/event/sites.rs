//! Sites: one-time tokens, certificates, connections, cameras, keys that are not believed any more.

use custody::record::Revoked;
use custody::{CameraId, Digest, KeyId, SiteId, WallTime};
use serde::{Deserialize, Serialize};

use super::About;

macro_rules! about_site {
    ($($name:ident),*) => {
        $(impl About for $name {
            fn object(&self) -> String {
                self.site.to_string()
            }
        })*
    };
}

about_site!(
    EnrolmentTokenCreated,
    SiteEnrolled,
    SiteRenewed,
    SiteRevoked,
    KeyRevoked,
    SiteConnected,
    SiteDisconnected,
    CamerasAnnounced
);

/// A one-time token was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentTokenCreated {
    /// For this site.
    pub site: SiteId,
    /// The digest of the secret; the secret itself is kept nowhere.
    pub secret_sha256: Digest,
    /// Until when it may be used.
    pub ends: WallTime,
}

/// A site has its first certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteEnrolled {
    /// Which.
    pub site: SiteId,
    /// The token that was used up.
    pub secret_sha256: Digest,
    /// Its identity key from now on, raw, hexadecimal: Ed25519 or P-256.
    pub evidence_key: String,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// When the certificate ends.
    pub certificate_ends: WallTime,
}

/// A site has its next certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRenewed {
    /// Which.
    pub site: SiteId,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// When the certificate ends.
    pub certificate_ends: WallTime,
}

/// A site's certificates and unused tokens were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRevoked {
    /// Which.
    pub site: SiteId,
}

/// A key of a site is not believed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRevoked {
    /// Whose.
    pub site: SiteId,
    /// Which: an identity key, or one that it has certified.
    pub key_id: KeyId,
    /// Up to where it still is.
    pub lines: Vec<Revoked>,
}

/// A site's agent came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConnected {
    /// Which.
    pub site: SiteId,
    /// From this address.
    pub remote: String,
}

/// A site's agent went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteDisconnected {
    /// Which.
    pub site: SiteId,
    /// Why, as far as the controller knows.
    pub why: String,
}

/// Someone knocked and was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRefused {
    /// From this address.
    pub remote: String,
    /// Why not.
    pub why: String,
}

impl About for ConnectionRefused {
    fn object(&self) -> String {
        self.remote.clone()
    }
}

/// A site said which cameras it has: the whole list, which replaces the one before. Cameras that
/// are missing in it are no longer recorded; their footage can still be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CamerasAnnounced {
    /// Which site.
    pub site: SiteId,
    /// Its cameras, by name.
    pub cameras: Vec<CameraId>,
}
