//! Gives a site its own sealed file back, from the vault: for one whose own is damaged.

use custody::{CameraId, Seq};
use host::Tasks;
use proto::v1::CopyPiece;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::limits;
use crate::vault::Vault;

/// What the site receives: the file's pieces in order.
pub(super) type Pieces = ReceiverStream<Result<CopyPiece, Status>>;

/// Begins to send the vault's copy of a segment.
///
/// # Errors
/// `NOT_FOUND` when there is none.
pub(super) async fn send(
    vault: &Vault,
    tasks: &Tasks,
    camera: CameraId,
    seq: Seq,
) -> Result<Pieces, Status> {
    let looking = vault.clone();
    let found = tokio::task::spawn_blocking(move || looking.find(&camera, seq)).await;
    let name = match found {
        Ok(Ok(Some(name))) => name,
        Ok(Ok(None)) => {
            return Err(Status::not_found("the controller keeps no copy of this segment"));
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the vault cannot be read");
            return Err(Status::internal("the controller's vault cannot be read; ask again later"));
        }
        Err(_) => return Err(Status::unavailable("the controller is stopping")),
    };
    let (pieces, receive) = mpsc::channel(limits::PIECES_WAITING);
    let (vault, stopping) = (vault.clone(), tasks.clone());
    tasks.spawn("fetch copy", async move {
        tokio::select! {
            () = send_all(vault, name, &pieces) => {}
            () = stopping.stopping() => {}
        }
    });
    Ok(ReceiverStream::new(receive))
}

async fn send_all(vault: Vault, name: String, pieces: &mpsc::Sender<Result<CopyPiece, Status>>) {
    let mut offset = 0;
    loop {
        let (shelf, of) = (vault.shelf().clone(), name.clone());
        let read = move || shelf.read(&of, offset, limits::PIECE_BYTES);
        let piece = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(data)) if data.is_empty() => return,
            Ok(Ok(data)) => {
                offset += data.len() as u64;
                Ok(CopyPiece { data })
            }
            Ok(Err(error)) => {
                tracing::error!(%error, name, "a copy cannot be read");
                Err(Status::internal("the copy cannot be read; ask again later"))
            }
            Err(_) => return,
        };
        let is_end = piece.is_err();
        // A site that has gone takes no more.
        if pieces.send(piece).await.is_err() || is_end {
            return;
        }
    }
}
