//! Pictures to RTP packets (RFC 3550, RFC 6184: single NAL units and FU-A) and their framing on
//! RTSP's own connection (RFC 2326 section 10.12). Pure.

use crate::rig::footage::AccessUnit;

/// Payload bytes of one packet: what fits an Ethernet frame through a tunnel.
const PAYLOAD_BYTES_MAX: usize = 1400;
const PAYLOAD_TYPE: u8 = 96;
const SSRC: u32 = 0x5741_5443;
const FU_A: u8 = 28;

/// Numbers the packets of one session.
#[derive(Debug, Clone)]
pub(in crate::rig) struct Packetizer {
    next: u16,
}

impl Packetizer {
    pub(in crate::rig) fn starting_at(next: u16) -> Self {
        Self { next }
    }

    /// The packets of one picture; the last one is marked.
    pub(in crate::rig) fn packets(&mut self, unit: &AccessUnit, timestamp: u32) -> Vec<Vec<u8>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for nal in &unit.nals {
            if nal.len() <= PAYLOAD_BYTES_MAX {
                payloads.push(nal.to_vec());
            } else {
                payloads.extend(fragments(nal));
            }
        }
        let last = payloads.len().saturating_sub(1);
        payloads
            .iter()
            .enumerate()
            .map(|(at, payload)| self.packet(payload, timestamp, at == last))
            .collect()
    }

    fn packet(&mut self, payload: &[u8], timestamp: u32, marked: bool) -> Vec<u8> {
        let mut packet = vec![0x80, PAYLOAD_TYPE | if marked { 0x80 } else { 0 }];
        packet.extend(self.next.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend(payload);
        self.next = self.next.wrapping_add(1);
        packet
    }
}

/// A NAL unit too long for one packet: indicator, header with start and end bits, a piece.
fn fragments(nal: &[u8]) -> Vec<Vec<u8>> {
    let (header, body) = (nal[0], &nal[1..]);
    let pieces: Vec<&[u8]> = body.chunks(PAYLOAD_BYTES_MAX - 2).collect();
    let last = pieces.len() - 1;
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| {
            let start = if at == 0 { 0x80 } else { 0 };
            let end = if at == last { 0x40 } else { 0 };
            let mut payload = vec![header & 0xe0 | FU_A, start | end | header & 0x1f];
            payload.extend_from_slice(piece);
            payload
        })
        .collect()
}

/// A packet as it travels on the RTSP connection.
pub(in crate::rig) fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    let len = u16::try_from(packet.len()).expect("PAYLOAD_BYTES_MAX bounds every packet");
    let mut out = vec![b'$', channel];
    out.extend(len.to_be_bytes());
    out.extend_from_slice(packet);
    out
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_long_picture_is_cut_and_can_be_put_together_again() {
        let nal: Vec<u8> = [0x65].into_iter().chain((0..=250).cycle().take(4000)).collect();
        let unit = AccessUnit {
            key: true,
            nals: vec![Bytes::from_static(&[0x67, 1]), Bytes::from(nal.clone())],
        };
        let packets = Packetizer::starting_at(u16::MAX).packets(&unit, 90_000);
        assert_eq!(packets.len(), 4);
        let numbers: Vec<&[u8]> = packets.iter().map(|packet| &packet[2..4]).collect();
        assert_eq!(numbers, [[0xff, 0xff], [0, 0], [0, 1], [0, 2]]);
        let marked: Vec<bool> = packets.iter().map(|packet| packet[1] & 0x80 != 0).collect();
        assert_eq!(marked, [false, false, false, true]);
        assert_eq!(packets[0][12..], [0x67, 1]);
        assert_eq!([packets[1][13] & 0xc0, packets[3][13] & 0xc0], [0x80, 0x40]);
        let mut joined = vec![packets[1][12] & 0xe0 | packets[1][13] & 0x1f];
        for packet in &packets[1..] {
            joined.extend_from_slice(&packet[14..]);
        }
        assert_eq!(joined, nal);
    }
}
