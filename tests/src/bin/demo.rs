//! `make demo`: a day's work of a small force in two minutes, by the real programs.
//!
//! Leaves under `target/demo/` the bundle, every process's log and `summary.json`; `--keep` leaves
//! the force running and prints commands to try.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::force::{AUDITOR, AUTHORISER, CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::process::Launch;
use serde_json::{Value, json};

const SITES: [&str; 4] = ["east", "west", "south", "hq"];
/// Segments that must be on disc before anything is requested: some minutes' worth for the eight.
const SEGMENTS_MIN: u64 = 40;
/// Asked for, in seconds before now.
const ASKED_S: i64 = 24;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the demo says why it ended")]
async fn main() -> ExitCode {
    match demonstrate().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without the backtrace that `Debug` would add: the words say what happened.
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("\ndemo: {}", causes.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn demonstrate() -> Result<()> {
    let keep = std::env::args().any(|argument| argument == "--keep");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/demo");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("target/demo cannot be emptied; is another demo running?");
        }
        _ => {}
    }
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let mut demo = Demo { folder, step: 0, clock: host::Clock::system() };
    demo.run(keep).await
}

struct Demo {
    folder: PathBuf,
    step: u32,
    clock: host::Clock,
}

impl Demo {
    #[expect(clippy::print_stdout, reason = "the demo shows what it does")]
    fn say(&mut self, what: &str) {
        self.step += 1;
        println!("\n[{:>2}] {what}", self.step);
    }

    #[expect(clippy::print_stdout, reason = "the demo shows what it does")]
    fn show(text: &str) {
        for line in text.trim_end().lines() {
            println!("     {line}");
        }
    }

    async fn run(&mut self, keep: bool) -> Result<()> {
        self.say("Eight cameras stream (H.264 and H.265, RTSP with digest authentication)");
        let cameras = Cameras::start(Self::cameras(), Auth::Digest).await?;
        for camera in cameras.served() {
            Self::show(&format!("{:14} {}  {}", camera.name, camera.codec, camera.url));
        }
        self.say(
            "A controller starts: its own authority, event log, gRPC over TLS, QUIC for sites",
        );
        let mut force = Force::start(&self.folder).await?;
        self.say("Four sites enrol with one-time tokens and record");
        for site in SITES {
            let plans = Self::plans(site, &cameras)?;
            let to = force.fleet_address();
            force.add_site(site, &plans, &Recording::default(), to).await?;
        }
        let recording = force.await_recording(SITES.len() * 2).await?;
        self.say("They record; external cameras are masked before anything is stored");
        force.await_footage(&["east/ext-01", "west/int-01"], ASKED_S + 2).await?;
        let segments = self.await_segments(&force).await?;
        let sites = force.cli(TECHNICIAN, &["sites"]).await?;
        Self::show(&sites.out);

        self.say("A technician requests footage of one masked and one unmasked camera");
        let from = self.clock.now().plus_seconds(-ASKED_S).to_string();
        let to = self.clock.now().to_string();
        let case = force.request(&["east/ext-01", "west/int-01"], &from, &to).await?;
        Self::show(&format!("{case}: east/ext-01 and west/int-01, {ASKED_S} s, purpose crime"));
        self.refusals(&force, &case).await?;

        self.say("Another person approves; the sites hold, send over QUIC; the bundle is verified");
        let approved = self.clock.now();
        force.ask(AUTHORISER, &["evidence", "approve", &case, "--reason", "Proportionate"]).await?;
        let ended = force.await_bundle(&case).await?;
        let seconds = seconds_between(&approved.to_string(), &ended)
            .unwrap_or_else(|| millis(self.clock.now().micros_since(approved)));
        Self::show(&format!("{seconds:.1} s from approval to verified bundle"));

        let (verdict, refused) = self.hand_over(&force, &case).await?;

        self.say("Health of sites and cameras");
        Self::show(&force.cli(TECHNICIAN, &["health"]).await?.out);
        self.say("Who did what: the audit trail of the case");
        Self::show(&force.cli(AUDITOR, &["audit", "--case", &case]).await?.out);

        let summary = json!({
            "sites": SITES,
            "cameras": recording,
            "segments_recorded": segments,
            "case": case,
            "bundle": self.folder.join("bundle"),
            "verdicts": { "bundle": verdict, "copy with one flipped byte": refused },
            "coverage_per_cent": ended["coverage_per_cent"],
            "seconds_from_approval_to_verified_bundle": seconds,
        });
        fs::write(self.folder.join("summary.json"), serde_json::to_string_pretty(&summary)?)?;
        self.say("Done");
        for (what, at) in [("bundle", "bundle"), ("logs", "log"), ("summary", "summary.json")] {
            Self::show(&format!("{what:8} {}", self.folder.join(at).display()));
        }
        if keep {
            self.stay(&force).await?;
        }
        Self::stop(&mut force).await
    }

