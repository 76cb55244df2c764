//! Discs rot: what is held comes back from its second place, byte for byte as it was signed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);
const CAMERA: &str = "east/int-01";

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let mut found: Vec<_> = entries.flat_map(|entry| below(entry.unwrap().path())).collect();
    found.sort();
    found
}

/// One rotten byte in the middle.
fn rot(file: &Path, sound: &[u8]) {
    let mut rotten = sound.to_vec();
    rotten[sound.len() / 2] ^= 1;
    fs::write(file, rotten).unwrap();
}

async fn site_is(force: &Force, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let found = eventually(what, MINUTE, || async {
        let site = force.ask(TECHNICIAN, &["sites"]).await.ok()?[0].clone();
        is_so(&site).then_some(site)
    });
    found.await.unwrap_or_else(|error| panic!("{error}\n{}", force.sites["east"].tail()))
}

/// Holds the camera's footage, and waits for its second place.
async fn hold(force: &Force, from: &str, to: &str) {
    let place = ["hold", "place", "--camera", CAMERA, "--from", from, "--to", to];
    let why = ["--purpose", "crime", "--reason", "Robbery in Mill Lane, suspect on foot"];
    force.ask(TECHNICIAN, &[&place[..], &why[..]].concat()).await.unwrap();
    let is_copied = |hold: &Value| hold["to_copy"] != 0 && hold["copied"] == hold["to_copy"];
    let copied = eventually("held footage has a second place", MINUTE * 2, || async {
        let holds = force.ask(TECHNICIAN, &["hold", "list"]).await.ok()?;
        is_copied(&holds[0]).then_some(())
    });
    copied.await.unwrap_or_else(|error| panic!("{error}\n{}", force.controller.tail()));
}

#[tokio::test]
async fn rotten_held_footage_comes_back_from_the_vault_as_it_was_signed() {
    let folder = tempfile::tempdir().unwrap();
    let cameras = Cameras::start([(CAMERA, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let (to, plan) =
        (force.fleet_address(), CameraPlan::internal("int-01", cameras.url(CAMERA).unwrap()));
    let recording = Recording { segment_s: 2, ..Recording::default() };
    force.prepare_site("east", &[plan], &recording, to).await.unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(force.site_config("east")).unwrap();
    // All footage is read again every 2 s instead of every 15 days.
    config.write_all(b"\n[scrub]\npass = \"2s\"\n").unwrap();
    force.start_site("east").unwrap();
    force.await_footage(&[CAMERA], 14).await.unwrap();
    let now = host::Clock::system().now();
    let at = |seconds| now.plus_seconds(seconds).to_string();
    hold(&force, &at(-10), &at(-3)).await;

    let copies = files(&force.folder().join("controller/vault/segments").join(CAMERA));
    let stored = files(&force.site_state("east").join("segments/int-01"));
    assert!(copies.len() >= 2, "{copies:?}");
    let seq = |path: &Path| path.file_name().unwrap().to_str().unwrap()[..10].to_owned();
    let stored = |copy: &PathBuf| stored.iter().find(|it| seq(it) == seq(copy)).unwrap();
    let [first, second] = [stored(&copies[0]), stored(&copies[1])];
    let sound = [fs::read(first).unwrap(), fs::read(second).unwrap()];

    // The first rots while its copy is out of reach: the scrubber finds it, and people are told.
    let aside = force.folder().join("aside");
    host::durable::rename(&copies[0], &aside).unwrap();
    rot(first, &sound[0]);
    let told = site_is(&force, "the rot is found", |site| site["damaged_segments"] == 1).await;
    assert!(told["scrubbed_until"].is_string(), "{told:#}");
    assert_eq!(told["scrub_pass_s"], 2);
    let health = force.cli(TECHNICIAN, &["health"]).await.unwrap();
    assert!(health.code == 6 && health.out.contains("footage-damaged"), "{}", health.out);
    assert_ne!(fs::read(first).unwrap(), sound[0]);

    // Its copy is back, and another rots: both are fetched over the wire and are as they were signed.
    host::durable::rename(&aside, &copies[0]).unwrap();
    rot(second, &sound[1]);
    let mended = || async {
        let log = force.sites["east"].log();
        let times = log.matches("a damaged segment was replaced by its second copy").count();
        (times == 2).then_some(())
    };
    let mended = eventually("both are mended", MINUTE, mended).await;
    mended.unwrap_or_else(|error| panic!("{error}\n{}", force.sites["east"].tail()));
    assert_eq!([fs::read(first).unwrap(), fs::read(second).unwrap()], sound);
    site_is(&force, "nothing is damaged", |site| site["damaged_segments"] == 0).await;
    let health = force.cli(TECHNICIAN, &["health"]).await.unwrap();
    assert!(!health.out.contains("footage-damaged"), "{}", health.out);

    let bundle = folder.path().join("bundle");
    let case = force.obtain(&[CAMERA], &at(-9), &at(-4), &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    assert_eq!(report["cameras"][0]["coverage_per_cent"], 100.0, "{report:#}");
}
