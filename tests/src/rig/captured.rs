//! RTSP sessions of real servers, captured once and played again by a real TCP server, so that what
//! an odd camera did at a site stays tried for ever.
//!
//! | file | holds |
//! |---|---|
//! | `captured/format.rs` | the file: what a server sent, and when (pure) |
//! | `captured/clean.rs` | what a server sent, without what names or opens it (pure) |
//! | `captured/capture.rs` | a session through a proxy, with our own client |
//! | `captured/replay.rs` | a server that plays sessions, one a connection |
//! | `captured/bend.rs` | sessions made worse, by a seed (pure) |
//!
//! The sessions lie in `tests/sessions`; its README names where each is from, and says how to add one.

pub mod bend;
pub mod capture;
mod clean;
pub mod format;
pub mod replay;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use format::{Record, Session, What};
pub use replay::{Player, Then};

/// The captured session of this name, as it lies in `tests/sessions`.
///
/// # Errors
/// If there is none, or it does not read.
pub fn session(name: &str) -> Result<Session> {
    let path = folder().join(name).with_extension("rtsp");
    let bytes = std::fs::read(&path).with_context(|| format!("no session {}", path.display()))?;
    Session::read(&bytes).with_context(|| format!("{} does not read", path.display()))
}

/// The names of all captured sessions, in order.
///
/// # Errors
/// If the folder cannot be read.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).context("tests/sessions cannot be read")? {
        let path = entry.context("tests/sessions cannot be read")?.path();
        if path.extension().is_some_and(|is| is == "rtsp") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sessions"))
}
