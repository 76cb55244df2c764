//! Whether the folders belong together, and that nobody else has them open.
//!
//! The same random identity stands in `volume.json` of the state folder, in `segments/volume.json`
//! and in the index. A segment disc that is not mounted, is another site's, or an index restored
//! beside other footage is named before anything is written.
//!
//! An older copy of the right disc has the right identity, so both sides also count how often they
//! were opened together:
//!
//! | step | `segments/volume.json` | index |
//! |---|---|---|
//! | before | opened n | opened n |
//! | 1 | opened n, begun n+1 | n |
//! | 2 | opened n, begun n+1 | opened n+1 |
//! | 3 | opened n+1, begun n+1 | n+1 |
//!
//! Power loss leaves one of these. An index that is behind is an older copy: it is set aside, as one
//! that is damaged, and built again from the footage. A segment disc that is behind lacks footage that
//! the index knows of: a person must say what to do. A disc that takes no writes is not counted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use custody::SiteId;
use host::durable::{self, Reader};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::core::Core;
use super::key::{Family, fact};
use crate::seal::key_ring;

/// A folder of the file system's own.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

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
    /// How often the store was opened, as far as both sides know. Counted in `segments` alone.
    #[serde(default)]
    opened: u64,
    /// The opening that was begun last.
    #[serde(default)]
    begun: u64,
}

impl VolumeFile {
    /// One that was never opened.
    pub(super) fn new(site: &SiteId, volume: &str) -> Self {
        Self { volume: volume.to_owned(), site: site.clone(), opened: 0, begun: 0 }
    }
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
    /// The index is an older copy than the footage: set it aside, and rebuild it.
    IndexOld,
}

/// What the index says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed<'a> {
    /// Which volume it belongs to.
    pub(super) volume: &'a str,
    /// How often it was opened.
    pub(super) opened: u64,
}

impl Verdict {
    /// The store's identity; none while an older index is still to be set aside.
    pub(super) fn volume(&self) -> Option<&str> {
        match self {
            Self::Same(volume) | Self::New(volume) | Self::IndexLost(volume) => Some(volume),
            Self::IndexOld => None,
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
            listing.try_fold(false, |found, entry| {
                let entry = entry?;
                // Every new ext4 has an empty one.
                let is_footage = entry.file_name() != LOST_AND_FOUND && entry.file_type()?.is_dir();
                Ok(found || is_footage)
            })
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

/// In mid-run: whether the segment disc is still there, and the one that this run began with. Asked
/// before a segment is begun or closed by recovery, and before files are removed: a disc that is away
/// leaves an empty folder of another disc in its place, in which nothing is missed and nothing must
/// be kept.
pub(super) fn is_here(core: &Core) -> Result<(), StoreError> {
    let path = core.segments.join("volume.json");
    let away = |source| {
        let what = format!("looking for the segment disc at {}", core.segments.display());
        StoreError::DiscFault { what, source }
    };
    let bytes = fs::read(&path).map_err(away)?;
    let file: VolumeFile =
        serde_json::from_slice(&bytes).map_err(|error| away(io::Error::other(error)))?;
    let volume = core.index.get(Family::Facts, fact::VOLUME)?;
    if volume.as_deref() == Some(file.volume.as_bytes()) {
        return Ok(());
    }
    Err(away(io::Error::other("another disc is mounted there; mount the one that belongs here")))
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
    pub(super) fn judge(
        &self,
        site: &SiteId,
        index: Option<Indexed<'_>>,
    ) -> Result<Verdict, StoreError> {
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
        let opened = index.map_or(0, |index| index.opened);
        let index = index.map(|index| index.volume);
        match (state, segments, index) {
            (None, None, None) if self.has_footage => Err(StoreError::Volume {
                what: format!(
                    "{} holds footage and no volume.json; put volume.json back, or move the \
                     footage away",
                    self.segments.0.with_file_name("").display()
                ),
            }),
            (None, None, None) => Ok(Verdict::New(hex::encode(key_ring::random::<16>()?))),
            (Some(a), Some(b), Some(c)) if a == b && b == c => self.judge_age(a, opened),
            (Some(a), None, None) if !self.has_footage => Ok(Verdict::New(a.to_owned())),
            (Some(a), Some(b), None) if a == b && !self.has_footage => {
                Ok(Verdict::New(a.to_owned()))
            }
            (Some(a), Some(b), None) if a == b => Ok(Verdict::IndexLost(a.to_owned())),
            _ => Err(self.mismatch(state, segments, index)),
        }
    }

    /// All name the same volume; whether one of them is an older copy.
    fn judge_age(&self, volume: &str, index: u64) -> Result<Verdict, StoreError> {
        let (opened, begun) = self.opened();
        if index == opened || (index == opened + 1 && index == begun) {
            return Ok(Verdict::Same(volume.to_owned()));
        }
        if index < opened {
            return Ok(Verdict::IndexOld);
        }
        Err(StoreError::Volume {
            what: format!(
                "{} is an older copy: it was opened {opened} times and the index {index} times, so it \
                 lacks footage that the index knows of; mount the disc that belongs here. If this copy \
                 is all there is, move the folder `index` away: it is built again from what is here",
                self.segments.0.with_file_name("").display()
            ),
        })
    }

    /// How often the segment disc was opened, and which opening was begun last.
    fn opened(&self) -> (u64, u64) {
        self.segments.1.as_ref().map_or((0, 0), |file| (file.opened, file.begun))
    }

    /// The number of the opening that begins now.
    pub(super) fn next_opening(&self) -> u64 {
        let (opened, begun) = self.opened();
        opened.max(begun) + 1
    }

    /// What stands in `segments/volume.json` once opening `number` is begun, or, `done`, is counted on
    /// both sides; and where.
    pub(super) fn counted(
        &self,
        site: &SiteId,
        volume: &str,
        number: u64,
        done: bool,
    ) -> (&Path, Vec<u8>) {
        let opened = if done { number } else { number - 1 };
        let (volume, site) = (volume.to_owned(), site.clone());
        let file = VolumeFile { volume, site, opened, begun: number };
        let bytes = serde_json::to_vec(&file).expect("names always have a JSON form");
        (&self.segments.0, bytes)
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
        let file = VolumeFile::new(site, volume);
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
        Some(VolumeFile::new(&"east".parse().unwrap(), name))
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
        let index = index.map(|volume| Indexed { volume, opened: 0 });
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
    fn an_older_copy_of_either_side_is_known() {
        let judge = |opened, begun, index| {
            let file = |opened, begun| volume_file("a").map(|f| VolumeFile { opened, begun, ..f });
            let found = Found {
                state: ("s/volume.json".into(), file(0, 0)),
                segments: ("s/segments/volume.json".into(), file(opened, begun)),
                has_footage: true,
            };
            let index = Some(Indexed { volume: "a", opened: index });
            found.judge(&"east".parse().unwrap(), index).map_err(|e| e.to_string())
        };
        let same = || Ok(Verdict::Same("a".into()));
        // Power may go between any two steps.
        assert_eq!(judge(4, 4, 4), same());
        assert_eq!(judge(4, 5, 4), same());
        assert_eq!(judge(4, 5, 5), same());
        assert_eq!(judge(5, 5, 5), same());
        assert_eq!(judge(5, 5, 4), Ok(Verdict::IndexOld));
        assert_eq!(judge(5, 6, 3), Ok(Verdict::IndexOld));
        assert!(judge(4, 4, 5).unwrap_err().contains("opened 4 times and the index 5 times"));
        assert!(judge(4, 5, 6).is_err());
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
