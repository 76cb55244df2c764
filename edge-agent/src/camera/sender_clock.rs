//! How far a camera's clock is from the recorder's, from its RTCP sender reports (RFC 3550 section
//! 6.4.1). Pure: knows nothing of RTSP, reads no clock.
//!
//! A report holds the camera's time when it was sent. What it says less its arrival is the offset,
//! too small by however long the report was on its way: milliseconds on a camera's network. One
//! report may be late, and a camera may say nonsense once, so the middle one of the last five is
//! taken: a clock that was set shows after three reports, 15 s at the usual rate.
//!
//! A report also pairs the camera's clock with its media clock, so it tells when a frame was taken
//! and not merely when it came. That is believed only when three reports agree to 50 ms: cameras
//! that pair nonsense are common. The timeline believes it only as far as it could be true.
//!
//! | a report's time | is |
//! |---|---|
//! | 0 | "I have no clock", by the RFC: left out |
//! | its highest bit set | 1968 to 2036 |
//! | not set, and the recorder is in 2036 or later | 2036 to 2104, the format's second round |
//! | not set, before that | time since the camera started, which the RFC allows: left out |

use std::collections::VecDeque;

use custody::WallTime;

use super::timeline::ticks_to_us;

/// Reports that are looked at together: odd, so that there is a middle one.
const REPORTS: usize = 5;
/// A report older than this says nothing of now: twelve times the usual rate.
const AGE_US_MAX: i64 = 60_000_000;
/// Reports that must agree on what the media clock shows.
const AGREEING: usize = 3;
/// How closely: at 1000 parts in a million of drift, five reports differ by 20 ms.
const AGREEMENT_US: i64 = 50_000;
/// Beyond this a camera's clock is wrong enough to see to: a second.
pub const OFFSET_MS_ALARM: i64 = 1000;
/// From 1900 to 1970.
const UNIX_SECONDS: i64 = 2_208_988_800;
/// Seconds in one round of the format.
const ROUND_SECONDS: i64 = 1 << 32;
/// The second round begins here, at 2036-02-07T06:28:16Z; a day before, cameras may be ahead.
const SECOND_ROUND: WallTime = WallTime((ROUND_SECONDS - UNIX_SECONDS - 86_400) * 1_000_000);

/// One session's reports.
#[derive(Debug, Clone, Default)]
pub struct SenderClock {
    recent: VecDeque<Report>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    arrived: WallTime,
    /// The camera's clock minus the recorder's, microseconds.
    offset_us: i64,
    /// What the camera's clock showed when the session's media clock stood at 0.
    zero: Option<WallTime>,
}

impl SenderClock {
    /// A report with this NTP timestamp (32 bits of seconds, 32 of their fraction) arrived; `pts` is
    /// where it puts the session's media clock at that moment, in 90 kHz ticks.
    pub fn handle_report(&mut self, ntp: u64, pts: Option<i64>, arrived: WallTime) {
        let Some(said) = camera_time(ntp, arrived) else { return };
        if self.recent.len() == REPORTS {
            self.recent.pop_front();
        }
        let zero = pts.map(|pts| said.plus_micros(ticks_to_us(pts).saturating_neg()));
        self.recent.push_back(Report { arrived, offset_us: said.micros_since(arrived), zero });
    }

    /// One of the two clocks was set: what was heard before says nothing any more.
    pub fn handle_jump(&mut self) {
        self.recent.clear();
    }

    /// The camera's clock minus the recorder's, in milliseconds; none when the camera said nothing
    /// for a minute.
    #[must_use]
    pub fn offset_ms(&self, now: WallTime) -> Option<i64> {
        Some(self.offset_us(now)?.saturating_add(500).div_euclid(1000))
    }

    /// When, on the recorder's clock, the camera took the frame that its media clock calls `pts`
    /// (90 kHz ticks); none unless its reports agree.
    #[must_use]
    pub fn taken_at(&self, pts: i64, now: WallTime) -> Option<WallTime> {
        let offset_us = self.offset_us(now)?;
        let mut zeros: Vec<WallTime> = self.fresh(now).filter_map(|report| report.zero).collect();
        zeros.sort_unstable();
        let middle = *zeros.get(zeros.len() / 2)?;
        let agrees =
            |zero: &&WallTime| (-AGREEMENT_US..=AGREEMENT_US).contains(&zero.micros_since(middle));
        let agreed = zeros.iter().filter(agrees).count() >= AGREEING;
        let on_ours = middle.plus_micros(offset_us.saturating_neg());
        agreed.then(|| on_ours.plus_micros(ticks_to_us(pts)))
    }

