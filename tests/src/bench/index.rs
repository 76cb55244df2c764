//! The index of the largest site at its fullest: 71 cameras, 31 days of one-minute segments. How long
//! a look-up takes, a start after a crash, and one hour's expiry while all cameras record; and how
//! many bytes a segment costs. Beside it SQLite with the same records and an index on camera and
//! start, asked for the same ten minutes.
//!
//! | file | does |
//! |---|---|
//! | `index/fill.rs` | writes the index of 31 days |
//! | `index/peer.rs` | has SQLite hold the same, and asks it |
//!
//! What is real: every row of every family, with its layout, compression and compaction, in number and
//! size; the log's tree and its static files; the cameras that record meanwhile; the files that expire,
//! as names (they are sparse). What is not: the signatures of the 3.2 million old records are random
//! bytes, and no footage lies behind those that do not expire.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use custody::coverage::Span;
use custody::{CameraId, Seq, SiteId, WallTime};
use edge_agent::retention::{Keep, Rules, Sweeper};
use edge_agent::seal::Identity;
use edge_agent::store::Store;
use host::Clock;

use super::still::Still;
use super::{Figure, machine};

mod fill;
mod peer;

/// Headquarters has 71.
pub(super) const CAMERAS: usize = 71;
/// What the goals are about.
const DAYS: u64 = 31;
/// Fewer days for a quick look, which meets no goal.
const DAYS_VARIABLE: &str = "WATCHHOUSE_BENCH_DAYS";
const LOOKUPS: u64 = 5000;
/// What a request asks for.
pub(super) const ASKED_MINUTES: u64 = 10;
/// The hour that expires.
const HOUR_SEGMENTS: usize = CAMERAS * 60;
/// Fragments of two seconds at 1 Mb/s while the hour expires; segments of ten seconds.
const FRAME_BYTES: usize = 10_000;
const FRAME_MS: u64 = 80;
const FRAMES_PER_FRAGMENT: u64 = 25;
const SEGMENT_S: u32 = 10;
/// Measured before the sweep, for comparison.
const BASELINE_MS: u64 = 15_000;

pub(super) fn run(folder: &Path) -> Result<Figure> {
    let work = folder.join("index");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let state = work.join("site");
    fs::create_dir_all(&state)?;
    let minutes = minutes()?;
    let begin = WallTime(Clock::system().now().0 / 60_000_000 * 60_000_000)
        .plus_seconds(-60 * i64::try_from(minutes)?);
    drop(open(&state)?);
    let filled = fill::fill(&state, begin, minutes)?;
    publish(&state)?;
    let bytes = say_size(&state, &filled, minutes)?;
    let (figure, cold_ms) = lookups(&state, begin, minutes)?;
    let start_s = starts(&state)?;
    let stall_ms = expiry(&state, begin)?;
    fs::remove_dir_all(&state)?;
    let peer_figure = peer::ask(&work, begin, minutes, &filled.body)?;
    fs::remove_dir_all(&work)?;
    Ok(Figure {
        name: "index",
        figure,
        unit: "ms for ten minutes of a camera in 3.2 million segments, 99 in 100 within",
        peer: "SQLite, the same records with an index on (camera, start), same questions",
        peer_figure,
        ratio: figure / peer_figure,
        goal: "p99 below 1 ms warm; first frame recorded 5 s after a crash; no recording stall over \
               100 ms while an hour expires; below 2,000 bytes a segment",
        holds: minutes == DAYS * 1440
            && figure < 1.0
            && cold_ms < 100.0
            && start_s < 5.0
            && stall_ms < 100.0
            && bytes < 2000.0,
        machine: machine(),
        command: "make bench NAME=index".to_owned(),
    })
}

fn minutes() -> Result<u64> {
    let days = std::env::var(DAYS_VARIABLE).ok().map(|days| days.parse()).transpose()?;
    Ok(days.unwrap_or(DAYS).clamp(1, DAYS) * 1440)
}

pub(super) fn cameras() -> Vec<CameraId> {
    (1..=CAMERAS).filter_map(|n| format!("bench/int-{n:02}").parse().ok()).collect()
}

fn open(state: &Path) -> Result<Store> {
    let site: SiteId = "bench".parse()?;
    let identity = Identity::load(state, &site, "watchhouse.example", b"")?;
    Ok(Store::open(state, identity, Clock::system(), &cameras())?.0)
}

/// Writes the log's static files, so that a start has them to look at.
fn publish(state: &Path) -> Result<()> {
    let store = open(state)?;
    store.publish()?.context("the log is contradicted")?;
    Ok(store.stop()?)
}

