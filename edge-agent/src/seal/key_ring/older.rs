//! The key folder as it was before the site key changed with every erasure: read once, then destroyed.
//!
//! ```text
//! keys/site.key            key[32]
//! keys/epoch/<hour>.key    nonce[12] wrapped key[32] tag[16], under the site key
//! ```

use std::fs;
use std::io;
use std::path::Path;

use custody::SiteId;
use custody::sealing::{self, Key};
use zeroize::Zeroizing;

use super::{Hour, Hours, KeyError, disc};
use crate::seal::root::file::wipe;

/// The hours' keys of such a folder; none if it is none.
pub(super) fn read(keys: &Path, site: &SiteId) -> Result<Option<Hours>, KeyError> {
    let path = keys.join("site.key");
    let bytes = match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(disc("reading", &path)(source)),
    };
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Damaged {
        what: format!("{} is not 32 bytes long", path.display()),
    })?;
    let site_key = Key::new(bytes);
    let mut hours = Hours::new();
    for (hour, path) in files(keys)? {
        let wrapped = fs::read(&path).map_err(disc("reading", &path))?;
        // One that was overwritten and not yet removed does not open either.
        if let Ok(key) = site_key.unwrap(&wrapped, &sealing::epoch_key_place(site, hour)) {
            hours.insert(hour, Hour { key, version: 0 });
        }
    }
    Ok(Some(hours))
}

fn files(keys: &Path) -> Result<Vec<(u64, std::path::PathBuf)>, KeyError> {
    let folder = keys.join("epoch");
    let listing = match fs::read_dir(&folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(disc("reading", &folder)(source)),
    };
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(disc("reading", &folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(hour) = name.strip_suffix(".key").and_then(|hour| hour.parse().ok()) {
            files.push((hour, path));
        }
    }
    Ok(files)
}

/// Destroys such a folder's keys, the site key last.
pub(super) fn destroy(keys: &Path) -> Result<(), KeyError> {
    for (_, path) in files(keys)? {
        wipe(&path)?;
    }
    match fs::remove_dir(keys.join("epoch")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the folder keys/epoch holds something else and stays");
        }
        _ => {}
    }
    wipe(&keys.join("site.key"))
}
