//! A fetched bundle as one file: a zip archive whose entries are stored, not compressed, and, where
//! recipients are named, encrypted to them with age. Written piece by piece, so that a bundle of any
//! size needs no room but its own.
//!
//! ```text
//! NAME.zip      zip( CASE/bagit.txt, CASE/data/…, … )
//! NAME.zip.age  age( the same ), each recipient's own key opens it
//! ```
//! The encrypting is done by the program [`SEALER`] beside this one, so that its 60 packages are not
//! in the process that holds a person's token; it has no key and keeps nothing. The file appears
//! under its name only when it is whole: until then it grows in `.NAME.fetching` beside it, and what
//! a failed attempt left is replaced by the next.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use custody::CaseId;
use proto::v1::FilePiece;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use crate::failure::Failure;
use crate::receive::{Receipt, Step, foreign};

/// The program that encrypts.
pub const SEALER: &str = "age-seal";

/// What `--to` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A folder.
    Folder,
    /// A zip file.
    Zip,
    /// A zip file, encrypted.
    Sealed,
}

impl Form {
    /// The form that a name asks for, if the rest of the command line fits it.
    ///
    /// # Errors
    /// When it does not: what is to be secret must never be written open by a slip of the name.
    pub fn of(to: &Path, recipients: &[String], checks: bool) -> Result<Self, Failure> {
        let name = to.to_string_lossy().to_lowercase();
        let form = if name.ends_with(".zip.age") {
            Self::Sealed
        } else if name.ends_with(".zip") {
            Self::Zip
        } else if name.ends_with(".age") {
            return Err(Failure::usage(
                "an encrypted bundle is a zip file",
                "name it --to NAME.zip.age",
            ));
        } else {
            Self::Folder
        };
        match (form, recipients.is_empty()) {
            (Self::Sealed, true) => Err(Failure::usage(
                "nobody could open the bundle",
                "name who may: --recipient age1…, once for each",
            )),
            (Self::Folder | Self::Zip, false) => Err(Failure::usage(
                "recipients are named, and the file would not be encrypted",
                "name it --to NAME.zip.age, or leave --recipient out",
            )),
            (Self::Zip | Self::Sealed, _) if checks => Err(Failure::usage(
                "--key checks a folder",
                "unpack the bundle, then: watchhouse verify FOLDER --key FILE",
            )),
            _ => Ok(form),
        }
    }
}

/// Where the archive's bytes go.
enum Sink {
    Open(BufWriter<File>),
    Sealed(Box<Sealing>),
}

/// The child that encrypts into the file.
struct Sealing {
    input: BufWriter<ChildStdin>,
    child: Child,
    file: File,
}

impl Sink {
    fn new(file: File, recipients: &[String], sealer: &Path) -> io::Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Open(BufWriter::new(file)));
        }
        let mut child =
            sealing(sealer, recipients).stdin(Stdio::piped()).stdout(file.try_clone()?).spawn()?;
        let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self::Sealed(Box::new(Sealing { input: BufWriter::new(input), child, file })))
    }

    /// The last bytes, on the disc.
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Open(file) => {
                file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
            }
            Self::Sealed(sealing) => {
                let Sealing { input, mut child, file } = *sealing;
                drop(input.into_inner().map_err(io::IntoInnerError::into_error)?);
                let ended = child.wait()?;
                if !ended.success() {
                    return Err(io::Error::other(format!("{SEALER} failed: {ended}")));
                }
                file.sync_all()
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write(bytes),
            Self::Sealed(sealing) => sealing.input.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(file) => file.flush(),
            Self::Sealed(sealing) => sealing.input.flush(),
        }
    }
}

fn sealing(sealer: &Path, recipients: &[String]) -> Command {
    let mut command = Command::new(sealer);
    for recipient in recipients {
        command.arg("--recipient").arg(recipient);
    }
    command
}

