//! A small force on one machine: a controller and its sites as the real programs, people with
//! accounts, cameras that really stream. The demo, the end-to-end tests and the benchmarks drive it
//! as its users would: through the `watchhouse` command line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::rig::cameras::{PASSWORD, USER};
use crate::rig::eventually::eventually;
use crate::rig::ports::{free_tcp_port, free_udp_port};
use crate::rig::process::{Launch, Running, program};

mod story;

/// Longer than any command of the CLI should take here, but for those that watch or fetch.
const COMMAND: Duration = Duration::from_secs(60);
/// A mask over the top left of the picture and a triangle at its right edge.
pub const ZONES: &str =
    "[[[0.0, 0.0], [0.4, 0.0], [0.4, 0.25], [0.0, 0.25]], [[1.0, 0.5], [1.0, 1.0], [0.7, 1.0]]]";
/// The names under which the people of a force have accounts.
pub const TECHNICIAN: &str = "t.okafor";
/// Approves releases.
pub const AUTHORISER: &str = "a.singh";
/// Reads the audit trail.
pub const AUDITOR: &str = "r.jones";
/// Enrols sites and people.
pub const ADMINISTRATOR: &str = "s.admin";

/// One camera of a site's settings.
#[derive(Debug, Clone)]
pub struct CameraPlan {
    /// Its name at the site: `ext-01`.
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// Whether it needs a mask: then it is an external one.
    pub masked: bool,
    /// Whether it asks for the rig's user and password.
    pub protected: bool,
}

impl CameraPlan {
    /// An internal camera at `url` that anybody may watch.
    #[must_use]
    pub fn internal(name: &str, url: impl std::fmt::Display) -> Self {
        Self { name: name.to_owned(), url: url.to_string(), masked: false, protected: false }
    }
}

/// How sites record.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Seconds per segment.
    pub segment_s: u32,
    /// As in the settings file: `31d`.
    pub retain: String,
    /// A session without a frame for this long is given up.
    pub stall_ms: u32,
    /// What pulls may use of the link; 0: no limit.
    pub pull_bytes_per_second: u64,
    /// With less free space the oldest unheld footage goes.
    pub reserve_free_bytes: u64,
    /// Threads that mask; 0: all cores but one.
    pub mask_workers: u32,
    /// `fast` or `fine`.
    pub mask_effort: &'static str,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            segment_s: 4,
            retain: "31d".to_owned(),
            stall_ms: 3000,
            pull_bytes_per_second: 0,
            reserve_free_bytes: 0,
            mask_workers: 0,
            mask_effort: "fast",
        }
    }
}

/// A controller, its sites and its people. Everything ends when this is dropped.
#[derive(Debug)]
pub struct Force {
    folder: PathBuf,
    api_port: u16,
    fleet_port: u16,
    /// The controller's process.
    pub controller: Running,
    /// The sites' processes, by name.
    pub sites: BTreeMap<String, Running>,
}

/// What a command of the CLI came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The JSON it printed.
    ///
    /// # Errors
    /// When it failed or printed something else.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.code == 0, "exit code {}: {}", self.code, self.err);
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {}", self.out))
    }
}

