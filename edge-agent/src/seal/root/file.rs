//! The site key as a file: for sites without a token, and for tests. A copy of the disc, or of the key
//! folder, is a copy of the key.
//!
//! Destroying it overwrites the file in place, which ext4 and XFS do where the bytes lie. A disc that
//! moves pages about may keep the old one out of sight, and a file system that copies on write keeps
//! it in plain sight: there the site key belongs into a token.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use custody::sealing::Key;
use host::durable::{self, Reader};
use zeroize::Zeroizing;

use super::{Root, Secret};
use crate::seal::key_ring::{KeyError, disc};

/// A key's length.
const KEY_BYTES: usize = 32;

/// Site keys in the folder `root` of the key folder.
pub struct FileRoot {
    folder: PathBuf,
    place: String,
}

impl FileRoot {
    /// The site keys under the key folder `keys`.
    #[must_use]
    pub fn new(keys: &Path) -> Self {
        let folder = keys.join("root");
        Self { place: folder.display().to_string(), folder }
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation}.key"))
    }

    /// Removes what cut-off writes and removals left. Not when secrets are read, for that another
    /// program may do meanwhile.
    fn tidy(&self) -> Result<(), KeyError> {
        for entry in fs::read_dir(&self.folder).map_err(disc("reading", &self.folder))? {
            let path = entry.map_err(disc("reading", &self.folder))?.path();
            let bytes = fs::read(&path).map(Zeroizing::new).map_err(disc("reading", &path))?;
            let is_key = path.extension().is_some_and(|extension| extension == "key");
            if !is_key || bytes.iter().all(|byte| *byte == 0) {
                wipe(&path)?;
            }
        }
        Ok(())
    }
}

/// Overwrites a key file where it lies and removes it. No error if it is gone.
pub(in crate::seal) fn wipe(path: &Path) -> Result<(), KeyError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => {
            let length = file.metadata().map_err(disc("looking at", path))?.len();
            let zeros = vec![0; usize::try_from(length.min(1 << 20)).unwrap_or(0)];
            file.write_all(&zeros)
                .and_then(|()| file.sync_all())
                .map_err(disc("overwriting", path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(disc("overwriting", path)(source)),
    }
    durable::remove(path).map_err(disc("removing", path))
}

impl Root for FileRoot {
    fn place(&self) -> &str {
        &self.place
    }

    fn secrets(&self) -> Result<Vec<Secret>, KeyError> {
        let listing = match fs::read_dir(&self.folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(disc("reading", &self.folder)(source)),
        };
        let mut secrets = Vec::new();
        for entry in listing {
            let path = entry.map_err(disc("reading", &self.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(generation) = name.strip_suffix(".key").and_then(|n| n.parse().ok()) else {
                continue;
            };
            let bytes = fs::read(&path).map(Zeroizing::new).map_err(disc("reading", &path))?;
            match <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
                // Power went between overwriting and removing.
                Ok(zeros) if zeros == [0; KEY_BYTES] => {}
                Ok(key) => secrets.push(Secret { generation, key: Key::new(key) }),
                Err(_) => {
                    let what = format!("{} is not {KEY_BYTES} bytes long", path.display());
                    return Err(KeyError::Damaged { what });
                }
            }
        }
        Ok(secrets)
    }

    fn add(&self, secret: &Secret) -> Result<(), KeyError> {
        durable::create_folder(&self.folder).map_err(disc("creating", &self.folder))?;
        self.tidy()?;
        let path = self.path(secret.generation);
        durable::replace(&path, secret.key.danger_bytes(), Reader::Owner)
            .map_err(disc("writing", &path))
    }

    fn destroy(&self, generation: u64) -> Result<(), KeyError> {
        wipe(&self.path(generation))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_private_and_goes_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let root = FileRoot::new(folder.path());
        assert!(root.secrets().unwrap().is_empty());
        root.add(&Secret { generation: 1, key: Key::new([7; 32]) }).unwrap();
        root.add(&Secret { generation: 2, key: Key::new([8; 32]) }).unwrap();
        let path = folder.path().join("root/1.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A second name for the same bytes shows that they are overwritten where they lie.
        fs::hard_link(&path, folder.path().join("seen")).unwrap();
        root.destroy(1).unwrap();
        root.destroy(1).unwrap();
        assert_eq!(fs::read(folder.path().join("seen")).unwrap(), [0; 32]);
        fs::write(folder.path().join("root/3.key.new"), [9; 32]).unwrap();
        fs::write(folder.path().join("root/1.key"), [0; 32]).unwrap();
        root.add(&Secret { generation: 2, key: Key::new([8; 32]) }).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("root")).unwrap().count(), 1);
        let left: Vec<_> = root.secrets().unwrap().iter().map(|s| s.generation).collect();
        assert_eq!(left, [2]);
        fs::write(folder.path().join("root/2.key"), b"short").unwrap();
        assert!(matches!(root.secrets(), Err(KeyError::Damaged { .. })));
    }
}
