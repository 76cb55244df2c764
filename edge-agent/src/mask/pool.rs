//! A site's mask workers: a bounded number of threads that share out all masked cameras.
//!
//! ```text
//! camera ─→ Feeder ─[ camera::outbox::QUEUE_EVENTS ]→ its worker ─[ OUTPUTS ]→ its recorder
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `pool/worker.rs` | one thread: its cameras' codecs, turns, sheds, moves |
//!
//! **Why this is sound although ffmpeg-next's `Send` is not.** A camera's codecs are made, used and
//! dropped by one worker's thread. The type that holds them (`Transcoder`) is not `Send`, so the
//! compiler refuses whatever would carry it elsewhere. What does move, from one worker to a less busy
//! one, is a `Seat`: queues, settings and the key frame at which it happens, plain data of ours; the
//! old thread has dropped the codecs before, and the new one opens its own. Each codec has one thread.
//!
//! **When the pool cannot keep up** whole pictures are left out, of all cameras alike, each time up
//! to a key frame ([`super::turns`]); the gap is signed as `mask-overload`. A queue that fills
//! nevertheless drops in the same way. A recorder that takes nothing holds up its own camera alone,
//! and what is dropped then is a `recorder-overrun`. Nothing but frames is ever dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};

use custody::WallTime;
use host::Clock;
use tokio::sync::mpsc;

use super::choice::{Choice, Kind, Settings};
use super::policy::{BadPolicy, Policy};
use super::{Output, transcode};
use crate::camera::Event;
use crate::camera::outbox::{self, Closed, Outbox};
use crate::config::CAMERAS_MAX;

mod worker;

use worker::{Seat, Worker};

/// Masked pictures waiting for the recorder: a second of them.
const OUTPUTS: usize = 32;
/// An overload is over when nothing was left out for this long.
const CALM_US: i64 = 60_000_000;

/// All mask workers of a site. Its threads end when it and all its feeders are gone.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    desks: Arc<[Desk]>,
    /// What encodes, or why nothing does.
    kind: Result<Kind, String>,
    /// A named encoder that could not be used, and why.
    in_vain: Option<String>,
    closing: Arc<AtomicBool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        self.desks.iter().for_each(Desk::wake);
    }
}

/// What others know of a worker.
#[derive(Debug)]
struct Desk {
    arrivals: SyncSender<Box<Seat>>,
    /// Set by the thread itself before it does anything.
    thread: OnceLock<Thread>,
    /// Cameras here or on their way here.
    cameras: AtomicUsize,
    /// What they want of a core, in thousandths.
    permille: AtomicU64,
    left_out: AtomicU64,
    /// Times a device failed and software took over.
    fell_back: AtomicU64,
    last_shed: Mutex<Option<WallTime>>,
}

impl Desk {
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// How the pool does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// FFmpeg's name of what encodes; empty if nothing does.
    pub encoder: &'static str,
    /// Threads.
    pub workers: u64,
    /// Masked cameras.
    pub cameras: u64,
    /// What they want of one core, in thousandths.
    pub permille: u64,
    /// How many cameras like these the workers carry; 0: not known yet.
    pub carries: u64,
    /// Pictures left out since the start because there was no time to mask them.
    pub left_out: u64,
    /// When the last of them was.
    pub last_shed: Option<WallTime>,
    /// Times that a device failed and software took over since the start.
    pub fell_back: u64,
}

fn figures(desks: &[Desk], encoder: &'static str) -> Figures {
    let sum = |of: fn(&Desk) -> u64| desks.iter().map(of).sum::<u64>();
    let permille = sum(|desk| desk.permille.load(Ordering::Relaxed));
    let cameras = sum(|desk| desk.cameras.load(Ordering::Relaxed) as u64);
    let workers = desks.len() as u64;
    let last = |desk: &Desk| *desk.last_shed.lock().unwrap_or_else(PoisonError::into_inner);
    Figures {
        encoder,
        workers,
        cameras,
        permille,
        carries: (workers * 1000 * cameras).checked_div(permille).unwrap_or(0),
        left_out: sum(|desk| desk.left_out.load(Ordering::Relaxed)),
        last_shed: desks.iter().filter_map(last).max(),
        fell_back: sum(|desk| desk.fell_back.load(Ordering::Relaxed)),
    }
}

