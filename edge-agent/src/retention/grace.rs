//! Lets holds that are on their way come before anything expires. A hold placed while the site was
//! away stands in the controller; at a start, at each return, and while the controller says that
//! holds are pending, nothing is erased for its age, for a few minutes at most. Pure.
//!
//! A site that stays cut off goes on erasing at its time: that is the law, and nobody could say
//! otherwise. Space is freed as ever, since recording must go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use link::Tick;

use crate::limits;

/// Whether footage may go for its age now. Clones share it; the lock is held for moments.
#[derive(Debug, Clone, Default)]
pub struct Grace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Holds may be on their way.
    waits: bool,
    /// When footage could last go for its age.
    allowed_at: Tick,
}

impl Grace {
    /// As at the start of the agent, at `now`: holds may be on their way.
    #[must_use]
    pub fn at_start(now: Tick) -> Self {
        Self(Arc::new(Mutex::new(State { waits: true, allowed_at: now })))
    }

    /// A connection to the controller stands; what it has for us is not known yet.
    pub fn handle_connected(&self) {
        self.state().waits = true;
    }

    /// The controller has said whether holds are on their way.
    pub fn handle_answer(&self, holds_pending: bool) {
        self.state().waits = holds_pending;
    }

    /// Whether footage may go for its age at `now`. Asked at each sweep; never no for longer than
    /// [`limits::HOLD_GRACE_MS`] at a stretch.
    #[must_use]
    pub fn allows(&self, now: Tick) -> bool {
        let mut state = self.state();
        let waited_ms = now.0.saturating_sub(state.allowed_at.0);
        if state.waits && waited_ms < limits::HOLD_GRACE_MS {
            return false;
        }
        (state.waits, state.allowed_at) = (false, now);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_the_controllers_word_and_not_for_ever() {
        let grace_ms = limits::HOLD_GRACE_MS;
        let grace = Grace::at_start(Tick(1000));
        assert!(!grace.allows(Tick(1000 + grace_ms - 1)), "the controller may have holds for us");
        // Nobody answers: the site erases on.
        assert!(grace.allows(Tick(1000 + grace_ms)));
        assert!(grace.allows(Tick(1020 + grace_ms)));
        // The line is back.
        let back = 10 * grace_ms;
        assert!(grace.allows(Tick(back)));
        grace.handle_connected();
        assert!(!grace.allows(Tick(back + 1)));
        grace.handle_answer(true);
        assert!(!grace.allows(Tick(back + 2)));
        grace.handle_answer(false);
        assert!(grace.allows(Tick(back + 3)));
        // Holds that never stop coming hold no sweep up for longer than the grace.
        for _ in 0..3 {
            grace.handle_answer(true);
        }
        assert!(!grace.allows(Tick(back + 4)));
        assert!(grace.allows(Tick(back + 3 + grace_ms)));
        grace.handle_answer(true);
        assert!(!grace.allows(Tick(back + 4 + grace_ms)));
    }

    #[test]
    fn without_a_controller_in_play_nothing_waits() {
        assert!(Grace::default().allows(Tick(0)));
    }
}
