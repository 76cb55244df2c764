//! The bounded queue from a camera to its recorder, and what is dropped when it is full.
//!
//! Reading from the camera never waits for the recorder: a full queue drops whole frames up to the
//! next key frame for which there is room, and says how many. Nothing but frames is ever dropped.

use std::sync::Arc;

use custody::WallTime;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Event, Frame, Parameters};

/// Events in one camera's queue: 5 s at 25 frames a second, 2 MB at 4 Mbit/s.
pub const QUEUE_EVENTS: usize = 128;

/// The recorder no longer listens: there is nothing left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recorder of this camera is gone")]
pub struct Closed;

/// The queue that [`Outbox`] wants: room for a frame and all that may have to precede it.
#[must_use]
pub fn queue() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    mpsc::channel(QUEUE_EVENTS)
}

/// The sending end.
#[derive(Debug)]
pub struct Outbox {
    to: mpsc::Sender<Event>,
    /// What must precede the next frame that fits.
    connected: Option<Arc<Parameters>>,
    dropped: u64,
    jump: Option<(WallTime, WallTime)>,
}

impl Outbox {
    /// Sends to `to`, which must hold at least four events.
    #[must_use]
    pub fn new(to: mpsc::Sender<Event>) -> Self {
        Self { to, connected: None, dropped: 0, jump: None }
    }

    /// A session with these parameters begins with the next frame.
    pub fn connected(&mut self, parameters: Arc<Parameters>) {
        self.connected = Some(parameters);
    }

    /// The next frame lies after a jump in time. Two jumps without a frame between are one.
    pub fn jumped(&mut self, from: WallTime, to: WallTime) {
        let from = self.jump.map_or(from, |(first, _)| first);
        self.jump = Some((from, to));
    }

    /// `frames` were lost before they came here, up to the next key frame.
    pub fn overrun(&mut self, frames: u64) {
        self.dropped = self.dropped.saturating_add(frames);
    }

    /// Whether there is no room for a frame and all that may precede it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.to.capacity() < 4
    }

    /// Queues `frame`, or drops it. Never waits.
    ///
    /// # Errors
    /// When the recorder is gone.
    pub fn offer(&mut self, frame: Frame) -> Result<(), Closed> {
        if self.dropped > 0 && !frame.key {
            self.dropped += 1;
            return Ok(());
        }
        let before = usize::from(self.connected.is_some())
            + usize::from(self.dropped > 0)
            + usize::from(self.jump.is_some());
        let room = match self.to.try_reserve_many(before + 1) {
            Ok(room) => room,
            Err(TrySendError::Full(())) => {
                self.dropped += 1;
                return Ok(());
            }
            Err(TrySendError::Closed(())) => return Err(Closed),
        };
        let before = preludes(&mut self.connected, &mut self.dropped, &mut self.jump);
        for (place, event) in room.zip(before.into_iter().flatten().chain([Event::Frame(frame)])) {
            place.send(event);
        }
        Ok(())
    }

    /// Queues `down`, and before it what no frame carried. Waits for room: there is no footage to
    /// read meanwhile.
    ///
    /// # Errors
    /// When the recorder is gone.
    pub async fn down(&mut self, down: Event) -> Result<(), Closed> {
        self.jump = None;
        let before = preludes(&mut self.connected, &mut self.dropped, &mut self.jump);
        for event in before.into_iter().flatten().chain([down]) {
            self.to.send(event).await.map_err(|_| Closed)?;
        }
        Ok(())
    }
}

fn preludes(
    connected: &mut Option<Arc<Parameters>>,
    dropped: &mut u64,
    jump: &mut Option<(WallTime, WallTime)>,
) -> [Option<Event>; 3] {
    let frames = std::mem::take(dropped);
    [
        connected.take().map(Event::Connected),
        (frames > 0).then_some(Event::Overrun { frames }),
        jump.take().map(|(from, to)| Event::Jump { from, to }),
    ]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Codec, Reason};
    use super::*;

    fn parameters() -> Arc<Parameters> {
        Arc::new(Parameters {
            codec: Codec::H264,
            width: 960,
            height: 720,
            decoder_config: Bytes::new(),
            rfc6381: String::new(),
        })
    }

    fn frame(pts: i64, key: bool) -> Frame {
        let at = WallTime(pts);
        let (data, parameters) = (Bytes::new(), parameters());
        Frame { pts, wall: at, arrived: at, key, data, parameters, lost: 0, camera_offset_ms: None }
    }

    fn read(from: &mut mpsc::Receiver<Event>) -> Vec<String> {
        std::iter::from_fn(|| from.try_recv().ok())
            .map(|event| match event {
                Event::Connected(_) => "connected".to_owned(),
                Event::Frame(f) => format!("{}{}", f.pts, if f.key { "k" } else { "" }),
                Event::Jump { from, to } => format!("jump {} {}", from.0, to.0),
                Event::Overrun { frames } => format!("overrun {frames}"),
                Event::Down { reason, .. } => reason.code().to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_slow_recorder_loses_whole_frames_up_to_a_key_frame_and_is_told_how_many() {
        let (to, mut from) = mpsc::channel(4);
        let mut outbox = Outbox::new(to);
        outbox.connected(parameters());
        for pts in 0..7 {
            outbox.offer(frame(pts, pts % 6 == 0)).unwrap();
        }
        assert_eq!(read(&mut from), ["connected", "0k", "1", "2"]);
        // 3, 4, 5 did not fit, and neither did the key frame 6.
        for pts in 7..14 {
            outbox.offer(frame(pts, pts % 6 == 0)).unwrap();
        }
        assert_eq!(read(&mut from), ["overrun 9", "12k", "13"]);
    }

    #[test]
    fn a_jump_is_told_right_before_its_frame_even_after_a_full_queue() {
        let (to, mut from) = mpsc::channel(4);
        let mut outbox = Outbox::new(to);
        for pts in 0..5 {
            outbox.offer(frame(pts, pts == 0)).unwrap();
        }
        outbox.jumped(WallTime(5), WallTime(50));
        outbox.offer(frame(50, false)).unwrap();
        outbox.jumped(WallTime(51), WallTime(90));
        assert_eq!(read(&mut from), ["0k", "1", "2", "3"]);
        outbox.offer(frame(90, true)).unwrap();
        assert_eq!(read(&mut from), ["overrun 2", "jump 5 90", "90k"]);
    }

    #[tokio::test]
    async fn what_was_dropped_is_told_even_if_the_camera_goes_away() {
        let (to, mut from) = mpsc::channel(4);
        let mut outbox = Outbox::new(to);
        for pts in 0..6 {
            outbox.offer(frame(pts, pts == 0)).unwrap();
        }
        assert_eq!(read(&mut from).len(), 4);
        let (reason, detail, at) = (Reason::Ended, String::new(), WallTime(6));
        outbox.down(Event::Down { reason, detail, at }).await.unwrap();
        assert_eq!(read(&mut from), ["overrun 2", "ended"]);
        drop(from);
        assert_eq!(outbox.offer(frame(7, true)), Err(Closed));
    }
}
