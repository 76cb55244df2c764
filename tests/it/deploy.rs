//! What `deploy/` and `ansible/` would install, judged by `deploy/check.sh` with our own programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::rig::process::program;

#[test]
fn the_roles_install_a_working_force() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut check = Command::new(project.join("deploy/check.sh"));
    check.stdin(Stdio::null()).env_remove("EDGE_AGENT_BIN").env_remove("CONTROLLER_BIN");
    let mut missing = 0;
    for (variable, name) in [("EDGE_AGENT_BIN", "edge-agent"), ("CONTROLLER_BIN", "controller")] {
        if has_program(&project, name) {
            check.env(variable, program(name).unwrap());
        } else {
            missing += 1;
        }
    }
    let done = check.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with(&format!(" passed, 0 failed, {missing} skipped")), "{said}{errors}");
}

/// Whether the crate has become a program yet.
fn has_program(project: &Path, name: &str) -> bool {
    let main: PathBuf = [project, Path::new(name), Path::new("src/main.rs")].iter().collect();
    main.is_file()
}
