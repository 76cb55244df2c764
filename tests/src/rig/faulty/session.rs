//! One client's connection: answers RTSP requests, and sends a frame whenever one is due.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rtsp_types::headers::{CONTENT_BASE, CONTENT_TYPE, CSEQ, PUBLIC, RTP_INFO, SESSION, TRANSPORT};
use rtsp_types::{Message, Method, ParseError, Request, Response, StatusCode, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{interval, timeout};

use super::player::{Action, Player};
use super::{Behaviour, Settings, Shared, UdpOnly, sdp};
use crate::rig::footage::FRAMES_PER_SECOND;

/// A request longer than this ends the connection.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// A client that does not read for so long has lost its camera.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
const SESSION_ID: &str = "40506070;timeout=60";

/// Serves one client until it leaves, or until the fault says so.
pub(super) async fn run(stream: TcpStream, shared: Arc<Shared>) {
    let settings = *shared.settings.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut reader, writer) = stream.into_split();
    let mut session =
        Session { writer, shared, settings, channel: 0, player: None, stalled: false };
    let mut received = BytesMut::new();
    let mut due = interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    loop {
        let going_on = tokio::select! {
            read = reader.read_buf(&mut received) => {
                read.is_ok_and(|len| len > 0) && session.answer(&mut received).await
            }
            _ = due.tick(), if session.is_playing() => session.send_frame().await,
        };
        if !going_on {
            return;
        }
    }
}

struct Session {
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
    settings: Settings,
    /// The channel that the client wants RTP on.
    channel: u8,
    player: Option<Player>,
    /// Silent for good: sends no frame and answers nothing.
    stalled: bool,
}

impl Session {
    fn is_playing(&self) -> bool {
        self.player.is_some() && !self.stalled
    }

    /// Answers all whole requests in `received`; false ends the connection.
    async fn answer(&mut self, received: &mut BytesMut) -> bool {
        if self.stalled {
            received.clear();
            return true;
        }
        loop {
            match Message::<Vec<u8>>::parse(&received[..]) {
                Ok((message, consumed)) => {
                    received.advance(consumed);
                    // What else may come is the client's receiver reports.
                    if let Message::Request(request) = message {
                        let ends = *request.method() == Method::Teardown;
                        let response = self.response(&request);
                        let mut bytes = Vec::new();
                        if response.write(&mut bytes).is_err() || !self.write(&bytes).await || ends
                        {
                            return false;
                        }
                    }
                }
                Err(ParseError::Incomplete(_)) => return received.len() <= REQUEST_BYTES_MAX,
                Err(ParseError::Error) => return false,
            }
        }
    }

    fn response(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let cseq = request.header(&CSEQ).map_or("0", |value| value.as_str());
        let ok = Response::builder(Version::V1_0, StatusCode::Ok).header(CSEQ, cseq);
        let uri = request.request_uri().map_or_else(String::new, ToString::to_string);
        match request.method() {
            Method::Options => ok
                .header(PUBLIC, "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN")
                .build(Vec::new()),
            Method::Describe => ok
                .header(CONTENT_TYPE, "application/sdp")
                .header(CONTENT_BASE, format!("{}/", uri.trim_end_matches('/')))
                .build(
                    sdp::describe(self.settings.behaviour, &self.shared.reels.first[0])
                        .into_bytes(),
                ),
            Method::Setup => {
                let transport = request.header(&TRANSPORT).map_or("", |value| value.as_str());
                let behaviour = self.settings.behaviour;
                if behaviour == Behaviour::UdpOnly(UdpOnly::GrantsUdp) {
                    let udp = "RTP/AVP;unicast;client_port=6970-6971;server_port=6972-6973";
                    return ok.header(SESSION, SESSION_ID).header(TRANSPORT, udp).build(Vec::new());
                }
                let refuses = behaviour == Behaviour::UdpOnly(UdpOnly::Refuses);
                let Some(channel) = interleaved_channel(transport).filter(|_| !refuses) else {
                    return Response::builder(Version::V1_0, StatusCode::UnsupportedTransport)
                        .header(CSEQ, cseq)
                        .build(Vec::new());
                };
                self.channel = channel;
                let channels = format!("interleaved={channel}-{}", channel.wrapping_add(1));
                ok.header(SESSION, SESSION_ID)
                    .header(TRANSPORT, format!("RTP/AVP/TCP;unicast;{channels}"))
                    .build(Vec::new())
            }
            Method::Play => {
                self.shared.plays.fetch_add(1, Ordering::Relaxed);
                let (shared, channel) = (Arc::clone(&self.shared), self.channel);
                self.player = Some(Player::new(shared, self.settings, channel));
                let track = format!("url={}/track1", uri.trim_end_matches('/'));
                ok.header(SESSION, SESSION_ID)
                    .header(RTP_INFO, format!("{track};{}", Player::rtp_info()))
                    .build(Vec::new())
            }
            _ => ok.header(SESSION, SESSION_ID).build(Vec::new()),
        }
    }

    /// Does what is due at this frame's time; false ends the connection.
    async fn send_frame(&mut self) -> bool {
        let Some(player) = &mut self.player else { return true };
        match player.next() {
            Action::Skip => true,
            Action::Close => false,
            Action::Stall(bytes) => {
                self.stalled = true;
                self.write(&bytes).await
            }
            Action::Frame(bytes) => {
                let sent = self.write(&bytes).await;
                if sent {
                    self.shared.frames.fetch_add(1, Ordering::Relaxed);
                }
                sent
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        timeout(WRITE_WITHIN, self.writer.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }
}

/// The RTP channel of a Transport header that asks for TCP.
pub(in crate::rig) fn interleaved_channel(transport: &str) -> Option<u8> {
    let first = transport.split(',').find(|offer| offer.contains("RTP/AVP/TCP"))?;
    let channels = first.split(';').find_map(|part| part.trim().strip_prefix("interleaved="));
    channels.map_or(Some(0), |pair| pair.split('-').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_is_offered() {
        let check = |transport, expect| assert_eq!(interleaved_channel(transport), expect);
        check("RTP/AVP/TCP;unicast;interleaved=2-3", Some(2));
        check("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast", Some(0));
        check("RTP/AVP;unicast;client_port=5000-5001", None);
        check("RTP/AVP/TCP;interleaved=x", None);
    }
}
