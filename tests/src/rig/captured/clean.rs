//! What a server sent, without what names or opens it. Pure.
//!
//! | kept | gone |
//! |---|---|
//! | status, `Content-Type`, `Content-Base`, `Content-Location`, `Session`, `Transport`, `RTP-Info`, `Public`, `Server` | every other line of a head; refusals that ask for a password; `Transport`'s addresses |
//! | the SDP's media, `a=` and `b=` lines | its origin, title, addresses of people; every host and address; `a=ssrc` |
//! | RTP, and RTCP's reports | the texts in RTCP's source descriptions (RFC 3550 section 6.5) |
//! | addresses as `rtsp://camera.invalid/…` with their path | host, port, user, password |
//!
//! What is in the pictures stays in the packets: point the camera at a wall.

/// Where every captured camera is.
pub(super) const HOST: &str = "rtsp://camera.invalid";

const HEADS: [&str; 9] = [
    "content-type",
    "content-base",
    "content-location",
    "session",
    "transport",
    "rtp-info",
    "public",
    "server",
    "cseq",
];

/// The answer without anything that names its camera; none if it asks for a password.
pub(super) fn answer(bytes: &[u8], host: &str) -> Option<Vec<u8>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?;
    if status.split(' ').nth(1) == Some("401") {
        return None;
    }
    let body = sdp(&String::from_utf8_lossy(&bytes[end + 4..]), host);
    let mut out = format!("{status}\r\n");
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name_small = name.trim().to_ascii_lowercase();
        if !HEADS.contains(&name_small.as_str()) {
            continue;
        }
        let value = value.trim();
        let value = if name_small == "transport" { transport(value) } else { nowhere(value, host) };
        out.push_str(&format!("{}: {value}\r\n", name.trim()));
    }
    if !body.is_empty() {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("\r\n");
    out.push_str(&body);
    Some(out.into_bytes())
}

fn sdp(body: &str, host: &str) -> String {
    let mut out = String::new();
    for line in body.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let line = match line.get(..2) {
            Some("o=") => "o=- 1 1 IN IP4 0.0.0.0".to_owned(),
            Some("s=") => "s=-".to_owned(),
            Some("c=") => "c=IN IP4 0.0.0.0".to_owned(),
            Some("i=" | "u=" | "e=" | "p=" | "k=") => continue,
            _ if line.starts_with("a=ssrc") => continue,
            _ => nowhere(line, host),
        };
        out.push_str(&line);
        out.push_str("\r\n");
    }
    out
}

fn transport(value: &str) -> String {
    let named = |part: &&str| {
        let part = part.trim().to_ascii_lowercase();
        !part.starts_with("source=") && !part.starts_with("destination=")
    };
    value.split(';').filter(named).collect::<Vec<_>>().join(";")
}

/// Every address in `text` as that of no camera.
fn nowhere(text: &str, host: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("rtsp://") {
        let (before, address) = rest.split_at(at);
        out.push_str(before);
        out.push_str(HOST);
        let path =
            address[7..].find(['/', '?', ';', ',', ' ', '"']).map_or("", |at| &address[7 + at..]);
        rest = path;
    }
    out.push_str(rest);
    if host.is_empty() { out } else { out.replace(host, "camera.invalid") }
}

/// RTCP's packet that says who a sender is.
const SOURCE_DESCRIPTION: u8 = 202;

/// Makes the texts unreadable in which a sender names itself, if `packet` is RTCP; of an interleaved
/// packet, what follows its length.
pub(super) fn rtcp(packet: &mut [u8]) {
    let mut rest = packet;
    while let [first, kind, high, low, ..] = *rest {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || !(200..=204).contains(&kind) || length > rest.len() {
            return;
        }
        let (one, after) = rest.split_at_mut(length);
        if kind == SOURCE_DESCRIPTION {
            unname(&mut one[4..], first & 0x1f);
        }
        rest = after;
    }
}

fn unname(chunks: &mut [u8], count: u8) {
    let mut at = 0;
    for _ in 0..count {
        at += 4;
        // Items: a type, a length, a text; a zero ends them, and the next chunk is at a word.
        while let Some(&[kind, length]) = chunks.get(at..at + 2) {
            if kind == 0 {
                break;
            }
            let text = at + 2..at + 2 + usize::from(length);
            at = text.end;
            let Some(text) = chunks.get_mut(text) else { return };
            text.fill(b'x');
        }
        at = (at / 4 + 1) * 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_does_not_name_itself_in_rtcp() {
        let report = [[0x80, 201, 0, 1].as_slice(), &[9; 4]].concat();
        let item = [&[1, 8][..], b"cam@host", &[0, 0]].concat();
        let named = [&[0x81, 202, 0, 4][..], &[9; 4], &item].concat();
        let mut packet = [report.clone(), named].concat();
        rtcp(&mut packet);
        assert!(packet.ends_with(b"\x01\x08xxxxxxxx\0\0"), "{packet:?}");
        assert_eq!(packet[..8], report);
        // RTP, and what is cut, stay as they are.
        for mut other in [vec![0x80, 96, 0, 1, 1, 2, 3, 4], vec![0x81, 202, 0, 9, 1]] {
            let before = other.clone();
            rtcp(&mut other);
            assert_eq!(other, before);
        }
    }

    #[test]
    fn nothing_that_names_or_opens_a_camera_is_kept() {
        let body = "v=0\r\no=admin 12 1 IN IP4 10.1.2.3\r\ns=East yard\r\ne=j.doe@force.example\r\n\
                    c=IN IP4 10.1.2.3\r\nm=video 0 RTP/AVP 96\r\na=control:rtsp://u:pw@10.1.2.3:554/ch1\r\n\
                    a=fmtp:96 sprop-parameter-sets=Z0,aM\r\na=x-host:10.1.2.3\r\n\
                    a=ssrc:1 cname:user@yard\r\n";
        let answer = format!(
            "RTSP/1.0 200 OK\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"East\"\r\nSet-Cookie: x=1\r\n\
             Content-Base: rtsp://u:pw@10.1.2.3:554/ch1/?a=b\r\nX-Serial: 4711\r\n\
             Transport: RTP/AVP/TCP;unicast;source=10.1.2.3;interleaved=0-1;ssrc=11223344\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let clean =
            String::from_utf8(super::answer(answer.as_bytes(), "10.1.2.3").unwrap()).unwrap();
        for secret in
            ["10.1.2.3", "u:pw", "admin", "East", "j.doe", "4711", "Digest", "Cookie", "yard"]
        {
            assert!(!clean.contains(secret), "{secret}: {clean}");
        }
        assert!(clean.contains("Content-Base: rtsp://camera.invalid/ch1/?a=b\r\n"), "{clean}");
        assert!(clean.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=11223344\r\n"));
        assert!(clean.contains("sprop-parameter-sets=Z0,aM"), "{clean}");
        let (head, body) = clean.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{clean}");
        let refusal = b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
        assert_eq!(super::answer(refusal, "10.1.2.3"), None);
    }
}
