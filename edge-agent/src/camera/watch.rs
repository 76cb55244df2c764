//! When to give a session up, and how long to wait before the next. Pure: time and randomness are
//! arguments.
//!
//! | kind of method | which |
//! |---|---|
//! | inputs | [`Watch::handle_session`], [`Watch::handle_frame`], [`Watch::handle_written`], [`Watch::handle_down`] |
//! | outputs | [`Watch::poll_verdict`], [`Watch::poll_deadline_ms`], [`Watch::failures`] |
//!
//! What counts is footage on the disc, not packets: a session whose frames come but of which nothing
//! was written for half a minute, and in which no key frame came meanwhile, is given up, because
//! cameras send a key frame when a session begins. When key frames do come, the fault is the
//! recorder's, and another session would not mend it: health tells (`record::health`).

use super::Reason;

/// Limits of one camera's supervision. All times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A session without a frame for this long is given up.
    pub silence_ms_max: u64,
    /// A session in which no key frame came and nothing was written for this long is given up.
    pub key_frame_ms_max: u64,
    /// The pause after the first failure; each further failure doubles it.
    pub pause_ms_first: u64,
    /// The longest pause.
    pub pause_ms_max: u64,
    /// Footage for this long makes the next failure a first one.
    pub healthy_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence_ms_max: 10_000,
            // Cameras with "smart" codecs send a key frame every 20 s or so at most.
            key_frame_ms_max: 30_000,
            pause_ms_first: 1000,
            pause_ms_max: 60_000,
            healthy_ms: 60_000,
        }
    }
}

/// Supervises one camera over all its sessions. Times are ticks of a monotonic clock, in
/// milliseconds.
#[derive(Debug, Clone)]
pub struct Watch {
    limits: Limits,
    /// Sessions that failed without healthy footage between.
    failures: u32,
    session: Session,
}

#[derive(Debug, Clone, Copy, Default)]
struct Session {
    began_ms: u64,
    first_frame_ms: Option<u64>,
    last_frame_ms: Option<u64>,
    last_key_ms: Option<u64>,
    written_ms: u64,
}

