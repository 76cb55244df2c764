//! Real RTSP cameras: `tests/rig/cameras.py` (GStreamer's RTSP server) as a child process.
//!
//! A set of cameras keeps its port and its addresses when it is stopped and started again, as
//! cameras do that lose power for a minute.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use url::Url;

use super::footage::Clip;

/// How long the server may take to read its clips and open its port.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How viewers prove themselves to the cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Anybody may watch.
    #[default]
    Open,
    /// RTSP basic authentication with [`USER`] and [`PASSWORD`].
    Basic,
    /// RTSP digest authentication with [`USER`] and [`PASSWORD`].
    Digest,
}

/// The user that protected cameras know.
pub const USER: &str = "recorder";
/// That user's password.
pub const PASSWORD: &str = "only-for-the-rig";

/// One camera as the server says that it serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name, which may have slashes: `east/ext-01`.
    pub name: String,
    /// `h264` or `h265`.
    pub codec: String,
    /// Its address, without user and password.
    pub url: Url,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    port: u16,
    cameras: Vec<ReadyCamera>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyCamera {
    name: String,
    codec: String,
    url: String,
}

impl TryFrom<ReadyCamera> for Served {
    type Error = url::ParseError;

    fn try_from(ready: ReadyCamera) -> Result<Self, Self::Error> {
        Ok(Self { name: ready.name, codec: ready.codec, url: Url::parse(&ready.url)? })
    }
}

/// A running (or stopped) set of cameras; gone when this is dropped.
#[derive(Debug)]
pub struct Cameras {
    wanted: Vec<(String, Clip)>,
    auth: Auth,
    /// How many seconds the cameras' clocks are ahead.
    ahead_s: i64,
    port: u16,
    served: Vec<Served>,
    /// The server, unless stopped. Its standard input is held open by us: when this process dies,
    /// however it dies, the server sees it close and ends.
    child: Option<Child>,
}

impl Cameras {
    /// Starts cameras on a free port and waits until they can be reached.
    ///
    /// # Errors
    /// If the server does not come up; its own words are in the error or on standard error.
    pub async fn start(
        cameras: impl IntoIterator<Item = (impl Into<String>, Clip)>,
        auth: Auth,
    ) -> Result<Self> {
        Self::start_ahead(cameras, auth, 0).await
    }

    /// As [`Cameras::start`], with cameras whose clocks are wrong by so many seconds.
    ///
    /// # Errors
    /// As [`Cameras::start`]; if Debian's faketime is not here.
    pub async fn start_ahead(
        cameras: impl IntoIterator<Item = (impl Into<String>, Clip)>,
        auth: Auth,
        ahead_s: i64,
    ) -> Result<Self> {
        let wanted = cameras.into_iter().map(|(name, clip)| (name.into(), clip)).collect();
        let mut rig = Self { wanted, auth, ahead_s, port: 0, served: Vec::new(), child: None };
        rig.restart().await?;
        Ok(rig)
    }

