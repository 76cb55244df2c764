//! One thread that masks for several cameras. Holds their codecs, which never leave it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use custody::WallTime;
use host::Clock;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Desk, figures};
use crate::camera::{Event, Frame};
use crate::mask::Output;
use crate::mask::choice::{Effort, Kind};
use crate::mask::policy::Policy;
use crate::mask::transcode::Transcoder;
use crate::mask::turns::{SeatId, Shed, Turns, is_better_there};

/// How soon a worker looks again at a recorder that took nothing.
const BLOCKED: Duration = Duration::from_millis(10);
/// How long it sleeps if nobody wakes it.
const IDLE: Duration = Duration::from_secs(1);
/// At most one camera is given away in this time: figures must settle.
const MOVE_US: i64 = 10_000_000;

/// A camera's place: all that may move to another worker. No codec is in it.
#[derive(Debug)]
pub(super) struct Seat {
    camera: String,
    policy: Policy,
    kind: Kind,
    events: mpsc::Receiver<Event>,
    output: mpsc::Sender<Output>,
    /// Tells the feeder whom to wake.
    place: Arc<AtomicUsize>,
    /// A key frame that moved with the camera.
    first: Option<Frame>,
    /// What the recorder has not taken yet; while there is any, nothing is masked.
    ready: VecDeque<Output>,
}

impl Seat {
    pub(super) fn new(
        camera: String,
        policy: Policy,
        kind: Kind,
        events: mpsc::Receiver<Event>,
        output: mpsc::Sender<Output>,
        place: Arc<AtomicUsize>,
    ) -> Self {
        let (first, ready) = (None, VecDeque::new());
        Self { camera, policy, kind, events, output, place, first, ready }
    }

    /// Hands over what is ready, as far as there is room.
    fn hand_over(&mut self) -> Taking {
        while let Some(output) = self.ready.pop_front() {
            match self.output.try_send(output) {
                Ok(()) => {}
                Err(TrySendError::Full(output)) => {
                    self.ready.push_front(output);
                    return Taking::Nothing;
                }
                Err(TrySendError::Closed(_)) => return Taking::Gone,
            }
        }
        Taking::All
    }

    fn next(&mut self) -> Option<Event> {
        self.first.take().map(Event::Frame).or_else(|| self.events.try_recv().ok())
    }
}

/// What the recorder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    All,
    Nothing,
    Gone,
}

/// What happens to the next picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Masked.
    Masking,
    /// Left out unless it is a key frame: nothing failed.
    AwaitKey,
    /// Left out unless it is a key frame: the failure was told.
    Failed,
}

/// A camera at work here.
struct Seated {
    seat: Seat,
    transcoder: Transcoder,
    state: State,
    /// The next picture begins a shed.
    must_shed: bool,
    shed: Option<Shed>,
    /// The recorder took nothing since the last drop of the queue before this room.
    was_blocked: bool,
    /// All events are in; what is ready goes out yet.
    ended: bool,
}

impl Seated {
    fn new(seat: Seat, effort: Effort) -> Self {
        let transcoder = Transcoder::new(seat.policy.clone(), seat.kind, effort);
        Self {
            seat,
            transcoder,
            state: State::AwaitKey,
            must_shed: false,
            shed: None,
            was_blocked: false,
            ended: false,
        }
    }

    /// Masks a picture. `false`: there was nothing to do.
    fn mask(&mut self, frame: Frame) -> bool {
        if self.state != State::Masking && !frame.key {
            return false;
        }
        let at = frame.wall;
        match self.transcoder.push(frame) {
            Ok(clean) => {
                self.state = State::Masking;
                self.seat.ready.extend(clean.into_iter().map(Output::Frame));
            }
            Err(failure) => {
                let at = self.transcoder.oldest_held().map_or(at, |held| held.min(at));
                self.transcoder.reset();
                if std::mem::replace(&mut self.state, State::Failed) != State::Failed {
                    let detail = failure.to_string();
                    self.seat.ready.push_back(Output::MaskFailed { detail, at });
                }
            }
        }
        true
    }

    /// Lets out what the codecs hold.
    fn finish(&mut self) {
        // A failure here loses pictures at the end of a stretch of footage; the gap that follows
        // begins after the last one that came out.
        let clean = self.transcoder.drain().unwrap_or_default();
        self.transcoder.reset();
        self.state = State::AwaitKey;
        self.seat.ready.extend(clean.into_iter().map(Output::Frame));
    }

