//! Footage kept beyond its time: ordered while a site is away, refused beyond the budget, brought to a
//! second place and a third, and gone from there with the last hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use custody::{Digest, WallTime};
use harness::force::{AUDITOR, CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

fn plan(cameras: &Cameras, camera: &str) -> CameraPlan {
    CameraPlan::internal(camera.split_once('/').unwrap().1, cameras.url(camera).unwrap())
}

fn short() -> Recording {
    Recording { segment_s: 2, ..Recording::default() }
}

/// Orders a hold and gives the order's holds.
async fn place(force: &Force, whose: [&str; 2], from: WallTime, to: WallTime) -> Vec<String> {
    let (from, to) = (from.to_string(), to.to_string());
    let place = [
        "hold",
        "place",
        whose[0],
        whose[1],
        "--from",
        &from,
        "--to",
        &to,
        "--purpose",
        "crime",
        "--reason",
        "Robbery in Mill Lane, suspect on foot",
        "--mopi-group",
        "2",
        "--review",
        "2030-01-31",
    ];
    let placed = force.ask(TECHNICIAN, &place).await.unwrap();
    let holds = placed.as_array().unwrap();
    holds.iter().map(|hold| hold["hold"].as_str().unwrap().to_owned()).collect()
}

async fn listed(force: &Force, hold: &str) -> Option<Value> {
    let all = force.ask(TECHNICIAN, &["hold", "list", "--released"]).await.ok()?;
    all.as_array()?.iter().find(|it| it["hold"] == hold).cloned()
}

async fn until(force: &Force, hold: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let found = eventually(what, MINUTE * 2, || async {
        listed(force, hold).await.filter(|hold| is_so(hold))
    });
    match found.await {
        Ok(found) => found,
        Err(error) => {
            panic!("{error}: {:#?}\n{}", listed(force, hold).await, force.controller.tail())
        }
    }
}

async fn release(force: &Force, hold: &str) {
    let release = ["hold", "release", hold, "--reason", "The suspect was somewhere else"];
    force.ask(TECHNICIAN, &release).await.unwrap();
}

/// The held footage's bundle, but for its first and last second, verifies and misses nothing.
async fn bundled_whole(force: &Force, camera: &str, from: WallTime, to: WallTime) {
    let (from, to) = (from.plus_seconds(1).to_string(), to.plus_seconds(-1).to_string());
    let case = force.request(&[camera], &from, &to).await.unwrap();
    force.approve(&case).await.unwrap();
    let ended = force.await_bundle(&case).await.unwrap();
    assert_eq!(ended["verdict"], "verified", "{ended:#}");
    assert_eq!(ended["coverage_per_cent"], 100.0, "{ended:#}");
}

/// Sealed files below a folder: by segment number, their digests. One that is erased meanwhile is none.
fn sealed(folder: &Path) -> BTreeMap<u64, Digest> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|it| it == "whseg") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(folder, &mut paths);
    let seq = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap()[..10].parse().unwrap();
    let read = |path: &PathBuf| match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some((seq(path), Digest::of(&read.unwrap()))),
    };
    paths.iter().filter_map(read).collect()
}

