//! Recorded times follow arrival: within bounds, forward, and no frame is left without one.

use proptest::prelude::*;

use super::*;

const START: WallTime = WallTime(1_795_000_000_000_000);
/// 25 frames a second.
const STEP: i64 = 3600;

/// Feeds `frames` frames whose arrival is `arrival(n)` microseconds after the start.
fn feed(
    timeline: &mut Timeline,
    frames: std::ops::Range<i64>,
    arrival: impl Fn(i64) -> i64,
) -> Vec<Outcome> {
    frames.map(|n| timeline.map(n * STEP, START.plus_micros(arrival(n)))).collect()
}

#[test]
fn jitter_does_not_show_in_the_times() {
    let mut timeline = Timeline::default();
    let jitter = |n: i64| n * 40_000 + if n == 0 { 0 } else { (n * 7919) % 150_000 };
    for (n, outcome) in (0..).zip(feed(&mut timeline, 0..500, jitter)) {
        assert_eq!(outcome, Outcome::Mapped(START.plus_micros(n * 40_000)));
    }
}

#[test]
fn a_camera_clock_that_runs_fast_is_followed_within_500_ppm() {
    let mut timeline = Timeline::default();
    // 200 ppm fast: 10 000 frames (400 s of media) arrive in 399.92 s.
    let arrival = |n: i64| n * 39_992;
    let outcomes = feed(&mut timeline, 0..100_000, arrival);
    for pair in outcomes.windows(2) {
        let step = pair[1].wall().micros_since(pair[0].wall());
        assert!((39_979..=40_021).contains(&step), "{step}");
    }
    let last = outcomes.last().unwrap().wall();
    let off = START.plus_micros(arrival(99_999)).micros_since(last);
    assert!(off.abs() < 25_000, "unfollowed, 800 ms would be between them: {off}");
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Mapped(_))));
}

#[test]
fn a_clock_set_forward_by_an_hour_is_one_jump() {
    let mut timeline = Timeline::default();
    feed(&mut timeline, 0..100, |n| n * 40_000);
    let after = feed(&mut timeline, 100..400, |n| n * 40_000 + 3_600_000_000);
    let jumps: Vec<_> = after.iter().filter(|o| matches!(o, Outcome::Jump { .. })).collect();
    let [Outcome::Jump { from, to }] = jumps[..] else { panic!("{jumps:?}") };
    assert_eq!(to.micros_since(*from), 3_600_000_000);
    assert_eq!(after.last().unwrap().wall(), START.plus_micros(399 * 40_000 + 3_600_000_000));
}

#[test]
fn a_clock_set_back_jumps_at_once() {
    let mut timeline = Timeline::default();
    feed(&mut timeline, 0..100, |n| n * 40_000);
    let after = feed(&mut timeline, 100..101, |_| -60_000_000);
    assert_eq!(
        after,
        [Outcome::Jump { from: START.plus_micros(4_000_000), to: START.plus_micros(-60_000_000) }]
    );
}

#[test]
fn a_counter_that_restarts_jumps_to_the_arrival() {
    let mut timeline = Timeline::default();
    feed(&mut timeline, 0..1000, |n| n * 40_000);
    let arrived = START.plus_micros(1000 * 40_000);
    assert!(matches!(timeline.map(0, arrived), Outcome::Jump { to, .. } if to == arrived));
    assert_eq!(timeline.map(STEP, arrived), Outcome::Mapped(arrived.plus_micros(40_000)));
}

#[test]
fn a_stall_of_five_seconds_that_is_caught_up_moves_no_frame() {
    let mut timeline = Timeline::default();
    feed(&mut timeline, 0..100, |n| n * 40_000);
    // Frames 100 to 225 come together, five seconds late at most; then all is well.
    let after = feed(&mut timeline, 100..225, |n| 9_000_000 + n);
    let well = feed(&mut timeline, 225..600, |n| n * 40_000);
    for (n, outcome) in (100..).zip(after.into_iter().chain(well)) {
        assert_eq!(outcome, Outcome::Mapped(START.plus_micros(n * 40_000)), "frame {n}");
    }
}

#[test]
fn equal_timestamps_and_b_frames_never_go_back() {
    let mut timeline = Timeline::default();
    let walls: Vec<_> = [0, 3, 1, 2, 2, 6]
        .map(|n| timeline.map(n * STEP, START.plus_micros(n * 40_000)).wall())
        .into();
    assert!(walls.is_sorted(), "{walls:?}");
    assert_eq!(walls[5], START.plus_micros(6 * 40_000));
}

