//! A week of a site's recorder on a simulated clock: sixteen cameras cut, sealed, stored, signed and
//! logged minute by minute, swept every ten minutes, a heartbeat each minute, checkpoints published.
//! Everything behind the network is the recorder's own; the pictures are small and the state folder
//! is in memory, so that a week passes in minutes. What the process holds must not grow.
//!
//! The first week fills the index's block cache and write buffers, 32 MB each: it is the warm-up (three
//! weeks were tried: 68 MB after a day, 80 after four, 84 after seven, 83 after twenty). In the week
//! after it the line through the hourly samples must rise by less than 1 % a day, and nothing by
//! more than 64 MB. Each day's log is read at its end, as a controller that had been away would.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use custody::{CameraId, SiteId, WallTime};
use edge_agent::retention::{Keep, Rules, Sweeper};
use edge_agent::seal::Identity;
use edge_agent::store::Store;
use host::Clock;

use super::still::Still;
use super::{Figure, machine};

const CAMERAS: usize = 16;
const WARM_UP_DAYS: usize = 7;
const DAYS: usize = WARM_UP_DAYS + 7;
const WARM_UP_HOURS: usize = 24 * WARM_UP_DAYS;
/// A picture every two seconds, one fragment every ten.
const FRAME_MS: u64 = 2000;
const FRAMES_PER_FRAGMENT: u64 = 5;
const FRAMES_PER_MINUTE: u64 = 60_000 / FRAME_MS;
const FRAME_BYTES: usize = 200;
/// Footage is kept this long, so that erasing keeps step with recording from the first day on.
const RETAIN_US: i64 = 6 * 3600 * 1_000_000;
/// 2026-11-22T14:10:00Z.
const BEGIN: WallTime = WallTime(1_795_356_600_000_000);
const GROWTH_PERCENT_MAX: f64 = 1.0;
const GROWTH_BYTES_MAX: f64 = 64e6;

pub(super) fn run(folder: &Path) -> Result<Figure> {
    let state = State::new(folder)?;
    let samples = week(&state.0)?;
    let (slope, growth, first) = growth(&samples);
    say(&samples, slope, growth, first);
    let figure = slope / first * 100.0;
    Ok(Figure {
        name: "soak",
        figure,
        unit: "% that the process's own memory grows a day, in the week after a week of warm-up",
        peer: "the same process at the end of its warm-up, MB",
        peer_figure: first / 1e6,
        ratio: (first + growth.max(0.0)) / first,
        goal: "below 1 % a day, and below 64 MB in all",
        holds: figure < GROWTH_PERCENT_MAX && growth < GROWTH_BYTES_MAX,
        machine: machine(),
        command: "make bench NAME=soak".to_owned(),
    })
}

/// The state folder, gone with the benchmark: in memory, where there is a place for it.
struct State(PathBuf);

impl State {
    fn new(folder: &Path) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let under = if memory.is_dir() { memory } else { folder };
        let state = under.join(format!("watchhouse-soak-{}", std::process::id()));
        fs::create_dir_all(&state)?;
        Ok(Self(state))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0).is_err();
    }
}

fn cameras() -> Vec<CameraId> {
    (1..=CAMERAS).filter_map(|n| format!("soak/int-{n:02}").parse().ok()).collect()
}

