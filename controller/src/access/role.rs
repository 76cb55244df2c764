//! What people and systems are. A closed list: a role outside it does not exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::refusal::{Code, Refusal};

/// A role. One person may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An officer with an investigation.
    Requester,
    /// Trained staff who fulfil requests.
    Technician,
    /// Approves a release; never their own request.
    Authoriser,
    /// Sees footage of named cameras.
    Viewer,
    /// The Information Asset Owner: oversees purposes, audits.
    AssetOwner,
    /// The data protection officer.
    Dpo,
    /// Reads the audit trail, nothing else.
    Auditor,
    /// Enrols sites, cameras, people; sees no footage.
    Administrator,
    /// Maintenance only, supervised.
    Supplier,
    /// Reads reports.
    Board,
    /// An outside party: sees one share.
    Recipient,
    /// An evidence system.
    System,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 12] = [
        Self::Requester,
        Self::Technician,
        Self::Authoriser,
        Self::Viewer,
        Self::AssetOwner,
        Self::Dpo,
        Self::Auditor,
        Self::Administrator,
        Self::Supplier,
        Self::Board,
        Self::Recipient,
        Self::System,
    ];

    /// The role as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Technician => "technician",
            Self::Authoriser => "authoriser",
            Self::Viewer => "viewer",
            Self::AssetOwner => "asset-owner",
            Self::Dpo => "dpo",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::Supplier => "supplier",
            Self::Board => "board",
            Self::Recipient => "recipient",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            let text: String = text.chars().take(40).collect();
            Refusal::new(Code::RoleUnknown, format!("`{text}` is no role: use one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert_eq!("chief".parse::<Role>().unwrap_err().code(), Code::RoleUnknown);
    }
}