proptest! {
    #[test]
    fn no_input_panics_and_mapped_times_only_go_forward(
        frames in prop::collection::vec((any::<i64>(), any::<i64>()), 1..50),
        small in prop::collection::vec((-200_000i64..400_000, -3_000_000i64..3_000_000), 1..200),
    ) {
        let mut timeline = Timeline::default();
        for (pts, arrived) in frames {
            timeline.map(pts, WallTime(arrived));
        }
        let (mut timeline, mut pts, mut arrived) = (Timeline::default(), 0, START);
        let mut last = WallTime(i64::MIN);
        for (step, wait) in small {
            pts += step;
            arrived = arrived.plus_micros(wait);
            match timeline.map(pts, arrived) {
                Outcome::Mapped(wall) => {
                    prop_assert!(wall >= last);
                    prop_assert!(wall.micros_since(arrived) <= JUMP_US);
                    last = wall;
                }
                Outcome::Jump { to, .. } => last = to,
            }
        }
    }
}

/// What a session's two clocks do for a while.
#[derive(Debug, Clone)]
enum Spell {
    /// Frames at 25 a second, the media clock this many parts in a million fast.
    Drift { frames: i64, ppm: i64 },
    /// The camera's counter is set by so many ticks.
    CounterSet { ticks: i32 },
    /// So many frames of one time stamp.
    Equal { frames: i64 },
    /// The network holds frames back, then lets them through together.
    HeldUp { frames: i64 },
    /// No frame for so long.
    Silence { ms: i64 },
}

fn spell() -> impl Strategy<Value = Spell> {
    prop_oneof![
        (1i64..2000, -1500i64..1500).prop_map(|(frames, ppm)| Spell::Drift { frames, ppm }),
        any::<i32>().prop_map(|ticks| Spell::CounterSet { ticks }),
        (-270_000i32..270_000).prop_map(|ticks| Spell::CounterSet { ticks }),
        (1i64..5).prop_map(|frames| Spell::Equal { frames }),
        (1i64..120).prop_map(|frames| Spell::HeldUp { frames }),
        (0i64..60_000).prop_map(|ms| Spell::Silence { ms }),
    ]
}

/// A camera's counter of 32 bits beside the true time, and what the RTSP client makes of it.
struct Sender {
    counter: u32,
    unwrapped: i64,
    now: WallTime,
    /// Media time not yet counted, ticks of a millionth of a tick.
    fraction: i64,
}

impl Sender {
    fn frame(&mut self, ticks: i64, ppm: i64, wall_us: i64) -> (i64, WallTime) {
        self.fraction += ticks * (1_000_000 + ppm);
        let whole = self.fraction.div_euclid(1_000_000);
        self.fraction = self.fraction.rem_euclid(1_000_000);
        self.set(i32::try_from(whole).unwrap());
        self.now = self.now.plus_micros(wall_us);
        (self.unwrapped, self.now)
    }

    /// The client unwraps by the nearest way round, as `retina` does.
    fn set(&mut self, ticks: i32) {
        let next = self.counter.wrapping_add_signed(ticks);
        self.unwrapped += i64::from(next.wrapping_sub(self.counter).cast_signed());
        self.counter = next;
    }
}

/// (media time, arrival, by how much the network held it up) of every frame of a history.
fn play(history: &[Spell], counter: u32, jitter: &[i64]) -> Vec<(i64, WallTime, i64)> {
    let mut sender = Sender { counter, unwrapped: 0, now: START, fraction: 0 };
    let mut sent = Vec::new();
    for spell in history {
        match *spell {
            Spell::Drift { frames, ppm } => {
                for n in 0..frames {
                    let late_us = jitter[usize::try_from(n).unwrap() % jitter.len()];
                    let (pts, at) = sender.frame(STEP, ppm, 40_000);
                    sent.push((pts, at.plus_micros(late_us), late_us));
                }
            }
            Spell::CounterSet { ticks } => sender.set(ticks),
            Spell::Equal { frames } => {
                for _ in 0..frames {
                    let (pts, at) = sender.frame(0, 0, 0);
                    sent.push((pts, at, 0));
                }
            }
            Spell::HeldUp { frames } => {
                let through = sender.now.plus_micros(frames * 40_000);
                for _ in 0..frames {
                    let (pts, at) = sender.frame(STEP, 0, 40_000);
                    sent.push((pts, through, through.micros_since(at)));
                }
            }
            Spell::Silence { ms } => {
                sender.set(i32::try_from(ms * 90).unwrap());
                sender.now = sender.now.plus_micros(ms * 1000);
            }
        }
    }
    sent
}

