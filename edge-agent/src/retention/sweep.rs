//! Has the store erase what the plan says, in steps that may each be repeated. Takes no input but
//! the store and the clock: the path after a crash is the daily path.
//!
//! A wall clock that jumps forward would make everything due at once. So a sweep compares the wall
//! clock with the monotonic one: when the wall has gone ahead by more than five minutes, nothing is
//! erased for its age until the clock has stood by its new time for a day, or has come back. What
//! is due then stays up to a day too long, which is an alarm; what was erased for a wrong clock
//! could not be brought back. A start far ahead of the newest footage, with a clock that nothing
//! keeps, is doubted in the same way until a time service keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use custody::record::{EraseReason, Hold};
use custody::{CameraId, ClockSource, WallTime};
use host::telemetry::chain;
use host::{Clock, Tasks};

use super::grace::Grace;
use super::keys::Turner;
use super::plan::{self, Held, Plan, Rules};
use super::walk::Walk;
use crate::limits;
use crate::store::{Stats, Store, StoreError};

/// What one sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Segments whose time was over.
    pub retired: usize,
    /// Segments erased below their floor because the disc was full: an alarm.
    pub early: Vec<(CameraId, usize)>,
    /// Files removed.
    pub unlinked: usize,
    /// Hours whose keys were destroyed.
    pub hours: Vec<u64>,
    /// Where unheld footage ends that was erased more than ten minutes too late: an alarm.
    pub late: Option<WallTime>,
    /// How many segments were so late.
    pub late_segments: usize,
    /// The wall clock jumped ahead: nothing is erased for its age. An alarm.
    pub clock_doubted: bool,
    /// Less than the reserve is free and nothing unheld is left. An alarm.
    pub disc_full_of_holds: bool,
    /// There is more to do than one sweep does.
    pub more: bool,
}

/// When a sweep was last finished: all that the watchdog knows of the sweeper. Clones share it.
#[derive(Debug, Clone)]
pub struct LastSweep(Arc<AtomicU64>);

impl LastSweep {
    /// Nothing was swept yet; the time for it runs from now.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self(Arc::new(AtomicU64::new(clock.tick().0)))
    }

    /// Milliseconds since then.
    #[must_use]
    pub fn ms_ago(&self, clock: &Clock) -> u64 {
        clock.tick().0.saturating_sub(self.0.load(Ordering::SeqCst))
    }

    fn note(&self, clock: &Clock) {
        self.0.store(clock.tick().0, Ordering::SeqCst);
    }
}

/// Sweeps one store again and again.
pub struct Sweeper {
    store: Store,
    clock: Clock,
    rules: Rules,
    watch: ClockWatch,
    grace: Grace,
    keys: Turner,
    last: LastSweep,
    /// The holds that stood at the last sweep.
    stood: Vec<Hold>,
    /// Those that ended since the last sweep that left nothing to do.
    released: Vec<Hold>,
}

