//! The command line of the controller.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use controller::{config, run};
use custody::PersonId;
use host::Clock;

#[derive(Parser)]
#[command(version, about = "Coordinates evidence, holds, health and audit for all sites")]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Arguments {
    /// Print a configuration with every key, and end
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make the authority, the log and the first administrator
    Init {
        #[command(flatten)]
        file: ConfigFile,
        /// The first administrator's name, like s.root
        #[arg(long)]
        administrator: PersonId,
    },
    /// Run until a signal asks to stop
    Run(ConfigFile),
    /// Say everything that is wrong with a configuration
    CheckConfig(ConfigFile),
    /// Say everything that is wrong with the event log; the controller must not be running
    CheckLog(ConfigFile),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration, TOML
    #[arg(long, env = "WATCHHOUSE_CONTROLLER_CONFIG")]
    config: PathBuf,
}

fn main() -> ExitCode {
    // Only fails if a provider was installed before, and nothing ran before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    host::telemetry::start();
    match act(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&format!("controller: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.print_config {
        say(config::EXAMPLE.trim_end());
        return Ok(());
    }
    match arguments.command {
        None => Ok(()),
        Some(Command::Init { file, administrator }) => {
            let config = config::load(&file.config)?;
            let token = run::init(&config, &administrator, &Clock::system())?;
            say(&format!("{administrator} is administrator; the token is in {}", token.display()));
            let key = config.state_dir.join(controller::registry::authority::PUBLIC_FILE);
            say(&format!("give {} to everyone who checks bundles", key.display()));
            Ok(())
        }
        Some(Command::Run(file)) => {
            let config = config::load(&file.config)?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("cannot start the asynchronous runtime")?;
            let ended = runtime.block_on(run::run(&config));
            // A blocking read or write that still runs is abandoned: every write is whole or not.
            runtime.shutdown_timeout(controller::limits::SHUTDOWN);
            Ok(ended?)
        }
        Some(Command::CheckConfig(file)) => {
            config::load(&file.config)?;
            say("the configuration is good");
            Ok(())
        }
        Some(Command::CheckLog(file)) => check_log(&file),
    }
}

fn check_log(file: &ConfigFile) -> anyhow::Result<()> {
    use controller::log::{EventLog as _, RocksLog, check, publish};
    use controller::registry::OwnKeys;
    let config = config::load(&file.config)?;
    let log = RocksLog::open(&config.state_dir.join("log"))?;
    let keys = OwnKeys::open(&config.state_dir)?;
    let vkey = publish::log_vkey(&publish::origin(&log, &config.domain), keys.log.public());
    let mut faults = check::check(&log);
    let public = config.state_dir.join(publish::FOLDER);
    for fault in check::check_published(&log, &public, &vkey) {
        if !faults.iter().any(|known| known.entry() == fault.entry() && fault.entry().is_some()) {
            faults.push(fault);
        }
    }
    for fault in &faults {
        say(&fault.to_string());
    }
    anyhow::ensure!(faults.is_empty(), "the log has {} fault(s)", faults.len());
    say(&format!(
        "the log is whole: {} entries; {} of them are signed and published",
        log.head()?,
        log.signed()?.map_or(0, |head| head.size)
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line answers on standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command line says errors on standard error")]
fn say_error(text: &str) {
    eprintln!("{text}");
}
