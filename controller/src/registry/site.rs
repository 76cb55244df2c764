//! Sites: one-time tokens, certificates, evidence keys, revocation, and the cameras they announce.
//!
//! A site may enrol again with a new token (a new recorder in the rack, or after a revocation): its
//! old certificates end, and a new evidence key stands beside the old ones, each from its own time.

use std::collections::{BTreeMap, BTreeSet};

use custody::record::Revoked;
use custody::{CameraId, Digest, PublicKey, SiteId, WallTime};

use super::{CameraEntry, Registry};
use crate::access::{Code, Refusal};
use crate::limits;
use crate::log::Event;
use crate::log::event::logs::Contradiction;
use crate::log::event::sites::{
    CamerasAnnounced, EnrolmentTokenCreated, SiteConnected, SiteDisconnected, SiteEnrolled,
    SiteRenewed, SiteRevoked,
};

/// The name under which this program's own log and witness stand among the sites'.
pub const OWN_NAME: &str = "controller";

/// What is known of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its identity keys, each from its time on, oldest first.
    pub evidence_keys: Vec<(WallTime, PublicKey)>,
    /// The serial numbers of certificates that are good; at most the present one and the next.
    pub serials: Vec<String>,
    /// When the latest certificate ends.
    pub certificate_ends: WallTime,
    /// Whether an administrator has ended its certificates.
    pub revoked: bool,
    /// Its keys that are not believed any more, and up to where they still are.
    pub revoked_keys: Vec<Revoked>,
    /// Its logs, as signed-note writes their keys, the present one last.
    pub logs: Vec<String>,
    /// When and how one of its logs was last found to contradict itself.
    pub contradicted: Option<(WallTime, Contradiction)>,
    /// When its agent last came or went.
    pub last_change: Option<WallTime>,
    /// Whether its agent was connected at the log's end.
    pub connected: bool,
    pub(crate) tokens: BTreeMap<Digest, Token>,
}

impl SiteEntry {
    /// Whether it has ever enrolled.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        !self.evidence_keys.is_empty()
    }
}

/// A one-time token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    ends: WallTime,
    used: bool,
}

/// A site's first certificate, as the fleet has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// For this site.
    pub site: SiteId,
    /// The digest of the token's secret.
    pub secret_sha256: Digest,
    /// The raw public key of the site's identity.
    pub evidence_key: Vec<u8>,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// When it ends.
    pub certificate_ends: WallTime,
}

/// Decides to make a token.
///
/// # Errors
/// `token-life-invalid`, `name-invalid`.
pub fn create_token(
    site: &SiteId,
    secret_sha256: Digest,
    lives_s: u32,
    now: WallTime,
) -> Result<Vec<Event>, Refusal> {
    let lives_s = if lives_s == 0 { limits::ENROLMENT_S } else { lives_s };
    if site.as_str() == OWN_NAME {
        return Err(Refusal::new(
            Code::NameInvalid,
            format!("`{OWN_NAME}` names this program in its log and witness: choose another name"),
        ));
    }
    if lives_s > limits::ENROLMENT_S_MAX {
        return Err(Refusal::new(
            Code::TokenLifeInvalid,
            format!(
                "an enrolment token for {site} cannot live {lives_s} s: ask for at most {} s",
                limits::ENROLMENT_S_MAX
            ),
        ));
    }
    let ends = now.plus_seconds(i64::from(lives_s));
    let event = EnrolmentTokenCreated { site: site.clone(), secret_sha256, ends };
    Ok(vec![Event::EnrolmentTokenCreated(event)])
}

pub(super) fn token_usable(
    registry: &Registry,
    site: &SiteId,
    secret_sha256: Digest,
    now: WallTime,
) -> Result<(), Refusal> {
    let next_step = "ask an administrator for a new enrolment token";
    let entry = registry.sites.get(site).ok_or_else(|| unknown(site))?;
    let token = entry.tokens.get(&secret_sha256).ok_or_else(|| {
        Refusal::new(
            Code::TokenUnknown,
            format!("the enrolment token is not one of site {site}: {next_step}"),
        )
    })?;
    if token.used {
        let message = format!("the enrolment token of site {site} has been used: {next_step}");
        return Err(Refusal::new(Code::TokenUsed, message));
    }
    if token.ends <= now {
        let message =
            format!("the enrolment token of site {site} ended at {}: {next_step}", token.ends);
        return Err(Refusal::new(Code::TokenExpired, message));
    }
    Ok(())
}

