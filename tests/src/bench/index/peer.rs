//! The peer: SQLite holds the same segments and their records, as moonfire-nvr does, a row each with
//! an index on camera and start, and is asked the same questions. It runs in Python's own binding,
//! which adds a few microseconds to each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use custody::WallTime;

use super::{ASKED_MINUTES, CAMERAS, LOOKUPS, question};

const SCRIPT: &str = include_str!("peer.py");

/// The 99th percentile of its answers, in milliseconds.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
pub(super) fn ask(work: &Path, begin: WallTime, minutes: u64, body: &[u8]) -> Result<f64> {
    let questions: Vec<String> = (0..LOOKUPS)
        .map(|n| {
            let (camera, from) = question(n, begin, minutes);
            format!("{camera} {}\n", from.0)
        })
        .collect();
    std::fs::write(work.join("questions"), questions.concat())?;
    std::fs::write(work.join("body"), body)?;
    let numbers = [CAMERAS.to_string(), minutes.to_string(), ASKED_MINUTES.to_string()];
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(work)
        .args(numbers)
        .arg(begin.0.to_string())
        .output()
        .context("python3 is needed for the peer")?;
    ensure!(output.status.success(), "the peer: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [p50, p99, most, bytes] = figures[..] else { anyhow::bail!("the peer said {said}") };
    println!(
        "index: SQLite: median {p50:.3} ms, 99 in 100 within {p99:.3} ms, the slowest {most:.3} ms; \
         {bytes:.0} bytes a segment"
    );
    Ok(p99)
}
