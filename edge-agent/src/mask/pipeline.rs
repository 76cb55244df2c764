//! One camera's transcoder on its own thread, between two bounded queues.
//!
//! ```text
//! camera ─→ Feeder ─[ camera::outbox::QUEUE_EVENTS ]→ thread ─[ OUTPUTS ]→ recorder
//! ```
//!
//! A recorder that takes slowly blocks the thread; then the first queue fills, and the [`Feeder`]
//! drops whole frames up to the next key frame and says how many ([`Output::Overrun`]). Nothing
//! but frames is ever dropped. A picture that cannot be masked is not kept: the reason goes out
//! once, as [`Output::MaskFailed`], and masking begins anew at the next key frame. The thread ends
//! when the feeder is dropped (what it holds comes out first) or the receiver is.

use std::thread;

use tokio::sync::mpsc;

use super::policy::{BadPolicy, Policy};
use super::transcode::{self, Transcoder};
use super::{CleanFrame, Output};
use crate::camera::outbox::{self, Closed, Outbox};
use crate::camera::{Event, Frame};

/// Masked pictures waiting for the recorder: a second of them.
const OUTPUTS: usize = 32;

/// The entry of the mask room.
#[derive(Debug)]
pub struct Feeder(Outbox);

impl Feeder {
    /// Takes the camera's next event. Waits only for room for [`Event::Down`]; frames are dropped
    /// instead, and counted.
    ///
    /// # Errors
    /// When the thread has ended: its receiver is gone, or it panicked.
    pub async fn feed(&mut self, event: Event) -> Result<(), Closed> {
        match event {
            Event::Frame(frame) => return self.0.offer(frame),
            Event::Connected(parameters) => self.0.connected(parameters),
            Event::Jump { from, to } => self.0.jumped(from, to),
            Event::Overrun { frames } => self.0.overrun(frames),
            Event::Down { .. } => return self.0.down(event).await,
        }
        Ok(())
    }
}

/// A running mask.
#[derive(Debug)]
pub struct Pipeline {
    /// Where the camera's events go in.
    pub feeder: Feeder,
    /// Where they come out, masked. Ends when the thread does.
    pub outputs: mpsc::Receiver<Output>,
    /// To be joined on shutdown; a panic there must end the process.
    pub thread: thread::JoinHandle<()>,
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
        "nothing here can encode a masked picture: the program was built without the feature \
         `media`, or the installed FFmpeg has no libx264"
    )]
    NoEncoder,
    /// The system gives no thread.
    #[error("no thread for masking `{camera}`: raise the limit on threads")]
    Thread {
        /// Which.
        camera: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Starts masking for `camera` (a name for the thread).
///
/// # Errors
/// When the policy is not applicable, or there is no encoder or no thread to be had: such a camera
/// must not be recorded.
pub fn start(camera: &str, policy: Policy) -> Result<Pipeline, StartError> {
    policy.check().map_err(StartError::Policy)?;
    if !transcode::is_available() {
        return Err(StartError::NoEncoder);
    }
    let (to, events) = outbox::queue();
    let (output, outputs) = mpsc::channel(OUTPUTS);
    let thread = thread::Builder::new()
        .name(format!("mask {camera}"))
        .spawn(move || run(policy, events, &output))
        .map_err(|source| StartError::Thread { camera: camera.to_owned(), source })?;
    Ok(Pipeline { feeder: Feeder(Outbox::new(to)), outputs, thread })
}

fn run(policy: Policy, mut events: mpsc::Receiver<Event>, output: &mpsc::Sender<Output>) {
    let mut masker = Masker { transcoder: Transcoder::new(policy), state: State::AwaitKey, output };
    while let Some(event) = events.blocking_recv() {
        if masker.take(event).is_err() {
            return;
        }
    }
    let _closed = masker.finish();
}

/// What happens to the next picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Masked.
    Masking,
    /// Left out unless it is a key frame: nothing failed.
    AwaitKey,
    /// Left out unless it is a key frame: the failure was told.
    Failed,
}

struct Masker<'a> {
    transcoder: Transcoder,
    state: State,
    output: &'a mpsc::Sender<Output>,
}

impl Masker<'_> {
    fn take(&mut self, event: Event) -> Result<(), Closed> {
        let passed = match event {
            Event::Frame(frame) => return self.mask(frame),
            Event::Connected(_) => Output::Connected,
            Event::Jump { from, to } => Output::Jump { from, to },
            Event::Overrun { frames } => Output::Overrun { frames },
            Event::Down { reason, detail, at } => Output::Down { reason, detail, at },
        };
        // Pictures held by a codec come before what happened after them.
        self.finish()?;
        self.send(passed)
    }

    fn mask(&mut self, frame: Frame) -> Result<(), Closed> {
        if self.state != State::Masking && !frame.key {
            return Ok(());
        }
        let at = frame.wall;
        match self.transcoder.push(frame) {
            Ok(clean) => {
                self.state = State::Masking;
                self.send_frames(clean)
            }
            Err(failure) => {
                let at = self.transcoder.oldest_held().map_or(at, |held| held.min(at));
                self.transcoder.reset();
                if std::mem::replace(&mut self.state, State::Failed) == State::Failed {
                    return Ok(());
                }
                self.send(Output::MaskFailed { detail: failure.to_string(), at })
            }
        }
    }

    /// Lets out what the codecs hold.
    fn finish(&mut self) -> Result<(), Closed> {
        // A failure here loses pictures at the end of a stretch of footage; the gap that follows
        // begins after the last one that came out.
        let clean = self.transcoder.drain().unwrap_or_default();
        self.transcoder.reset();
        self.state = State::AwaitKey;
        self.send_frames(clean)
    }

    fn send_frames(&self, frames: Vec<CleanFrame>) -> Result<(), Closed> {
        frames.into_iter().try_for_each(|frame| self.send(Output::Frame(frame)))
    }

    fn send(&self, output: Output) -> Result<(), Closed> {
        self.output.blocking_send(output).map_err(|_| Closed)
    }
}

#[cfg(test)]
#[cfg(feature = "media")]
mod tests;
