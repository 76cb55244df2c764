//! How many cameras of a site are connected to at once.
//!
//! When a switch starts again, 71 cameras come back in the same second. Each session costs the camera
//! four requests and the network a key frame, so at most [`CONNECTING_MAX`] are begun at a time; the
//! pauses between attempts are spread besides (`watch`). A camera that has been away takes its ten
//! seconds to fail, so those have [`AWAY_MAX`] of the places at most: a camera that recorded a moment
//! ago never queues behind a building that is switched off.
//!
//! [`Turns`] decides (pure); [`Gate`] lets tasks wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Sessions of a site that are being begun at a time.
pub const CONNECTING_MAX: usize = 16;
/// Of these, cameras that failed `AWAY_FAILURES` times in a row.
pub const AWAY_MAX: usize = 8;
/// From so many failures on a camera is away.
const AWAY_FAILURES: u32 = 3;

/// Who asked for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker(u64);

/// Gives turns in the order of asking, to cameras that are away last.
#[derive(Debug, Default)]
pub struct Turns {
    asked: u64,
    /// Waiting, in order: not away, away.
    waiting: [VecDeque<Asker>; 2],
    /// Connecting: who, and whether away.
    busy: Vec<(Asker, bool)>,
}

impl Turns {
    /// A camera that failed `failures` times in a row wants to connect.
    pub fn handle_ask(&mut self, failures: u32) -> Asker {
        let asker = Asker(self.asked);
        self.asked += 1;
        self.waiting[usize::from(failures >= AWAY_FAILURES)].push_back(asker);
        asker
    }

    /// It has connected, has failed, or no longer wants to.
    pub fn handle_done(&mut self, asker: Asker) {
        self.busy.retain(|(busy, _)| *busy != asker);
        for waiting in &mut self.waiting {
            waiting.retain(|waiting| *waiting != asker);
        }
    }

    /// Who may connect now; to be asked until it says nobody.
    pub fn poll_turn(&mut self) -> Option<Asker> {
        if self.busy.len() >= CONNECTING_MAX {
            return None;
        }
        let away = self.busy.iter().filter(|(_, away)| *away).count();
        let [present, absent] = &mut self.waiting;
        let next = present.pop_front().map(|asker| (asker, false));
        let next = next.or_else(|| {
            let asker = if away < AWAY_MAX { absent.pop_front() } else { None };
            asker.map(|asker| (asker, true))
        })?;
        self.busy.push(next);
        Some(next.0)
    }
}

/// A site's gate; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Door>>);

#[derive(Debug, Default)]
struct Door {
    turns: Turns,
    /// Whom to tell.
    bells: Vec<(Asker, oneshot::Sender<()>)>,
}

impl Door {
    fn ring(&mut self) {
        while let Some(next) = self.turns.poll_turn() {
            let Some(at) = self.bells.iter().position(|(asker, _)| *asker == next) else {
                continue;
            };
            // Who no longer listens is about to leave: its turn ends with it.
            let _gone = self.bells.swap_remove(at).1.send(());
        }
    }
}

/// Leave to connect; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
    asker: Asker,
}

impl Gate {
    /// Waits for a turn. `failures`: how often this camera failed in a row.
    pub async fn turn(&self, failures: u32) -> Turn {
        let (bell, rung) = oneshot::channel();
        let turn = {
            let mut door = self.door();
            let asker = door.turns.handle_ask(failures);
            door.bells.push((asker, bell));
            door.ring();
            Turn { gate: self.clone(), asker }
        };
        // The bell goes only with the turn itself.
        let _rung = rung.await;
        turn
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut door = self.gate.door();
        door.turns.handle_done(self.asker);
        door.bells.retain(|(asker, _)| *asker != self.asker);
        door.ring();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::watch::{Limits, Watch};
    use super::*;

    /// What a camera does in the simulated site.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Doing {
        Pause { until_ms: u64 },
        Wait { asker: Asker },
        Connect { asker: Asker, until_ms: u64 },
        Record,
    }

    struct Site {
        turns: Turns,
        cameras: Vec<(Watch, Doing)>,
        /// The most that were connecting at once, and the most new sessions in one second.
        busiest: usize,
        rush: usize,
    }

