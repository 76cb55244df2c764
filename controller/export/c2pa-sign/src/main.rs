//! Puts a C2PA manifest into an MP4 file: `c2pa-sign --certificate FILE --key FILE IN OUT`, the
//! manifest's definition (JSON) on standard input. Reaches no network. Knows nothing of cases or
//! cameras: the controller says what the manifest claims.
//!
//! A program of its own, because C2PA brings about 300 packages, none of which should be in the
//! process that holds the evidence.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use c2pa::{Builder, Context, SigningAlg, create_signer};

/// Memory for a copy while it is signed; what is longer is spooled to `TMPDIR`.
const SETTINGS: &str = r#"{ "core": { "backing_store_memory_threshold_in_mb": 64 } }"#;
/// A definition names one exhibit: a few kilobytes.
const DEFINITION_BYTES_MAX: u64 = 1 << 20;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "how a program tells its caller what is wrong")]
            {
                eprintln!("c2pa-sign: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The command line.
struct Args {
    certificate: PathBuf,
    key: PathBuf,
    unsigned: PathBuf,
    signed: PathBuf,
}

impl Args {
    fn read(args: Vec<OsString>) -> Option<Self> {
        let [a, certificate, b, key, unsigned, signed] = <[OsString; 6]>::try_from(args).ok()?;
        (a == "--certificate" && b == "--key").then(|| Self {
            certificate: certificate.into(),
            key: key.into(),
            unsigned: unsigned.into(),
            signed: signed.into(),
        })
    }
}

fn run(args: Vec<OsString>) -> Result<(), Box<dyn Error>> {
    let usage = "usage: c2pa-sign --certificate FILE --key FILE IN OUT <DEFINITION";
    let args = Args::read(args).ok_or(usage)?;
    let mut definition = String::new();
    io::stdin().take(DEFINITION_BYTES_MAX).read_to_string(&mut definition)?;
    let certificate = fs::read(&args.certificate)?;
    let key = fs::read(&args.key)?;
    let signer = create_signer::from_keys(&certificate, &key, SigningAlg::Es256, None)?;
    let context = Context::new().with_settings(SETTINGS)?;
    let mut builder = Builder::from_context(context).with_definition(definition)?;
    let mut unsigned = File::open(&args.unsigned)?;
    let mut signed =
        OpenOptions::new().read(true).write(true).create_new(true).open(&args.signed)?;
    let made = builder.sign(&*signer, "video/mp4", &mut unsigned, &mut signed);
    if let Err(error) = made {
        // Half a file is no file; the first error is the one to tell.
        let _left = fs::remove_file(&args.signed);
        return Err(error.into());
    }
    signed.sync_all()?;
    Ok(())
}
