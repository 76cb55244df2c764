//! A UDP path that loses, delays and cuts, for QUIC: the kernel's netem is not always to be had.
//!
//! ```text
//! client ──► proxy port ──► one socket per client ──► target
//!        ◄──            ◄──   (a lane each way)    ◄──
//! ```
//!
//! Each lane is a queue of [`QUEUE_DATAGRAMS_MAX`]; what comes when it is full is dropped, as a
//! router does. Which datagrams are lost is decided by the seed and by their number in the lane.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::dice::Dice;

/// Datagrams that one lane holds while they are delayed: 5 MB, a second at 40 Mb/s.
pub const QUEUE_DATAGRAMS_MAX: usize = 4096;

/// Clients (source addresses) that one path serves; datagrams of further ones are dropped.
pub const CLIENTS_MAX: usize = 64;

/// What the path does to each datagram, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// How many of a hundred datagrams are lost.
    pub loss_percent: u8,
    /// How late each arrives, in milliseconds.
    pub delay_ms: u64,
}

/// What went through the path, counted after its losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes from clients to the target.
    pub up_bytes: u64,
    /// Bytes from the target to clients.
    pub down_bytes: u64,
    /// Datagrams lost: by chance, by a cut, by a full queue.
    pub lost_datagrams: u64,
}

#[derive(Debug, Default)]
struct Shared {
    cut: AtomicBool,
    loss_percent: AtomicU8,
    delay_ms: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    lost_datagrams: AtomicU64,
}

/// A path to one UDP server; gone when dropped.
#[derive(Debug)]
pub struct Path {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// The tasks of the path. Aborted when dropped.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Path {
    /// Opens a path to `target`; clients send to [`Path::addr`].
    ///
    /// # Errors
    /// If no socket can be had.
    pub async fn open(target: SocketAddr, seed: u64, conditions: Conditions) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no UDP socket")?;
        let addr = socket.local_addr().context("a bound socket has an address")?;
        let path = Self { addr, shared: Arc::default(), tasks: Arc::default() };
        path.set(conditions);
        let front = Front {
            socket: Arc::new(socket),
            target,
            seed,
            shared: Arc::clone(&path.shared),
            tasks: Arc::downgrade(&path.tasks),
            clients: BTreeMap::new(),
        };
        spawn(&path.tasks, front.run());
        Ok(path)
    }

    /// Where clients send to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what the path does from now on.
    pub fn set(&self, conditions: Conditions) {
        self.shared.loss_percent.store(conditions.loss_percent, Ordering::Relaxed);
        self.shared.delay_ms.store(conditions.delay_ms, Ordering::Relaxed);
    }

    /// Cuts the line: everything is lost, silently, both ways, also what is on its way.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Relaxed);
    }

    /// Mends the line.
    pub fn restore(&self) {
        self.shared.cut.store(false, Ordering::Relaxed);
    }

    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            up_bytes: self.shared.up_bytes.load(Ordering::Relaxed),
            down_bytes: self.shared.down_bytes.load(Ordering::Relaxed),
            lost_datagrams: self.shared.lost_datagrams.load(Ordering::Relaxed),
        }
    }
}

fn spawn(tasks: &Mutex<JoinSet<()>>, task: impl Future<Output = ()> + Send + 'static) {
    tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
}

/// The clients' side: gives each client a socket and a lane each way.
struct Front {
    socket: Arc<UdpSocket>,
    target: SocketAddr,
    seed: u64,
    shared: Arc<Shared>,
    /// Weak: the path owns the tasks, and this is one of them.
    tasks: std::sync::Weak<Mutex<JoinSet<()>>>,
    clients: BTreeMap<SocketAddr, Lane>,
}

impl Front {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error is the echo of a port that is closed for the moment; the next may be well.
            let Ok((len, client)) = self.socket.recv_from(&mut buffer).await else { continue };
            let datagram = Bytes::copy_from_slice(&buffer[..len]);
            if !self.clients.contains_key(&client) {
                let Some(lane) = self.connect(client).await else {
                    self.shared.lost_datagrams.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                self.clients.insert(client, lane);
            }
            if let Some(lane) = self.clients.get_mut(&client) {
                lane.pass(datagram);
            }
        }
    }

    /// Makes the lanes of a new client; gives the one upwards.
    async fn connect(&self, client: SocketAddr) -> Option<Lane> {
        if self.clients.len() >= CLIENTS_MAX {
            return None;
        }
        let tasks = self.tasks.upgrade()?;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        back.connect(self.target).await.ok()?;
        let back = Arc::new(back);
        let number = u64::try_from(self.clients.len()).ok()?;
        let (up, up_end) = lane(self.seed ^ (number * 2), &self.shared);
        let (mut down, down_end) = lane(self.seed ^ (number * 2 + 1), &self.shared);
        let to_target = Exit { socket: Arc::clone(&back), to: None };
        let to_client = Exit { socket: Arc::clone(&self.socket), to: Some(client) };
        spawn(&tasks, deliver(up_end, to_target, Arc::clone(&self.shared)));
        spawn(&tasks, deliver(down_end, to_client, Arc::clone(&self.shared)));
        spawn(&tasks, async move {
            let mut buffer = vec![0; 65_536];
            loop {
                if let Ok(len) = back.recv(&mut buffer).await {
                    down.pass(Bytes::copy_from_slice(&buffer[..len]));
                }
            }
        });
        Some(up)
    }
}

