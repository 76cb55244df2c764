//! Runs `c2pa-sign`, which puts a C2PA manifest into a playable copy. It is a program of its own so
//! that the 300 packages that C2PA brings never enter the controller.
//!
//! The manifest is for players that know C2PA and nothing else; the proof of the footage stands
//! without it. So a copy that cannot be signed is bundled as it is: a court date does not wait for
//! a convenience. That it is unsigned, and why, is logged as an error and said inside the sealed
//! payload, where nobody can add or remove it later.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The program and what it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// `c2pa-sign`.
    pub program: PathBuf,
    /// The certificate, PEM; the authority's is not in it.
    pub certificate: PathBuf,
    /// Its P-256 key, PKCS#8 PEM.
    pub key: PathBuf,
}

/// Starting takes under a second; a disc reads and writes 20 MB a second at its worst.
const TIME_MIN: Duration = Duration::from_secs(60);
const BYTES_A_SECOND_MIN: u64 = 20_000_000;
/// Of what the program says when it fails, so much is kept.
const WORDS_MAX: usize = 500;

impl Signer {
    /// Signs `unsigned` into `signed`, which must not exist.
    ///
    /// # Errors
    /// In words, when there is no manifest in the end.
    pub(super) fn sign(
        &self,
        definition: &[u8],
        unsigned: &Path,
        signed: &Path,
    ) -> Result<(), String> {
        let bytes = std::fs::metadata(unsigned).map_err(|e| e.to_string())?.len();
        let time = TIME_MIN + Duration::from_secs(bytes / BYTES_A_SECOND_MIN);
        // A runtime of its own: this thread may block, and the child must not outlive its time.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("it cannot be started: {e}"))?;
        let run = async {
            let signing = self.run(definition, unsigned, signed);
            tokio::time::timeout(time, signing).await
        };
        match runtime.block_on(run) {
            Err(_) => Err(format!("it did not end within {} s", time.as_secs())),
            Ok(Err(error)) => Err(format!("{} cannot be run: {error}", self.program.display())),
            Ok(Ok(Err(why))) => Err(why),
            Ok(Ok(Ok(()))) if signed.exists() => Ok(()),
            Ok(Ok(Ok(()))) => Err("it says that it signed, and has not".to_owned()),
        }
    }

    async fn run(
        &self,
        definition: &[u8],
        unsigned: &Path,
        signed: &Path,
    ) -> io::Result<Result<(), String>> {
        let mut child = Command::new(&self.program)
            .arg("--certificate")
            .arg(&self.certificate)
            .arg("--key")
            .arg(&self.key)
            .arg(unsigned)
            .arg(signed)
            .env_clear()
            // A long copy is spooled beside itself: the system's own folder may be small.
            .env("TMPDIR", unsigned.parent().unwrap_or(unsigned))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that ended before it read says why itself.
            let _written = stdin.write_all(definition).await;
        }
        let ended = child.wait_with_output().await?;
        if ended.status.success() {
            return Ok(Ok(()));
        }
        let words = String::from_utf8_lossy(&ended.stderr);
        let words: String = words.trim().chars().take(WORDS_MAX).collect();
        Ok(Err(format!("{}: {words}", ended.status)))
    }
}
