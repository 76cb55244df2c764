//! Drives one camera through the rooms: camera → mask → segment → store. Decides only what a gap is
//! called; waits for nothing but its own camera and its own file.
//!
//! | file | holds |
//! |---|---|
//! | [`health`] | what is known of a camera now: state, rates, last frame (pure) |
//! | [`lane`] | the one thread on which all cameras are read and cut |
//! | [`pulse`] | the log's checkpoint each second, the site's heartbeat each minute |
//! | `record/keeper.rs` | applies the cutter's outputs to the store, off the async threads |
//!
//! A bounded queue lies between camera and recorder, and another behind the mask if there is one; each
//! is emptied by dropping whole frames up to the next key frame, which becomes a signed gap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use custody::record::GapReason;
use custody::{CameraId, WallTime};
use host::telemetry::chain;
use host::{Clock, Tasks};
use tokio::sync::mpsc;

use crate::camera::{self, Address, Event, Facts, Reason};
use crate::config::{Camera, Masking, Recording};
use crate::mask;
use crate::segment::cut::{self, Cutter};
use crate::store::Store;

pub mod health;
mod keeper;
pub mod lane;
pub mod pulse;

pub use health::{Health, Snapshot};
use keeper::{Keeper, Outcome};

/// A gap is signed at least this often, so that absence is provable while it lasts.
const GAP_US_MAX: i64 = 60_000_000;
/// How often a recorder looks at its clock when nothing comes.
const LOOK: Duration = Duration::from_millis(500);

/// What every recorder of a site shares.
#[derive(Clone)]
pub struct Parts {
    /// Where footage is kept.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Where its tasks hang.
    pub tasks: Tasks,
    /// How many cameras are connected to at once.
    pub gate: camera::Gate,
    /// Masks for all its cameras.
    pub mask: mask::Pool,
    /// Told when the process must end: a failed sync, a mask worker that panicked.
    pub fatal: mpsc::Sender<String>,
}

/// A camera being recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Its settings.
    pub camera: Camera,
    health: Arc<Mutex<Health>>,
}

impl Recorder {
    /// What is known of the camera now.
    #[must_use]
    pub fn snapshot(&self, now: WallTime) -> Snapshot {
        lock(&self.health).snapshot(now)
    }
}

fn lock(health: &Mutex<Health>) -> MutexGuard<'_, Health> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts recording `camera`. Ends when `parts.tasks` is asked to stop, its segment closed.
#[must_use]
pub fn start(parts: &Parts, camera: Camera, recording: Recording) -> Recorder {
    let facts = Facts::default();
    let health = Arc::new(Mutex::new(Health::of(facts.clone())));
    let recorder = Recorder { camera: camera.clone(), health: health.clone() };
    let (events, received) = camera::outbox::queue();
    let address = match camera.address_with_credentials() {
        Ok(address) => address,
        Err(error) => {
            tracing::error!(camera = %camera.id, %error, "credentials file cannot be used; trying without");
            camera.address.clone()
        }
    };
    let mut settings = session_settings(address, &recording);
    (settings.gate, settings.facts) = (parts.gate.clone(), facts.clone());
    settings.pin.clone_from(&camera.pin);
    // The camera stops first; then the queues run dry, the segment is closed, the recorder ends.
    let tasks = parts.tasks.clone();
    let stop = async move { tasks.stopping().await };
    let receiving = camera::run(settings, parts.clock.clone(), random, events, stop);
    parts.tasks.spawn("camera", receiving);
    let approver = match &camera.masking {
        Masking::NotRequired(approval) => approval.approver().to_owned(),
        Masking::Required(_) => String::new(),
    };
    let now = parts.clock.now();
    let task = Task {
        cutter: Cutter::new(&camera.id, cut::Settings { segment_s: recording.segment_s }),
        keeper: Some(Keeper::new(parts.store.clone(), camera.id.clone(), now, approver)),
        id: camera.id.clone(),
        health,
        facts,
        parts: parts.clone(),
        cause: Cause::starting(),
        gap_signed: now,
    };
    parts.tasks.spawn("recorder", task.run(received, camera.masking));
    recorder
}

