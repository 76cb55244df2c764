//! Which zones a camera's pictures must have filled, who approved that, or that it needs none.

use custody::Digest;
use serde::{Deserialize, Serialize};

use super::zone::{Zone, geometry_sha256};

/// The most zones of one camera: the estate's fullest has seven.
pub const ZONES_MAX: usize = 32;

/// What masked samples are set to. Y in 8 bits; U and V 128 is grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Luma.
    pub y: u8,
    /// Blue difference.
    pub u: u8,
    /// Red difference.
    pub v: u8,
}

impl Colour {
    /// Black of limited-range video, which nearly all cameras send. In full-range video it is a
    /// very dark grey: just as blind, so the same value serves both.
    pub const BLACK: Self = Self { y: 16, u: 128, v: 128 };
}

impl Default for Colour {
    fn default() -> Self {
        Self::BLACK
    }
}

/// One approved revision of a camera's mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name in the approval's papers.
    pub policy_id: String,
    /// Counts up with every change.
    pub revision: u32,
    /// The role or reference of who approved it.
    pub approved_by: String,
    /// What is hidden.
    pub zones: Vec<Zone>,
    /// With what.
    #[serde(default)]
    pub colour: Colour,
}

/// A mask policy that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPolicy {
    /// No zone: a camera that needs no mask says so by [`NoMask`], not by an empty mask.
    #[error("mask policy `{0}` has no zone; if the camera needs no mask, its record must say so")]
    NoZone(String),
    /// More than [`ZONES_MAX`].
    #[error("mask policy `{0}` has more than {ZONES_MAX} zones; join some")]
    TooManyZones(String),
    /// Nobody stands for it.
    #[error("mask policy `{0}` names nobody who approved it")]
    NotApproved(String),
}

impl Policy {
    /// Checks what the zones' own checks cannot see.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let policy = || self.policy_id.clone();
        if self.zones.is_empty() {
            return Err(BadPolicy::NoZone(policy()));
        }
        if self.zones.len() > ZONES_MAX {
            return Err(BadPolicy::TooManyZones(policy()));
        }
        if self.approved_by.trim().is_empty() {
            return Err(BadPolicy::NotApproved(policy()));
        }
        Ok(())
    }

    /// What a segment's record says of this mask.
    #[must_use]
    pub fn applied(&self) -> Applied {
        Applied {
            policy_id: self.policy_id.clone(),
            revision: self.revision,
            approved_by: self.approved_by.clone(),
            geometry_sha256: geometry_sha256(&self.zones),
        }
    }
}

/// The mask that was burned into a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The policy.
    pub policy_id: String,
    /// Its revision.
    pub revision: u32,
    /// Who approved it.
    pub approved_by: String,
    /// Its geometry, see [`geometry_sha256`].
    pub geometry_sha256: Digest,
}

/// The approval that a camera needs no mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMask {
    approved_by: String,
}

impl NoMask {
    /// An approval by `approved_by`, from the camera's record.
    ///
    /// # Errors
    /// When nobody is named.
    pub fn approved_by(approved_by: &str) -> Result<Self, BadPolicy> {
        if approved_by.trim().is_empty() {
            return Err(BadPolicy::NotApproved("no mask required".to_owned()));
        }
        Ok(Self { approved_by: approved_by.to_owned() })
    }

    /// Who stands for it.
    #[must_use]
    pub fn approver(&self) -> &str {
        &self.approved_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let zone = Zone::try_from(vec![[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]).unwrap();
        Policy {
            policy_id: "east-ext-01".into(),
            revision: 3,
            approved_by: "dpo".into(),
            zones: vec![zone],
            colour: Colour::default(),
        }
    }

    #[test]
    fn an_empty_mask_is_not_a_way_to_need_none() {
        assert_eq!(policy().check(), Ok(()));
        let empty = Policy { zones: vec![], ..policy() };
        assert_eq!(empty.check(), Err(BadPolicy::NoZone("east-ext-01".into())));
        let many = Policy { zones: vec![policy().zones[0].clone(); 33], ..policy() };
        assert_eq!(many.check(), Err(BadPolicy::TooManyZones("east-ext-01".into())));
    }

    #[test]
    fn somebody_must_stand_for_masking_and_for_not_masking() {
        let alone = Policy { approved_by: " ".into(), ..policy() };
        assert_eq!(alone.check(), Err(BadPolicy::NotApproved("east-ext-01".into())));
        assert!(NoMask::approved_by("").is_err());
        assert_eq!(NoMask::approved_by("dpo").unwrap().approver(), "dpo");
    }
}
