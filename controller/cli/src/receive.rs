//! The pieces of a fetched bundle, checked before they are written: in order, whole, within the
//! folder, no more than was announced. [`Receipt`] decides; [`Arrival`] writes.
//!
//! A bundle appears under its name only when it is whole: until then it grows in `.NAME.fetching`
//! beside it, and an attempt that failed is removed by the next.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use proto::v1::FilePiece;

use crate::failure::Failure;

/// More files than this are no bundle: the verifier's own bound.
const FILES_MAX: usize = 1_000_000;

/// What is wrong with a piece or with the end of the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPiece {
    /// The path could leave the folder, or is not of plain characters.
    #[error("the controller sent a file named `{0}`, which a bundle has not")]
    Path(String),
    /// A file twice, or back to one that was left.
    #[error("the controller sent {0} twice")]
    Again(String),
    /// A piece is missing or stands twice.
    #[error("a piece of {0} is missing")]
    Order(String),
    /// More bytes than announced, or the announcement changed.
    #[error("{0} is not as long as the controller said")]
    Length(String),
    /// The stream ended early.
    #[error("the bundle ended after {0} of {1} bytes")]
    Torn(u64, u64),
}

/// What has come so far. Pure.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    done: BTreeSet<String>,
    file: Option<(String, u64, u64)>,
    bytes: u64,
    bundle_bytes: Option<u64>,
}

/// What to do with an accepted piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new file begins with it.
    Begin,
    /// It goes on.
    Continue,
}

impl Receipt {
    /// Accepts the next piece, or says what is wrong with it.
    ///
    /// # Errors
    /// When the piece does not follow, or is of no bundle.
    pub fn accept(&mut self, piece: &FilePiece) -> Result<Step, BadPiece> {
        let path = &piece.path;
        if !verifier::bag::is_plain(path) {
            return Err(BadPiece::Path(path.chars().take(80).collect()));
        }
        let wrong_length = || BadPiece::Length(path.clone());
        let len = piece.bytes.len() as u64;
        let total = *self.bundle_bytes.get_or_insert(piece.bundle_bytes);
        if piece.bundle_bytes != total {
            return Err(wrong_length());
        }
        let step = match &mut self.file {
            Some((name, written, of)) if name == path => {
                if piece.file_bytes != *of {
                    return Err(wrong_length());
                }
                if piece.offset != *written {
                    return Err(BadPiece::Order(path.clone()));
                }
                *written = written.checked_add(len).ok_or_else(wrong_length)?;
                Step::Continue
            }
            before => {
                if let Some((name, written, of)) = before.take() {
                    if written != of {
                        return Err(BadPiece::Order(name));
                    }
                    self.done.insert(name);
                }
                if self.done.contains(path) || self.done.len() >= FILES_MAX {
                    return Err(BadPiece::Again(path.clone()));
                }
                if piece.offset != 0 {
                    return Err(BadPiece::Order(path.clone()));
                }
                *before = Some((path.clone(), len, piece.file_bytes));
                Step::Begin
            }
        };
        self.bytes = self.bytes.checked_add(len).ok_or_else(wrong_length)?;
        let beyond_file = self.file.as_ref().is_some_and(|(_, written, of)| written > of);
        if beyond_file || self.bytes > total {
            return Err(wrong_length());
        }
        Ok(step)
    }

    /// The end of the stream: everything announced has come.
    ///
    /// # Errors
    /// When something is missing.
    pub fn finish(&self) -> Result<(), BadPiece> {
        let total = self.bundle_bytes.unwrap_or(0);
        let whole = self.file.as_ref().is_some_and(|(_, written, of)| written == of);
        if whole && self.bytes == total { Ok(()) } else { Err(BadPiece::Torn(self.bytes, total)) }
    }

