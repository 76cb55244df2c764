//! What lies in the folders of both discs, by their names alone.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use custody::{CameraId, Seq, WallTime};

use super::super::core::Core;
use super::super::{StoreError, path, second};
use crate::seal::key_ring;

/// The camera's hour folders from hour `from` on, in the order of time; of one hour the first disc's first.
pub(super) fn hours_of(
    core: &Core,
    camera: &CameraId,
    from: u64,
) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut hours = Vec::new();
    for root in second::roots(core) {
        let folder = root.join(camera.name());
        let first_hour = path::hour_folder(root, camera, from);
        let first_day = first_hour.parent().unwrap_or(&folder).to_owned();
        // Day and hour names sort as time does.
        for day in list(&folder)?.into_iter().filter(|day| *day >= first_day) {
            for hour in list(&day)?.into_iter().filter(|hour| *hour >= first_hour) {
                hours.extend(epoch_of_folder(&hour).map(|epoch| (epoch, hour)));
            }
        }
    }
    hours.sort_by_key(|(epoch, _)| *epoch);
    Ok(hours)
}

/// The hour that `…/2026-11-22/14` is named after.
fn epoch_of_folder(folder: &Path) -> Option<u64> {
    let hour = folder.file_name()?.to_str()?;
    let day = folder.parent()?.file_name()?.to_str()?;
    let begins: WallTime = format!("{day}T{hour}:00:00Z").parse().ok()?;
    Some(key_ring::epoch_of(begins))
}

/// The camera's segment files in hours from `from` on, by place in the chain.
pub(super) fn files(
    core: &Core,
    camera: &CameraId,
    from: u64,
) -> Result<Vec<(Seq, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for (_, hour) in hours_of(core, camera, from)? {
        found.extend(list(&hour)?.into_iter().filter_map(|f| Some((path::seq_of(&f)?, f))));
    }
    // Stable: of two copies the first disc's stays.
    found.sort_by_key(|(seq, _)| *seq);
    found.dedup_by_key(|(seq, _)| *seq);
    Ok(found)
}

/// Every camera that has a folder on a disc that is here.
pub(super) fn cameras_on_disc(core: &Core) -> Result<BTreeSet<CameraId>, StoreError> {
    let site = core.identity.site();
    let mut cameras = BTreeSet::new();
    for root in second::roots(core) {
        let folders = list(root)?;
        let names = folders.iter().filter(|path| path.is_dir()).filter_map(|path| path.file_name());
        cameras.extend(names.filter_map(|name| CameraId::new(site, name.to_str()?).ok()));
    }
    Ok(cameras)
}

/// What a folder holds, sorted; nothing if it is not there or no folder.
pub(in crate::store) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    match read() {
        Ok(paths) => Ok(paths),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(source) => {
            let what = format!("reading {}", folder.display());
            Err(StoreError::DiscFault { what, source })
        }
    }
}
