//! Where the vault's files lie. The calls are those of an object store: whole puts, ranged reads,
//! lists by prefix, removal. Names have `/` and no other path.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use host::durable::{self, Reader};

/// Files by name. Every method blocks.
pub trait Shelf: Send + Sync + 'static {
    /// The length of a file; none: it is not there.
    ///
    /// # Errors
    /// When that cannot be said.
    fn bytes(&self, name: &str) -> io::Result<Option<u64>>;

    /// At most `length` bytes from `offset`.
    ///
    /// # Errors
    /// When it is not there or does not read.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Keeps a small file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names that begin so.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// How much more may be put, bytes.
    ///
    /// # Errors
    /// When that cannot be said.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The files below `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

impl Shelf for Folder {
    fn bytes(&self, name: &str) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.root.join(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(self.root.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent() {
            durable::create_folder(parent)?;
        }
        durable::replace(&path, bytes, Reader::Owner)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        if path.parent().is_some_and(std::path::Path::is_dir) {
            durable::remove(&path)?;
        }
        Ok(())
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let (folder, start) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let entries = match std::fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(start) {
                names.push(format!("{folder}/{name}"));
            }
        }
        names.sort();
        Ok(names)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        durable::create_folder(&self.root)?;
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
