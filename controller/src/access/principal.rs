//! Who acts: a person, an evidence system, a site's agent, or the controller itself.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use custody::{PersonId, SiteId};
use serde::{Deserialize, Serialize};

use super::role::Role;

/// Who acts, as the log keeps it: `t.okafor`, `system:dems`, `site:east`, `controller`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// A person with an account.
    Person(PersonId),
    /// An evidence system with an account.
    System(PersonId),
    /// A site's agent, by its certificate.
    Site(SiteId),
    /// This program, carrying out what was decided.
    Controller,
}

impl Actor {
    /// The account that acts, if one does.
    #[must_use]
    pub fn account(&self) -> Option<&PersonId> {
        match self {
            Self::Person(account) | Self::System(account) => Some(account),
            Self::Site(_) | Self::Controller => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "{person}"),
            Self::System(system) => write!(f, "system:{system}"),
            Self::Site(site) => write!(f, "site:{site}"),
            Self::Controller => f.write_str("controller"),
        }
    }
}

/// The name of the controller itself, which no person may take.
pub const CONTROLLER: &str = "controller";

impl FromStr for Actor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |e: custody::ids::BadName| e.to_string();
        match text.split_once(':') {
            Some(("system", name)) => name.parse().map(Self::System).map_err(bad),
            Some(("site", name)) => name.parse().map(Self::Site).map_err(bad),
            Some(_) => Err(format!("`{text:.60}` is no actor")),
            None if text == CONTROLLER => Ok(Self::Controller),
            None => text.parse().map(Self::Person).map_err(bad),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

/// An actor and what it may be: what [`super::decide`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub actor: Actor,
    /// The roles of an account; none for sites and the controller.
    pub roles: BTreeSet<Role>,
    /// Whether the account has been ended.
    pub suspended: bool,
}

impl Principal {
    /// A site or the controller itself, which have no roles.
    #[must_use]
    pub fn machine(actor: Actor) -> Self {
        Self { actor, roles: BTreeSet::new(), suspended: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_read_back_as_they_were_written() {
        for text in ["t.okafor", "system:dems", "site:east", "controller"] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        assert!("court:old-bailey".parse::<Actor>().is_err());
    }
}
