//! The keys of an hour's surviving segments, wrapped anew under the hour's new key, after some of the
//! hour's footage was erased: what the erased segments' headers carry then opens nowhere.
//!
//! ```text
//! keys/hours/<hour>-<version> = magic "WHHOUR1\n"  count:u32  entry[count]
//! entry                       = length:u8 camera's name  seq:u64  nonce[12] wrapped key[32] tag[16]
//! ```
//! The file is whole before the ring names it, and goes after the ring has ceased to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use custody::sealing::{self, Key};
use custody::{CameraId, Seq, SiteId};
use host::durable::{self, Reader};

use super::file::WRAPPED_BYTES;
use super::{KeyError, disc, random};
use crate::limits;

const MAGIC: &[u8; 8] = b"WHHOUR1\n";

/// The wrapped keys of one hour.
pub(super) struct Kept {
    pub(super) hour: u64,
    pub(super) version: u32,
    keys: BTreeMap<(CameraId, Seq), [u8; WRAPPED_BYTES]>,
}

pub(super) fn path(folder: &Path, hour: u64, version: u32) -> PathBuf {
    folder.join(format!("{hour}-{version}"))
}

/// Hour and version of a file's name.
fn of_name(path: &Path) -> Option<(u64, u32)> {
    let (hour, version) = path.file_name()?.to_str()?.split_once('-')?;
    Some((hour.parse().ok()?, version.parse().ok()?))
}

/// Writes the keys of the hour's survivors, wrapped under `hour_key`.
pub(super) fn write(
    folder: &Path,
    (hour, version): (u64, u32),
    hour_key: &Key,
    survivors: &[(CameraId, Seq, Key)],
) -> Result<(), KeyError> {
    let path = path(folder, hour, version);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(u32::try_from(survivors.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (camera, seq, key) in survivors {
        let name = camera.name();
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend(name.as_bytes());
        bytes.extend(seq.0.to_be_bytes());
        let place = sealing::segment_key_place(camera, *seq, hour);
        bytes.extend(hour_key.wrap(key, random()?, &place));
    }
    durable::replace(&path, &bytes, Reader::Owner).map_err(disc("writing", &path))
}

/// Reads the keys of an hour.
pub(super) fn read(
    folder: &Path,
    site: &SiteId,
    hour: u64,
    version: u32,
) -> Result<Kept, KeyError> {
    let path = path(folder, hour, version);
    let damaged = || KeyError::Damaged { what: format!("{} does not read", path.display()) };
    let length = fs::metadata(&path).map_err(disc("looking at", &path))?.len();
    if length > limits::KEPT_BYTES_MAX {
        return Err(damaged());
    }
    let bytes = fs::read(&path).map_err(disc("reading", &path))?;
    let keys = decode(&bytes, site).ok_or_else(damaged)?;
    Ok(Kept { hour, version, keys })
}

fn decode(bytes: &[u8], site: &SiteId) -> Option<BTreeMap<(CameraId, Seq), [u8; WRAPPED_BYTES]>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let mut keys = BTreeMap::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let (seq, after) = after.split_first_chunk()?;
        let (wrapped, after) = after.split_first_chunk()?;
        let camera = CameraId::new(site, std::str::from_utf8(name).ok()?).ok()?;
        keys.insert((camera, Seq(u64::from_be_bytes(*seq))), *wrapped);
        rest = after;
    }
    rest.is_empty().then_some(keys)
}

impl Kept {
    pub(super) fn wrapped(&self, camera: &CameraId, seq: Seq) -> Option<&[u8]> {
        self.keys.get(&(camera.clone(), seq)).map(<[u8; WRAPPED_BYTES]>::as_slice)
    }
}

/// Removes the files that `named` does not name.
pub(super) fn tidy(folder: &Path, named: &BTreeMap<u64, u32>) -> Result<(), KeyError> {
    for entry in fs::read_dir(folder).map_err(disc("reading", folder))? {
        let path = entry.map_err(disc("reading", folder))?.path();
        let wanted =
            of_name(&path).is_some_and(|(hour, version)| named.get(&hour) == Some(&version));
        if !wanted {
            durable::remove(&path).map_err(disc("removing", &path))?;
        }
    }
    Ok(())
}
