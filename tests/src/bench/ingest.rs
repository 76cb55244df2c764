//! CPU seconds per camera-second to record cameras end to end (receive, fragment, hash, seal,
//! store, sign), beside one `ffmpeg -c copy` per camera on the same cameras at the same time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Figure, machine};
use crate::force::{CameraPlan, Force, Recording};
use crate::rig::cameras::{Auth, Cameras};
use crate::rig::footage::Clip;
use crate::rig::process::{Launch, Running};

const CAMERAS: usize = 16;
/// Measured after everything has begun to stream.
const MEASURED: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(10);

pub(super) async fn run(folder: &Path) -> Result<Figure> {
    make_clip().await?;
    let work = folder.join("ingest");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(&work)?;
    let names: Vec<String> = (1..=CAMERAS).map(|n| format!("int-{n:02}")).collect();
    let cameras =
        Cameras::start(names.iter().map(|n| (n.clone(), Clip::Walkway4M)), Auth::Open).await?;
    let plans: Vec<CameraPlan> = cameras
        .served()
        .iter()
        .map(|camera| CameraPlan {
            name: camera.name.clone(),
            url: camera.url.to_string(),
            masked: false,
            protected: false,
        })
        .collect();
    let mut force = Force::start(&work).await?;
    let recording = Recording { segment_s: 60, ..Recording::default() };
    let to = force.fleet_address();
    force.add_site("bench", &plans, &recording, to).await?;
    let peers = start_peers(&plans, &work)?;
    force.await_recording(CAMERAS).await?;
    tokio::time::sleep(SETTLE).await;

    let agent = force.site("bench")?.id().context("the agent has ended")?;
    let (ours_before, theirs_before) = (cpu_s(agent)?, cpu_of(&peers)?);
    tokio::time::sleep(MEASURED).await;
    let (ours_after, theirs_after) = (cpu_s(agent)?, cpu_of(&peers)?);
    let still = force.await_recording(CAMERAS).await?;
    ensure_full_rate(&still)?;

    #[expect(clippy::cast_precision_loss, reason = "sixteen cameras")]
    let camera_s = CAMERAS as f64 * MEASURED.as_secs_f64();
    let figure = (ours_after - ours_before) / camera_s;
    let peer_figure = (theirs_after - theirs_before) / camera_s;
    Ok(Figure {
        name: "ingest",
        figure,
        unit: "CPU seconds per camera-second",
        peer: "ffmpeg -c copy, one process per camera, same cameras, same time",
        peer_figure,
        ratio: figure / peer_figure,
        goal: "ratio below 1, and below 0.014 for a 4 Mb/s camera",
        holds: figure < peer_figure && figure < 0.014,
        machine: machine(),
        command: "make bench NAME=ingest".to_owned(),
    })
}

/// The walkway at 4 Mb/s, as a 1080p camera would send, made once.
pub(super) async fn make_clip() -> Result<()> {
    let path = Clip::Walkway4M.path();
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("the clip has a folder")?)?;
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .args([Clip::WalkwayH264.path()])
        .args(["-vf", "scale=1920:1080", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0"])
        .args(["-g", "50", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M"])
        .args(["-x264-params", "nal-hrd=cbr:scenecut=0"])
        .args([&path])
        .run(Duration::from_secs(300))
        .await?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn start_peers(plans: &[CameraPlan], work: &Path) -> Result<Vec<Running>> {
    plans
        .iter()
        .map(|plan| {
            let to: PathBuf = work.join(format!("{}.mp4", plan.name));
            Launch::foreign(&format!("ffmpeg-{}", plan.name), "ffmpeg")
                .args(["-v", "error", "-rtsp_transport", "tcp", "-i", &plan.url, "-c", "copy"])
                .args(["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"])
                .args([to])
                .start(&work.join("log"))
        })
        .collect()
}

fn cpu_of(peers: &[Running]) -> Result<f64> {
    peers.iter().map(|peer| cpu_s(peer.id().context("an ffmpeg has ended")?)).sum()
}

/// User and system time of a process so far, by `proc(5)` `stat` fields 14 and 15.
pub(super) fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("stat without a name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> {
        let field = fields.get(at).context("stat is too short")?;
        Ok(f64::from(field.parse::<u32>()?))
    };
    // USER_HZ is 100 on every Linux that we run on.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// A recorder that drops frames is no peer of one that does not.
fn ensure_full_rate(cameras: &Value) -> Result<()> {
    for camera in cameras.as_array().map_or(&[][..], Vec::as_slice) {
        let rate = camera["frames_per_second"].as_f64().unwrap_or(0.0);
        ensure!(rate > 23.0, "a camera was recorded at {rate} frames a second:\n{camera:#}");
    }
    Ok(())
}
