//! Stands for the transcoder in a build without the feature `media`: masks nothing, and says so.

use custody::WallTime;

use super::CleanFrame;
use super::choice::{Choice, Effort, Kind};
use super::policy::Policy;
use crate::camera::Frame;

/// Always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this build has no FFmpeg (feature `media`)")]
pub(super) struct Failure;

pub(super) fn choose(_: Choice, _: Effort) -> Result<(Kind, Vec<String>), String> {
    Err(Failure.to_string())
}

pub(super) struct Transcoder;

impl Transcoder {
    pub(super) fn new(_policy: Policy, _kind: Kind, _effort: Effort) -> Self {
        Self
    }

    pub(super) fn reset(&mut self) {}

    pub(super) fn kind(&self) -> Kind {
        Kind::Software
    }

    pub(super) fn oldest_held(&self) -> Option<WallTime> {
        None
    }

    pub(super) fn push(&mut self, _frame: Frame) -> Result<Vec<CleanFrame>, Failure> {
        Err(Failure)
    }

    pub(super) fn drain(&mut self) -> Result<Vec<CleanFrame>, Failure> {
        Ok(Vec::new())
    }
}