    /// What is not a picture: it comes after all pictures before it.
    fn pass(&mut self, output: Output) {
        self.finish();
        self.seat.ready.push_back(output);
    }
}

pub(super) struct Worker {
    number: usize,
    desks: Arc<[Desk]>,
    arrivals: Receiver<Box<Seat>>,
    closing: Arc<AtomicBool>,
    clock: Clock,
    effort: Effort,
    turns: Turns,
    seated: BTreeMap<SeatId, Seated>,
    next_id: SeatId,
    last_move: Option<WallTime>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        desks: Arc<[Desk]>,
        arrivals: Receiver<Box<Seat>>,
        closing: Arc<AtomicBool>,
        clock: Clock,
        effort: Effort,
    ) -> Self {
        Self {
            number,
            desks,
            arrivals,
            closing,
            clock,
            effort,
            turns: Turns::default(),
            seated: BTreeMap::new(),
            next_id: 0,
            last_move: None,
        }
    }

    /// Until the pool is closed and no camera is left.
    pub(super) fn run(mut self) {
        loop {
            while let Ok(seat) = self.arrivals.try_recv() {
                self.next_id += 1;
                self.turns.join(self.next_id);
                self.seated.insert(self.next_id, Seated::new(*seat, self.effort));
            }
            let blocked = self.look();
            if let Some(id) = self.turns.who_sheds()
                && let Some(seated) = self.seated.get_mut(&id)
            {
                seated.must_shed = true;
            } else if let Some(id) = self.turns.whose_turn() {
                self.serve(id);
            } else if self.seated.is_empty() && self.closing.load(Ordering::SeqCst) {
                return;
            } else {
                thread::park_timeout(if blocked { BLOCKED } else { IDLE });
            }
        }
    }

    /// Hands over what is ready and sees who waits. Gives whether a recorder took nothing.
    fn look(&mut self) -> bool {
        let (mut blocked, mut gone) = (false, Vec::new());
        for (id, seated) in &mut self.seated {
            // In this order: what was queued before the end is seen.
            let over = seated.seat.events.is_closed();
            let queued = seated.seat.events.len() + usize::from(seated.seat.first.is_some());
            if over && queued == 0 && !seated.ended {
                end_shed(seated, &mut self.turns, *id, &self.desks);
                seated.finish();
                seated.ended = true;
            }
            let waiting = match seated.seat.hand_over() {
                Taking::All if seated.ended => {
                    gone.push(*id);
                    0
                }
                Taking::All => queued,
                Taking::Nothing => {
                    (blocked, seated.was_blocked) = (true, true);
                    0
                }
                Taking::Gone => {
                    gone.push(*id);
                    0
                }
            };
            self.turns.waiting(*id, u32::try_from(waiting).unwrap_or(u32::MAX));
        }
        for id in gone {
            self.seated.remove(&id);
            self.leave(id);
        }
        blocked
    }

    fn leave(&mut self, id: SeatId) {
        self.turns.leave(id);
        let desk = &self.desks[self.number];
        desk.cameras.fetch_sub(1, Ordering::Relaxed);
        desk.permille.store(self.turns.permille(), Ordering::Relaxed);
    }

    /// Takes up one camera's next event.
    fn serve(&mut self, id: SeatId) {
        let Some(seated) = self.seated.get_mut(&id) else { return };
        let Some(event) = seated.seat.next() else { return };
        let output = match event {
            Event::Frame(frame) => return self.picture(id, frame),
            Event::Connected(_) => Output::Connected,
            Event::Jump { from, to } => Output::Jump { from, to },
            // The queue before us was full: because of its recorder, or because of us.
            Event::Overrun { frames } if std::mem::take(&mut seated.was_blocked) => {
                Output::Overrun { frames }
            }
            Event::Overrun { frames } => {
                note_left_out(&self.desks[self.number], frames, self.clock.now());
                Output::LeftOut { frames, detail: detail(frames, &self.desks) }
            }
            Event::Down { reason, detail, at } => Output::Down { reason, detail, at },
        };
        end_shed(seated, &mut self.turns, id, &self.desks);
        seated.pass(output);
    }

    fn picture(&mut self, id: SeatId, frame: Frame) {
        let Some(seated) = self.seated.get_mut(&id) else { return };
        let desk = &self.desks[self.number];
        self.turns.came(id, frame.pts);
        if std::mem::take(&mut seated.must_shed) {
            seated.shed = Some(Shed::begin(frame.pts));
            self.turns.left_out(id);
            note_left_out(desk, 1, self.clock.now());
            // Told at once: the segment ends here. How many it were is told when it is over.
            let detail = detail(0, &self.desks);
            return seated.pass(Output::LeftOut { frames: 0, detail });
        }
        if let Some(shed) = &mut seated.shed {
            if !shed.ends_before(frame.key, frame.pts) {
                self.turns.left_out(id);
                return note_left_out(desk, 1, self.clock.now());
            }
            end_shed(seated, &mut self.turns, id, &self.desks);
        }
        let Some(frame) = self.move_away(id, frame) else { return };
        let Some(seated) = self.seated.get_mut(&id) else { return };
        let before = self.clock.now();
        if !seated.mask(frame) {
            return;
        }
        self.turns.masked(id, self.clock.now().micros_since(before));
        let desk = &self.desks[self.number];
        if seated.transcoder.kind() != seated.seat.kind {
            let failed = std::mem::replace(&mut seated.seat.kind, seated.transcoder.kind());
            desk.fell_back.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                camera = seated.seat.camera,
                encoder = failed.name(),
                "the encoding device failed; software takes over"
            );
        }
        desk.permille.store(self.turns.permille(), Ordering::Relaxed);
    }

    /// Gives the camera, at a key frame, to a worker that has more time. `None` if it went.
    fn move_away(&mut self, id: SeatId, frame: Frame) -> Option<Frame> {
        let now = self.clock.now();
        let recent = |at: WallTime| now.micros_since(at).abs() < MOVE_US;
        if !frame.key || self.desks.len() < 2 || self.last_move.is_some_and(recent) {
            return Some(frame);
        }
        let others = self.desks.iter().enumerate().filter(|(at, _)| *at != self.number);
        let permille = |desk: &Desk| desk.permille.load(Ordering::Relaxed);
        let Some((at, desk)) = others.min_by_key(|(_, desk)| permille(desk)) else {
            return Some(frame);
        };
        let wants = self.turns.permille_of(id);
        if !is_better_there(self.turns.permille(), permille(desk), wants) {
            return Some(frame);
        }
        let Some(mut seated) = self.seated.remove(&id) else { return Some(frame) };
        // The codecs end here; the other worker opens its own.
        seated.finish();
        let Seated { mut seat, transcoder, .. } = seated;
        drop(transcoder);
        seat.first = Some(frame);
        let place = Arc::clone(&seat.place);
        place.store(at, Ordering::SeqCst);
        match self.desks[at].take(Box::new(seat)) {
            Ok(()) => {
                // What it wants is there before it is measured there.
                self.desks[at].permille.fetch_add(wants, Ordering::Relaxed);
                self.last_move = Some(now);
                self.leave(id);
                None
            }
            Err(mut seat) => {
                place.store(self.number, Ordering::SeqCst);
                let frame = seat.first.take();
                self.seated.insert(id, Seated::new(*seat, self.effort));
                frame
            }
        }
    }
}

