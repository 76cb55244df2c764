//! The nights on which the people's clocks change: footage and records know UTC alone, so nothing is
//! recorded twice, missing or out of order.

use std::process::Command;

use bytes::Bytes;
use custody::record::Record;

use super::*;
use crate::camera::Frame;
use crate::camera::clip::Clip;
use crate::camera::sender_clock::SenderClock;
use crate::camera::timeline::Timeline;
use crate::mask::{NoMask, pass_unmasked};
use crate::segment::cut::{Cutter, Settings};
use crate::store::tests::{Site, chain, records, sound};

/// Recorded before each change and after it.
const MINUTES: i64 = 3;
/// Five frames a second, a key frame every two seconds.
const FRAME_MS: u64 = 200;
const FRAME_TICKS: i64 = 18_000;
const KEY_EVERY: i64 = 10;
const CHILD: &str = "WATCHHOUSE_TEST_TIME_ZONE";

/// A camera's clock in a report, as NTP counts: seconds since 1900.
fn ntp(at: WallTime) -> u64 {
    u64::try_from(at.0 / 1_000_000 + 2_208_988_800).unwrap() << 32
}

/// Records from before `change` to after it; gives each segment's start, end and camera's offset.
fn record_across(change: WallTime) -> Vec<(WallTime, WallTime, Option<i64>)> {
    let site = Site::new();
    site.clock.step_wall(change.plus_seconds(-60 * MINUTES));
    let (store, _) = site.start();
    let camera = site.ext_01().clone();
    let begin = site.clock.now();
    let approval = NoMask::approved_by("d.mensah").unwrap();
    let mut keeper =
        Keeper::new(store.clone(), camera.clone(), begin, approval.approver().to_owned());
    let (mut timeline, mut sender_clock) = (Timeline::default(), SenderClock::default());
    let mut cutter = Cutter::new(&camera, Settings { segment_s: 20 });
    let frames = 2 * MINUTES * 60 * 1000 / i64::try_from(FRAME_MS).unwrap();
    for n in 0..frames {
        let arrived = site.clock.now();
        if n % 25 == 0 {
            // A camera that shows its people their own time: an hour ahead in summer.
            let summer = (change.to_string().contains("-03-")) == (arrived >= change);
            let local = arrived.plus_seconds(if summer { 3600 } else { 0 });
            sender_clock.handle_report(ntp(local), None, arrived);
        }
        let pts = n * FRAME_TICKS;
        let frame = Frame {
            pts,
            wall: timeline.map(pts, arrived).wall(),
            arrived,
            key: n % KEY_EVERY == 0,
            data: Bytes::from_static(b"\0\0\0\x01\x65"),
            parameters: Clip::parameters_h264(),
            lost: 0,
            camera_offset_ms: sender_clock.offset_ms(arrived),
        };
        let outputs = cutter.handle_frame(pass_unmasked(frame, &approval));
        let kept = keeper.keep(outputs, GapReason::CameraUnreachable, "");
        assert!(!matches!(kept, Outcome::Lost { .. } | Outcome::Fatal(_)), "frame {n}");
        site.clock.advance_ms(FRAME_MS);
    }
    let closing = cutter.handle_cut(CloseReason::Finished);
    assert!(matches!(keeper.keep(closing, GapReason::CameraUnreachable, ""), Outcome::Kept { .. }));
    sound(&store);
    assert!(chain(&store, &camera).iter().all(|kind| *kind == "segment"));
    let segments = records(&store).into_iter().filter_map(|record| match record {
        Record::Segment(s) => Some((s.start, s.end, s.clock.camera_offset_ms)),
        Record::Other(_) => None,
    });
    let segments: Vec<_> = segments.collect();
    assert_eq!(segments.first().map(|it| it.0), Some(begin));
    segments
}

#[test]
fn footage_goes_on_over_both_changes_of_the_clocks() {
    // The program must not care where it runs: the whole test is run in London.
    let name = "record::keeper::tests::footage_goes_on_over_both_changes_of_the_clocks";
    if std::env::var_os(CHILD).is_none() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("TZ", "Europe/London")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    for (change, offset_before, offset_after) in
        [("2026-03-29T01:00:00Z", 0, 3_600_000), ("2026-10-25T01:00:00Z", 3_600_000, 0)]
    {
        let change: WallTime = change.parse().unwrap();
        let segments = record_across(change);
        assert!(segments.len() >= 2 * 8, "{segments:?}");
        for pair in segments.windows(2) {
            assert_eq!(pair[0].1, pair[1].0, "no second is missing or recorded twice");
        }
        // As text, as files and as people sort them.
        let told: Vec<_> = segments.iter().map(|(start, ..)| start.to_string()).collect();
        assert!(told.is_sorted(), "{told:?}");
        let (first, last) = (segments.first().unwrap(), segments.last().unwrap());
        assert_eq!(last.1.micros_since(first.0), 2 * MINUTES * 60_000_000);
        // What changes is the camera's clock, and each manifest says so.
        assert_eq!((first.2, last.2), (Some(offset_before), Some(offset_after)));
    }
}
