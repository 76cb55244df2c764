//! Classes of retention on a real recorder: one camera's footage goes at its short ceiling, the other's
//! stays, and people see for how long each is kept and what is there.

use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;

#[tokio::test]
async fn a_class_with_a_short_ceiling_goes_on_time_and_the_other_stays() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["int-01", "int-02"];
    let wanted = names.map(|name| (format!("west/{name}"), Clip::WalkwayH264));
    let cameras = Cameras::start(wanted, Auth::Open).await.unwrap();
    let plans: Vec<CameraPlan> = names
        .iter()
        .map(|name| CameraPlan::internal(name, cameras.url(&format!("west/{name}")).unwrap()))
        .collect();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    force.prepare_site("west", &plans, &Recording::default(), to).await.unwrap();
    let path = force.site_config("west");
    let text = std::fs::read_to_string(&path).unwrap();
    let camera = "name = \"int-02\"\n";
    assert!(text.contains(camera));
    let text = text.replace(camera, &format!("{camera}retention = \"foyer\"\n"));
    let class = "[[retention]]\nclass = \"foyer\"\nceiling = \"60s\"\n";
    std::fs::write(&path, format!("{text}\n{class}")).unwrap();
    force.start_site("west").unwrap();
    force.await_recording(names.len()).await.unwrap();

    let seen = || async {
        let cameras = force.ask(TECHNICIAN, &["cameras"]).await.ok()?;
        let [long, short] = cameras.as_array()?.as_slice() else { return None };
        Some((long.clone(), short.clone()))
    };
    let began = |camera: &serde_json::Value| camera["oldest_footage"].as_str().map(str::to_owned);
    let both =
        || async { seen().await.filter(|(long, short)| began(long).and(began(short)).is_some()) };
    let (long, short) = eventually("footage of both", Duration::from_secs(30), both).await.unwrap();
    assert_eq!(long["retention_class"], "standard");
    assert_eq!((&short["retention_class"], &short["ceiling_s"]), (&"foyer".into(), &60.into()));
    let went = || async { seen().await.filter(|(_, now)| began(now) > began(&short)) };
    let (stays, goes) =
        eventually("the foyer's footage goes", Duration::from_secs(180), went).await.unwrap();
    assert_eq!(began(&stays), began(&long));
    assert_eq!(goes["state"], "recording");
    let site = force.ask(TECHNICIAN, &["sites"]).await.unwrap()[0].clone();
    assert_eq!((&site["early_erased"], &site["late_erased"]), (&0.into(), &0.into()));
}
