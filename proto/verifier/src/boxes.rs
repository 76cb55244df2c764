//! Just enough of MP4 (ISO/IEC 14496-12) to find the pictures' bytes: top-level boxes and the
//! payloads of `mdat`. Knows nothing of what is in them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use custody::Digest;
use sha2::{Digest as _, Sha256};

/// A playable copy has three top-level boxes; more than this is garbage.
const BOXES_MAX: usize = 1_000;
/// Payloads are read in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// Picture bytes as they go by: their digest and number.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    hasher: Sha256,
    bytes: u64,
}

impl Pictures {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// How many bytes, and their digest.
    #[must_use]
    pub fn finish(self) -> (u64, Digest) {
        (self.bytes, Digest(self.hasher.finalize().into()))
    }
}

/// A box's head: its kind, the length of the head, and of the whole box (none: to the end).
struct Head {
    kind: [u8; 4],
    head_bytes: u64,
    box_bytes: Option<u64>,
}

/// The head that begins with these bytes; none if they are too few or its length is impossible.
fn head(bytes: &[u8]) -> Option<Head> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (head_bytes, box_bytes) = match u32::from_be_bytes(*size) {
        0 => (8, None),
        1 => {
            let (large, _) = rest.split_first_chunk::<8>()?;
            (16, Some(u64::from_be_bytes(*large)))
        }
        size => (8, Some(u64::from(size))),
    };
    if box_bytes.is_some_and(|len| len < head_bytes) {
        return None;
    }
    Some(Head { kind: *kind, head_bytes, box_bytes })
}

/// Where the payloads of the top-level boxes of `kind` lie; none if `bytes` is not whole boxes.
#[must_use]
pub fn payloads_in(bytes: &[u8], kind: &[u8; 4]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..)?;
        let head = head(rest)?;
        let len = match head.box_bytes {
            Some(len) => usize::try_from(len).ok()?,
            None => rest.len(),
        };
        if len > rest.len() || found.len() >= BOXES_MAX {
            return None;
        }
        if head.kind == *kind {
            let head_bytes = usize::try_from(head.head_bytes).ok()?;
            found.push(at + head_bytes..at + len);
        }
        at += len;
    }
    Some(found)
}

/// Why a playable copy does not read.
#[derive(Debug, thiserror::Error)]
pub enum BadView {
    /// The system does not let us read it.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not whole MP4 boxes.
    #[error("it is not whole MP4 boxes from end to end")]
    Torn,
    /// It holds something that we do not write.
    #[error("it holds a box `{0}`, which a playable copy has not")]
    Foreign(String),
}

/// Reads a playable copy of `file_bytes`: `ftyp`, `moov`, `mdat` and `free`, and takes the payloads
/// of `mdat` in order.
///
/// # Errors
/// When it does not read, or holds another box.
pub fn mdat_of<R: Read + Seek>(mut file: R, file_bytes: u64) -> Result<Pictures, BadView> {
    let mut pictures = Pictures::default();
    let mut at = 0;
    let mut piece = vec![0; PIECE_BYTES];
    for _ in 0..BOXES_MAX {
        if at == file_bytes {
            return Ok(pictures);
        }
        file.seek(SeekFrom::Start(at))?;
        let left = file_bytes - at;
        let mut bytes = Vec::with_capacity(16);
        file.by_ref().take(16.min(left)).read_to_end(&mut bytes)?;
        let head = head(&bytes).ok_or(BadView::Torn)?;
        let len = head.box_bytes.unwrap_or(left);
        if len > left {
            return Err(BadView::Torn);
        }
        match &head.kind {
            b"mdat" => {
                file.seek(SeekFrom::Start(at + head.head_bytes))?;
                take(&mut file, len - head.head_bytes, &mut piece, &mut pictures)?;
            }
            b"ftyp" | b"moov" | b"free" => {}
            other => return Err(BadView::Foreign(other.escape_ascii().to_string())),
        }
        at += len;
    }
    Err(BadView::Torn)
}

fn take<R: Read>(
    file: &mut R,
    mut left: u64,
    piece: &mut [u8],
    pictures: &mut Pictures,
) -> Result<(), BadView> {
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        file.read_exact(&mut piece[..want])?;
        pictures.take(&piece[..want]);
        left -= want as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn a_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(8 + payload.len()).unwrap();
        [&len.to_be_bytes()[..], kind, payload].concat()
    }

    fn view(bytes: &[u8]) -> Result<(u64, Digest), BadView> {
        mdat_of(Cursor::new(bytes), bytes.len() as u64).map(Pictures::finish)
    }

    #[test]
    fn pictures_are_found_under_every_form_of_length() {
        let wide = [&1_u32.to_be_bytes()[..], b"mdat", &20_u64.to_be_bytes(), b"wide"].concat();
        let to_end = [&0_u32.to_be_bytes()[..], b"mdat", b"rest"].concat();
        let bytes = [a_box(b"ftyp", b"isom"), a_box(b"mdat", b"narrow"), wide, to_end].concat();
        assert_eq!(view(&bytes).unwrap(), (14, Digest::of(b"narrowwiderest")));
        let ranges = payloads_in(&bytes, b"mdat").unwrap();
        let found: Vec<_> = ranges.into_iter().map(|r| &bytes[r]).collect();
        assert_eq!(found, [&b"narrow"[..], b"wide", b"rest"]);
    }

    #[test]
    fn torn_foreign_and_impossible_boxes_are_refused() {
        let whole = [a_box(b"ftyp", b"isom"), a_box(b"mdat", b"picture")].concat();
        // Cut between boxes it is whole, only without its pictures.
        for cut in (1..whole.len()).filter(|cut| *cut != 12) {
            assert!(view(&whole[..cut]).is_err(), "{cut}");
            assert!(payloads_in(&whole[..cut], b"mdat").is_none(), "{cut}");
        }
        assert!(matches!(view(&a_box(b"moof", b"x")), Err(BadView::Foreign(_))));
        assert!(view(&[0, 0, 0, 7, b'm', b'd', b'a', b't']).is_err());
        let endless = a_box(b"free", b"").repeat(BOXES_MAX + 1);
        assert!(view(&endless).is_err());
    }
}
