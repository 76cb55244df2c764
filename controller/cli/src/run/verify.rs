//! `verify`: the evidence check, offline; the same as the stand-alone `verify`.

use std::fs;
use std::path::Path;

use custody::PublicKey;

use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::show;

pub(super) fn run(output: Output, folder: &Path, key: &Path) -> Result<Exit, Failure> {
    let key = read_key(key)?;
    if !folder.is_dir() {
        return Err(Failure::local(&folder.display().to_string(), &"is not a folder"));
    }
    check(output, folder, &key)
}

pub(super) fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let what = format!("cannot read the key {}", path.display());
    let pem = fs::read_to_string(path).map_err(|error| Failure::local(&what, &error))?;
    PublicKey::from_pem(&pem).map_err(|bad| Failure::local(&what, &bad))
}

pub(super) fn check(output: Output, folder: &Path, key: &PublicKey) -> Result<Exit, Failure> {
    let report = verifier::verify(folder, key);
    match output {
        Output::Table => show::print(verifier::print::text(&report).trim_end())?,
        Output::Json => show::json(&report.to_json())?,
    }
    Ok(if report.verified() { Exit::Done } else { Exit::Evidence })
}

#[cfg(test)]
mod tests {
    use custody::SecretKey;

    use super::*;

    #[test]
    fn a_refused_bundle_and_an_unreadable_key_end_differently() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        assert_eq!(run(Output::Json, folder.path(), &key).unwrap_err().exit, Exit::Local);
        fs::write(&key, "no key").unwrap();
        assert_eq!(run(Output::Json, folder.path(), &key).unwrap_err().exit, Exit::Local);
        fs::write(&key, SecretKey::from_seed(&[1; 32]).public().to_pem()).unwrap();
        assert_eq!(run(Output::Table, folder.path(), &key), Ok(Exit::Evidence));
        let none = folder.path().join("none");
        assert_eq!(run(Output::Table, &none, &key).unwrap_err().exit, Exit::Local);
    }
}
