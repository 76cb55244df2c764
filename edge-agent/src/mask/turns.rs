//! Whose picture a mask worker takes next, and whose are left out when it cannot keep up. Pure.
//!
//! **Turns** are a deficit round robin by measured cost: each camera with pictures waiting is given
//! `QUANTUM_US` of work a round, and pays what its pictures took. So a 4K camera cannot starve
//! the small ones, nor they it.
//!
//! **Shedding.** When more work waits than [`BACKLOG_US_MAX`], one camera leaves pictures out, from
//! the next one up to the first key frame at least [`SHED_TICKS_MIN`] later: what comes after can
//! be decoded without them. It is the camera that has lost the least part of its pictures so far,
//! so all lose alike. The next camera follows only if what the ones before it will still leave out
//! does not suffice.

use std::collections::{BTreeMap, VecDeque};

use crate::camera::timeline::{TICKS_PER_SECOND, ticks_to_us};

/// Work of one camera in one round: about two pictures of 1080p.
const QUANTUM_US: i64 = 20_000;
/// Work that may wait for a worker: four seconds of it. A burst after a stall of the network is
/// shorter; what waits longer is not a burst.
pub const BACKLOG_US_MAX: i64 = 4_000_000;
/// The least that is left out at once: each time costs two signed records, so a camera that loses a
/// fifth of its pictures has three gaps a minute.
pub const SHED_TICKS_MIN: i64 = 4 * TICKS_PER_SECOND;
/// What a picture is taken to cost before one was measured: 1080p in software.
const COST_US_START: i64 = 10_000;
/// A picture costs no more and no less than this, whatever the clock says.
const COST_US_MAX: i64 = 5_000_000;
const COST_US_MIN: i64 = 100;
/// How far apart the losses of two cameras may be before the one that lost more is spared.
const LOSS_APART: f64 = 0.02;
/// The time from one picture to the next, unless it is absurd.
const STEP_US_MIN: i64 = 1_000;
const STEP_US_MAX: i64 = 1_000_000;
const STEP_US_START: i64 = 40_000;
/// Pictures over which a camera's loss is reckoned: ten minutes at 25 a second. What it lost
/// before fades.
const MEMORY_PICTURES: f64 = 15_000.0;
/// Part of a core beyond which a worker gives cameras away, in thousandths.
const BUSY_PERMILLE: u64 = 700;

/// A camera's number at its worker.
pub type SeatId = usize;

#[derive(Debug, Clone)]
struct Seat {
    waiting: u32,
    deficit_us: i64,
    /// Of one picture, smoothed.
    cost_us: i64,
    /// From one picture to the next, smoothed.
    step_us: i64,
    last_ticks: Option<i64>,
    came: f64,
    lost: f64,
    /// It leaves pictures out now, or will from its next one.
    sheds: bool,
    /// How many it is expected to leave out yet.
    relief: i64,
}

impl Seat {
    fn new() -> Self {
        Self {
            waiting: 0,
            deficit_us: 0,
            cost_us: COST_US_START,
            step_us: STEP_US_START,
            last_ticks: None,
            came: 0.0,
            lost: 0.0,
            sheds: false,
            relief: 0,
        }
    }

    /// The part of its pictures that was left out.
    fn loss(&self) -> f64 {
        // One more: a camera that came just now has lost nothing, and is not the only one to lose.
        self.lost / (self.came + 1.0)
    }

    fn count(&mut self, lost: f64) {
        if self.came >= MEMORY_PICTURES {
            self.came /= 2.0;
            self.lost /= 2.0;
        }
        self.came += 1.0;
        self.lost += lost;
    }

    fn permille(&self) -> u64 {
        u64::try_from(self.cost_us * 1000 / self.step_us.max(1)).unwrap_or(0)
    }
}

/// The cameras of one worker.
///
/// | kind of method | which |
/// |---|---|
/// | who is there | [`Turns::join`], [`Turns::leave`] |
/// | what happened | [`Turns::waiting`], [`Turns::came`], [`Turns::masked`], [`Turns::left_out`], [`Turns::shed_ended`] |
/// | decisions | [`Turns::whose_turn`], [`Turns::who_sheds`] |
/// | figures | [`Turns::permille`], [`Turns::permille_of`], [`Turns::cameras`] |
#[derive(Debug, Clone, Default)]
pub struct Turns {
    seats: BTreeMap<SeatId, Seat>,
    round: VecDeque<SeatId>,
}

impl Turns {
    /// A camera comes to this worker.
    pub fn join(&mut self, id: SeatId) {
        if self.seats.insert(id, Seat::new()).is_none() {
            self.round.push_back(id);
        }
    }

    /// A camera leaves it.
    pub fn leave(&mut self, id: SeatId) {
        self.seats.remove(&id);
        self.round.retain(|other| *other != id);
    }

