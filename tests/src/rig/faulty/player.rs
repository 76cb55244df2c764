//! Which bytes a session sends next, and where they go wrong. Pure: knows no socket and no clock;
//! it is asked once per frame.

use std::sync::Arc;

use super::rtp::{Packetizer, interleaved};
use super::{Behaviour, Settings, Shared};
use crate::rig::dice::Dice;
use crate::rig::footage::{AccessUnit, FRAMES_PER_SECOND};

/// Where a session's media clock starts: 0.4 s before it wraps, which RFC 3550 allows on any day.
const FIRST_TIMESTAMP: u32 = u32::MAX - 36_000;
/// Where its packet numbers start; they too wrap early.
const FIRST_SEQUENCE: u16 = u16::MAX - 100;
const TICKS_PER_FRAME: u32 = 90_000 / FRAMES_PER_SECOND;
const GARBAGE_BYTES: usize = 4096;

/// What the session does at this frame's time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Sends a whole frame.
    Frame(Vec<u8>),
    /// Nothing is due: this frame is left out.
    Skip,
    /// Sends these bytes and then nothing more, the connection open.
    Stall(Vec<u8>),
    /// Ends the connection.
    Close,
}

/// One session's place in the clip.
#[derive(Debug)]
pub(super) struct Player {
    shared: Arc<Shared>,
    settings: Settings,
    channel: u8,
    packetizer: Packetizer,
    /// Frames asked for so far.
    frame: u32,
    /// Packets made so far, lost ones too.
    packets: u32,
}

impl Player {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings, channel: u8) -> Self {
        let packetizer = Packetizer::starting_at(FIRST_SEQUENCE);
        Self { shared, settings, channel, packetizer, frame: 0, packets: 0 }
    }

    /// What the answer to PLAY says of the first packet.
    pub(super) fn rtp_info() -> String {
        format!("seq={FIRST_SEQUENCE};rtptime={FIRST_TIMESTAMP}")
    }

    /// The next frame, or what comes instead.
    pub(super) fn next(&mut self) -> Action {
        let frame = self.frame;
        self.frame = frame.wrapping_add(1);
        let fault_frame = self.settings.fault_after_frames;
        let faulty = frame >= fault_frame;
        let behaviour = self.settings.behaviour;
        let shared = Arc::clone(&self.shared);
        let unit = match behaviour {
            Behaviour::SpsChange if faulty => nth(&shared.reels.second, frame - fault_frame),
            _ => nth(&shared.reels.first, frame),
        };
        let mut timestamp = FIRST_TIMESTAMP.wrapping_add(frame.wrapping_mul(TICKS_PER_FRAME));
        match behaviour {
            Behaviour::WrongCodec(_) | Behaviour::BadSdp => Action::Skip,
            Behaviour::NeverKeyFrame if unit.key => Action::Skip,
            Behaviour::Closes if faulty => Action::Close,
            Behaviour::StopsMidFrame if faulty => {
                let mut bytes = self.bytes(unit, timestamp);
                bytes.truncate(bytes.len() / 2);
                Action::Stall(bytes)
            }
            Behaviour::Garbage if frame == fault_frame => {
                let mut bytes = Dice::new(u64::from(frame)).bytes(GARBAGE_BYTES);
                bytes.extend(self.bytes(unit, timestamp));
                Action::Frame(bytes)
            }
            Behaviour::TimestampJump { ticks } => {
                if faulty {
                    timestamp = timestamp.wrapping_add_signed(ticks);
                }
                Action::Frame(self.bytes(unit, timestamp))
            }
            _ => Action::Frame(self.bytes(unit, timestamp)),
        }
    }

    /// A picture as bytes on the connection, without the packets that are to be lost.
    fn bytes(&mut self, unit: &AccessUnit, timestamp: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for packet in self.packetizer.packets(unit, timestamp) {
            self.packets = self.packets.wrapping_add(1);
            if !self.is_lost() {
                bytes.extend(interleaved(self.channel, &packet));
            }
        }
        bytes
    }

    fn is_lost(&self) -> bool {
        match self.settings.behaviour {
            Behaviour::LosesPackets { every } => {
                self.frame > self.settings.fault_after_frames
                    && self.packets.is_multiple_of(every.max(1))
            }
            _ => false,
        }
    }
}

