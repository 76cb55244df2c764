//! Puts the rooms together and runs them until a signal or a fatal error.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use custody::CameraId;
use custody::log::Checkpoint;
use host::{Clock, Tasks};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::sync::mpsc;

use crate::config::{self, Config};
use crate::guest::GuestRoom;
use crate::retention::admission::{self, AdmissionError};
use crate::retention::{self, Board, Grace, Sweeper, Watchdog, watchdog};
use crate::scrub::{self, Scrubber};
use crate::seal::{Identity, KeyError, identity_key, root};
use crate::store::{Places, Store};
use crate::tier::{self, Mover};
use crate::witness::{Witness, WitnessError};
use crate::{camera, limits, link, mask, record};

/// Segments are closed and signed within this, or recovery does it at the next start.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// After a disc that refused to read footage in.
const RETRY: Duration = Duration::from_secs(10);

/// Runs the site of the configuration at `path`.
///
/// # Errors
/// When it cannot start, or something ended it that a restart may mend.
pub fn run_until_signal(path: &Path) -> anyhow::Result<()> {
    host::telemetry::start();
    keep_keys_in_memory();
    host::quic::install_crypto();
    let (config, bytes) = config::load(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let outcome = runtime.block_on(run(config, &bytes));
    // A blocking write that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Checks the configuration at `path`, also whether its disc, or one of `disc_bytes`, can hold what
/// it asks. Says what it found.
///
/// # Errors
/// Every mistake; or by how much the disc is too small, and with which cameras it would do.
pub fn check(path: &Path, disc_bytes: Option<u64>) -> anyhow::Result<String> {
    let (config, _) = config::load(path)?;
    let good =
        format!("{}: good; site {}, {} cameras", path.display(), config.site, config.cameras.len());
    match admission::look(&config, disc_bytes, Clock::system().now()) {
        Ok(found) if found.fits() => Ok(format!("{good}\n{found}")),
        Ok(found) => Err(anyhow::anyhow!("{found}")),
        Err(error @ AdmissionError::NoDisc(_)) => Ok(format!("{good}\n{error}")),
        Err(error) => Err(error.into()),
    }
}

/// How long footage is kept, by the settings.
fn rules(config: &Config) -> retention::Rules {
    let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000) * 1_000_000;
    let keep = |class: &config::Class| retention::Keep {
        floor_us: micros(class.floor_s),
        ceiling_us: micros(class.ceiling_s),
    };
    retention::Rules {
        standard: keep(config.classes.standard()),
        cameras: config.cameras.iter().map(|c| (c.id.clone(), keep(&c.class))).collect(),
        reserve_bytes: config.recording.reserve_free_bytes,
    }
}

/// Starts the sweep and, beside it, its watchdog. Gives where that shows what it sees.
fn start_retention(
    config: &Config,
    store: &Store,
    clock: &Clock,
    grace: &Grace,
    tasks: &Tasks,
) -> Board {
    let rules = rules(config);
    let sweeper = Sweeper::new(store.clone(), clock.clone(), rules.clone());
    let sweeper = sweeper.with_grace(grace.clone());
    let recorded = config.cameras.iter().map(|c| (c.id.clone(), c.expected_kbps)).collect();
    let second_reserve_bytes = config.second_tier.as_ref().map_or(0, |t| t.reserve_free_bytes);
    let settings = watchdog::Settings { rules, recorded, second_reserve_bytes };
    let watchdog = Watchdog::new(store.clone(), clock.clone(), settings, sweeper.last());
    let board = watchdog.board();
    tasks.spawn("retention", sweeper.run(tasks.clone()));
    tasks.spawn("retention watchdog", watchdog.run(tasks.clone()));
    board
}

async fn run(config: Config, config_bytes: &[u8]) -> anyhow::Result<()> {
    let clock = Clock::system();
    let tasks = Tasks::new();
    let state_dir = config.state_dir.clone();
    host::durable::create_folder(&state_dir).with_context(|| {
        format!("{}: cannot be created; check the disc and the owner", state_dir.display())
    })?;
    let identity = identity(&config, config_bytes)
        .with_context(|| format!("{}: keys", state_dir.display()))?;
    let cameras: Vec<CameraId> = config.cameras.iter().map(|c| c.id.clone()).collect();
    let root = root::open(&config.site_key, &state_dir)
        .with_context(|| format!("{}: the site key", state_dir.display()))?;
    let second = config.second_tier.as_ref().map(|tier| tier.path.as_path());
    let places = Places { root, second, ..Places::of(&state_dir) };
    let (store, recovery) = Store::open_with(&state_dir, identity, clock.clone(), &cameras, places)
        .with_context(|| format!("{}: the store cannot be opened", state_dir.display()))?;
    tracing::info!(site = %config.site, cameras = cameras.len(), ?recovery, "recording");
    let (fatal, mut failures) = mpsc::channel(4);
    let mask = mask_pool(&config, &clock, &fatal).await?;
    let parts = record::Parts {
        store: store.clone(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        gate: camera::Gate::default(),
        mask: mask.clone(),
        fatal,
    };
    let lane = record::lane::Lane::start().context("cannot start the cameras' thread")?;
    let recorders: Arc<Vec<_>> = Arc::new({
        let _on = lane.enter();
        let start =
            |camera: &config::Camera| record::start(&parts, camera.clone(), config.recording);
        config.cameras.iter().map(start).collect()
    });
    record::pulse::start(&parts, Arc::clone(&recorders));
    store.set_hold_budget(config.hold_budget);
    let grace = Grace::at_start(clock.tick());
    let retention = start_retention(&config, &store, &clock, &grace, &tasks);
    start_mover(&config, &store, &clock, &tasks);
    let copies = link::Copies::default();
    read_in(&parts);
    scrub(&parts, config.scrub, copies.clone())?;
    let witness = witness(&store, &state_dir, clock.clone())?;
    link::start(link::Parts {
        guests: GuestRoom::open(&state_dir, &store, config.recording.reserve_free_bytes),
        config: Arc::new(config),
        store: store.clone(),
        grace,
        witness,
        recorders,
        copies,
        mask,
        retention,
        clock,
        tasks: tasks.clone(),
    });
    let ended = tokio::select! {
        signal = host::tasks::stop_signal() => signal.context("cannot handle signals"),
        failure = failures.recv() => Err(anyhow::anyhow!(failure.unwrap_or_default())),
    };
    tracing::info!("stopping: closing and signing open segments");
    let all_ended = tasks.shut_down(SHUTDOWN).await;
    tracing::info!("kept by the store: {}", store.effort());
    drop(lane);
    if all_ended && ended.is_ok() {
        let stopping = move || store.stop().and_then(|()| store.publish().map(drop));
        tokio::task::spawn_blocking(stopping).await.context("closing the store")??;
    }
    ended
}

/// Reads in what a lost index no longer knows, until all of it is known.
fn read_in(parts: &record::Parts) {
    let record::Parts { store, tasks, fatal, .. } = parts.clone();
    let stopping = tasks.clone();
    tasks.spawn("index rebuild", async move {
        while !stopping.is_stopping() {
            let reading = store.clone();
            match tokio::task::spawn_blocking(move || reading.read_in()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) | Err(_) => return,
                Ok(Err(error)) if error.is_fatal() => {
                    return drop(fatal.send(host::telemetry::chain(&error)).await);
                }
                Ok(Err(error)) => {
                    let error = host::telemetry::chain(&error);
                    tracing::error!(error, "reading footage in: will try again");
                    tokio::select! {
                        () = stopping.stopping() => return,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    });
}

/// Reads footage again on a thread of its own. Nobody waits for it: it changes nothing in part.
fn scrub(parts: &record::Parts, rules: scrub::Rules, copies: link::Copies) -> anyhow::Result<()> {
    let (store, clock, tasks) = (parts.store.clone(), parts.clock.clone(), parts.tasks.clone());
    let scrubber = Scrubber::new(store, clock, rules, Arc::new(copies));
    let thread = std::thread::Builder::new().name("scrub".into());
    drop(thread.spawn(move || scrubber.run(&tasks)).context("cannot start the scrub thread")?);
    Ok(())
}

/// The workers of all masked cameras. Drivers are tried out here, once, before anything records.
async fn mask_pool(
    config: &Config,
    clock: &Clock,
    fatal: &mpsc::Sender<String>,
) -> anyhow::Result<mask::Pool> {
    let masked = |camera: &&config::Camera| matches!(camera.masking, config::Masking::Required(_));
    let cameras = config.cameras.iter().filter(masked).count();
    let (settings, clock, fatal) = (config.mask, clock.clone(), fatal.clone());
    let opening = move || mask::Pool::open(&settings, cameras, &clock, &fatal);
    tokio::task::spawn_blocking(opening).await.context("starting the mask workers")
}

/// Keys live in this process: no core dump takes them to a disc, and no other process of the same user
/// looks into its memory. That it is never swapped out is the unit's to see to.
fn keep_keys_in_memory() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let kept = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, none));
    if let Err(error) = kept {
        tracing::warn!(%error, "core dumps could not be forbidden: one would hold keys");
    }
}

/// Starts moving older footage to the second disc, if there is one.
fn start_mover(config: &Config, store: &Store, clock: &Clock, tasks: &Tasks) {
    let Some(settings) = &config.second_tier else { return };
    let rules = tier_rules(settings, &config.recording);
    let mover = Mover::new(store.clone(), clock.clone(), rules, settings.bytes_per_second);
    tasks.spawn("second tier", mover.run(tasks.clone()));
}

fn tier_rules(settings: &config::SecondTier, recording: &config::Recording) -> tier::Rules {
    tier::Rules {
        after_us: i64::try_from(settings.after_s).unwrap_or(i64::MAX / 1_000_000) * 1_000_000,
        first_reserve_bytes: recording.reserve_free_bytes.saturating_mul(2),
        second_reserve_bytes: settings.reserve_free_bytes,
        youngest_us: limits::TIER_YOUNGEST_US,
    }
}

/// Who signs, by the key that the settings name.
fn identity(config: &Config, bytes: &[u8]) -> Result<Identity, KeyError> {
    let key = identity_key::open(&config.identity, &config.state_dir)?;
    Identity::with_key(key, &config.state_dir, &config.site, config.domain.as_str(), bytes)
}

/// The witness of other logs, which cosigns by the site's witness key.
fn witness(store: &Store, state_dir: &Path, clock: Clock) -> Result<Witness, WitnessError> {
    let own_logs = store.identity().log_origin("");
    let signing = store.clone();
    let cosign = Box::new(move |checkpoint: &Checkpoint, at| {
        let identity = signing.identity();
        checkpoint.cosign(&identity.witness_name(), identity.witness_key(), at)
    });
    Witness::open(state_dir, &own_logs, clock, cosign)
}
