//! Masked 1080p25 cameras that one core carries, beside `ffmpeg -vf drawbox -c:v libx264 -preset
//! ultrafast` on the same clip: CPU seconds per camera-second, at no more bytes and no worse SSIM
//! outside the mask. Ours is the mask room as the recorder runs it, with one worker: decode, fill,
//! encode, queues and turns. The two take turns, and of each the least of several runs counts, so
//! that what else the machine does falls on both.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use custody::WallTime;
use edge_agent::camera::{Codec, Event, Frame, Parameters};
use edge_agent::mask::{self, Colour, Policy, Pool, Zone, annexb};
use edge_agent::segment::{self, Cutter, cut};
use host::Clock;
use tokio::sync::mpsc;

use super::ingest::{cpu_s, make_clip};
use super::{Figure, machine};
use crate::rig::footage::{AccessUnit, Clip, access_units, nal_type};
use crate::rig::process::Launch;

/// Runs of each side.
const RUNS: usize = 3;
const TICKS_A_FRAME: i64 = 3_600;
const SECONDS_MAX: Duration = Duration::from_secs(300);
/// The mask, in pixels: left, top, width, height. A tenth of the picture.
const BOX: (u32, u32, u32, u32) = (96, 108, 480, 432);
const SIZE: (u32, u32) = (1920, 1080);
/// Samples around the mask whose likeness is not measured.
const EDGE: u32 = 8;

#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
pub(super) async fn run(folder: &Path) -> Result<Figure> {
    make_clip().await?;
    let work = folder.join("mask");
    fs::create_dir_all(&work)?;
    let frames = frames()?;
    #[expect(clippy::cast_precision_loss, reason = "hundreds of frames")]
    let seconds = frames.len() as f64 / 25.0;
    let (ours_path, peer_path) = (work.join("ours.mp4"), work.join("peer.mp4"));
    let (mut ours_s, mut peer_s) = (f64::MAX, f64::MAX);
    let (mut ours_bytes, mut peer_bytes) = (0, 0);
    for _ in 0..RUNS {
        let before = cpu_s(std::process::id())?;
        let clean = masked(&frames).await?;
        ours_s = ours_s.min((cpu_s(std::process::id())? - before) / seconds);
        ours_bytes = write(&clean, &ours_path)?;
        // The peer aims at the bytes that ours took, or at the camera's if those are fewer.
        let (cpu, bytes) = peer(&peer_path, ours_bytes, seconds).await?;
        (peer_s, peer_bytes) = (peer_s.min(cpu / seconds), bytes);
    }
    let decoding_s = decoding().await? / seconds;
    let (ours_ssim, peer_ssim) = (ssim(&ours_path).await?, ssim(&peer_path).await?);
    #[expect(clippy::cast_precision_loss, reason = "kilobits")]
    let kilobits = |bytes: u64| bytes as f64 * 8.0 / 1000.0 / seconds;
    println!(
        "mask, one camera of 1080p25: ours {ours_s:.3} of a core at {:.0} kb/s, SSIM {ours_ssim:.5}; \
         ffmpeg {peer_s:.3} at {:.0} kb/s, SSIM {peer_ssim:.5}; decoding alone {decoding_s:.3}; \
         a core carries {:.1} cameras and {:.1}",
        kilobits(ours_bytes),
        kilobits(peer_bytes),
        1.0 / ours_s,
        1.0 / peer_s
    );
    let ratio = peer_s / ours_s;
    let no_worse = ours_ssim >= peer_ssim && ours_bytes <= peer_bytes + peer_bytes / 100;
    Ok(Figure {
        name: "mask",
        figure: 1.0 / ours_s,
        unit: "masked 1080p25 cameras of 4 Mb/s on one core",
        peer: "ffmpeg -vf drawbox -c:v libx264 -preset ultrafast, one thread, same bitrate",
        peer_figure: 1.0 / peer_s,
        ratio,
        goal: "ratio at least 1.2, at no more bytes and no worse SSIM outside the mask",
        holds: ratio >= 1.2 && no_worse,
        machine: machine(),
        command: "make bench NAME=mask".to_owned(),
    })
}

