//! A site whose identity lies in a PKCS#11 token: it enrols, its evidence verifies, and the token is
//! needed for nothing that happens every day.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use harness::force::{CameraPlan, Force, Recording};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::footage::Clip;

/// Where Debian's softhsm2 puts the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A SoftHSM with one token, and its PIN in a file; gives the path of its settings.
fn token(folder: &Path) -> String {
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: run tests/rig/setup.sh");
    fs::create_dir_all(folder.join("tokens")).unwrap();
    let conf = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens").display().to_string();
    fs::write(&conf, format!("directories.tokendir = {tokens}\n")).unwrap();
    fs::write(folder.join("pin"), "123456\n").unwrap();
    fs::set_permissions(folder.join("pin"), fs::Permissions::from_mode(0o600)).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "hq", "--pin", "123456", "--so-pin", "654321"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    conf.display().to_string()
}

#[tokio::test]
async fn a_site_with_its_identity_in_a_token_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let cameras = Cameras::start([("hq/int-01", Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let plans = [CameraPlan::internal("int-01", cameras.url("hq/int-01").unwrap())];
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    force.prepare_site("hq", &plans, &Recording::default(), to).await.unwrap();
    let hsm = folder.path().join("hsm");
    let conf = token(&hsm);
    let settings = fs::read_to_string(force.site_config("hq")).unwrap();
    let identity = format!(
        "[identity]\nkind = \"pkcs11\"\nmodule = \"{MODULE}\"\ntoken_label = \"hq\"\npin_path = \"{}\"\n\n\
         [recording]",
        hsm.join("pin").display()
    );
    fs::write(force.site_config("hq"), settings.replace("[recording]", &identity)).unwrap();
    force.start_site_by("hq", "env", &[&format!("SOFTHSM2_CONF={conf}")]).unwrap();
    force.await_footage(&["hq/int-01"], 8).await.unwrap();
    assert!(!force.site_state("hq").join("keys/identity.pem").exists(), "the key is in the token");

    // The token is pulled out: recording, holds and the release of keys go on.
    host::durable::rename(&hsm.join("tokens"), &hsm.join("pulled")).unwrap();
    let bundle = folder.path().join("bundle");
    let case = force.obtain(&["hq/int-01"], "-6s", "-2s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    assert_eq!(report["verdict"], "verified", "{report:#}");
}
