//! Where fragments and segments begin and end. Pure: takes frames in order, gives bytes.
//!
//! | ends | at |
//! |---|---|
//! | a fragment | every key frame; earlier if the GOP is longer than 2 s (see [`super::gop`]) or 16 MiB |
//! | a segment | the first key frame after its time is up; new parameters or another mask; a jump, a gap, an overrun, a mask that failed or came too late, the session's end |
//!
//! A frame lasts until the next one, exactly; the last one before an interruption lasts as long
//! as the one before it. So fragments tile their segment, and segments tile the footage. Frames
//! before the first key frame cannot be decoded; they are counted and not kept. After a jump in time,
//! a pause or a GOP without end the pictures still follow on, so the next segment begins at once, amid a GOP: it
//! plays behind the segment before it, and nothing is thrown away.
//!
//! Cameras that start together (after a power cut) must not close their segments together: a
//! session's first segment is shorter, by a part that depends on the camera's name.

use std::sync::Arc;

use bytes::Bytes;
use custody::{CameraId, Digest, WallTime};

use super::fmp4::{self, Sample};
use super::gop::Gops;
pub use super::reason::CloseReason;
use crate::camera::Parameters;
use crate::camera::timeline::{TICKS_PER_SECOND, ticks_to_us};
use crate::mask::{self, Applied, CleanFrame};

/// The largest fragment, unless a single frame is larger: what is held in memory per camera.
const FRAGMENT_BYTES_MAX: usize = 16 << 20;
/// Media time from one frame to the next that is a gap and not a slow camera.
const GAP_TICKS: i64 = 3 * TICKS_PER_SECOND;
/// How long a frame lasts that has no neighbour: 1/25 s.
const LONE_FRAME_TICKS: i64 = TICKS_PER_SECOND / 25;
/// A segment whose GOP does not end is closed at this many times its time, and then some.
const OVERTIME: i64 = 4;
const OVERTIME_TICKS: i64 = 40 * TICKS_PER_SECOND;

/// How one camera's footage is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a segment is before its last GOP, seconds.
    pub segment_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_s: 60 }
    }
}

/// What comes of the frames, in order: `Open`, its fragments, `Close`, the next `Open`.
#[derive(Debug, Clone)]
pub enum Output {
    /// A segment begins.
    Open {
        /// Of all its frames.
        parameters: Arc<Parameters>,
        /// What a player must read before its fragments.
        init: Bytes,
        /// The mask burned into all its frames.
        applied: Option<Arc<Applied>>,
        /// The wall time of its first frame.
        start: WallTime,
        /// Frames since the last close that no key frame preceded, and so were not kept.
        skipped: u64,
    },
    /// The open segment's next fragment.
    Fragment(Fragment),
    /// The segment ends.
    Close {
        /// The wall time of its first frame.
        start: WallTime,
        /// When its last frame ends.
        end: WallTime,
        /// Why.
        reason: CloseReason,
        /// The camera's clock minus the recorder's, as last known while it was open.
        camera_offset_ms: Option<i64>,
    },
    /// Frames that MP4 cannot hold: nothing is kept from `at` on, up to the next `Open`.
    Refused {
        /// For a technician.
        detail: String,
        /// The wall time of the first frame that is not kept.
        at: WallTime,
    },
}

/// One GOP, or 2 s of a long one, as `moof`+`mdat`. Only this room makes one, and only of
/// clean frames.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// `moof` and the head of `mdat`.
    head: Bytes,
    /// The frames as they came in: a GOP is not copied to be put together.
    frames: Vec<Bytes>,
    number: u32,
    start: WallTime,
    end: WallTime,
    media_ticks: u64,
    duration_ticks: u64,
    samples: u32,
    sync: bool,
    lost: u64,
}

