//! Benchmarks: a figure of ours, the same figure of a peer in the same run, and their ratio.

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;

mod force;
mod index;
mod ingest;
mod log;
mod mask;
mod overhead;
mod soak;
mod still;
mod verify;

/// Every benchmark.
pub const NAMES: &[&str] =
    &["force", "index", "ingest", "log", "mask", "overhead", "soak", "verify"];

/// What a benchmark found.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// Which benchmark.
    pub name: &'static str,
    /// Ours.
    pub figure: f64,
    /// Of both figures.
    pub unit: &'static str,
    /// Beside whom.
    pub peer: &'static str,
    /// Theirs.
    pub peer_figure: f64,
    /// Ours by theirs.
    pub ratio: f64,
    /// What is to hold.
    pub goal: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// Where it was measured.
    pub machine: String,
    /// How to measure it again.
    pub command: String,
}

/// Runs one benchmark with its files in `folder`.
///
/// # Errors
/// When it cannot be measured.
pub async fn run(name: &str, folder: &Path) -> Result<Figure> {
    match name {
        "force" => force::run(folder).await,
        "ingest" => ingest::run(folder).await,
        "mask" => mask::run(folder).await,
        "overhead" => overhead::run(folder).await,
        "log" => {
            let folder = folder.to_owned();
            tokio::task::spawn_blocking(move || log::run(&folder)).await?
        }
        "index" => {
            let folder = folder.to_owned();
            tokio::task::spawn_blocking(move || index::run(&folder)).await?
        }
        "soak" => {
            let folder = folder.to_owned();
            tokio::task::spawn_blocking(move || soak::run(&folder)).await?
        }
        "verify" => verify::run(folder).await,
        other => bail!("no benchmark {other}"),
    }
}

/// Processor and cores, for the record.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}
