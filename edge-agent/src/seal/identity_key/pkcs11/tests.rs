//! Against SoftHSM, in processes of their own: a PKCS#11 module is one per process and finds its
//! tokens by an environment variable. openssl has the last word on what was signed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// Where Debian's softhsm2 puts the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const FOLDER: &str = "WATCHHOUSE_TEST_TOKENS";

/// Runs the test `name` once more, in a process that has a SoftHSM of its own with one token.
fn with_a_token(name: &str, test: impl FnOnce(&Path)) {
    if let Ok(folder) = std::env::var(FOLDER) {
        return test(Path::new(&folder));
    }
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: install Debian's softhsm2");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokens")).unwrap();
    let tokens = folder.path().join("tokens");
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
    fs::write(folder.path().join("softhsm2.conf"), conf).unwrap();
    write_pin(folder.path(), "123456");
    new_token(folder.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("seal::identity_key::pkcs11::tests::{name}")])
        .env("SOFTHSM2_CONF", folder.path().join("softhsm2.conf"))
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn new_token(folder: &Path) {
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "watchhouse-east"])
        .args(["--pin", "123456", "--so-pin", "654321"])
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .output()
        .expect("install Debian's softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Puts a key of somebody's making into the token, under the label of ours.
fn import_a_key(folder: &Path) {
    let pem = folder.join("other.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let imported = Command::new("softhsm2-util")
        .args(["--token", "watchhouse-east", "--label", "identity", "--id", "01"])
        .args(["--pin", "123456", "--import"])
        .arg(&pem)
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(imported.status.success(), "{imported:?}");
}

fn write_pin(folder: &Path, pin: &str) {
    let path = folder.join("pin");
    fs::write(&path, format!("{pin}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn settings(folder: &Path) -> Token {
    Token {
        module: PathBuf::from(MODULE),
        token_label: "watchhouse-east".to_owned(),
        key_label: "identity".to_owned(),
        pin_path: folder.join("pin"),
    }
}

/// An error with its causes.
fn refused(settings: Token) -> String {
    match TokenKey::open(settings) {
        Err(error) => chain(&error),
        Ok(key) => panic!("{} was opened", key.place()),
    }
}

#[test]
fn a_key_is_made_once_and_openssl_believes_its_signatures() {
    with_a_token("a_key_is_made_once_and_openssl_believes_its_signatures", |folder| {
        let key = TokenKey::open(settings(folder)).unwrap();
        let public = key.public();
        assert_eq!(public.to_bytes().len(), 65);
        // Half of all signatures have a high s as the token makes them; every one must come out low.
        for n in 0..40_u8 {
            let signature = key.sign(&[n]).unwrap();
            assert!(public.verifies(&[n], &signature), "signature {n}");
        }
        let (pem, signed) = (folder.join("public.pem"), folder.join("signature"));
        fs::write(&pem, public.to_pem()).unwrap();
        fs::write(&signed, key.sign(b"key-cert").unwrap()).unwrap();
        for (message, expect) in [(&b"key-cert"[..], true), (b"key-kert", false)] {
            fs::write(folder.join("message"), message).unwrap();
            let openssl = Command::new("openssl")
                .args(["dgst", "-sha256", "-verify"])
                .arg(&pem)
                .arg("-signature")
                .args([&signed, &folder.join("message")])
                .output()
                .unwrap();
            assert_eq!(openssl.status.success(), expect, "{openssl:?}");
        }
        drop(key);
        assert_eq!(TokenKey::open(settings(folder)).unwrap().public(), public);
    });
}

#[test]
fn a_token_that_was_gone_signs_again_and_another_key_never_does() {
    with_a_token("a_token_that_was_gone_signs_again_and_another_key_never_does", |folder| {
        let key = TokenKey::open(settings(folder)).unwrap();
        let (tokens, away) = (folder.join("tokens"), folder.join("away"));
        let swap = |from: &Path, to: &Path| {
            host::durable::rename(from, to).unwrap();
        };
        swap(&tokens, &away);
        fs::create_dir(&tokens).unwrap();
        let gone = key.sign(b"one").unwrap_err().to_string();
        assert!(gone.contains("no token `watchhouse-east`"), "{gone}");
        // The same labels, made anew by whoever has the machine: not the site's key.
        new_token(folder);
        import_a_key(folder);
        let other = key.sign(b"two").unwrap_err().to_string();
        assert!(other.contains("now has another key `identity`"), "{other}");
        fs::remove_dir_all(&tokens).unwrap();
        swap(&away, &tokens);
        let signature = key.sign(b"three").unwrap();
        assert!(key.public().verifies(b"three", &signature));
    });
}

#[test]
fn a_refused_pin_is_not_tried_again() {
    with_a_token("a_refused_pin_is_not_tried_again", |folder| {
        write_pin(folder, "000000");
        assert!(refused(settings(folder)).contains("refuses the PIN"));
        write_pin(folder, "123456");
        let key = TokenKey::open(settings(folder)).unwrap();
        // The session is lost, and the file holds a wrong PIN: told twice, tried once.
        write_pin(folder, "000000");
        let (tokens, away) = (folder.join("tokens"), folder.join("away"));
        host::durable::rename(&tokens, &away).unwrap();
        fs::create_dir(&tokens).unwrap();
        assert!(key.sign(b"gone").is_err());
        fs::remove_dir_all(&tokens).unwrap();
        host::durable::rename(&away, &tokens).unwrap();
        let first = key.sign(b"wrong").unwrap_err().to_string();
        assert!(first.contains("refuses the PIN"), "{first}");
        let second = key.sign(b"wrong").unwrap_err().to_string();
        assert!(second.contains("was refused before"), "{second}");
        write_pin(folder, "123456");
        assert!(key.public().verifies(b"right", &key.sign(b"right").unwrap()));
    });
}

#[test]
fn what_is_not_there_is_named() {
    with_a_token("what_is_not_there_is_named", |folder| {
        let token = Token { token_label: "east".to_owned(), ..settings(folder) };
        let said = refused(token);
        assert!(said.contains("no token `east`") && said.contains("watchhouse-east"), "{said}");
        let module = Token { module: folder.join("none.so"), ..settings(folder) };
        assert!(refused(module).contains("none.so"));
        let pin = Token { pin_path: folder.join("nowhere"), ..settings(folder) };
        assert!(refused(pin).contains("nowhere: the PIN cannot be read"));
        fs::set_permissions(folder.join("pin"), fs::Permissions::from_mode(0o604)).unwrap();
        assert!(refused(settings(folder)).contains("anyone may read the PIN"));
    });
}
