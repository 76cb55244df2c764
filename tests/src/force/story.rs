//! What stories do with a force: wait until it records, request, approve, obtain, verify.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use custody::WallTime;
use serde_json::Value;

use super::{AUTHORISER, COMMAND, Force, Said, TECHNICIAN};
use crate::rig::eventually::eventually;
use crate::rig::process::Launch;

impl Force {
    /// Waits until `count` cameras record, and gives the report of all.
    ///
    /// # Errors
    /// When they do not within a minute; the cameras' states are in the error.
    pub async fn await_recording(&self, count: usize) -> Result<Value> {
        let mut last = Value::Null;
        let recording = |cameras: &Value| {
            let all = cameras.as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter(|camera| camera["state"] == "recording").count()
        };
        for _attempt in 0..2 {
            let all = eventually("all cameras record", Duration::from_secs(45), || async {
                let cameras = self.ask(TECHNICIAN, &["cameras"]).await.ok()?;
                (recording(&cameras) >= count).then_some(cameras)
            });
            match all.await {
                Ok(cameras) => return Ok(cameras),
                Err(_) => last = self.ask(TECHNICIAN, &["cameras"]).await?,
            }
        }
        bail!("{} of {count} cameras record:\n{last:#}", recording(&last))
    }

    /// Waits until each of `cameras` has footage on disc that is `seconds` old.
    ///
    /// # Errors
    /// When it has not within a minute more.
    pub async fn await_footage(&self, cameras: &[&str], seconds: i64) -> Result<()> {
        let clock = host::Clock::system();
        let deadline = Duration::from_secs(60 + seconds.unsigned_abs());
        let old_enough = eventually("footage old enough", deadline, || async {
            let all = self.ask(TECHNICIAN, &["cameras"]).await.ok()?;
            let enough = |name: &&str| {
                let of = all.as_array()?.iter().find(|camera| camera["camera"] == **name)?;
                let oldest: WallTime = of["oldest_footage"].as_str()?.parse().ok()?;
                (clock.now().micros_since(oldest) >= seconds * 1_000_000).then_some(())
            };
            cameras.iter().all(|name| enough(name).is_some()).then_some(())
        });
        Ok(old_enough.await?)
    }

    /// Checks a bundle with the `verify` program; gives its report.
    ///
    /// # Errors
    /// When it cannot check.
    pub async fn verify(&self, bundle: &Path) -> Result<Value> {
        let output = Launch::of("verify")?
            .args([bundle.as_os_str(), "--key".as_ref(), self.authority_key().as_os_str()])
            .args(["--output", "json"])
            .run(COMMAND)
            .await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("verify: {}", Said::of(&output).err))
    }

    /// Requests, has approved, awaits and fetches footage; gives the case as it stands then.
    ///
    /// # Errors
    /// When a step is refused or the bundle does not come.
    pub async fn obtain(
        &self,
        cameras: &[&str],
        from: &str,
        to: &str,
        into: &Path,
    ) -> Result<Value> {
        let case = self.request(cameras, from, to).await?;
        self.approve(&case).await?;
        self.await_bundle(&case).await?;
        let into = into.display().to_string();
        self.ask(TECHNICIAN, &["evidence", "fetch", &case, "--to", &into]).await?;
        self.ask(TECHNICIAN, &["evidence", "show", &case]).await
    }

    /// Obtains a camera's footage and gives the verifier's report, if the bundle verifies and every instant
    /// of it is footage or a signed gap.
    ///
    /// # Errors
    /// When it is not so, or as [`Force::obtain`].
    pub async fn account_for(&self, camera: &str, from: WallTime, to: WallTime) -> Result<Value> {
        let bundle = self.folder.join("accounted");
        self.obtain(&[camera], &from.to_string(), &to.to_string(), &bundle).await?;
        let report = self.verify(&bundle).await?;
        let unexplained = report["cameras"][0]["unexplained"].as_array();
        let is_whole = report["verdict"] == "verified" && unexplained.is_some_and(Vec::is_empty);
        ensure!(is_whole, "not every instant is accounted for: {report:#}");
        Ok(report)
    }

    /// Requests footage; gives the case's reference.
    ///
    /// # Errors
    /// When the request is refused.
    pub async fn request(&self, cameras: &[&str], from: &str, to: &str) -> Result<String> {
        let mut arguments = vec!["evidence", "request", "--from", from, "--to", to];
        for camera in cameras {
            arguments.extend(["--camera", camera]);
        }
        arguments.extend(["--purpose", "crime", "--crime-reference", "42/10482/26"]);
        arguments.extend(["--reason", "Theft from a vehicle in the yard, suspect on foot"]);
        let case = self.ask(TECHNICIAN, &arguments).await?;
        Ok(case["case"].as_str().context("no case reference in the answer")?.to_owned())
    }

    /// Has another person approve.
    ///
    /// # Errors
    /// When the approval is refused.
    pub async fn approve(&self, case: &str) -> Result<Value> {
        let approve = ["evidence", "approve", case, "--reason", "Proportionate to the crime"];
        self.ask(AUTHORISER, &approve).await
    }

    /// How many segment files, complete or open, lie on a site's disc.
    #[must_use]
    pub fn stored_files(&self, site: &str) -> usize {
        count_files(&self.site_state(site).join("segments"))
    }

    /// Waits until a site has stored `more` files than `had`.
    ///
    /// # Errors
    /// When it has not within a minute.
    pub async fn await_files(&self, site: &str, had: usize, more: usize) -> Result<()> {
        let stored = || async { (self.stored_files(site) >= had + more).then_some(()) };
        Ok(eventually("more segments on disc", Duration::from_secs(60), stored).await?)
    }

    /// Waits until a case has come to its end, and expects a bundle.
    ///
    /// # Errors
    /// When it ends otherwise or not at all.
    pub async fn await_bundle(&self, case: &str) -> Result<Value> {
        let ended = eventually("the case ends", Duration::from_secs(120), || async {
            let shown = self.ask(TECHNICIAN, &["evidence", "show", case]).await.ok()?;
            matches!(shown["state"].as_str(), Some("bundled" | "failed" | "refused"))
                .then_some(shown)
        });
        let Ok(ended) = ended.await else {
            let shown = self.ask(TECHNICIAN, &["evidence", "show", case]).await?;
            bail!("the case does not end:\n{shown:#}\n{}", self.controller.tail());
        };
        ensure!(ended["state"] == "bundled", "the case ended otherwise:\n{ended:#}");
        Ok(ended)
    }
}

fn count_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| {
        if path.is_dir() {
            count_files(&path)
        } else {
            usize::from(path.extension().is_some_and(|e| e == "whseg"))
        }
    };
    entries.filter_map(|entry| Some(count(entry.ok()?.path()))).sum()
}
