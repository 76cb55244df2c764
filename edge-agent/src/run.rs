//! Puts the rooms together and runs them until a signal or a fatal error.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use custody::CameraId;
use custody::log::Checkpoint;
use host::{Clock, Tasks};
use tokio::sync::mpsc;

use crate::config::{self, Config};
use crate::seal::{Identity, KeyError, identity_key};
use crate::store::{Disc, RealDisc, Store};
use crate::tier::{self, Mover};
use crate::witness::{Witness, WitnessError};
use crate::{limits, link, record, retention};

/// Segments are closed and signed within this, or recovery does it at the next start.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// Runs the site of the configuration at `path`.
///
/// # Errors
/// When it cannot start, or something ended it that a restart may mend.
pub fn run_until_signal(path: &Path) -> anyhow::Result<()> {
    host::telemetry::start();
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
    let second = config.second_tier.as_ref().map(|tier| tier.path.as_path());
    let discs: (Arc<dyn Disc>, _) = (Arc::new(RealDisc), second);
    let (store, recovery) =
        Store::open_tiered(&state_dir, identity, clock.clone(), &cameras, discs)
            .with_context(|| format!("{}: the store cannot be opened", state_dir.display()))?;
    tracing::info!(site = %config.site, cameras = cameras.len(), ?recovery, "recording");
    let (fatal, mut failures) = mpsc::channel(4);
    let parts =
        record::Parts { store: store.clone(), clock: clock.clone(), tasks: tasks.clone(), fatal };
    let recorders: Vec<_> = config
        .cameras
        .iter()
        .map(|camera| record::start(&parts, camera.clone(), config.recording))
        .collect();
    let recorders = Arc::new(recorders);
    record::pulse::start(&parts, Arc::clone(&recorders));
    let rules = retention::Rules {
        retain_us: i64::try_from(config.recording.retain_s).unwrap_or(i64::MAX / 1_000_000)
            * 1_000_000,
        reserve_bytes: config.recording.reserve_free_bytes,
    };
    let sweeper = retention::Sweeper::new(store.clone(), clock.clone(), rules);
    tasks.spawn("retention", sweeper.run(tasks.clone()));
    if let Some(settings) = &config.second_tier {
        let rules = tier_rules(settings, &config.recording);
        let mover = Mover::new(store.clone(), clock.clone(), rules, settings.bytes_per_second);
        tasks.spawn("second tier", mover.run(tasks.clone()));
    }
    let witness = witness(&store, &state_dir, clock.clone())?;
    link::start(link::Parts {
        config: Arc::new(config),
        store: store.clone(),
        witness,
        recorders,
        clock,
        tasks: tasks.clone(),
    });
    let ended = tokio::select! {
        signal = host::tasks::stop_signal() => signal.context("cannot handle signals"),
        failure = failures.recv() => Err(anyhow::anyhow!(failure.unwrap_or_default())),
    };
    tracing::info!("stopping: closing and signing open segments");
    let all_ended = tasks.shut_down(SHUTDOWN).await;
    if all_ended && ended.is_ok() {
        let stopping = move || store.stop().and_then(|()| store.publish().map(drop));
        tokio::task::spawn_blocking(stopping).await.context("closing the store")??;
    }
    ended
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