impl Sweeper {
    /// A sweeper of `store` by `rules`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, rules: Rules) -> Self {
        let newest = store.stats().ok().and_then(|stats| newest_footage(&stats));
        let unkept = clock.quality().source == ClockSource::Undisciplined;
        let watch = ClockWatch::at_start(clock.now(), clock.tick().0, newest.filter(|_| unkept));
        let (grace, keys) = (Grace::default(), Turner::default());
        let last = LastSweep::new(&clock);
        let stood = store.holds();
        Self { store, clock, rules, watch, grace, keys, last, stood, released: Vec::new() }
    }

    /// From now on holds that are on their way come first.
    #[must_use]
    pub fn with_grace(self, grace: Grace) -> Self {
        Self { grace, ..self }
    }

    /// When this sweeper last finished.
    #[must_use]
    pub fn last(&self) -> LastSweep {
        self.last.clone()
    }

    /// Erases what is due, and what the disc needs. Blocks.
    ///
    /// # Errors
    /// As the store says; `Fatal` ends the process, others are tried again at the next sweep.
    pub fn sweep(&mut self) -> Result<Swept, StoreError> {
        let free_bytes = self.store.space()?.free_bytes;
        self.sweep_with(free_bytes)
    }

    /// As [`Self::sweep`], with so many bytes free.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub fn sweep_with(&mut self, free_bytes: u64) -> Result<Swept, StoreError> {
        let now = self.clock.now();
        if self.clock.quality().source == ClockSource::Disciplined {
            self.watch.handle_kept_clock();
        }
        let trusted = self.watch.look(now, self.clock.tick().0);
        let mut swept = Swept { clock_doubted: trusted < now, ..Swept::default() };
        // Leftovers of a sweep that was cut off.
        swept.unlinked += self.store.unlink_condemned()?;
        let may_age = self.grace.allows(self.clock.tick());
        self.erase(trusted, may_age, free_bytes, &mut swept)?;
        swept.hours = self.keys.turn(&self.store, &self.clock)?;
        self.store.take_disposals()?;
        if !swept.more {
            self.released.clear();
        }
        self.last.note(&self.clock);
        Ok(swept)
    }

    /// What is due first, unless holds may be on their way: it may be room enough. Then what the disc needs.
    fn erase(
        &mut self,
        now: WallTime,
        may_age: bool,
        mut free_bytes: u64,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let standing = self.store.holds();
        self.released.extend(self.stood.drain(..).filter(|hold| !standing.contains(hold)));
        self.stood = standing;
        let mut budget = limits::SWEEP_SEGMENTS_MAX;
        if may_age {
            let due = Walk::due(self.store.cameras(), &self.rules, now);
            self.erase_along(due, now, &mut free_bytes, &mut budget, swept)?;
        }
        if !swept.more && free_bytes < self.rules.reserve_bytes {
            let all = Walk::all(self.store.cameras(), &self.rules);
            self.erase_along(all, now, &mut free_bytes, &mut budget, swept)?;
            swept.disc_full_of_holds = !swept.more && free_bytes < self.rules.reserve_bytes;
        }
        Ok(())
    }

    fn erase_along(
        &self,
        mut walk: Walk,
        now: WallTime,
        free_bytes: &mut u64,
        budget: &mut usize,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let held = Held { standing: &self.stood, released: &self.released };
        while !walk.is_for_room() || *free_bytes < self.rules.reserve_bytes {
            let limit = limits::ERASE_STEP_SEGMENTS;
            let rows = walk.next(&self.rules, limit, |ask| self.store.expiring_of(ask))?;
            if rows.is_empty() {
                return Ok(());
            }
            if *budget == 0 {
                swept.more = true;
                return Ok(());
            }
            // Footage on a second disc goes when it is due; before that it makes no room for recording.
            let (here, there) = self.store.by_disc(rows)?;
            let plan = plan::plan(&here, held, now, &self.rules, *free_bytes);
            *budget = budget.saturating_sub(self.carry_out(&plan, swept)?);
            *free_bytes = free_bytes.saturating_add(plan.frees_bytes);
            if !walk.is_for_room() && !there.is_empty() {
                let plan = plan::plan(&there, held, now, &self.rules, u64::MAX);
                *budget = budget.saturating_sub(self.carry_out(&plan, swept)?);
            }
        }
        Ok(())
    }

    /// Gives how many segments went.
    fn carry_out(&self, plan: &Plan, swept: &mut Swept) -> Result<usize, StoreError> {
        let mut count = 0;
        // Counted before the act, as all that is told of it: a crash between counts too much.
        self.store.count_late(plan.late_segments)?;
        swept.late = swept.late.or(plan.late);
        swept.late_segments += plan.late_segments;
        for erasure in &plan.erase {
            let gone = self.store.condemn(&erasure.camera, &erasure.segments, erasure.reason)?;
            count += gone.len();
            match erasure.reason {
                EraseReason::Retention => swept.retired += gone.len(),
                // The plan makes none: people order it, see `store::condemn`.
                EraseReason::Order => {}
                EraseReason::DiscFull => swept.early.push((erasure.camera.clone(), gone.len())),
            }
        }
        while self.store.unlink_condemned()? > 0 {}
        swept.unlinked += plan.erase.iter().map(|erasure| erasure.segments.len()).sum::<usize>();
        Ok(count)
    }

    /// Sweeps every 20 s until shutdown. A fatal error ends the process: the next start recovers.
    pub async fn run(mut self, tasks: Tasks) {
        let pause = std::time::Duration::from_secs(limits::SWEEP_SECONDS);
        loop {
            tokio::select! {
                () = tasks.stopping() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let swept = tokio::task::spawn_blocking(move || {
                let swept = self.sweep();
                (self, swept)
            });
            let Ok((sweeper, swept)) = swept.await else {
                tracing::error!("the sweep panicked; ending so that the service restarts");
                std::process::abort();
            };
            self = sweeper;
            match swept {
                Ok(swept) => say(&swept),
                Err(error) if error.is_fatal() => {
                    tracing::error!(error = %chain(&error), "retention: the store failed");
                    std::process::abort();
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "retention: will try again");
                }
            }
        }
    }
}

