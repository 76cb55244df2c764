//! Shell completions and man pages, for the Makefile and packagers.

use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::{Exit, Failure};

pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "watchhouse", &mut text);
    io::stdout()
        .write_all(&text)
        .map_err(|error| Failure::local("cannot write to standard output", &error))?;
    Ok(Exit::Done)
}

pub(super) fn man(folder: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Args::command(), folder).map_err(|error| {
        Failure::local(&format!("cannot write man pages to {}", folder.display()), &error)
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_man_page_for_each_family_of_commands() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        for page in ["watchhouse.1", "watchhouse-evidence-request.1", "watchhouse-verify.1"] {
            assert!(folder.path().join(page).exists(), "{page}");
        }
    }
}
