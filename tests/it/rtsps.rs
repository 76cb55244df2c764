//! Cameras over TLS: the pinned ones are recorded, and whoever else answers in a camera's place is a
//! signed gap that says so, and never sees a password.

use std::fs;
use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::tls_front::TlsFront;

#[tokio::test]
async fn only_the_pinned_camera_is_recorded_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let cameras = Cameras::start([("yard", Clip::WalkwayH264)], Auth::Digest).await.unwrap();
    let real = TlsFront::before(cameras.port()).await.unwrap();
    let impostor = TlsFront::before(cameras.port()).await.unwrap();
    let authority = folder.path().join("cameras.pem");
    real.write_authority(&authority).unwrap();
    let by_certificate = format!("certificate_sha256 = \"{}\"", real.fingerprint());
    let by_authority = format!("ca_path = \"{}\"", authority.display());
    let plans = [
        ("int-01", &real, &by_certificate),
        ("int-02", &real, &by_authority),
        ("int-03", &impostor, &by_certificate),
        ("int-04", &impostor, &by_authority),
    ];
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    let cameras_of_site = plans.map(|(name, front, _)| CameraPlan {
        protected: true,
        ..CameraPlan::internal(name, front.url("yard"))
    });
    force.prepare_site("hq", &cameras_of_site, &Recording::default(), to).await.unwrap();
    let config = force.site_config("hq");
    let mut text = fs::read_to_string(&config).unwrap();
    for (name, _, pin) in plans {
        text =
            text.replace(&format!("name = \"{name}\"\n"), &format!("name = \"{name}\"\n{pin}\n"));
    }
    fs::write(&config, text).unwrap();
    force.start_site("hq").unwrap();

    force.await_footage(&["hq/int-01", "hq/int-02"], 10).await.unwrap();
    for camera in ["hq/int-03", "hq/int-04"] {
        let force = &force;
        let shown = impostor.fingerprint().to_string();
        let refused = eventually("the impostor is refused", Duration::from_secs(30), || {
            let shown = shown.clone();
            async move {
                let cameras = force.ask(TECHNICIAN, &["cameras"]).await.ok()?;
                let of = cameras.as_array()?.iter().find(|c| c["camera"] == camera)?.clone();
                let why = of["detail"].as_str()?;
                (of["state"] == "camera-unreachable"
                    && why.starts_with("certificate-not-trusted: ")
                    && why.contains(&shown))
                .then_some(())
            }
        });
        refused.await.unwrap();
    }
    assert!(impostor.refused() >= 2);
    assert_eq!(impostor.carried(), 0, "something was sent to an unpinned peer");
    assert!(real.carried() >= 2);
    assert_eq!(real.refused(), 0);

    let bundle = folder.path().join("bundle");
    let asked = ["hq/int-01", "hq/int-02", "hq/int-03"];
    let case = force.obtain(&asked, "-8s", "-3s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    for of in report["cameras"].as_array().unwrap() {
        assert_eq!(of["unexplained"].as_array().unwrap().len(), 0, "{of:#}");
        let gaps: Vec<&str> = of["gaps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|gap| gap["reason"].as_str().unwrap())
            .collect();
        let is_impostor = of["camera"] == "hq/int-03";
        assert_eq!(gaps.contains(&"camera-unreachable"), is_impostor, "{of:#}");
    }
}