impl Force {
    /// Starts a controller in `folder`, with one account for each role that the stories need.
    ///
    /// # Errors
    /// When a program does not start or does not answer.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, "").await
    }

    /// As [`Self::start`], with `more` at the end of the controller's settings.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(folder: &Path, more: &str) -> Result<Self> {
        let (api_port, fleet_port) = (free_tcp_port(), free_udp_port());
        fs::create_dir_all(folder.join("etc"))?;
        let state = folder.join("controller");
        let config = format!(
            "state_dir = \"{}\"\n\n[listen]\nfleet = \"127.0.0.1:{fleet_port}\"\n\
             api = \"127.0.0.1:{api_port}\"\nnames = [\"127.0.0.1\", \"localhost\"]\n\n{more}",
            state.display()
        );
        let config_path = folder.join("etc/controller.toml");
        fs::write(&config_path, config)?;
        let init = Launch::of("controller")?
            .args(["init", "--administrator", ADMINISTRATOR, "--config"])
            .args([&config_path])
            .run(COMMAND)
            .await?;
        ensure!(init.status.success(), "controller init: {}", Said::of(&init).err);
        let controller = Self::launch_controller(folder)?;
        let mut force = Self {
            folder: folder.to_owned(),
            api_port,
            fleet_port,
            controller,
            sites: BTreeMap::new(),
        };
        force.keep_token(ADMINISTRATOR, &fs::read_to_string(state.join("administrator.token"))?)?;
        force.await_controller().await?;
        for (person, role) in
            [(TECHNICIAN, "technician"), (AUTHORISER, "authoriser"), (AUDITOR, "auditor")]
        {
            let added =
                force.ask(ADMINISTRATOR, &["people", "add", person, "--role", role]).await?;
            let token = added["token"].as_str().context("no token in the answer")?;
            force.keep_token(person, token)?;
        }
        Ok(force)
    }

    fn launch_controller(folder: &Path) -> Result<Running> {
        Launch::of("controller")?
            .args(["run", "--config"])
            .args([folder.join("etc/controller.toml")])
            .start(&folder.join("log"))
    }

    /// Waits until the controller answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub async fn await_controller(&mut self) -> Result<()> {
        let answered = eventually("the controller answers", Duration::from_secs(30), || async {
            self.cli(ADMINISTRATOR, &["sites"]).await.ok().filter(|said| said.code == 0)
        });
        answered.await.with_context(|| self.controller.tail())?;
        Ok(())
    }

    /// Starts the controller again after it was killed or stopped.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_controller(&mut self) -> Result<()> {
        self.controller = Self::launch_controller(&self.folder)?;
        self.await_controller().await
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where sites call the controller.
    #[must_use]
    pub fn fleet_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.fleet_port).into()
    }

    /// The public key that bundles are checked with.
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.folder.join("controller/authority.pub.pem")
    }

    /// A site's settings file.
    #[must_use]
    pub fn site_config(&self, site: &str) -> PathBuf {
        self.folder.join(format!("etc/{site}.toml"))
    }

    /// A site's state folder.
    #[must_use]
    pub fn site_state(&self, site: &str) -> PathBuf {
        self.folder.join(site)
    }

    fn token_path(&self, person: &str) -> PathBuf {
        self.folder.join(format!("etc/{person}.token"))
    }

    /// Keeps a person's token where [`Force::cli`] finds it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_token(&self, person: &str, token: &str) -> Result<()> {
        Ok(host::durable::replace(
            &self.token_path(person),
            token.trim().as_bytes(),
            host::durable::Reader::Owner,
        )?)
    }

    /// Writes a site's settings, gets it a token and starts its agent, calling the controller at
    /// `via` (the controller itself, or a bad network before it).
    ///
    /// # Errors
    /// When the token is refused or the agent does not start.
    pub async fn add_site(
        &mut self,
        site: &str,
        cameras: &[CameraPlan],
        recording: &Recording,
        via: SocketAddr,
    ) -> Result<()> {
        self.prepare_site(site, cameras, recording, via).await?;
        self.start_site(site)
    }

    /// As [`Self::add_site`], but for starting the agent.
    ///
    /// # Errors
    /// When the token is refused or a file cannot be written.
    pub async fn prepare_site(
        &self,
        site: &str,
        cameras: &[CameraPlan],
        recording: &Recording,
        via: SocketAddr,
    ) -> Result<()> {
        let minted = self.ask(ADMINISTRATOR, &["site", "enrol-token", site]).await?;
        let token = minted["token"].as_str().context("no token in the answer")?;
        self.keep_token(&format!("{site}-enrol"), token)?;
        self.write_site(site, cameras, recording, via)
    }

    /// Writes a site's settings.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_site(
        &self,
        site: &str,
        cameras: &[CameraPlan],
        recording: &Recording,
        via: SocketAddr,
    ) -> Result<()> {
        let credentials = self.folder.join("etc/camera.credentials");
        fs::write(&credentials, format!("{USER}:{PASSWORD}\n"))?;
        let mut text = format!(
            "site = \"{site}\"\nstate_dir = \"{}\"\n\n[controller]\naddress = \"{via}\"\n\
             server_name = \"127.0.0.1\"\nenrolment_token_path = \"{}\"\n\n[recording]\n\
             segment_s = {}\nretain = \"{}\"\nreserve_free_bytes = {}\nstall_ms = {}\n\n[link]\npull_bytes_per_second = {}\n\n[mask]\nworkers = {}\neffort = \"{}\"\n",
            self.site_state(site).display(),
            self.token_path(&format!("{site}-enrol")).display(),
            recording.segment_s,
            recording.retain,
            recording.reserve_free_bytes,
            recording.stall_ms,
            recording.pull_bytes_per_second,
            recording.mask_workers,
            recording.mask_effort,
        );
        for camera in cameras {
            let place = if camera.masked { "external" } else { "internal" };
            write!(
                text,
                "\n[[camera]]\nname = \"{}\"\nplace = \"{place}\"\nurl = \"{}\"\n",
                camera.name, camera.url
            )?;
            if camera.protected {
                writeln!(text, "credentials_path = \"{}\"", credentials.display())?;
            }
            if camera.masked {
                write!(
                    text,
                    "mask = \"required\"\n[camera.policy]\npolicy_id = \"{}-neighbours\"\n\
                     revision = 1\napproved_by = \"d.mensah\"\nzones = {ZONES}\n",
                    camera.name
                )?;
            } else {
                text.push_str("mask = \"none\"\nunmasked_approved_by = \"d.mensah\"\n");
            }
        }
        Ok(fs::write(self.site_config(site), text)?)
    }

    /// Starts a site's agent, again or for the first time.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_site(&mut self, site: &str) -> Result<()> {
        let agent = Launch::named("edge-agent", site)?
            .args(["run", "--config"])
            .args([self.site_config(site)])
            .start(&self.folder.join("log"))?;
        self.sites.insert(site.to_owned(), agent);
        Ok(())
    }

    /// As [`Self::start_site`], by a program that becomes the agent, such as `env` or `unshare`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_site_by(&mut self, site: &str, wrapper: &str, before: &[&str]) -> Result<()> {
        let agent = Launch::foreign(site, wrapper)
            .args(before.iter().copied())
            .args([program("edge-agent")?.into_os_string(), "run".into(), "--config".into()])
            .args([self.site_config(site)])
            .start(&self.folder.join("log"))?;
        self.sites.insert(site.to_owned(), agent);
        Ok(())
    }

    /// A site's process.
    ///
    /// # Errors
    /// When there is no such site.
    pub fn site(&mut self, site: &str) -> Result<&mut Running> {
        self.sites.get_mut(site).with_context(|| format!("no site {site}"))
    }

    /// The arguments that every command of `person` begins with.
    #[must_use]
    pub fn identity(&self, person: &str) -> Vec<String> {
        vec![
            "--controller".to_owned(),
            format!("https://127.0.0.1:{}", self.api_port),
            "--ca".to_owned(),
            self.folder.join("controller/pki/ca.pem").display().to_string(),
            "--token-file".to_owned(),
            self.token_path(person).display().to_string(),
        ]
    }

    /// Runs `watchhouse` as `person`; gives what it said, whatever that was.
    ///
    /// # Errors
    /// When it cannot be run or does not end.
    pub async fn cli(&self, person: &str, arguments: &[&str]) -> Result<Said> {
        let output = Launch::of("watchhouse")?
            .args(self.identity(person))
            .args(arguments.iter().copied())
            .run(COMMAND * 3)
            .await?;
        Ok(Said::of(&output))
    }

    /// Runs `watchhouse` as `person` and gives its JSON answer.
    ///
    /// # Errors
    /// When it fails.
    pub async fn ask(&self, person: &str, arguments: &[&str]) -> Result<Value> {
        let mut with_json = vec!["--output", "json"];
        with_json.extend(arguments);
        let said = self.cli(person, &with_json).await?;
        said.json().with_context(|| format!("watchhouse {}", arguments.join(" ")))
    }
}