impl Fragment {
    /// `moof` and the head of `mdat`: what stands before the frames.
    #[must_use]
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// The frames, which end to end are the rest of `mdat`.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// `moof` and `mdat`, put together.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::iter::once(&self.head).chain(&self.frames).flatten().copied().collect()
    }

    /// Its number in its segment, from 1, as in `mfhd`.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The wall time of its first frame.
    #[must_use]
    pub fn start(&self) -> WallTime {
        self.start
    }

    /// When its last frame ends: the start of what follows.
    #[must_use]
    pub fn end(&self) -> WallTime {
        self.end
    }

    /// From start to end, microseconds.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        self.end.micros_since(self.start)
    }

    /// Decode time of its first frame, 90 kHz ticks from its segment's start, as in `tfdt`.
    #[must_use]
    pub fn media_ticks(&self) -> u64 {
        self.media_ticks
    }

    /// The sum of its samples' durations, 90 kHz ticks.
    #[must_use]
    pub fn duration_ticks(&self) -> u64 {
        self.duration_ticks
    }

    /// How many pictures.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Whether it begins with a key frame: false for the later parts of a long GOP, and for what
    /// follows a jump.
    #[must_use]
    pub fn sync(&self) -> bool {
        self.sync
    }

    /// RTP packets lost on the way to its frames.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Cuts one camera's footage.
///
/// | kind of method | which |
/// |---|---|
/// | inputs, each giving what comes of it | [`Cutter::handle`], [`Cutter::handle_frame`], [`Cutter::handle_cut`] |
/// | state | [`Cutter::open_since`] |
#[derive(Debug, Clone)]
pub struct Cutter {
    segment_ticks: i64,
    first_segment_ticks: i64,
    /// The next segment is the first of a session.
    session_begins: bool,
    /// The pictures follow on from the last segment: the next may begin without a key frame.
    follows_on: bool,
    skipped: u64,
    gops: Gops,
    segment: Option<Segment>,
}

/// The open segment.
#[derive(Debug, Clone)]
struct Segment {
    start: WallTime,
    parameters: Arc<Parameters>,
    applied: Option<Arc<Applied>>,
    /// Decode time of its first frame on the session's media clock.
    start_ticks: i64,
    due_ticks: i64,
    fragments: u32,
    /// The fragment being filled; never empty.
    gop: Vec<Held>,
    gop_bytes: usize,
    /// The latest frame: its decode time and its wall time.
    last_ticks: i64,
    last_wall: WallTime,
    /// How long the frame before it lasted.
    step_ticks: i64,
    camera_offset_ms: Option<i64>,
}

#[derive(Debug, Clone)]
struct Held {
    frame: CleanFrame,
    /// The greatest pts so far: never goes back, as decode times must not.
    decode_ticks: i64,
}

impl Cutter {
    /// A cutter for `camera`, before its first frame.
    #[must_use]
    pub fn new(camera: &CameraId, settings: Settings) -> Self {
        let segment_ticks = i64::from(settings.segment_s.max(1)) * TICKS_PER_SECOND;
        let Digest(name) = Digest::of(camera.to_string().as_bytes());
        let part = i64::from(u16::from_be_bytes([name[0], name[1]]));
        // From a tenth of the time to all of it.
        let stagger_ticks = segment_ticks * 9 / 10 * part / (1 << 16);
        Self {
            segment_ticks,
            first_segment_ticks: segment_ticks - stagger_ticks,
            session_begins: true,
            follows_on: false,
            skipped: 0,
            gops: Gops::default(),
            segment: None,
        }
    }

    /// The wall time of the open segment's first frame.
    #[must_use]
    pub fn open_since(&self) -> Option<WallTime> {
        self.segment.as_ref().map(|segment| segment.start)
    }

    /// Takes what left the mask room.
    pub fn handle(&mut self, output: mask::Output) -> Vec<Output> {
        let reason = match output {
            mask::Output::Frame(frame) => return self.handle_frame(frame),
            mask::Output::Connected | mask::Output::Down { .. } => {
                self.session_begins = true;
                CloseReason::Down
            }
            mask::Output::Jump { .. } => CloseReason::Jump,
            mask::Output::Overrun { .. } => CloseReason::Overrun,
            mask::Output::LeftOut { .. } => CloseReason::MaskOverload,
            mask::Output::MaskFailed { .. } => CloseReason::MaskFailed,
        };
        self.handle_cut(reason)
    }

