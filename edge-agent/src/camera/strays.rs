//! What to do about packets of a session that is no longer ours. Pure.
//!
//! live555 before 2017.06.04, which many cameras are built on, goes on sending a session's packets to
//! the number of a connection that is gone, and so into whichever connection gets that number next,
//! until it forgets the session after 65 s. A new session amid them fails, and the next, and each
//! leaves one more behind. A camera that merely began to send anew (another SSRC) looks the same once.
//!
//! | a session ended by foreign packets | the first time | again before footage was healthy |
//! |---|---|---|
//! | the camera says that it is such a live555 | wait until it has forgotten | wait |
//! | any other | try again at once | wait |
//!
//! Whatever the end was, a session whose TEARDOWN such a live555 did not answer is waited for.

/// One camera's stray packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strays {
    /// The camera said that it is built on a live555 with that fault.
    known: bool,
    /// Sessions in a row that foreign packets ended.
    strikes: u32,
}

impl Strays {
    /// The camera described itself.
    pub fn handle_tool(&mut self, known: bool) {
        self.known = known;
    }

    /// A session ended: whether by foreign packets, and whether it gave footage for a minute before.
    pub fn handle_end(&mut self, foreign: bool, healthy: bool) {
        self.strikes = match (foreign, healthy) {
            (true, false) => self.strikes.saturating_add(1),
            (true, true) => 1,
            (false, _) => 0,
        };
    }

    /// Whether to wait until the camera has forgotten what it still sends to.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.known || self.strikes >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_begins_anew_is_not_made_to_wait() {
        let mut strays = Strays::default();
        for _ in 0..10 {
            strays.handle_end(true, true);
            assert!(!strays.must_wait());
        }
        strays.handle_end(true, false);
        assert!(strays.must_wait(), "twice within a minute: they are another session's");
        strays.handle_end(false, false);
        assert!(!strays.must_wait());
    }

    #[test]
    fn a_live555_that_is_known_for_it_is_waited_for_at_once() {
        let mut strays = Strays::default();
        strays.handle_tool(true);
        strays.handle_end(false, true);
        assert!(strays.must_wait());
        strays.handle_tool(false);
        assert!(!strays.must_wait(), "its firmware was updated");
    }
}
