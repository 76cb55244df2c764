//! The closed list of events. Names and versions are stable: what was once written is read for
//! ever, so a change of a body is a new version beside the old one.
//!
//! | file | events about |
//! |---|---|
//! | [`people`] | accounts |
//! | [`sites`] | tokens, certificates, connections, cameras |
//! | [`cases`] | from request to bundle |
//! | [`holds`] | footage kept beyond its time |
//! | [`erasure`] | footage erased before its time |
//! | [`logs`] | transparency logs: begun, stamped, contradicted |
//! | [`audit`] | refusals, and readings of this log |

use custody::CaseId;
use serde_json::Value;

pub mod audit;
pub mod cases;
pub mod erasure;
pub mod holds;
pub mod logs;
pub mod people;
pub mod sites;

use audit::{AccessRefused, AuditRead};
use cases::{
    BundleFetched, CaseApproved, CaseBundled, CaseFailed, CaseHeld, CasePulling, CaseRefused,
    EvidenceRequested, KeysReleased,
};
use erasure::{Erased, ErasureApproved, ErasureOrdered, ErasureRefused};
use holds::{
    HoldCopied, HoldCopiedToSite, HoldCopyDeleted, HoldCopyingToSite, HoldOrdered, HoldPlaced,
    HoldRefused, HoldReleaseOrdered, HoldReleased, HoldSiteCopyDeleted,
};
use logs::{LogBegan, LogContradicted, LogsStamped};
use people::{PersonAdded, PersonSuspended};
use sites::{
    CamerasAnnounced, ConnectionRefused, EnrolmentTokenCreated, KeyRevoked, SiteConnected,
    SiteDisconnected, SiteEnrolled, SiteRenewed, SiteRevoked,
};

/// What an event is about, for the audit trail's columns.
pub(crate) trait About {
    /// A case, camera, site or person.
    fn object(&self) -> String;
    /// The case it belongs to.
    fn case(&self) -> Option<&CaseId> {
        None
    }
}

/// A stored event that does not read.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// This program has no such event: it is older than the log, or the log was altered.
    #[error("no event `{name}` of version {version} is known to this program")]
    Unknown {
        /// The name found.
        name: String,
        /// The version found.
        version: u16,
    },
    /// The body is not that event's.
    #[error("the body of an event `{name}` does not read")]
    Body {
        /// The event.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal version $version:literal,)*) => {
        /// Something that happened.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event { $($(#[$doc])* $name($name),)* }

        impl Event {
            /// The stable names of all events.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// The stable name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// The version of the body.
            #[must_use]
            pub fn version(&self) -> u16 {
                match self { $(Self::$name(_) => $version,)* }
            }

            /// The body as JSON.
            #[must_use]
            pub fn body(&self) -> Value {
                let body = match self { $(Self::$name(body) => serde_json::to_value(body),)* };
                body.expect("bodies are structs of strings and numbers, which have a JSON form")
            }

            /// Reads what [`Self::name`], [`Self::version`] and [`Self::body`] gave.
            ///
            /// # Errors
            /// When the event is unknown or its body does not read.
            pub fn read(name: &str, version: u16, body: Value) -> Result<Self, BadEvent> {
                match (name, version) {
                    $(($text, $version) => serde_json::from_value(body).map(Self::$name)
                        .map_err(|source| BadEvent::Body { name: name.to_owned(), source }),)*
                    _ => Err(BadEvent::Unknown { name: name.to_owned(), version }),
                }
            }

            /// What it is about: a case, camera, site or person.
            #[must_use]
            pub fn object(&self) -> String {
                match self { $(Self::$name(body) => body.object(),)* }
            }

            /// The case that it belongs to.
            #[must_use]
            pub fn case(&self) -> Option<&CaseId> {
                match self { $(Self::$name(body) => body.case(),)* }
            }
        }
    };
}

events! {
    /// An account was added.
    PersonAdded = "person-added" version 1,
    /// An account was ended.
    PersonSuspended = "person-suspended" version 1,
    /// A one-time token for a site was made.
    EnrolmentTokenCreated = "enrolment-token-created" version 1,
    /// A site has its first certificate.
    SiteEnrolled = "site-enrolled" version 1,
    /// A site has its next certificate.
    SiteRenewed = "site-renewed" version 1,
    /// A site's certificates were ended.
    SiteRevoked = "site-revoked" version 1,
    /// A key of a site is not believed any more.
    KeyRevoked = "key-revoked" version 1,
    /// A site has begun a log.
    LogBegan = "log-began" version 1,
    /// A site's log contradicts itself.
    LogContradicted = "log-contradicted" version 1,
    /// Cosigned checkpoints were stamped.
    LogsStamped = "logs-stamped" version 1,
    /// A site's agent came.
    SiteConnected = "site-connected" version 1,
    /// A site's agent went.
    SiteDisconnected = "site-disconnected" version 1,
    /// Someone knocked and was not let in.
    ConnectionRefused = "connection-refused" version 1,
    /// A site said which cameras it has.
    CamerasAnnounced = "cameras-announced" version 1,
    /// Footage was asked for.
    EvidenceRequested = "evidence-requested" version 1,
    /// A request was approved.
    CaseApproved = "case-approved" version 1,
    /// A request was refused.
    CaseRefused = "case-refused" version 1,
    /// All footage of a case is held at its sites.
    CaseHeld = "case-held" version 1,
    /// The footage is being pulled.
    CasePulling = "case-pulling" version 1,
    /// A site released keys for a case: from here on the footage can be seen.
    KeysReleased = "keys-released" version 1,
    /// The bundle was made and checked.
    CaseBundled = "case-bundled" version 1,
    /// The case cannot be fulfilled.
    CaseFailed = "case-failed" version 1,
    /// The bundle was given out.
    BundleFetched = "bundle-fetched" version 1,
    /// A hold was ordered.
    HoldOrdered = "hold-ordered" version 1,
    /// The site keeps the footage.
    HoldPlaced = "hold-placed" version 1,
    /// The site will not keep the footage.
    HoldRefused = "hold-refused" version 1,
    /// The end of a hold was ordered.
    HoldReleaseOrdered = "hold-release-ordered" version 1,
    /// The site keeps the footage no longer.
    HoldReleased = "hold-released" version 1,
    /// The vault has a checked copy of all held footage.
    HoldCopied = "hold-copied" version 1,
    /// The vault's copy of a released hold was deleted.
    HoldCopyDeleted = "hold-copy-deleted" version 1,
    /// Held footage goes to another site, too, from now on: sealed, without any key.
    HoldCopyingToSite = "hold-copying-to-site" version 1,
    /// Another site has a checked copy of all held footage.
    HoldCopiedToSite = "hold-copied-to-site" version 1,
    /// The other site's copy of a released hold was deleted.
    HoldSiteCopyDeleted = "hold-site-copy-deleted" version 1,
    /// Erasure of footage before its time was ordered.
    ErasureOrdered = "erasure-ordered" version 1,
    /// Another person approved an erasure.
    ErasureApproved = "erasure-approved" version 1,
    /// An erasure was refused, by a person or by a hold at the site.
    ErasureRefused = "erasure-refused" version 1,
    /// The site has erased the footage, keys and all.
    Erased = "erased" version 1,
    /// Someone was refused.
    AccessRefused = "access-refused" version 1,
    /// The audit trail was read.
    AuditRead = "audit-read" version 1,
}

#[cfg(test)]
mod tests;
