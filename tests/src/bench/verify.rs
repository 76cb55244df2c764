//! CPU time to verify a bundle on one core, beside `sha256sum` over every file of it; and how the time
//! that passes shrinks when all cores may read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use verifier::forge::files;
use verifier::forge::world::World;

use super::{Figure, machine};
use crate::rig::process::{Launch, program};

/// Bytes put into each of the 44 fragments: half a gigabyte of masters and copies.
const FRAGMENT_BYTES: usize = 6 << 20;
/// Each is measured so often, in turns; the least counts, because a busy machine only adds.
const ROUNDS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(600);

/// CPU seconds, and seconds that passed.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu_s: f64,
    wall_s: f64,
}

pub(super) async fn run(folder: &Path) -> Result<Figure> {
    let (bundle, key, bytes) = make(folder)?;
    let every = list(&bundle)?;
    let (mut ours, mut cores, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(verify(&bundle, &key, 1).await?);
        theirs.push(sha256sum(&every).await?);
        cores.push(verify(&bundle, &key, verifier::cores()).await?);
    }
    let (ours, cores, theirs) = (least(&ours)?, least(&cores)?, least(&theirs)?);
    #[expect(clippy::cast_precision_loss, reason = "half a gigabyte")]
    let gigabytes = bytes as f64 / 1e9;
    let threads = verifier::cores();
    let scaling = cores.wall_s / ours.wall_s;
    fs::remove_dir_all(folder.join("verify"))?;
    let ratio = ours.cpu_s / theirs.cpu_s;
    Ok(Figure {
        name: "verify",
        figure: ours.cpu_s / gigabytes,
        unit: "CPU seconds per GB, one thread",
        peer: "sha256sum over every file of the bundle",
        peer_figure: theirs.cpu_s / gigabytes,
        ratio,
        goal: "ratio at most 1.3 on one core; two threads take at most 0.7 of one thread's time",
        holds: ratio <= 1.3 && (threads < 2 || scaling <= 0.7),
        machine: format!("{}; {threads} threads take {scaling:.2} of one thread's time", machine()),
        command: "make bench NAME=verify".to_owned(),
    })
}

/// Makes the bundle and gives its folder, the key's file, and its bytes.
fn make(folder: &Path) -> Result<(PathBuf, PathBuf, u64)> {
    let work = folder.join("verify");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let files = World::with_filler(FRAGMENT_BYTES).folder();
    files::write(&files, &work.join("bundle"))?;
    let key = work.join("authority.pem");
    fs::write(&key, World::published_key().to_pem())?;
    let bytes = files.values().map(|bytes| bytes.len() as u64).sum();
    Ok((work.join("bundle"), key, bytes))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { out.extend(list(&path)?) } else { out.push(path) }
    }
    Ok(out)
}

async fn verify(bundle: &Path, key: &Path, jobs: usize) -> Result<Cost> {
    let launch = Launch::foreign("verify", program("verify")?)
        .args([bundle])
        .args(["--key".as_ref(), key.as_os_str()])
        .args(["--jobs".to_owned(), jobs.to_string()]);
    cost_of(launch).await
}

async fn sha256sum(files: &[PathBuf]) -> Result<Cost> {
    cost_of(Launch::foreign("sha256sum", "sha256sum").args(files)).await
}

/// Runs a program to its end; what it cost.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn cost_of(launch: Launch) -> Result<Cost> {
    let (before, began) = (children()?, Instant::now());
    let output = launch.run(DEADLINE).await?;
    let (after, wall_s) = (children()?, began.elapsed().as_secs_f64());
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Cost { cpu_s: after - before, wall_s })
}

/// User and system seconds of every child that has ended and been waited for, by `proc(5)` `stat`
/// fields 16 and 17.
fn children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').context("stat without a name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> {
        Ok(f64::from(fields.get(at).context("stat is too short")?.parse::<u32>()?))
    };
    // USER_HZ is 100 on every Linux that we run on.
    Ok((ticks(13)? + ticks(14)?) / 100.0)
}

fn least(costs: &[Cost]) -> Result<Cost> {
    let least = |of: fn(&Cost) -> f64| costs.iter().map(of).min_by(f64::total_cmp);
    let cpu_s = least(|cost| cost.cpu_s).context("it was measured")?;
    let wall_s = least(|cost| cost.wall_s).context("it was measured")?;
    Ok(Cost { cpu_s, wall_s })
}
