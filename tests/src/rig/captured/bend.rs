//! Captured sessions made worse in one way. Pure: the same session and the same wish give the same
//! bytes.

use super::format::{Packet, Record, Session, What, packets};
use crate::rig::dice::Dice;

/// The fixed part of an RTP header (RFC 3550 section 5.1).
const RTP_HEAD_BYTES: usize = 12;
/// A supplemental enhancement information NAL unit of H.264 that says nothing: one reserved message.
const SEI: [u8; 5] = [0x06, 0xf0, 0x01, 0x00, 0x80];

/// A session taken apart: what precedes the footage, and the packets.
#[derive(Debug, Clone)]
pub struct Bent {
    note: String,
    /// Up to the answer to PLAY.
    head: Vec<Record>,
    /// What comes after it, RTP on the video's channel and the rest.
    packets: Vec<Packet>,
    channel: u8,
}

impl Bent {
    /// Takes `session` apart.
    ///
    /// # Panics
    /// When the session has no PLAY or no packet: it is no capture of a camera.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let plays = |r: &Record| matches!(&r.what, What::Answer { method, .. } if method == "PLAY");
        let play = session.records.iter().position(plays).expect("a captured session has a PLAY");
        let (head, rest) = session.records.split_at(play + 1);
        let (mut at_us, mut all) = (0, Vec::new());
        for record in rest {
            at_us += u64::from(record.after_us);
            if let What::Packets(bytes) = &record.what {
                all.extend(packets(at_us, bytes));
            }
        }
        let channel = all.iter().find(|packet| is_rtp(packet)).expect("a session has RTP").channel;
        Self { note: session.note.clone(), head: head.to_vec(), packets: all, channel }
    }

    /// Puts it together again.
    #[must_use]
    pub fn session(&self) -> Session {
        let (mut records, mut last_us) = (self.head.clone(), 0);
        for packet in &self.packets {
            let length = u16::try_from(packet.bytes.len()).expect("it was cut by such a length");
            let framed =
                [&[b'$', packet.channel][..], &length.to_be_bytes(), &packet.bytes].concat();
            let after_us = u32::try_from(packet.at_us - last_us).unwrap_or(u32::MAX);
            last_us = packet.at_us;
            match records.last_mut() {
                Some(Record { what: What::Packets(bytes), .. }) if after_us == 0 => {
                    bytes.extend(framed);
                }
                _ => records.push(Record { after_us, what: What::Packets(framed) }),
            }
        }
        Session { note: self.note.clone(), records }
    }

    /// Its pictures: every marked packet ends one.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.video().filter(|packet| is_marked(packet)).count()
    }

    /// Of these, those that H.264 decoding can start at.
    #[must_use]
    pub fn keys(&self) -> usize {
        let mut keys = std::collections::BTreeSet::new();
        for packet in self.video().filter(|packet| begins_idr(&packet.bytes[RTP_HEAD_BYTES..])) {
            keys.insert(timestamp(packet));
        }
        keys.len()
    }

    /// Adds `ticks` to the media clock from picture `frame` on.
    pub fn jump(&mut self, frame: usize, ticks: i32) {
        let from = self.begins(frame);
        for packet in self.rtp_from(from) {
            let there = timestamp(packet).wrapping_add_signed(ticks);
            packet.bytes[4..8].copy_from_slice(&there.to_be_bytes());
        }
    }

    /// Gives every second picture the time stamp of the one before.
    pub fn pair_timestamps(&mut self) {
        let (mut frame, mut first) = (0_usize, 0);
        for packet in self.rtp_from(0) {
            if frame.is_multiple_of(2) {
                first = timestamp(packet);
            } else {
                packet.bytes[4..8].copy_from_slice(&first.to_be_bytes());
            }
            frame += usize::from(is_marked(packet));
        }
    }

    /// Leaves out packets, `percent` of a hundred by `seed`, from picture `frame` on. Gives how many.
    pub fn lose(&mut self, frame: usize, percent: u8, seed: u64) -> u32 {
        let (from, channel, mut dice) = (self.begins(frame), self.channel, Dice::new(seed));
        let (mut at, mut lost) = (0, 0);
        self.packets.retain(|packet| {
            at += 1;
            let goes = at > from && packet.channel == channel && dice.hits(percent);
            lost += u32::from(goes);
            !goes
        });
        lost
    }

    /// Swaps two packets inside picture `frame`.
    pub fn reorder(&mut self, frame: usize) {
        let first = self.begins(frame);
        let (channel, begins) = (self.channel, |at: usize| at >= first);
        let of_video = self.packets.iter().enumerate();
        let two: Vec<usize> = of_video
            .filter(|(at, packet)| begins(*at) && packet.channel == channel)
            .map(|(at, _)| at)
            .take(2)
            .collect();
        if let [one, other] = two[..] {
            let bytes = self.packets[one].bytes.clone();
            self.packets[one].bytes = std::mem::replace(&mut self.packets[other].bytes, bytes);
        }
    }

    /// The sender begins anew at picture `frame`, under another name and with other numbers.
    pub fn change_sender(&mut self, frame: usize) {
        let from = self.begins(frame);
        for packet in self.rtp_from(from) {
            packet.bytes[8..12].copy_from_slice(b"anew");
        }
    }

    /// Puts a packet of SEI, marked as if it ended the picture, before each picture of H.264.
    pub fn mark_sei(&mut self) {
        let (mut out, mut number, mut begins) = (Vec::new(), None, true);
        for mut packet in std::mem::take(&mut self.packets) {
            if packet.channel != self.channel {
                out.push(packet);
                continue;
            }
            let mut next = number.unwrap_or_else(|| sequence(&packet));
            if std::mem::replace(&mut begins, is_marked(&packet)) {
                let mut sei = packet.clone();
                sei.bytes.truncate(RTP_HEAD_BYTES);
                sei.bytes.extend(SEI);
                sei.bytes[1] |= 0x80;
                sei.bytes[2..4].copy_from_slice(&next.to_be_bytes());
                next = next.wrapping_add(1);
                out.push(sei);
            }
            packet.bytes[2..4].copy_from_slice(&next.to_be_bytes());
            number = Some(next.wrapping_add(1));
            out.push(packet);
        }
        self.packets = out;
    }

    /// Leaves out every key picture but the first `keep`, as if the camera sent none.
    pub fn drop_keys(&mut self, keep: usize) {
        let mut keys: Vec<u32> = Vec::new();
        for packet in self.video().filter(|packet| begins_idr(&packet.bytes[RTP_HEAD_BYTES..])) {
            if !keys.contains(&timestamp(packet)) {
                keys.push(timestamp(packet));
            }
        }
        let gone = &keys[keep.min(keys.len())..];
        let (channel, mut missing) = (self.channel, 0_u16);
        self.packets.retain_mut(|packet| {
            if packet.channel != channel {
                return true;
            }
            if gone.contains(&timestamp(packet)) {
                missing = missing.wrapping_add(1);
                return false;
            }
            let number = sequence(packet).wrapping_sub(missing);
            packet.bytes[2..4].copy_from_slice(&number.to_be_bytes());
            true
        });
    }

    /// Goes on with the pictures of `other` from picture `frame` on, as one camera whose picture was
    /// set to another size would.
    pub fn go_on_with(&mut self, frame: usize, other: &Self) {
        let from = self.begins(frame);
        let tail = self.packets.split_off(from);
        let Some(then) = tail.first() else { return };
        let (last, first) = (self.video().last().cloned(), other.video().next().cloned());
        let (Some(last), Some(first)) = (last, first) else { return };
        let ticks = timestamp(&last).wrapping_add(3600).wrapping_sub(timestamp(&first));
        let numbers = sequence(&last).wrapping_add(1).wrapping_sub(sequence(&first));
        for packet in other.video() {
            let mut packet = packet.clone();
            packet.at_us = then.at_us + packet.at_us - first.at_us;
            packet.channel = self.channel;
            packet.bytes[1] = packet.bytes[1] & 0x80 | last.bytes[1] & 0x7f;
            let number = sequence(&packet).wrapping_add(numbers);
            packet.bytes[2..4].copy_from_slice(&number.to_be_bytes());
            let at = timestamp(&packet).wrapping_add(ticks);
            packet.bytes[4..8].copy_from_slice(&at.to_be_bytes());
            packet.bytes[8..12].copy_from_slice(&last.bytes[8..12]);
            self.packets.push(packet);
        }
    }

    /// Puts `length` bytes of noise, decided by `seed`, before picture `frame`.
    #[must_use]
    pub fn with_noise(&self, frame: usize, length: usize, seed: u64) -> Session {
        let at_us = self.packets.get(self.begins(frame)).map_or(0, |packet| packet.at_us);
        let mut session = self.session();
        let mut passed_us = 0;
        for record in session.records.iter_mut().skip(self.head.len()) {
            passed_us += u64::from(record.after_us);
            if let What::Packets(bytes) = &mut record.what
                && passed_us >= at_us
            {
                *bytes = [Dice::new(seed).bytes(length), bytes.clone()].concat();
                break;
            }
        }
        session
    }

    /// Into each connection come the packets of a session that is over, `every` of ours one of its,
    /// as from a live555 that goes on sending to a connection that is gone.
    pub fn haunt(&mut self, every: usize) {
        let channel = self.channel;
        let (mut out, mut count) = (Vec::new(), 0);
        for packet in std::mem::take(&mut self.packets) {
            if packet.channel == channel {
                count += 1;
                if count % every == 0 {
                    let mut stray = packet.clone();
                    stray.bytes[8..12].copy_from_slice(b"gone");
                    out.push(stray);
                }
            }
            out.push(packet);
        }
        self.packets = out;
    }

    fn video(&self) -> impl DoubleEndedIterator<Item = &Packet> {
        let channel = self.channel;
        self.packets.iter().filter(move |packet| packet.channel == channel && is_rtp(packet))
    }

    /// Where picture `frame` begins among the packets.
    fn begins(&self, frame: usize) -> usize {
        let mut done = 0;
        for (at, packet) in self.packets.iter().enumerate() {
            if done == frame && packet.channel == self.channel {
                return at;
            }
            done += usize::from(packet.channel == self.channel && is_marked(packet));
        }
        self.packets.len()
    }

    fn rtp_from(&mut self, from: usize) -> impl Iterator<Item = &mut Packet> {
        let channel = self.channel;
        self.packets.iter_mut().skip(from).filter(move |p| p.channel == channel && is_rtp(p))
    }
}

/// RTP and not RTCP, by the first byte of the type (RFC 5761 section 4).
fn is_rtp(packet: &Packet) -> bool {
    packet.bytes.len() >= RTP_HEAD_BYTES && !(192..=223).contains(&packet.bytes[1])
}

fn is_marked(packet: &Packet) -> bool {
    packet.bytes.get(1).is_some_and(|byte| byte & 0x80 != 0)
}

fn sequence(packet: &Packet) -> u16 {
    u16::from_be_bytes([packet.bytes[2], packet.bytes[3]])
}

fn timestamp(packet: &Packet) -> u32 {
    let bytes = &packet.bytes;
    u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Whether an RTP payload begins an IDR picture of H.264: alone, or as the first of its pieces.
fn begins_idr(payload: &[u8]) -> bool {
    match payload {
        [head, second, ..] if head & 0x1f == 28 => second & 0x9f == 0x85,
        [head, ..] => head & 0x1f == 5,
        [] => false,
    }
}