/// The `n`-th of a row of questions without a pattern: a camera, and from when on.
pub(super) fn question(n: u64, begin: WallTime, minutes: u64) -> (usize, WallTime) {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let camera = usize::try_from(mixed >> 32).unwrap_or(0) % CAMERAS;
    let seconds = (mixed & 0xffff_ffff) % ((minutes - ASKED_MINUTES) * 60);
    (camera, begin.plus_seconds(i64::try_from(seconds).unwrap_or(0)))
}

/// Bytes on the disc a segment, of the index alone.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
#[expect(clippy::cast_precision_loss, reason = "a quotient")]
fn say_size(state: &Path, filled: &fill::Filled, minutes: u64) -> Result<f64> {
    let segments = CAMERAS as u64 * minutes;
    let (index, log) = (bytes_under(&state.join("index"))?, bytes_under(&state.join("log"))?);
    let a_segment = index as f64 / segments as f64;
    println!(
        "index: {segments} segments, {} log entries: {:.2} GB of index after compaction, {a_segment:.0} \
         bytes a segment, and {:.0} of the log's static files; by family: {}",
        filled.entries,
        index as f64 / 1e9,
        log as f64 / segments as f64,
        filled.families
    );
    Ok(a_segment)
}

fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

fn bytes_under(folder: &Path) -> Result<u64> {
    files_under(folder)?.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

/// Has the kernel forget what it holds of these files.
fn forget(folder: &Path) -> Result<()> {
    for file in files_under(folder)? {
        let file = File::open(file)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Asks for ten minutes again and again; gives the 99th percentile of those with the index in the
/// kernel's memory, and of a few hundred without it, in milliseconds.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
fn lookups(state: &Path, begin: WallTime, minutes: u64) -> Result<(f64, f64)> {
    let store = open(state)?;
    let cameras = cameras();
    let ask = |n: u64| -> Result<f64> {
        let (camera, from) = question(n, begin, minutes);
        let to = from.plus_seconds(60 * i64::try_from(ASKED_MINUTES)?);
        #[expect(clippy::disallowed_methods, reason = "a look-up takes microseconds")]
        let asked = Instant::now();
        let found = store.find(&cameras[camera], Span { from, to })?;
        let took_ms = asked.elapsed().as_secs_f64() * 1000.0;
        ensure!(
            (10..=11).contains(&found.len()),
            "{} links for ten minutes from {from}",
            found.len()
        );
        Ok(took_ms)
    };
    forget(&state.join("index"))?;
    let cold: Vec<f64> = (0..300).map(|n| ask(n + LOOKUPS)).collect::<Result<_>>()?;
    for file in files_under(&state.join("index"))? {
        let _warms_the_kernel = fs::read(file)?.len();
    }
    let warm: Vec<f64> = (0..LOOKUPS).map(ask).collect::<Result<_>>()?;
    let (warm, cold) = (Spread::of(warm), Spread::of(cold));
    println!("index: {LOOKUPS} look-ups of ten minutes: {warm}; 300 from the disc: {cold}");
    store.stop()?;
    Ok((warm.p99, cold.p99))
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    p50: f64,
    p99: f64,
    most: f64,
}

impl Spread {
    fn of(mut took: Vec<f64>) -> Self {
        took.sort_by(f64::total_cmp);
        let at = |share: usize| {
            let last = took.len().saturating_sub(1);
            took.get(last * share / 100).copied().unwrap_or_default()
        };
        Self { p50: at(50), p99: at(99), most: at(100) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p99, most } = self;
        write!(f, "median {p50:.3} ms, 99 in 100 within {p99:.3} ms, the slowest {most:.3} ms")
    }
}

/// Seconds from opening the store to a synced first frame, after a crash with all cameras recording
/// at 4 Mb/s, half a minute each; nothing is in the kernel's memory.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
#[expect(clippy::disallowed_methods, reason = "a start is measured")]
fn starts(state: &Path) -> Result<f64> {
    let orderly = start(state)?;
    let store = open(state)?;
    for camera in cameras() {
        let mut still = Still::new(camera, 60, 20_000)?;
        let begin = store_now(&store, &still.camera_id())?;
        for n in 0..30 * 25_u64 {
            let at = begin.plus_micros(i64::try_from(n * 40_000)?);
            still.frame(&store, at, 40, n.is_multiple_of(50))?;
        }
        still.crash();
    }
    drop(store);
    let crashed = start(state)?;
    println!(
        "index: from opening to the first synced frame: {orderly:.2} s after a stop, {crashed:.2} s \
         after a crash that left {CAMERAS} open segments of 15 MB"
    );
    return Ok(crashed.max(orderly));

    fn start(state: &Path) -> Result<f64> {
        forget(state)?;
        let begun = Instant::now();
        let store = open(state)?;
        let camera = cameras().into_iter().next().context("there are cameras")?;
        let mut still = Still::new(camera, 60, 20_000)?;
        let now = Clock::system().now();
        for n in 0..=50_u64 {
            let at = now.plus_micros(i64::try_from(n * 40_000)?);
            if still.frame(&store, at, 40, n.is_multiple_of(50))?.fragments > 0 {
                break;
            }
        }
        let took_s = begun.elapsed().as_secs_f64();
        still.finish(&store)?;
        store.stop()?;
        Ok(took_s)
    }
}

/// Where the camera's chain may go on.
fn store_now(store: &Store, camera: &CameraId) -> Result<WallTime> {
    let now = Clock::system().now();
    Ok(store.chain_end(camera)?.map_or(now, |end| end.max(now)))
}

/// What all cameras are doing.
const BASELINE: u8 = 0;
const SWEEPING: u8 = 1;

/// Lets one hour expire while all cameras record; gives the longest that an append, a close or an
/// open took meanwhile, in milliseconds.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
#[expect(clippy::disallowed_methods, reason = "stalls are measured")]
fn expiry(state: &Path, begin: WallTime) -> Result<f64> {
    let store = open(state)?;
    make_files(&store)?;
    let clock = Clock::system();
    let kept_us = clock.now().micros_since(begin) - 3_600_000_000;
    let standard = Keep { floor_us: kept_us, ceiling_us: kept_us };
    let rules = Rules { standard, cameras: BTreeMap::new(), reserve_bytes: 0 };
    let (ended, phase) = (AtomicBool::new(false), AtomicU8::new(BASELINE));
    let (took, swept, sweep_s) = std::thread::scope(|threads| -> Result<_> {
        let recording: Vec<_> = cameras()
            .into_iter()
            .map(|camera| {
                let (store, ended, phase) = (&store, &ended, &phase);
                threads.spawn(move || record(store, camera, ended, phase))
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(BASELINE_MS));
        // Made now: a clock that nothing keeps is believed beside footage of this minute.
        let mut sweeper = Sweeper::new(store.clone(), clock.clone(), rules);
        phase.store(SWEEPING, Ordering::SeqCst);
        let begun = Instant::now();
        let mut swept = 0;
        let outcome = loop {
            match sweeper.sweep_with(u64::MAX) {
                Ok(sweep) if sweep.retired > 0 => swept += sweep.retired,
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let sweep_s = begun.elapsed().as_secs_f64();
        ended.store(true, Ordering::SeqCst);
        let mut took: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
        for thread in recording {
            let of = thread.join().map_err(|_| anyhow::anyhow!("a camera's thread panicked"))??;
            for (phase, ms) in of {
                took.entry(phase).or_default().push(ms);
            }
        }
        outcome?;
        Ok((took, swept, sweep_s))
    })?;
    ensure!(swept >= HOUR_SEGMENTS, "only {swept} segments expired");
    let of = |phase| Spread::of(took.get(&phase).cloned().unwrap_or_default());
    let (before, during) = (of(BASELINE), of(SWEEPING));
    let writes = took.get(&SWEEPING).map_or(0, Vec::len);
    println!(
        "index: {swept} segments expired in {sweep_s:.1} s while {CAMERAS} cameras recorded; a write, \
         sync or close took before: {before}; meanwhile ({writes}): {during}"
    );
    store.stop()?;
    Ok(during.most)
}

/// Records one camera at its rate until told to end; gives what each write took, and when.
#[expect(clippy::disallowed_methods, reason = "stalls are measured")]
fn record(
    store: &Store,
    camera: CameraId,
    ended: &AtomicBool,
    phase: &AtomicU8,
) -> Result<Vec<(u8, f64)>> {
    let mut at = store_now(store, &camera)?;
    let mut still = Still::new(camera, SEGMENT_S, FRAME_BYTES)?;
    let mut took = Vec::new();
    let mut frames = 0_u64;
    while !ended.load(Ordering::SeqCst) {
        let key = frames.is_multiple_of(FRAMES_PER_FRAGMENT);
        let during = phase.load(Ordering::SeqCst);
        let begun = Instant::now();
        let kept = still.frame(store, at, FRAME_MS, key)?;
        if kept.fragments + kept.segments > 0 {
            took.push((during, begun.elapsed().as_secs_f64() * 1000.0));
        }
        at = at.plus_micros(i64::try_from(FRAME_MS * 1000)?);
        frames += 1;
        std::thread::sleep(std::time::Duration::from_millis(FRAME_MS));
    }
    still.finish(store)?;
    Ok(took)
}

/// The files of the hour that expires, sparse.
fn make_files(store: &Store) -> Result<()> {
    for camera in cameras() {
        for seq in (0..61).map(Seq) {
            let Ok(path) = store.segment_path(&camera, seq) else { continue };
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            File::create(path)?.set_len(fill::FILE_BYTES)?;
        }
    }
    Ok(())
}