#[tokio::test]
async fn held_footage_has_a_second_place_that_outlives_the_site() {
    let folder = tempfile::tempdir().unwrap();
    // Two other sites, so that enough witnesses are left when one burns.
    let [camera, others @ ..] = ["east/int-01", "west/int-01", "hq/int-01"];
    let all = [camera, others[0], others[1]].map(|name| (name, Clip::WalkwayH264));
    let cameras = Cameras::start(all, Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    for name in [camera, others[0], others[1]] {
        let site = name.split_once('/').unwrap().0;
        force.add_site(site, &[plan(&cameras, name)], &short(), to).await.unwrap();
    }
    force.await_recording(3).await.unwrap();
    force.await_footage(&[camera], 12).await.unwrap();
    let now = host::Clock::system().now();
    let (from, to) = (now.plus_seconds(-9), now.plus_seconds(-3));

    // Two holds on the same minutes: one of the camera, one of the whole site.
    let first = place(&force, ["--camera", camera], from, to).await.remove(0);
    let second = place(&force, ["--site", "east"], from, to).await.remove(0);
    let is_copied = |hold: &Value| {
        hold["state"] == "placed" && hold["to_copy"] != 0 && hold["copied"] == hold["to_copy"]
    };
    let vault = force.folder().join("controller/vault/segments/east/int-01");
    for hold in [&first, &second] {
        let shown = until(&force, hold, "a whole copy", is_copied).await;
        assert_eq!(shown["basis"], "cpia");
        assert_eq!(shown["mopi_group"], 2);
        assert_eq!(shown["review"], "2030-01-31T00:00:00.000000Z");
    }
    let trail = force.cli(AUDITOR, &["--output", "json", "audit"]).await.unwrap().out;
    assert!(trail.contains("hold-copied"), "{trail}");
    let copies = sealed(&vault);
    let originals = sealed(&force.site_state("east").join("segments/int-01"));
    assert!(copies.len() >= 2, "{copies:?}");
    for (seq, copy) in &copies {
        assert_eq!(originals.get(seq), Some(copy), "segment {seq} is the site's own file");
    }

    // The first hold ends: the second still needs the copy. Both have ended: nothing is left.
    let is_gone = |hold: &Value| hold["state"] == "released" && hold["to_copy"] == 0;
    release(&force, &first).await;
    until(&force, &first, "the first is released", is_gone).await;
    assert_eq!(sealed(&vault), copies);
    release(&force, &second).await;
    until(&force, &second, "the second is released", is_gone).await;
    assert_eq!(sealed(&vault).len(), 0);

    // Held again; then the site burns down, and the evidence is bundled from the second place.
    let third = place(&force, ["--camera", camera], from, to).await.remove(0);
    until(&force, &third, "a whole copy", is_copied).await;
    force.site("east").unwrap().kill().await.unwrap();
    fs::remove_dir_all(force.site_state("east")).unwrap();
    bundled_whole(&force, camera, from, to).await;
}

#[tokio::test]
async fn a_third_place_outlives_the_site_and_the_vaults_files() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["east/int-01", "west/int-01", "hq/int-01"];
    let [camera, _, keepers_own] = names;
    let cameras = Cameras::start(names.map(|name| (name, Clip::WalkwayH264)), Auth::Open);
    let cameras = cameras.await.unwrap();
    let third_places = "[vault]\nalso_at = [\"hq\", \"west\"]\n";
    let mut force = Force::start_with(folder.path(), third_places).await.unwrap();
    let to = force.fleet_address();
    for name in names {
        let site = name.split_once('/').unwrap().0;
        force.add_site(site, &[plan(&cameras, name)], &short(), to).await.unwrap();
    }
    force.await_recording(3).await.unwrap();
    force.await_footage(&[camera, keepers_own], 12).await.unwrap();
    let now = host::Clock::system().now();
    let (from, to) = (now.plus_seconds(-9), now.plus_seconds(-3));
    let is_at = |site: &'static str| {
        move |hold: &Value| {
            hold["also_at"] == site
                && hold["also_to_copy"] != 0
                && hold["also_copied"] == hold["also_to_copy"]
                && hold["copied"] == hold["to_copy"]
        }
    };
    let hold = place(&force, ["--camera", camera], from, to).await.remove(0);
    let shown = until(&force, &hold, "whole copies at two places", is_at("hq")).await;
    let own = place(&force, ["--camera", keepers_own], from, to).await.remove(0);
    until(&force, &own, "the keeper's own footage goes elsewhere", is_at("west")).await;
    let trail = force.cli(AUDITOR, &["--output", "json", "audit"]).await.unwrap().out;
    for fact in ["hold-copying-to-site", "hold-copied-to-site"] {
        assert!(trail.contains(fact), "{trail}");
    }
    let table = force.cli(TECHNICIAN, &["hold", "list"]).await.unwrap().out;
    let files = &shown["also_copied"];
    assert!(table.contains(&format!("hq {files} of {files}")), "{table}");
    let vault = force.folder().join("controller/vault/segments");
    let guests = force.site_state("hq").join("guest/east");
    let copies = sealed(&guests);
    assert!(copies.len() >= 2, "{copies:?}");
    assert_eq!(copies, sealed(&vault.join("east")), "byte for byte");

    // The site burns, and the disc with the vault's files dies; what opens them lies elsewhere.
    force.site("east").unwrap().kill().await.unwrap();
    fs::remove_dir_all(force.site_state("east")).unwrap();
    fs::remove_dir_all(&vault).unwrap();
    bundled_whole(&force, camera, from, to).await;
    assert_eq!(sealed(&guests), copies, "what was brought back is still kept");

    // A new recorder takes the burned one's place, and the hold ends.
    let to = force.fleet_address();
    force.add_site("east", &[plan(&cameras, camera)], &short(), to).await.unwrap();
    force.await_recording(3).await.unwrap();
    release(&force, &hold).await;
    let is_gone = |hold: &Value| hold["state"] == "released" && hold["also_at"].is_null();
    until(&force, &hold, "the third place's copy goes", is_gone).await;
    assert!(!guests.exists(), "{:?}", sealed(&guests));
    assert!(sealed(&force.site_state("west").join("guest/hq")).len() >= 2);
    let trail = force.cli(AUDITOR, &["--output", "json", "audit"]).await.unwrap().out;
    assert!(trail.contains("hold-site-copy-deleted"), "{trail}");
}

