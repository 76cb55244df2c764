//! What is sealed is opened by each recipient, and by nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use age::x25519::Identity;

fn seal(args: &[&str], plain: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_age-seal"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let plain = plain.to_vec();
    // A child that refuses its arguments reads nothing.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&plain)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let keys = [Identity::generate(), Identity::generate()];
    let [one, two] = keys.each_ref().map(|key| key.to_public().to_string());
    // More than one chunk of age's, and more than one piece of ours.
    let plain: Vec<u8> = (0..700_001_u32).flat_map(u32::to_le_bytes).collect();
    let sealed = seal(&["--recipient", &one, "--recipient", &two], &plain);
    assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
    for key in &keys {
        assert_eq!(age::decrypt(key, &sealed.stdout).unwrap(), plain);
    }
    assert!(age::decrypt(&Identity::generate(), &sealed.stdout).is_err());
}

#[test]
fn what_is_no_recipient_is_refused_before_anything_is_written() {
    let good = Identity::generate().to_public().to_string();
    let mut typo = good.clone();
    typo.pop();
    typo.push(if good.ends_with('q') { 'p' } else { 'q' });
    for args in [
        &["--recipient", typo.as_str()][..],
        &["--recipient", "ssh-ed25519 AAAA"],
        &["--recipient"],
        &["--recipient", good.as_str(), "--recipient", "age1"],
        &["--to", good.as_str()],
        &[],
    ] {
        for check in [&[][..], &["--check"]] {
            let refused = seal(&[check, args].concat(), b"secret");
            assert!(!refused.status.success(), "{args:?}");
            assert!(refused.stdout.is_empty(), "{args:?}");
            assert!(refused.stderr.starts_with(b"age-seal: "), "{args:?}");
        }
    }
    let checked = seal(&["--check", "--recipient", &good], b"");
    assert!(checked.status.success() && checked.stdout.is_empty());
}
