//! What exists: sites and whose keys are good, cameras, accounts. Pure decisions and a fold of the
//! log; knows nothing of sockets or files.
//!
//! | file | holds |
//! |---|---|
//! | [`person`] | accounts: adding, ending |
//! | [`site`] | enrolment, certificates, revocation, cameras |
//! | [`keys`] | the sites' keys that are not believed any more; their logs |
//! | [`token`] | the two kinds of token, as text and as digest |
//! | [`authority`] | the key that vouches for the sites' keys |
//! | [`own`] | the controller's own log key and witness key |

use std::collections::{BTreeMap, BTreeSet};

use custody::{CameraId, Digest, PersonId, SiteId, WallTime};

use crate::access::{Actor, Code, Principal, Refusal, Role};
use crate::log::{Event, Stored};

pub mod authority;
pub mod keys;
pub mod own;
pub mod person;
pub mod site;
pub mod token;

pub use authority::Authority;
pub use own::OwnKeys;
pub use person::Account;
pub use site::SiteEntry;

/// The fold of all events about sites, cameras and accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    pub(crate) accounts: BTreeMap<PersonId, Account>,
    pub(crate) accounts_by_token: BTreeMap<Digest, PersonId>,
    pub(crate) sites: BTreeMap<SiteId, SiteEntry>,
    pub(crate) cameras: BTreeMap<CameraId, CameraEntry>,
}

/// A camera that a site has announced. How it is, its site reports; see the fleet's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraEntry {
    /// Whether its site still records it.
    pub is_recorded: bool,
}

impl Registry {
    /// A site that has enrolled, or for which a token was made.
    #[must_use]
    pub fn site(&self, site: &SiteId) -> Option<&SiteEntry> {
        self.sites.get(site)
    }

    /// All sites.
    pub fn sites(&self) -> impl Iterator<Item = (&SiteId, &SiteEntry)> {
        self.sites.iter()
    }

    /// A camera.
    #[must_use]
    pub fn camera(&self, camera: &CameraId) -> Option<&CameraEntry> {
        self.cameras.get(camera)
    }

    /// All cameras that were ever announced.
    pub fn cameras(&self) -> impl Iterator<Item = (&CameraId, &CameraEntry)> {
        self.cameras.iter()
    }

    /// The cameras that `site` last announced: so that they are submitted only when they change.
    #[must_use]
    pub fn cameras_of(&self, site: &SiteId) -> BTreeSet<CameraId> {
        self.cameras
            .iter()
            .filter(|(camera, entry)| entry.is_recorded && camera.site() == site)
            .map(|(camera, _)| camera.clone())
            .collect()
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (&PersonId, &Account)> {
        self.accounts.iter()
    }

    /// Whether `secret_sha256` is a one-time token of `site` that may still be used.
    ///
    /// # Errors
    /// `site-unknown`, `token-unknown`, `token-used`, `token-expired`.
    pub fn token_usable(
        &self,
        site: &SiteId,
        secret_sha256: Digest,
        now: WallTime,
    ) -> Result<(), Refusal> {
        site::token_usable(self, site, secret_sha256, now)
    }

    /// Who a bearer token belongs to. Digests are compared, so that the time taken says nothing
    /// about the token.
    ///
    /// # Errors
    /// `token-unknown`, `person-suspended`.
    pub fn authenticate(&self, token: &str) -> Result<Actor, Refusal> {
        let account =
            self.accounts_by_token.get(&token::bearer_sha256(token)).ok_or_else(|| {
                Refusal::new(
                    Code::TokenUnknown,
                    "the token belongs to nobody: check that it was copied whole, or ask an \
                 administrator for a new account",
                )
            })?;
        let actor = self.actor(account);
        match self.accounts.get(account) {
            Some(entry) if !entry.suspended => Ok(actor),
            _ => Err(Refusal::new(
                Code::PersonSuspended,
                format!("the account {actor} has been ended: ask an administrator for a new one"),
            )),
        }
    }

    /// How an account acts: as a person, or as a system if that is its role.
    #[must_use]
    pub fn actor(&self, account: &PersonId) -> Actor {
        match self.accounts.get(account) {
            Some(entry) if entry.roles.contains(&Role::System) => Actor::System(account.clone()),
            _ => Actor::Person(account.clone()),
        }
    }

    /// What an actor may be. An account that does not exist has no roles.
    #[must_use]
    pub fn principal(&self, actor: &Actor) -> Principal {
        let entry = actor.account().and_then(|account| self.accounts.get(account));
        match entry {
            Some(entry) => Principal {
                actor: actor.clone(),
                roles: entry.roles.clone(),
                suspended: entry.suspended,
            },
            None => Principal::machine(actor.clone()),
        }
    }

    /// Takes one entry of the log in. Never fails: what was decided is so.
    pub fn apply(&mut self, stored: &Stored) {
        match &stored.body {
            Event::PersonAdded(e) => person::apply_added(self, e),
            Event::PersonSuspended(e) => person::apply_suspended(self, e),
            Event::EnrolmentTokenCreated(e) => site::apply_token(self, e),
            Event::SiteEnrolled(e) => site::apply_enrolled(self, e, stored.at),
            Event::SiteRenewed(e) => site::apply_renewed(self, e),
            Event::SiteRevoked(e) => site::apply_revoked(self, e),
            Event::KeyRevoked(e) => keys::apply_revoked(self, e),
            Event::LogBegan(e) => keys::apply_began(self, e),
            Event::LogContradicted(e) => keys::apply_contradicted(self, e, stored.at),
            Event::SiteConnected(e) => site::apply_connected(self, &e.site, stored.at),
            Event::SiteDisconnected(e) => site::apply_disconnected(self, &e.site, stored.at),
            Event::CamerasAnnounced(e) => site::apply_cameras(self, e),
            Event::ConnectionRefused(_)
            | Event::LogsStamped(_)
            | Event::EvidenceRequested(_)
            | Event::CaseApproved(_)
            | Event::CaseRefused(_)
            | Event::CaseHeld(_)
            | Event::CasePulling(_)
            | Event::KeysReleased(_)
            | Event::CaseBundled(_)
            | Event::CaseFailed(_)
            | Event::BundleFetched(_)
            | Event::HoldOrdered(_)
            | Event::HoldCopied(_)
            | Event::HoldCopyDeleted(_)
            | Event::HoldCopyingToSite(_)
            | Event::HoldCopiedToSite(_)
            | Event::HoldSiteCopyDeleted(_)
            | Event::HoldPlaced(_)
            | Event::HoldRefused(_)
            | Event::HoldReleaseOrdered(_)
            | Event::HoldReleased(_)
            | Event::ErasureOrdered(_)
            | Event::ErasureApproved(_)
            | Event::ErasureRefused(_)
            | Event::Erased(_)
            | Event::AccessRefused(_)
            | Event::AuditRead(_) => {}
        }
    }
}