/// The program that encrypts, if it knows these recipients: asked before anything is fetched, since
/// a fetch is logged as a disclosure.
///
/// # Errors
/// When it is not there, or refuses one of them.
pub fn sealer(recipients: &[String]) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|e| Failure::local("cannot find myself", &e))?;
    let sealer = own.with_file_name(SEALER);
    checked(&sealer, recipients)?;
    Ok(sealer)
}

fn checked(sealer: &Path, recipients: &[String]) -> Result<(), Failure> {
    let mut check = Command::new(sealer);
    check.arg("--check").args(sealing(sealer, recipients).get_args());
    let told = check.stdin(Stdio::null()).output().map_err(|error| {
        let mut failure = Failure::local(&format!("cannot run {}", sealer.display()), &error);
        failure.next = format!("install {SEALER} beside watchhouse");
        failure
    })?;
    if told.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&told.stderr).trim().to_owned();
    Err(Failure::usage(words, "give each recipient's public key as --recipient age1…"))
}

/// A bundle that is arriving in one file.
pub struct Parcel {
    receipt: Receipt,
    case: String,
    file: PathBuf,
    growing: PathBuf,
    archive: ZipWriter<StreamWriter<Sink>>,
}

impl Parcel {
    /// Makes room beside `file`, which must not be there.
    ///
    /// # Errors
    /// When it is, or the disc refuses.
    pub fn begin(
        file: &Path,
        case: &CaseId,
        recipients: &[String],
        sealer: &Path,
    ) -> Result<Self, Failure> {
        if fs::symlink_metadata(file).is_ok() {
            let mut failure = Failure::local(&file.display().to_string(), &"is already there");
            failure.next = "name a file that does not exist yet".into();
            return Err(failure);
        }
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::usage("--to needs a file's name", ""))?;
        let growing = file.with_file_name(format!(".{name}.fetching"));
        let what = format!("cannot make the file {}", growing.display());
        let made = File::create(&growing).map_err(|error| Failure::local(&what, &error))?;
        let sink = Sink::new(made, recipients, sealer);
        let sink = sink.map_err(|error| Failure::local(&what, &error))?;
        Ok(Self {
            receipt: Receipt::default(),
            case: case.to_string(),
            file: file.to_owned(),
            growing,
            archive: ZipWriter::new_stream(sink),
        })
    }

    /// Writes the next piece; gives the bytes so far.
    ///
    /// # Errors
    /// When the piece does not follow, or the disc refuses.
    pub fn take(&mut self, piece: &FilePiece) -> Result<u64, Failure> {
        let step = self.receipt.accept(piece).map_err(|bad| foreign(&bad))?;
        let what = format!("cannot write {}", self.growing.display());
        if step == Step::Begin {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(piece.file_bytes >= u64::from(u32::MAX));
            let name = format!("{}/{}", self.case, piece.path);
            self.archive
                .start_file(name, options)
                .map_err(|error| Failure::local(&what, &error))?;
        }
        self.archive.write_all(&piece.bytes).map_err(|error| Failure::local(&what, &error))?;
        Ok(self.receipt.bytes())
    }

    /// Gives the file its name, if the bundle is whole.
    ///
    /// # Errors
    /// When something is missing, or the disc refuses.
    #[expect(clippy::disallowed_methods, reason = "synced before; `host` is not for this program")]
    pub fn finish(self) -> Result<u64, Failure> {
        self.receipt.finish().map_err(|bad| foreign(&bad))?;
        let what = format!("cannot finish {}", self.file.display());
        let sink = self.archive.finish().map_err(|error| Failure::local(&what, &error))?;
        let ended = sink.into_inner().finish();
        ended
            .and_then(|()| fs::rename(&self.growing, &self.file))
            .map_err(|error| Failure::local(&what, &error))?;
        Ok(self.receipt.bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn piece(path: &str, bytes: &[u8]) -> FilePiece {
        let bundle_bytes = 8;
        let file_bytes = bytes.len() as u64;
        FilePiece { path: path.into(), offset: 0, bytes: bytes.to_vec(), file_bytes, bundle_bytes }
    }

    fn sent(to: &Path) {
        let case = "WH-2026-000001".parse().unwrap();
        let mut parcel = Parcel::begin(to, &case, &[], Path::new("none")).unwrap();
        parcel.take(&piece("bagit.txt", b"one")).unwrap();
        parcel.take(&piece("data/empty", b"")).unwrap();
        assert_eq!(parcel.take(&piece("data/x.mp4", b"twoot")).unwrap(), 8);
        assert!(!to.exists(), "not before it is whole");
        assert_eq!(parcel.finish().unwrap(), 8);
        assert!(to.exists());
    }

    fn opened(bytes: Vec<u8>) -> Vec<(String, Vec<u8>)> {
        let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            assert_eq!(file.compression(), CompressionMethod::Stored);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            files.push((file.name().to_owned(), bytes));
        }
        files
    }

    #[test]
    fn a_bundle_comes_as_one_file_of_stored_entries_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("WH-1.zip");
        sent(&open);
        let expected = [("bagit.txt", &b"one"[..]), ("data/empty", b""), ("data/x.mp4", b"twoot")]
            .map(|(name, bytes)| (format!("WH-2026-000001/{name}"), bytes.to_vec()));
        assert_eq!(opened(fs::read(&open).unwrap()), expected);
    }

    #[test]
    fn a_program_that_does_not_encrypt_makes_no_parcel() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("WH-1.zip.age");
        let (case, who) = ("WH-2026-000001".parse().unwrap(), ["age1x".to_owned()]);
        let missing = folder.path().join("missing");
        assert_eq!(checked(&missing, &who).unwrap_err().exit.status(), 5);
        assert_eq!(checked(Path::new("/bin/false"), &who).unwrap_err().exit.status(), 2);
        let mut parcel = Parcel::begin(&to, &case, &who, Path::new("/bin/false")).unwrap();
        let sent = parcel.take(&piece("data/x.mp4", b"onetwoot"));
        let ended = sent.and_then(|_| parcel.finish());
        assert_eq!(ended.unwrap_err().exit.status(), 5);
        assert!(!to.exists());
    }

    #[test]
    fn a_torn_parcel_gets_no_name_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("WH-1.zip");
        let case = "WH-2026-000001".parse().unwrap();
        let mut parcel = Parcel::begin(&to, &case, &[], Path::new("none")).unwrap();
        parcel.take(&piece("bagit.txt", b"one")).unwrap();
        assert_eq!(parcel.finish().unwrap_err().exit.status(), 4);
        assert!(!to.exists());
        sent(&to);
        let again = Parcel::begin(&to, &case, &[], Path::new("none"));
        assert_eq!(again.map(|_| ()).unwrap_err().exit.status(), 5);
    }

    #[test]
    fn a_slip_of_the_name_never_writes_openly_what_is_to_be_secret() {
        let who = ["age1x".to_owned()];
        let form = |to: &str, who: &[String], checks| {
            Form::of(Path::new(to), who, checks).map_err(|failure| failure.exit.status())
        };
        assert_eq!(form("WH-1", &[], true), Ok(Form::Folder));
        assert_eq!(form("WH-1.zip", &[], false), Ok(Form::Zip));
        assert_eq!(form("WH-1.ZIP.AGE", &who, false), Ok(Form::Sealed));
        for (to, who, checks) in [
            ("WH-1", &who[..], false),
            ("WH-1.zip", &who, false),
            ("WH-1.age", &who, false),
            ("WH-1.zip.age", &[], false),
            ("WH-1.zip", &[], true),
            ("WH-1.zip.age", &who, true),
        ] {
            assert_eq!(form(to, who, checks), Err(2), "{to}");
        }
    }
}
