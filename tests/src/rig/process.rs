//! Our programs as processes: started with their output in a file, killed, asked to end, awaited.
//!
//! The programs are those that cargo last built into the target directory that the test itself
//! lies in. They are brought up to date once per test process, so that a test never talks to a
//! program of yesterday.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Set by the Makefile, which has just built them: the programs are used as they are.
const BUILT: &str = "WATCHHOUSE_PROGRAMS_BUILT";

/// A program to be started, and how.
#[derive(Debug)]
pub struct Launch {
    name: String,
    command: Command,
}

impl Launch {
    /// The program `name` of this workspace: `edge-agent`, `controller`, `watchhouse`, `verify`.
    ///
    /// # Errors
    /// If it cannot be built or does not exist.
    pub fn of(name: &str) -> Result<Self> {
        Ok(Self::foreign(name, program(name)?))
    }

    /// As [`Launch::of`], under another name for its log: one program, several processes.
    ///
    /// # Errors
    /// If it cannot be built or does not exist.
    pub fn named(program_name: &str, name: &str) -> Result<Self> {
        Ok(Self::foreign(name, program(program_name)?))
    }

    /// A program that is not ours, by its path or its name on PATH.
    #[must_use]
    pub fn foreign(name: &str, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.kill_on_drop(true).stdin(Stdio::null());
        Self { name: name.to_owned(), command }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable for the program alone.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Starts it; standard output and error are added to `<log_dir>/<name>.log`.
    ///
    /// # Errors
    /// If the log cannot be opened or the program cannot be started.
    pub fn start(mut self, log_dir: &Path) -> Result<Running> {
        fs::create_dir_all(log_dir)
            .with_context(|| format!("could not make {}", log_dir.display()))?;
        let log = log_dir.join(format!("{}.log", self.name));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("could not open {}", log.display()))?;
        let child = self
            .command
            .stdout(file.try_clone().context("could not share the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("could not start {}", self.name))?;
        Ok(Running { name: self.name, log, child })
    }

    /// Runs it to its end and gives what it said; for the command line.
    ///
    /// # Errors
    /// If it cannot be started, or has not ended at the deadline: it is killed then.
    pub async fn run(mut self, deadline: Duration) -> Result<Output> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child =
            self.command.spawn().with_context(|| format!("could not start {}", self.name))?;
        timeout(deadline, child.wait_with_output())
            .await
            .with_context(|| format!("{} had not ended after {deadline:?}", self.name))?
            .with_context(|| format!("could not wait for {}", self.name))
    }
}

/// A program that was started; killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Running {
    /// What the program has said so far, over all its starts with the same log directory.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("({} cannot be read: {error})", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Where its log lies.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Its process id, while it has not been seen to end.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// If the kernel cannot say.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("could not look at {}", self.name))
    }

    /// SIGKILL, and waits until it is gone: what a power cut is to a process.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("could not kill {}", self.name))
    }

    /// SIGTERM: asks it to end; follow with [`Running::wait`].
    ///
    /// # Errors
    /// If it has already ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: it hangs as if its machine did, until [`Running::resume`].
    ///
    /// # Errors
    /// If it has already ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: goes on after [`Running::freeze`].
    ///
    /// # Errors
    /// If it has already ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(id) = id else { bail!("{} has already ended", self.name) };
        kill_process(id, signal).with_context(|| format!("could not signal {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it has not ended at the deadline; the error holds the end of its log.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let Ok(status) = timeout(deadline, self.child.wait()).await else {
            bail!("{} had not ended after {deadline:?}; its log ends:\n{}", self.name, self.tail());
        };
        status.with_context(|| format!("could not wait for {}", self.name))
    }

    /// The last lines of the log, for a failing test's message.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Where the program `name` lies, freshly built.
///
/// # Errors
/// If the build fails or there is no such program.
pub fn program(name: &str) -> Result<PathBuf> {
    static BUILD: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let dir = BUILD
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!(error.clone()))?;
    let path = dir.join(name);
    ensure!(path.is_file(), "there is no program `{name}` at {}", path.display());
    Ok(path)
}

/// Brings all programs up to date and gives the directory they lie in.
fn build() -> Result<PathBuf> {
    let own = std::env::current_exe().context("could not find this program")?;
    let dir = own.parent().context("this program lies nowhere")?;
    // Tests lie in `deps`, beside the programs.
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    if std::env::var_os(BUILT).is_some() {
        return Ok(dir.to_owned());
    }
    let profile = match dir.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    // The whole workspace, as everywhere: a part of it would choose other features and so build
    // RocksDB again.
    let built = std::process::Command::new("cargo")
        .args(["build", "--quiet", "--workspace", "--bins", "--profile", profile])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("CARGO_TARGET_DIR", dir.parent().context("the target directory has no parent")?)
        .output()
        .context("could not run cargo")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the programs do not build:\n{said}");
    Ok(dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::eventually::eventually;

    const SOON: Duration = Duration::from_secs(20);

    /// A shell that traps SIGTERM and says so.
    fn obedient(dir: &Path) -> Running {
        let script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        Launch::foreign("obedient", "/bin/sh").args(["-c", script]).start(dir).unwrap()
    }

    async fn is_ready(running: &Running) {
        eventually("the shell is ready", SOON, || async {
            running.log().contains("ready").then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_program_that_is_asked_to_end_says_so_in_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = obedient(dir.path());
        is_ready(&running).await;
        assert!(running.has_ended().unwrap().is_none());
        running.terminate().unwrap();
        assert_eq!(running.wait(SOON).await.unwrap().code(), Some(7));
        assert_eq!(running.log(), "ready\nasked\n");
        assert!(running.terminate().is_err(), "it is gone");
    }

    #[tokio::test]
    async fn a_killed_program_has_no_last_word_and_its_log_goes_on_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = obedient(dir.path());
        is_ready(&running).await;
        running.kill().await.unwrap();
        assert_eq!(running.log(), "ready\n");
        let again = obedient(dir.path());
        eventually("both starts are in the log", SOON, || async {
            (again.log() == "ready\nready\n").then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_named_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = obedient(dir.path());
        is_ready(&running).await;
        let error = running.wait(Duration::from_millis(50)).await.unwrap_err().to_string();
        assert!(error.contains("obedient") && error.contains("ready"), "{error}");
        let slow = Launch::foreign("slow", "/bin/sleep").args(["60"]);
        assert!(slow.run(Duration::from_millis(50)).await.is_err());
    }

    #[test]
    fn our_programs_lie_beside_the_tests_freshly_built() {
        let path = program("watchhouse").unwrap();
        let tests = std::env::current_exe().unwrap();
        assert!(tests.starts_with(path.parent().unwrap()), "{}", path.display());
        let error = program("no-such-program").unwrap_err().to_string();
        assert!(error.contains("no-such-program"), "{error}");
    }
}