/// Decides that a site has enrolled.
///
/// # Errors
/// As [`Registry::token_usable`]; `evidence-key-invalid`.
pub fn enrol(
    registry: &Registry,
    enrolment: &Enrolment,
    now: WallTime,
) -> Result<Vec<Event>, Refusal> {
    let Enrolment { site, secret_sha256, evidence_key, serial, certificate_ends } = enrolment;
    token_usable(registry, site, *secret_sha256, now)?;
    let bad_key = |why: String| Refusal::new(Code::EvidenceKeyInvalid, why);
    let key = PublicKey::from_bytes(evidence_key).map_err(|_| {
        bad_key(format!("site {site} sent an evidence key that is neither Ed25519 nor P-256"))
    })?;
    let owner = registry.sites.iter().find(|(other, entry)| {
        *other != site && entry.evidence_keys.iter().any(|(_, known)| *known == key)
    });
    if let Some((owner, _)) = owner {
        return Err(bad_key(format!(
            "the evidence key of site {site} is already that of site {owner}: let the agent make \
             its own by emptying its keys folder"
        )));
    }
    let key_id = key.id();
    let is_revoked = |entry: &SiteEntry| entry.revoked_keys.iter().any(|r| r.key_id == key_id);
    if registry.sites.get(site).is_some_and(is_revoked) {
        return Err(bad_key(format!(
            "the evidence key {key_id} of site {site} is not believed any more: let the agent make \
             its own by emptying its keys folder"
        )));
    }
    Ok(vec![Event::SiteEnrolled(SiteEnrolled {
        site: site.clone(),
        secret_sha256: *secret_sha256,
        evidence_key: key.to_hex(),
        serial: serial.clone(),
        certificate_ends: *certificate_ends,
    })])
}

/// Decides that a site has its next certificate.
///
/// # Errors
/// `site-unknown`, `site-revoked`.
pub fn renew(
    registry: &Registry,
    site: &SiteId,
    serial: &str,
    certificate_ends: WallTime,
) -> Result<Vec<Event>, Refusal> {
    good(registry, site)?;
    Ok(vec![Event::SiteRenewed(SiteRenewed {
        site: site.clone(),
        serial: serial.to_owned(),
        certificate_ends,
    })])
}

/// Decides to end a site's certificates and unused tokens.
///
/// # Errors
/// `site-unknown`, `site-revoked` (already).
pub fn revoke(registry: &Registry, site: &SiteId) -> Result<Vec<Event>, Refusal> {
    good(registry, site)?;
    Ok(vec![Event::SiteRevoked(SiteRevoked { site: site.clone() })])
}

/// Decides that a site's agent came.
///
/// # Errors
/// `site-unknown`, `site-revoked`.
pub fn connected(registry: &Registry, site: &SiteId, remote: &str) -> Result<Vec<Event>, Refusal> {
    good(registry, site)?;
    let event = SiteConnected { site: site.clone(), remote: remote.to_owned() };
    Ok(vec![Event::SiteConnected(event)])
}

/// Decides that a site's agent went: also a revoked one's.
///
/// # Errors
/// `site-unknown`.
pub fn disconnected(registry: &Registry, site: &SiteId, why: &str) -> Result<Vec<Event>, Refusal> {
    registry.sites.get(site).ok_or_else(|| unknown(site))?;
    let event = SiteDisconnected { site: site.clone(), why: why.to_owned() };
    Ok(vec![Event::SiteDisconnected(event)])
}

