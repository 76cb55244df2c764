//! The third place of held footage: sealed files of other sites, kept here for as long as the controller
//! wants them. Ciphertext alone: no key of another site ever comes here, and what lies here opens nothing
//! here.
//!
//! ```text
//! guest/<site>/<camera>/<seq, 10 digits>-<root, 16 digits>.whseg   whole, checked against its root
//! guest/<site>/<camera>/<seq, 10 digits>-<root, 16 digits>.part    still coming
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`piece`] | what is to be done with a piece, and whether a file is the one named (pure) |
//! | [`name`] | what files are called |
//!
//! **Order of keeping**: pieces appended to the part → file sync → read again and checked → rename → folder
//! sync. A part that was cut off goes on where it ends; if what lies there is not what was sent, the check
//! of the whole file finds it and throws it away. What is kept counts as held footage (see
//! [`crate::store::HoldBudget`]), and nothing comes in below the free bytes that recording keeps for itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody::{CameraId, Digest, Seq, SiteId};
use host::durable;
use host::telemetry::chain;

use crate::limits;
use crate::store::{Store, StoreError};

pub mod name;
pub mod piece;

pub use name::{Name, RootStart};
pub use piece::Piece;
use piece::{Have, Todo};

/// The folder in the state folder.
const FOLDER: &str = "guest";

/// How much is there of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// So many bytes.
    pub bytes: u64,
    /// Whether it is whole, checked and kept through power loss.
    pub is_whole: bool,
}

/// A file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// What it is called.
    pub name: Name,
    /// How much of it is there.
    pub kept: Kept,
}

