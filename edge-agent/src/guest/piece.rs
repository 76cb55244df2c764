//! What is to be done with a piece of a file, and whether a whole file is the one that was named. Pure.

use custody::sealed::SealedSegment;
use custody::{CameraId, Digest, Seq, SiteId, tree};

use crate::limits;

/// A piece as it came.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Whose footage.
    pub camera: CameraId,
    /// Which segment.
    pub seq: Seq,
    /// Its fragment tree's root.
    pub root: Digest,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Where the data begins.
    pub offset: u64,
    /// The data; none: how much is there?
    pub data: Vec<u8>,
}

/// What is there of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Have {
    /// All of it, checked.
    Whole(u64),
    /// So many bytes.
    Part(u64),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Nothing; tell how much is there.
    Tell,
    /// The beginning is longer than the file can be: throw it away, and tell.
    BeginAnew,
    /// Write it.
    Write {
        /// Bytes that the file still lacks, with these.
        to_come: u64,
        /// Whether it is whole then.
        is_last: bool,
    },
}

/// Decides about a piece at a site.
///
/// # Errors
/// Why it is refused, in words that begin with a stable code.
pub fn decide(own: &SiteId, piece: &Piece, have: Have) -> Result<Todo, String> {
    let length = piece.data.len() as u64;
    if piece.camera.site() == own {
        return Err(format!(
            "guest-own: site {own} keeps no copy of its own footage for others; name another site in \
             the controller's vault.also_at"
        ));
    }
    if piece.data.len() > limits::GUEST_PIECE_BYTES_MAX {
        return Err(format!(
            "guest-bounds: a piece has {length} bytes, and at most {} may be in one",
            limits::GUEST_PIECE_BYTES_MAX
        ));
    }
    if !(1..=limits::SEGMENT_BYTES_MAX).contains(&piece.file_bytes)
        || piece.offset.checked_add(length).is_none_or(|end| end > piece.file_bytes)
    {
        return Err(format!(
            "guest-bounds: a file of {} bytes with a piece from {} on is no segment's",
            piece.file_bytes, piece.offset
        ));
    }
    Ok(match have {
        Have::Part(bytes) if bytes > piece.file_bytes => Todo::BeginAnew,
        // A part that broke off before its last check is checked by an empty piece at its end.
        Have::Part(bytes) if bytes == piece.offset && (length > 0 || bytes == piece.file_bytes) => {
            let to_come = piece.file_bytes - bytes;
            Todo::Write { to_come, is_last: to_come == length }
        }
        Have::Whole(_) | Have::Part(_) => Todo::Tell,
    })
}

/// Checks a whole file, without any key.
///
/// # Errors
/// Why it is not the one that was named.
pub fn check(piece: &Piece, file: &[u8]) -> Result<(), String> {
    let bad = |why: &str| {
        Err(format!(
            "guest-not-sealed: what came as {} segment {} {why}; it was thrown away",
            piece.camera, piece.seq
        ))
    };
    let Ok(segment) = SealedSegment::read(file) else { return bad("is no sealed file") };
    if segment.manifest.is_none() || segment.whole_bytes != file.len() {
        return bad("is torn");
    }
    if segment.header.camera != piece.camera || segment.header.seq != piece.seq {
        return bad("is another segment");
    }
    if tree::root(&segment.leaves()) != piece.root {
        return bad("has another root");
    }
    Ok(())
}
