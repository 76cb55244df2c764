//! Accounts.

use std::collections::BTreeSet;

use custody::{Digest, PersonId};
use serde::{Deserialize, Serialize};

use super::About;
use crate::access::Role;

/// An account was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonAdded {
    /// Whose.
    pub person: PersonId,
    /// With these roles.
    pub roles: BTreeSet<Role>,
    /// The digest of the token; the token itself is kept nowhere.
    pub token_sha256: Digest,
}

impl About for PersonAdded {
    fn object(&self) -> String {
        self.person.to_string()
    }
}

/// An account was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonSuspended {
    /// Whose.
    pub person: PersonId,
}

impl About for PersonSuspended {
    fn object(&self) -> String {
        self.person.to_string()
    }
}