/// Decides which cameras a site has: nothing, when that is known already.
///
/// # Errors
/// `site-unknown`, `site-revoked`, `cameras-invalid` (another site's, one twice, too many).
pub fn announce(
    registry: &Registry,
    site: &SiteId,
    cameras: &[CameraId],
) -> Result<Vec<Event>, Refusal> {
    good(registry, site)?;
    let bad = |why: String| Err(Refusal::new(Code::CamerasInvalid, why));
    if cameras.len() > limits::SITE_CAMERAS_MAX {
        return bad(format!(
            "site {site} announced {} cameras; at most {} are taken: split the site",
            cameras.len(),
            limits::SITE_CAMERAS_MAX
        ));
    }
    let names: BTreeSet<CameraId> = cameras.iter().cloned().collect();
    if names.len() != cameras.len() {
        return bad(format!("site {site} announced a camera twice: correct its configuration"));
    }
    if let Some(foreign) = names.iter().find(|camera| camera.site() != site) {
        return bad(format!("site {site} announced {foreign}, which is not its own"));
    }
    if registry.cameras_of(site) == names {
        return Ok(Vec::new());
    }
    let event = CamerasAnnounced { site: site.clone(), cameras: names.into_iter().collect() };
    Ok(vec![Event::CamerasAnnounced(event)])
}

pub(super) fn unknown(site: &SiteId) -> Refusal {
    Refusal::new(
        Code::SiteUnknown,
        format!("there is no site {site}: list the sites, or make an enrolment token for it"),
    )
}

fn good<'a>(registry: &'a Registry, site: &SiteId) -> Result<&'a SiteEntry, Refusal> {
    let entry = registry.sites.get(site).ok_or_else(|| unknown(site))?;
    if entry.revoked {
        return Err(Refusal::new(
            Code::SiteRevoked,
            format!(
                "the certificates of site {site} have been ended: make an enrolment token to let \
                 it enrol again"
            ),
        ));
    }
    Ok(entry)
}

pub(super) fn apply_token(registry: &mut Registry, event: &EnrolmentTokenCreated) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    entry.tokens.insert(event.secret_sha256, Token { ends: event.ends, used: false });
}

pub(super) fn apply_enrolled(registry: &mut Registry, event: &SiteEnrolled, at: WallTime) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    if let Some(token) = entry.tokens.get_mut(&event.secret_sha256) {
        token.used = true;
    }
    // Checked when it was decided.
    let key = PublicKey::from_hex(&event.evidence_key).ok();
    if let Some(key) = key
        && entry.evidence_keys.last().is_none_or(|(_, last)| *last != key)
    {
        // A recorder may have recorded before it enrolled, but no footage is older than this.
        entry.evidence_keys.push((at.plus_seconds(-limits::RETENTION_S), key));
    }
    entry.serials = vec![event.serial.clone()];
    entry.certificate_ends = event.certificate_ends;
    entry.revoked = false;
}

pub(super) fn apply_renewed(registry: &mut Registry, event: &SiteRenewed) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    entry.serials.push(event.serial.clone());
    while entry.serials.len() > limits::SITE_SERIALS_MAX {
        entry.serials.remove(0);
    }
    entry.certificate_ends = event.certificate_ends;
}

pub(super) fn apply_revoked(registry: &mut Registry, event: &SiteRevoked) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    entry.serials.clear();
    entry.revoked = true;
    for token in entry.tokens.values_mut() {
        token.used = true;
    }
}

pub(super) fn apply_connected(registry: &mut Registry, site: &SiteId, at: WallTime) {
    let entry = registry.sites.entry(site.clone()).or_default();
    entry.connected = true;
    entry.last_change = Some(at);
}

pub(super) fn apply_disconnected(registry: &mut Registry, site: &SiteId, at: WallTime) {
    let entry = registry.sites.entry(site.clone()).or_default();
    entry.connected = false;
    entry.last_change = Some(at);
}

pub(super) fn apply_cameras(registry: &mut Registry, event: &CamerasAnnounced) {
    for (camera, entry) in &mut registry.cameras {
        if *camera.site() == event.site {
            entry.is_recorded = false;
        }
    }
    for camera in &event.cameras {
        registry.cameras.insert(camera.clone(), CameraEntry { is_recorded: true });
    }
}
