//! The site key, the hourly epoch keys under it, and how both are replaced so that erased footage opens
//! nowhere.
//!
//! ```text
//! root (see `root`)        the site key: one, two while it changes
//! keys/ring                the hours' keys, wrapped under the site key: see `key_ring/file.rs`
//! keys/hours/<hour>-<n>    survivors of an hour of which footage was erased: see `key_ring/kept.rs`
//! ```
//! Deleting a wrapped key is not erasing it: a file system, a disc's wear levelling, a backup keep old
//! bytes. So erasure replaces what they are wrapped under. A *rotation* destroys spent hours, gives hours
//! with survivors a new key, and replaces the site key; `store` drives it:
//!
//! | step | if power goes after it |
//! |---|---|
//! | [`KeyRing::prepare`]: the next site key is kept beside the present one | it was never used, and goes at the next |
//! | [`KeyRing::rekey`]: survivors' keys in a new file, under the hour's next key | nothing names the file |
//! | the record is logged | the next start finds its mark and goes on with the same site key |
//! | [`KeyRing::turn`]: the ring is replaced by one under the next site key | the next start finishes |
//! | [`KeyRing::finish`]: the old site key is destroyed | done |
//!
//! Whatever was wrapped under the old site key, wherever a copy lies, then opens for nobody.
//! One ring file and not one file an hour: a rotation replaces it whole, so that either the old or the
//! new ring is there, and 745 hours are 54 kB.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use custody::keys::SignError;
use custody::sealing::{self, Key};
use custody::{CameraId, Digest, Seq, SiteId, WallTime};
use host::durable;

use super::root::{Root, Secret};

mod file;
mod kept;
mod older;