/// The clip's pictures as a camera's.
fn frames() -> Result<Vec<Frame>> {
    let units = access_units(Clip::Walkway4M)?;
    let is_parameter = |nal: &&Bytes| matches!(nal_type(nal), 7 | 8);
    let header: Vec<u8> = units[0]
        .nals
        .iter()
        .filter(is_parameter)
        .flat_map(|nal| [&[0_u8, 0, 1][..], &nal[..]].concat())
        .collect();
    let (decoder_config, rfc6381) = annexb::decoder_config(&header)?;
    let (width, height) = (u16::try_from(SIZE.0)?, u16::try_from(SIZE.1)?);
    let codec = Codec::H264;
    let parameters = Arc::new(Parameters { codec, width, height, decoder_config, rfc6381 });
    let frame = |(n, unit): (i64, &AccessUnit)| -> Result<Frame> {
        let mut data = BytesMut::new();
        for nal in unit.nals.iter().filter(|nal| !is_parameter(nal)) {
            data.put_u32(u32::try_from(nal.len())?);
            data.put_slice(nal);
        }
        let wall = WallTime(1_700_000_000_000_000 + n * 40_000);
        Ok(Frame {
            pts: n * TICKS_A_FRAME,
            wall,
            arrived: wall,
            key: unit.key,
            data: data.freeze(),
            parameters: Arc::clone(&parameters),
            lost: 0,
            camera_offset_ms: None,
        })
    };
    (0..).zip(&units).map(frame).collect()
}

fn policy() -> Result<Policy> {
    let (left, top, width, height) = BOX;
    let x = |pixels: u32| f64::from(pixels) / f64::from(SIZE.0);
    let y = |pixels: u32| f64::from(pixels) / f64::from(SIZE.1);
    let (right, bottom) = (x(left + width), y(top + height));
    let corners = vec![[x(left), y(top)], [right, y(top)], [right, bottom], [x(left), bottom]];
    Ok(Policy {
        policy_id: "bench".to_owned(),
        revision: 1,
        approved_by: "bench".to_owned(),
        zones: vec![Zone::try_from(corners)?],
        colour: Colour::BLACK,
    })
}

/// What the mask room makes of `frames`, as fast as one worker can.
async fn masked(frames: &[Frame]) -> Result<Vec<mask::Output>> {
    let (fatal, mut told) = mpsc::channel(1);
    let settings = mask::Settings { workers: 1, ..mask::Settings::default() };
    let pool = Pool::open(&settings, 1, &Clock::system(), &fatal);
    drop(fatal);
    let mask::Pipeline { mut feeder, mut outputs } = pool.start("bench", policy()?)?;
    drop(pool);
    let mut all = Vec::with_capacity(frames.len());
    for (sent, frame) in frames.iter().enumerate() {
        feeder.feed(Event::Frame(frame.clone())).await?;
        // A second of frames is on its way, as when a camera sends a little faster than is masked.
        while sent - all.len() >= 24 {
            all.push(outputs.recv().await.context("the mask ended")?);
        }
    }
    drop(feeder);
    while let Some(output) = outputs.recv().await {
        all.push(output);
    }
    if let Some(why) = told.recv().await {
        bail!(why);
    }
    ensure!(all.len() == frames.len(), "{} of {} frames came out", all.len(), frames.len());
    Ok(all)
}

/// As the recorder would keep it, without seal. Gives the bytes of its pictures.
fn write(outputs: &[mask::Output], path: &Path) -> Result<u64> {
    let camera = "bench/ext-01".parse()?;
    let mut cutter = Cutter::new(&camera, cut::Settings { segment_s: 600 });
    let (mut file, mut bytes) = (Vec::new(), 0);
    let mut keep = |outputs: Vec<segment::Output>| -> Result<()> {
        for output in outputs {
            match output {
                cut::Output::Open { init, .. } => {
                    ensure!(file.is_empty(), "the stream was cut");
                    file.extend_from_slice(&init);
                }
                cut::Output::Fragment(fragment) => {
                    file.extend_from_slice(fragment.head());
                    fragment.frames().iter().for_each(|frame| file.extend_from_slice(frame));
                }
                cut::Output::Close { .. } => {}
                cut::Output::Refused { detail, .. } => bail!(detail),
            }
        }
        Ok(())
    };
    for output in outputs {
        let mask::Output::Frame(frame) = output else { bail!("not a picture: {output:?}") };
        bytes += frame.data().len() as u64;
        keep(cutter.handle(output.clone()))?;
    }
    keep(cutter.handle_cut(cut::CloseReason::Finished))?;
    fs::write(path, file)?;
    Ok(bytes)
}

