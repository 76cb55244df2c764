//! What a site does by the clock: a checkpoint of its log each second, if it grew; a heartbeat each
//! minute, so that a minute without one is provably a minute in which nothing ran.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use custody::CameraId;
use host::telemetry::chain;
use tokio::time::{MissedTickBehavior, interval};

use super::{Parts, Recorder};
use crate::store::{Store, StoreError};

const CHECKPOINT: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Starts both. They end with `parts.tasks`.
pub fn start(parts: &Parts, recorders: Arc<Vec<Recorder>>) {
    let publishing = publish(parts.clone());
    parts.tasks.spawn("log publisher", publishing);
    parts.tasks.spawn("heartbeat", beat(parts.clone(), recorders));
}

async fn publish(parts: Parts) {
    let mut second = interval(CHECKPOINT);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = parts.tasks.stopping() => return,
            _ = second.tick() => {}
        }
        act(&parts, |store| store.publish().map(drop)).await;
    }
}

async fn beat(parts: Parts, recorders: Arc<Vec<Recorder>>) {
    let mut minute = interval(HEARTBEAT);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = parts.tasks.stopping() => return,
            _ = minute.tick() => {}
        }
        let now = parts.clock.now();
        let state = |recorder: &Recorder| {
            (recorder.camera.id.clone(), recorder.snapshot(now).state.to_owned())
        };
        let states: BTreeMap<CameraId, String> = recorders.iter().map(state).collect();
        act(&parts, move |store| store.heartbeat(&states)).await;
    }
}

/// Lets a blocking thread do it. What the disc refuses is tried again at the next time; a fatal error
/// ends the process.
async fn act(parts: &Parts, what: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static) {
    let store = parts.store.clone();
    match tokio::task::spawn_blocking(move || what(&store)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if !error.is_fatal() => {
            tracing::error!(error = %chain(&error), "site log: will try again");
        }
        Ok(Err(error)) => drop(parts.fatal.send(chain(&error)).await),
        Err(_) => drop(parts.fatal.send("the site log's thread panicked".to_owned()).await),
    }
}
