//! `watchhouse`: see [`watchhouse_cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    watchhouse_cli::main()
}