/// The entry of the mask room.
#[derive(Debug)]
pub struct Feeder {
    outbox: Option<Outbox>,
    /// At which desk the camera sits.
    place: Arc<AtomicUsize>,
    pool: Pool,
}

impl Feeder {
    /// Takes the camera's next event. Waits only for room for [`Event::Down`]; frames are dropped
    /// instead, and counted.
    ///
    /// # Errors
    /// When the camera's recorder is gone, or its worker panicked.
    pub async fn feed(&mut self, event: Event) -> Result<(), Closed> {
        let Some(outbox) = &mut self.outbox else { return Err(Closed) };
        match event {
            Event::Frame(frame) => outbox.offer(frame)?,
            Event::Connected(parameters) => outbox.connected(parameters),
            Event::Jump { from, to } => outbox.jumped(from, to),
            Event::Overrun { frames } => outbox.overrun(frames),
            Event::Down { .. } => outbox.down(event).await?,
        }
        self.wake();
        Ok(())
    }

    /// Whether the next frame would be dropped.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.outbox.as_ref().is_none_or(Outbox::is_full)
    }

    fn wake(&self) {
        if let Some(desk) = self.pool.0.desks.get(self.place.load(Ordering::SeqCst)) {
            desk.wake();
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // First the end of the queue, then the call that makes the worker look at it.
        drop(self.outbox.take());
        self.wake();
    }
}

/// A camera's place in the pool.
#[derive(Debug)]
pub struct Pipeline {
    /// Where the camera's events go in.
    pub feeder: Feeder,
    /// Where they come out, masked. Ends when the feeder is gone and all is out.
    pub outputs: mpsc::Receiver<Output>,
}

/// Why a mask could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The policy cannot be applied.
    #[error("the camera's mask cannot be applied")]
    Policy(#[source] BadPolicy),
    /// Nothing to encode with.
    #[error(
        "nothing here can encode a masked picture ({0}): the program was built without the feature \
         `media`, or the installed FFmpeg has no libx264"
    )]
    NoEncoder(String),
    /// The system gave no thread.
    #[error("no thread for masking: raise the limit on threads")]
    NoThread,
}

