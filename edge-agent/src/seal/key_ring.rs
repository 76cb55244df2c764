//! The site key and the hourly epoch keys, each a file that only the owner may read.
//!
//! ```text
//! keys/site.key            key[32]
//! keys/epoch/<hour>.key    nonce[12] wrapped key[32] tag[16], under the site key; <hour> since 1970
//! ```
//! Destroying an hour overwrites its file, syncs, unlinks and syncs the folder: a copy of a segment
//! of that hour, wherever it lies, then opens for nobody. What a disc's own wear levelling keeps of
//! the overwritten page is still wrapped under the site key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use custody::keys::SignError;
use custody::sealing::{self, Key};
use custody::{CameraId, Seq, SiteId, WallTime};
use host::durable::{self, Reader};

/// Microseconds in an epoch.
const EPOCH_US: i64 = 3_600_000_000;
/// A wrapped key: nonce, key, tag.
const WRAPPED_BYTES: usize = 12 + 32 + 16;

/// A key that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disc refused.
    #[error("{what} failed; the key folder must be readable and writable by this program alone")]
    Disc {
        /// What was attempted on which file.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key file is not what this program wrote.
    #[error("{what}: restore it from a backup of the key folder, or the footage under it is lost")]
    Damaged {
        /// Which file, and what is wrong.
        what: String,
    },
    /// The identity key did not sign.
    #[error("the identity key in {place} did not answer; is the token there and unlocked?")]
    Identity {
        /// Where it lies.
        place: String,
        /// Why.
        #[source]
        source: SignError,
    },
    /// The hour's key was destroyed when its footage was erased.
    #[error("the key of hour {epoch} is destroyed: what it sealed can never be opened")]
    Destroyed {
        /// Hours since 1970.
        epoch: u64,
    },
}

/// The hour, since 1970, whose key seals what begins at `time`.
#[must_use]
pub fn epoch_of(time: WallTime) -> u64 {
    u64::try_from(time.0 / EPOCH_US).unwrap_or(0)
}

/// When hour `epoch` begins.
#[must_use]
pub fn epoch_begins(epoch: u64) -> WallTime {
    WallTime(i64::try_from(epoch).unwrap_or(i64::MAX).saturating_mul(EPOCH_US))
}

/// Random bytes from the operating system's generator, by way of aws-lc.
///
/// # Errors
/// When the generator gives none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::Disc {
        what: "asking the operating system for random bytes".into(),
        source: io::Error::other("no randomness"),
    })?;
    Ok(bytes)
}

/// The keys of one site.
pub struct KeyRing {
    site: SiteId,
    folder: PathBuf,
    site_key: Key,
    /// Unwrapped keys by hour; as many as there are files, 745 at 31 days and no holds.
    epochs: Mutex<BTreeMap<u64, Key>>,
}

