//! Captures what a camera sends, to be played again in tests: see `tests/sessions/README.md`.
//!
//! `cargo run -p harness --bin capture -- rtsp://10.1.2.3/stream1 odd-camera.rtsp [SECONDS [LOGIN]]`
//! where LOGIN is a file that holds `user:password`. Neither of the two is in the capture.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::rig::captured::capture::capture;
use url::Url;

/// Enough for a sender report, which most cameras give each 5 s.
const SECONDS: u64 = 6;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it wrote")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (url, file, more) = match &arguments[..] {
        [url, file, more @ ..] if more.len() <= 2 => (url, file, more),
        _ => bail!(
            "capture URL FILE [SECONDS [LOGIN]]: the camera, the capture, how long, its login"
        ),
    };
    let url = Url::parse(url).context("the camera's address is no URL")?;
    let seconds = more.first().map_or(Ok(SECONDS), |text| text.parse());
    let seconds = seconds.context("SECONDS is a number")?;
    let login = match more.get(1) {
        Some(path) => Some(std::fs::read_to_string(path).context("the login cannot be read")?),
        None => None,
    };
    let login = match &login {
        Some(text) => Some(text.trim().split_once(':').context("a login is user:password")?),
        None => None,
    };
    let session = capture(&url, login, Duration::from_secs(seconds), "a camera").await?;
    let bytes = session.write();
    std::fs::write(file, &bytes).with_context(|| format!("{file} cannot be written"))?;
    println!(
        "{file}: {} bytes, {} records. It holds pictures: look at who is in them before it leaves the \
         site. Change `a camera` in its second line to what it is.",
        bytes.len(),
        session.records.len()
    );
    Ok(())
}
