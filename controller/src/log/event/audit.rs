//! Refusals, and readings of this log.

use custody::CaseId;
use serde::{Deserialize, Serialize};

use super::About;

/// Someone was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRefused {
    /// What they wanted to do.
    pub act: String,
    /// To what.
    pub object: String,
    /// The case, where it is one.
    pub case: Option<CaseId>,
    /// The stable code.
    pub code: String,
    /// What they were told.
    pub message: String,
}

impl About for AccessRefused {
    fn object(&self) -> String {
        self.object.clone()
    }
    fn case(&self) -> Option<&CaseId> {
        self.case.as_ref()
    }
}

/// The audit trail was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRead {
    /// Only of this case; none: all.
    pub case: Option<CaseId>,
    /// Only by this actor; empty: all.
    pub of_actor: String,
}

impl About for AuditRead {
    fn object(&self) -> String {
        self.case.as_ref().map_or_else(|| "audit".to_owned(), ToString::to_string)
    }
    fn case(&self) -> Option<&CaseId> {
        self.case.as_ref()
    }
}
