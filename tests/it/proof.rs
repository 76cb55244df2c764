//! Evidence that proves itself: what a force records and hands over, checked by verifiers that
//! nobody here wrote, and by our own two that share no code.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::force::{AUDITOR, CameraPlan, Force, Recording};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::foreign::{Foreign, OutsideWitness, StampAuthority};
use harness::rig::process::Launch;
use serde_json::Value;

const SITES: [&str; 3] = ["east", "west", "south"];
const CAMERAS: [&str; 2] = ["east/ext-01", "west/int-01"];

/// A force of three sites with a time-stamping authority and a witness outside of it.
struct Estate {
    folder: tempfile::TempDir,
    foreign: Foreign,
    tsa: StampAuthority,
    witness: OutsideWitness,
    force: Force,
    _cameras: Cameras,
}

impl Estate {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let foreign = Foreign::find().await.unwrap();
        let tsa = StampAuthority::start(&folder.path().join("tsa")).await.unwrap();
        let witness = foreign.outside_witness(&folder.path().join("outside")).await.unwrap();
        let settings = format!(
            "[tsa]\nurl = \"{}\"\nca_path = \"{}\"\n\n[[witness]]\nname = \"outside\"\nvkey = \"{}\"\n\
             url = \"{}\"\n",
            tsa.url,
            tsa.ca.display(),
            witness.vkey,
            witness.url
        );
        let wanted = [
            ("east/ext-01", Clip::WalkwayH264),
            ("west/int-01", Clip::WalkwayH264),
            ("south/int-01", Clip::WalkwayH265),
        ];
        let cameras = Cameras::start(wanted, Auth::Digest).await.unwrap();
        let mut force = Force::start_with(folder.path(), &settings).await.unwrap();
        let to = force.fleet_address();
        for site in SITES {
            let plans: Vec<CameraPlan> = wanted
                .iter()
                .filter(|(camera, _)| camera.starts_with(site))
                .map(|(camera, _)| CameraPlan {
                    name: camera.split_once('/').unwrap().1.to_owned(),
                    url: cameras.url(camera).unwrap().to_string(),
                    masked: camera.contains("ext"),
                    protected: true,
                })
                .collect();
            force.add_site(site, &plans, &Recording::default(), to).await.unwrap();
        }
        let mut estate = Self { folder, foreign, tsa, witness, force, _cameras: cameras };
        estate.let_the_outsider_in().await;
        estate
    }

    /// The outside witness learns the logs' keys from the controller, and answers from then on.
    async fn let_the_outsider_in(&mut self) {
        let force = &self.force;
        let logs = eventually("every log has a checkpoint", Duration::from_secs(90), || async {
            let logs = force.ask(AUDITOR, &["logs"]).await.ok()?;
            let all = logs.as_array()?.clone();
            (all.len() == SITES.len() + 1 && all.iter().all(|log| log["size"].as_u64() > Some(0)))
                .then_some(all)
        });
        for log in logs.await.unwrap() {
            let (origin, vkey) = (log["origin"].as_str().unwrap(), log["vkey"].as_str().unwrap());
            self.witness.trust(origin, vkey).await.unwrap();
        }
        self.witness.serve(self.folder.path()).await.unwrap();
    }

    async fn logs(&self) -> Vec<Value> {
        let logs = self.force.ask(AUDITOR, &["logs"]).await.unwrap();
        logs.as_array().unwrap().clone()
    }

    fn log_folder(&self, log: &Value) -> PathBuf {
        match log["site"].as_str() {
            None => self.folder.path().join("controller/log-public"),
            Some(site) => self.force.site_state(site).join("log"),
        }
    }

    /// Copies of a site's checkpoint as it grows, as a monitor would keep them.
    async fn earlier_checkpoints(&self, site: &str, count: usize) -> Vec<PathBuf> {
        let mut kept: Vec<PathBuf> = Vec::new();
        let mut last = Vec::new();
        for number in 0..count {
            let path = self.force.site_state(site).join("log/checkpoint");
            let known = last.clone();
            let newer = eventually("a newer checkpoint", Duration::from_secs(60), || async {
                fs::read(&path).ok().filter(|note| *note != known)
            });
            last = newer.await.unwrap();
            let copy = self.folder.path().join(format!("{site}-{number}.note"));
            fs::write(&copy, &last).unwrap();
            kept.push(copy);
        }
        kept
    }
}

