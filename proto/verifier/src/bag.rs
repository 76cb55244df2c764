//! The folder as a BagIt 1.0 bag (RFC 8493): it holds exactly the files that its manifests name.
//! Knows nothing of cameras or signatures.
//!
//! Stricter than the RFC where a stranger could be misled: digests in lower case, two spaces, plain
//! relative paths of `A-Z a-z 0-9 . _ -`, no symlinks, no devices, nothing unnamed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use custody::bundle::{BAG_INFO, BAGIT, BAGIT_TEXT, MANIFEST, MANIFEST_SHA512, SEAL, TAG_MANIFEST};
use custody::{Code, Digest, Refusal};

use crate::pass::{Digest512, Found};
use crate::report::Report;

/// A manifest longer than this is refused unread: about 500 000 files, five days of 64 cameras.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Folders deeper than this are refused unread; a bundle has `data/proof/SITE/CAMERA`.
const DEPTH_MAX: usize = 8;
/// A folder with more entries is no bundle: the manifest's bound, doubled.
const ENTRIES_MAX: usize = 1_000_000;
/// `bag-info.txt` has a dozen lines.
const BAG_INFO_BYTES_MAX: u64 = 1 << 20;

/// A folder and what its manifests name.
#[derive(Debug, Clone, Default)]
pub struct Bag {
    root: PathBuf,
    /// The payload files that `manifest-sha256.txt` names and that are there, with their lengths.
    pub payload: BTreeMap<String, u64>,
    /// The digest of `manifest-sha256.txt` as it stands.
    pub manifest_digest: Option<Digest>,
    named: BTreeMap<String, Digest>,
    named_sha512: BTreeMap<String, Digest512>,
    on_disc: BTreeMap<String, u64>,
    /// Files that lie under another name.
    elsewhere: BTreeMap<String, String>,
}

impl Bag {
    /// A folder that is no bag: each of these files, where it is there, under the name that it has
    /// in a bundle. The pairs are (name in a bundle, name in the folder).
    #[must_use]
    pub(crate) fn loose(folder: &Path, names: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut bag = Self { root: folder.to_owned(), ..Self::default() };
        for (name, file) in names {
            let regular = fs::symlink_metadata(folder.join(&file)).ok().filter(|m| m.is_file());
            if let Some(meta) = regular {
                bag.payload.insert(name.clone(), meta.len());
                bag.elsewhere.insert(name, file);
            }
        }
        bag
    }

    /// Whether a payload file is there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.payload.contains_key(path)
    }

    /// A payload file's bytes as they stand; none if it is not there or longer than `bytes_max`.
    #[must_use]
    pub fn read(&self, path: &str, bytes_max: u64) -> Option<Vec<u8>> {
        if !self.has(path) {
            return None;
        }
        self.read_tag(path, bytes_max).ok()
    }

    /// Any file's bytes as they stand; the error says in words why there are none.
    ///
    /// # Errors
    /// When it is not there, or longer than `bytes_max`.
    pub fn read_tag(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let file = self.open(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        file.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("{path} cannot be read: {error}"))?;
        if bytes.len() as u64 > bytes_max {
            return Err(format!("{path} is longer than {bytes_max} bytes"));
        }
        Ok(bytes)
    }

    /// Opens a regular file of the bag.
    ///
    /// # Errors
    /// When there is none, or the system does not let us read it.
    pub fn open(&self, path: &str) -> io::Result<BufReader<File>> {
        let full = self.full(path);
        if !fs::symlink_metadata(&full)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(BufReader::with_capacity(64 << 10, File::open(&full)?))
    }

    /// Where a file lies.
    #[must_use]
    pub fn full(&self, path: &str) -> PathBuf {
        self.root.join(self.elsewhere.get(path).map_or(path, String::as_str))
    }

    /// Every file that a manifest names and that is on the disc, with its length, and whether its
    /// SHA-512 is named too.
    pub fn to_read(&self) -> impl Iterator<Item = (&str, u64, bool)> {
        self.named.keys().filter_map(|path| {
            let bytes = self.on_disc.get(path)?;
            Some((path.as_str(), *bytes, self.named_sha512.contains_key(path)))
        })
    }

    /// Compares a file with the manifests.
    pub fn compare(&self, path: &str, found: &io::Result<Found>, report: &mut Report) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let what = format!("{path} cannot be read: {error}");
                report.refuse(Refusal::new(Code::FileMissing, what));
                return;
            }
        };
        report.files += 1;
        report.bytes = report.bytes.saturating_add(found.bytes);
        let sha512 = self.named_sha512.get(path);
        let altered = if self.named.get(path) != Some(&found.sha256) {
            "SHA-256"
        } else if sha512.is_some_and(|named| Some(named) != found.sha512.as_ref()) {
            "SHA-512"
        } else {
            return;
        };
        report.refuse(Refusal::new(
            Code::FileAltered,
            format!("{path} does not have the {altered} digest that the bag names"),
        ));
    }
}

