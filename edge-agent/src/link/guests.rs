//! What the controller asks of the guest room, translated.

use custody::{Digest, Seq};
use host::telemetry::chain;
use proto::v1::{GuestFile, KeepGuestRequest};
use tonic::Status;

use super::serve::read;
use crate::guest::{Guest, GuestError, GuestRoom, Name, Piece, RootStart};

/// Asks the room off the async threads.
pub(super) async fn ask<T: Send + 'static>(
    room: &GuestRoom,
    question: impl FnOnce(&GuestRoom) -> Result<T, GuestError> + Send + 'static,
) -> Result<T, Status> {
    let room = room.clone();
    tokio::task::spawn_blocking(move || question(&room))
        .await
        .map_err(|_| Status::unavailable("the agent is stopping"))?
        .map_err(|error| match error {
            GuestError::Refused(why) => Status::failed_precondition(why),
            error @ (GuestError::Disc { .. } | GuestError::Store(_)) => {
                let error = chain(&error);
                tracing::error!(error, "what is kept for other sites");
                Status::internal(error)
            }
        })
}

/// A piece that came.
///
/// # Errors
/// `INVALID_ARGUMENT` when a name or digest does not read.
pub(super) fn piece(request: KeepGuestRequest) -> Result<Piece, Status> {
    let KeepGuestRequest { camera, seq, root, file_bytes, offset, data } = request;
    let camera = read(&camera)?;
    Ok(Piece { camera, seq: Seq(seq), root: digest(&root)?, file_bytes, offset, data })
}

/// A root.
///
/// # Errors
/// `INVALID_ARGUMENT` when it has not 32 bytes.
pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Status> {
    let bytes = bytes.try_into().map_err(|_| Status::invalid_argument("a root has 32 bytes"))?;
    Ok(Digest(bytes))
}

/// The name of a file.
///
/// # Errors
/// `INVALID_ARGUMENT` when the root's start has not 8 bytes.
pub(super) fn name(file: &GuestFile) -> Result<Name, Status> {
    let start = file.root_start.as_slice().try_into();
    let start = start.map_err(|_| Status::invalid_argument("a root's start has 8 bytes"))?;
    Ok(Name { seq: Seq(file.seq), root: RootStart(start) })
}

/// A file that is there, for the wire.
pub(super) fn file(guest: Guest) -> GuestFile {
    GuestFile {
        seq: guest.name.seq.0,
        root_start: guest.name.root.0.to_vec(),
        bytes: guest.kept.bytes,
        is_whole: guest.kept.is_whole,
    }
}