    /// So many events of the camera wait; 0 for one whose recorder takes nothing.
    pub fn waiting(&mut self, id: SeatId, events: u32) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.waiting = events;
        }
    }

    /// The camera's next picture is taken up, to be masked or left out.
    pub fn came(&mut self, id: SeatId, pts_ticks: i64) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if let Some(last) = seat.last_ticks.replace(pts_ticks) {
            let step_us = ticks_to_us(pts_ticks.saturating_sub(last));
            if (STEP_US_MIN..=STEP_US_MAX).contains(&step_us) {
                seat.step_us += (step_us - seat.step_us) / 8;
            }
        }
    }

    /// The picture was masked, and took so long.
    pub fn masked(&mut self, id: SeatId, cost_us: i64) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let cost_us = cost_us.clamp(COST_US_MIN, COST_US_MAX);
        // One picture that took long (codecs were opened, the machine was busy) says little.
        seat.cost_us += (cost_us.min(seat.cost_us * 2) - seat.cost_us) / 8;
        seat.deficit_us -= cost_us;
        seat.count(0.0);
    }

    /// The picture was left out.
    pub fn left_out(&mut self, id: SeatId) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.relief = (seat.relief - 1).max(0);
        seat.count(1.0);
    }

    /// The camera leaves nothing out any more.
    pub fn shed_ended(&mut self, id: SeatId) {
        if let Some(seat) = self.seats.get_mut(&id) {
            (seat.sheds, seat.relief) = (false, 0);
        }
    }

    /// Whose turn it is; `None` if nothing waits.
    pub fn whose_turn(&mut self) -> Option<SeatId> {
        if self.seats.values().all(|seat| seat.waiting == 0) {
            return None;
        }
        loop {
            let id = *self.round.front()?;
            let seat = self.seats.get_mut(&id)?;
            if seat.waiting == 0 {
                // Who has nothing to do saves nothing up; what it owes it still pays.
                seat.deficit_us = seat.deficit_us.min(0);
            } else if seat.deficit_us > 0 {
                return Some(id);
            } else {
                // Its part of the next round.
                seat.deficit_us += QUANTUM_US;
            }
            self.round.rotate_left(1);
        }
    }

    /// The camera that must leave pictures out from its next one on, if more waits than can be done.
    /// Ask once a turn.
    pub fn who_sheds(&mut self) -> Option<SeatId> {
        let backlog_us: i64 = self
            .seats
            .values()
            .map(|seat| (i64::from(seat.waiting) - seat.relief).saturating_mul(seat.cost_us))
            .sum();
        if backlog_us <= BACKLOG_US_MAX {
            return None;
        }
        let least = self.seats.values().map(Seat::loss).fold(1.0, f64::min);
        // Also one that has nothing waiting now: a cheap camera is to lose as much as a costly one.
        let free = self.seats.iter_mut().filter(|(_, seat)| !seat.sheds);
        let (id, seat) = free.min_by(|(_, a), (_, b)| a.loss().total_cmp(&b.loss()))?;
        // Who has lost more than another that sheds just now waits for that one, as long as there is
        // room to wait.
        if seat.loss() > least + LOSS_APART && backlog_us <= 2 * BACKLOG_US_MAX {
            return None;
        }
        seat.sheds = true;
        seat.relief = (ticks_to_us(SHED_TICKS_MIN) / seat.step_us.max(1)).max(1);
        Some(*id)
    }

    /// Part of a core that all cameras want, in thousandths.
    #[must_use]
    pub fn permille(&self) -> u64 {
        self.seats.values().map(Seat::permille).sum()
    }

    /// Part of a core that one camera wants.
    #[must_use]
    pub fn permille_of(&self, id: SeatId) -> u64 {
        self.seats.get(&id).map_or(0, Seat::permille)
    }

    /// How many are here.
    #[must_use]
    pub fn cameras(&self) -> usize {
        self.seats.len()
    }
}

/// Whether a camera that wants `camera` thousandths of a core is better off at a worker that has
/// `there` to do than where it is, among `here`. Both sides must gain by it, so that no camera
/// wanders to and fro.
#[must_use]
pub fn is_better_there(here: u64, there: u64, camera: u64) -> bool {
    // A tenth of a core less than before: figures waver, and moving begins the codecs anew.
    here > BUSY_PERMILLE && there + camera + 100 <= here
}

/// Pictures that are being left out, from one of them to a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    from_ticks: i64,
    /// So far.
    pub pictures: u64,
}

impl Shed {
    /// Begins with the picture at `pts_ticks`, which is left out.
    #[must_use]
    pub fn begin(pts_ticks: i64) -> Self {
        Self { from_ticks: pts_ticks, pictures: 1 }
    }

    /// Whether the shed ends before this picture; if not, the picture is left out and counted.
    pub fn ends_before(&mut self, key: bool, pts_ticks: i64) -> bool {
        // Time that went back is another stretch of footage: let it begin.
        let passed = pts_ticks.saturating_sub(self.from_ticks);
        let over = key && !(0..SHED_TICKS_MIN).contains(&passed);
        if !over {
            self.pictures += 1;
        }
        over
    }
}

#[cfg(test)]
mod tests;
