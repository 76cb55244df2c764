//! A clip as RTP packets in RTSP's framing, ready to be sent: only numbers and times are written
//! over. Pure.

use custody::WallTime;

use crate::rig::faulty::{Behaviour, Packetizer, describe, interleaved};
use crate::rig::footage::{AccessUnit, FRAMES_PER_SECOND};

/// From one frame to the next, milliseconds.
pub(super) const FRAME_MS: u64 = 1000 / FRAMES_PER_SECOND as u64;
/// The same on the media clock.
pub(super) const FRAME_TICKS: u32 = 90_000 / FRAMES_PER_SECOND;
/// Bytes of `$`, channel and length before each packet.
const FRAMING_BYTES: usize = 4;
/// From 1900, where NTP counts from (RFC 868), to 1970, seconds.
const NTP_EPOCH_S: u64 = 2_208_988_800;

/// One picture's packets, end to end.
struct Ready {
    bytes: Vec<u8>,
    /// Where each packet's framing begins.
    packets: Vec<usize>,
}

/// The clip.
pub(super) struct Reel {
    frames: Vec<Ready>,
    description: String,
}

impl Reel {
    pub(super) fn of(units: &[AccessUnit]) -> Self {
        let frames = units.iter().map(|unit| {
            let mut ready = Ready { bytes: Vec::new(), packets: Vec::new() };
            for packet in Packetizer::starting_at(0).packets(unit, 0) {
                ready.packets.push(ready.bytes.len());
                ready.bytes.extend(interleaved(0, &packet));
            }
            ready
        });
        let description = describe(Behaviour::Good, &units[0]);
        Self { frames: frames.collect(), description }
    }

    /// The answer to DESCRIBE.
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// Frame `number` of the clip in a loop, on `channel` from packet `sequence` on; gives its bytes
    /// and the number of the packet after it.
    pub(super) fn frame(
        &mut self,
        number: usize,
        channel: u8,
        sequence: u16,
        timestamp: u32,
    ) -> (&[u8], u16) {
        let count = self.frames.len();
        let frame = &mut self.frames[number % count];
        let mut sequence = sequence;
        for &at in &frame.packets {
            frame.bytes[at + 1] = channel;
            let rtp = at + FRAMING_BYTES;
            frame.bytes[rtp + 2..rtp + 4].copy_from_slice(&sequence.to_be_bytes());
            frame.bytes[rtp + 4..rtp + 8].copy_from_slice(&timestamp.to_be_bytes());
            sequence = sequence.wrapping_add(1);
        }
        (&frame.bytes, sequence)
    }
}

/// A sender report (RFC 3550 section 6.4.1) in its framing: `wall` is `timestamp`.
pub(super) fn sender_report(channel: u8, wall: WallTime, timestamp: u32) -> Vec<u8> {
    let us = u64::try_from(wall.0).unwrap_or(0);
    let (seconds, part_us) = (us / 1_000_000 + NTP_EPOCH_S, us % 1_000_000);
    let ntp = (seconds << 32) | ((part_us << 32) / 1_000_000);
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(b"WATC");
    report.extend(ntp.to_be_bytes());
    report.extend(timestamp.to_be_bytes());
    report.extend([0; 8]);
    interleaved(channel, &report)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_prepared_frame_is_what_the_packetizer_would_have_sent() {
        let nal = |first: u8, len| Bytes::from([vec![first], vec![7; len]].concat());
        let key = AccessUnit { key: true, nals: vec![nal(0x67, 8), nal(0x68, 4), nal(0x65, 4000)] };
        let next = AccessUnit { key: false, nals: vec![nal(0x41, 100)] };
        let mut reel = Reel::of(&[key.clone(), next]);
        let packets = Packetizer::starting_at(u16::MAX).packets(&key, 77);
        let expected: Vec<u8> = packets.iter().flat_map(|packet| interleaved(2, packet)).collect();
        // Twice round the clip, the second time over the first one's numbers.
        for number in [0, 2] {
            let (bytes, after) = reel.frame(number, 2, u16::MAX, 77);
            assert_eq!(bytes, expected);
            assert_eq!(after, 4);
        }
    }

    #[test]
    fn a_sender_report_says_the_time() {
        let report = sender_report(1, WallTime(1_500_000), 9);
        assert_eq!(report[..8], [b'$', 1, 0, 28, 0x80, 200, 0, 6]);
        assert_eq!(report[12..20], (((NTP_EPOCH_S + 1) << 32) | 1 << 31).to_be_bytes());
        assert_eq!(report.len(), 4 + 28);
    }
}