#[tokio::test]
async fn a_hold_ordered_while_the_site_is_away_comes_before_anything_expires() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "west/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    // A minute instead of 31 days.
    let recording = Recording { retain: "60s".to_owned(), ..short() };
    force.add_site("west", &[plan(&cameras, camera)], &recording, to).await.unwrap();
    force.await_footage(&[camera], 14).await.unwrap();
    force.site("west").unwrap().kill().await.unwrap();
    let segments = force.site_state("west").join("segments/int-01");
    let before = sealed(&segments);
    let now = host::Clock::system().now();
    let hold =
        place(&force, ["--camera", camera], now.plus_seconds(-8), now.plus_seconds(-4)).await;
    let waiting = |hold: &Value| {
        let detail = hold["detail"].as_str().unwrap_or_default();
        detail.contains("expires in") && detail.contains("site west away since")
    };
    let shown = until(&force, &hold[0], "it says how long there is", waiting).await;
    assert_eq!(shown["state"], "ordered");
    let health = force.cli(TECHNICIAN, &["health"]).await.unwrap();
    assert!(health.code == 6 && health.out.contains("hold-waits"), "{}", health.out);

    // The site comes back when all that it has is over its time.
    let preload = format!("LD_PRELOAD={}", libfaketime());
    let ahead = ["FAKETIME=+75s", "DONT_FAKE_MONOTONIC=1"];
    force.start_site_by("west", "env", &[&preload, ahead[0], ahead[1]]).unwrap();
    let is_placed = |hold: &Value| hold["state"] == "placed";
    let shown = until(&force, &hold[0], "it is placed", is_placed).await;
    let held = shown["segments"].as_u64().unwrap();
    assert!(held >= 2 && shown["erased"] == 0, "nothing of it had been erased: {shown:#}");
    // What was not held goes, and what was held is what stays.
    let left = || async {
        let now = sealed(&segments);
        let left = before.keys().filter(|seq| now.contains_key(*seq)).count() as u64;
        (left <= held).then_some(left)
    };
    let left = eventually("unheld footage is erased", MINUTE * 2, left).await.unwrap();
    assert_eq!(left, held);
}

/// Where Debian keeps it for this machine's architecture.
fn libfaketime() -> String {
    let places = fs::read_dir("/usr/lib").unwrap();
    let libraries = places.map(|place| place.unwrap().path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists()).unwrap().display().to_string()
}

#[tokio::test]
async fn a_hold_beyond_the_budget_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "south/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    force.prepare_site("south", &[plan(&cameras, camera)], &short(), to).await.unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(force.site_config("south")).unwrap();
    config.write_all(b"\n[hold]\nbudget_bytes = 1\n").unwrap();
    force.start_site("south").unwrap();
    force.await_footage(&[camera], 8).await.unwrap();
    let now = host::Clock::system().now();
    let hold =
        place(&force, ["--camera", camera], now.plus_seconds(-6), now.plus_seconds(-3)).await;
    let shown = until(&force, &hold[0], "it is refused", |hold| hold["state"] == "refused").await;
    let detail = shown["detail"].as_str().unwrap();
    assert!(detail.contains("hold-budget: ") && detail.contains("release holds"), "{detail}");
    let health = force.cli(TECHNICIAN, &["health"]).await.unwrap();
    assert!(health.code == 6 && health.out.contains("hold-refused"), "{}", health.out);
}
