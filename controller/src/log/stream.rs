//! Streams: what is decided together. A decision about one case races only with decisions about
//! the same case.

use std::fmt;

use custody::{CaseId, HoldId, OrderId, PersonId, SiteId};
use serde::{Deserialize, Serialize};

/// The name of a stream: `case/WH-2026-000001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stream(String);

impl Stream {
    /// All of a case, with its holds.
    #[must_use]
    pub fn case(case: &CaseId) -> Self {
        Self(format!("case/{case}"))
    }

    /// A hold without a case of its own.
    #[must_use]
    pub fn hold(hold: &HoldId) -> Self {
        Self(format!("hold/{hold}"))
    }

    /// An erasure order.
    #[must_use]
    pub fn order(order: &OrderId) -> Self {
        Self(format!("erasure/{order}"))
    }

    /// A site: tokens, certificates, cameras, connections.
    #[must_use]
    pub fn site(site: &SiteId) -> Self {
        Self(format!("site/{site}"))
    }

    /// An account.
    #[must_use]
    pub fn person(person: &PersonId) -> Self {
        Self(format!("person/{person}"))
    }

    /// What a site's log does. Apart from the site's own stream, so that people's decisions about
    /// the site do not race with it.
    #[must_use]
    pub fn site_log(site: &SiteId) -> Self {
        Self(format!("site-log/{site}"))
    }

    /// Stamps over checkpoints.
    #[must_use]
    pub fn stamps() -> Self {
        Self("stamps".to_owned())
    }

    /// Refusals, readings of the audit trail, refused connections.
    #[must_use]
    pub fn access() -> Self {
        Self("access".to_owned())
    }

    /// A name read back from the store.
    #[must_use]
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
