//! Writes a BagIt folder: every file synced, hashed as it goes by, and named in its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256};
use custody::dsse::Envelope;
use custody::{Digest, bundle};
use host::durable;

use super::{BundleError, io_error};

/// A bag that is being written.
pub(super) struct Bag {
    root: PathBuf,
    folders: BTreeSet<PathBuf>,
    payload: BTreeMap<String, Digest>,
    tags: BTreeMap<String, Digest>,
    payload_bytes: u64,
    tag_bytes: u64,
}

/// A payload file that is being written.
pub(super) struct PayloadFile {
    path: String,
    full: PathBuf,
    file: BufWriter<File>,
    hasher: digest::Context,
    bytes: u64,
}

impl PayloadFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(io_error("write to", &self.full))
    }
}

impl Bag {
    pub(super) fn create(root: &Path) -> Result<Self, BundleError> {
        let mut bag = Self {
            root: root.to_owned(),
            folders: BTreeSet::new(),
            payload: BTreeMap::new(),
            tags: BTreeMap::new(),
            payload_bytes: 0,
            tag_bytes: 0,
        };
        bag.folder(root)?;
        Ok(bag)
    }

    /// Where a file that has been written lies.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a small payload file.
    pub(super) fn payload(&mut self, path: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let mut file = self.begin(path.to_owned())?;
        file.write(bytes)?;
        self.end(file)
    }

    /// Begins a payload file.
    pub(super) fn begin(&mut self, path: String) -> Result<PayloadFile, BundleError> {
        let full = self.root.join(&path);
        self.folder(full.parent().unwrap_or(&self.root).to_owned().as_path())?;
        let file = create(&full)?;
        let hasher = digest::Context::new(&SHA256);
        Ok(PayloadFile { path, full, file: BufWriter::new(file), hasher, bytes: 0 })
    }

    /// Ends a payload file: it is on the disc, and in the manifest.
    pub(super) fn end(&mut self, file: PayloadFile) -> Result<(), BundleError> {
        let PayloadFile { path, full, file, hasher, bytes } = file;
        let file = file.into_inner().map_err(|e| io_error("write to", &full)(e.into_error()))?;
        file.sync_all().map_err(io_error("sync", &full))?;
        let mut sha256 = Digest::NONE;
        sha256.0.copy_from_slice(hasher.finish().as_ref());
        self.payload.insert(path, sha256);
        self.payload_bytes += bytes;
        Ok(())
    }

    /// Writes the manifests, the authority's statement and the texts; gives all bytes.
    pub(super) fn finish(
        mut self,
        seal: impl FnOnce(Digest) -> Envelope,
        texts: impl FnOnce(usize, u64) -> Vec<(&'static str, String)>,
    ) -> Result<u64, BundleError> {
        let manifest = manifest(&self.payload);
        self.tag(bundle::BAGIT, bundle::BAGIT_TEXT.as_bytes())?;
        self.tag(bundle::MANIFEST, manifest.as_bytes())?;
        self.tag(bundle::SEAL, seal(Digest::of(manifest.as_bytes())).bytes())?;
        for (name, text) in texts(self.payload.len(), self.payload_bytes) {
            self.tag(name, text.as_bytes())?;
        }
        let tag_manifest = self::manifest(&self.tags);
        self.tag(bundle::TAG_MANIFEST, tag_manifest.as_bytes())?;
        for folder in &self.folders {
            durable::sync_folder(folder).map_err(io_error("sync the folder", folder))?;
        }
        Ok(self.payload_bytes + self.tag_bytes)
    }

    fn tag(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.root.join(name);
        let mut file = create(&path)?;
        file.write_all(bytes).map_err(io_error("write to", &path))?;
        file.sync_all().map_err(io_error("sync", &path))?;
        self.tags.insert(name.to_owned(), Digest::of(bytes));
        self.tag_bytes += bytes.len() as u64;
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<(), BundleError> {
        if self.folders.contains(folder) {
            return Ok(());
        }
        durable::create_folder(folder).map_err(io_error("create the folder", folder))?;
        let within = folder.ancestors().take_while(|above| above.starts_with(&self.root));
        self.folders.extend(within.map(Path::to_owned));
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, BundleError> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(io_error("create", path))
}

fn manifest(files: &BTreeMap<String, Digest>) -> String {
    files.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
}