    /// Closes the open segment, if there is one: what follows does not follow on.
    pub fn handle_cut(&mut self, reason: CloseReason) -> Vec<Output> {
        let mut outputs = Vec::new();
        let timing = matches!(reason, CloseReason::Jump | CloseReason::Gap);
        self.follows_on = timing && (self.follows_on || self.segment.is_some());
        self.gops.handle_break();
        if let Some(segment) = self.segment.take() {
            let end_ticks = segment.last_ticks.saturating_add(segment.step_ticks);
            let end = segment.last_wall.plus_micros(ticks_to_us(segment.step_ticks));
            segment.close(end_ticks, end, reason, &mut outputs);
        }
        outputs
    }

    /// Takes the next frame.
    pub fn handle_frame(&mut self, frame: CleanFrame) -> Vec<Output> {
        let mut outputs = Vec::new();
        if let Some(reason) = self.segment.as_ref().and_then(|s| s.broken_by(&frame)) {
            outputs = self.handle_cut(reason);
        }
        let Some(mut segment) = self.segment.take() else {
            self.open(frame, &mut outputs);
            return outputs;
        };
        if let Some(reason) = segment.ended_by(&frame) {
            segment.close(frame.pts(), frame.wall(), reason, &mut outputs);
            self.follows_on = reason == CloseReason::Overtime;
            self.open(frame, &mut outputs);
            return outputs;
        }
        if (frame.key() || segment.is_full(&frame, &self.gops))
            && let Err(refused) = segment.flush(frame.pts(), frame.wall(), &mut outputs)
        {
            segment.give_up(refused, &mut outputs);
            self.open(frame, &mut outputs);
            return outputs;
        }
        self.follow_gop(&frame, segment.gop.is_empty());
        segment.push(frame);
        self.segment = Some(segment);
        outputs
    }

    fn follow_gop(&mut self, frame: &CleanFrame, fragment_begins: bool) {
        if frame.key() {
            self.gops.handle_key(frame.pts());
        } else if fragment_begins {
            self.gops.handle_part();
        }
    }

    fn open(&mut self, frame: CleanFrame, outputs: &mut Vec<Output>) {
        let follows_on = std::mem::take(&mut self.follows_on);
        if !frame.key() && !follows_on {
            self.skipped += 1;
            return;
        }
        self.follow_gop(&frame, true);
        let init = match fmp4::init(frame.parameters()) {
            Ok(init) => init,
            Err(error) => {
                outputs.push(Output::Refused { detail: error.to_string(), at: frame.wall() });
                self.skipped += 1;
                return;
            }
        };
        let length = if std::mem::take(&mut self.session_begins) {
            self.first_segment_ticks
        } else {
            self.segment_ticks
        };
        let start_ticks = frame.pts();
        let mut segment = Segment {
            start: frame.wall(),
            parameters: Arc::clone(frame.parameters()),
            applied: frame.applied().cloned(),
            start_ticks,
            due_ticks: start_ticks.saturating_add(length),
            fragments: 0,
            gop: Vec::new(),
            gop_bytes: 0,
            last_ticks: start_ticks,
            last_wall: frame.wall(),
            step_ticks: LONE_FRAME_TICKS,
            camera_offset_ms: None,
        };
        outputs.push(Output::Open {
            parameters: Arc::clone(&segment.parameters),
            init,
            applied: segment.applied.clone(),
            start: segment.start,
            skipped: std::mem::take(&mut self.skipped),
        });
        segment.push(frame);
        self.segment = Some(segment);
    }
}

impl Segment {
    /// Why `frame` does not follow on in time, if so.
    fn broken_by(&self, frame: &CleanFrame) -> Option<CloseReason> {
        let step = frame.pts().saturating_sub(self.last_ticks);
        if step > GAP_TICKS {
            Some(CloseReason::Gap)
        } else if step < -GAP_TICKS || frame.wall() < self.last_wall {
            Some(CloseReason::Jump)
        } else {
            None
        }
    }

    /// Why the segment ends where `frame` begins, if so.
    fn ended_by(&self, frame: &CleanFrame) -> Option<CloseReason> {
        let length = self.due_ticks.saturating_sub(self.start_ticks);
        let overtime = self.start_ticks.saturating_add(length.saturating_mul(OVERTIME));
        if *frame.parameters() != self.parameters {
            Some(CloseReason::Parameters)
        } else if frame.applied() != self.applied.as_ref() {
            Some(CloseReason::Mask)
        } else if frame.key() && frame.pts() >= self.due_ticks {
            Some(CloseReason::Full)
        } else if frame.pts() >= overtime.saturating_add(OVERTIME_TICKS) {
            Some(CloseReason::Overtime)
        } else {
            None
        }
    }