/// Holds what must hold of any history: one time for each frame, forward, near its arrival, and
/// between two frames no more than 500 parts in a million off the camera's own spacing.
fn check(sent: &[(i64, WallTime, i64)], taken: impl Fn(WallTime) -> Option<WallTime>) -> usize {
    let mut timeline = Timeline::default();
    let (mut jumps, mut last): (usize, Option<(i64, WallTime)>) = (0, None);
    for (n, &(pts, arrived, held_us)) in sent.iter().enumerate() {
        let outcome = timeline.map_taken(pts, arrived, || taken(arrived));
        let wall = outcome.wall();
        let late_us = arrived.micros_since(wall);
        assert!(late_us >= -JUMP_US, "frame {n} is recorded {late_us} us late: not yet made");
        // Late for good shows after 2 s; till then, and by what the network held it up, it may lag.
        assert!(late_us <= JUMP_US + LATE_US + DELAY_US_MAX + held_us, "frame {n}: {late_us} us");
        match (outcome, last) {
            (Outcome::Jump { .. }, _) => jumps += 1,
            (Outcome::Mapped(_), Some((pts_last, wall_last))) => {
                let (media_us, step_us) =
                    (ticks_to_us(pts - pts_last), wall.micros_since(wall_last));
                assert!(step_us >= 0, "frame {n} goes back");
                let bent_us = (step_us - media_us.max(0)).abs();
                let reordered = pts < pts_last || media_us < 0;
                assert!(
                    reordered || bent_us <= media_us * SLEW_PPM / 1_000_000 + 2,
                    "frame {n}: {media_us} us of media took {step_us} us"
                );
            }
            (Outcome::Mapped(_), None) => {}
        }
        let ahead = matches!(outcome, Outcome::Jump { .. }) || last.is_none_or(|(l, _)| pts >= l);
        if ahead {
            last = Some((pts, wall));
        } else {
            last = last.map(|(pts, _)| (pts, wall));
        }
    }
    jumps
}

#[test]
fn a_camera_sixteen_seconds_slow_in_four_hours_is_split_and_never_wrong() {
    // 1111 parts in a million: more than may be bent, so once an hour the segment is split.
    let history = [Spell::Drift { frames: 4 * 3600 * 25, ppm: -1111 }];
    let sent = play(&history, 0, &[0]);
    let jumps = check(&sent, |_| None);
    assert!((3..=5).contains(&jumps), "{jumps}");
    let mut timeline = Timeline::default();
    for (pts, arrived, _) in &sent[..20_000] {
        timeline.map(*pts, *arrived);
    }
    assert_eq!(timeline.drift_ppm(), Some(-1111));
}

#[test]
fn one_jump_of_two_hours_and_22_minutes_is_one_split() {
    for ticks in [766_800_000, -766_800_000] {
        let good = Spell::Drift { frames: 2500, ppm: 20 };
        let history = [good.clone(), Spell::CounterSet { ticks }, good];
        assert_eq!(check(&play(&history, u32::MAX - 100, &[0, 9000]), |_| None), 1, "{ticks}");
    }
}

#[test]
fn a_counter_that_wraps_is_no_jump() {
    let history = [Spell::Drift { frames: 1000, ppm: 0 }];
    for counter in [u32::MAX - 1_800_000, i32::MAX.cast_unsigned() - 1_800_000] {
        assert_eq!(check(&play(&history, counter, &[0]), |_| None), 0);
    }
}

#[test]
fn a_counter_set_back_by_little_is_a_jump_and_pictures_out_of_order_are_none() {
    let good = Spell::Drift { frames: 500, ppm: 0 };
    let history = [good.clone(), Spell::CounterSet { ticks: -90_000 }, good];
    assert_eq!(check(&play(&history, 0, &[0]), |_| None), 1);
    let mut timeline = Timeline::default();
    for group in 0..100 {
        for n in [0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            let pts = (group * 17 + n) * STEP;
            let arrived = START.plus_micros((group * 17 + 16) * 40_000);
            assert!(matches!(timeline.map(pts, arrived), Outcome::Mapped(_)), "{group} {n}");
        }
    }
}

#[test]
fn what_the_camera_says_of_when_it_took_a_frame_is_followed_as_far_as_it_can_be_true() {
    let sent = play(&[Spell::Drift { frames: 30_000, ppm: 0 }], 0, &[0]);
    let lag_us = |taken: &dyn Fn(WallTime) -> WallTime| {
        let mut timeline = Timeline::default();
        let mut lag_us = 0;
        for (pts, arrived, _) in &sent {
            let outcome = timeline.map_taken(*pts, *arrived, || Some(taken(*arrived)));
            lag_us = arrived.micros_since(outcome.wall());
        }
        lag_us
    };
    let fifth = lag_us(&|arrived| arrived.plus_micros(-200_000));
    assert!((180_000..=200_000).contains(&fifth), "{fifth}");
    // Before it was made, or three seconds on a local network: not believed.
    assert_eq!(lag_us(&|arrived| arrived.plus_seconds(1)), 0);
    assert_eq!(lag_us(&|arrived| arrived.plus_seconds(-3)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_the_clocks_do_times_are_forward_and_near_arrival(
        history in prop::collection::vec(spell(), 1..12),
        counter in any::<u32>(),
        jitter in prop::collection::vec(0i64..300_000, 1..20),
        said_us in prop::option::of(-2_000_000i64..500_000),
    ) {
        let sent = play(&history, counter, &jitter);
        check(&sent, |arrived| said_us.map(|us| arrived.plus_micros(us)));
    }
}