/// Runs the week; gives what the process held at the end of each hour.
fn week(state: &Path) -> Result<Vec<f64>> {
    let site: SiteId = "soak".parse()?;
    let clock = Clock::simulated(BEGIN);
    let identity = Identity::load(state, &site, "watchhouse.example", b"")?;
    let cameras = cameras();
    let (store, _) = Store::open(state, identity, clock.clone(), &cameras)?;
    let standard = Keep { floor_us: RETAIN_US, ceiling_us: RETAIN_US };
    let rules = Rules { standard, cameras: BTreeMap::new(), reserve_bytes: 0 };
    let mut sweeper = Sweeper::new(store.clone(), clock.clone(), rules);
    let states: BTreeMap<_, _> =
        cameras.iter().map(|camera| (camera.clone(), "recording".to_owned())).collect();
    let mut stills: Vec<Still> = cameras
        .into_iter()
        .map(|camera| Still::new(camera, 60, FRAME_BYTES))
        .collect::<Result<_>>()?;
    let mut samples = Vec::new();
    let mut frames = 0;
    let mut copied = 0;
    for minute in 0..DAYS * 24 * 60 {
        for _ in 0..FRAMES_PER_MINUTE {
            for still in &mut stills {
                let key = frames % FRAMES_PER_FRAGMENT == 0;
                still.frame(&store, clock.now(), FRAME_MS, key)?;
            }
            frames += 1;
            clock.advance_ms(FRAME_MS);
        }
        store.heartbeat(&states)?;
        store.publish()?.context("the log is contradicted")?;
        if minute % 10 == 9 {
            let swept = sweeper.sweep_with(u64::MAX)?;
            ensure!(swept.early.is_empty() && !swept.clock_doubted, "{swept:?}");
        }
        if minute % 1440 == 1439 {
            copied = copy_log(&store, copied)?;
        }
        if minute % 60 == 59 {
            samples.push(held_bytes()?);
        }
    }
    for still in &mut stills {
        still.finish(&store)?;
    }
    let stats = store.stats()?;
    let most = CAMERAS as u64 * (6 * 60 + 15);
    ensure!(stats.segments <= most, "{} segments are kept where {most} may be", stats.segments);
    ensure!(stats.log_size > (DAYS * 24 * 60 * CAMERAS) as u64, "only {} records", stats.log_size);
    store.stop()?;
    Ok(samples)
}

/// Reads the log from an entry on as a controller would; gives its end.
fn copy_log(store: &Store, mut from: u64) -> Result<u64> {
    while from < store.log_size() {
        let entries = store.log_read(from, 1000, 1 << 20)?;
        ensure!(!entries.is_empty(), "entry {from} is not to be read");
        from += entries.len() as u64;
    }
    Ok(from)
}

/// What the process holds of its own, by `proc(5)` `status`: neither files nor the folder in memory.
fn held_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
    Ok(f64::from(kilobytes.parse::<u32>()?) * 1024.0)
}

/// Bytes a day by the line through the samples after the warm-up, the most above its end, and its end.
#[expect(clippy::cast_precision_loss, reason = "hours of a week")]
fn growth(samples: &[f64]) -> (f64, f64, f64) {
    let first = samples[WARM_UP_HOURS - 1];
    let after = &samples[WARM_UP_HOURS..];
    let mean_at = (after.len() - 1) as f64 / 2.0;
    let mean = after.iter().sum::<f64>() / after.len() as f64;
    let (mut above, mut below) = (0.0, 0.0);
    for (at, bytes) in after.iter().enumerate() {
        let from_mean = at as f64 - mean_at;
        above += from_mean * (bytes - mean);
        below += from_mean * from_mean;
    }
    let most = after.iter().copied().fold(f64::MIN, f64::max);
    (above / below * 24.0, most - first, first)
}

#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
fn say(samples: &[f64], slope: f64, growth: f64, first: f64) {
    let days: Vec<String> =
        samples.chunks(24).map(|day| format!("{:.1}", day[day.len() - 1] / 1e6)).collect();
    println!(
        "soak: MB held at the end of each day: {}; {:+.3} MB a day after the warm-up, at most {:+.1} \
         MB above its end ({:.1} MB)",
        days.join(", "),
        slope / 1e6,
        growth / 1e6,
        first / 1e6
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_rises_is_seen() {
        let rising: Vec<f64> = (0..336).map(|hour| 1e6 + f64::from(hour) * 1000.0).collect();
        let (slope, most, first) = growth(&rising);
        assert!((slope - 24_000.0).abs() < 1e-6, "{slope}");
        assert!((most - 168_000.0).abs() < 1e-6, "{most}");
        assert!((first - 1_167_000.0).abs() < 1e-6, "{first}");
        let flat = vec![5e6; 336];
        assert_eq!(growth(&flat), (0.0, 0.0, 5e6));
    }
}
