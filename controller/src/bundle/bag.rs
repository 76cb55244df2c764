//! Writes a BagIt folder: every file synced, hashed as it goes by, and named in its manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256, SHA512};
use custody::dsse::Envelope;
use custody::{Digest, bundle};
use host::durable;

use super::{BundleError, io_error};

/// Files are read back in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A bag that is being written.
pub(super) struct Bag {
    root: PathBuf,
    folders: BTreeSet<PathBuf>,
    payload: BTreeMap<String, Named>,
    tags: BTreeMap<String, Digest>,
    payload_bytes: u64,
    tag_bytes: u64,
}

/// A payload file as the manifests name it.
struct Named {
    bytes: u64,
    sha256: Digest,
    sha512: [u8; 64],
}

/// A payload file that has been written.
pub(super) struct Filed<'a> {
    pub(super) path: &'a str,
    pub(super) bytes: u64,
    pub(super) sha256: Digest,
}

/// Both digests of bytes that go by.
struct Hasher {
    sha256: digest::Context,
    sha512: digest::Context,
    bytes: u64,
}

impl Hasher {
    fn new() -> Self {
        let (sha256, sha512) = (digest::Context::new(&SHA256), digest::Context::new(&SHA512));
        Self { sha256, sha512, bytes: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn finish(self) -> Named {
        let mut named = Named { bytes: self.bytes, sha256: Digest::NONE, sha512: [0; 64] };
        named.sha256.0.copy_from_slice(self.sha256.finish().as_ref());
        named.sha512.copy_from_slice(self.sha512.finish().as_ref());
        named
    }
}

/// A payload file that is being written.
pub(super) struct PayloadFile {
    path: String,
    full: PathBuf,
    file: BufWriter<File>,
    hasher: Hasher,
}

impl PayloadFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(io_error("write to", &self.full))
    }
}

/// A file in the bag that is no payload yet: it is written, perhaps changed, and then adopted.
pub(super) struct Draft {
    full: PathBuf,
    file: BufWriter<File>,
}

impl Draft {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.file.write_all(bytes).map_err(io_error("write to", &self.full))
    }

    /// Ends it; gives where it lies.
    pub(super) fn end(self) -> Result<PathBuf, BundleError> {
        let Self { full, file } = self;
        file.into_inner().map_err(|e| io_error("write to", &full)(e.into_error()))?;
        Ok(full)
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

    /// The digest of a payload file that has been written.
    pub(super) fn digest(&self, path: &str) -> Option<Digest> {
        self.payload.get(path).map(|named| named.sha256)
    }

    /// The payload as far as it has been written.
    pub(super) fn filed(&self) -> Vec<Filed<'_>> {
        let mut filed = Vec::with_capacity(self.payload.len());
        for (path, named) in &self.payload {
            filed.push(Filed { path, bytes: named.bytes, sha256: named.sha256 });
        }
        filed
    }

    /// Writes a small payload file.
    pub(super) fn payload(&mut self, path: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let mut file = self.begin(path.to_owned())?;
        file.write(bytes)?;
        self.end(file)
    }

    /// Begins a payload file.
    pub(super) fn begin(&mut self, path: String) -> Result<PayloadFile, BundleError> {
        let full = self.make_room(&path)?;
        let file = create(&full)?;
        Ok(PayloadFile { path, full, file: BufWriter::new(file), hasher: Hasher::new() })
    }

    /// Ends a payload file: it is on the disc, and in the manifests.
    pub(super) fn end(&mut self, file: PayloadFile) -> Result<(), BundleError> {
        let PayloadFile { path, full, file, hasher } = file;
        let file = file.into_inner().map_err(|e| io_error("write to", &full)(e.into_error()))?;
        file.sync_all().map_err(io_error("sync", &full))?;
        self.name(path, hasher);
        Ok(())
    }

    /// Begins a file that becomes payload when it is adopted.
    pub(super) fn draft(&mut self, path: &str) -> Result<Draft, BundleError> {
        let full = self.make_room(path)?;
        let file = create(&full)?;
        Ok(Draft { full, file: BufWriter::new(file) })
    }

    /// Makes a file that lies in its place payload: synced, hashed, in the manifests.
    pub(super) fn adopt(&mut self, path: String) -> Result<(), BundleError> {
        let full = self.root.join(&path);
        let mut file = File::open(&full).map_err(io_error("read back", &full))?;
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece).map_err(io_error("read back", &full))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
        }
        file.sync_all().map_err(io_error("sync", &full))?;
        self.name(path, hasher);
        Ok(())
    }

    fn name(&mut self, path: String, hasher: Hasher) {
        self.payload_bytes += hasher.bytes;
        self.payload.insert(path, hasher.finish());
    }

    /// Writes the manifests, the authority's statement and the texts; gives all bytes.
    pub(super) fn finish(
        mut self,
        seal: impl FnOnce(Digest) -> Envelope,
        texts: impl FnOnce(usize, u64) -> Vec<(&'static str, String)>,
    ) -> Result<u64, BundleError> {
        let sha256 = manifest(self.payload.iter().map(|(path, named)| (path, named.sha256.0)));
        let sha512 = manifest(self.payload.iter().map(|(path, named)| (path, named.sha512)));
        self.tag(bundle::BAGIT, bundle::BAGIT_TEXT.as_bytes())?;
        self.tag(bundle::MANIFEST, sha256.as_bytes())?;
        self.tag(bundle::MANIFEST_SHA512, sha512.as_bytes())?;
        self.tag(bundle::SEAL, seal(Digest::of(sha256.as_bytes())).bytes())?;
        for (name, text) in texts(self.payload.len(), self.payload_bytes) {
            self.tag(name, text.as_bytes())?;
        }
        let tag_manifest = manifest(self.tags.iter().map(|(path, sha256)| (path, sha256.0)));
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

    /// Makes the folder of a file; gives the file's place.
    fn make_room(&mut self, path: &str) -> Result<PathBuf, BundleError> {
        let full = self.root.join(path);
        let folder = full.parent().unwrap_or(&self.root).to_owned();
        self.folder(&folder)?;
        Ok(full)
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

fn manifest<'a, D: AsRef<[u8]>>(files: impl Iterator<Item = (&'a String, D)>) -> String {
    files.map(|(path, digest)| format!("{}  {path}\n", hex::encode(digest))).collect()
}
