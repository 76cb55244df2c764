//! The ring file: every hour's key, wrapped under the site key.
//!
//! ```text
//! keys/ring = magic "WHRING1\n"  generation:u64  site key's SHA-256[32]  count:u32  entry[count]
//! entry     = hour:u64  version:u32  nonce[12] wrapped key[32] tag[16]             big-endian
//! ```
//! `hour` counts from 1970. `version` 0: the keys of the hour's segments stand in their files' headers;
//! else in `keys/hours/<hour>-<version>`, see [`kept`](super::kept). Each entry is wrapped for its own
//! hour, so one that rots takes one hour with it and not the site.

use std::fs;
use std::io;
use std::path::Path;

use custody::{Digest, SiteId, sealing};
use host::durable::{self, Reader};

use super::{Hour, Hours, KeyError, disc, random};
use crate::limits;
use crate::seal::root::Secret;

const MAGIC: &[u8; 8] = b"WHRING1\n";
/// A wrapped key: nonce, key, tag.
pub(super) const WRAPPED_BYTES: usize = 12 + 32 + 16;
const ENTRY_BYTES: usize = 8 + 4 + WRAPPED_BYTES;

/// A ring file, still wrapped.
pub(super) struct Stored {
    pub(super) generation: u64,
    pub(super) site_key: Digest,
    entries: Vec<(u64, u32, [u8; WRAPPED_BYTES])>,
}

/// Reads the file; none if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Stored>, KeyError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(disc("reading", path)(source)),
    };
    let stored = decode(&bytes)
        .ok_or_else(|| KeyError::Damaged { what: format!("{} does not read", path.display()) })?;
    Ok(Some(stored))
}

fn decode(bytes: &[u8]) -> Option<Stored> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (site_key, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    if count > limits::HOURS_MAX || rest.len() != count * ENTRY_BYTES {
        return None;
    }
    let entries = rest.chunks_exact(ENTRY_BYTES).map(|entry| {
        let (hour, entry) = entry.split_first_chunk()?;
        let (version, entry) = entry.split_first_chunk()?;
        let wrapped = entry.try_into().ok()?;
        Some((u64::from_be_bytes(*hour), u32::from_be_bytes(*version), wrapped))
    });
    Some(Stored {
        generation: u64::from_be_bytes(*generation),
        site_key: Digest(*site_key),
        entries: entries.collect::<Option<_>>()?,
    })
}

impl Stored {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_under(&self, secret: &Secret) -> bool {
        self.generation == secret.generation && self.site_key == secret.digest()
    }

    /// The hours' keys. One that does not open is left out and said.
    pub(super) fn unwrap(&self, site: &SiteId, secret: &Secret) -> Hours {
        let mut hours = Hours::new();
        for (hour, version, wrapped) in &self.entries {
            match secret.key.unwrap(wrapped, &sealing::epoch_key_place(site, *hour)) {
                Ok(key) => {
                    hours.insert(*hour, Hour { key, version: *version });
                }
                Err(_) => {
                    tracing::error!(hour, "the key ring's entry is damaged: this hour is lost");
                }
            }
        }
        hours
    }
}

/// Replaces the file.
pub(super) fn write(
    path: &Path,
    site: &SiteId,
    secret: &Secret,
    hours: &Hours,
) -> Result<(), KeyError> {
    if hours.len() > limits::HOURS_MAX {
        return Err(KeyError::Damaged {
            what: format!("{} would hold more than {} hours", path.display(), limits::HOURS_MAX),
        });
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(secret.generation.to_be_bytes());
    bytes.extend(secret.digest().0);
    bytes.extend(u32::try_from(hours.len()).unwrap_or(0).to_be_bytes());
    for (hour, Hour { key, version }) in hours {
        bytes.extend(hour.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend(secret.key.wrap(key, random()?, &sealing::epoch_key_place(site, *hour)));
    }
    durable::replace(path, &bytes, Reader::Owner).map_err(disc("writing", path))
}