/// Microseconds in an epoch.
const EPOCH_US: i64 = 3_600_000_000;

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
    #[error(
        "{what}. There is no backup of keys, by design: put back what was moved, or move `keys/ring`, \
         `index` and `segments` away to begin anew; the footage under them is lost"
    )]
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
    /// The site key's place did not answer.
    #[error("the site key in {place} is not to be had: {why}")]
    Root {
        /// Where it lies.
        place: String,
        /// Why not, and what to do.
        why: String,
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

/// An hour's key, and where its segments' keys are: 0 in their headers, else in a file of this version.
#[derive(Clone)]
struct Hour {
    key: Key,
    version: u32,
}

type Hours = BTreeMap<u64, Hour>;

/// What is in force.
struct Ring {
    secret: Secret,
    hours: Hours,
}

/// The site key that is to follow, and the hours that it finds re-keyed.
pub struct Next {
    secret: Secret,
    rekeyed: Hours,
}

impl Next {
    /// The digest of the site key that is to follow.
    #[must_use]
    pub fn site_key(&self) -> Digest {
        self.secret.digest()
    }
}

/// The keys of one site.
pub struct KeyRing {
    site: SiteId,
    folder: PathBuf,
    root: Box<dyn Root>,
    ring: Mutex<Ring>,
    /// The survivors' keys of the hour last asked for, still wrapped.
    kept: Mutex<Option<kept::Kept>>,
    /// Held through a rotation.
    rotation: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeyRing {
    /// Opens the key folder with the site key that `root` keeps, making both the first time.
    ///
    /// # Errors
    /// When files or the root cannot be read or written, or the ring opens under no site key there is:
    /// a restored old copy, or a ring whose site key was destroyed.
    pub fn open(folder: &Path, site: &SiteId, root: Box<dyn Root>) -> Result<Self, KeyError> {
        let kept = folder.join("hours");
        durable::create_folder(&kept).map_err(disc("creating", &kept))?;
        let path = folder.join("ring");
        let secrets = root.secrets()?;
        let ring = match file::read(&path)? {
            None => Self::found(folder, site, root.as_ref(), &secrets)?,
            Some(stored) => {
                if let Some(secret) = secrets.iter().find(|secret| stored.is_under(secret)) {
                    Ring { secret: secret.clone(), hours: stored.unwrap(site, secret) }
                } else if stored.is_empty() {
                    // The first start was cut off between ring and root.
                    Self::begin(&path, site, root.as_ref(), &secrets)?
                } else {
                    let what = format!(
                        "{} opens under no site key that {} holds: it is an old copy, or belongs \
                         elsewhere",
                        path.display(),
                        root.place()
                    );
                    return Err(KeyError::Damaged { what });
                }
            }
        };
        if folder.join("site.key").exists() {
            older::destroy(folder)?;
        }
        Ok(Self {
            site: site.clone(),
            folder: folder.to_owned(),
            root,
            ring: Mutex::new(ring),
            kept: Mutex::default(),
            rotation: Mutex::default(),
        })
    }

    /// The first ring of a folder that has none.
    fn found(
        folder: &Path,
        site: &SiteId,
        root: &dyn Root,
        secrets: &[Secret],
    ) -> Result<Ring, KeyError> {
        let path = folder.join("ring");
        if let Some(hours) = older::read(folder, site)? {
            for secret in secrets {
                root.destroy(secret.generation)?;
            }
            let secret = Secret { generation: 1, key: Key::new(random()?) };
            // The other way round a cut-off change would leave a ring that opens under nothing.
            root.add(&secret)?;
            file::write(&path, site, &secret, &hours)?;
            return Ok(Ring { secret, hours });
        }
        if !secrets.is_empty() {
            let what = format!("{} is missing and {} holds its key", path.display(), root.place());
            return Err(KeyError::Damaged { what });
        }
        Self::begin(&path, site, root, secrets)
    }

    fn begin(
        path: &Path,
        site: &SiteId,
        root: &dyn Root,
        secrets: &[Secret],
    ) -> Result<Ring, KeyError> {
        for secret in secrets {
            root.destroy(secret.generation)?;
        }
        let newest = secrets.iter().map(|secret| secret.generation).max().unwrap_or(0);
        let secret = Secret { generation: newest + 1, key: Key::new(random()?) };
        // A ring without hours may be replaced at will; a root without a ring is a lost ring.
        file::write(path, site, &secret, &Hours::new())?;
        root.add(&secret)?;
        Ok(Ring { secret, hours: Hours::new() })
    }

    /// Every key that is there: site keys, and hours' keys as the ring wraps them. Changes nothing, so
    /// that another program may ask what must not lie on a disc.
    ///
    /// # Errors
    /// When ring or root cannot be read.
    pub fn danger_keys(
        folder: &Path,
        site: &SiteId,
        root: &dyn Root,
    ) -> Result<Vec<Key>, KeyError> {
        let secrets = root.secrets()?;
        let stored = file::read(&folder.join("ring"))?;
        let opened = stored.and_then(|stored| {
            let secret = secrets.iter().find(|secret| stored.is_under(secret))?;
            Some(stored.unwrap(site, secret))
        });
        let hours = opened.into_iter().flat_map(Hours::into_values).map(|hour| hour.key);
        Ok(secrets.iter().map(|secret| secret.key.clone()).chain(hours).collect())
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }

    fn kept_folder(&self) -> PathBuf {
        self.folder.join("hours")
    }

    fn write(&self, ring: &Ring) -> Result<(), KeyError> {
        file::write(&self.folder.join("ring"), &self.site, &ring.secret, &ring.hours)
    }

    /// The digest of the site key in force.
    #[must_use]
    pub fn site_key(&self) -> Digest {
        self.ring().secret.digest()
    }

    /// Where the site key lies, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        self.root.place()
    }

    /// Whether the hour has a key.
    #[must_use]
    pub fn has_hour(&self, epoch: u64) -> bool {
        self.ring().hours.contains_key(&epoch)
    }

    /// The hours that have keys.
    #[must_use]
    pub fn hours(&self) -> BTreeSet<u64> {
        self.ring().hours.keys().copied().collect()
    }

    /// Gives hour `epoch` a key if it has none. It survives power loss when this returns.
    ///
    /// # Errors
    /// When the disc refuses.
    pub fn make_hour(&self, epoch: u64) -> Result<(), KeyError> {
        let mut ring = self.ring();
        if ring.hours.contains_key(&epoch) {
            return Ok(());
        }
        ring.hours.insert(epoch, Hour { key: Key::new(random()?), version: 0 });
        let written = self.write(&ring);
        if written.is_err() {
            ring.hours.remove(&epoch);
        }
        written
    }

    fn hour(&self, epoch: u64) -> Result<Hour, KeyError> {
        self.ring().hours.get(&epoch).cloned().ok_or(KeyError::Destroyed { epoch })
    }

    /// Makes a segment's key and wraps it under its hour's. Gives both.
    ///
    /// # Errors
    /// When the disc refuses the hour's key.
    pub fn new_segment_key(
        &self,
        camera: &CameraId,
        seq: Seq,
        epoch: u64,
    ) -> Result<(Key, Vec<u8>), KeyError> {
        self.make_hour(epoch)?;
        let key = Key::new(random()?);
        let place = sealing::segment_key_place(camera, seq, epoch);
        let wrapped = self.hour(epoch)?.key.wrap(&key, random()?, &place);
        Ok((key, wrapped))
    }

    /// Opens a segment's key: as its file's header carries it, or as it was kept when its hour was
    /// re-keyed.
    ///
    /// # Errors
    /// `Destroyed` when its hour or it is erased, `Damaged` when it is another segment's.
    pub fn segment_key(&self, header: &custody::sealed::Header) -> Result<Key, KeyError> {
        let (camera, seq, epoch) = (&header.camera, header.seq, header.epoch);
        let place = sealing::segment_key_place(camera, seq, epoch);
        let damaged = || KeyError::Damaged {
            what: format!("the key of segment {seq} of {camera} does not open"),
        };
        let hour = self.hour(epoch)?;
        if hour.version == 0 {
            let wrapped = hex::decode(&header.wrapped_key).map_err(|_| damaged())?;
            return hour.key.unwrap(&wrapped, &place).map_err(|_| damaged());
        }
        let mut kept = lock(&self.kept);
        let read = match kept.take() {
            Some(read) if (read.hour, read.version) == (epoch, hour.version) => read,
            _ => kept::read(&self.kept_folder(), &self.site, epoch, hour.version)?,
        };
        let read = kept.insert(read);
        let wrapped = read.wrapped(camera, seq).ok_or(KeyError::Destroyed { epoch })?;
        hour.key.unwrap(wrapped, &place).map_err(|_| damaged())
    }
}

/// The steps of a rotation, in their order.
impl KeyRing {
    /// Held through a rotation: one at a time.
    pub fn rotating(&self) -> MutexGuard<'_, ()> {
        lock(&self.rotation)
    }

    /// Draws the next site key and keeps it beside the present one.
    ///
    /// # Errors
    /// When the root does not take it.
    pub fn prepare(&self) -> Result<Next, KeyError> {
        self.finish()?;
        let generation = self.ring().secret.generation + 1;
        let secret = Secret { generation, key: Key::new(random()?) };
        self.root.add(&secret)?;
        Ok(Next { secret, rekeyed: Hours::new() })
    }

    /// The next site key of a rotation that was cut off, by its digest; none if it is not there.
    ///
    /// # Errors
    /// When the root does not answer.
    pub fn prepared(&self, site_key: Digest) -> Result<Option<Next>, KeyError> {
        let secret = self.root.secrets()?.into_iter().find(|secret| secret.digest() == site_key);
        Ok(secret.map(|secret| Next { secret, rekeyed: Hours::new() }))
    }

    /// Draws the next key of `hour` and keeps under it the keys of its survivors.
    ///
    /// # Errors
    /// `Destroyed` when the hour has no key; when the disc refuses.
    pub fn rekey(
        &self,
        next: &mut Next,
        hour: u64,
        survivors: &[(CameraId, Seq, Key)],
    ) -> Result<(), KeyError> {
        let version = self.hour(hour)?.version.wrapping_add(1).max(1);
        let key = Key::new(random()?);
        kept::write(&self.kept_folder(), (hour, version), &key, survivors)?;
        next.rekeyed.insert(hour, Hour { key, version });
        Ok(())
    }

    /// Replaces the ring by one under the next site key, without the `destroyed` hours and with the
    /// `rekeyed` ones as [`Self::rekey`] left them.
    ///
    /// # Errors
    /// When the disc refuses; then the ring is as it was.
    pub fn turn(&self, next: &Next, destroyed: &[u64], rekeyed: &[u64]) -> Result<(), KeyError> {
        let mut ring = self.ring();
        let mut hours = ring.hours.clone();
        hours.retain(|hour, _| !destroyed.contains(hour));
        for hour in rekeyed {
            if let (Some(kept), Some(slot)) = (next.rekeyed.get(hour), hours.get_mut(hour)) {
                *slot = kept.clone();
            }
        }
        let turned = Ring { secret: next.secret.clone(), hours };
        self.write(&turned)?;
        *ring = turned;
        Ok(())
    }

    /// Destroys every site key but the one in force, and removes survivors' files that the ring does
    /// not name. Repeating it is no error.
    ///
    /// # Errors
    /// When a site key may still be there.
    pub fn finish(&self) -> Result<(), KeyError> {
        let (present, named) = {
            let ring = self.ring();
            let named = ring.hours.iter().map(|(hour, it)| (*hour, it.version)).collect();
            (ring.secret.generation, named)
        };
        for secret in self.root.secrets()? {
            if secret.generation != present {
                self.root.destroy(secret.generation)?;
            }
        }
        kept::tidy(&self.kept_folder(), &named)
    }
}

pub(super) fn disc(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let what = format!("{verb} {}", path.display());
    move |source| KeyError::Disc { what, source }
}

#[cfg(test)]
mod tests;
