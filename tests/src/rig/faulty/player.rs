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
