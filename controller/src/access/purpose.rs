//! Why footage may be touched. A closed list: what is outside it is refused, and so function creep
//! is stopped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::refusal::{Code, Refusal};

/// A purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Prevention, investigation, detection.
    Crime,
    /// Of staff, visitors, premises.
    Security,
    /// Internal discipline, or the complaints body.
    Misconduct,
    /// A person asks for footage of themselves, or for its erasure.
    SubjectAccess,
    /// Claims.
    Insurance,
    /// Of the system itself: never with footage.
    Maintenance,
}

/// Which law the purpose falls under. The record keeps which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// Part 3 of the Data Protection Act 2018.
    LawEnforcement,
    /// UK GDPR.
    General,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::Crime,
        Self::Security,
        Self::Misconduct,
        Self::SubjectAccess,
        Self::Insurance,
        Self::Maintenance,
    ];

    /// The purpose as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crime => "crime",
            Self::Security => "security",
            Self::Misconduct => "misconduct",
            Self::SubjectAccess => "subject-access",
            Self::Insurance => "insurance",
            Self::Maintenance => "maintenance",
        }
    }

    /// Which law it falls under.
    #[must_use]
    pub fn regime(self) -> Regime {
        match self {
            Self::Crime => Regime::LawEnforcement,
            Self::Security
            | Self::Misconduct
            | Self::SubjectAccess
            | Self::Insurance
            | Self::Maintenance => Regime::General,
        }
    }

    /// Refuses the purposes for which no footage is ever touched.
    ///
    /// # Errors
    /// `purpose-not-allowed` for maintenance.
    pub fn check_footage(self) -> Result<(), Refusal> {
        match self {
            Self::Maintenance => Err(Refusal::new(
                Code::PurposeNotAllowed,
                "maintenance never needs footage: name the purpose that the footage is for",
            )),
            Self::Crime
            | Self::Security
            | Self::Misconduct
            | Self::SubjectAccess
            | Self::Insurance => Ok(()),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            let text: String = text.chars().take(40).collect();
            Refusal::new(
                Code::PurposeUnknown,
                format!("`{text}` is no purpose for which footage is kept: use one of {known}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maintenance_never_touches_footage() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.as_str().parse::<Purpose>().unwrap(), purpose);
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.as_str());
            assert_eq!(purpose.check_footage().is_err(), purpose == Purpose::Maintenance);
        }
        assert_eq!("marketing".parse::<Purpose>().unwrap_err().code(), Code::PurposeUnknown);
        assert_eq!(Purpose::Crime.regime(), Regime::LawEnforcement);
    }
}
