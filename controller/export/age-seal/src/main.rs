//! Encrypts standard input to its recipients: `age-seal --recipient age1… [--recipient age1…]`, the
//! age file on standard output. With `--check` first, only says whether the recipients are any.
//! Knows nothing of bundles.

use std::error::Error;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::process::ExitCode;
use std::str::FromStr as _;

use age::x25519;

/// The disc and the network deliver pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "how a program tells its caller what is wrong")]
            {
                eprintln!("age-seal: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut args = args.into_iter().peekable();
    let only_check = args.next_if(|arg| arg == "--check").is_some();
    let mut recipients = Vec::new();
    while let Some(option) = args.next() {
        let recipient = args.next().filter(|_| option == "--recipient");
        let recipient = recipient.ok_or("usage: age-seal [--check] --recipient AGE1… <IN >OUT")?;
        recipients.push(read(&recipient)?);
    }
    let of = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(of)?;
    if only_check {
        return Ok(());
    }
    let mut input = BufReader::with_capacity(PIECE_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(PIECE_BYTES, io::stdout());
    let mut sealer = encryptor.wrap_output(output)?;
    io::copy(&mut input, &mut sealer)?;
    sealer.finish()?.flush()?;
    Ok(())
}

fn read(text: &str) -> Result<x25519::Recipient, String> {
    x25519::Recipient::from_str(text).map_err(|why| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        format!("`{shown}` is no age recipient ({why}); they look like age1…, see `age-keygen`")
    })
}