    /// Bytes that have come.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A bundle that is arriving in a folder.
pub struct Arrival {
    receipt: Receipt,
    folder: PathBuf,
    growing: PathBuf,
    file: Option<File>,
}

impl Arrival {
    /// Makes room beside `folder`, which must not be there.
    ///
    /// # Errors
    /// When it is, or the disc refuses.
    pub fn begin(folder: &Path) -> Result<Self, Failure> {
        if fs::symlink_metadata(folder).is_ok() {
            let mut failure = Failure::local(&folder.display().to_string(), &"is already there");
            failure.next = "name a folder that does not exist yet".into();
            return Err(failure);
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::usage("--to needs a folder's name", ""))?;
        let growing = folder.with_file_name(format!(".{name}.fetching"));
        let cannot = |error: io::Error| {
            Failure::local(&format!("cannot make the folder {}", growing.display()), &error)
        };
        match fs::remove_dir_all(&growing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        fs::create_dir_all(&growing).map_err(cannot)?;
        Ok(Self { receipt: Receipt::default(), folder: folder.to_owned(), growing, file: None })
    }

    /// Writes the next piece; gives the bytes so far.
    ///
    /// # Errors
    /// When the piece does not follow, or the disc refuses.
    pub fn take(&mut self, piece: &FilePiece) -> Result<u64, Failure> {
        let step = self.receipt.accept(piece).map_err(|bad| foreign(&bad))?;
        let path = self.growing.join(&piece.path);
        let cannot =
            |error: io::Error| Failure::local(&format!("cannot write {}", path.display()), &error);
        if step == Step::Begin {
            self.sync().map_err(cannot)?;
            fs::create_dir_all(path.parent().unwrap_or(&self.growing)).map_err(cannot)?;
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            self.file = Some(file.map_err(cannot)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&piece.bytes).map_err(cannot)?;
        }
        Ok(self.receipt.bytes())
    }

    /// Gives the bundle its name, if it is whole.
    ///
    /// # Errors
    /// When something is missing, or the disc refuses.
    #[expect(clippy::disallowed_methods, reason = "synced before; `host` is not for this program")]
    pub fn finish(mut self) -> Result<u64, Failure> {
        self.receipt.finish().map_err(|bad| foreign(&bad))?;
        let cannot = |error: io::Error| {
            Failure::local(&format!("cannot finish {}", self.folder.display()), &error)
        };
        let synced = self.file.take().map_or(Ok(()), |file| file.sync_all());
        synced.and_then(|()| fs::rename(&self.growing, &self.folder)).map_err(cannot)?;
        Ok(self.receipt.bytes())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }
}

pub(crate) fn foreign(bad: &BadPiece) -> Failure {
    Failure::away(bad.to_string(), "fetch again; what has come so far is removed by the next try")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(path: &str, offset: u64, bytes: &[u8], file_bytes: u64) -> FilePiece {
        FilePiece { path: path.into(), offset, bytes: bytes.to_vec(), file_bytes, bundle_bytes: 8 }
    }

    #[test]
    fn a_bundle_arrives_whole_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("WH-1");
        let mut arrival = Arrival::begin(&to).unwrap();
        assert_eq!(arrival.take(&piece("data/a", 0, b"one", 5)).unwrap(), 3);
        arrival.take(&piece("data/a", 3, b"go", 5)).unwrap();
        arrival.take(&piece("empty", 0, b"", 0)).unwrap();
        assert_eq!(arrival.take(&piece("b", 0, b"two", 3)).unwrap(), 8);
        assert!(!to.exists(), "not before it is whole");
        assert_eq!(arrival.finish().unwrap(), 8);
        assert_eq!(fs::read(to.join("data/a")).unwrap(), b"onego");
        assert_eq!(fs::read(to.join("empty")).unwrap(), b"");
        assert_eq!(Arrival::begin(&to).map(|_| ()).unwrap_err().exit.status(), 5);
        assert!(to.join("b").exists(), "what was there is left alone");
    }

    #[test]
    fn a_torn_bundle_gets_no_name_and_the_next_try_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("WH-1");
        let mut arrival = Arrival::begin(&to).unwrap();
        arrival.take(&piece("data/a", 0, b"one", 5)).unwrap();
        let failure = arrival.finish().unwrap_err();
        assert_eq!(failure.exit.status(), 4);
        assert!(failure.message.contains("3 of 8"), "{failure}");
        assert!(!to.exists());
        let mut arrival = Arrival::begin(&to).unwrap();
        arrival.take(&piece("data/a", 0, b"one00", 5)).unwrap();
        arrival.take(&piece("b", 0, b"two", 3)).unwrap();
        arrival.finish().unwrap();
        assert!(to.exists());
    }

    #[test]
    fn no_piece_leaves_the_folder() {
        for bad in ["../x", "/etc/passwd", "data/../../x", "", "a//b", "a\\b", "a\nb", "."] {
            let refused = Receipt::default().accept(&piece(bad, 0, b"x", 1));
            assert!(matches!(refused, Err(BadPiece::Path(_))), "{bad}");
        }
    }

    #[test]
    fn pieces_that_do_not_follow_are_refused() {
        let check = |pieces: &[FilePiece], expect: &str| {
            let mut receipt = Receipt::default();
            let refused = pieces.iter().try_for_each(|p| receipt.accept(p).map(|_| ()));
            let told = refused.and_then(|()| receipt.finish()).unwrap_err().to_string();
            assert!(told.contains(expect), "{told}");
        };
        check(&[piece("a", 1, b"x", 2)], "a piece of a is missing");
        check(&[piece("a", 0, b"x", 3), piece("a", 2, b"x", 3)], "a piece of a is missing");
        check(&[piece("a", 0, b"x", 3), piece("b", 0, b"x", 1)], "a piece of a is missing");
        check(
            &[piece("a", 0, b"x", 1), piece("b", 0, b"x", 1), piece("a", 0, b"x", 1)],
            "sent a twice",
        );
        check(&[piece("a", 0, b"xx", 1)], "not as long");
        check(&[piece("a", 0, b"x", 2), piece("a", 1, b"x", 3)], "not as long");
        check(&[piece("a", 0, &[0; 9], 9)], "not as long");
        check(&[piece("a", 0, b"x", 1)], "1 of 8 bytes");
        check(&[], "0 of 0 bytes");
    }
}
