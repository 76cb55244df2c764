//! Programs that nobody here wrote and that must agree with ours: verifiers in Go, Python and a
//! browser, a time-stamping authority, a witness outside the force.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::eventually::eventually;
use super::ports::free_tcp_port;
use super::process::{Launch, Running};

/// No foreign program needs longer; the first use installs the Python ones.
const DEADLINE: Duration = Duration::from_secs(600);
/// Debian's packages of Go libraries lie here.
const GOPATH: &str = "/usr/share/gocode";

/// The folder of `tests/interop`.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// The foreign programs, installed.
#[derive(Debug)]
pub struct Foreign {
    python: PathBuf,
}

impl Foreign {
    /// Finds them; installs the Python ones the first time.
    ///
    /// # Errors
    /// When they cannot be installed.
    pub async fn find() -> Result<Self> {
        let said = run("venv.sh", Launch::foreign("venv", scripts().join("venv.sh"))).await?;
        Ok(Self { python: Path::new(said.trim()).join("bin/python") })
    }

    /// Runs a script of `tests/interop` with Python; gives what it printed.
    ///
    /// # Errors
    /// When it ends with anything but 0: what it said is the error.
    pub async fn python(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<String> {
        let launch = Launch::foreign(script, &self.python).args([scripts().join(script)]);
        run(script, launch.args(arguments)).await
    }

    /// Runs a shell script of `tests/interop`.
    ///
    /// # Errors
    /// As [`Self::python`].
    pub async fn shell(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<String> {
        let launch = Launch::foreign(script, scripts().join(script)).env("PYTHON", &self.python);
        run(script, launch.args(arguments)).await
    }

    /// Opens a bundle's own `VERIFY.html` in Chromium, from disc; gives what it found, whatever that
    /// is. `screenshot` is where its picture goes.
    ///
    /// # Errors
    /// When the page comes to no verdict.
    pub async fn page(&self, bundle: &Path, key: &Path, screenshot: &Path) -> Result<Value> {
        let output = Launch::foreign("page.mjs", "node")
            .args([scripts().join("page.mjs").as_path(), bundle, key])
            .args([Path::new("--screenshot"), screenshot])
            .run(DEADLINE)
            .await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("page.mjs: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Go's checksum database code over a log's static files, or one proof: see `tlog.go`.
    ///
    /// # Errors
    /// As [`Self::python`].
    pub async fn go(
        &self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<String> {
        let launch = Launch::foreign("tlog.go", "go")
            .env("GO111MODULE", "off")
            .env("GOPATH", GOPATH)
            .env("GOFLAGS", "")
            .args(["run".into(), scripts().join("tlog.go")]);
        run("tlog.go", launch.args(arguments)).await
    }

    /// Starts a witness of others, which will believe the logs of [`OutsideWitness::trust`].
    ///
    /// # Errors
    /// When it does not start.
    pub async fn outside_witness(&self, folder: &Path) -> Result<OutsideWitness> {
        std::fs::create_dir_all(folder)?;
        let config = folder.join("witness.json");
        let port = free_tcp_port();
        let witness = OutsideWitness {
            python: self.python.clone(),
            config,
            url: format!("http://127.0.0.1:{port}"),
            vkey: String::new(),
            running: None,
        };
        let said = witness.command("init", &["--name", "outside.example/w1"]).await?;
        let vkey = said
            .split_whitespace()
            .find(|word| word.starts_with("outside.example/w1+"))
            .context("the witness printed no verifier key")?;
        Ok(OutsideWitness { vkey: vkey.to_owned(), ..witness })
    }
}

/// A C2SP witness that is not ours (PyPI `aics-witness`).
#[derive(Debug)]
pub struct OutsideWitness {
    python: PathBuf,
    config: PathBuf,
    /// Where it answers.
    pub url: String,
    /// Its verifier key.
    pub vkey: String,
    running: Option<Running>,
}

impl OutsideWitness {
    fn launch(&self, command: &str) -> Launch {
        Launch::foreign("outside-witness", &self.python)
            .args(["-m", "aics_witness", command, "--config"])
            .args([&self.config])
    }

    async fn command(&self, command: &str, arguments: &[&str]) -> Result<String> {
        run("aics-witness", self.launch(command).args(arguments.iter().copied())).await
    }

    /// Lets it believe a log.
    ///
    /// # Errors
    /// When it does not take the key.
    pub async fn trust(&self, origin: &str, vkey: &str) -> Result<()> {
        self.command("add-log", &["--origin", origin, "--vkey", vkey]).await.map(drop)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn serve(&mut self, log_dir: &Path) -> Result<()> {
        let listen = self.url.trim_start_matches("http://").to_owned();
        let launch = self.launch("serve").args(["--listen".to_owned(), listen.clone()]);
        self.running = Some(launch.start(log_dir)?);
        let up = eventually("the outside witness answers", Duration::from_secs(60), || async {
            tokio::net::TcpStream::connect(&listen).await.ok()
        });
        up.await.map(drop)?;
        Ok(())
    }

    /// What it has seen of each log, as JSON.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.command("status", &["--json"]).await?)?)
    }
}

/// A time-stamping authority: `openssl ts` behind HTTP.
#[derive(Debug)]
pub struct StampAuthority {
    /// Where it answers.
    pub url: String,
    /// Its certificate authority.
    pub ca: PathBuf,
    _running: Running,
}

impl StampAuthority {
    /// Starts one in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rig/tsa.py");
        let running = Launch::foreign("tsa", "/usr/bin/python3")
            .args(["-u".into(), script.into_os_string(), folder.as_os_str().to_owned()])
            .start(folder)?;
        let port =
            eventually("the time-stamping authority answers", Duration::from_secs(60), || async {
                running.log().lines().next().and_then(|line| line.trim().parse::<u16>().ok())
            });
        let url = format!("http://127.0.0.1:{}/", port.await?);
        Ok(Self { url, ca: folder.join("ca.pem"), _running: running })
    }
}

async fn run(what: &str, launch: Launch) -> Result<String> {
    let output = launch.run(DEADLINE).await?;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
    Ok(out.into_owned())
}
