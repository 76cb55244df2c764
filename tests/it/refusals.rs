//! What must not be asked is refused by a stable code and a sentence that says the next step, and
//! the attempt stands in the audit trail.

use harness::force::{
    ADMINISTRATOR, AUDITOR, AUTHORISER, CameraPlan, Force, Recording, TECHNICIAN,
};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::footage::Clip;

async fn refused(force: &Force, person: &str, arguments: &[&str], code: &str) {
    let said = force.cli(person, arguments).await.unwrap();
    let what = format!("{person}: {}: {}{}", arguments.join(" "), said.out, said.err);
    assert_eq!(said.code, 3, "{what}");
    assert!(said.err.contains(code), "{code} is not in {what}");
}

fn request<'a>(camera: &'a str, from: &'a str, to: &'a str, reason: &'a str) -> Vec<&'a str> {
    vec![
        "evidence",
        "request",
        "--camera",
        camera,
        "--from",
        from,
        "--to",
        to,
        "--purpose",
        "crime",
        "--crime-reference",
        "42/1/26",
        "--reason",
        reason,
    ]
}

#[tokio::test]
async fn what_must_not_be_asked_is_refused_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "hq/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plan = CameraPlan::internal("int-01", cameras.url(camera).unwrap());
    let to = force.fleet_address();
    force.add_site("hq", &[plan], &Recording::default(), to).await.unwrap();
    force.await_footage(&[camera], 4).await.unwrap();
    let force = &force;
    let good = "Theft of a bicycle";

    refused(force, TECHNICIAN, &request("hq/int-99", "-3s", "now", good), "camera-unknown").await;
    refused(force, TECHNICIAN, &request(camera, "-3s", "now", "  "), "reason-missing").await;
    // Told by the command line itself, before anything is sent.
    let backwards = force.cli(TECHNICIAN, &request(camera, "now", "-3s", good)).await.unwrap();
    assert_eq!(backwards.code, 2, "{}", backwards.err);
    let future = request(camera, "-3s", "2031-01-01T00:00:00Z", good);
    refused(force, TECHNICIAN, &future, "range-invalid").await;
    refused(force, TECHNICIAN, &request(camera, "-40d", "-39d", good), "no-footage").await;
    refused(force, AUDITOR, &request(camera, "-3s", "now", good), "role-missing").await;
    refused(force, ADMINISTRATOR, &request(camera, "-3s", "now", good), "role-missing").await;
    refused(
        force,
        TECHNICIAN,
        &["evidence", "approve", "WH-2026-999999", "--reason", good],
        "role-missing",
    )
    .await;
    refused(
        force,
        AUTHORISER,
        &["evidence", "approve", "WH-2026-999999", "--reason", good],
        "case-unknown",
    )
    .await;
    refused(force, TECHNICIAN, &["people", "add", "m.new", "--role", "technician"], "role-missing")
        .await;
    refused(force, TECHNICIAN, &["audit"], "role-missing").await;

    // Somebody who has both roles still needs another person.
    let both = ["people", "add", "b.both", "--role", "technician", "--role", "authoriser"];
    let token = force.ask(ADMINISTRATOR, &both).await.unwrap();
    force.keep_token("b.both", token["token"].as_str().unwrap()).unwrap();
    let case = force.ask("b.both", &request(camera, "-3s", "-1s", good)).await.unwrap();
    let case = case["case"].as_str().unwrap().to_owned();
    refused(force, "b.both", &["evidence", "approve", &case, "--reason", good], "own-request")
        .await;
    force.ask(AUTHORISER, &["evidence", "refuse", &case, "--reason", "Not needed"]).await.unwrap();
    refused(force, AUTHORISER, &["evidence", "approve", &case, "--reason", good], "case-state")
        .await;
    let fetch = ["evidence", "fetch", &case, "--to", "/nonexistent/never"];
    refused(force, TECHNICIAN, &fetch, "case-state").await;

    let suspend = ["people", "suspend", "b.both", "--reason", "Left the force"];
    force.ask(ADMINISTRATOR, &suspend).await.unwrap();
    refused(force, "b.both", &["evidence", "list"], "suspended").await;

    let trail = force.cli(AUDITOR, &["audit"]).await.unwrap().out;
    for attempt in ["access-refused", "evidence-requested", "case-refused", "person-suspended"] {
        assert!(trail.contains(attempt), "{attempt} is not in the audit trail:\n{trail}");
    }
}

#[tokio::test]
async fn a_range_in_which_nothing_was_recorded_fails_and_names_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    // Nothing answers at this camera's address.
    let port = harness::rig::ports::free_tcp_port();
    let plan = CameraPlan::internal("int-01", format!("rtsp://127.0.0.1:{port}/none"));
    let to = force.fleet_address();
    force.add_site("west", &[plan], &Recording::default(), to).await.unwrap();
    let clock = host::Clock::system();
    let started = clock.now();
    let state = harness::rig::eventually::eventually(
        "the camera is known to be away",
        std::time::Duration::from_secs(30),
        || async {
            let cameras = force.ask(TECHNICIAN, &["cameras"]).await.ok()?;
            let state = cameras[0]["state"].as_str()?.to_owned();
            (state == "camera-unreachable").then_some(state)
        },
    );
    state.await.unwrap();
    let (from, to) = (started.to_string(), clock.now().to_string());
    // The gap is signed when the agent stops, at the latest.
    force.site("west").unwrap().terminate().unwrap();
    force.site("west").unwrap().wait(std::time::Duration::from_secs(30)).await.unwrap();
    force.start_site("west").unwrap();
    let case = force.request(&["west/int-01"], &from, &to).await.unwrap();
    force.approve(&case).await.unwrap();
    let ended = harness::rig::eventually::eventually(
        "the case fails",
        std::time::Duration::from_secs(60),
        || async {
            let case = force.ask(TECHNICIAN, &["evidence", "show", &case]).await.ok()?;
            (case["state"] == "failed").then_some(case)
        },
    );
    let detail = ended.await.unwrap()["detail"].to_string();
    assert!(detail.contains("camera-unreachable"), "{detail}");
}