    /// Whether the fragment being filled has no room for `frame`.
    fn is_full(&self, frame: &CleanFrame, gops: &Gops) -> bool {
        let began = self.gop.first().map_or(self.start_ticks, |held| held.decode_ticks);
        gops.cuts(began, frame.pts()) || self.gop_bytes + frame.data().len() > FRAGMENT_BYTES_MAX
    }

    fn push(&mut self, frame: CleanFrame) {
        let decode_ticks = frame.pts().max(self.last_ticks);
        let step_ticks = decode_ticks - self.last_ticks;
        if step_ticks > 0 {
            self.step_ticks = step_ticks;
        }
        self.last_ticks = decode_ticks;
        self.last_wall = frame.wall();
        self.camera_offset_ms = frame.camera_offset_ms().or(self.camera_offset_ms);
        self.gop_bytes += frame.data().len();
        self.gop.push(Held { frame, decode_ticks });
    }

    /// Gives the fragment being filled, which ends where the next frame begins.
    fn flush(
        &mut self,
        end_ticks: i64,
        end: WallTime,
        outputs: &mut Vec<Output>,
    ) -> Result<(), fmp4::Unwritable> {
        let Some(first) = self.gop.first() else { return Ok(()) };
        let end_ticks = end_ticks.max(self.last_ticks);
        let (start, sync, began) = (first.frame.wall(), first.frame.key(), first.decode_ticks);
        let next = self.gop.iter().skip(1).map(|held| held.decode_ticks).chain([end_ticks]);
        let samples: Vec<_> =
            self.gop.iter().zip(next).map(|(held, next)| held.sample(next)).collect();
        // In bounds: frames follow on within a segment, so times grow from its start.
        let ticks = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        let media_ticks = ticks(self.start_ticks, began);
        let number = self.fragments.saturating_add(1);
        let head = fmp4::fragment_head(number, media_ticks, &samples)?;
        outputs.push(Output::Fragment(Fragment {
            head,
            number,
            start,
            end,
            media_ticks,
            duration_ticks: ticks(began, end_ticks),
            samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            sync,
            lost: self.gop.iter().map(|held| u64::from(held.frame.lost())).sum(),
            frames: samples.into_iter().map(|sample| sample.data).collect(),
        }));
        self.fragments = number;
        self.last_ticks = end_ticks;
        self.gop.clear();
        self.gop_bytes = 0;
        Ok(())
    }

    fn close(
        mut self,
        end_ticks: i64,
        end: WallTime,
        reason: CloseReason,
        outputs: &mut Vec<Output>,
    ) {
        match self.flush(end_ticks, end, outputs) {
            Ok(()) => outputs.push(self.closed(end, reason)),
            Err(refused) => self.give_up(refused, outputs),
        }
    }

    fn closed(&self, end: WallTime, reason: CloseReason) -> Output {
        Output::Close { start: self.start, end, reason, camera_offset_ms: self.camera_offset_ms }
    }

    /// Closes the segment before a fragment that cannot be written.
    #[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
    fn give_up(self, refused: fmp4::Unwritable, outputs: &mut Vec<Output>) {
        let end = self.gop.first().map_or(self.start, |held| held.frame.wall());
        outputs.push(self.closed(end, CloseReason::Refused));
        outputs.push(Output::Refused { detail: refused.to_string(), at: end });
    }
}

impl Held {
    fn sample(&self, next_ticks: i64) -> Sample {
        // In bounds: `Segment::broken_by` keeps neighbours within 3 s of each other.
        Sample {
            data: self.frame.data().clone(),
            duration_ticks: u32::try_from(next_ticks - self.decode_ticks).unwrap_or(0),
            offset_ticks: i32::try_from(self.frame.pts() - self.decode_ticks).unwrap_or(0),
            sync: self.frame.key(),
        }
    }
}

#[cfg(test)]
mod tests;
