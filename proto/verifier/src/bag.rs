//! The folder as a BagIt 1.0 bag (RFC 8493): it holds exactly the files that its manifests name.
//! Knows nothing of cameras or signatures.
//!
//! Stricter than the RFC where a stranger could be misled: digests in lower case, two spaces, plain
//! relative paths of `A-Z a-z 0-9 . _ -`, no symlinks, no devices, nothing unnamed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use custody::bundle::{BAG_INFO, BAGIT, BAGIT_TEXT, MANIFEST, SEAL, TAG_MANIFEST};
use custody::{Code, Digest, Refusal};
use sha2::{Digest as _, Sha256};

use crate::report::Report;

/// A manifest longer than this is refused unread: about 500 000 files, five days of 64 cameras.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Folders deeper than this are refused unread; a bundle has `data/cameras/SITE/CAMERA/master`.
const DEPTH_MAX: usize = 8;
/// A folder with more entries is no bundle: the manifest's bound, doubled.
const ENTRIES_MAX: usize = 1_000_000;
/// `bag-info.txt` has a dozen lines.
const BAG_INFO_BYTES_MAX: u64 = 1 << 20;
/// Files are hashed in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// A payload file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The digest that the manifest names.
    pub digest: Digest,
    /// Its length on disc.
    pub bytes: u64,
}

/// A folder whose files have been compared with its manifests.
#[derive(Debug, Clone, Default)]
pub struct Bag {
    root: PathBuf,
    /// The payload files that the manifest names and that are there, altered or not.
    pub payload: BTreeMap<String, Entry>,
    /// The digest of the payload manifest as it stands.
    pub manifest_digest: Option<Digest>,
}

impl Bag {
    /// A payload file's bytes, if it is there, is no longer than `bytes_max`, and still has the
    /// digest that the manifest names.
    ///
    /// # Errors
    /// `file-missing`, `file-altered`.
    pub fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
        let entry = self.payload.get(path).ok_or_else(|| Refusal::new(Code::FileMissing, path))?;
        let bytes = self.read_tag(path, bytes_max)?;
        if Digest::of(&bytes) != entry.digest {
            return Err(Refusal::new(
                Code::FileAltered,
                format!("{path} does not have the digest that the manifest names"),
            ));
        }
        Ok(bytes)
    }

    /// Any file's bytes, without comparing digests.
    ///
    /// # Errors
    /// `file-missing`; `file-altered` when it is longer than `bytes_max`.
    pub fn read_tag(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        self.open(path)?
            .take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        if bytes.len() as u64 > bytes_max {
            return Err(Refusal::new(
                Code::FileAltered,
                format!("{path} is longer than {bytes_max} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Opens a regular file of the bag.
    ///
    /// # Errors
    /// `file-missing`.
    pub fn open(&self, path: &str) -> Result<BufReader<File>, Refusal> {
        let full = self.root.join(path);
        let regular = fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file());
        if !regular {
            return Err(Refusal::new(Code::FileMissing, path));
        }
        let file = File::open(&full).map_err(|error| unreadable(path, &error))?;
        Ok(BufReader::with_capacity(64 << 10, file))
    }
}

/// A file that the system does not let us read counts as missing: nothing is proved by it.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> Refusal {
    Refusal::new(Code::FileMissing, format!("{path} cannot be read: {error}"))
}

/// Compares the folder with its manifests, both ways.
pub fn check(folder: &Path, report: &mut Report) -> Bag {
    let mut bag = Bag { root: folder.to_owned(), ..Bag::default() };
    let on_disc = match walk(folder, report) {
        Ok(on_disc) => on_disc,
        Err(error) => {
            report.refuse(Refusal::new(
                Code::BagMalformed,
                format!("the folder {} cannot be read: {error}", folder.display()),
            ));
            return bag;
        }
    };
    declaration(&bag, report);
    let payload = manifest(&bag, MANIFEST, report);
    let tags = manifest(&bag, TAG_MANIFEST, report);
    bag.manifest_digest = payload.digest;
    for (path, bytes) in &on_disc {
        let named = if path.starts_with("data/") { &payload } else { &tags };
        if !named.lines.contains_key(path) && path != TAG_MANIFEST {
            report.refuse(Refusal::new(
                Code::FileUnexpected,
                format!("{path} ({bytes} bytes) is named by no manifest"),
            ));
        }
    }
    for required in [BAGIT, BAG_INFO, MANIFEST, SEAL] {
        if !tags.lines.contains_key(required) {
            report.refuse(Refusal::new(
                Code::BagMalformed,
                format!("{TAG_MANIFEST} does not name {required}"),
            ));
        }
    }
    for (path, digest) in tags.lines.iter().chain(&payload.lines) {
        compare(&bag, path, *digest, &on_disc, report);
    }
    for (path, digest) in payload.lines {
        if let Some(bytes) = on_disc.get(&path).copied() {
            bag.payload.insert(path, Entry { digest, bytes });
        }
    }
    oxum(&bag, &on_disc, report);
    bag
}

fn compare(
    bag: &Bag,
    path: &str,
    digest: Digest,
    on_disc: &BTreeMap<String, u64>,
    report: &mut Report,
) {
    if !on_disc.contains_key(path) {
        report.refuse(Refusal::new(Code::FileMissing, path));
        return;
    }
    match hash(bag, path) {
        Err(refusal) => report.refuse(refusal),
        Ok((found, bytes)) => {
            report.files += 1;
            report.bytes = report.bytes.saturating_add(bytes);
            if found != digest {
                report.refuse(Refusal::new(
                    Code::FileAltered,
                    format!("{path} does not have the digest that the bag names"),
                ));
            }
        }
    }
}

fn hash(bag: &Bag, path: &str) -> Result<(Digest, u64), Refusal> {
    let mut file = bag.open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0_u64;
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => return Ok((Digest(hasher.finalize().into()), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(path, &error)),
        };
        hasher.update(&piece[..read]);
        bytes = bytes.saturating_add(read as u64);
    }
}

/// `bagit.txt` is the one we write, to the byte.
fn declaration(bag: &Bag, report: &mut Report) {
    match bag.read_tag(BAGIT, 1_000) {
        Ok(text) if text == BAGIT_TEXT.as_bytes() => {}
        Ok(_) => report
            .refuse(Refusal::new(Code::BagMalformed, format!("{BAGIT} declares no BagIt 1.0 bag"))),
        Err(refusal) => report.refuse(Refusal::new(Code::BagMalformed, refusal.what())),
    }
}

/// `bag-info.txt` counts the payload as it stands.
fn oxum(bag: &Bag, on_disc: &BTreeMap<String, u64>, report: &mut Report) {
    let Ok(text) = bag.read_tag(BAG_INFO, BAG_INFO_BYTES_MAX) else {
        return; // missing: already said by the tag manifest
    };
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().find_map(|line| line.strip_prefix("Payload-Oxum: "));
    let payload = on_disc.iter().filter(|(path, _)| path.starts_with("data/"));
    let (bytes, count) = payload
        .fold((0_u64, 0_u64), |(bytes, count), (_, len)| (bytes.saturating_add(*len), count + 1));
    if said != Some(&format!("{bytes}.{count}")) {
        report.refuse(Refusal::new(
            Code::BagMalformed,
            format!("{BAG_INFO} does not say `Payload-Oxum: {bytes}.{count}`, as the payload is"),
        ));
    }
}

#[derive(Default)]
struct Manifest {
    digest: Option<Digest>,
    lines: BTreeMap<String, Digest>,
}

fn manifest(bag: &Bag, name: &str, report: &mut Report) -> Manifest {
    let bytes = match bag.read_tag(name, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(refusal) => {
            report.refuse(Refusal::new(Code::BagMalformed, refusal.what()));
            return Manifest::default();
        }
    };
    let mut out = Manifest { digest: Some(Digest::of(&bytes)), ..Manifest::default() };
    let mut bad = |at: usize, why: &str| {
        report.refuse(Refusal::new(Code::BagMalformed, format!("{name} line {at}: {why}")));
    };
    let body = match bytes.split_last() {
        Some((b'\n', body)) => body,
        Some(_) => {
            bad(0, "the last line is torn off");
            &bytes[..]
        }
        None => return out,
    };
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        match manifest_line(line, name == MANIFEST) {
            Ok((path, digest)) => {
                if out.lines.insert(path, digest).is_some() {
                    bad(index + 1, "the file is named twice");
                }
            }
            Err(why) => bad(index + 1, why),
        }
    }
    out
}

