//! Reads stored footage again and again, slowly, and compares it with what was signed: discs rot
//! silently. What is damaged is logged, refused to whoever asks for it, and replaced by a sound copy
//! from a second place.
//!
//! | file | does |
//! |---|---|
//! | [`plan`] | how fast, and what next (pure) |
//! | [`second_copy`] | where a sound copy may come from |
//!
//! On a thread of its own in the idle I/O class: recording goes first. Where it stands is kept, so that
//! a restart begins no pass anew.

use std::sync::Arc;
use std::time::Duration;

use custody::{CameraId, Seq};
use host::telemetry::chain;
use host::{Clock, Tasks};

use crate::store::{SegmentRow, Store, StoreError, Verdict};

pub mod plan;
pub mod second_copy;

pub use plan::Rules;
use plan::{Next, Plan};
pub use second_copy::{NoCopy, SecondCopy};

/// The longest sleep before the thread looks whether it should end.
const LOOK_MS: u64 = 500;

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A segment was read.
    Read(CameraId, Seq, Verdict),
    /// The second place was asked for all that is damaged; so many are sound again.
    Mended(usize),
    /// Nothing to do for so many milliseconds.
    Rest(u64),
}

/// Reads one store's footage again.
pub struct Scrubber {
    store: Store,
    clock: Clock,
    copies: Arc<dyn SecondCopy>,
    plan: Plan,
}

impl Scrubber {
    /// A scrubber of `store` by `rules`, which asks `copies` for what is damaged.
    #[must_use]
    pub fn new(store: Store, clock: Clock, rules: Rules, copies: Arc<dyn SecondCopy>) -> Self {
        Self { store, clock, copies, plan: Plan::new(rules) }
    }

    /// Does the next thing. `rest` is given milliseconds to wait after each piece that is read.
    ///
    /// # Errors
    /// As the store says; `Fatal` ends the process, after others try again.
    pub fn step(&mut self, rest: &mut dyn FnMut(u64)) -> Result<Done, StoreError> {
        let at = self.store.scrubbed()?;
        let (now, tick) = (self.clock.now(), self.clock.tick());
        let damaged = self.store.damaged();
        match self.plan.next(now, tick, at.begun, at.until, damaged.len()) {
            Next::Mend => {
                let mut mended = 0;
                for (camera, seq) in damaged.into_keys() {
                    mended += usize::from(self.mend(&camera, seq)?);
                }
                Ok(Done::Mended(mended))
            }
            Next::Begin => {
                self.store.set_scrubbed(&at.begin(now))?;
                Ok(Done::Rest(0))
            }
            Next::Rest(ms) => Ok(Done::Rest(ms)),
            Next::Read => {
                let Some(row) = self.store.next_to_scrub(&at)? else {
                    self.store.set_scrubbed(&at.end())?;
                    tracing::info!("all footage was read again");
                    return Ok(Done::Rest(0));
                };
                let verdict = self.look(&row, rest)?;
                self.store.set_scrubbed(&at.past(&row))?;
                Ok(Done::Read(row.camera, row.seq, verdict))
            }
        }
    }

    fn look(&self, row: &SegmentRow, rest: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        let stored_bytes = self.store.stats()?.bytes;
        let rate = self.plan.bytes_per_second(stored_bytes);
        let verdict = self.store.examine(row, &mut |bytes| rest(plan::rest_ms(bytes, rate)))?;
        if let Verdict::Damaged(what) = &verdict {
            tracing::error!(camera = %row.camera, seq = %row.seq, what, "footage is damaged");
            self.store.note_damage(row, what)?;
        }
        Ok(verdict)
    }

    /// Whether a damaged segment is sound again.
    fn mend(&self, camera: &CameraId, seq: Seq) -> Result<bool, StoreError> {
        let Some(row) = self.store.stored_row(camera, seq)? else {
            self.store.forget_damage(camera, seq)?;
            return Ok(false);
        };
        let copy = match self.copies.fetch(camera, seq, row.bytes) {
            Ok(Some(copy)) => copy,
            Ok(None) => return Ok(false),
            Err(why) => {
                tracing::warn!(%camera, %seq, why, "no second copy of a damaged segment");
                return Ok(false);
            }
        };
        match self.store.repair(&row, &copy) {
            Ok(()) => {
                tracing::info!(%camera, %seq, "a damaged segment was replaced by its second copy");
                Ok(true)
            }
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                tracing::error!(%camera, %seq, error = %chain(&error), "not repaired");
                Ok(false)
            }
        }
    }

    /// Reads on until shutdown. For a thread of its own. A fatal error ends the process: the next start
    /// recovers.
    pub fn run(mut self, tasks: &Tasks) {
        host::priority::idle_io();
        let mut rest = |ms: u64| sleep(tasks, ms);
        while !tasks.is_stopping() {
            match self.step(&mut rest) {
                Ok(Done::Rest(ms)) => rest(ms),
                Ok(_) => {}
                Err(error) if error.is_fatal() => {
                    tracing::error!(error = %chain(&error), "scrub: the store failed");
                    std::process::abort();
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "scrub: will try again");
                    rest(plan::RETRY_MS);
                }
            }
        }
    }
}

/// Sleeps; shutdown is seen within half a second.
fn sleep(tasks: &Tasks, ms: u64) {
    let mut left = ms;
    while left > 0 && !tasks.is_stopping() {
        let now = left.min(LOOK_MS);
        std::thread::sleep(Duration::from_millis(now));
        left -= now;
    }
}

#[cfg(test)]
mod tests;