impl KeyRing {
    /// Opens the key folder, creating folder and site key the first time.
    ///
    /// # Errors
    /// When files cannot be read or written, or the site key is gone while hourly keys are there.
    pub fn open(folder: &Path, site: &SiteId) -> Result<Self, KeyError> {
        let epochs = folder.join("epoch");
        durable::create_folder(&epochs).map_err(disc("creating", &epochs))?;
        let path = folder.join("site.key");
        let site_key = match fs::read(&path) {
            Ok(bytes) => {
                let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
                    KeyError::Damaged { what: format!("{} is not 32 bytes long", path.display()) }
                })?;
                Key::new(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut old = fs::read_dir(&epochs).map_err(disc("reading", &epochs))?;
                if old.next().is_some() {
                    let what = format!("{} is missing and hourly keys are there", path.display());
                    return Err(KeyError::Damaged { what });
                }
                let bytes = random()?;
                durable::replace(&path, &bytes, Reader::Owner).map_err(disc("writing", &path))?;
                Key::new(bytes)
            }
            Err(source) => return Err(disc("reading", &path)(source)),
        };
        Ok(Self {
            site: site.clone(),
            folder: epochs,
            site_key,
            epochs: Mutex::new(BTreeMap::new()),
        })
    }

    fn path(&self, epoch: u64) -> PathBuf {
        self.folder.join(format!("{epoch}.key"))
    }

    fn cache(&self) -> MutexGuard<'_, BTreeMap<u64, Key>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of hour `epoch`, for opening.
    ///
    /// # Errors
    /// `Destroyed` when it is no more.
    pub fn epoch(&self, epoch: u64) -> Result<Key, KeyError> {
        self.load(&mut self.cache(), epoch)?.ok_or(KeyError::Destroyed { epoch })
    }

    /// The key of hour `epoch`, for sealing: made and kept on disc if there is none.
    ///
    /// # Errors
    /// When the disc refuses.
    pub fn epoch_for_sealing(&self, epoch: u64) -> Result<Key, KeyError> {
        let mut cache = self.cache();
        if let Some(key) = self.load(&mut cache, epoch)? {
            return Ok(key);
        }
        let key = Key::new(random()?);
        let place = sealing::epoch_key_place(&self.site, epoch);
        let wrapped = self.site_key.wrap(&key, random()?, &place);
        let path = self.path(epoch);
        durable::replace(&path, &wrapped, Reader::Owner).map_err(disc("writing", &path))?;
        cache.insert(epoch, key.clone());
        Ok(key)
    }

    fn load(&self, cache: &mut BTreeMap<u64, Key>, epoch: u64) -> Result<Option<Key>, KeyError> {
        if let Some(key) = cache.get(&epoch) {
            return Ok(Some(key.clone()));
        }
        let path = self.path(epoch);
        let wrapped = match fs::read(&path) {
            Ok(wrapped) => wrapped,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(disc("reading", &path)(source)),
        };
        if wrapped == [0; WRAPPED_BYTES] {
            // Power went between overwriting and unlinking.
            return Ok(None);
        }
        let place = sealing::epoch_key_place(&self.site, epoch);
        let key = self.site_key.unwrap(&wrapped, &place).map_err(|_| KeyError::Damaged {
            what: format!("{} does not open under the site key", path.display()),
        })?;
        cache.insert(epoch, key.clone());
        Ok(Some(key))
    }

    /// The hours whose keys are on the disc.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn hours(&self) -> Result<BTreeSet<u64>, KeyError> {
        let listing = fs::read_dir(&self.folder).map_err(disc("reading", &self.folder))?;
        let mut hours = BTreeSet::new();
        for entry in listing {
            let name = entry.map_err(disc("reading", &self.folder))?.file_name();
            let hour: Option<u64> =
                name.to_str().and_then(|n| n.strip_suffix(".key")?.parse().ok());
            hours.extend(hour);
        }
        Ok(hours)
    }

    /// Destroys the key of hour `epoch`: overwrite, sync, unlink, sync the folder. No error if it is
    /// gone already, so that it may be repeated.
    ///
    /// # Errors
    /// When the disc refuses: the key may still be there.
    pub fn destroy_epoch(&self, epoch: u64) -> Result<(), KeyError> {
        let mut cache = self.cache();
        cache.remove(&epoch);
        let path = self.path(epoch);
        match OpenOptions::new().write(true).open(&path) {
            Ok(mut file) => file
                .write_all(&[0; WRAPPED_BYTES])
                .and_then(|()| file.sync_all())
                .map_err(disc("overwriting", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(disc("overwriting", &path)(source)),
        }
        durable::remove(&path).map_err(disc("removing", &path))
    }

    /// Makes a segment's key and wraps it under its hour's. Gives both.
    ///
    /// # Errors
    /// As [`Self::epoch_for_sealing`].
    pub fn new_segment_key(
        &self,
        camera: &CameraId,
        seq: Seq,
        epoch: u64,
    ) -> Result<(Key, Vec<u8>), KeyError> {
        let key = Key::new(random()?);
        let place = sealing::segment_key_place(camera, seq, epoch);
        let wrapped = self.epoch_for_sealing(epoch)?.wrap(&key, random()?, &place);
        Ok((key, wrapped))
    }

    /// Opens a segment's key as its file's header carries it.
    ///
    /// # Errors
    /// `Destroyed` when the hour is erased, `Damaged` when it is another segment's.
    pub fn segment_key(&self, header: &custody::sealed::Header) -> Result<Key, KeyError> {
        let place = sealing::segment_key_place(&header.camera, header.seq, header.epoch);
        let damaged = || KeyError::Damaged {
            what: format!("the key of segment {} of {} does not open", header.seq, header.camera),
        };
        let wrapped = hex::decode(&header.wrapped_key).map_err(|_| damaged())?;
        self.epoch(header.epoch)?.unwrap(&wrapped, &place).map_err(|_| damaged())
    }
}

pub(super) fn disc(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let what = format!("{verb} {}", path.display());
    move |source| KeyError::Disc { what, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn header(ring: &KeyRing, epoch: u64) -> (Key, custody::sealed::Header) {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let (key, wrapped) = ring.new_segment_key(&camera, Seq(3), epoch).unwrap();
        let header = custody::sealed::Header {
            camera,
            seq: Seq(3),
            boot_id: "b".into(),
            epoch,
            wrapped_key: hex::encode(wrapped),
        };
        (key, header)
    }

    #[test]
    fn a_segment_key_opens_until_its_hour_is_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let site: SiteId = "east".parse().unwrap();
        let ring = KeyRing::open(folder.path(), &site).unwrap();
        let (key, kept) = header(&ring, 500);
        let (_, other) = header(&ring, 501);
        let mode = fs::metadata(folder.path().join("site.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let ring = KeyRing::open(folder.path(), &site).unwrap();
        let opened = ring.segment_key(&kept).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(opened.danger_bytes(), key.danger_bytes());
        assert_eq!(ring.hours().unwrap(), BTreeSet::from([500, 501]));
        ring.destroy_epoch(500).unwrap();
        ring.destroy_epoch(500).unwrap();
        assert!(matches!(ring.segment_key(&kept), Err(KeyError::Destroyed { epoch: 500 })));
        assert!(ring.segment_key(&other).is_ok());
        assert_eq!(ring.hours().unwrap(), BTreeSet::from([501]));
    }

    #[test]
    fn a_lost_site_key_is_said_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let site: SiteId = "east".parse().unwrap();
        let ring = KeyRing::open(folder.path(), &site).unwrap();
        ring.epoch_for_sealing(9).unwrap();
        fs::remove_file(folder.path().join("site.key")).unwrap();
        assert!(matches!(KeyRing::open(folder.path(), &site), Err(KeyError::Damaged { .. })));
    }
}
