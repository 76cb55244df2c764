//! A camera that plays captured sessions: the first client that asks what there is (DESCRIBE) gets the
//! first one, and so on; the last one is repeated. Answers keep their words but for the request's number and the camera's address;
//! packets come at the pace at which they were captured.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BytesMut};
use rtsp_types::headers::CSEQ;
use rtsp_types::{Message, Method, ParseError, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::clean::HOST;
use super::format::{Record, Session, What};

const REQUEST_BYTES_MAX: usize = 64 * 1024;
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What follows the last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The camera closes the connection.
    Close,
    /// It says nothing more, and answers still.
    Silence,
}

#[derive(Debug)]
struct Stage {
    sessions: Vec<Session>,
    then: Then,
    described: AtomicUsize,
    teardowns: AtomicU64,
}

/// A running camera; gone, with its connections, when dropped.
#[derive(Debug)]
pub struct Player {
    addr: SocketAddr,
    stage: Arc<Stage>,
    /// The accepting task, which owns the connections. Aborted when dropped.
    _tasks: JoinSet<()>,
}

impl Player {
    /// Plays `sessions` on a free port of `ip`.
    ///
    /// # Errors
    /// If no port can be had, or there is no session.
    pub async fn start(ip: IpAddr, sessions: Vec<Session>, then: Then) -> Result<Self> {
        anyhow::ensure!(!sessions.is_empty(), "a camera without a session");
        let listener = TcpListener::bind((ip, 0)).await.context("no port for a camera")?;
        let addr = listener.local_addr().context("a bound socket has an address")?;
        let (described, teardowns) = (AtomicUsize::new(0), AtomicU64::new(0));
        let stage = Arc::new(Stage { sessions, then, described, teardowns });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&stage)));
        Ok(Self { addr, stage, _tasks: tasks })
    }

    /// The camera's address.
    ///
    /// # Panics
    /// Never: a socket address always makes a URL.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&format!("rtsp://{}/stream", self.addr)).expect("a socket address fits a URL")
    }

    /// How many sessions were begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.stage.described.load(Ordering::Relaxed)
    }

    /// How many sessions were torn down.
    #[must_use]
    pub fn teardowns(&self) -> u64 {
        self.stage.teardowns.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, Arc::clone(&stage)));
    }
}

async fn serve(stream: TcpStream, stage: Arc<Stage>) {
    let Ok(addr) = stream.local_addr() else { return };
    let (mut reader, writer) = stream.into_split();
    let home = format!("rtsp://{addr}");
    let mut playing = Playing { writer, stage, session: Vec::new(), at: 0, due: None, home };
    let mut received = BytesMut::new();
    loop {
        let due = playing.due;
        let going_on = tokio::select! {
            read = reader.read_buf(&mut received) => {
                read.is_ok_and(|length| length > 0) && playing.answer_all(&mut received).await
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                playing.send_due().await
            }
        };
        if !going_on {
            return;
        }
    }
}

struct Playing {
    writer: OwnedWriteHalf,
    stage: Arc<Stage>,
    /// The session's records; none before DESCRIBE.
    session: Vec<Record>,
    /// The next record.
    at: usize,
    /// When the next packets are due; none before PLAY and after the last.
    due: Option<Instant>,
    /// The camera's address as it must stand in answers.
    home: String,
}

impl Playing {
    async fn answer_all(&mut self, received: &mut BytesMut) -> bool {
        loop {
            match Message::<Vec<u8>>::parse(&received[..]) {
                Ok((message, consumed)) => {
                    received.advance(consumed);
                    if let Message::Request(request) = message
                        && !self.answer(&request).await
                    {
                        return false;
                    }
                }
                Err(ParseError::Incomplete(_)) => return received.len() <= REQUEST_BYTES_MAX,
                Err(ParseError::Error) => return false,
            }
        }
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> bool {
        let cseq = request.header(&CSEQ).map_or("0", |value| value.as_str()).to_owned();
        let name: &str = request.method().into();
        let plays = *request.method() == Method::Play;
        if *request.method() == Method::Teardown {
            self.stage.teardowns.fetch_add(1, Ordering::Relaxed);
            let _gone = self.write(plain(&cseq).as_bytes()).await;
            return false;
        }
        if *request.method() == Method::Describe && self.session.is_empty() {
            let nth = self.stage.described.fetch_add(1, Ordering::Relaxed);
            let sessions = &self.stage.sessions;
            self.session = sessions[nth.min(sessions.len() - 1)].records.clone();
        }
        let is_it = |what: &What| matches!(what, What::Answer { method, .. } if method == name);
        let found = self.session[self.at..].iter().position(|record| is_it(&record.what));
        // While it plays, only keepalives come: they were answered as they were, or plainly.
        let Some(found) = found.filter(|_| self.due.is_none()) else {
            return self.write(plain(&cseq).as_bytes()).await;
        };
        let records: Vec<_> = self.session[self.at..=self.at + found].to_vec();
        self.at += found + 1;
        for record in records {
            let sent = match record.what {
                What::Packets(bytes) => self.write(&bytes).await,
                What::Answer { bytes, .. } => {
                    let answer = at_home(&bytes, &cseq, &self.home);
                    self.write(&answer).await
                }
            };
            if !sent {
                return false;
            }
        }
        if plays {
            self.due = Some(Instant::now());
            self.set_due();
        }
        true
    }

    /// Answers after PLAY are given on request; the packets keep their times.
    fn set_due(&mut self) {
        let records = &self.session[self.at..];
        let packets = records.iter().position(|r| matches!(r.what, What::Packets(_)));
        let wait_us = records
            .iter()
            .take(packets.map_or(0, |at| at + 1))
            .map(|r| u64::from(r.after_us))
            .sum();
        self.at += packets.unwrap_or(records.len());
        self.due = self.due.map(|due| due + Duration::from_micros(wait_us));
        if packets.is_none() && self.stage.then == Then::Silence {
            self.due = None;
        }
    }

    async fn send_due(&mut self) -> bool {
        let Some(record) = self.session.get(self.at) else {
            return self.stage.then == Then::Silence;
        };
        let What::Packets(bytes) = record.what.clone() else { return false };
        self.at += 1;
        self.set_due();
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        timeout(WRITE_WITHIN, self.writer.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }
}

fn plain(cseq: &str) -> String {
    format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n\r\n")
}

/// A captured answer as this camera gives it to this request.
fn at_home(bytes: &[u8], cseq: &str, home: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).replace(HOST, home);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut out = String::new();
    for line in head.split("\r\n") {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "cseq" => out.push_str(&format!("CSeq: {cseq}\r\n")),
            "content-length" => out.push_str(&format!("Content-Length: {}\r\n", body.len())),
            _ => out.push_str(&format!("{line}\r\n")),
        }
    }
    out.push_str("\r\n");
    out.push_str(body);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_at_the_players_own_address() {
        let captured = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Base: rtsp://camera.invalid/a/\r\n\
                         Content-Length: 3\r\n\r\na=control:rtsp://camera.invalid/a/1\r\n";
        let answer = String::from_utf8(at_home(captured, "4", "rtsp://[::1]:99")).unwrap();
        assert_eq!(
            answer,
            "RTSP/1.0 200 OK\r\nCSeq: 4\r\nContent-Base: rtsp://[::1]:99/a/\r\n\
             Content-Length: 31\r\n\r\na=control:rtsp://[::1]:99/a/1\r\n"
        );
    }
}