impl Watch {
    /// Supervision of a camera that was never tried.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, failures: 0, session: Session::default() }
    }

    /// A session begins to play.
    pub fn handle_session(&mut self, now_ms: u64) {
        self.session = Session { began_ms: now_ms, ..Session::default() };
    }

    /// A frame came.
    pub fn handle_frame(&mut self, now_ms: u64, key: bool) {
        let first = *self.session.first_frame_ms.get_or_insert(now_ms);
        self.session.last_frame_ms = Some(now_ms);
        if key {
            self.session.last_key_ms = Some(now_ms);
        }
        if self.session.last_key_ms.is_some()
            && now_ms.saturating_sub(first) >= self.limits.healthy_ms
        {
            self.failures = 0;
        }
    }

    /// Footage of this camera was written at `at_ms`.
    pub fn handle_written(&mut self, at_ms: u64) {
        self.session.written_ms = self.session.written_ms.max(at_ms);
    }

    /// Sessions that failed without healthy footage between.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A session ended, for whatever reason. Gives the pause before the next one: the doubled
    /// step, of which `random` takes up to half away so that 268 cameras behind one switch do not
    /// come back in step.
    pub fn handle_down(&mut self, random: u32) -> u64 {
        let doublings = self.failures.min(32);
        self.failures = self.failures.saturating_add(1);
        let step_ms =
            self.limits.pause_ms_first.saturating_mul(1 << doublings).min(self.limits.pause_ms_max);
        let off_ms = u128::from(step_ms / 2) * u128::from(random) / u128::from(u32::MAX);
        step_ms.saturating_sub(u64::try_from(off_ms).unwrap_or(0))
    }

    /// Whether the session must be given up now, and why.
    #[must_use]
    pub fn poll_verdict(&self, now_ms: u64) -> Option<Reason> {
        if now_ms >= self.silence_deadline_ms() {
            return Some(Reason::Stalled);
        }
        match self.key_deadline_ms() {
            Some(deadline) if now_ms >= deadline => Some(Reason::NeverKeyFrame),
            _ => None,
        }
    }

    /// When to ask for a verdict again if no frame comes before.
    #[must_use]
    pub fn poll_deadline_ms(&self) -> u64 {
        let silence = self.silence_deadline_ms();
        self.key_deadline_ms().map_or(silence, |key| key.min(silence))
    }

    fn silence_deadline_ms(&self) -> u64 {
        let since = self.session.last_frame_ms.unwrap_or(self.session.began_ms);
        since.saturating_add(self.limits.silence_ms_max)
    }

    fn key_deadline_ms(&self) -> Option<u64> {
        let since = self.session.first_frame_ms?.max(self.session.written_ms);
        let since = since.max(self.session.last_key_ms.unwrap_or(0));
        Some(since.saturating_add(self.limits.key_frame_ms_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let mut watch = Watch::new(Limits::default());
        watch.handle_session(0);
        watch
    }

    #[test]
    fn ten_seconds_without_a_frame_is_a_stall() {
        let mut watch = watch();
        assert_eq!(watch.poll_verdict(9_999), None);
        watch.handle_frame(5_000, true);
        assert_eq!(watch.poll_deadline_ms(), 15_000);
        assert_eq!(watch.poll_verdict(14_999), None);
        assert_eq!(watch.poll_verdict(15_000), Some(Reason::Stalled));
    }

    #[test]
    fn frames_without_a_key_frame_are_no_footage() {
        let mut watch = watch();
        for now in (1_000..31_000).step_by(40) {
            watch.handle_frame(now, false);
            assert_eq!(watch.poll_verdict(now), None, "{now}");
        }
        assert_eq!(watch.poll_verdict(31_000), Some(Reason::NeverKeyFrame));
        watch.handle_frame(31_000, true);
        assert_eq!(watch.poll_verdict(31_000), None);
    }

    #[test]
    fn footage_that_is_received_and_not_written_is_no_footage() {
        let mut watch = watch();
        watch.handle_frame(1_000, true);
        // The recorder keeps 2 s at a time of a GOP that never ends: all is well.
        for now in (1_000..101_000).step_by(1000) {
            watch.handle_frame(now, false);
            watch.handle_written(now);
            assert_eq!(watch.poll_verdict(now), None, "{now}");
        }
        // Then it waits for a key frame that does not come.
        for now in (101_000..130_000).step_by(1000) {
            watch.handle_frame(now, false);
            assert_eq!(watch.poll_verdict(now), None, "{now}");
        }
        assert_eq!(watch.poll_verdict(130_000), Some(Reason::NeverKeyFrame));
        // With key frames the fault is not the camera's.
        watch.handle_frame(130_000, true);
        assert_eq!(watch.poll_verdict(130_000), None);
    }

    #[test]
    fn pauses_double_to_a_minute_and_are_spread_out() {
        let mut watch = watch();
        let pauses: Vec<_> = (0..8).map(|_| watch.handle_down(0)).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(watch.handle_down(u32::MAX), 30_000);
        assert!((44_000..46_000).contains(&watch.handle_down(u32::MAX / 2)));
    }

    #[test]
    fn a_minute_of_footage_forgives_and_less_does_not() {
        let mut watch = watch();
        for _ in 0..5 {
            watch.handle_down(0);
        }
        watch.handle_session(0);
        watch.handle_frame(0, true);
        watch.handle_frame(59_999, false);
        assert_eq!(watch.handle_down(0), 32_000);
        watch.handle_session(100_000);
        watch.handle_frame(100_000, true);
        watch.handle_frame(160_000, false);
        assert_eq!(watch.handle_down(0), 1000);
    }

    #[test]
    fn a_camera_down_for_a_year_is_still_tried_every_minute() {
        let mut watch = watch();
        for _ in 0..600_000 {
            assert!(watch.handle_down(0) <= 60_000);
        }
    }
}