    /// Fetches the bundle and checks it, then a copy with one flipped byte; gives both verdicts.
    async fn hand_over(&mut self, force: &Force, case: &str) -> Result<(String, String)> {
        self.say("It is fetched and checked again, offline, with nothing but the authority's key");
        let bundle = self.folder.join("bundle");
        let to = bundle.display().to_string();
        let fetched = force.cli(TECHNICIAN, &["evidence", "fetch", case, "--to", &to]).await?;
        ensure!(fetched.code == 0, "fetch: {}", fetched.err);
        let (verdict, printed) = verify(&bundle, &force.authority_key()).await?;
        ensure!(verdict == "verified", "the bundle does not verify:\n{printed}");
        Self::show(&printed);

        self.say("A copy with one flipped byte is refused");
        let altered = self.flip_a_byte(&bundle)?;
        let (refused, printed) = verify(&altered, &force.authority_key()).await?;
        ensure!(refused != "verified", "a flipped byte went unseen:\n{printed}");
        Self::show(last_lines(&printed, 6));
        fs::remove_dir_all(&altered)?;
        Ok((verdict, refused))
    }

    /// Everything ends in order.
    async fn stop(force: &mut Force) -> Result<()> {
        for site in SITES {
            force.site(site)?.terminate()?;
        }
        for site in SITES {
            let ended = force.site(site)?.wait(Duration::from_secs(30)).await?;
            ensure!(ended.success(), "{site} did not stop in order: {ended}");
        }
        force.controller.terminate()?;
        let ended = force.controller.wait(Duration::from_secs(30)).await?;
        ensure!(ended.success(), "the controller did not stop in order: {ended}");
        Ok(())
    }

    fn cameras() -> Vec<(String, Clip)> {
        let clips = [Clip::WalkwayH264, Clip::WalkwayH265];
        let mut cameras = Vec::new();
        for (index, site) in SITES.iter().enumerate() {
            cameras.push((format!("{site}/ext-01"), clips[index % 2]));
            cameras.push((format!("{site}/int-01"), clips[(index + 1) % 2]));
        }
        cameras
    }

    fn plans(site: &str, cameras: &Cameras) -> Result<Vec<CameraPlan>> {
        [("ext-01", true), ("int-01", false)]
            .into_iter()
            .map(|(name, masked)| {
                let url = cameras.url(&format!("{site}/{name}")).context("no such camera")?;
                let (name, url) = (name.to_owned(), url.to_string());
                Ok(CameraPlan { name, url, masked, protected: true })
            })
            .collect()
    }

    /// Waits until the sites have recorded enough to ask for; gives how many segments there are.
    async fn await_segments(&self, force: &Force) -> Result<u64> {
        let count = |sites: &Value| -> u64 {
            let all = sites.as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter_map(|site| site["segments"].as_u64()).sum()
        };
        let enough = eventually("enough segments", Duration::from_secs(90), || async {
            let sites = force.ask(TECHNICIAN, &["sites"]).await.ok()?;
            Some(count(&sites)).filter(|count| *count >= SEGMENTS_MIN)
        });
        Ok(enough.await?)
    }

