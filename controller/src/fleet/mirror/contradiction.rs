//! A log that contradicts itself: the proof is kept for people, once however often it comes.
//!
//! ```text
//! <state_dir>/forks/<site>-<first 16 digits of the proof's digest>/
//!     about.json                              which log, what was found
//!     before.note  contradicting.note         two checkpoints that the log signed
//!     first.dsse.json  later.dsse.json        or two records of one place
//! ```

use std::io;
use std::path::Path;

use custody::Digest;
use host::durable::{self, Reader};

use crate::limits;
use crate::log::event::logs::Contradiction;

/// Keeps the proof, if it is not there yet; gives the contradiction with its folder.
pub(super) fn keep(
    forks: &Path,
    found: Contradiction,
    files: &[(&str, &[u8])],
) -> io::Result<Contradiction> {
    let parts: Vec<&[u8]> = files.iter().map(|(_, bytes)| *bytes).collect();
    keep_proof(forks, found, &Digest::of_parts(&parts).0, files)
}

/// The same, where `about` says which contradiction it is: a later proof of the same is not kept.
pub(crate) fn keep_proof(
    forks: &Path,
    mut found: Contradiction,
    about: &[u8],
    files: &[(&str, &[u8])],
) -> io::Result<Contradiction> {
    let digest = Digest::of_parts(&[found.origin.as_bytes(), &[0], about]).to_string();
    let name = format!("{}-{}", found.site, digest.get(..16).unwrap_or(&digest));
    durable::create_folder(forks)?;
    let folder = forks.join(&name);
    if !folder.join(ABOUT).exists() {
        if std::fs::read_dir(forks)?.count() >= limits::FORK_PROOFS {
            return Ok(found);
        }
        durable::create_folder(&folder)?;
        for (file, bytes) in files {
            durable::replace(&folder.join(file), bytes, Reader::Owner)?;
        }
        found.proof.clone_from(&name);
        let about = serde_json::to_vec_pretty(&found).map_err(io::Error::other)?;
        // Last: a folder with it is whole.
        durable::replace(&folder.join(ABOUT), &about, Reader::Owner)?;
    }
    found.proof = name;
    Ok(found)
}

const ABOUT: &str = "about.json";
