//! Captures a session with a real camera: our own client talks to it through a proxy, which keeps what
//! the camera sends and when. What the client sends is looked at for its requests' numbers alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use edge_agent::camera::{self, Address, Event, outbox};
use host::{Clock, Tasks};
use rtsp_types::headers::CSEQ;
use rtsp_types::{Message, ParseError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::clean;
use super::format::{RECORD_BYTES_MAX, RECORDS_MAX, Record, Session, What};

/// How long the camera has until its first picture.
const FIRST_PICTURE_WITHIN: Duration = Duration::from_secs(20);
/// Bytes of one session: a few seconds of a 4K camera.
const BYTES_MAX: usize = 16 << 20;

/// What went through the proxy.
#[derive(Debug, Default)]
struct Heard {
    sent: Vec<u8>,
    /// What came, each with its time since the connection stood.
    came: Vec<(Duration, Vec<u8>)>,
    bytes: usize,
}

/// A session of `length` with the camera at `url`, without its name and password.
///
/// # Errors
/// If the camera cannot be reached or gives no picture; with its reason.
pub async fn capture(
    url: &Url,
    login: Option<(&str, &str)>,
    length: Duration,
    note: &str,
) -> Result<Session> {
    let host = url.host_str().context("the address names no host")?.to_owned();
    let upstream = format!("{host}:{}", url.port().unwrap_or(554));
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the proxy")?;
    let mut through = url.clone();
    let port = listener.local_addr().context("a bound socket has an address")?.port();
    through.set_host(Some("127.0.0.1")).context("the address takes no host")?;
    through.set_port(Some(port)).ok().context("the address takes no port")?;
    let mut address: Address = through.as_str().parse().context("no camera's address")?;
    if let Some((user, password)) = login {
        address = address.with_credentials(user, password);
    }
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut proxy = JoinSet::new();
    proxy.spawn(pass_through(listener, upstream, Arc::clone(&heard)));
    let watched = watch(address, length).await;
    proxy.shutdown().await;
    watched?;
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    let session = assemble(&heard, host.trim_matches(['[', ']']), note);
    let plays = |r: &Record| matches!(&r.what, What::Answer { method, .. } if method == "PLAY");
    ensure!(session.records.iter().any(plays), "no answer to PLAY was captured");
    Ok(session)
}

/// Watches the camera until it has shown pictures for `length`.
async fn watch(address: Address, length: Duration) -> Result<()> {
    let (to, mut events) = outbox::queue();
    let tasks = Tasks::new();
    let stop = tasks.clone();
    tasks.spawn("camera", async move {
        let settings = camera::Settings::new(address);
        camera::run(settings, Clock::system(), || 0, to, stop.stopping()).await;
    });
    let seen = until(&mut events, length).await;
    // The client takes its leave; the proxy hears it still.
    drop(events);
    tasks.shut_down(Duration::from_secs(10)).await;
    seen
}

async fn until(events: &mut mpsc::Receiver<Event>, length: Duration) -> Result<()> {
    let first = timeout(FIRST_PICTURE_WITHIN, events.recv()).await;
    match first.context("the camera gave no picture in 20 s")? {
        Some(Event::Down { reason, detail, .. }) => bail!("{reason}: {detail}"),
        Some(_) => {}
        None => bail!("the client ended"),
    }
    let end = Instant::now() + length;
    while let Ok(event) = timeout_at(end, events.recv()).await {
        match event {
            // What an odd camera does is what is wanted: kept up to there.
            Some(Event::Down { .. }) | None => return Ok(()),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Passes the first connection on; a camera's session is one.
async fn pass_through(listener: TcpListener, upstream: String, heard: Arc<Mutex<Heard>>) {
    let Ok((client, _)) = listener.accept().await else { return };
    drop(listener);
    let Ok(camera) = TcpStream::connect(&upstream).await else { return };
    let began = Instant::now();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_camera, mut to_camera) = camera.into_split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            lock(&heard).sent.extend_from_slice(&buffer[..length]);
            if to_camera.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_camera.read(&mut buffer).await {
            {
                let mut heard = lock(&heard);
                heard.bytes += length;
                if heard.bytes > BYTES_MAX {
                    break;
                }
                heard.came.push((began.elapsed(), buffer[..length].to_vec()));
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(up, down);
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a session together from what went through the proxy. Pure.
fn assemble(heard: &Heard, host: &str, note: &str) -> Session {
    let methods = methods(&heard.sent);
    let all: Vec<u8> = heard.came.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    let (mut chunks, mut chunk_end) = (heard.came.iter(), 0);
    let (mut at, mut now, mut last) = (0, Duration::ZERO, Duration::ZERO);
    let mut session = Session { note: note.to_owned(), records: Vec::new() };
    while at < all.len() && session.records.len() < RECORDS_MAX {
        let (consumed, cseq) = match Message::<Vec<u8>>::parse(&all[at..]) {
            Ok((Message::Response(response), consumed)) => {
                let cseq = response.header(&CSEQ).map(|value| value.as_str().to_owned());
                (consumed, Some(cseq.unwrap_or_default()))
            }
            Ok((_, consumed)) => (consumed, None),
            Err(ParseError::Incomplete(_)) => break,
            // Noise is kept as it is: it may be what the camera is captured for.
            Err(ParseError::Error) => ((all.len() - at).min(RECORD_BYTES_MAX), None),
        };
        let bytes = &all[at..at + consumed];
        at += consumed;
        while chunk_end < at {
            let Some((time, bytes)) = chunks.next() else { break };
            (now, chunk_end) = (*time, chunk_end + bytes.len());
        }
        let what = match cseq.map(|cseq| methods.get(&cseq).cloned().unwrap_or_default()) {
            Some(method) if method == "TEARDOWN" || method.is_empty() => continue,
            Some(method) => match clean::answer(bytes, host) {
                Some(bytes) => What::Answer { method, bytes },
                None => continue,
            },
            None => {
                let mut bytes = bytes.to_vec();
                if let [b'$', _, _, _, packet @ ..] = &mut bytes[..] {
                    clean::rtcp(packet);
                }
                What::Packets(bytes)
            }
        };
        let after_us = u32::try_from((now - last).as_micros()).unwrap_or(u32::MAX);
        match (&what, session.records.last_mut().map(|record| &mut record.what)) {
            (What::Packets(more), Some(What::Packets(before)))
                if after_us == 0 && before.len() + more.len() <= RECORD_BYTES_MAX =>
            {
                before.extend_from_slice(more);
            }
            _ => session.records.push(Record { after_us, what }),
        }
        last = now;
    }
    session
}

/// The method of each request, by its number.
fn methods(mut sent: &[u8]) -> BTreeMap<String, String> {
    let mut methods = BTreeMap::new();
    while let Ok((message, consumed)) = Message::<Vec<u8>>::parse(sent) {
        if let Message::Request(request) = message
            && let Some(cseq) = request.header(&CSEQ)
        {
            let method: &str = request.method().into();
            methods.insert(cseq.as_str().to_owned(), method.to_owned());
        }
        sent = &sent[consumed..];
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cameras::{Auth, Cameras, PASSWORD, USER};
    use crate::rig::footage::Clip;

    #[tokio::test]
    async fn a_protected_camera_is_captured_without_its_password() {
        let cameras =
            Cameras::start([("east/ext-01", Clip::SmallH264)], Auth::Basic).await.unwrap();
        let url = cameras.url("east/ext-01").unwrap();
        let length = Duration::from_millis(500);
        let session = capture(url, Some((USER, PASSWORD)), length, "a test").await.unwrap();
        let bytes = session.write();
        for secret in [USER, PASSWORD, "127.0.0.1", "401 Unauthorized", "WWW-Authenticate"] {
            let found = bytes.windows(secret.len()).any(|there| there == secret.as_bytes());
            assert!(!found, "{secret} is in the capture");
        }
        assert_eq!(Session::read(&bytes).unwrap(), session);
        let wrong = capture(url, Some((USER, "no")), length, "").await.unwrap_err().to_string();
        assert!(wrong.contains("credentials-refused"), "{wrong}");
    }
}