/// Compares the names in the folder with those in its manifests, both ways. None if the folder does
/// not read.
pub fn names(folder: &Path, report: &mut Report) -> Option<Bag> {
    let mut bag = Bag { root: folder.to_owned(), ..Bag::default() };
    match walk(folder, report) {
        Ok(on_disc) => bag.on_disc = on_disc,
        Err(error) => {
            report.refuse(Refusal::new(
                Code::BagMalformed,
                format!("the folder {} cannot be read: {error}", folder.display()),
            ));
            return None;
        }
    }
    declaration(&bag, report);
    let (manifest_bytes, payload) = manifest(&bag, MANIFEST, true, sha256_of, report);
    let (_, payload_sha512) = manifest(&bag, MANIFEST_SHA512, true, sha512_of, report);
    let (_, tags) = manifest(&bag, TAG_MANIFEST, false, sha256_of, report);
    bag.manifest_digest = manifest_bytes.map(|bytes| Digest::of(&bytes));
    for (path, bytes) in &bag.on_disc {
        let named = if path.starts_with("data/") { &payload } else { &tags };
        if !named.contains_key(path) && path != TAG_MANIFEST {
            report.refuse(Refusal::new(
                Code::FileUnexpected,
                format!("{path} ({bytes} bytes) is named by no manifest"),
            ));
        }
    }
    for required in [BAGIT, BAG_INFO, MANIFEST, MANIFEST_SHA512, SEAL] {
        if !tags.contains_key(required) {
            report.refuse(Refusal::new(
                Code::BagMalformed,
                format!("{TAG_MANIFEST} does not name {required}"),
            ));
        }
    }
    if !payload.keys().eq(payload_sha512.keys()) {
        report.refuse(Refusal::new(
            Code::BagMalformed,
            format!("{MANIFEST_SHA512} does not name the same files as {MANIFEST}"),
        ));
    }
    for path in tags.keys().chain(payload.keys()) {
        if !bag.on_disc.contains_key(path) {
            report.refuse(Refusal::new(Code::FileMissing, path));
        }
    }
    let there = payload.keys().filter_map(|path| Some((path.clone(), *bag.on_disc.get(path)?)));
    bag.payload = there.collect();
    bag.named = payload;
    bag.named.extend(tags);
    bag.named_sha512 = payload_sha512;
    oxum(&bag, report);
    Some(bag)
}

/// `bagit.txt` is the one we write, to the byte.
fn declaration(bag: &Bag, report: &mut Report) {
    match bag.read_tag(BAGIT, 1_000) {
        Ok(text) if text == BAGIT_TEXT.as_bytes() => {}
        Ok(_) => report
            .refuse(Refusal::new(Code::BagMalformed, format!("{BAGIT} declares no BagIt 1.0 bag"))),
        Err(why) => report.refuse(Refusal::new(Code::BagMalformed, why)),
    }
}

/// `bag-info.txt` counts the payload as it stands.
fn oxum(bag: &Bag, report: &mut Report) {
    let Ok(text) = bag.read_tag(BAG_INFO, BAG_INFO_BYTES_MAX) else {
        return; // missing: already said by the tag manifest
    };
    let text = String::from_utf8_lossy(&text);
    let said = text.split('\n').find_map(|line| line.strip_prefix("Payload-Oxum: "));
    let payload = bag.on_disc.iter().filter(|(path, _)| path.starts_with("data/"));
    let (bytes, count) = payload
        .fold((0_u64, 0_u64), |(bytes, count), (_, len)| (bytes.saturating_add(*len), count + 1));
    if said != Some(&format!("{bytes}.{count}")) {
        report.refuse(Refusal::new(
            Code::BagMalformed,
            format!("{BAG_INFO} does not say `Payload-Oxum: {bytes}.{count}`, as the payload is"),
        ));
    }
}

fn sha256_of(hex: &str) -> Option<Digest> {
    hex.parse().ok().filter(|digest: &Digest| digest.to_string() == hex)
}

fn sha512_of(text: &str) -> Option<Digest512> {
    let mut digest = [0; 64];
    hex::decode_to_slice(text, &mut digest).ok()?;
    (hex::encode(digest) == text).then_some(digest)
}

/// A manifest's bytes and its lines.
fn manifest<D>(
    bag: &Bag,
    name: &str,
    of_payload: bool,
    digest: fn(&str) -> Option<D>,
    report: &mut Report,
) -> (Option<Vec<u8>>, BTreeMap<String, D>) {
    let mut lines = BTreeMap::new();
    let bytes = match bag.read_tag(name, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(why) => {
            report.refuse(Refusal::new(Code::BagMalformed, why));
            return (None, lines);
        }
    };
    let mut bad = |at: usize, why: &str| {
        report.refuse(Refusal::new(Code::BagMalformed, format!("{name} line {at}: {why}")));
    };
    let body = match bytes.split_last() {
        Some((b'\n', body)) => body,
        Some(_) => {
            bad(0, "the last line is torn off");
            &bytes[..]
        }
        None => return (Some(bytes), lines),
    };
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        match manifest_line(line, of_payload, digest) {
            Ok((path, digest)) => {
                if lines.insert(path, digest).is_some() {
                    bad(index + 1, "the file is named twice");
                }
            }
            Err(why) => bad(index + 1, why),
        }
    }
    (Some(bytes), lines)
}

/// `<hex digits>  <path>`, and nothing else.
fn manifest_line<D>(
    line: &[u8],
    of_payload: bool,
    digest: fn(&str) -> Option<D>,
) -> Result<(String, D), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let (hex, path) = line.split_once("  ").ok_or("not `DIGEST  PATH`")?;
    let digest = digest(hex).ok_or("no digest of this manifest's kind in lower case")?;
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
        for good in ["data/request.json", "data/master/east/ext-01/0000000001.m4s"] {
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
        let check =
            |line: String, payload| manifest_line(line.as_bytes(), payload, sha256_of).is_ok();
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
