//! A whole force on one core: 268 cameras of 4 Mb/s (1.07 Gb/s) received over RTSP/TCP, fragmented,
//! hashed, sealed, stored, signed and logged by one recorder that may use one core, with nothing lost.
//!
//! The recorder runs on core 0; the cameras (one thread that replays prepared packets), the
//! controller, this program and the peers on core 1. The peers are `ffmpeg -c copy`, one process per
//! camera as everybody runs it, on cameras of the same crowd at the same time. Disc use is bounded by
//! the shortest retention there is: about two minutes of footage, 15 GB.
//!
//! `BENCH_SECONDS` shortens the ten minutes and `BENCH_CAMERAS` takes fewer cameras: for work on the
//! recorder, not for the figure.
//!
//! | file | holds |
//! |---|---|
//! | `force/usage.rs` | what processes and cores have used, by `proc(5)` |
//! | `force/kept.rs` | what the recorder's own chains say was kept |

mod kept;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use host::Clock;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use self::kept::Kept;
use self::usage::{Core, Usage};
use super::ingest::make_clip;
use super::{Figure, machine};
use crate::force::{CameraPlan, Force, Recording};
use crate::rig::crowd::{Ready, Tally};
use crate::rig::process::{Launch, Running, program};

const CAMERAS: usize = 268;
const PEERS: usize = 16;
const MEASURED_S: u64 = 600;
/// After all cameras record: sessions begin amid their clip, and the first segments are cut short.
const SETTLE: Duration = Duration::from_secs(20);
/// Where the recorder runs, and where everything else does.
const RECORDER_CORE: usize = 0;
const OTHER_CORE: usize = 1;
/// How long the recorder may take to end: it closes and signs every segment.
const END_WITHIN: Duration = Duration::from_secs(40);
const RSS_BYTES_MAX: u64 = 1_500_000_000;
/// What two minutes of everybody's footage take, and the peers' files.
const FREE_BYTES_MIN: u64 = 20_000_000_000;
/// How the peers write: fragmented MP4 in segments of 30 s, the oldest overwritten.
const PEER_MP4: &str = "movflags=frag_keyframe+empty_moov+default_base_moof";

pub(super) async fn run(folder: &Path) -> Result<Figure> {
    make_clip().await?;
    let count = from_environment("BENCH_CAMERAS", CAMERAS)?;
    let measured = Duration::from_secs(from_environment("BENCH_SECONDS", MEASURED_S)?);
    let work = folder.join("force");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(&work)?;
    let disc = rustix::fs::statvfs(&work)?;
    let free = disc.f_bavail * disc.f_frsize;
    ensure!(free > FREE_BYTES_MIN, "{}: {free} bytes free, 20 GB are needed", work.display());
    // Everything started from here on inherits it.
    pin(std::process::id(), OTHER_CORE).await?;
    let mut crowd = Crowd::start().await?;
    let plans: Vec<CameraPlan> = (1..=count)
        .map(|n| CameraPlan::internal(&format!("int-{n:03}"), crowd.url(&format!("int-{n:03}"))))
        .collect();
    let mut force = Force::start(&work).await?;
    let recording = Recording {
        segment_s: 30,
        retain: "60s".to_owned(),
        stall_ms: 10_000,
        ..Recording::default()
    };
    let to = force.fleet_address();
    force.prepare_site("bench", &plans, &recording, to).await?;
    let core = RECORDER_CORE.to_string();
    force.start_site_by("bench", "taskset", &["-c", &core])?;
    force.await_recording(count).await?;
    let peers = start_peers(&crowd, &work)?;
    tokio::time::sleep(SETTLE).await;

    let before = Moment::take(&mut force, &mut crowd, &peers).await?;
    let from = Clock::system().now();
    tokio::time::sleep(measured).await;
    let after = Moment::take(&mut force, &mut crowd, &peers).await?;
    let to = Clock::system().now();
    drop(peers);
    let agent = force.site("bench")?;
    agent.terminate()?;
    let ended = agent.wait(END_WITHIN).await?;
    ensure!(ended.success(), "the recorder ended badly:\n{}", agent.tail());
    let effort = agent
        .log()
        .lines()
        .rev()
        .find(|line| line.contains("kept by the store"))
        .map(str::to_owned);
    let kept = {
        let (state, config) = (force.site_state("bench"), force.site_config("bench"));
        tokio::task::spawn_blocking(move || kept::read(&state, &config, from, to)).await??
    };
    let figure = report(count, measured, &before, &after, &kept, effort.as_deref());
    drop(force);
    fs::remove_dir_all(&work)?;
    Ok(figure)
}

fn from_environment<T: std::str::FromStr>(name: &str, usual: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().ok().with_context(|| format!("{name}={text}: not a number")),
        Err(_) => Ok(usual),
    }
}

/// All figures at one time.
struct Moment {
    recorder: Usage,
    crowd: Usage,
    peers_cpu_s: f64,
    recorder_core: Core,
    tally: Tally,
    /// CPU seconds for two SHA-256 passes over a camera-second.
    digests: f64,
}

impl Moment {
    async fn take(force: &mut Force, crowd: &mut Crowd, peers: &[Running]) -> Result<Self> {
        let recorder = Usage::of(force.site("bench")?.id().context("the recorder has ended")?)?;
        let peers_cpu_s = peers
            .iter()
            .map(|peer| Ok(Usage::of(peer.id().context("an ffmpeg has ended")?)?.cpu_s))
            .sum::<Result<f64>>()?;
        Ok(Self {
            recorder,
            crowd: Usage::of(crowd.process.id().context("the cameras have ended")?)?,
            peers_cpu_s,
            recorder_core: Core::of(RECORDER_CORE)?,
            tally: crowd.tally().await?,
            digests: tokio::task::spawn_blocking(digests).await??,
        })
    }
}

