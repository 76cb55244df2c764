//! Carries commands out: one file for each family.

use crate::args::{Args, Command};
use crate::failure::{Exit, Failure};

mod erasure;
mod estate;
mod evidence;
mod fetch;
mod generate;
mod holds;
mod people;
mod trail;
mod verify;

/// Carries the command out.
///
/// # Errors
/// With what went wrong, the next step and the exit status.
pub async fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Sites => estate::sites(args).await,
        Command::Site(command) => estate::site(args, command).await,
        Command::Cameras { site } => estate::cameras(args, site.as_ref()).await,
        Command::Health => estate::health(args).await,
        Command::Logs => estate::logs(args).await,
        Command::People(command) => people::run(args, command).await,
        Command::Evidence(command) => evidence::run(args, command).await,
        Command::Hold(command) => holds::run(args, command).await,
        Command::Erasure(command) => erasure::run(args, command).await,
        Command::Audit(which) => trail::run(args, which).await,
        Command::Verify { folder, key } => verify::run(args.output, folder, key),
        Command::Completions { shell } => generate::completions(*shell),
        Command::Man { folder } => generate::man(folder),
    }
}
