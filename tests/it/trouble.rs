//! Cameras that misbehave: each is recorded as far as it can be, and the rest is a signed gap with
//! the reason; none disturbs another.

use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::faulty::{Behaviour, FaultyCamera, Settings, UdpOnly, WrongCodec};
use harness::rig::footage::Clip;
use serde_json::Value;

fn gaps(report: &Value, camera: &str) -> Vec<String> {
    let cameras = report["cameras"].as_array().unwrap();
    let of = cameras.iter().find(|c| c["camera"] == camera).unwrap();
    assert_eq!(of["unexplained"].as_array().unwrap().len(), 0, "{of:#}");
    let gaps = of["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| gap["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_kind_of_trouble_has_its_reason_and_disturbs_no_other_camera() {
    let folder = tempfile::tempdir().unwrap();
    let mut good = Cameras::start([("hq/int-01", Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let guarded = Cameras::start([("hq/int-02", Clip::WalkwayH264)], Auth::Digest).await.unwrap();
    let faults = [
        ("int-03", Behaviour::WrongCodec(WrongCodec::Mjpeg), "codec-unsupported"),
        ("int-09", Behaviour::UdpOnly(UdpOnly::Refuses), "stream-not-found"),
        ("int-04", Behaviour::Garbage, "stream-garbage"),
        ("int-05", Behaviour::StopsMidFrame, "stream-stalled"),
        // A jump splits the segment and loses no picture.
        ("int-06", Behaviour::TimestampJump { ticks: 90_000 * 600 }, ""),
        ("int-07", Behaviour::Closes, "stream-ended"),
    ];
    let mut faulty = Vec::new();
    let mut plans = vec![
        CameraPlan::internal("int-01", good.url("hq/int-01").unwrap().as_str()),
        // No credentials: the camera refuses.
        CameraPlan::internal("int-02", guarded.url("hq/int-02").unwrap().as_str()),
    ];
    for (name, behaviour, _) in faults {
        // After 60 frames there is a fragment to keep before the fault.
        let settings = Settings { behaviour, fault_after_frames: 60 };
        let camera = FaultyCamera::start(settings).await.unwrap();
        plans.push(CameraPlan::internal(name, camera.url().as_str()));
        faulty.push(camera);
    }
    let changing = Settings { behaviour: Behaviour::SpsChange, fault_after_frames: 60 };
    let changing = FaultyCamera::start(changing).await.unwrap();
    plans.push(CameraPlan::internal("int-08", changing.url().as_str()));

    let mut force = Force::start(folder.path()).await.unwrap();
    let recording = Recording { stall_ms: 1500, ..Recording::default() };
    let to = force.fleet_address();
    force.add_site("hq", &plans, &recording, to).await.unwrap();
    force.await_footage(&["hq/int-01", "hq/int-04", "hq/int-06", "hq/int-08"], 14).await.unwrap();
    let state = |camera: &'static str, wanted: &'static str| {
        let force = &force;
        eventually(wanted, Duration::from_secs(30), move || async move {
            let cameras = force.ask(TECHNICIAN, &["cameras"]).await.ok()?;
            let of = cameras.as_array()?.iter().find(|c| c["camera"] == camera)?.clone();
            (of["state"] == wanted).then_some(of)
        })
    };
    state("hq/int-01", "recording").await.unwrap();
    state("hq/int-02", "credentials-refused").await.unwrap();
    state("hq/int-03", "codec-unsupported").await.unwrap();
    let udp_only = state("hq/int-09", "stream-not-found").await.unwrap();
    let detail = udp_only["detail"].as_str().unwrap();
    assert!(detail.contains("over UDP only") && detail.contains("allow RTP over RTSP"), "{detail}");

    let names: Vec<String> = plans.iter().map(|p| format!("hq/{}", p.name)).collect();
    let recorded: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|n| !["hq/int-02", "hq/int-03", "hq/int-09"].contains(n))
        .collect();
    let bundle = folder.path().join("bundle");
    let case = force.obtain(&recorded, "-12s", "-3s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    assert_eq!(gaps(&report, "hq/int-01"), Vec::<String>::new(), "{report:#}");
    for (name, _, reason) in faults.iter().skip(2) {
        let found = gaps(&report, &format!("hq/{name}"));
        if reason.is_empty() {
            assert_eq!(found, Vec::<String>::new(), "hq/{name}");
            continue;
        }
        assert!(found.iter().any(|gap| gap == reason), "hq/{name}: {reason} not in {found:?}");
    }
    let cameras = report["cameras"].as_array().unwrap();
    let changed = cameras.iter().find(|c| c["camera"] == "hq/int-08").unwrap();
    assert!(changed["coverage_per_cent"].as_f64().unwrap() > 50.0, "{changed:#}");

    // A camera that recorded well and goes says why it is gone, and comes back by itself.
    good.stop().await.unwrap();
    state("hq/int-01", "camera-unreachable").await.unwrap();
    good.restart().await.unwrap();
    state("hq/int-01", "recording").await.unwrap();
}
