//! A recorder that is killed loses at most the open fragment, says so in a signed gap, and what it
//! had kept still verifies.

use std::time::Duration;

use custody::WallTime;
use harness::force::{CameraPlan, Force, Recording};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::dice::Dice;
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use host::Clock;
use serde_json::Value;

/// The clip has a key frame every 2 s, so the open fragment is at most that, and a fragment that is
/// complete is on disc within the blink that this machine needs under load.
const OPEN_FRAGMENT_US: i64 = 4_000_000;

fn gap<'a>(report: &'a Value, reason: &str) -> &'a Value {
    let gaps = report["cameras"][0]["gaps"].as_array().unwrap();
    let found = gaps.iter().find(|gap| gap["reason"] == reason);
    found.unwrap_or_else(|| panic!("no gap {reason} in {report:#}"))
}

fn time(value: &Value) -> WallTime {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_killed_recorder_loses_at_most_the_open_fragment() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let camera = "south/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plan = CameraPlan::internal("int-01", cameras.url(camera).unwrap());
    let to = force.fleet_address();
    force.add_site("south", &[plan], &Recording::default(), to).await.unwrap();
    force.await_footage(&[camera], 8).await.unwrap();

    let from = clock.now().plus_seconds(-6);
    let killed = clock.now();
    force.site("south").unwrap().kill().await.unwrap();
    let had = force.stored_files("south");
    force.start_site("south").unwrap();
    force.await_files("south", had, 2).await.unwrap();
    let stopped = clock.now();
    force.site("south").unwrap().terminate().unwrap();
    let ended = force.site("south").unwrap().wait(Duration::from_secs(30)).await.unwrap();
    assert!(ended.success(), "{ended}");
    let had = force.stored_files("south");
    force.start_site("south").unwrap();
    force.await_files("south", had, 2).await.unwrap();
    let to = clock.now();

    let report = force.account_for(camera, from, to).await.unwrap();
    let crash = gap(&report, "agent-crashed");
    let lost_us = killed.micros_since(time(&crash["from"]));
    assert!(lost_us <= OPEN_FRAGMENT_US, "{lost_us} us lost by kill -9: {report:#}");
    let stop = gap(&report, "agent-stopped");
    assert!(time(&stop["from"]) > killed && time(&stop["from"]) <= stopped.plus_seconds(10));
}

/// One picture at 25 a second, and as much for an uneven clock.
const PICTURE_US: i64 = 80_000;

/// Whatever moment it is killed at, and however often: every instant is footage or a signed gap.
#[tokio::test]
async fn a_recorder_killed_again_and_again_accounts_for_every_instant() {
    let seed = std::env::var("WATCHHOUSE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("replay the moments with WATCHHOUSE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let camera = "south/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plan = CameraPlan::internal("int-01", cameras.url(camera).unwrap());
    let to = force.fleet_address();
    force.add_site("south", &[plan], &Recording::default(), to).await.unwrap();
    force.await_footage(&[camera], 4).await.unwrap();
    let from = clock.now().plus_seconds(-3);
    let mut kills = Vec::new();
    for _ in 0..5 {
        // A moment is an amount of footage: up to a segment and a half, to the byte.
        let more = 1 + dice.roll() % 600_000;
        let had = stored_bytes(&force);
        let grown = || async { (stored_bytes(&force) >= had + more).then_some(()) };
        eventually("footage grows", Duration::from_secs(60), grown).await.unwrap();
        kills.push(clock.now());
        force.site("south").unwrap().kill().await.unwrap();
        force.start_site("south").unwrap();
    }
    let had = force.stored_files("south");
    force.await_files("south", had, 2).await.unwrap();
    let to = clock.now();
    let report = force.account_for(camera, from, to).await.unwrap();
    let gaps = report["cameras"][0]["gaps"].as_array().unwrap();
    let crashed: Vec<_> = gaps.iter().filter(|gap| gap["reason"] == "agent-crashed").collect();
    assert!(!crashed.is_empty(), "{report:#}");
    for gap in crashed {
        let begins = time(&gap["from"]);
        // The last picture lasts until the next would have come: a gap may begin just after the kill.
        let after = kills.iter().map(|at| at.micros_since(begins)).filter(|us| *us >= -PICTURE_US);
        let lost_us = after.min();
        assert!(lost_us.is_some_and(|us| us <= OPEN_FRAGMENT_US), "{lost_us:?}: {report:#}");
    }
}

fn stored_bytes(force: &Force) -> u64 {
    let mut pending = vec![force.site_state("south").join("segments")];
    let mut bytes = 0;
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}