impl Pool {
    /// Tries the encoders out and starts the workers, no more than there are `cameras`. Blocks for
    /// as long as drivers take to answer. A worker that panics tells `fatal`: the process must end.
    #[must_use]
    pub fn open(
        settings: &Settings,
        cameras: usize,
        clock: &Clock,
        fatal: &mpsc::Sender<String>,
    ) -> Self {
        let chosen = transcode::choose(settings.encoder, settings.effort);
        let (kind, in_vain) = match chosen {
            Ok((kind, tried)) => {
                tracing::info!(encoder = kind.name(), ?tried, "masks");
                let named = matches!(settings.encoder, Choice::Named(asked) if asked != kind);
                (Ok(kind), named.then(|| tried.join("; ")))
            }
            Err(why) => (Err(why), None),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let wanted = settings.workers_on(cores).min(cameras);
        let (desks, arrivals): (Vec<_>, Vec<_>) = (0..wanted)
            .map(|_| {
                let (to, arrivals) = sync_channel(CAMERAS_MAX);
                let desk = Desk {
                    arrivals: to,
                    thread: OnceLock::new(),
                    cameras: AtomicUsize::new(0),
                    permille: AtomicU64::new(0),
                    left_out: AtomicU64::new(0),
                    fell_back: AtomicU64::new(0),
                    last_shed: Mutex::new(None),
                };
                (desk, arrivals)
            })
            .unzip();
        let desks: Arc<[Desk]> = desks.into();
        let closing = Arc::new(AtomicBool::new(false));
        for (number, arrivals) in arrivals.into_iter().enumerate() {
            let (desks, closing) = (Arc::clone(&desks), Arc::clone(&closing));
            let (clock, fatal, effort) = (clock.clone(), fatal.clone(), settings.effort);
            let spawned = thread::Builder::new().name(format!("mask {number}")).spawn(move || {
                let _told = TellPanic(fatal);
                if let Some(desk) = desks.get(number) {
                    drop(desk.thread.set(thread::current()));
                }
                Worker::new(number, desks, arrivals, closing, clock, effort).run();
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "no thread for a mask worker");
            }
        }
        Self(Arc::new(Shared { desks, kind, in_vain, closing }))
    }

    /// Starts masking for `camera` (a name for the log).
    ///
    /// # Errors
    /// When the policy is not applicable, or there is no encoder or no thread to be had: such a
    /// camera must not be recorded.
    pub fn start(&self, camera: &str, policy: Policy) -> Result<Pipeline, StartError> {
        policy.check().map_err(StartError::Policy)?;
        let kind = self.0.kind.clone().map_err(StartError::NoEncoder)?;
        let (to, events) = outbox::queue();
        let (output, outputs) = mpsc::channel(OUTPUTS);
        let place = Arc::new(AtomicUsize::new(0));
        let own_place = Arc::clone(&place);
        let mut seat =
            Box::new(Seat::new(camera.to_owned(), policy, kind, events, output, own_place));
        // The least busy worker; one whose thread could not be had takes nothing.
        let mut order: Vec<usize> = (0..self.0.desks.len()).collect();
        order.sort_by_key(|at| {
            let desk = &self.0.desks[*at];
            (desk.cameras.load(Ordering::Relaxed), desk.permille.load(Ordering::Relaxed))
        });
        for at in order {
            place.store(at, Ordering::SeqCst);
            match self.0.desks[at].take(seat) {
                Ok(()) => {
                    let feeder =
                        Feeder { outbox: Some(Outbox::new(to)), place, pool: self.clone() };
                    return Ok(Pipeline { feeder, outputs });
                }
                Err(back) => seat = back,
            }
        }
        Err(StartError::NoThread)
    }

    /// How it does.
    #[must_use]
    pub fn figures(&self) -> Figures {
        figures(&self.0.desks, self.0.kind.as_ref().map_or("", |kind| kind.name()))
    }

    /// What a person must see to: a stable code, and what to do.
    #[must_use]
    pub fn alarms(&self, now: WallTime) -> Vec<(&'static str, String)> {
        let figures = self.figures();
        let mut alarms = Vec::new();
        if figures.last_shed.is_some_and(|at| now.micros_since(at) < CALM_US) {
            alarms.push((
                "mask-overload",
                format!(
                    "the site has {} masked cameras and its {} mask workers carry {}: pictures are \
                     left out, as signed gaps. Give the recorder more cores or an encoding device, \
                     or move cameras to another",
                    figures.cameras, figures.workers, figures.carries
                ),
            ));
        }
        if let Some(tried) = &self.0.in_vain {
            alarms.push((
                "mask-encoder",
                format!("the encoder of the settings cannot be used, software is instead: {tried}"),
            ));
        } else if figures.fell_back > 0 {
            let text = format!(
                "the encoding device failed {} times since the start; software took over there. \
                 Look at its driver, and restart the agent to use it again",
                figures.fell_back
            );
            alarms.push(("mask-encoder", text));
        }
        alarms
    }
}

impl Desk {
    /// Lets a camera sit here; gives it back if there is no thread.
    fn take(&self, seat: Box<Seat>) -> Result<(), Box<Seat>> {
        self.cameras.fetch_add(1, Ordering::Relaxed);
        match self.arrivals.try_send(seat) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(error) => {
                self.cameras.fetch_sub(1, Ordering::Relaxed);
                let (std::sync::mpsc::TrySendError::Full(seat)
                | std::sync::mpsc::TrySendError::Disconnected(seat)) = error;
                Err(seat)
            }
        }
    }
}

/// Tells when the thread that holds it panics.
struct TellPanic(mpsc::Sender<String>);

impl Drop for TellPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            // A full queue holds another reason to end.
            drop(self.0.try_send("a mask worker panicked".to_owned()));
        }
    }
}

#[cfg(test)]
#[cfg(feature = "media")]
mod tests;