/// A box as `ffmpeg` draws it.
fn drawbox((left, top, width, height): (u32, u32, u32, u32)) -> String {
    format!("drawbox=x={left}:y={top}:w={width}:h={height}:color=black:t=fill")
}

/// Masks the clip by `ffmpeg`. Gives its CPU seconds and the bytes of its pictures.
async fn peer(to: &Path, bytes: u64, seconds: f64) -> Result<(f64, u64)> {
    #[expect(clippy::cast_precision_loss, reason = "bits a second")]
    let bits_per_second = format!("{:.0}", bytes as f64 * 8.0 / seconds);
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-nostdin", "-y", "-benchmark", "-threads", "1", "-i"])
        .args([Clip::Walkway4M.path()])
        .args(["-vf", &drawbox(BOX), "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"])
        .args(["-g", "50", "-b:v", &bits_per_second])
        .args([to])
        .run(SECONDS_MAX)
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ffmpeg: {said}");
    Ok((benchmark_s(&said)?, coded_bytes(to).await?))
}

/// CPU seconds to decode the clip.
async fn decoding() -> Result<f64> {
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-nostdin", "-benchmark", "-threads", "1", "-i"])
        .args([Clip::Walkway4M.path()])
        .args(["-f", "null", "-"])
        .run(SECONDS_MAX)
        .await?;
    benchmark_s(&String::from_utf8_lossy(&output.stderr))
}

/// `bench: utime=6.480s stime=0.140s rtime=6.630s`
fn benchmark_s(said: &str) -> Result<f64> {
    let line = said.lines().rev().find(|line| line.contains("utime=")).context("no times")?;
    let of = |key: &str| -> Result<f64> {
        let (_, after) = line.split_once(key).with_context(|| format!("no {key} in {line}"))?;
        let text = after.split('s').next().unwrap_or_default();
        text.parse().with_context(|| format!("{key} in {line}"))
    };
    Ok(of("utime=")? + of("stime=")?)
}

async fn coded_bytes(path: &Path) -> Result<u64> {
    let output = Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size"])
        .args(["-of", "csv=p=0"])
        .args([path])
        .run(SECONDS_MAX)
        .await?;
    let sizes = String::from_utf8(output.stdout)?;
    let sizes = sizes.lines().map(|line| line.trim_end_matches(',').parse::<u64>());
    Ok(sizes.sum::<Result<u64, _>>()?)
}

/// Mean structural similarity with the camera's pictures outside the mask, by ffmpeg's own filter:
/// a box is drawn over both, so that within it they are equal, and that part is taken off. It is the mask's
/// and [`EDGE`] around it: ours covers the samples that the mask's edge touches, which drawbox does
/// not, and the filter's windows are eight samples wide.
async fn ssim(of: &Path) -> Result<f64> {
    let (left, top, width, height) = BOX;
    let (width, height) = (width + 2 * EDGE, height + 2 * EDGE);
    let mask = drawbox((left - EDGE, top - EDGE, width, height));
    let graph = format!("[0:v]{mask}[a];[1:v]{mask}[b];[a][b]ssim");
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-nostdin", "-i"])
        .args([of])
        .args(["-i"])
        .args([Clip::Walkway4M.path()])
        .args(["-lavfi", &graph, "-f", "null", "-"])
        .run(SECONDS_MAX)
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, after) = said.rsplit_once("SSIM Y:").with_context(|| format!("no SSIM: {said}"))?;
    let all: f64 = after.split(' ').next().unwrap_or_default().parse()?;
    let covered = f64::from(width) * f64::from(height) / (f64::from(SIZE.0) * f64::from(SIZE.1));
    Ok((all - covered) / (1.0 - covered))
}