#[expect(clippy::print_stdout, reason = "figures beside the ones in the file")]
#[expect(clippy::cast_precision_loss, reason = "a few hundred cameras, some GB")]
fn report(
    cameras: usize,
    measured: Duration,
    before: &Moment,
    after: &Moment,
    kept: &Kept,
    effort: Option<&str>,
) -> Figure {
    let seconds = measured.as_secs_f64();
    let cpu = after.recorder.cpu_s - before.recorder.cpu_s;
    let system = after.recorder.system_s - before.recorder.system_s;
    let share = cpu / seconds;
    let ours = share / cameras as f64;
    let theirs = (after.peers_cpu_s - before.peers_cpu_s) / seconds / PEERS as f64;
    let sent = after.tally.bytes - before.tally.bytes;
    let lost = after.tally.dropped - before.tally.dropped;
    let late = after.tally.late - before.tally.late;
    println!(
        "force: {cameras} cameras, {seconds:.0} s; recorder {share:.3} of a core ({:.3} in the kernel), \
         {:.6} a camera; its core was busy {:.3}, of which waiting for the disc {:.3}",
        system / seconds,
        ours,
        after.recorder_core.busy_since(&before.recorder_core),
        after.recorder_core.waiting_since(&before.recorder_core),
    );
    println!(
        "force: memory {:.2} GB at most ({:.2} GB now); cameras sent {:.3} Gb/s to all, used {:.3} of \
         a core, were late {late} times, dropped {lost} frames",
        after.recorder.rss_max_bytes as f64 / 1e9,
        after.recorder.rss_bytes as f64 / 1e9,
        sent as f64 * 8.0 / seconds / 1e9,
        (after.crowd.cpu_s - before.crowd.cpu_s) / seconds,
    );
    println!("force: {kept}");
    println!("force: {}", effort.unwrap_or("the recorder did not say how it kept"));
    println!(
        "force: ffmpeg -c copy uses {theirs:.6} of a core a camera: {:.1} times ours",
        theirs / ours
    );
    println!(
        "force: of each camera's {ours:.6}, the two digests that evidence needs cost {:.6} alone",
        after.digests
    );
    let whole = cameras == CAMERAS && measured.as_secs() >= MEASURED_S;
    let kept_all = kept.gaps == 0 && kept.lost_packets == 0 && lost == 0;
    let holds = share <= 1.0
        && after.recorder.rss_max_bytes < RSS_BYTES_MAX
        && kept_all
        && theirs >= 4.0 * ours;
    Figure {
        name: "force",
        figure: ours,
        unit: "cores per camera of 4 Mb/s",
        peer: "ffmpeg -c copy, one process per camera, cameras of the same crowd, same time",
        peer_figure: theirs,
        ratio: ours / theirs,
        goal: "268 cameras on one core for ten minutes, nothing lost, below 1.5 GB; ratio at most 0.25",
        holds: holds && whole,
        machine: machine(),
        command: "make bench NAME=force".to_owned(),
    }
}

/// What hashing a camera-second twice costs, CPU seconds: no recorder that keeps such evidence is below.
fn digests() -> Result<f64> {
    const CAMERA_SECONDS: u32 = 200;
    let footage = vec![0x5a; 500_000];
    let own = std::process::id();
    let before = Usage::of(own)?.cpu_s;
    for _pass in 0..2 * CAMERA_SECONDS {
        ensure!(custody::Digest::of(&footage) != custody::Digest::NONE, "hashing was left out");
    }
    Ok((Usage::of(own)?.cpu_s - before) / f64::from(CAMERA_SECONDS))
}

async fn pin(process: u32, core: usize) -> Result<()> {
    let output = Launch::foreign("taskset", "taskset")
        .args(["-acp".to_owned(), core.to_string(), process.to_string()])
        .run(Duration::from_secs(10))
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot pin to core {core}: {said}");
    Ok(())
}

fn start_peers(crowd: &Crowd, work: &Path) -> Result<Vec<Running>> {
    (1..=PEERS)
        .map(|n| {
            let name = format!("peer-{n:02}");
            let to: PathBuf = work.join(format!("{name}-%d.mp4"));
            Launch::foreign(&name, "ffmpeg")
                .args([
                    "-v",
                    "error",
                    "-rtsp_transport",
                    "tcp",
                    "-i",
                    &crowd.url(&name),
                    "-c",
                    "copy",
                ])
                .args(["-f", "segment", "-segment_time", "30", "-segment_wrap", "4"])
                .args(["-segment_format_options", PEER_MP4, "-reset_timestamps", "1"])
                .args([to])
                .start(&work.join("log"))
        })
        .collect()
}

/// The cameras' process. It ends when its standard input closes: with this.
struct Crowd {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Crowd {
    async fn start() -> Result<Self> {
        let mut process = Command::new(program("crowd")?)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start the cameras")?;
        let orders = process.stdin.take().context("the cameras have no standard input")?;
        let answers = process.stdout.take().context("the cameras have no standard output")?;
        let mut crowd = Self { process, orders, answers: BufReader::new(answers).lines(), port: 0 };
        let ready: Ready = serde_json::from_str(&crowd.answer().await?)?;
        crowd.port = ready.port;
        Ok(crowd)
    }

    fn url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.port)
    }

    async fn tally(&mut self) -> Result<Tally> {
        self.orders.write_all(b"\n").await?;
        Ok(serde_json::from_str(&self.answer().await?)?)
    }

    async fn answer(&mut self) -> Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(60), self.answers.next_line());
        line.await.context("the cameras do not answer")??.context("the cameras have ended")
    }
}