/// `<64 hex digits>  <path>`, and nothing else.
fn manifest_line(line: &[u8], of_payload: bool) -> Result<(String, Digest), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let (hex, path) = line.split_once("  ").ok_or("not `DIGEST  PATH`")?;
    let digest: Digest = hex.parse().map_err(|_| "no SHA-256 digest")?;
    if digest.to_string() != hex {
        return Err("the digest is not in lower case");
    }
    if !is_plain(path) {
        return Err("the path leaves the folder or is not of A-Z a-z 0-9 . _ -");
    }
    if path.starts_with("data/") != of_payload || path == TAG_MANIFEST {
        return Err("the file does not belong in this manifest");
    }
    Ok((path.to_owned(), digest))
}

/// Whether a path is relative, stays below its folder, and has no character that tools quote.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path.len() <= 400
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        })
}

/// Every regular file below `folder` with its length; refuses what is no file and no folder.
fn walk(folder: &Path, report: &mut Report) -> io::Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    let mut entries = 0;
    while let Some((path, name, depth)) = folders.pop() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(io::Error::other("it has more than a million entries"));
            }
            let inner = format!("{name}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{inner}/"), depth + 1));
            } else if kind.is_file() {
                files.insert(inner, entry.metadata()?.len());
            } else {
                report.refuse(Refusal::new(
                    Code::FileUnexpected,
                    format!("{inner} is a link, a device or a folder too deep; a bundle has none"),
                ));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_stand_in_a_manifest() {
        for good in ["data/request.json", "data/cameras/east/ext-01/master/0000000001.m4s"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in
            ["", "/etc/passwd", "data/../../x", "data//x", "./x", "data/", "a b", "a\\b", "d\u{e9}"]
        {
            assert!(!is_plain(bad), "{bad}");
        }
        assert!(!is_plain(&"a".repeat(401)));
    }

    #[test]
    fn a_line_is_a_digest_two_spaces_and_a_path_of_its_manifest() {
        let digest = Digest::of(b"x").to_string();
        let check = |line: String, payload| manifest_line(line.as_bytes(), payload).is_ok();
        assert!(check(format!("{digest}  data/x"), true));
        assert!(check(format!("{digest}  bagit.txt"), false));
        assert!(!check(format!("{digest}  data/x"), false));
        assert!(!check(format!("{digest}  bagit.txt"), true));
        assert!(!check(format!("{digest} data/x"), true));
        assert!(!check(format!("{digest}  *data/x"), true));
        assert!(!check(format!("{}  data/x", digest.to_uppercase()), true));
        assert!(!check(format!("{digest}  tagmanifest-sha256.txt"), false));
    }
}
