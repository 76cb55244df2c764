//! An index that cannot be used is moved aside, kept for the record, and a new one begun.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host::durable::{self, Reader};
use rocksdb::ErrorKind;

use super::StoreError;

/// So many are kept: the first, which tells most, and the newest.
const KEPT: usize = 3;

/// Says that the index does not read; beside it, for it can no longer be written to.
fn mark(index: &Path) -> PathBuf {
    index.with_file_name("index-damaged")
}

/// What an error of RocksDB is: `InvalidData` when the index itself is damaged.
pub(super) fn as_io(error: rocksdb::Error) -> io::Error {
    // A table or manifest that is gone is an input error by its name.
    let gone = error.kind() == ErrorKind::IOError && error.as_ref().contains("No such file");
    if gone || error.kind() == ErrorKind::Corruption {
        io::Error::new(io::ErrorKind::InvalidData, error)
    } else {
        io::Error::other(error)
    }
}

/// Notes that the index in `folder` is damaged.
pub(super) fn note_damage(folder: &Path) {
    let mark = mark(folder);
    if let Err(error) = durable::replace(&mark, b"", Reader::Anyone) {
        tracing::error!(%error, mark = %mark.display(), "the damage is not noted");
    }
}

/// Whether an earlier run noted damage.
pub(super) fn is_damaged(state_dir: &Path) -> bool {
    mark(&state_dir.join("index")).exists()
}

/// Moves the index aside. Nobody may have it open.
pub(super) fn set_aside(state_dir: &Path) -> Result<(), StoreError> {
    let index = state_dir.join("index");
    let fault = |source| StoreError::DiscFault {
        what: format!("moving {} aside", index.display()),
        source,
    };
    let place = |n: usize| state_dir.join(format!("index-aside-{n}"));
    let free = (1..KEPT).map(place).find(|to| !to.exists()).unwrap_or_else(|| place(KEPT));
    if index.exists() {
        match fs::remove_dir_all(&free) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => durable::rename(&index, &free).map_err(fault)?,
        }
    }
    durable::remove(&mark(&index)).map_err(fault)
}
