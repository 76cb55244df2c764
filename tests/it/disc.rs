//! The segment disc turns read-only under a running recorder, is taken away and comes back: nothing
//! lies on another disc, what is missing is a signed gap, and recording goes on. On a real ext4 in a
//! loop-mounted image.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::process::Launch;
use host::Clock;

/// A file system in an image, mounted until this is dropped.
struct Image {
    image: PathBuf,
    at: PathBuf,
}

impl Image {
    async fn make(image: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let file = fs::File::create(image).unwrap();
        file.set_len(256 << 20).unwrap();
        let made = Self { image: image.to_owned(), at: at.to_owned() };
        made.tell("mkfs.ext4", &["-q", "-F", made.image.to_str().unwrap()]).await.unwrap();
        made.mount().await;
        made
    }

    async fn tell(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let ran = Launch::foreign(program, program).args(arguments.iter().copied());
        let output = ran.run(Duration::from_secs(60)).await.map_err(|e| format!("{e:#}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    async fn mount(&self) {
        let mounted = self
            .tell("mount", &["-o", "loop", self.image.to_str().unwrap(), self.at.to_str().unwrap()])
            .await;
        mounted.expect(
            "this test mounts a loop device: run it as root, in a container with CAP_SYS_ADMIN and \
             /dev/loop-control",
        );
    }

    /// What a disc's own error does to its file system.
    async fn turn_read_only(&self) {
        self.tell("mount", &["-o", "remount,abort", self.at.to_str().unwrap()]).await.unwrap();
    }

    async fn take_away(&self) {
        let gone = eventually("the disc is free", Duration::from_secs(60), || async {
            self.tell("umount", &[self.at.to_str().unwrap()]).await.ok()
        });
        gone.await.unwrap();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Also after a test that failed: lazily, for a program may still run.
        let _gone = std::process::Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

#[tokio::test]
async fn a_disc_that_turns_read_only_and_comes_back_leaves_signed_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let camera = "south/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plan = CameraPlan::internal("int-01", cameras.url(camera).unwrap());
    let to = force.fleet_address();
    force.prepare_site("south", &[plan], &Recording::default(), to).await.unwrap();
    let segments = force.site_state("south").join("segments");
    let disc = Image::make(&folder.path().join("disc.img"), &segments).await;
    force.start_site("south").unwrap();
    force.await_footage(&[camera], 8).await.unwrap();

    let from = clock.now().plus_seconds(-6);
    disc.turn_read_only().await;
    // Either a write is refused and the gap waits, or a sync fails and the process ends: then what
    // keeps services running starts it again, on the disc as it is.
    let noticed = eventually("the recorder notices", Duration::from_secs(60), || async {
        let log = force.sites["south"].log();
        (log.contains("footage not kept") || log.contains("must end")).then_some(())
    });
    noticed.await.unwrap();
    if force.site("south").unwrap().has_ended().unwrap().is_some() {
        force.start_site("south").unwrap();
    }
    let told = eventually("its people see it", Duration::from_secs(60), || async {
        let seen = force.ask(TECHNICIAN, &["cameras"]).await.ok()?;
        (seen[0]["state"] != "recording").then_some(())
    });
    told.await.unwrap();
    disc.take_away().await;
    let refused = eventually("it looks for its disc", Duration::from_secs(60), || async {
        force.sites["south"].log().contains("looking for the segment disc").then_some(())
    });
    refused.await.unwrap_or_else(|_| panic!("{}", force.sites["south"].tail()));
    assert_eq!(fs::read_dir(&segments).unwrap().count(), 0, "nothing lies on another disc");

    disc.mount().await;
    if force.site("south").unwrap().has_ended().unwrap().is_some() {
        force.start_site("south").unwrap();
    }
    let had = force.stored_files("south");
    force.await_files("south", had, 3).await.unwrap();
    let to = clock.now();
    let report = force.account_for(camera, from, to).await.unwrap();
    let gaps = report["cameras"][0]["gaps"].as_array().unwrap();
    let why = |gap: &serde_json::Value| {
        let reason = gap["reason"].as_str().unwrap_or_default().to_owned();
        ["disc-fault", "agent-crashed"].contains(&reason.as_str())
    };
    assert!(gaps.iter().any(why), "{report:#}");
    force.site("south").unwrap().kill().await.unwrap();
    drop(disc);
}