fn note_left_out(desk: &Desk, frames: u64, now: WallTime) {
    desk.left_out.fetch_add(frames, Ordering::Relaxed);
    *desk.last_shed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
}

/// The running shed, if there is one, is over: says how many pictures it was.
fn end_shed(seated: &mut Seated, turns: &mut Turns, id: SeatId, desks: &[Desk]) {
    if let Some(Shed { pictures, .. }) = seated.shed.take() {
        turns.shed_ended(id);
        let detail = detail(pictures, desks);
        seated.seat.ready.push_back(Output::LeftOut { frames: pictures, detail });
    }
    if std::mem::take(&mut seated.must_shed) {
        turns.shed_ended(id);
    }
}

/// The words in the gap.
fn detail(frames: u64, desks: &[Desk]) -> String {
    let figures = figures(desks, "");
    let lack = format!(
        "the recorder has {} masked cameras and carries {}",
        figures.cameras, figures.carries
    );
    match frames {
        0 => format!("{lack}: frames are left out"),
        frames => format!("{lack}: {frames} frames were left out"),
    }
}

// Fails to compile if codecs could be sent to another thread.
const _: () = {
    trait Either<A> {
        const WHICH: () = ();
    }
    struct Sent;
    impl<T: ?Sized> Either<()> for T {}
    impl<T: ?Sized + Send> Either<Sent> for T {}
    let () = <Transcoder as Either<_>>::WHICH;
};
