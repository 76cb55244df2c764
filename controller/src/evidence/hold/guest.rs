//! The copy of a hold at another site, beside the vault's: sealed files alone, without any key. Which
//! site, and how far it is. Pure.

use custody::{CameraId, HoldId, SiteId};

use super::{CopyState, HoldEntry, HoldState};
use crate::evidence::Evidence;
use crate::log::Event;
use crate::log::event::holds::{HoldCopiedToSite, HoldCopyingToSite, HoldSiteCopyDeleted};

/// What another site has of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GuestState {
    /// Nothing; none is chosen.
    #[default]
    None,
    /// It may have some of it.
    Begun {
        /// Which site.
        site: SiteId,
    },
    /// All of it, checked there.
    Whole {
        /// Which site.
        site: SiteId,
        /// Sealed files.
        segments: u64,
    },
    /// Nothing any more.
    Deleted,
}

impl GuestState {
    /// The site that may have something.
    #[must_use]
    pub fn site(&self) -> Option<&SiteId> {
        match self {
            Self::Begun { site } | Self::Whole { site, .. } => Some(site),
            Self::None | Self::Deleted => None,
        }
    }

    /// The site that has all of it.
    #[must_use]
    pub fn whole_at(&self) -> Option<&SiteId> {
        match self {
            Self::Whole { site, .. } => Some(site),
            Self::None | Self::Begun { .. } | Self::Deleted => None,
        }
    }
}

/// What was done about the copy at another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestStep {
    /// It is chosen: files go there from now on.
    Begun,
    /// It has all of it, checked there.
    Whole {
        /// Sealed files.
        segments: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// It has nothing of it any more, but for what another hold needs.
    Deleted {
        /// Sealed files.
        segments: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// The first of these sites that is not the camera's own; none: there is no such site.
#[must_use]
pub fn choose<'a>(also_at: &'a [SiteId], camera: &CameraId) -> Option<&'a SiteId> {
    also_at.iter().find(|site| *site != camera.site())
}

/// Decides that something was done at `site`; none when it was not asked to.
pub(super) fn step(hold: &HoldEntry, site: &SiteId, step: &GuestStep) -> Option<Event> {
    let (id, case, site) = (hold.id.clone(), hold.case.clone(), site.clone());
    let is_placed = matches!(hold.state, HoldState::Placed { .. });
    match (step, &hold.guest) {
        (GuestStep::Begun, GuestState::None)
            if is_placed
                && matches!(hold.copy, CopyState::Whole { .. })
                && site != *hold.camera.site() =>
        {
            Some(Event::HoldCopyingToSite(HoldCopyingToSite { hold: id, case, site }))
        }
        (GuestStep::Whole { segments, bytes }, GuestState::Begun { site: begun })
            if is_placed && *begun == site =>
        {
            let (segments, bytes) = (*segments, *bytes);
            Some(Event::HoldCopiedToSite(HoldCopiedToSite {
                hold: id,
                case,
                site,
                segments,
                bytes,
            }))
        }
        (GuestStep::Deleted { segments, bytes }, there)
            if !hold.state.stands() && there.site() == Some(&site) =>
        {
            let (segments, bytes) = (*segments, *bytes);
            Some(Event::HoldSiteCopyDeleted(HoldSiteCopyDeleted {
                hold: id,
                case,
                site,
                segments,
                bytes,
            }))
        }
        _ => None,
    }
}

pub(in crate::evidence) fn apply(evidence: &mut Evidence, hold: &HoldId, guest: GuestState) {
    if let Some(hold) = evidence.holds.get_mut(hold) {
        hold.guest = guest;
    }
}