type Delayed = (Instant, Bytes);

/// The sending end of one lane: decides what is lost.
struct Lane {
    dice: Dice,
    queue: mpsc::Sender<Delayed>,
    shared: Arc<Shared>,
}

fn lane(seed: u64, shared: &Arc<Shared>) -> (Lane, mpsc::Receiver<Delayed>) {
    // Full: the datagram is dropped and counted, as in a router.
    let (queue, end) = mpsc::channel(QUEUE_DATAGRAMS_MAX);
    (Lane { dice: Dice::new(seed), queue, shared: Arc::clone(shared) }, end)
}

impl Lane {
    fn pass(&mut self, datagram: Bytes) {
        // Rolled for every datagram, so that a cut does not change which later ones are lost.
        let unlucky = self.dice.hits(self.shared.loss_percent.load(Ordering::Relaxed));
        let delay = Duration::from_millis(self.shared.delay_ms.load(Ordering::Relaxed));
        let cut = self.shared.cut.load(Ordering::Relaxed);
        if unlucky || cut || self.queue.try_send((Instant::now() + delay, datagram)).is_err() {
            self.shared.lost_datagrams.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where a lane lets its datagrams out.
struct Exit {
    socket: Arc<UdpSocket>,
    /// The client; none on the socket that is connected to the target.
    to: Option<SocketAddr>,
}

impl Exit {
    /// Sends and counts; false when the datagram did not get out.
    async fn send(&self, datagram: &[u8], shared: &Shared) -> bool {
        let (sent, counter) = match self.to {
            Some(client) => (self.socket.send_to(datagram, client).await, &shared.down_bytes),
            None => (self.socket.send(datagram).await, &shared.up_bytes),
        };
        let Some(bytes) = sent.ok().and_then(|len| u64::try_from(len).ok()) else { return false };
        counter.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}

/// The receiving end of one lane: sends each datagram on when its time has come.
async fn deliver(mut queue: mpsc::Receiver<Delayed>, exit: Exit, shared: Arc<Shared>) {
    while let Some((due, datagram)) = queue.recv().await {
        sleep_until(due).await;
        if shared.cut.load(Ordering::Relaxed) || !exit.send(&datagram, &shared).await {
            shared.lost_datagrams.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::rig::eventually::eventually;

    /// Sends back what it gets.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                socket.send_to(&buffer[..len], from).await.unwrap();
            }
        });
        (addr, tasks)
    }

    /// Sends `count` numbered datagrams one by one, each when the one before is back or counted as
    /// lost; gives the numbers that came back.
    async fn exchange(path: &Path, count: u32) -> Vec<u32> {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(path.addr()).await.unwrap();
        let mut back = Vec::new();
        for number in 0..count {
            let lost_before = path.counters().lost_datagrams;
            client.send(&number.to_be_bytes()).await.unwrap();
            let answer = eventually("an answer, or a loss", Duration::from_secs(20), || async {
                let mut four = [0; 4];
                let received = timeout(Duration::from_millis(5), client.recv(&mut four)).await;
                let lost = path.counters().lost_datagrams > lost_before;
                match received {
                    Ok(received) => Some(received.is_ok().then(|| u32::from_be_bytes(four))),
                    Err(_) => lost.then_some(None),
                }
            });
            back.extend(answer.await.unwrap());
        }
        back
    }

    #[tokio::test]
    async fn a_good_path_loses_nothing_and_counts_bytes() {
        let (target, _echo) = echo().await;
        let path = Path::open(target, 1, Conditions::default()).await.unwrap();
        assert_eq!(exchange(&path, 50).await, (0..50).collect::<Vec<_>>());
        let counters = path.counters();
        assert_eq!(counters, Counters { up_bytes: 200, down_bytes: 200, lost_datagrams: 0 });
    }

    #[tokio::test]
    async fn the_same_seed_loses_the_same_datagrams() {
        let (target, _echo) = echo().await;
        let lossy = Conditions { loss_percent: 30, delay_ms: 0 };
        let (one, two, other) = (
            Path::open(target, 7, lossy).await.unwrap(),
            Path::open(target, 7, lossy).await.unwrap(),
            Path::open(target, 8, lossy).await.unwrap(),
        );
        let (a, b, c) = tokio::join!(exchange(&one, 40), exchange(&two, 40), exchange(&other, 40));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert!((8..36).contains(&a.len()), "{} of 40 came back", a.len());
    }

    #[tokio::test]
    async fn a_delayed_path_is_slow_by_twice_the_delay() {
        let (target, _echo) = echo().await;
        let slow = Conditions { loss_percent: 0, delay_ms: 40 };
        let path = Path::open(target, 1, slow).await.unwrap();
        let start = Instant::now();
        assert_eq!(exchange(&path, 1).await, [0]);
        assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_cut_line_carries_nothing_until_it_is_mended() {
        let (target, _echo) = echo().await;
        let path = Path::open(target, 1, Conditions::default()).await.unwrap();
        path.cut();
        assert_eq!(exchange(&path, 2).await, [] as [u32; 0]);
        assert_eq!(path.counters().lost_datagrams, 2);
        path.restore();
        assert_eq!(exchange(&path, 2).await, [0, 1]);
    }
}
