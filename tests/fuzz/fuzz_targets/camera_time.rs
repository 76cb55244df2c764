//! What a camera says of time: frames of any media time and arrival, sender reports of any clock. No
//! time is recorded more than 2 s after its frame's arrival, and between jumps times go forward.

#![no_main]

use custody::WallTime;
use libfuzzer_sys::fuzz_target;

#[path = "../../../edge-agent/src/camera/"]
#[allow(dead_code, unreachable_pub, reason = "rooms of another crate, taken as they are")]
mod camera {
    pub mod drift;
    pub mod sender_clock;
    pub mod timeline;
}

use camera::sender_clock::SenderClock;
use camera::timeline::{Outcome, Timeline};

fuzz_target!(|said: Vec<(i64, i64, Option<u64>)>| {
    let (mut timeline, mut clock) = (Timeline::default(), SenderClock::default());
    let mut last = None;
    for (pts, arrived, report) in said {
        let arrived = WallTime(arrived);
        if let Some(ntp) = report {
            clock.handle_report(ntp, Some(pts), arrived);
        }
        let outcome = timeline.map_taken(pts, arrived, || clock.taken_at(pts, arrived));
        assert!(outcome.wall().micros_since(arrived) <= 2_000_000);
        match outcome {
            Outcome::Mapped(wall) => assert!(last.is_none_or(|last| wall >= last)),
            Outcome::Jump { .. } => clock.handle_jump(),
        }
        last = Some(outcome.wall());
        let _any = timeline.drift_ppm();
    }
});
