//! Sends the files of a bundle, in pieces, in the order of their names.

use std::path::{Path, PathBuf};

use bytes::BytesMut;
use custody::CaseId;
use proto::v1::FilePiece;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::door::Parts;
use super::status;
use crate::access::{Code, Refusal};
use crate::limits;

/// What the client receives.
pub type Pieces = ReceiverStream<Result<FilePiece, Status>>;

/// A file of the bundle.
struct Listed {
    /// Within the bundle, with `/`.
    name: String,
    path: PathBuf,
    bytes: u64,
}

/// Begins to send the bundle of `case`.
///
/// # Errors
/// `bundle-missing`.
pub async fn send(parts: &Parts, case: &CaseId) -> Result<Pieces, Status> {
    let folder = parts.bundles.join(case.as_str());
    let listing = tokio::task::spawn_blocking(move || list(&folder)).await;
    let files = match listing {
        Ok(Ok(files)) if !files.is_empty() => files,
        Ok(Ok(_)) => return Err(missing(case, "its folder is empty")),
        Ok(Err(error)) => return Err(missing(case, &error.to_string())),
        Err(_) => return Err(status::stopping()),
    };
    let (pieces, receive) = mpsc::channel(limits::PIECES_WAITING);
    let (tasks, case) = (parts.tasks.clone(), case.clone());
    parts.tasks.spawn("fetch bundle", async move {
        tokio::select! {
            sent = send_all(files, &pieces) => {
                if let Err(Stop::Unreadable(why)) = sent {
                    tracing::error!(%case, why, "a bundle cannot be read");
                    drop(pieces.send(Err(missing(&case, &why))).await);
                }
            }
            () = tasks.stopping() => drop(pieces.send(Err(status::stopping())).await),
        }
    });
    Ok(ReceiverStream::new(receive))
}

enum Stop {
    /// The client has gone.
    Gone,
    /// The disc refused.
    Unreadable(String),
}

async fn send_all(
    files: Vec<Listed>,
    pieces: &mpsc::Sender<Result<FilePiece, Status>>,
) -> Result<(), Stop> {
    let bundle_bytes = files.iter().map(|file| file.bytes).sum();
    for listed in files {
        let unreadable = |e: std::io::Error| Stop::Unreadable(format!("{}: {e}", listed.name));
        let mut file = File::open(&listed.path).await.map_err(unreadable)?;
        let mut offset = 0;
        loop {
            let mut bytes = BytesMut::with_capacity(limits::PIECE_BYTES);
            while bytes.len() < limits::PIECE_BYTES
                && file.read_buf(&mut bytes).await.map_err(unreadable)? > 0
            {}
            // An empty file is one empty piece, so that it too arrives.
            if bytes.is_empty() && (offset > 0 || listed.bytes > 0) {
                break;
            }
            let read = bytes.len() as u64;
            let piece = FilePiece {
                path: listed.name.clone(),
                offset,
                bytes: bytes.to_vec(),
                file_bytes: listed.bytes,
                bundle_bytes,
            };
            pieces.send(Ok(piece)).await.map_err(|_| Stop::Gone)?;
            offset += read;
            if offset >= listed.bytes {
                break;
            }
        }
        if offset != listed.bytes {
            return Err(Stop::Unreadable(format!("{}: it is shorter than it was", listed.name)));
        }
    }
    Ok(())
}

fn list(folder: &Path) -> std::io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(within) = pending.pop() {
        for entry in std::fs::read_dir(&within)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(folder).unwrap_or(&path);
                let name = name.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
                let bytes = entry.metadata()?.len();
                files.push(Listed { name, path, bytes });
            }
            if files.len() > limits::BUNDLE_FILES_MAX {
                return Err(std::io::Error::other("more files than a bundle can have"));
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn missing(case: &CaseId, why: &str) -> Status {
    status::of(&Refusal::new(
        Code::BundleMissing,
        format!("the bundle of {case} cannot be read ({why}): tell whoever runs the controller"),
    ))
}
