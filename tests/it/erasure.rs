//! An erasure before its time takes two people and no hold; a disc that is taken out is looked at and
//! signed for. (That what was ordered then opens nowhere takes an hour that is over: the store's and the
//! reconciler's own tests own a clock.)

use std::path::Path;
use std::time::Duration;

use harness::force::{ADMINISTRATOR, CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::process::Launch;

const CAMERA: &str = "hq/int-01";

async fn hq(folder: &Path) -> (Cameras, Force) {
    let cameras = Cameras::start([(CAMERA, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder).await.unwrap();
    let plan = CameraPlan::internal("int-01", cameras.url(CAMERA).unwrap());
    let to = force.fleet_address();
    force.add_site("hq", &[plan], &Recording::default(), to).await.unwrap();
    force.await_footage(&[CAMERA], 6).await.unwrap();
    (cameras, force)
}

async fn add(force: &Force, person: &str, roles: &[&str]) {
    let mut arguments = vec!["people", "add", person];
    for role in roles {
        arguments.extend(["--role", role]);
    }
    let added = force.ask(ADMINISTRATOR, &arguments).await.unwrap();
    force.keep_token(person, added["token"].as_str().unwrap()).unwrap();
}

async fn refused(force: &Force, person: &str, arguments: &[&str], code: &str) {
    let said = force.cli(person, arguments).await.unwrap();
    assert_eq!(said.code, 3, "{person}: {}: {}{}", arguments.join(" "), said.out, said.err);
    assert!(said.err.contains(code), "{code} is not in {}", said.err);
}

#[tokio::test]
async fn two_people_erase_and_a_hold_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (_cameras, force) = hq(folder.path()).await;
    let (dpo, owner) = ("d.mensah", "o.ahmed");
    add(&force, dpo, &["dpo", "asset-owner"]).await;
    add(&force, owner, &["asset-owner"]).await;
    let reason = "Data rights request DR-44, upheld";
    let order =
        ["erasure", "order", "--camera", CAMERA, "--from", "-2m", "--to", "-1s", "--reason"];
    let order = [&order[..], &[reason]].concat();
    refused(&force, TECHNICIAN, &order, "role-missing").await;
    refused(&force, owner, &order, "role-missing").await;
    let ordered = force.ask(dpo, &order).await.unwrap();
    assert_eq!(ordered[0]["state"], "ordered", "{ordered:#}");
    let name = ordered[0]["order"].as_str().unwrap();
    let approve = ["erasure", "approve", name, "--reason", reason];
    refused(&force, dpo, &approve, "own-request").await;
    let approved = force.ask(owner, &approve).await.unwrap();
    assert_eq!(approved[0]["decided_by"], owner, "{approved:#}");

    // The site is asked, and the hour of that footage still records.
    let waits = || async {
        let listed = force.ask(TECHNICIAN, &["erasure", "list"]).await.ok()?;
        let is_known = listed[0]["detail"].as_str()?.contains("is being recorded");
        (is_known && listed[0]["state"] == "approved").then_some(())
    };
    eventually("the site says why it waits", Duration::from_secs(30), waits).await.unwrap();

    let hold = ["hold", "place", "--camera", CAMERA, "--from", "-4s", "--to", "-3s", "--purpose"];
    let hold = [&hold[..], &["security", "--reason", "A fall on the stairs"]].concat();
    let held = force.ask(TECHNICIAN, &hold).await.unwrap();
    refused(&force, dpo, &order, held[0]["hold"].as_str().unwrap()).await;
    let refuse = ["erasure", "refuse", name, "--reason", "Too late"];
    refused(&force, owner, &refuse, "order-state").await;
    let trail = force.cli(dpo, &["audit"]).await.unwrap();
    for event in ["erasure-ordered", "erasure-approved", "access-refused"] {
        assert!(trail.out.contains(event), "{event} is not in {}", trail.out);
    }
}

#[tokio::test]
async fn a_disc_that_is_taken_out_is_signed_for_while_the_site_records() {
    let folder = tempfile::tempdir().unwrap();
    let (_cameras, force) = hq(folder.path()).await;
    let dispose = async |disc: &Path| {
        let output = Launch::of("edge-agent")
            .unwrap()
            .args(["dispose", "--serial", "WD-1234", "--person", TECHNICIAN, "--config"])
            .args([force.site_config("hq").as_path(), Path::new("--disc"), disc])
            .run(Duration::from_secs(120))
            .await
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let state = force.site_state("hq");
    let (is_sealed, page) = dispose(&state.join("segments")).await;
    assert!(is_sealed && page.contains("holds sealed footage and no key"), "{page}");
    assert!(!page.contains("waits for the recorder"), "the recorder has signed: {page}");
    let (is_sealed, page) = dispose(&state).await;
    assert!(!is_sealed && page.contains("a key in the clear"), "{page}");
    assert_eq!(std::fs::read_dir(state.join("disposals")).unwrap().count(), 2);
    force.await_footage(&[CAMERA], 8).await.unwrap();
}
