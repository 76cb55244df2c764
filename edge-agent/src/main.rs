//! The `edge-agent` program: reads its arguments and runs the site.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records one site's cameras: masks, signs, seals, keeps, erases.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// Print a configuration file with every key and its default, and end.
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Record until SIGTERM or SIGINT; a second signal ends at once.
    Run {
        /// The site's TOML.
        #[arg(long)]
        config: PathBuf,
    },
    /// Check a configuration file: report every mistake with its line, and whether the disc can hold
    /// every camera's footage for as long as it must be kept.
    CheckConfig {
        /// The site's TOML.
        #[arg(long)]
        config: PathBuf,
        /// Compare with an empty disc of so many bytes instead of the one that is here.
        #[arg(long)]
        disc_bytes: Option<u64>,
    },
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line's answers")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{}", edge_agent::config::EXAMPLE);
        return ExitCode::SUCCESS;
    }
    let outcome = match arguments.command {
        None => return ExitCode::SUCCESS,
        Some(Command::CheckConfig { config, disc_bytes }) => {
            edge_agent::run::check(&config, disc_bytes).map(|said| println!("{said}"))
        }
        Some(Command::Run { config }) => edge_agent::run::run_until_signal(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