#[tokio::test]
async fn verifiers_that_nobody_here_wrote_agree() {
    let mut estate = Estate::start().await;
    let force = &estate.force;
    force.await_footage(&CAMERAS, 14).await.unwrap();
    let bundle = estate.folder.path().join("bundle");
    let case = force.obtain(&CAMERAS, "-12s", "-2s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    assert_eq!(report["verified"], true, "{report:#}");

    let foreign = &estate.foreign;
    let authority = force.authority_key();
    for script in ["bagit.py", "dsse.py", "case.py"] {
        foreign.python(script, [&bundle]).await.unwrap();
    }
    let ca = estate.folder.path().join("controller/pki/ca.pem");
    foreign.python("c2pa.py", [&bundle, &ca]).await.unwrap();
    foreign.python("rfc3161.py", [&bundle, &estate.tsa.ca]).await.unwrap();
    foreign.shell("verify-txt.sh", [&bundle, &authority, &estate.tsa.ca]).await.unwrap();

    same_by_the_page(&estate, &bundle, &report).await;
    a_log_is_gos(&estate).await;
    the_outsider_has_cosigned(&estate).await;
    an_encrypted_copy_opens_for_its_recipient(&estate, &bundle, &case).await;
    one_gop_proves_itself(&estate, &bundle, &report).await;
    an_edited_event_is_named(&mut estate).await;
}

/// The browser page says what our program says, green first and red after one flipped bit.
async fn same_by_the_page(estate: &Estate, bundle: &Path, report: &Value) {
    let key = estate.force.authority_key();
    let screenshot = estate.folder.path().join("green.png");
    let page = estate.foreign.page(bundle, &key, &screenshot).await.unwrap();
    assert_eq!(page["verdict"], "verified", "{page:#}");
    for camera in report["cameras"].as_array().unwrap() {
        let of_page = page["cameras"].as_array().unwrap().iter();
        let same = of_page.clone().find(|c| c["camera"] == camera["camera"]).unwrap();
        let per_cent = |of: &Value| of["coverage_per_cent"].as_f64();
        assert_eq!(per_cent(same), per_cent(camera));
    }

    let master = first_master(bundle);
    let good = fs::read(&master).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&master, &bad).unwrap();
    let red = estate.folder.path().join("red.png");
    let page = estate.foreign.page(bundle, &key, &red).await.unwrap();
    let ours = estate.force.verify(bundle).await.unwrap();
    fs::write(&master, &good).unwrap();
    assert_eq!(page["verdict"], ours["verdict"], "{page:#}");
    assert_ne!(page["verdict"], "verified");
}

fn first_master(bundle: &Path) -> PathBuf {
    let folder = bundle.join("data/master").join(CAMERAS[0]);
    let mut masters: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    masters.retain(|path| path.extension().is_some_and(|e| e == "m4s"));
    masters.sort();
    masters.swap_remove(0)
}

/// Go's own code accepts every entry of every log, and that each checkpoint continues those before.
async fn a_log_is_gos(estate: &Estate) {
    let earlier = estate.earlier_checkpoints("east", 3).await;
    for log in estate.logs().await {
        let folder = estate.log_folder(&log);
        // The log grows while Go reads it, and partial tiles give way: a copy stands still.
        let still = estate
            .folder
            .path()
            .join(format!("still-{}", log["site"].as_str().unwrap_or("controller")));
        let copy = Launch::foreign("cp", "cp").args(["-a".into(), folder, still.clone()]);
        copy.run(Duration::from_secs(60)).await.unwrap();
        let mut arguments = vec![still.into_os_string(), log["vkey"].as_str().unwrap().into()];
        if log["site"] == "east" {
            arguments.extend(earlier.iter().map(|path| path.clone().into_os_string()));
        }
        let said = estate.foreign.go(arguments).await.unwrap();
        assert!(said.starts_with("entries="), "{said}");
    }
}

async fn the_outsider_has_cosigned(estate: &Estate) {
    let status = estate.witness.status().await.unwrap();
    let text = status.to_string();
    for log in estate.logs().await {
        let origin = log["origin"].as_str().unwrap();
        assert!(text.contains(origin), "{origin} is not among what it has seen: {status:#}");
        assert!(log["quorum_size"].as_u64() > Some(0), "{log:#}");
        let outside = log["witnesses"].as_array().unwrap().iter().find(|w| w["kind"] == "outside");
        assert!(outside.unwrap()["cosigned"].as_u64() > Some(0), "{log:#}");
    }
}

async fn an_encrypted_copy_opens_for_its_recipient(estate: &Estate, bundle: &Path, case: &Value) {
    let identity = estate.folder.path().join("recipient");
    let keygen = Launch::foreign("age-keygen", "age-keygen")
        .args(["-o".into(), identity.clone().into_os_string()]);
    keygen.run(Duration::from_secs(30)).await.unwrap();
    let text = fs::read_to_string(&identity).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let sealed = estate.folder.path().join("bundle.zip.age");
    let case = case["case"].as_str().unwrap();
    let to = sealed.display().to_string();
    let fetch = ["evidence", "fetch", case, "--to", &to, "--recipient", recipient];
    estate.force.ask(harness::force::TECHNICIAN, &fetch).await.unwrap();
    estate.foreign.shell("age.sh", [&sealed, &identity, &bundle.to_owned()]).await.unwrap();
}

async fn one_gop_proves_itself(estate: &Estate, bundle: &Path, report: &Value) {
    let clip = estate.folder.path().join("clip");
    let key = estate.force.authority_key();
    let verify = |arguments: Vec<std::ffi::OsString>| async {
        Launch::of("verify").unwrap().args(arguments).run(Duration::from_secs(60)).await.unwrap()
    };
    let cameras = report["cameras"].as_array().unwrap();
    let camera = cameras.iter().find(|camera| camera["camera"] == CAMERAS[1]).unwrap();
    let begins: custody::WallTime = camera["recorded_from"].as_str().unwrap().parse().unwrap();
    // Amid a segment of 4 s with a GOP of 2.
    let from = begins.plus_micros(2_500_000).to_string();
    let to = begins.plus_micros(3_000_000).to_string();
    let cut = verify(vec![
        "cut".into(),
        bundle.into(),
        "--camera".into(),
        CAMERAS[1].into(),
        "--from".into(),
        from.into(),
        "--to".into(),
        to.into(),
        "--to-folder".into(),
        clip.clone().into(),
    ])
    .await;
    assert!(cut.status.success(), "{}", String::from_utf8_lossy(&cut.stderr));
    let checked = verify(vec![clip.clone().into(), "--key".into(), key.into()]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let probe = Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames"])
        .args(["-of", "csv=p=0"])
        .args([clip.join("clip.mp4")])
        .run(Duration::from_secs(30))
        .await
        .unwrap();
    let frames: u32 = String::from_utf8_lossy(&probe.stdout).trim().parse().unwrap();
    assert!((1..=100).contains(&frames), "{frames} frames in one GOP");
}

/// The controller's administrator edits one event in the database by hand.
async fn an_edited_event_is_named(estate: &mut Estate) {
    let controller = &mut estate.force.controller;
    controller.terminate().unwrap();
    controller.wait(Duration::from_secs(30)).await.unwrap();
    let check = || async {
        let config = estate.folder.path().join("etc/controller.toml");
        let launch =
            Launch::of("controller").unwrap().args(["check-log", "--config"]).args([config]);
        launch.run(Duration::from_secs(60)).await.unwrap()
    };
    let sound = check().await;
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));

    let db = rocksdb::DB::open_default(estate.folder.path().join("controller/log")).unwrap();
    let reason = b"Proportionate to the crime";
    let (key, value) = db
        .iterator(rocksdb::IteratorMode::Start)
        .map(Result::unwrap)
        .find(|(_, value)| value.windows(reason.len()).any(|part| part == reason))
        .unwrap();
    let at = value.windows(reason.len()).position(|part| part == reason).unwrap();
    let mut edited = value.to_vec();
    edited[at..at + reason.len()].copy_from_slice(b"Proportionate to the clime");
    db.put(&key, edited).unwrap();
    drop(db);
    let position = u64::from_be_bytes(key[1..].try_into().unwrap());
    let found = check().await;
    let said = String::from_utf8_lossy(&found.stdout) + String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success() && said.contains(&format!("entry {position}")), "{said}");
}
