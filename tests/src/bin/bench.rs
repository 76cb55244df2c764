//! `make bench`: measures, beside a peer in the same run, and writes `target/bench/NAME.json`.
//! `make bench NAME=ingest` runs one.

use std::path::Path;

use anyhow::{Result, bail};
use harness::bench::{self, Figure};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
async fn main() -> Result<()> {
    let chosen = std::env::args().nth(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let names = match chosen.as_deref() {
        None => bench::NAMES,
        Some(name) if bench::NAMES.contains(&name) => &[name],
        Some(name) => bail!("no benchmark {name}; there are {}", bench::NAMES.join(", ")),
    };
    for name in names {
        let minutes = if *name == "force" { "twelve" } else { "two" };
        println!("{name}: measuring, this takes about {minutes} minutes");
        let figure: Figure = bench::run(name, &folder).await?;
        let json = serde_json::to_string_pretty(&figure)?;
        std::fs::write(folder.join(format!("{name}.json")), &json)?;
        println!("{json}");
    }
    Ok(())
}
