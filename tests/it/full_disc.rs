//! A disc that fills up: the oldest unheld footage goes first, with a signed record and an alarm, and
//! recording never stops. On a real small file system, in a mount namespace of the agent's own.

use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;

const MEBI: u64 = 1 << 20;

#[tokio::test]
async fn when_the_disc_is_full_the_oldest_footage_goes_and_recording_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["int-01", "int-02", "int-03", "int-04"];
    let wanted = names.map(|name| (format!("west/{name}"), Clip::WalkwayH264));
    let cameras = Cameras::start(wanted, Auth::Open).await.unwrap();
    let plans: Vec<CameraPlan> = names
        .iter()
        .map(|name| CameraPlan::internal(name, cameras.url(&format!("west/{name}")).unwrap()))
        .collect();
    let mut force = Force::start(folder.path()).await.unwrap();
    let recording = Recording { reserve_free_bytes: 10 * MEBI, ..Recording::default() };
    let to = force.fleet_address();
    force.prepare_site("west", &plans, &recording, to).await.unwrap();
    let state = force.site_state("west");
    std::fs::create_dir_all(&state).unwrap();
    // 64 MiB, of which 42 are taken by something else.
    let script = format!(
        "mount -t tmpfs -o size=64m tmpfs {0} && head -c {1} /dev/zero > {0}/ballast && exec \"$@\"",
        state.display(),
        42 * MEBI
    );
    force.start_site_by("west", "unshare", &["-rm", "sh", "-c", &script, "agent"]).unwrap();
    force.await_recording(names.len()).await.unwrap();

    let log = || async {
        let agent = force.sites.get("west")?;
        agent.log().contains("footage erased before its time").then_some(())
    };
    let erased = eventually("an alarm of early erasure", Duration::from_secs(120), log).await;
    assert!(erased.is_ok(), "{}", force.sites["west"].tail());
    let seen = force.ask(TECHNICIAN, &["sites"]).await.unwrap()[0].clone();
    let bytes = |site: &serde_json::Value| site["stored_bytes"].as_u64().unwrap();
    assert!(bytes(&seen) < 64 * MEBI, "{seen:#}");
    // The log grows by footage that is still recorded.
    let before = seen["log_size"].as_u64().unwrap();
    let goes_on = || async {
        let site = force.ask(TECHNICIAN, &["sites"]).await.ok()?[0].clone();
        let recording = site["cameras_recording"].as_u64()? == 4;
        (recording && site["log_size"].as_u64()? >= before + 8).then_some(())
    };
    eventually("all four cameras record on", Duration::from_secs(60), goes_on).await.unwrap();
}
