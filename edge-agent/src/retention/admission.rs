//! Asks of a configuration and its disc, before anything is recorded, whether the disc can hold every
//! camera's floor: before a camera is added or a bitrate raised. The running agent refuses nothing and
//! raises `retention-at-risk` instead: evidence first.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use custody::{CameraId, WallTime};

use super::estimate::{Demand, Estimate, estimate};
use super::rate;
use crate::config::Config;
use crate::seal::key_ring::epoch_of;
use crate::store::{self, Glance};

/// Cameras that are named when not all fit.
const NAMED_MAX: usize = 8;

/// What was found.
#[derive(Debug)]
pub struct Admission {
    site_dir: PathBuf,
    cameras: usize,
    held_bytes: u64,
    estimate: Estimate,
}

/// Why nothing could be found.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// There is no disc here to compare with.
    #[error(
        "{0} does not exist here, so the disc was not compared; say --disc-bytes, or check on the recorder"
    )]
    NoDisc(PathBuf),
    /// The disc does not say how full it is.
    #[error("{path}: cannot be asked how full it is")]
    Disc {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is a store, and it does not read.
    #[error("{path}: what is stored there does not read; try again in a minute")]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        source: store::StoreError,
    },
}

impl Admission {
    /// Whether the disc holds every camera's floor.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.estimate.lacking_bytes() == 0
    }
}

/// Compares the cameras of `config` with its disc, or with an empty one of `disc_bytes`. A camera sends
/// what the settings expect of it, else what it was measured to, else 4,000 kbit/s.
///
/// # Errors
/// When there is no disc to compare with, or it does not answer.
pub fn look(
    config: &Config,
    disc_bytes: Option<u64>,
    now: WallTime,
) -> Result<Admission, AdmissionError> {
    let state_dir = &config.state_dir;
    let exists = state_dir.exists();
    let seen = if exists {
        let seen = store::glance(state_dir, &config.site);
        seen.map_err(|source| AdmissionError::Store { path: state_dir.clone(), source })?
    } else {
        None
    };
    let seen = seen.unwrap_or_default();
    let demand = |camera: &crate::config::Camera| {
        let measured = seen.hours.get(&camera.id).and_then(|h| rate::day(h, epoch_of(now)));
        Demand {
            camera: camera.id.clone(),
            kbps: camera
                .expected_kbps
                .or_else(|| measured.map(rate::kbps))
                .unwrap_or(rate::EXPECTED_KBPS),
            floor_s: camera.class.floor_s,
        }
    };
    let demands: Vec<Demand> = config.cameras.iter().map(demand).collect();
    let held_bytes = held_bytes(&seen);
    let stored_bytes: u64 = seen.hours.values().flat_map(|hours| hours.values()).sum();
    let disc_bytes = match disc_bytes {
        Some(bytes) => bytes,
        None if exists => {
            free_bytes(config)?.saturating_add(stored_bytes).saturating_add(second_bytes(config))
        }
        None => return Err(AdmissionError::NoDisc(state_dir.clone())),
    };
    let room_bytes =
        disc_bytes.saturating_sub(config.recording.reserve_free_bytes).saturating_sub(held_bytes);
    Ok(Admission {
        site_dir: state_dir.clone(),
        cameras: demands.len(),
        held_bytes,
        estimate: estimate(&demands, room_bytes),
    })
}

fn free_bytes(config: &Config) -> Result<u64, AdmissionError> {
    let segments = config.state_dir.join("segments");
    let path = if segments.exists() { segments } else { config.state_dir.clone() };
    match rustix::fs::statvfs(&path) {
        Ok(stat) => Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => Err(AdmissionError::Disc { path, source: error.into() }),
    }
}

/// What a second disc has room for; nothing where none is mounted, which alarms when the agent runs.
fn second_bytes(config: &Config) -> u64 {
    let Some(second) = &config.second_tier else { return 0 };
    let disc = |path: &Path| fs::metadata(path).map(|it| it.dev()).ok();
    let first = disc(&config.state_dir.join("segments")).or_else(|| disc(&config.state_dir));
    if !second.path.is_dir() || disc(&second.path) == first {
        return 0;
    }
    rustix::fs::statvfs(&second.path).map_or(0, |stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize).saturating_sub(second.reserve_free_bytes)
    })
}

/// Bytes in hours that a hold reaches: they may never come free.
fn held_bytes(seen: &Glance) -> u64 {
    let of_camera = |(camera, hours): (&CameraId, &BTreeMap<u64, u64>)| -> u64 {
        let is_held = |hour: u64| {
            let mut holds = seen.holds.iter().filter(|hold| hold.camera == *camera);
            holds.any(|hold| (epoch_of(hold.from)..=epoch_of(hold.to)).contains(&hour))
        };
        hours.iter().filter(|(hour, _)| is_held(**hour)).map(|(_, bytes)| bytes).sum()
    };
    seen.hours.iter().map(of_camera).sum()
}

fn gb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000_000)
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimate = &self.estimate;
        write!(
            f,
            "{}: the floors of {} camera(s) want {} GB, the disc has room for {} GB",
            self.site_dir.display(),
            self.cameras,
            gb(estimate.wanted_bytes),
            gb(estimate.room_bytes)
        )?;
        if self.held_bytes > 0 {
            write!(f, " beside {} GB that are held", gb(self.held_bytes))?;
        }
        if self.fits() {
            return Ok(());
        }
        write!(
            f,
            ": {} GB are lacking. Give it so much more, or lower to {} kbit/s: ",
            gb(estimate.lacking_bytes()),
            estimate.lower_to_kbps
        )?;
        for (at, demand) in estimate.lower.iter().take(NAMED_MAX).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{} (now {})", demand.camera, demand.kbps)?;
        }
        match estimate.lower.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
