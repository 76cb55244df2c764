//! The file of one captured RTSP session: what the server sent, in order, and when. Pure.
//!
//! ```text
//! watchhouse rtsp session 1 LF
//! what it is a capture of, one line of UTF-8 LF
//! records, up to the end of the file:
//!   u32  microseconds since the record before (or since the connection stood)
//!   u8   1: the answer to a request    2: interleaved packets
//!   u32  length in bytes, at most 1 MiB
//!   ...  1: the request's method, LF, the answer with its head and body
//!        2: whole packets, each after `$`, channel and length (RFC 2326 section 10.12)
//! ```
//! Numbers are big-endian. What the client sent is not kept: it may log in.

use std::fmt;

const MAGIC: &[u8] = b"watchhouse rtsp session 1\n";
/// The longest note.
pub const NOTE_BYTES_MAX: usize = 200;
/// The longest record: more than the largest picture of any clip.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records in one session: a minute at 100 reads a second.
pub const RECORDS_MAX: usize = 6_000;

/// What a server sent in one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// What it is a capture of.
    pub note: String,
    /// In the order in which they came.
    pub records: Vec<Record>,
}

/// One thing that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Microseconds since the record before.
    pub after_us: u32,
    /// What it was.
    pub what: What,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The answer to a request.
    Answer {
        /// The request's method: `DESCRIBE`.
        method: String,
        /// Head and body.
        bytes: Vec<u8>,
    },
    /// Interleaved packets.
    Packets(Vec<u8>),
}

/// Why a file is no captured session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSession {
    /// It does not begin as one does.
    NoSession,
    /// It ends inside a record.
    Cut,
    /// A record is of no known kind, too long, or one too many.
    BadRecord,
}

impl fmt::Display for BadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "it is not a captured session: make one with the `capture` program",
            Self::Cut => "it ends inside a record: capture it anew",
            Self::BadRecord => "a record in it is of no known kind, too long or one too many",
        })
    }
}

impl std::error::Error for BadSession {}

impl Session {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is none, or is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, BadSession> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(BadSession::NoSession)?;
        let end = rest.iter().take(NOTE_BYTES_MAX + 1).position(|byte| *byte == b'\n');
        let (note, rest) = rest.split_at(end.ok_or(BadSession::NoSession)?);
        let note = String::from_utf8(note.to_vec()).map_err(|_| BadSession::NoSession)?;
        let (mut rest, mut records) = (&rest[1..], Vec::new());
        while !rest.is_empty() {
            if records.len() == RECORDS_MAX {
                return Err(BadSession::BadRecord);
            }
            let (record, after) = Record::read(rest)?;
            records.push(record);
            rest = after;
        }
        Ok(Self { note, records })
    }

    /// The file. Its note is cut to what a file can hold.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut note = self.note.replace('\n', " ");
        while note.len() > NOTE_BYTES_MAX {
            note.pop();
        }
        let mut out = [MAGIC, note.as_bytes(), b"\n"].concat();
        for record in &self.records {
            let (kind, body) = match &record.what {
                What::Answer { method, bytes } => (1, [method.as_bytes(), b"\n", bytes].concat()),
                What::Packets(bytes) => (2, bytes.clone()),
            };
            out.extend(record.after_us.to_be_bytes());
            out.push(kind);
            out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(body);
        }
        out
    }
}

impl Record {
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), BadSession> {
        let (after_us, rest) = bytes.split_first_chunk().ok_or(BadSession::Cut)?;
        let (kind, rest) = rest.split_first().ok_or(BadSession::Cut)?;
        let (length, rest) = rest.split_first_chunk().ok_or(BadSession::Cut)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > RECORD_BYTES_MAX {
            return Err(BadSession::BadRecord);
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(BadSession::Cut)?;
        let what = match kind {
            1 => answer(body).ok_or(BadSession::BadRecord)?,
            2 => What::Packets(body.to_vec()),
            _ => return Err(BadSession::BadRecord),
        };
        Ok((Self { after_us: u32::from_be_bytes(*after_us), what }, rest))
    }
}

fn answer(body: &[u8]) -> Option<What> {
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let (method, bytes) = body.split_at(end);
    let named =
        !method.is_empty() && method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    let method = String::from_utf8(method.to_vec()).ok().filter(|_| named)?;
    Some(What::Answer { method, bytes: bytes[1..].to_vec() })
}

/// One interleaved packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Microseconds since the session's first packet.
    pub at_us: u64,
    /// The interleaved channel.
    pub channel: u8,
    /// RTP or RTCP.
    pub bytes: Vec<u8>,
}

/// Cuts interleaved bytes into packets, as far as they are well framed.
#[must_use]
pub fn packets(at_us: u64, mut bytes: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let [b'$', channel, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((packet, rest)) = rest.split_at_checked(length) else { break };
        packets.push(Packet { at_us, channel: *channel, bytes: packet.to_vec() });
        bytes = rest;
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not() {
        let answer =
            What::Answer { method: "SET_PARAMETER".into(), bytes: b"RTSP/1.0 200 OK".to_vec() };
        let packets = What::Packets(b"$\0\0\x02ab$\x01\0\0".to_vec());
        let records = [(7, answer), (u32::MAX, packets)];
        let records = records.map(|(after_us, what)| Record { after_us, what }).to_vec();
        let session = Session { note: "a camera".into(), records };
        let bytes = session.write();
        assert_eq!(Session::read(&bytes), Ok(session));
        for cut in 1..bytes.len() {
            let read = Session::read(&bytes[..cut]);
            assert!(read.is_err() || read.is_ok_and(|s| s.records.len() < 2), "{cut}");
        }
        let bent = |at: usize, byte: u8| {
            let mut bent = bytes.clone();
            bent[at] = byte;
            Session::read(&bent)
        };
        assert_eq!(bent(0, b'x'), Err(BadSession::NoSession));
        let first = MAGIC.len() + "a camera\n".len();
        assert_eq!(bent(first + 4, 9), Err(BadSession::BadRecord));
        assert_eq!(bent(first + 5, 255), Err(BadSession::BadRecord));
        assert_eq!(bent(first + 9, b'x'), Err(BadSession::BadRecord), "a method is in capitals");
    }

    #[test]
    fn packets_are_cut_as_far_as_they_are_framed() {
        let cut = packets(5, b"$\0\0\x02ab$\x01\0\0$\0\0\x09x");
        let seen: Vec<_> = cut.iter().map(|p| (p.channel, &p.bytes[..])).collect();
        assert_eq!(seen, [(0, &b"ab"[..]), (1, b"")]);
    }
}
