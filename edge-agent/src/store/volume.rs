//! Whether the folders belong together, and that nobody else has them open.
//!
//! The same random identity stands in `volume.json` of the state folder, in `segments/volume.json`
//! and in the index. A segment disc that is not mounted, is another site's, or an index restored
//! beside other footage is named before anything is written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use custody::SiteId;
use host::durable::{self, Reader};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::seal::key_ring;

/// Holds the state folder until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _folder: File,
}

/// Locks the state folder for this process.
pub(super) fn lock(state_dir: &Path) -> Result<Lock, StoreError> {
    let fault = |source| StoreError::DiscFault {
        what: format!("opening the state folder {}", state_dir.display()),
        source,
    };
    durable::create_folder(state_dir).map_err(fault)?;
    let folder = File::open(state_dir).map_err(fault)?;
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _folder: folder }),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StoreError::InUse { folder: state_dir.to_owned() })
        }
        Err(error) => Err(fault(error.into())),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeFile {
    pub(super) volume: String,
    pub(super) site: SiteId,
}

/// What was found where.
pub(super) struct Found {
    state: (PathBuf, Option<VolumeFile>),
    segments: (PathBuf, Option<VolumeFile>),
    has_footage: bool,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All agree.
    Same(String),
    /// Nothing is there yet, or a first start was cut off: write this identity everywhere.
    New(String),
    /// The index is new beside footage: rebuild it.
    IndexLost(String),
}

impl Verdict {
    /// The store's identity.
    pub(super) fn volume(&self) -> &str {
        match self {
            Self::Same(volume) | Self::New(volume) | Self::IndexLost(volume) => volume,
        }
    }
}

/// Reads what the folders say.
pub(super) fn look(state_dir: &Path) -> Result<Found, StoreError> {
    let segments = state_dir.join("segments");
    durable::create_folder(&segments).map_err(|source| StoreError::DiscFault {
        what: format!("creating {}", segments.display()),
        source,
    })?;
    let has_footage = fs::read_dir(&segments)
        .and_then(|mut listing| {
            listing.try_fold(false, |found, entry| Ok(found || entry?.file_type()?.is_dir()))
        })
        .map_err(|source| StoreError::DiscFault {
            what: format!("reading {}", segments.display()),
            source,
        })?;
    let (a, b) = (state_dir.join("volume.json"), segments.join("volume.json"));
    let found =
        Found { state: (a.clone(), read(&a)?), segments: (b.clone(), read(&b)?), has_footage };
    Ok(found)
}

fn read(path: &Path) -> Result<Option<VolumeFile>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::Volume {
            what: format!(
                "{} does not read ({error}); put back the one that was there, or move the whole \
                 state folder away to begin anew",
                path.display()
            ),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            let what = format!("reading {}", path.display());
            Err(StoreError::DiscFault { what, source })
        }
    }
}

impl Found {
    /// Compares the folders with what the index says.
    pub(super) fn judge(&self, site: &SiteId, index: Option<&str>) -> Result<Verdict, StoreError> {
        for (path, file) in [&self.state, &self.segments] {
            if let Some(file) = file.as_ref().filter(|f| f.site != *site) {
                return Err(StoreError::Volume {
                    what: format!(
                        "{} belongs to site {} and the configuration names site {site}; give this \
                         agent its own state folder",
                        path.display(),
                        file.site
                    ),
                });
            }
        }
        let state = self.state.1.as_ref().map(|f| f.volume.as_str());
        let segments = self.segments.1.as_ref().map(|f| f.volume.as_str());
        match (state, segments, index) {
            (None, None, None) if self.has_footage => Err(StoreError::Volume {
                what: format!(
                    "{} holds footage and no volume.json; put volume.json back, or move the \
                     footage away",
                    self.segments.0.with_file_name("").display()
                ),
            }),
            (None, None, None) => Ok(Verdict::New(hex::encode(key_ring::random::<16>()?))),
            (Some(a), Some(b), Some(c)) if a == b && b == c => Ok(Verdict::Same(a.to_owned())),
            (Some(a), None, None) if !self.has_footage => Ok(Verdict::New(a.to_owned())),
            (Some(a), Some(b), None) if a == b && !self.has_footage => {
                Ok(Verdict::New(a.to_owned()))
            }
            (Some(a), Some(b), None) if a == b => Ok(Verdict::IndexLost(a.to_owned())),
            _ => Err(self.mismatch(state, segments, index)),
        }
    }

    fn mismatch(
        &self,
        state: Option<&str>,
        segments: Option<&str>,
        index: Option<&str>,
    ) -> StoreError {
        let say = |volume: Option<&str>| volume.unwrap_or("no volume").to_owned();
        StoreError::Volume {
            what: format!(
                "these do not belong together: {} names {}, {} names {}, the index names {}; mount \
                 the disc that belongs here, or give this agent its own state folder",
                self.state.0.display(),
                say(state),
                self.segments.0.display(),
                say(segments),
                say(index),
            ),
        }
    }

    /// Writes an identity where it is not yet; the index's own comes after.
    pub(super) fn write(&self, site: &SiteId, volume: &str) -> Result<(), StoreError> {
        let file = VolumeFile { volume: volume.to_owned(), site: site.clone() };
        let bytes = serde_json::to_vec(&file).expect("names always have a JSON form");
        for (path, found) in [&self.state, &self.segments] {
            if found.is_none() {
                durable::replace(path, &bytes, Reader::Anyone).map_err(|source| {
                    StoreError::DiscFault { what: format!("writing {}", path.display()), source }
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume_file(name: &str) -> Option<VolumeFile> {
        Some(VolumeFile { volume: name.into(), site: "east".parse().unwrap() })
    }

    fn judge(
        state: Option<&str>,
        segments: Option<&str>,
        index: Option<&str>,
        footage: bool,
    ) -> Result<Verdict, String> {
        let found = Found {
            state: ("s/volume.json".into(), state.and_then(volume_file)),
            segments: ("s/segments/volume.json".into(), segments.and_then(volume_file)),
            has_footage: footage,
        };
        found.judge(&"east".parse().unwrap(), index).map_err(|e| e.to_string())
    }

    #[test]
    fn folders_that_belong_together_open() {
        let same = |v: &str| Ok(Verdict::Same(v.into()));
        assert_eq!(judge(Some("a"), Some("a"), Some("a"), true), same("a"));
        assert!(matches!(judge(None, None, None, false), Ok(Verdict::New(_))));
        assert_eq!(judge(Some("a"), None, None, false), Ok(Verdict::New("a".into())));
        assert_eq!(judge(Some("a"), Some("a"), None, false), Ok(Verdict::New("a".into())));
        assert_eq!(judge(Some("a"), Some("a"), None, true), Ok(Verdict::IndexLost("a".into())));
    }

    #[test]
    fn a_wrong_mount_is_named() {
        let missing = judge(Some("a"), None, Some("a"), false).unwrap_err();
        assert!(missing.contains("segments/volume.json names no volume"), "{missing}");
        let swapped = judge(Some("a"), Some("b"), Some("a"), true).unwrap_err();
        assert!(swapped.contains("names b"), "{swapped}");
        let foreign = judge(Some("a"), Some("a"), Some("c"), true).unwrap_err();
        assert!(foreign.contains("the index names c"), "{foreign}");
        assert!(judge(None, None, None, true).is_err());
    }
}
