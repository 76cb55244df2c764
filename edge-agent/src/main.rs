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
    /// Look at a disc that is taken out of service, have the recorder sign what was found, and print a
    /// page for whoever shreds it. Ends with 1 if more than sealed footage lies on it.
    Dispose {
        /// The site's TOML.
        #[arg(long)]
        config: PathBuf,
        /// The disc: its device, an image of it, or where it is mounted. None if it cannot be attached.
        #[arg(long)]
        disc: Option<PathBuf>,
        /// Its maker's serial number, or what is written on it.
        #[arg(long)]
        serial: String,
        /// Who takes it out, like t.okafor.
        #[arg(long)]
        person: custody::PersonId,
        /// Why it cannot be read, if it cannot.
        #[arg(long, required_unless_present = "disc")]
        unreadable: Option<String>,
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
        Some(Command::Dispose { config, disc, serial, person, unreadable }) => {
            let ask = edge_agent::dispose::Ask { config, disc, serial, person, unreadable };
            edge_agent::dispose::run(&ask).and_then(|outcome| {
                print!("{}", outcome.page);
                anyhow::ensure!(
                    outcome.is_sealed,
                    "more than sealed footage lies on it: see above"
                );
                Ok(())
            })
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
