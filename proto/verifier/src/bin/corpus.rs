//! `corpus FOLDER`: writes the mutation corpus.
//!
//! ```text
//! <name>/            a bundle, see expected.json
//! authority.pem      the key to check it by
//! policy             the published policies (where a case is `given` them)
//! statements.jsonl   the newest published statements about sites' keys (likewise)
//! tsa.pem            the certificate of the time stamping authority, for `openssl ts -verify`
//! expected.json      [{"name","what","by","given","verdict","codes"}]
//! ```

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use verifier::forge::cases::{self, Case, Given};
use verifier::forge::files;
use verifier::forge::stamp;
use verifier::forge::world::World;

#[derive(Serialize)]
struct Expected {
    name: &'static str,
    what: &'static str,
    by: &'static str,
    given: &'static str,
    verdict: &'static str,
    codes: Vec<&'static str>,
}

impl Expected {
    fn of(case: &Case) -> Self {
        let codes = case.codes();
        Self {
            name: case.name,
            what: case.what,
            by: case.who.as_str(),
            given: match case.given {
                Given::Nothing => "nothing",
                Given::Policy => "policy",
                Given::Statements => "statements",
            },
            verdict: codes.first().map_or("verified", |code| code.as_str()),
            codes: codes.iter().map(|code| code.as_str()).collect(),
        }
    }
}

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/corpus".into());
    let folder = Path::new(&folder);
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let world = World::new();
    let mut expected = Vec::new();
    for case in cases::all() {
        files::write(&(case.make)(&world), &folder.join(case.name))?;
        expected.push(Expected::of(&case));
    }
    fs::write(folder.join("authority.pem"), World::published_key().to_pem())?;
    fs::write(folder.join("policy"), cases::published_policy().to_string())?;
    fs::write(folder.join("statements.jsonl"), cases::published_statements(&world))?;
    fs::write(folder.join("tsa.pem"), stamp::certificate_pem())?;
    fs::write(folder.join("expected.json"), serde_json::to_string_pretty(&expected)? + "\n")
}
