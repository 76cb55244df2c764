//! One client of the crowd: answers its RTSP requests, sends it frames.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use custody::WallTime;

use super::WAITING_BYTES_MAX;
use super::reel::{FRAME_TICKS, Reel, sender_report};
use crate::rig::faulty::interleaved_channel;

/// A request longer than this ends the connection.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// A sender report every 5 s.
const REPORT_FRAMES: u32 = 125;

/// What one connection was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

pub(super) struct Viewer {
    stream: TcpStream,
    received: Vec<u8>,
    /// What the kernel did not take yet.
    waiting: Vec<u8>,
    channel: u8,
    playing: Option<Playing>,
    counts: Counts,
}

/// A session's place in the clip.
struct Playing {
    number: usize,
    sent: u32,
    sequence: u16,
    timestamp: u32,
}

impl Viewer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            waiting: Vec::new(),
            channel: 0,
            playing: None,
            counts: Counts::default(),
        }
    }

    pub(super) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads and answers what came; a session that begins does so at frame `first`. False ends the
    /// connection.
    pub(super) fn hear(&mut self, reel: &Reel, first: usize) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => return false,
            Ok(read) => self.received.extend_from_slice(&piece[..read]),
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        }
        while let Some((request, rest)) = split(&self.received) {
            let request = request.map(|text| String::from_utf8_lossy(text).into_owned());
            self.received.drain(..rest);
            if request.is_some_and(|request| !self.answer(&request, reel, first)) {
                return false;
            }
        }
        self.received.len() <= REQUEST_BYTES_MAX
    }

    fn answer(&mut self, request: &str, reel: &Reel, first: usize) -> bool {
        let (method, after) = request.split_once(' ').unwrap_or((request, ""));
        let uri = after.split(' ').next().unwrap_or_default().trim_end_matches('/');
        let cseq = header(request, "cseq").unwrap_or("0");
        let (mut headers, mut body) = ("Session: 40506070;timeout=60\r\n".to_owned(), "");
        match method {
            "OPTIONS" => {
                "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN\r\n"
                    .clone_into(&mut headers);
            }
            "DESCRIBE" => {
                body = reel.description();
                headers = format!(
                    "Content-Type: application/sdp\r\nContent-Base: {uri}/\r\nContent-Length: {}\r\n",
                    body.len()
                );
            }
            "SETUP" => {
                let asked = header(request, "transport").and_then(interleaved_channel);
                let Some(channel) = asked else { return false };
                self.channel = channel;
                headers += &format!(
                    "Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{}\r\n",
                    channel.wrapping_add(1)
                );
            }
            "PLAY" => {
                let (sequence, timestamp) = (1, u32::MAX - 900_000);
                self.playing = Some(Playing { number: first, sent: 0, sequence, timestamp });
                headers +=
                    &format!("RTP-Info: url={uri}/track1;seq={sequence};rtptime={timestamp}\r\n");
            }
            "TEARDOWN" => return false,
            _ => {}
        }
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{headers}\r\n{body}");
        self.send(answer.as_bytes())
    }

    /// Sends the session's next frame. False when the client is gone.
    pub(super) fn send_frame(&mut self, reel: &mut Reel, wall: WallTime) -> bool {
        let Some(mut playing) = self.playing.take() else { return true };
        let mut goes_on = self.flush();
        if goes_on && playing.sent.is_multiple_of(REPORT_FRAMES) {
            let channel = self.channel.wrapping_add(1);
            goes_on = self.send(&sender_report(channel, wall, playing.timestamp));
        }
        if self.waiting.len() > WAITING_BYTES_MAX {
            self.counts.dropped += 1;
        } else {
            let (bytes, next) =
                reel.frame(playing.number, self.channel, playing.sequence, playing.timestamp);
            playing.sequence = next;
            goes_on = goes_on && self.send(bytes);
        }
        playing.number = playing.number.wrapping_add(1);
        playing.sent = playing.sent.wrapping_add(1);
        playing.timestamp = playing.timestamp.wrapping_add(FRAME_TICKS);
        self.playing = Some(playing);
        goes_on
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut taken = 0;
        if self.waiting.is_empty() {
            match self.stream.write(bytes) {
                Ok(wrote) => taken = wrote,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
            self.counts.bytes += taken as u64;
        }
        self.waiting.extend_from_slice(&bytes[taken..]);
        true
    }

    fn flush(&mut self) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        match self.stream.write(&self.waiting) {
            Ok(wrote) => {
                self.counts.bytes += wrote as u64;
                self.waiting.drain(..wrote);
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// The first whole message of `received` and where the next begins: a request's head, or none for
/// the client's own reports on the connection (RFC 2326 section 10.12).
fn split(received: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    if let [b'$', _, high, low, ..] = received {
        let end = 4 + usize::from(u16::from_be_bytes([*high, *low]));
        return (received.len() >= end).then_some((None, end));
    }
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&received[..head]);
    let body = header(&text, "content-length").and_then(|len| len.parse::<usize>().ok());
    let end = head + 4 + body.unwrap_or(0);
    (received.len() >= end).then_some((Some(&received[..head]), end))
}

/// The value of header `name`, given in small letters.
fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim().to_ascii_lowercase() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_reports_are_told_apart_and_awaited_whole() {
        let request = b"PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 4\r\n\r\n";
        assert_eq!(split(&request[..20]), None);
        let (text, rest) = split(request).unwrap();
        assert_eq!((text, rest), (Some(&request[..request.len() - 4]), request.len()));
        assert_eq!(header("PLAY x\r\nCSeq:  4 ", "cseq"), Some("4"));
        let with_body = b"SET_PARAMETER x RTSP/1.0\r\nContent-Length: 3\r\n\r\nabc$";
        assert_eq!(split(&with_body[..with_body.len() - 2]), None);
        assert_eq!(split(with_body).unwrap().1, with_body.len() - 1);
        assert_eq!(split(&[b'$', 1, 0, 2, 9]), None);
        assert_eq!(split(&[b'$', 1, 0, 2, 9, 9, b'P']), Some((None, 6)));
    }
}
