//! Has the store move what the plan says, in small steps on a thread of the lowest priority. Takes no
//! input but the store and the clock: the path after a crash is the daily path.

use std::time::Duration;

use custody::WallTime;
use host::telemetry::chain;
use host::{Clock, Tasks};
use link::pace::Pace;

use super::plan::{self, Rules};
use crate::limits;
use crate::store::{Alarm, SegmentRow, Store, StoreError};

/// The lowest priority that a thread may have.
const NICE: i32 = 19;
/// Rows that were passed over are looked at again after so many turns: an hour.
const TURNS_PER_ROUND: u32 = 360;

/// What one turn did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    /// Segments that lie on the second disc now.
    pub moved: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that do not verify and so stay where they are.
    pub stayed: usize,
    /// The second disc is not there.
    pub away: bool,
    /// There is more to do than one turn does.
    pub more: bool,
}

/// Moves one store's older footage again and again.
pub struct Mover {
    store: Store,
    clock: Clock,
    rules: Rules,
    pace: Pace,
    /// Everything that ends before this has been moved or passed over.
    cursor: Option<SegmentRow>,
    turns: u32,
}

impl Mover {
    /// A mover of `store` by `rules`, at most so many bytes a second; 0: as fast as the discs.
    #[must_use]
    pub fn new(store: Store, clock: Clock, rules: Rules, bytes_per_second: u64) -> Self {
        let pace = Pace::new(bytes_per_second, clock.tick());
        Self { store, clock, rules, pace, cursor: None, turns: 0 }
    }

    /// Moves what is due, a bounded number of steps. Blocks. Ends early when `stopping` says so.
    ///
    /// # Errors
    /// As the store says; `Fatal` ends the process. What the second disc refuses is an alarm.
    pub fn turn(&mut self, stopping: &dyn Fn() -> bool) -> Result<Turn, StoreError> {
        let mut turn = Turn::default();
        self.turns += 1;
        if self.turns.is_multiple_of(TURNS_PER_ROUND) {
            self.cursor = None;
        }
        for _ in 0..limits::TIER_STEPS_MAX {
            if stopping() {
                break;
            }
            if !self.store.look_at_second()? {
                turn.away = true;
                return Ok(turn);
            }
            if !self.step(&mut turn, stopping)? {
                return Ok(turn);
            }
        }
        turn.more = true;
        Ok(turn)
    }

    /// One look at the oldest rows behind the cursor. Whether there may be more to do.
    fn step(&mut self, turn: &mut Turn, stopping: &dyn Fn() -> bool) -> Result<bool, StoreError> {
        let Some(second) = self.store.second_space()? else { return Ok(false) };
        let first = self.store.space()?;
        let now = self.clock.now();
        let short = first.free_bytes < self.rules.first_reserve_bytes;
        let age_us = if short { self.rules.youngest_us } else { self.rules.after_us };
        let before: WallTime = now.plus_micros(age_us.saturating_neg());
        let rows = self.store.expiring(before, self.cursor.as_ref(), limits::TIER_LOOK_SEGMENTS)?;
        let Some(last) = rows.last().cloned() else { return Ok(false) };
        let (rows, _) = self.store.by_disc(rows)?;
        let spaces = (first, second);
        let plan = plan::plan(&rows, now, self.rules, spaces, limits::TIER_GROUP_SEGMENTS);
        let full = "it has no room for footage that should move to it: add a disc, or shorten \
                    `retain`; until then the first disc keeps it";
        self.store.tell(Alarm::SecondTierFull, plan.second_full.then_some(full));
        let mut went = 0;
        for group in &plan.groups {
            if stopping() {
                return Ok(false);
            }
            let (clock, pace) = (&self.clock, &mut self.pace);
            let moved =
                self.store.move_to_second(&group.camera, &group.segments, &mut |bytes| {
                    wait(pace, clock, bytes);
                })?;
            turn.moved += moved.segments;
            turn.bytes += moved.bytes;
            turn.stayed += moved.stayed.len();
            went += group.segments.len();
            for (seq, why) in &moved.stayed {
                let camera = &group.camera;
                tracing::error!(%camera, %seq, why, "a segment does not verify and was not moved");
            }
            let refused = moved.refused.map(|error| chain(&error));
            self.store.tell(Alarm::SecondTierFault, refused.as_deref());
            if refused.is_some() {
                return Ok(false);
            }
        }
        // What the plan left stays the first to be looked at.
        if went == rows.len() {
            self.cursor = Some(last);
            return Ok(true);
        }
        Ok(false)
    }

    /// Moves every ten seconds until shutdown. A fatal error ends the process: the next start settles.
    pub async fn run(mut self, tasks: Tasks) {
        let pause = Duration::from_secs(limits::TIER_SECONDS);
        loop {
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let (back, turned) = tokio::sync::oneshot::channel();
            let watching = tasks.clone();
            // A thread of its own: its priority does not come back.
            let thread = std::thread::Builder::new().name("mover".to_owned()).spawn(move || {
                // Without the right to it, it moves as others do.
                let _lowered = rustix::process::setpriority_process(None, NICE);
                let turn = self.turn(&|| watching.is_stopping());
                let _ended = back.send((self, turn));
            });
            if let Err(error) = thread {
                tracing::error!(%error, "no thread for moving footage; ending so that the service restarts");
                std::process::abort();
            }
            let Ok((mover, turn)) = turned.await else {
                tracing::error!("moving footage panicked; ending so that the service restarts");
                std::process::abort();
            };
            self = mover;
            match turn {
                Ok(turn) if turn.moved > 0 => {
                    tracing::info!(segments = turn.moved, bytes = turn.bytes, "footage moved");
                }
                Ok(_) => {}
                Err(error) if error.is_fatal() => {
                    tracing::error!(error = %chain(&error), "tier: the store failed");
                    std::process::abort();
                }
                Err(error) => tracing::error!(error = %chain(&error), "tier: will try again"),
            }
        }
    }
}

/// Waits until so many bytes may go.
fn wait(pace: &mut Pace, clock: &Clock, bytes: usize) {
    let mut left = bytes as u64;
    loop {
        left -= pace.take(left, clock.tick());
        if left == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(pace.wait_ms()));
    }
}

#[cfg(test)]
mod tests;