    /// What must not work does not.
    async fn refusals(&mut self, force: &Force, case: &str) -> Result<()> {
        self.say("What is not allowed is refused, and the refusal is logged");
        let approve = ["evidence", "approve", case, "--reason", "I need it"];
        let own = force.cli(TECHNICIAN, &approve).await?;
        ensure!(own.code == 3, "approving without the role: exit code {}", own.code);
        Self::show(&own.err);
        let unknown = ["evidence", "request", "--camera", "east/ext-99", "--from", "-20s", "--to"];
        let mut unknown = unknown.to_vec();
        unknown.extend(["now", "--purpose", "crime", "--reason", "theft"]);
        unknown.extend(["--crime-reference", "42/1/26"]);
        let unknown = force.cli(TECHNICIAN, &unknown).await?;
        ensure!(unknown.code == 3, "a camera that does not exist: exit code {}", unknown.code);
        Self::show(&unknown.err);
        Ok(())
    }

    /// A copy of the bundle with one bit of one master flipped.
    fn flip_a_byte(&self, bundle: &Path) -> Result<PathBuf> {
        let copy = self.folder.join("altered");
        copy_folder(bundle, &copy)?;
        let masters = copy.join("data/master/east/ext-01");
        let mut files: Vec<PathBuf> =
            fs::read_dir(&masters)?.map(|f| Ok(f?.path())).collect::<Result<_>>()?;
        files.sort();
        let master = files
            .iter()
            .find(|f| f.extension().is_some_and(|e| e == "m4s"))
            .context("no master in the bundle")?;
        let mut bytes = fs::read(master)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(master, bytes)?;
        Ok(copy)
    }

    async fn stay(&mut self, force: &Force) -> Result<()> {
        self.say("Left running; Ctrl-C ends it. Commands to try:");
        let program = harness::rig::process::program("watchhouse")?;
        let prefix = |person| format!("{} {}", program.display(), force.identity(person).join(" "));
        for (person, command) in [
            (TECHNICIAN, "cameras"),
            (TECHNICIAN, "health"),
            (TECHNICIAN, "evidence list"),
            (AUDITOR, "audit"),
        ] {
            Self::show(&format!("{} {command}", prefix(person)));
        }
        Ok(host::tasks::stop_signal().await?)
    }
}

/// The verdict (`verified`, or the first code) and what the verifier printed.
async fn verify(bundle: &Path, key: &Path) -> Result<(String, String)> {
    let run = |output: &'static str| async move {
        Launch::of("verify")?
            .args([bundle])
            .args(["--key".into(), key.as_os_str().to_owned()])
            .args(["--output", output])
            .run(Duration::from_secs(60))
            .await
    };
    let json: Value = serde_json::from_slice(&run("json").await?.stdout)?;
    let printed = String::from_utf8_lossy(&run("text").await?.stdout).into_owned();
    let verdict = if json["verified"] == true {
        "verified".to_owned()
    } else {
        let code = json["refusals"][0]["code"].as_str();
        code.context("a refusal without a code")?.to_owned()
    };
    Ok((verdict, printed))
}

/// From approval to bundle by the controller's own log.
fn seconds_between(approved: &str, case: &Value) -> Option<f64> {
    let approved: custody::WallTime =
        case["decided"].as_str().or(Some(approved)).and_then(|t| t.parse().ok())?;
    let bundled: custody::WallTime = case["bundled"].as_str()?.parse().ok()?;
    Some(millis(bundled.micros_since(approved)))
}

fn millis(micros: i64) -> f64 {
    f64::from(i32::try_from(micros / 1000).unwrap_or(i32::MAX)) / 1000.0
}

fn last_lines(text: &str, count: usize) -> &str {
    let text = text.trim_end();
    let start = text.rmatch_indices('\n').nth(count - 1).map_or(0, |(at, _)| at + 1);
    &text[start..]
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
