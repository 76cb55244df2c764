//! House rules that rustc and clippy cannot see. Run with `cargo test -p harness --test it tidy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file longer than this has two subjects.
const LINES_MAX: usize = 500;

/// Names under which anything may be put, and so nothing is found.
const JUNK_DRAWERS: [&str; 7] = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut faults = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            faults.push(format!("{}: begin with a `//!` sentence", path.display()));
        }
        let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines; split it", path.display()));
        }
    }
    none(&faults);
}

#[test]
fn every_wire_file_says_what_it_is_for() {
    let files = files("proto");
    assert!(!files.is_empty(), "no .proto file found; is the search broken?");
    let is_explained = |path: &PathBuf| fs::read_to_string(path).unwrap().starts_with("// ");
    let silent = files.iter().filter(|path| !is_explained(path));
    none(
        &silent.map(|path| format!("{}: begin with a comment", path.display())).collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_a_junk_drawer_or_a_mod_rs() {
    let mut faults = Vec::new();
    for path in rust_files() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if stem.split('_').any(|word| JUNK_DRAWERS.contains(&word)) {
            faults.push(format!("{}: name it after what it holds", path.display()));
        }
        if stem == "mod" {
            faults.push(format!("{}: write `foo.rs` beside `foo/`", path.display()));
        }
    }
    none(&faults);
}

#[test]
fn documents_name_only_paths_that_exist() {
    let mut faults = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for (number, line) in text.lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let is_path = quoted.contains('/') && !quoted.contains([' ', '<', '*', ':', '$']);
                // Absolute paths and `target/` are of a running machine, not of the checkout.
                let is_elsewhere = quoted.starts_with(['/', '~']) || quoted.starts_with("target/");
                if is_path && !is_elsewhere && !root().join(quoted).exists() {
                    faults.push(format!("{document}:{}: `{quoted}` does not exist", number + 1));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn rooms_depend_only_downwards() {
    // (crate, workspace crates that it may use)
    let allowed: [(&str, &[&str]); 8] = [
        ("custody", &[]),
        ("host", &["custody", "link"]), // its clock gives their `WallTime` and `Tick`
        ("link", &["custody"]),
        ("verifier", &["custody"]),
        ("proto", &["custody", "link"]),
        ("watchhouse", &["custody", "link", "proto", "verifier"]),
        ("edge-agent", &["custody", "host", "link", "proto"]),
        ("controller", &["custody", "host", "link", "proto", "verifier"]),
    ];
    for (package, may_use) in allowed {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges=normal,build", "--depth=1", "--prefix=none", "-p"])
            .arg(package)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.starts_with(package), "{tree}");
        for line in tree.lines().skip(1).filter(|line| line.contains("(/")) {
            let used = line.split(' ').next().unwrap();
            assert!(may_use.contains(&used), "{package} must not depend on {used}");
        }
    }
}

/// All faults at once: whoever broke a rule has often broken it more than once.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn rust_files() -> Vec<PathBuf> {
    let found = files("rs");
    assert!(found.len() > 20, "only {} Rust files found; is the search broken?", found.len());
    found
}

/// All files of the project with this extension.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> =
        ["edge-agent", "controller", "proto", "tests"].iter().map(|d| root().join(d)).collect();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            } else if path.is_dir()
                && !path.ends_with("target")
                && !path.ends_with("node_modules")
                && !path.is_symlink()
            {
                pending.push(path);
            }
        }
    }
    found
}
