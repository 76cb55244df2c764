//! The command line of Watchhouse: asks the controller over gRPC on TLS, and checks bundles.
//!
//! Decides nothing about access or evidence; the controller and [`verifier`] do. Writes answers on
//! standard output, everything else on standard error.
//!
//! | file | holds |
//! |---|---|
//! | [`args`] | commands and options |
//! | [`when`] | times as people write them |
//! | [`failure`] | what went wrong, the next step, the exit status |
//! | [`connect`] | the controller's address, CA and token |
//! | [`show`] | answers as tables and as JSON with stable names |
//! | [`receive`] | the pieces of a fetched bundle, checked before they are written |
//! | [`parcel`] | a fetched bundle as one file, encrypted to its recipients |
//! | [`run`] | one file for each family of commands |

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

pub mod args;
pub mod connect;
pub mod failure;
pub mod parcel;
pub mod receive;
pub mod run;
pub mod show;
pub mod when;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run::run(&args)),
        Err(error) => Err(failure::Failure::local("cannot start", &error)),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let _closed = writeln!(std::io::stderr(), "{failure}");
            failure.exit.into()
        }
    }
}
