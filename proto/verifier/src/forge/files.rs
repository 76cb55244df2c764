//! The folder: payload files, their manifests, and the authority's statement over them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use custody::record::{BundleSeal, Record, Statement};
use custody::{Digest, SecretKey, bundle};
use sha2::{Digest as _, Sha512};

/// Files by their names in the bundle.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The manifest of these files.
#[must_use]
pub fn manifest(files: &Files) -> Vec<u8> {
    let line = |(path, bytes): (&String, &Vec<u8>)| format!("{}  {path}\n", Digest::of(bytes));
    files.iter().map(line).collect::<String>().into_bytes()
}

fn manifest_sha512(files: &Files) -> Vec<u8> {
    let line = |(path, bytes): (&String, &Vec<u8>)| {
        format!("{}  {path}\n", hex::encode(Sha512::digest(bytes)))
    };
    files.iter().map(line).collect::<String>().into_bytes()
}

/// The folder of this payload, with the authority's statement over it.
#[must_use]
pub fn sealed(payload: &Files, seal: &BundleSeal, authority: &SecretKey) -> Files {
    let mut seal = seal.clone();
    seal.payload_manifest_sha256 = Digest::of(&manifest(payload));
    let statement = Record::Other(Statement::Bundle(seal)).sign(authority);
    under(payload, statement.bytes())
}

/// The folder of this payload under any statement.
#[must_use]
pub fn under(payload: &Files, statement: &[u8]) -> Files {
    let bytes: usize = payload.values().map(Vec::len).sum();
    let info = format!(
        "Bag-Software-Agent: Watchhouse synthetic\nPayload-Oxum: {bytes}.{}\n",
        payload.len()
    );
    let read_me = "SYNTHETIC. Made to test verifiers; its keys are public. Trust nothing in it.\n";
    let tags = Files::from([
        (bundle::BAGIT.to_owned(), bundle::BAGIT_TEXT.as_bytes().to_vec()),
        (bundle::BAG_INFO.to_owned(), info.into_bytes()),
        (bundle::MANIFEST.to_owned(), manifest(payload)),
        (bundle::MANIFEST_SHA512.to_owned(), manifest_sha512(payload)),
        (bundle::READ_ME.to_owned(), read_me.as_bytes().to_vec()),
        (bundle::SEAL.to_owned(), statement.to_vec()),
    ]);
    let mut all = payload.clone();
    all.extend(tags.clone());
    all.insert(bundle::TAG_MANIFEST.to_owned(), manifest(&tags));
    all
}

/// Writes the tag manifest anew, as anyone can.
pub fn retag(all: &mut Files) {
    let tags: Files = all
        .iter()
        .filter(|(path, _)| !path.starts_with("data/") && *path != bundle::TAG_MANIFEST)
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    all.insert(bundle::TAG_MANIFEST.to_owned(), manifest(&tags));
}

/// Writes every manifest anew under the statement that is there, as anyone can.
#[must_use]
pub fn remade(all: &Files) -> Files {
    let payload: Files = all
        .iter()
        .filter(|(path, _)| path.starts_with("data/"))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    under(&payload, all.get(bundle::SEAL).map_or(&[][..], Vec::as_slice))
}

/// Writes the folder out.
///
/// # Errors
/// When the disc refuses.
pub fn write(files: &Files, folder: &Path) -> io::Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}