    /// A site whose cameras all fall silent at 0 and can be reached again from `back_ms` on, but for
    /// those from `dead` on. Runs until `end_ms`, a step of 10 ms at a time; `dice` spreads the pauses.
    fn simulate(cameras: usize, dead: usize, back_ms: u64, end_ms: u64, seed: u32) -> Site {
        let mut dice = seed;
        let mut roll = move || {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            dice
        };
        let fresh = |roll: &mut dyn FnMut() -> u32| {
            let mut watch = Watch::new(Limits::default());
            let until_ms = watch.handle_down(roll());
            (watch, Doing::Pause { until_ms })
        };
        let mut site = Site {
            turns: Turns::default(),
            cameras: (0..cameras).map(|_| fresh(&mut roll)).collect(),
            busiest: 0,
            rush: 0,
        };
        let mut sessions = VecDeque::new();
        for now in (0..end_ms).step_by(10) {
            for n in 0..cameras {
                let (watch, doing) = &mut site.cameras[n];
                match *doing {
                    Doing::Pause { until_ms } if now >= until_ms => {
                        *doing = Doing::Wait { asker: site.turns.handle_ask(watch.failures()) };
                    }
                    Doing::Connect { asker, until_ms } if now >= until_ms => {
                        site.turns.handle_done(asker);
                        let reached = now >= back_ms + 200 && n < dead;
                        *doing = if reached {
                            sessions.push_back(now);
                            watch.handle_session(now);
                            Doing::Record
                        } else {
                            Doing::Pause { until_ms: now + watch.handle_down(roll()) }
                        };
                    }
                    _ => {}
                }
            }
            while let Some(next) = site.turns.poll_turn() {
                let waits = |doing: &Doing| *doing == Doing::Wait { asker: next };
                let n = site.cameras.iter().position(|(_, doing)| waits(doing)).unwrap();
                // A camera that cannot be reached keeps us for 10 s, one that can for 200 ms.
                let takes_ms = if now >= back_ms && n < dead { 200 } else { 10_000 };
                site.cameras[n].1 = Doing::Connect { asker: next, until_ms: now + takes_ms };
            }
            site.busiest = site.busiest.max(site.turns.busy.len());
            while sessions.front().is_some_and(|at| *at + 1000 <= now) {
                sessions.pop_front();
            }
            site.rush = site.rush.max(sessions.len());
        }
        site
    }

    #[test]
    fn seventy_one_cameras_behind_one_switch_come_back_without_a_stampede() {
        // The switch is away for five minutes.
        for seed in 0..20 {
            let site = simulate(71, 71, 300_000, 480_000, seed);
            let recording = site.cameras.iter().filter(|(_, doing)| *doing == Doing::Record);
            assert_eq!(recording.count(), 71, "seed {seed}: all are back within three minutes");
            assert!(site.busiest <= CONNECTING_MAX, "seed {seed}: {} at once", site.busiest);
            assert!(site.rush <= 40, "seed {seed}: {} sessions in one second", site.rush);
        }
    }

    #[test]
    fn a_building_that_is_switched_off_does_not_hold_up_the_others() {
        // 60 of 71 stay dead; the others come back within their own pause.
        for seed in 0..20 {
            let site = simulate(71, 11, 2_000, 60_000, seed);
            let back = site.cameras[..11].iter().filter(|(_, doing)| *doing == Doing::Record);
            assert_eq!(back.count(), 11, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn a_turn_is_given_back_even_by_who_stops_waiting_for_it() {
        let gate = Gate::default();
        let mut held = Vec::new();
        for _ in 0..CONNECTING_MAX {
            held.push(gate.turn(0).await);
        }
        let (first, second) = (gate.turn(0), gate.turn(0));
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        held.pop();
        assert!(futures::poll!(&mut second).is_ready(), "the turn passes over who has gone");
    }

    proptest! {
        #[test]
        fn turns_are_bounded_and_nobody_waits_for_nothing(
            steps in prop::collection::vec((any::<bool>(), 0u32..6, any::<prop::sample::Index>()), 1..300)
        ) {
            let (mut turns, mut known) = (Turns::default(), Vec::new());
            for (asks, failures, which) in steps {
                if asks || known.is_empty() {
                    known.push(turns.handle_ask(failures));
                } else {
                    turns.handle_done(known.swap_remove(which.index(known.len())));
                }
                while turns.poll_turn().is_some() {}
                let away = turns.busy.iter().filter(|(_, away)| *away).count();
                let waiting = turns.waiting.iter().map(VecDeque::len).sum::<usize>();
                prop_assert!(turns.busy.len() <= CONNECTING_MAX && away <= AWAY_MAX);
                prop_assert_eq!(turns.busy.len() + waiting, known.len());
                let room = turns.busy.len() < CONNECTING_MAX;
                prop_assert!(!room || turns.waiting[0].is_empty());
                prop_assert!(!room || away == AWAY_MAX || turns.waiting[1].is_empty());
            }
        }
    }
}