/// The frame at `number` of a clip that runs in a loop.
fn nth(reel: &[AccessUnit], number: u32) -> &AccessUnit {
    let number = usize::try_from(number).expect("usize has 32 bits or more here");
    &reel[number % reel.len()]
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use bytes::Bytes;

    use super::*;
    use crate::rig::faulty::Reels;

    fn player(behaviour: Behaviour) -> Player {
        let settings = Settings { behaviour, fault_after_frames: 2 };
        let nal = |first: u8, len: usize| {
            Bytes::from([first].into_iter().chain([9].repeat(len)).collect::<Vec<u8>>())
        };
        let reel = |len| {
            let key = AccessUnit { key: true, nals: vec![nal(0x67, 5), nal(0x65, len)] };
            vec![key, AccessUnit { key: false, nals: vec![nal(0x41, 50)] }]
        };
        let reels = Reels { first: reel(4000), second: reel(20) };
        let (plays, frames) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Shared { reels, settings: Mutex::new(settings), plays, frames };
        Player::new(Arc::new(shared), settings, 0)
    }

    /// The packets of a frame, as long as the bytes are well framed; and the bytes after that.
    fn packets(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
        let mut packets = Vec::new();
        while let [b'$', 0, high, low, rest @ ..] = bytes {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((packet, rest)) = rest.split_at_checked(len) else { break };
            packets.push(packet);
            bytes = rest;
        }
        (packets, bytes)
    }

    fn frame(player: &mut Player) -> Vec<u8> {
        match player.next() {
            Action::Frame(bytes) => bytes,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    fn timestamp(frame: &[u8]) -> u32 {
        u32::from_be_bytes(frame[8..12].try_into().unwrap())
    }

    #[test]
    fn every_fault_begins_at_its_frame_and_not_before() {
        for behaviour in [
            Behaviour::Garbage,
            Behaviour::StopsMidFrame,
            Behaviour::Closes,
            Behaviour::SpsChange,
            Behaviour::TimestampJump { ticks: -5 },
            Behaviour::LosesPackets { every: 2 },
        ] {
            let (mut good, mut bad) = (player(Behaviour::Good), player(behaviour));
            assert_eq!([good.next(), good.next()], [bad.next(), bad.next()], "{behaviour:?}");
            assert_ne!(good.next(), bad.next(), "{behaviour:?}");
        }
    }

    #[test]
    fn garbage_breaks_the_framing_and_a_stall_leaves_half_a_frame() {
        let mut garbage = player(Behaviour::Garbage);
        let (first, _) = (frame(&mut garbage), frame(&mut garbage));
        assert_eq!(packets(&first).0.len(), 4);
        assert_eq!(packets(&first).1, b"");
        assert_eq!(packets(&frame(&mut garbage)).0.len(), 0, "the noise must not look like RTP");
        let mut stall = player(Behaviour::StopsMidFrame);
        let (whole, _) = (frame(&mut stall), frame(&mut stall));
        let Action::Stall(bytes) = stall.next() else { panic!("it does not stall") };
        assert_eq!(bytes.len(), whole.len() / 2);
        assert_ne!(packets(&bytes).1, b"", "it stops inside a packet");
    }

    #[test]
    fn a_jump_moves_the_clock_and_a_loss_leaves_a_hole_in_the_numbers() {
        let mut jump = player(Behaviour::TimestampJump { ticks: -900_000 });
        let times: Vec<u32> = (0..4).map(|_| timestamp(&frame(&mut jump))).collect();
        let steps: Vec<u32> = times.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        assert_eq!(steps, [3600, 3600_u32.wrapping_sub(900_000), 3600]);
        let mut loss = player(Behaviour::LosesPackets { every: 3 });
        let _good = (frame(&mut loss), frame(&mut loss));
        let bytes = frame(&mut loss);
        let numbers: Vec<u16> = packets(&bytes)
            .0
            .iter()
            .map(|packet| u16::from_be_bytes([packet[2], packet[3]]).wrapping_sub(FIRST_SEQUENCE))
            .collect();
        assert_eq!(numbers, [6, 7], "5 and 8 are lost: the 6th and the 9th packet");
    }
}