    /// The middle one of what the fresh reports say.
    fn offset_us(&self, now: WallTime) -> Option<i64> {
        let mut offsets: Vec<i64> = self.fresh(now).map(|report| report.offset_us).collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied()
    }

    fn fresh(&self, now: WallTime) -> impl Iterator<Item = &Report> {
        self.recent
            .iter()
            .filter(move |report| (0..=AGE_US_MAX).contains(&now.micros_since(report.arrived)))
    }
}

/// The time that a report tells, see the table above. A clock that is years wrong is told as it is.
fn camera_time(ntp: u64, arrived: WallTime) -> Option<WallTime> {
    let seconds = i64::try_from(ntp >> 32).ok()?;
    let micros = i64::try_from(((ntp & 0xffff_ffff) * 1_000_000) >> 32).ok()?;
    let first_round = seconds & (1 << 31) != 0;
    if ntp == 0 || (!first_round && arrived < SECOND_ROUND) {
        return None;
    }
    let seconds = if first_round { seconds } else { seconds + ROUND_SECONDS };
    Some(WallTime((seconds - UNIX_SECONDS) * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: WallTime = WallTime(1_795_000_000_000_000);
    /// The usual pause between reports.
    const EVERY_US: i64 = 5_000_000;

    /// The timestamp of `at`, rounded to what 32 bits of fraction can say.
    fn ntp(at: WallTime) -> u64 {
        let seconds = u64::try_from(at.0.div_euclid(1_000_000) + UNIX_SECONDS).unwrap();
        let micros = u64::try_from(at.0.rem_euclid(1_000_000)).unwrap();
        ((seconds & 0xffff_ffff) << 32) | ((micros << 32) / 1_000_000)
    }

    /// Reports that say `offset_us(n)` and are `late_us(n)` on their way.
    fn feed(
        clock: &mut SenderClock,
        reports: std::ops::Range<i64>,
        offset_us: impl Fn(i64) -> i64,
        late_us: impl Fn(i64) -> i64,
    ) -> Vec<Option<i64>> {
        reports
            .map(|n| {
                let sent = START.plus_micros(n * EVERY_US);
                let arrived = sent.plus_micros(late_us(n));
                clock.handle_report(ntp(sent.plus_micros(offset_us(n))), None, arrived);
                clock.offset_ms(arrived)
            })
            .collect()
    }

    #[test]
    fn media_times_at_the_ends_of_their_range_agree_on_nothing() {
        let mut clock = SenderClock::default();
        for pts in [i64::MAX, i64::MIN, i64::MIN] {
            clock.handle_report(ntp(START), Some(pts), START);
        }
        assert_eq!(clock.taken_at(0, START), None);
    }

    #[test]
    fn the_known_moment_of_rfc_5905_is_read() {
        // RFC 5905 figure 4: 1970-01-01 is 2 208 988 800 s of the first round.
        assert_eq!(camera_time(2_208_988_800 << 32, START), Some(WallTime(0)));
        let half = camera_time((2_208_988_801 << 32) | (1 << 31), START);
        assert_eq!(half, Some(WallTime(1_500_000)));
    }

    #[test]
    fn a_clock_an_hour_behind_is_told_to_the_millisecond() {
        let mut clock = SenderClock::default();
        assert_eq!(clock.offset_ms(START), None);
        let told = feed(&mut clock, 0..20, |_| -3_600_000_000, |_| 400);
        assert!(told.iter().all(|ms| *ms == Some(-3_600_000)), "{told:?}");
    }

    #[test]
    fn late_reports_and_one_lie_do_not_show() {
        let mut clock = SenderClock::default();
        let offset = |n| if n == 7 { 86_400_000_000 } else { 250_000 };
        // Every third report waits 900 ms in a queue.
        let told = feed(&mut clock, 0..40, offset, |n| if n % 3 == 2 { 900_000 } else { 0 });
        assert!(told[3..].iter().all(|ms| *ms == Some(250)), "{told:?}");
    }

    #[test]
    fn a_clock_that_is_set_shows_after_three_reports() {
        let mut clock = SenderClock::default();
        let told = feed(&mut clock, 0..9, |n| if n < 6 { 0 } else { 5_000_000 }, |_| 0);
        assert_eq!(told[5..], [Some(0), Some(0), Some(0), Some(5000)]);
    }

    #[test]
    fn silence_ends_what_is_known_and_a_jump_at_once() {
        let mut clock = SenderClock::default();
        feed(&mut clock, 0..1, |_| 40_000, |_| 0);
        assert_eq!(clock.offset_ms(START.plus_seconds(60)), Some(40));
        assert_eq!(clock.offset_ms(START.plus_seconds(61)), None);
        // The recorder's clock was set back: the report would be from the future.
        assert_eq!(clock.offset_ms(START.plus_seconds(-1)), None);
        clock.handle_jump();
        assert_eq!(clock.offset_ms(START), None);
    }

    #[test]
    fn cameras_without_a_clock_say_nothing_and_wrong_ones_are_told() {
        for (ntp, arrived, expect_s) in [
            (0, START, None),
            // Up for an hour.
            (3600 << 32, START, None),
            // No battery: 1970, and 2000.
            (2_208_988_800 << 32, START, Some(-1_795_000_000)),
            (3_155_673_600 << 32, START, Some(946_684_800 - 1_795_000_000)),
            // The second round, and a camera a minute ahead into it.
            (60 << 32, SECOND_ROUND.plus_seconds(86_400), Some(60)),
            (60 << 32, SECOND_ROUND.plus_seconds(86_300), Some(160)),
        ] {
            let mut clock = SenderClock::default();
            clock.handle_report(ntp, None, arrived);
            assert_eq!(clock.offset_ms(arrived), expect_s.map(|s: i64| s * 1000), "{ntp:x}");
        }
    }

    #[test]
    fn reports_that_agree_tell_when_a_frame_was_taken_and_others_do_not() {
        // A camera an hour ahead, 120 ms from picture to packet, reports 2 ms on their way.
        let hour = 3_600_000_000;
        let report = |clock: &mut SenderClock, n: i64, wrong_ticks: i64| {
            let sent = START.plus_micros(n * EVERY_US);
            let arrived = sent.plus_micros(2000);
            let pts = n * 450_000 + wrong_ticks;
            clock.handle_report(ntp(sent.plus_micros(hour)), Some(pts), arrived);
            clock.taken_at(pts, arrived)
        };
        let mut clock = SenderClock::default();
        assert_eq!([report(&mut clock, 0, 0), report(&mut clock, 1, 0)], [None, None]);
        let told = report(&mut clock, 2, 0).unwrap();
        assert!((0..=2500).contains(&told.micros_since(START.plus_micros(2 * EVERY_US))), "{told}");
        // One report that pairs the clocks wrongly does not show; three that disagree say nothing.
        assert!(report(&mut clock, 3, 900_000).is_some());
        let mut clock = SenderClock::default();
        for n in 0..5 {
            assert_eq!(report(&mut clock, n, n * 9000), None, "{n}");
        }
    }

    proptest! {
        #[test]
        fn any_reports_give_an_offset_that_a_report_gave(
            reports in prop::collection::vec(
                (any::<u64>(), any::<Option<i64>>(), 0i64..4_000_000_000_000_000), 1..30)
        ) {
            let mut clock = SenderClock::default();
            for (ntp, pts, arrived) in reports {
                clock.handle_report(ntp, pts, WallTime(arrived));
                let _any = clock.taken_at(pts.unwrap_or_default(), WallTime(arrived));
                if let Some(ms) = clock.offset_ms(WallTime(arrived)) {
                    prop_assert!(ms.abs() < 140 * 366 * 86_400_000, "{ms}");
                }
                prop_assert!(clock.recent.len() <= REPORTS);
            }
        }
    }
}
