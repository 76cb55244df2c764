//! What evidence costs of recording. Counted as evidence is what would not be done if nobody had to
//! prove anything: both digests of each fragment and its leaf; of each segment the tree, the manifest,
//! its signature, and its record in the log with entry, hashes and sync; the site's heartbeats and
//! checkpoints. Not counted: sealing, which is confidentiality, and what finds footage again.
//!
//! The whole is the CPU time of the recorder in the ingest benchmark, run just before; evidence is
//! measured on the same code, over fragments of the same size, on one core.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use custody::fragment::{self, FragmentInfo, INFO_BYTES};
use custody::record::GapReason;
use custody::sealed::{SealedFragment, SealedSegment};
use custody::{CameraId, Digest, SiteId, WallTime, tree};
use edge_agent::seal::Identity;
use edge_agent::store::Store;
use host::Clock;

use super::ingest::{self, cpu_s};
use super::{Figure, machine};

/// A GOP of two seconds at 4 Mb/s.
const FRAGMENT_BYTES: usize = 1_000_000;
const FRAGMENT_S: f64 = 2.0;
/// Segments are a minute long.
const SEGMENT_S: f64 = 60.0;
/// Cameras that share a site's heartbeats and checkpoints: those of the ingest benchmark.
const SITE_CAMERAS: f64 = 16.0;
const FRAGMENTS: u32 = 2_000;
const RECORDS: u32 = 2_000;
const CHECKPOINTS: u32 = 200;
/// A log entry in the index and in the static files: entry, two hashes with their keys, tiles.
const LOGGED_BYTES: usize = (37 + 8) + 2 * (32 + 8) + (37 + 2) + 32 + 8;

#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
pub(super) async fn run(folder: &Path) -> Result<Figure> {
    let whole = ingest::run(folder).await?.figure;
    let (own, footage) = bytes(&folder.join("ingest"))?;
    let work = folder.join("overhead");
    let cost = tokio::task::spawn_blocking(move || cpu(&work)).await??;
    let evidence = cost.hashing + cost.records + cost.checkpoints;
    let share = evidence / whole * 100.0;
    let byte_share = own / footage * 100.0;
    println!(
        "overhead, CPU microseconds a camera-second: recording {:.0}, of which digests {:.0}, \
         records and log {:.1}, checkpoints and heartbeats {:.1}: {share:.1} %; bytes: \
         {byte_share:.4} %",
        whole * 1e6,
        cost.hashing * 1e6,
        cost.records * 1e6,
        cost.checkpoints * 1e6
    );
    Ok(Figure {
        name: "overhead",
        figure: evidence,
        unit: "CPU seconds of evidence per camera-second",
        peer: "all of recording, in the ingest benchmark of the same run",
        peer_figure: whole,
        ratio: evidence / whole,
        goal: "below 3 % of ingest CPU and below 1 % of bytes",
        holds: share < 3.0 && byte_share < 1.0,
        machine: machine(),
        command: "make bench NAME=overhead".to_owned(),
    })
}

/// CPU seconds per camera-second.
struct Cost {
    hashing: f64,
    records: f64,
    checkpoints: f64,
}

fn cpu(work: &Path) -> Result<Cost> {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let own = std::process::id();
    let plain = vec![0x5a; FRAGMENT_BYTES];
    let sealed = vec![0xa5; FRAGMENT_BYTES + 16];
    let before = cpu_s(own)?;
    let mut leaves = Vec::new();
    for index in 0..FRAGMENTS {
        let info = FragmentInfo {
            index,
            start: WallTime(0),
            duration_us: 2_000_000,
            samples: 50,
            flags: 1,
        };
        let plain_commit = fragment::plain_commit(&[7; 32], Digest::of(&plain));
        leaves.push(SealedFragment { info, plain_commit, sealed: &sealed }.leaf());
    }
    ensure!(tree::root(&leaves) != Digest::NONE, "hashing was not left out");
    let hashing = (cpu_s(own)? - before) / f64::from(FRAGMENTS) / FRAGMENT_S;
    let site: SiteId = "bench".parse()?;
    let camera: CameraId = "bench/int-01".parse()?;
    let identity = Identity::load(work, &site, "watchhouse.example", b"")?;
    let clock = Clock::system();
    let cameras = std::slice::from_ref(&camera);
    let (store, _) = Store::open(work, identity, clock.clone(), cameras)?;
    let from = Some(clock.now().plus_seconds(-1));
    let before = cpu_s(own)?;
    for _ in 0..RECORDS {
        store.gap(&camera, from, clock.now(), GapReason::StreamStalled, "a benchmark")?;
    }
    let record = (cpu_s(own)? - before) / f64::from(RECORDS);
    let before = cpu_s(own)?;
    for _ in 0..CHECKPOINTS {
        store.gap(&camera, from, clock.now(), GapReason::StreamStalled, "a benchmark")?;
        store.publish()?.context("the log is contradicted")?;
    }
    let checkpoint = (cpu_s(own)? - before) / f64::from(CHECKPOINTS) - record;
    drop(store);
    fs::remove_dir_all(work)?;
    Ok(Cost {
        hashing,
        records: record / SEGMENT_S,
        checkpoints: (checkpoint.max(0.0) + record / SEGMENT_S) / SITE_CAMERAS,
    })
}

/// Bytes of evidence, and of footage, in the segments of the ingest benchmark.
#[expect(clippy::cast_precision_loss, reason = "gigabytes")]
fn bytes(ingest: &Path) -> Result<(f64, f64)> {
    let (mut own, mut footage) = (0, 0);
    for file in segments(ingest)? {
        let bytes = fs::read(&file)?;
        let Ok(segment) = SealedSegment::read(&bytes) else { continue };
        let Some(manifest) = segment.manifest else { continue };
        // The manifest lies in the file and in the log.
        own += 2 * manifest.len() + LOGGED_BYTES;
        own += segment.fragments.len() * (INFO_BYTES + 32);
        footage += segment.fragments.iter().map(|f| f.sealed.len()).sum::<usize>();
    }
    ensure!(footage > 0, "the ingest benchmark left no closed segment");
    Ok((own as f64, footage as f64))
}

fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "whseg") {
                found.push(path);
            }
        }
    }
    Ok(found)
}
