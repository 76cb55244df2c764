//! What is asked of the sites: the fleet's calls, named so that the steps can be tested against
//! sites that are away, refuse or break off.

use std::future::Future;

use custody::coverage::Span;
use custody::{CameraId, CaseId, HoldId, OrderId, Seq, SiteId};

use crate::evidence::HoldEntry;
use crate::fleet::{
    ErasedFootage, Fleet, FleetError, Found, Guest, Placed, ReleasedKeys, WantedSegment,
};

/// The sites, as the reconciler sees them. Every call may be repeated.
pub trait Sites: Send + Sync + 'static {
    /// [`Fleet::find`].
    fn find(
        &self,
        camera: &CameraId,
        span: Span,
    ) -> impl Future<Output = Result<Found, FleetError>> + Send;

    /// [`Fleet::place_hold`].
    fn place_hold(
        &self,
        hold: &HoldEntry,
    ) -> impl Future<Output = Result<Placed, FleetError>> + Send;

    /// [`Fleet::release_hold`].
    fn release_hold(
        &self,
        site: &SiteId,
        hold: &HoldId,
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::erase_footage`].
    fn erase_footage(
        &self,
        order: &OrderId,
        camera: &CameraId,
        span: Span,
    ) -> impl Future<Output = Result<ErasedFootage, FleetError>> + Send;

    /// [`Fleet::pull`].
    fn pull(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::copy`].
    fn copy(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::keep_guest`].
    fn keep_guest(
        &self,
        site: &SiteId,
        wanted: &WantedSegment,
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::guests`].
    fn guests(
        &self,
        site: &SiteId,
        camera: &CameraId,
    ) -> impl Future<Output = Result<Vec<Guest>, FleetError>> + Send;

    /// [`Fleet::drop_guests`].
    fn drop_guests(
        &self,
        site: &SiteId,
        camera: &CameraId,
        guests: &[Guest],
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::bring_back`].
    fn bring_back(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
    ) -> impl Future<Output = Result<(), FleetError>> + Send;

    /// [`Fleet::release_keys`].
    fn release_keys(
        &self,
        case: &CaseId,
        camera: &CameraId,
        seqs: &[Seq],
    ) -> impl Future<Output = Result<ReleasedKeys, FleetError>> + Send;
}

impl Sites for Fleet {
    async fn erase_footage(
        &self,
        order: &OrderId,
        camera: &CameraId,
        span: Span,
    ) -> Result<ErasedFootage, FleetError> {
        Self::erase_footage(self, order, camera, span).await
    }

    async fn find(&self, camera: &CameraId, span: Span) -> Result<Found, FleetError> {
        Self::find(self, camera, span).await
    }

    async fn place_hold(&self, hold: &HoldEntry) -> Result<Placed, FleetError> {
        Self::place_hold(self, hold).await
    }

    async fn release_hold(&self, site: &SiteId, hold: &HoldId) -> Result<(), FleetError> {
        Self::release_hold(self, site, hold).await
    }

    async fn pull(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), FleetError> {
        Self::pull(self, site, wanted, progress).await
    }

    async fn copy(&self, site: &SiteId, wanted: &[WantedSegment]) -> Result<(), FleetError> {
        Self::copy(self, site, wanted).await
    }

    async fn keep_guest(&self, site: &SiteId, wanted: &WantedSegment) -> Result<(), FleetError> {
        Self::keep_guest(self, site, wanted).await
    }

    async fn guests(&self, site: &SiteId, camera: &CameraId) -> Result<Vec<Guest>, FleetError> {
        Self::guests(self, site, camera).await
    }

    async fn drop_guests(
        &self,
        site: &SiteId,
        camera: &CameraId,
        guests: &[Guest],
    ) -> Result<(), FleetError> {
        Self::drop_guests(self, site, camera, guests).await
    }

    async fn bring_back(&self, site: &SiteId, wanted: &[WantedSegment]) -> Result<(), FleetError> {
        Self::bring_back(self, site, wanted).await
    }

    async fn release_keys(
        &self,
        case: &CaseId,
        camera: &CameraId,
        seqs: &[Seq],
    ) -> Result<ReleasedKeys, FleetError> {
        Self::release_keys(self, case, camera, seqs).await
    }
}