fn newest_footage(stats: &Stats) -> Option<WallTime> {
    stats.cameras.values().filter_map(|camera| camera.newest).max()
}

fn say(swept: &Swept) {
    for (camera, segments) in &swept.early {
        tracing::error!(%camera, segments, "disc full: footage erased before its time");
    }
    if let Some(end) = swept.late {
        tracing::error!(%end, "footage was kept beyond its time");
    }
    if swept.clock_doubted {
        tracing::error!(
            "the clock jumped ahead: nothing is erased for its age until it is believed"
        );
    }
    if swept.disc_full_of_holds {
        tracing::error!("the disc is full and everything on it is held");
    }
    if swept.retired > 0 {
        tracing::info!(segments = swept.retired, "footage erased: its time was over");
    }
}

/// Sees the wall clock jump. Pure.
#[derive(Debug, Clone)]
struct ClockWatch {
    /// The wall time and monotonic milliseconds that are believed.
    believed: (WallTime, u64),
    /// Monotonic milliseconds since when the wall has stood by another time.
    doubted_since: Option<u64>,
    /// Whether the doubt is about the time at start, which a time service can settle.
    from_start: bool,
}

impl ClockWatch {
    /// A wall clock ahead of the monotonic one by this much has jumped.
    const JUMP_US: i64 = 300_000_000;
    /// A clock that stands by its new time this long is believed.
    const BELIEVED_MS: u64 = 86_400_000;

    /// A watch that begins with the program. `newest` is where the newest footage ends, if nothing
    /// keeps the clock: a recorder that comes up far ahead of its own footage was either off for
    /// long or has lost its time, and only the second may not erase.
    fn at_start(wall: WallTime, tick_ms: u64, newest: Option<WallTime>) -> Self {
        let ahead = newest.filter(|newest| wall.micros_since(*newest) > Self::JUMP_US);
        let believed = (ahead.unwrap_or(wall), tick_ms);
        Self { believed, doubted_since: None, from_start: ahead.is_some() }
    }

    /// A time service keeps the clock: its time at start is believed after all.
    fn handle_kept_clock(&mut self) {
        if self.from_start {
            self.believed.0 = WallTime(i64::MAX);
            self.from_start = false;
        }
    }

    /// The time by which footage may be judged old.
    fn look(&mut self, wall: WallTime, tick_ms: u64) -> WallTime {
        let passed_ms = tick_ms.saturating_sub(self.believed.1);
        let passed_us = i64::try_from(passed_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        let expected = self.believed.0.plus_micros(passed_us);
        let since = *self.doubted_since.get_or_insert(tick_ms);
        let ahead = wall.micros_since(expected) > Self::JUMP_US;
        if ahead && tick_ms.saturating_sub(since) < Self::BELIEVED_MS {
            return expected;
        }
        self.believed = (wall, tick_ms);
        self.doubted_since = None;
        wall
    }
}

#[cfg(test)]
mod tests;