fn session_settings(address: Address, recording: &Recording) -> camera::Settings {
    let mut settings = camera::Settings::new(address);
    settings.limits.silence_ms_max = recording.stall_ms;
    settings
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Only spreads the pauses: without chance they are merely not spread.
    let _spread = aws_lc_rs::rand::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

/// What the next gap will be called.
#[derive(Debug, Clone)]
struct Cause {
    reason: GapReason,
    detail: String,
}

impl Cause {
    fn starting() -> Self {
        Self::of(GapReason::CameraUnreachable, "the first session has not begun")
    }

    fn of(reason: GapReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

fn gap_reason(reason: Reason) -> GapReason {
    match reason {
        Reason::Unreachable => GapReason::CameraUnreachable,
        Reason::CredentialsRefused => GapReason::CredentialsRefused,
        Reason::NotFound => GapReason::StreamNotFound,
        Reason::CodecUnsupported => GapReason::CodecUnsupported,
        Reason::Stalled => GapReason::StreamStalled,
        Reason::Garbage => GapReason::StreamGarbage,
        Reason::Ended => GapReason::StreamEnded,
        Reason::NeverKeyFrame => GapReason::NoKeyFrame,
    }
}

/// Where the frames that may be kept come from.
enum Outputs {
    /// From the camera itself, which needs no mask.
    Unmasked(mpsc::Receiver<Event>, mask::NoMask),
    /// From the pool of masks.
    Masked(mpsc::Receiver<mask::Output>),
}

impl Outputs {
    async fn recv(&mut self) -> Option<mask::Output> {
        match self {
            Self::Unmasked(events, approval) => {
                events.recv().await.map(|event| mask::pass_event(event, approval))
            }
            Self::Masked(outputs) => outputs.recv().await,
        }
    }
}

struct Task {
    id: CameraId,
    cutter: Cutter,
    /// Away only while it works on a blocking thread.
    keeper: Option<Keeper>,
    health: Arc<Mutex<Health>>,
    facts: Facts,
    parts: Parts,
    cause: Cause,
    /// When footage or a gap was last signed.
    gap_signed: WallTime,
}

impl Task {
    async fn run(mut self, events: mpsc::Receiver<Event>, masking: Masking) {
        let outputs = match masking {
            Masking::NotRequired(approval) => Outputs::Unmasked(events, approval),
            Masking::Required(policy) => match self.mask(events, policy) {
                Ok(outputs) => Outputs::Masked(outputs),
                Err(error) => {
                    // Fail closed: nothing is recorded, and the gaps say so.
                    self.note(Cause::of(GapReason::MaskNotApplied, error));
                    Outputs::Masked(mpsc::channel(1).1)
                }
            },
        };
        self.drain(outputs).await;
        let was_down = self.cutter.open_since().is_none();
        let closing = self.cutter.handle_cut(cut::CloseReason::Finished);
        self.keep(closing, false).await;
        if was_down {
            // What was missing before the stop has its own reason; the stop's gap follows it.
            self.sign_gap(self.parts.clock.now()).await;
        }
    }

    /// The frames that may be kept of a camera whose events go through the pool of masks.
    fn mask(
        &self,
        mut events: mpsc::Receiver<Event>,
        policy: mask::Policy,
    ) -> Result<mpsc::Receiver<mask::Output>, String> {
        let started = self.parts.mask.start(self.id.name(), policy);
        let mask::Pipeline { mut feeder, outputs } = started.map_err(|error| chain(&error))?;
        self.parts.tasks.spawn("mask feeder", async move {
            while let Some(event) = events.recv().await {
                if feeder.feed(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(outputs)
    }

    async fn drain(&mut self, mut outputs: Outputs) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut open = true;
        loop {
            tokio::select! {
                output = outputs.recv(), if open => match output {
                    Some(output) => self.take(output).await,
                    None if self.parts.tasks.is_stopping() => return,
                    // No mask: gaps are signed until the end.
                    None => open = false,
                },
                _ = look.tick() => {
                    if !open && self.parts.tasks.is_stopping() {
                        return;
                    }
                    self.sign_gap_if_due().await;
                }
            }
        }
    }

    async fn take(&mut self, output: mask::Output) {
        match &output {
            mask::Output::Frame(frame) => lock(&self.health).handle_frame(frame),
            mask::Output::Connected => lock(&self.health).handle_session(),
            mask::Output::Jump { from, to } => {
                let detail = format!("the camera's time went from {from} to {to}");
                self.note(Cause::of(GapReason::TimestampJump, detail));
            }
            mask::Output::Overrun { frames } => {
                let detail = format!("{frames} frames were dropped");
                self.note(Cause::of(GapReason::RecorderOverrun, detail));
            }
            mask::Output::LeftOut { detail, .. } => {
                self.note(Cause::of(GapReason::MaskOverload, detail.clone()));
            }
            mask::Output::MaskFailed { detail, .. } => {
                tracing::error!(camera = %self.id, detail, "mask not applied; not recording");
                self.note(Cause::of(GapReason::MaskNotApplied, detail.clone()));
            }
            mask::Output::Down { reason, detail, .. } => {
                tracing::warn!(camera = %self.id, reason = reason.code(), detail, "camera down");
                self.note(Cause::of(gap_reason(*reason), detail.clone()));
            }
        }
        let healthy = matches!(output, mask::Output::Frame(_));
        let outputs = self.cutter.handle(output);
        if healthy {
            self.forget_old_cause(&outputs);
        }
        if !outputs.is_empty() {
            self.keep(outputs, healthy).await;
        }
    }

    /// A segment that ends amid frames ends for its own reason, not for that of an older trouble.
    fn forget_old_cause(&mut self, outputs: &[cut::Output]) {
        let closed = outputs.iter().find_map(|output| match output {
            cut::Output::Close { reason, .. } => Some(*reason),
            _ => None,
        });
        match closed {
            None => {}
            Some(cut::CloseReason::Gap) => {
                let detail = "the session stood, and no frame came for more than 3 s";
                self.cause = Cause::of(GapReason::StreamStalled, detail);
            }
            Some(reason) => {
                let detail = format!("the stream was cut: {}", reason.code());
                self.cause = Cause::of(GapReason::StreamEnded, detail);
            }
        }
    }

    /// Remembers why the next gap is one. While footage comes the state stays `recording`.
    fn note(&mut self, cause: Cause) {
        lock(&self.health).handle_trouble(cause.reason, &cause.detail);
        self.cause = cause;
    }

    /// Lets the store have what was cut. Waits for this camera's own disc writes, nothing else.
    /// `healthy`: they came of a frame, and not of the camera's going.
    async fn keep(&mut self, outputs: Vec<cut::Output>, healthy: bool) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let cause = self.cause.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let outcome = keeper.keep(outputs, cause.reason, &cause.detail);
            (keeper, outcome)
        });
        // A panic there ends the process: nobody knows what reached the disc.
        let Ok((keeper, outcome)) = kept.await else {
            drop(self.parts.fatal.send(format!("writing {} panicked", self.id)).await);
            return;
        };
        self.keeper = Some(keeper);
        self.settle(outcome, healthy).await;
    }

    async fn settle(&mut self, outcome: Outcome, healthy: bool) {
        match outcome {
            Outcome::Kept { until } => {
                self.gap_signed = self.gap_signed.max(until);
                self.facts.set_written(self.parts.clock.tick().0);
                if healthy {
                    lock(&self.health).handle_kept(self.parts.clock.now());
                }
            }
            Outcome::Nothing => {}
            Outcome::Lost { reason, detail } => {
                tracing::error!(camera = %self.id, reason = reason.as_str(), detail, "footage not kept");
                self.note(Cause::of(reason, detail));
                // What the cutter holds belongs to the lost segment; the next key frame begins anew.
                drop(self.cutter.handle_cut(cut::CloseReason::Refused));
            }
            Outcome::Fatal(why) => drop(self.parts.fatal.send(why).await),
        }
    }

    /// Signs a gap up to now when nothing was signed for a minute.
    async fn sign_gap_if_due(&mut self) {
        let now = self.parts.clock.now();
        lock(&self.health).handle_look(now);
        if self.cutter.open_since().is_some() || now.micros_since(self.gap_signed) < GAP_US_MAX {
            return;
        }
        self.sign_gap(now).await;
    }

    async fn sign_gap(&mut self, now: WallTime) {
        self.gap_signed = now;
        let Some(mut keeper) = self.keeper.take() else { return };
        let cause = self.cause.clone();
        let signed = tokio::task::spawn_blocking(move || {
            let outcome = keeper.gap(now, cause.reason, &cause.detail);
            (keeper, outcome)
        });
        if let Ok((keeper, outcome)) = signed.await {
            self.keeper = Some(keeper);
            self.settle(outcome, false).await;
        }
    }
}
