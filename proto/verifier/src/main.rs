//! `verify BUNDLE --key authority.pub.pem`: prints what the bundle proves.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use custody::PublicKey;

/// Checks a bundle of footage, offline, with nothing but its folder and the authority's key.
///
/// Take the key from a source that you trust, not from the bundle.
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 verified, 1 refused, 2 cannot check.")]
struct Args {
    /// The bundle's folder.
    bundle: PathBuf,
    /// The authority's public key, PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The form of the report.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(why) => {
            let _closed = writeln!(std::io::stderr(), "verify: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, String> {
    let pem = fs::read_to_string(&args.key)
        .map_err(|error| format!("cannot read the key {}: {error}", args.key.display()))?;
    let trusted = PublicKey::from_pem(&pem).map_err(|bad| {
        format!("{} is {bad}; it begins with `BEGIN PUBLIC KEY`", args.key.display())
    })?;
    if !args.bundle.is_dir() {
        return Err(format!("{} is not a folder; unpack the bundle first", args.bundle.display()));
    }
    let report = verifier::verify(&args.bundle, &trusted);
    let text = match args.output {
        Output::Text => verifier::print::text(&report),
        Output::Json => serde_json::to_string_pretty(&report.to_json())
            .map(|json| json + "\n")
            .map_err(|error| format!("the report has no JSON form: {error}"))?,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("cannot print the report: {error}"))?;
    Ok(if report.verified() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
