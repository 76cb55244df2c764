//! `verify BUNDLE --key authority.pub.pem`: prints what the bundle, or a clip cut from it, proves.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use custody::coverage::Span;
use custody::log::Policy;
use custody::{CameraId, PublicKey, WallTime};
use verifier::{Report, Trust};

/// Checks a bundle or a clip of footage, offline, with nothing but its folder and the authority's key.
///
/// Take the key from a source that you trust, not from the bundle.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit status: 0 verified, 1 refused, 2 cannot check."
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    check: Check,
}

#[derive(clap::Args)]
struct Check {
    /// The folder of the bundle or the clip.
    #[arg(required = true)]
    bundle: Option<PathBuf>,
    /// The authority's public key, PEM.
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    /// A policy of witnesses (C2SP tlog-policy) to judge by, in place of the bundle's own.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Statements of the authority about sites' keys, published after the bundle was made.
    #[arg(long, value_name = "FILE")]
    statements: Option<PathBuf>,
    /// The form of the report.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// How many files are read at once; all cores when not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

#[derive(Subcommand)]
enum Command {
    /// Cuts a clip of whole fragments out of one segment of a bundle; the clip verifies alone.
    Cut {
        /// The bundle's folder.
        bundle: PathBuf,
        /// Whose footage: SITE/CAMERA.
        #[arg(long)]
        camera: CameraId,
        /// From: a time such as 2026-11-21T14:03:00Z.
        #[arg(long)]
        from: WallTime,
        /// To.
        #[arg(long)]
        to: WallTime,
        /// A new folder for the clip.
        #[arg(long, value_name = "FOLDER")]
        to_folder: PathBuf,
    },
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
    let done = match &args.command {
        Some(Command::Cut { from, to, .. }) if from >= to => {
            Err(format!("--from {from} is not before --to {to}: a clip needs a moment of footage"))
        }
        Some(Command::Cut { bundle, camera, from, to, to_folder }) => {
            let span = Span { from: *from, to: *to };
            cut(bundle, camera, span, to_folder)
        }
        None => check(&args.check),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            let _closed = writeln!(std::io::stderr(), "verify: {why}");
            ExitCode::from(2)
        }
    }
}

fn cut(bundle: &Path, camera: &CameraId, span: Span, to: &Path) -> Result<ExitCode, String> {
    let cut = verifier::cut::cut(bundle, camera, span, to).map_err(|error| error.to_string())?;
    let text = format!("{}: {camera} from {} to {}\n", to.display(), cut.from, cut.to);
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check) -> Result<ExitCode, String> {
    let (Some(bundle), Some(key)) = (&args.bundle, &args.key) else {
        return Err("give the bundle's folder and --key".into());
    };
    let authority = PublicKey::from_pem(&text(key, "the key")?)
        .map_err(|bad| format!("{} is {bad}; it begins with `BEGIN PUBLIC KEY`", key.display()))?;
    let mut trust = Trust::new(authority);
    if let Some(path) = &args.policy {
        let policy = Policy::read(&text(path, "the policy")?);
        trust.policy = Some(policy.map_err(|bad| format!("{}: {}", path.display(), bad.what()))?);
    }
    if let Some(path) = &args.statements {
        trust.statements = text(path, "the statements")?.into_bytes();
    }
    if !bundle.is_dir() {
        return Err(format!("{} is not a folder; unpack the bundle first", bundle.display()));
    }
    let report = verifier::verify_by(bundle, &trust, args.jobs.unwrap_or_else(verifier::cores));
    show(&report, args.output)?;
    Ok(if report.verified() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn text(path: &Path, what: &str) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("cannot read {what} {}: {error}", path.display()))
}

fn show(report: &Report, output: Output) -> Result<(), String> {
    let text = match output {
        Output::Text => verifier::print::text(report),
        Output::Json => serde_json::to_string_pretty(&report.to_json())
            .map(|json| json + "\n")
            .map_err(|error| format!("the report has no JSON form: {error}"))?,
    };
    print(&text)
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot print: {error}"))
}