/// Why a guest was not kept, listed or dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// It may not be; asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// The disc.
    #[error("the disc with {path} failed", path = path.display())]
    Disc {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The store could not say whether there is room.
    #[error("the store could not say what held footage takes")]
    Store(#[source] StoreError),
}

/// The files of other sites at one site. Clones share it; every method blocks.
#[derive(Clone)]
pub struct GuestRoom(Arc<Room>);

struct Room {
    own: SiteId,
    folder: PathBuf,
    store: Store,
    /// This much stays free for recording, bytes.
    reserve_bytes: u64,
    /// Whether the store knows what lies here. Held while a file is written, checked or removed.
    is_counted: Mutex<bool>,
}

impl GuestRoom {
    /// The room below a state folder. Counts what lies there; what cannot be counted now is counted
    /// before anything comes in.
    #[must_use]
    pub fn open(state_dir: &Path, store: &Store, reserve_bytes: u64) -> Self {
        let room = Room {
            own: store.identity().site().clone(),
            folder: state_dir.join(FOLDER),
            store: store.clone(),
            reserve_bytes,
            is_counted: Mutex::new(false),
        };
        if let Err(error) = room.count(&mut room.turn()) {
            let error = chain(&error);
            tracing::error!(error, "what is kept for other sites cannot be counted yet");
        }
        Self(Arc::new(room))
    }

    /// Keeps a piece; says how much there is then. Repeating it is no error.
    ///
    /// # Errors
    /// `Refused` for what may not be kept; otherwise as the disc says.
    pub fn keep(&self, piece: &Piece) -> Result<Kept, GuestError> {
        let room = &*self.0;
        let mut is_counted = room.turn();
        room.count(&mut is_counted)?;
        let folder = name::folder(&room.folder, &piece.camera);
        let name = Name::of(piece.seq, piece.root);
        let have = have(&folder, name)?;
        let todo = piece::decide(&room.own, piece, have).map_err(GuestError::Refused)?;
        match (todo, have) {
            (Todo::Tell, Have::Whole(bytes)) => Ok(Kept { bytes, is_whole: true }),
            (Todo::Tell, Have::Part(bytes)) => Ok(Kept { bytes, is_whole: false }),
            (Todo::BeginAnew, _) => {
                room.remove(&name.part(&folder))?;
                Ok(Kept { bytes: 0, is_whole: false })
            }
            (Todo::Write { to_come, is_last }, _) => {
                room.take(piece, to_come)?;
                let written = room.write(&folder, name, piece, is_last);
                // What came of a write that failed is counted before the next.
                *is_counted = written.is_ok();
                written?;
                Ok(Kept { bytes: piece.offset + piece.data.len() as u64, is_whole: is_last })
            }
        }
    }

    /// The files of a camera, in order, after one of them; and whether there are more after those.
    ///
    /// # Errors
    /// As the disc says.
    pub fn list(
        &self,
        camera: &CameraId,
        after: Option<Name>,
    ) -> Result<(Vec<Guest>, bool), GuestError> {
        let mut guests = files(&name::folder(&self.0.folder, camera))?;
        guests.retain(|guest| after.is_none_or(|after| guest.name > after));
        let has_more = guests.len() > limits::GUESTS_LISTED_MAX;
        guests.truncate(limits::GUESTS_LISTED_MAX);
        Ok((guests, has_more))
    }

    /// Deletes files of a camera, whole or not. Repeating it is no error.
    ///
    /// # Errors
    /// `Refused` for more than 512 at once; otherwise as the disc says.
    pub fn remove(&self, camera: &CameraId, names: &[Name]) -> Result<(), GuestError> {
        if names.len() > limits::GUESTS_DROPPED_MAX {
            let what = "guest-bounds: at most 512 files are dropped at once";
            return Err(GuestError::Refused(what.to_owned()));
        }
        let room = &*self.0;
        let _turn = room.turn();
        let folder = name::folder(&room.folder, camera);
        if !folder.is_dir() {
            return Ok(());
        }
        for name in names {
            room.remove(&name.whole(&folder))?;
            room.remove(&name.part(&folder))?;
        }
        // Only empty ones go.
        for folder in [Some(&*folder), folder.parent()].into_iter().flatten() {
            drop(fs::remove_dir(folder));
        }
        Ok(())
    }

    /// Where a whole file lies; none: it is not here.
    #[must_use]
    pub fn path(&self, camera: &CameraId, seq: Seq, root: Digest) -> Option<PathBuf> {
        let path = Name::of(seq, root).whole(&name::folder(&self.0.folder, camera));
        path.is_file().then_some(path)
    }
}

impl Room {
    fn turn(&self) -> MutexGuard<'_, bool> {
        self.is_counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the store what lies here, if it does not know.
    fn count(&self, is_counted: &mut bool) -> Result<(), GuestError> {
        if *is_counted {
            return Ok(());
        }
        let mut bytes = 0_u64;
        for site in folders(&self.folder)? {
            for camera in folders(&site)? {
                for guest in files(&camera)? {
                    bytes = bytes.saturating_add(guest.kept.bytes);
                }
            }
        }
        self.store.set_guest_bytes(bytes);
        *is_counted = true;
        Ok(())
    }

    /// Takes room for a piece of a file that still lacks `to_come` bytes.
    fn take(&self, piece: &Piece, to_come: u64) -> Result<(), GuestError> {
        durable::create_folder(&self.folder).map_err(disc(&self.folder))?;
        let stat = rustix::fs::statvfs(&self.folder).map_err(io::Error::from);
        let stat = stat.map_err(disc(&self.folder))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.reserve_bytes.saturating_add(to_come) {
            return Err(GuestError::Refused(format!(
                "guest-room: only {} MB are free at site {}, which its own recording needs",
                free >> 20,
                self.own
            )));
        }
        self.store.take_guest(piece.data.len() as u64, to_come).map_err(|error| match error {
            StoreError::Refused { why } => GuestError::Refused(why),
            other => GuestError::Store(other),
        })
    }

    fn write(
        &self,
        folder: &Path,
        name: Name,
        piece: &Piece,
        is_last: bool,
    ) -> Result<(), GuestError> {
        let part = name.part(folder);
        durable::create_folder(folder).map_err(disc(folder))?;
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&part)?;
            let written = file.write_all(&piece.data);
            if written.is_err() {
                // A full disc gets back what it took.
                file.set_len(piece.offset)?;
            }
            written
        };
        append().map_err(disc(&part))?;
        if !is_last {
            return Ok(());
        }
        if let Err(source) = File::open(&part).and_then(|file| file.sync_all()) {
            // What a failed sync left is not known: it comes anew.
            self.remove(&part)?;
            return Err(disc(&part)(source));
        }
        let file = fs::read(&part).map_err(disc(&part))?;
        if let Err(why) = piece::check(piece, &file) {
            tracing::warn!(camera = %piece.camera, seq = %piece.seq, why, "a guest was refused");
            self.remove(&part)?;
            return Err(GuestError::Refused(why));
        }
        durable::rename(&part, &name.whole(folder)).map_err(disc(&part))
    }

    fn remove(&self, path: &Path) -> Result<(), GuestError> {
        let Some(bytes) = length(path)? else { return Ok(()) };
        durable::remove(path).map_err(disc(path))?;
        self.store.give_guest_back(bytes);
        Ok(())
    }
}

fn disc(path: &Path) -> impl FnOnce(io::Error) -> GuestError + use<> {
    let path = path.to_owned();
    move |source| GuestError::Disc { path, source }
}

/// The length of a file; none: it is not there.
fn length(path: &Path) -> Result<Option<u64>, GuestError> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disc(path)(error)),
    }
}

fn have(folder: &Path, name: Name) -> Result<Have, GuestError> {
    if let Some(bytes) = length(&name.whole(folder))? {
        return Ok(Have::Whole(bytes));
    }
    Ok(Have::Part(length(&name.part(folder))?.unwrap_or_default()))
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, GuestError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(disc(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(disc(folder)(error)),
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, GuestError> {
    let paths = entries(folder)?.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.is_dir()).collect())
}

/// The guests of one camera, in order.
fn files(folder: &Path) -> Result<Vec<Guest>, GuestError> {
    let mut guests = Vec::new();
    for entry in entries(folder)? {
        let found = entry.file_name().to_str().and_then(Name::read);
        let Some((name, is_whole)) = found else { continue };
        let Some(bytes) = length(&entry.path())? else { continue };
        guests.push(Guest { name, kept: Kept { bytes, is_whole } });
    }
    guests.sort_by_key(|guest| guest.name);
    Ok(guests)
}

#[cfg(test)]
mod tests;