    /// Takes all the cameras away at once, without a goodbye.
    ///
    /// # Errors
    /// If the server cannot be killed.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("could not kill cameras.py")?;
        }
        Ok(())
    }

    /// Brings the cameras back on the port that they had.
    ///
    /// # Errors
    /// If the server does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rig/cameras.py"))
            .args(["--list", "--end-with-stdin", "--port", &self.port.to_string()])
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if self.ahead_s != 0 {
            with_wrong_clock(&mut command, self.ahead_s)?;
        }
        match self.auth {
            Auth::Open => {}
            Auth::Basic => with_password(&mut command, "basic"),
            Auth::Digest => with_password(&mut command, "digest"),
        }
        for (name, clip) in &self.wanted {
            let path = clip.path();
            let path = path.to_str().context("the checkout's path is not UTF-8")?;
            command.arg("--camera").arg(format!("{name}={path}"));
        }
        let mut child = command.spawn().context("could not start cameras.py")?;
        let stdout = child.stdout.take().context("cameras.py has no standard output")?;
        let mut line = String::new();
        timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line))
            .await
            .context("cameras.py was not ready in time")?
            .context("could not read from cameras.py")?;
        ensure!(!line.is_empty(), "cameras.py ended; run tests/rig/setup.sh if it lacks something");
        let ready: Ready = serde_json::from_str(&line)
            .with_context(|| format!("cameras.py said something unexpected: {line}"))?;
        self.port = ready.port;
        self.served = ready
            .cameras
            .into_iter()
            .map(Served::try_from)
            .collect::<Result<_, _>>()
            .context("cameras.py gave an address that is none")?;
        self.child = Some(child);
        Ok(())
    }

    /// What is served, in the order asked for.
    #[must_use]
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// The address of camera `name`, without user and password; none if there is no such camera.
    #[must_use]
    pub fn url(&self, name: &str) -> Option<&Url> {
        self.served.iter().find(|camera| camera.name == name).map(|camera| &camera.url)
    }

    /// The server's port, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Sets the program's wall clock, and leaves the monotonic one that paces the pictures.
fn with_wrong_clock(command: &mut Command, ahead_s: i64) -> Result<()> {
    let library =
        format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    ensure!(PathBuf::from(&library).exists(), "{library} is missing: install Debian's faketime");
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", format!("{ahead_s:+}s"))
        .env("DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

fn with_password(command: &mut Command, method: &str) {
    command.args(["--auth", method, "--user", USER, "--password", PASSWORD]);
}

/// What ffprobe, a stranger's RTSP client, says of a stream: `codec,width,height`.
///
/// # Errors
/// If it cannot get one picture's parameters; with its words.
pub async fn probe(url: &Url) -> Result<String> {
    let output = super::process::Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"])
        .args([PathBuf::from(url.as_str())])
        .run(Duration::from_secs(30))
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffprobe {url}: {said}");
    let seen = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(!seen.is_empty(), "ffprobe {url}: no video: {said}");
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cameras_of_both_codecs_go_away_and_come_back_where_they_were() {
        let wanted = [("east/ext-01", Clip::WalkwayH264), ("east/int-02", Clip::WalkwayH265)];
        let mut cameras = Cameras::start(wanted, Auth::Open).await.unwrap();
        let (first, second) =
            (cameras.served()[0].url.clone(), cameras.url("east/int-02").unwrap().clone());
        assert_eq!(probe(&first).await.unwrap(), "h264,960,720");
        assert_eq!(probe(&second).await.unwrap(), "hevc,960,720");
        cameras.stop().await.unwrap();
        assert!(probe(&first).await.is_err(), "the cameras are gone");
        cameras.restart().await.unwrap();
        assert_eq!(cameras.url("east/ext-01"), Some(&first));
        assert_eq!(probe(&first).await.unwrap(), "h264,960,720");
    }

    #[tokio::test]
    async fn protected_cameras_show_themselves_to_the_recorder_alone() {
        for auth in [Auth::Basic, Auth::Digest] {
            let cameras = Cameras::start([("ext-01", Clip::SmallH264)], auth).await.unwrap();
            let mut url = cameras.url("ext-01").unwrap().clone();
            assert!(probe(&url).await.unwrap_err().to_string().contains("401"), "{auth:?}");
            url.set_username(USER).unwrap();
            url.set_password(Some(PASSWORD)).unwrap();
            assert_eq!(probe(&url).await.unwrap(), "h264,320,240", "{auth:?}");
        }
    }

    #[tokio::test]
    async fn no_camera_outlives_the_test_that_started_it_even_when_that_is_killed() {
        let mut cameras = Cameras::start([("ext-01", Clip::SmallH264)], Auth::Open).await.unwrap();
        let mut server = cameras.child.take().unwrap();
        // What the kernel does with our end of the pipe when we die.
        drop(server.stdin.take());
        let ended = timeout(Duration::from_secs(20), server.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
    }
}
