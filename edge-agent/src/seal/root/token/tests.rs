//! Against SoftHSM, in a process of its own: a PKCS#11 module is one per process and finds its tokens by
//! an environment variable. Its folder of tokens stands for the token's own hardware.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::seal::KeyRing;

/// Where Debian's softhsm2 puts the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const FOLDER: &str = "WATCHHOUSE_TEST_ROOT_TOKENS";

/// Runs the test of that path once more, in a process that has a SoftHSM of its own with one token.
pub(crate) fn with_a_token(name: &str, test: impl FnOnce(&Path)) {
    if let Ok(folder) = std::env::var(FOLDER) {
        return test(Path::new(&folder));
    }
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: install Debian's softhsm2");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", at("tokens").display());
    fs::write(at("softhsm2.conf"), conf).unwrap();
    fs::write(at("pin"), "123456\n").unwrap();
    fs::set_permissions(at("pin"), fs::Permissions::from_mode(0o600)).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "watchhouse-east"])
        .args(["--pin", "123456", "--so-pin", "654321"])
        .env("SOFTHSM2_CONF", at("softhsm2.conf"))
        .output()
        .expect("install Debian's softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("SOFTHSM2_CONF", at("softhsm2.conf"))
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

pub(crate) fn settings(folder: &Path) -> Token {
    Token {
        module: PathBuf::from(MODULE),
        token_label: "watchhouse-east".to_owned(),
        key_label: "site-key".to_owned(),
        pin_path: folder.join("pin"),
    }
}

/// The path of a test of this file.
fn test(name: &str) -> String {
    format!("seal::root::token::tests::{name}")
}

fn generations(root: &TokenRoot) -> Vec<u64> {
    let mut generations: Vec<_> =
        root.secrets().unwrap().iter().map(|secret| secret.generation).collect();
    generations.sort_unstable();
    generations
}

#[test]
fn a_site_key_is_kept_in_the_token_and_destroyed_in_it() {
    with_a_token(&test("a_site_key_is_kept_in_the_token_and_destroyed_in_it"), |folder| {
        let root = TokenRoot::open(settings(folder)).unwrap();
        assert!(generations(&root).is_empty());
        let secret = |generation: u8| Secret {
            generation: u64::from(generation),
            key: Key::new([generation; 32]),
        };
        root.add(&secret(1)).unwrap();
        root.add(&secret(1)).unwrap();
        root.add(&secret(2)).unwrap();
        assert_eq!(generations(&TokenRoot::open(settings(folder)).unwrap()), [1, 2]);
        root.destroy(1).unwrap();
        root.destroy(1).unwrap();
        assert_eq!(root.secrets().unwrap()[0].digest(), secret(2).digest());
        // Another label of the same token is another's.
        let other = Token { key_label: "other".to_owned(), ..settings(folder) };
        assert!(generations(&TokenRoot::open(other).unwrap()).is_empty());
    });
}

#[test]
fn an_old_copy_of_every_file_opens_nothing_once_the_token_has_moved_on() {
    let name = "an_old_copy_of_every_file_opens_nothing_once_the_token_has_moved_on";
    with_a_token(&test(name), |folder| {
        let root = || Box::new(TokenRoot::open(settings(folder)).unwrap());
        let site = "east".parse().unwrap();
        let keys = folder.join("keys");
        let ring = KeyRing::open(&keys, &site, root()).unwrap();
        ring.make_hour(500).unwrap();
        drop(ring);
        let backup = folder.join("backup");
        fs::create_dir(&backup).unwrap();
        fs::copy(keys.join("ring"), backup.join("ring")).unwrap();
        assert!(KeyRing::open(&backup, &site, root()).unwrap().has_hour(500));
        let ring = KeyRing::open(&keys, &site, root()).unwrap();
        let next = ring.prepare().unwrap();
        ring.turn(&next, &[500], &[]).unwrap();
        ring.finish().unwrap();
        let refused = KeyRing::open(&backup, &site, root()).err().unwrap().to_string();
        assert!(refused.contains("opens under no site key"), "{refused}");
        assert!(!keys.join("root").exists(), "no site key is in a file");
    });
}

#[test]
fn a_token_that_is_away_is_said_and_asked_again() {
    with_a_token(&test("a_token_that_is_away_is_said_and_asked_again"), |folder| {
        let root = TokenRoot::open(settings(folder)).unwrap();
        root.add(&Secret { generation: 1, key: Key::new([1; 32]) }).unwrap();
        let (tokens, away) = (folder.join("tokens"), folder.join("away"));
        host::durable::rename(&tokens, &away).unwrap();
        fs::create_dir(&tokens).unwrap();
        let said = root.secrets().err().unwrap().to_string();
        assert!(said.contains("no token `watchhouse-east`"), "{said}");
        fs::remove_dir_all(&tokens).unwrap();
        host::durable::rename(&away, &tokens).unwrap();
        assert_eq!(generations(&root), [1]);
    });
}
