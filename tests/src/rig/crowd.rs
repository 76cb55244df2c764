//! A crowd of cameras that costs next to nothing: one thread replays one clip to everybody who asks,
//! over real RTSP connections, at a camera's pace (a frame every 40 ms, the cameras spread evenly
//! over them). Any path is a camera; every session starts elsewhere in the clip.
//!
//! The packets are prepared once. To send a frame its numbers and times are written over in place
//! and the whole frame goes out in one write. A client that does not read is treated as cameras do:
//! what does not fit waits, and beyond [`WAITING_BYTES_MAX`] whole frames are dropped and counted.
//!
//! | file | holds |
//! |---|---|
//! | `crowd/reel.rs` | the clip as packets ready to be sent (pure) |
//! | `crowd/viewer.rs` | one client's connection |

mod reel;
mod viewer;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use host::Clock;
use serde::{Deserialize, Serialize};

use self::reel::{FRAME_MS, Reel};
use self::viewer::Viewer;
use super::footage::{Clip, access_units};

/// What may wait for a client: two seconds of a camera of 16 Mb/s.
pub const WAITING_BYTES_MAX: usize = 4 << 20;
/// Clients served; more are closed at once.
const VIEWERS_MAX: usize = 1024;
/// From one look at what is due to the next.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// New clients, and those that do not play yet, are looked after this often, milliseconds.
const ATTEND_MS: u64 = 5;

/// What the crowd has done so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Sessions playing now.
    pub playing: usize,
    /// Frames that were due and given to the connection.
    pub frames: u64,
    /// Frames that a client lost because it did not read.
    pub dropped: u64,
    /// Frames sent more than a frame's time after they were due: the crowd itself was too slow.
    pub late: u64,
    /// Bytes given to the kernel.
    pub bytes: u64,
}

/// The first line the program prints: where the cameras are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// On 127.0.0.1.
    pub port: u16,
}

/// Serves `clip` until standard input closes. Prints [`Ready`] first, and a [`Tally`] for every line
/// that standard input gives.
///
/// # Errors
/// If the clip cannot be read or no port can be had.
pub fn run(clip: Clip) -> Result<()> {
    let reel = Reel::of(&access_units(clip)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port can be had")?;
    listener.set_nonblocking(true)?;
    say(&Ready { port: listener.local_addr()?.port() })?;
    // Standard input is waited for elsewhere, so that the cameras wait for nothing.
    let (ask, asked) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for _line in std::io::stdin().lines().map_while(Result::ok) {
            if ask.send(()).is_err() {
                return;
            }
        }
    });
    Crowd::new(reel, listener)?.serve(&asked)
}

#[expect(clippy::print_stdout, reason = "whoever started the cameras reads it")]
fn say(what: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(std::io::stdout().flush()?)
}

struct Crowd {
    reel: Reel,
    clock: Clock,
    listener: TcpListener,
    /// A place is free when its client has left.
    viewers: Vec<Option<Viewer>>,
    /// Which of them get a frame in each millisecond of a frame's time.
    slots: Vec<Vec<usize>>,
    /// Sessions begun: where the next one starts in the clip, and in which slot.
    begun: usize,
    /// The millisecond up to which all frames were sent.
    sent_ms: u64,
    tally: Tally,
}

impl Crowd {
    fn new(reel: Reel, listener: TcpListener) -> Result<Self> {
        let clock = Clock::system();
        let sent_ms = clock.tick().0;
        let slots = vec![Vec::new(); usize::try_from(FRAME_MS)?];
        Ok(Self {
            reel,
            clock,
            listener,
            viewers: Vec::new(),
            slots,
            begun: 0,
            sent_ms,
            tally: Tally::default(),
        })
    }

    fn serve(&mut self, asked: &mpsc::Receiver<()>) -> Result<()> {
        loop {
            match asked.try_recv() {
                Ok(()) => {
                    self.tally.playing = self.slots.iter().map(Vec::len).sum();
                    say(&self.tally)?;
                }
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
            self.send_due();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Lets new clients in, and hears those that do not play yet.
    fn attend(&mut self) {
        self.accept();
        for place in 0..self.viewers.len() {
            if self.viewers[place].as_ref().is_some_and(|viewer| !viewer.is_playing()) {
                self.hear(place);
            }
        }
    }

    fn accept(&mut self) {
        // A failed accept is the client's loss.
        while let Ok((stream, _)) = self.listener.accept() {
            let free = self.viewers.iter().position(Option::is_none);
            let place = free.unwrap_or(self.viewers.len());
            if place >= VIEWERS_MAX || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let viewer = Some(Viewer::new(stream));
            match self.viewers.get_mut(place) {
                Some(free) => *free = viewer,
                None => self.viewers.push(viewer),
            }
        }
    }

    fn hear(&mut self, place: usize) {
        let Some(Some(viewer)) = self.viewers.get_mut(place) else { return };
        let was_playing = viewer.is_playing();
        // Sessions begin seven frames apart: their key frames fall at different times.
        let stays = viewer.hear(&self.reel, self.begun * 7);
        if stays && viewer.is_playing() && !was_playing {
            let slot = self.begun % self.slots.len();
            self.slots[slot].push(place);
            self.begun += 1;
        }
        if !stays {
            self.forget(place);
        }
    }

    /// Closes the connection.
    fn forget(&mut self, place: usize) {
        self.viewers[place] = None;
        for slot in &mut self.slots {
            slot.retain(|other| *other != place);
        }
    }

    fn send_due(&mut self) {
        let now_ms = self.clock.tick().0;
        let wall = self.clock.now();
        while self.sent_ms < now_ms {
            self.sent_ms += 1;
            let behind_ms = now_ms - self.sent_ms;
            if self.sent_ms.is_multiple_of(ATTEND_MS) {
                self.attend();
            }
            let slot = usize::try_from(self.sent_ms % FRAME_MS).unwrap_or(0);
            let mut gone = Vec::new();
            for &place in &self.slots[slot] {
                let Some(Some(viewer)) = self.viewers.get_mut(place) else { continue };
                let before = viewer.counts();
                if !viewer.hear(&self.reel, 0) || !viewer.send_frame(&mut self.reel, wall) {
                    gone.push(place);
                }
                let after = viewer.counts();
                self.tally.bytes += after.bytes - before.bytes;
                self.tally.dropped += after.dropped - before.dropped;
                self.tally.frames += 1;
                self.tally.late += u64::from(behind_ms > FRAME_MS);
            }
            for place in gone {
                self.forget(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::rig::cameras::probe;

    #[tokio::test]
    async fn a_stranger_finds_a_camera_at_any_path() {
        let reel = Reel::of(&access_units(Clip::SmallH264).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ask, asked) = mpsc::sync_channel(1);
        let serving = std::thread::spawn(move || {
            let mut crowd = Crowd::new(reel, listener).unwrap();
            crowd.serve(&asked).map(|()| crowd.tally)
        });
        for path in ["int-001", "any/other?way=2"] {
            let url = Url::parse(&format!("rtsp://127.0.0.1:{port}/{path}")).unwrap();
            assert_eq!(probe(&url).await.unwrap(), "h264,320,240");
        }
        drop(ask);
        let tally = serving.join().unwrap().unwrap();
        assert!(tally.frames > 1 && tally.bytes > 1000, "{tally:?}");
        assert_eq!(tally.dropped, 0);
    }
}
