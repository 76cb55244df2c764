//! Copies of held footage at another site: sent from the vault piece by piece, listed, deleted, brought
//! back. Sealed files alone; this side holds the keys.

use std::sync::PoisonError;
use std::time::Duration;

use custody::{CameraId, Digest, Seq, SiteId};
use proto::v1::{
    DropGuestsRequest, GuestFile, KeepGuestRequest, KeepGuestResponse, ListGuestsRequest,
};

use super::call::{Source, failed};
use super::{Fleet, FleetError, WantedSegment};
use crate::limits;
use crate::vault::segment_name;

/// A site that sets a file back to another place more often than this is not going to take it.
const SET_BACK_MAX: u32 = 3;

/// A file that another site keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Which segment.
    pub seq: Seq,
    /// The first bytes of its fragment tree's root.
    pub root_start: [u8; 8],
    /// So much of it is there.
    pub bytes: u64,
    /// Whether it is whole, and checked there.
    pub is_whole: bool,
}

impl Guest {
    /// The first bytes of a root.
    #[must_use]
    pub fn root_start(root: Digest) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = root.0;
        [a, b, c, d, e, f, g, h]
    }

    fn read(file: &GuestFile) -> Option<Self> {
        let root_start = file.root_start.as_slice().try_into().ok()?;
        Some(Self { seq: Seq(file.seq), root_start, bytes: file.bytes, is_whole: file.is_whole })
    }

    fn file(&self) -> GuestFile {
        GuestFile {
            seq: self.seq.0,
            root_start: self.root_start.to_vec(),
            bytes: self.bytes,
            is_whole: self.is_whole,
        }
    }
}

impl Fleet {
    /// Sends the vault's copy of a segment to another site, which checks it against its root. Goes on
    /// where an earlier try stopped; may be repeated.
    ///
    /// # Errors
    /// When the vault misses the file, or the site is away or refuses it.
    pub async fn keep_guest(
        &self,
        site: &SiteId,
        wanted: &WantedSegment,
    ) -> Result<(), FleetError> {
        let broken = |why: &str| {
            let why = format!("{} segment {}: {why}", wanted.camera, wanted.seq);
            FleetError::Broken { site: site.clone(), why }
        };
        let mut there = self.send_piece(site, wanted, 0, Vec::new()).await?;
        let mut set_back = 0;
        while !there.is_whole {
            let offset = there.bytes;
            let data = self.piece(wanted, offset).await.map_err(|why| broken(&why))?;
            let expected = offset + data.len() as u64;
            there = self.send_piece(site, wanted, offset, data).await?;
            if !there.is_whole && there.bytes != expected {
                set_back += 1;
            }
            if set_back > SET_BACK_MAX || (!there.is_whole && there.bytes > wanted.file_bytes) {
                return Err(broken("it does not say where the file goes on"));
            }
        }
        Ok(())
    }

    async fn send_piece(
        &self,
        site: &SiteId,
        wanted: &WantedSegment,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<KeepGuestResponse, FleetError> {
        let request = KeepGuestRequest {
            camera: wanted.camera.to_string(),
            seq: wanted.seq.0,
            root: wanted.root.0.to_vec(),
            file_bytes: wanted.file_bytes,
            offset,
            data,
        };
        let answer = self.bulk_agent(site)?.keep_guest(request).await;
        Ok(answer.map_err(|status| failed(site, &status))?.into_inner())
    }

    /// A piece of the vault's file, no sooner than its turn.
    async fn piece(&self, wanted: &WantedSegment, offset: u64) -> Result<Vec<u8>, String> {
        let left = wanted.file_bytes.saturating_sub(offset);
        let length = self.grant(left.min(limits::GUEST_PIECE_BYTES as u64)).await;
        let shelf = self.0.parts.copies.shelf().clone();
        let name = segment_name(&wanted.camera, wanted.seq, wanted.root);
        let read = move || shelf.read(&name, offset, length);
        let data = tokio::task::spawn_blocking(read).await.map_err(|_| "stopping".to_owned())?;
        let data = data.map_err(|error| format!("the vault's copy does not read: {error}"))?;
        if data.is_empty() && left > 0 {
            return Err(format!(
                "the vault's copy ends at {offset} of {} bytes",
                wanted.file_bytes
            ));
        }
        Ok(data)
    }

    /// Waits until some of `wanted` bytes may go; all sites share one pace.
    async fn grant(&self, wanted: u64) -> usize {
        if wanted == 0 {
            return 0;
        }
        loop {
            let now = self.0.parts.clock.tick();
            let (granted, wait_ms) = {
                let mut pace = self.0.guest_pace.lock().unwrap_or_else(PoisonError::into_inner);
                (pace.take(wanted, now), pace.wait_ms())
            };
            if granted > 0 {
                return usize::try_from(granted).unwrap_or(limits::GUEST_PIECE_BYTES);
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// The files of a camera that another site keeps, whole and begun ones, in order.
    ///
    /// # Errors
    /// When the site is away, or its answer does not hold.
    pub async fn guests(&self, site: &SiteId, camera: &CameraId) -> Result<Vec<Guest>, FleetError> {
        let broken = |why: &str| FleetError::Broken { site: site.clone(), why: why.to_owned() };
        let mut guests: Vec<Guest> = Vec::new();
        for _ in 0..limits::GUEST_PAGES {
            let after = guests.last().map(Guest::file);
            let request = ListGuestsRequest { camera: camera.to_string(), after };
            let answer = self.agent(site)?.list_guests(request).await;
            let answer = answer.map_err(|status| failed(site, &status))?.into_inner();
            let page: Option<Vec<_>> = answer.files.iter().map(Guest::read).collect();
            guests.extend(page.ok_or_else(|| broken("its list of kept files does not read"))?);
            if !answer.has_more {
                return Ok(guests);
            }
        }
        Err(broken("its list of kept files does not end"))
    }

    /// Deletes files that another site keeps. May be repeated.
    ///
    /// # Errors
    /// When the site is away or its disc fails.
    pub async fn drop_guests(
        &self,
        site: &SiteId,
        camera: &CameraId,
        guests: &[Guest],
    ) -> Result<(), FleetError> {
        for some in guests.chunks(limits::GUESTS_A_DROP) {
            let files = some.iter().map(Guest::file).collect();
            let request = DropGuestsRequest { camera: camera.to_string(), files };
            let dropped = self.agent(site)?.drop_guests(request).await;
            dropped.map_err(|status| failed(site, &status))?;
        }
        Ok(())
    }

    /// Brings files that another site keeps back into the vault, checked against their roots.
    ///
    /// # Errors
    /// As [`Fleet::pull`].
    pub async fn bring_back(
        &self,
        site: &SiteId,
        wanted: &[WantedSegment],
    ) -> Result<(), FleetError> {
        let rate = self.copy_bytes_per_second();
        self.pull_at(Source { site, is_guest: true, rate }, wanted, &|_| {}).await
    }
}
