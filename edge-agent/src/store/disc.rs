//! Every durable step of the store, named, so that tests can fail each one before or after it took
//! effect. Failures are classed here: what a sync or the index refuses is fatal.

use std::io;

use super::StoreError;
use crate::seal::KeyError;

/// One durable step. A closed list: what is not here does not last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Making an hour's folder and its parents.
    MakeFolder,
    /// Creating a segment file with its header and `init` section.
    WriteHead,
    /// Appending a fragment.
    WriteFragment,
    /// Appending the manifest.
    WriteManifest,
    /// Cutting a torn end off.
    Truncate,
    /// Syncing a segment file.
    SyncFile,
    /// Syncing a folder.
    SyncFolder,
    /// Writing a batch to the index.
    WriteIndex,
    /// Syncing the index's log.
    SyncIndex,
    /// Removing a segment file.
    Unlink,
    /// Writing the key ring, or the kept keys of an hour.
    WriteRing,
    /// Keeping the next site key, or looking for it.
    WriteRoot,
    /// Destroying the old site key.
    DestroyKey,
    /// Writing or removing the plain copy of a hold.
    WriteHold,
    /// Writing the plain copy of a records key's certificate.
    WriteCert,
    /// Writing the static files that the site log has grown by.
    WriteTiles,
    /// Replacing the published checkpoint.
    WriteCheckpoint,
    /// Moving the static files of an older log aside.
    MoveLog,
    /// Writing down which folders belong together, see `volume`.
    WriteVolume,
    /// Reading a segment file. Lasts not, and fails as the others do.
    ReadSegment,
    /// Replacing a damaged segment file by its checked copy.
    RepairFile,
    /// Copying a segment to the second disc, or writing whose disc that is.
    CopySegment,
    /// Syncing a copy on the second disc.
    SyncCopy,
    /// Syncing a folder of the second disc.
    SyncCopyFolder,
    /// Removing a copy that does not count from the second disc.
    RemoveCopy,
}

impl Step {
    /// Whether the process must end when the step fails so: nobody knows what the disc then holds.
    fn is_fatal(self, error: &io::Error) -> bool {
        match self {
            Self::SyncFile | Self::SyncFolder | Self::WriteIndex | Self::SyncIndex => true,
            // These hold a sync of their own.
            Self::MakeFolder
            | Self::WriteHold
            | Self::WriteCert
            | Self::WriteVolume
            | Self::RepairFile => may_be_sync(error),
            Self::WriteRing | Self::WriteRoot | Self::DestroyKey => {
                may_be_sync(error) && !is_of_a_key(error)
            }
            Self::WriteHead
            | Self::WriteFragment
            | Self::WriteManifest
            | Self::Truncate
            | Self::Unlink
            // Written again from the index, whole, at the next second.
            | Self::WriteTiles
            | Self::WriteCheckpoint
            | Self::MoveLog
            | Self::ReadSegment
            // The copy on the first disc counts until another is whole, synced and read again.
            | Self::CopySegment
            | Self::SyncCopy
            | Self::SyncCopyFolder
            | Self::RemoveCopy => false,
        }
    }

    /// What the failure of this step is to the caller.
    pub(super) fn error(self, what: String, source: io::Error) -> StoreError {
        if self.is_fatal(&source) {
            return StoreError::Fatal { what, source };
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::DiscFull { what, source }
            }
            _ => StoreError::DiscFault { what, source },
        }
    }
}

/// Whether an error of a step that also syncs may come from the sync: what only opening, creating or
/// writing says does not.
pub(super) fn may_be_sync(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
    )
}

/// Whether the error is no disc's, but a token's that does not answer, or a key's that is not there.
fn is_of_a_key(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<KeyError>())
}

/// Takes the store's durable steps.
pub trait Disc: Send + Sync {
    /// Takes one step by calling `act`.
    ///
    /// # Errors
    /// As `act` says.
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// The machine's own disc: takes every step as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisc;

impl Disc for RealDisc {
    fn take(&self, _step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        act()
    }
}
