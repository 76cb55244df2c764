//! A camera that misbehaves in one chosen way: RTSP 1.0 over TCP, real H.264 from a clip as RTP.
//!
//! Good until the fault's frame, so that a recorder is already at work when it comes. Each session
//! starts over. Every recorder must live through each [`Behaviour`] and say what happened.
//!
//! | file | holds |
//! |---|---|
//! | `faulty/sdp.rs` | what the camera says that it offers (pure) |
//! | `faulty/rtp.rs` | pictures to RTP packets (pure) |
//! | `faulty/player.rs` | which bytes come next, and where they go wrong (pure) |
//! | `faulty/session.rs` | one client's connection |

mod player;
mod rtp;
mod sdp;
mod session;

pub(super) use rtp::{Packetizer, interleaved};
pub(super) use sdp::describe;
pub(super) use session::interleaved_channel;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::task::{JoinSet, spawn_blocking};
use url::Url;

use super::footage::{AccessUnit, Clip, access_units};

/// Connections that one camera serves at a time; real ones stop at about four.
pub const SESSIONS_MAX: usize = 32;

/// What is wrong with the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Nothing.
    #[default]
    Good,
    /// Offers one stream, in a compression that is not recorded.
    WrongCodec(WrongCodec),
    /// Its description is not SDP.
    BadSdp,
    /// Gives its stream over UDP only.
    UdpOnly(UdpOnly),
    /// Puts random bytes between two packets, then goes on.
    Garbage,
    /// Goes silent in the middle of a frame and keeps the connection open.
    StopsMidFrame,
    /// Closes the connection between two frames.
    Closes,
    /// Goes on with another picture size and other parameter sets.
    SpsChange,
    /// Its media clock jumps, by so many ticks of 90 kHz, and goes on from there.
    TimestampJump {
        /// Backwards when negative.
        ticks: i32,
    },
    /// Sends no key frame at all, from the start.
    NeverKeyFrame,
    /// Leaves out every n-th packet.
    LosesPackets {
        /// n; at least 1.
        every: u32,
    },
}

/// How a camera that knows UDP only answers who asks for TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpOnly {
    /// 461 Unsupported Transport.
    Refuses,
    /// 200, with UDP all the same.
    GrantsUdp,
}

/// Compressions that are not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongCodec {
    /// Motion JPEG video.
    Mjpeg,
    /// Telephone audio, and no video.
    PcmuAudio,
}

/// How a camera behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What is wrong with it.
    pub behaviour: Behaviour,
    /// How many good frames each session gets first. [`Behaviour::NeverKeyFrame`] and the faults of
    /// description do not wait.
    pub fault_after_frames: u32,
}

impl Settings {
    /// The fault after 30 frames (1.2 s): amid the first group of pictures.
    #[must_use]
    pub fn of(behaviour: Behaviour) -> Self {
        Self { behaviour, fault_after_frames: 30 }
    }
}

/// What the camera shows. Read once, shared by all sessions.
#[derive(Debug)]
struct Reels {
    first: Vec<AccessUnit>,
    /// What it goes on with after [`Behaviour::SpsChange`].
    second: Vec<AccessUnit>,
}

#[derive(Debug)]
struct Shared {
    reels: Reels,
    settings: Mutex<Settings>,
    plays: AtomicU64,
    frames: AtomicU64,
}

/// A running camera; gone, with all its connections, when dropped.
#[derive(Debug)]
pub struct FaultyCamera {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// The accepting task, which owns the sessions. Aborted when dropped.
    _tasks: JoinSet<()>,
}

impl FaultyCamera {
    /// Starts a camera on a free port.
    ///
    /// # Errors
    /// If the clips cannot be read or no port can be had.
    pub async fn start(settings: Settings) -> Result<Self> {
        Self::start_on(0, settings).await
    }

    /// Starts a camera on a port of 127.0.0.1: one that was there before and comes back.
    ///
    /// # Errors
    /// If the clips cannot be read or the port cannot be had.
    pub async fn start_on(port: u16, settings: Settings) -> Result<Self> {
        let reels = spawn_blocking(|| -> Result<Reels> {
            let first = access_units(Clip::WalkwayH264)?;
            Ok(Reels { first, second: access_units(Clip::SmallH264)? })
        })
        .await
        .context("reading the clips was interrupted")??;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("no camera can listen on port {port}"))?;
        let addr = listener.local_addr().context("a bound socket has an address")?;
        let shared = Arc::new(Shared {
            reels,
            settings: Mutex::new(settings),
            plays: AtomicU64::new(0),
            frames: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, _tasks: tasks })
    }

    /// The camera's address.
    ///
    /// # Panics
    /// Never: a socket address always makes a URL.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&format!("rtsp://{}/faulty", self.addr)).expect("a socket address fits a URL")
    }

    /// The camera's port, for [`FaultyCamera::start_on`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Changes how sessions behave that begin from now on.
    pub fn set(&self, settings: Settings) {
        *self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// How often a client has begun to play.
    #[must_use]
    pub fn plays(&self) -> u64 {
        self.shared.plays.load(Ordering::Relaxed)
    }

    /// How many frames have been sent whole, over all sessions.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        // A failed accept is the client's loss; the next one may be well.
        let Ok((stream, _)) = listener.accept().await else { continue };
        while sessions.try_join_next().is_some() {}
        // Beyond the limit the connection is closed at once, as cameras do.
        if sessions.len() < SESSIONS_MAX {
            sessions.spawn(session::run(stream, Arc::clone(&shared)));
        }
    }
}

#[cfg(test)]
mod tests;
