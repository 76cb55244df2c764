//! Just enough of MP4 (ISO/IEC 14496-12) to find where boxes lie. Knows nothing of what is in them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// More boxes than this side by side are garbage: a master has two for each fragment.
pub const BOXES_MAX: usize = 2 * custody::sealed::FRAGMENTS_MAX + 100;

/// Where one box lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its four letters.
    pub kind: [u8; 4],
    /// Its first byte.
    pub start: u64,
    /// Where what it holds begins.
    pub inside: u64,
    /// Where it ends.
    pub end: u64,
}

impl Place {
    /// What it holds, without its head.
    #[must_use]
    pub fn payload(&self) -> Range<u64> {
        self.inside..self.end
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

/// The boxes that `bytes` consists of, end to end; none if it is not whole boxes.
#[must_use]
pub fn in_bytes(bytes: &[u8]) -> Option<Vec<Place>> {
    let all = bytes.len() as u64;
    let mut found = Vec::new();
    let mut at = 0;
    while at < all {
        let rest = bytes.get(usize::try_from(at).ok()?..)?;
        let place = placed(&head(rest)?, at, all)?;
        at = place.end;
        found.push(place);
        if found.len() > BOXES_MAX {
            return None;
        }
    }
    Some(found)
}

/// The boxes that this part of a file consists of, end to end; none if it is not whole boxes.
/// Reads their heads alone.
///
/// # Errors
/// When the file does not read.
pub fn in_file<R: Read + Seek>(file: &mut R, part: Range<u64>) -> io::Result<Option<Vec<Place>>> {
    let mut found = Vec::new();
    let mut at = part.start;
    let mut bytes = Vec::with_capacity(16);
    while at < part.end {
        if found.len() >= BOXES_MAX {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(at))?;
        bytes.clear();
        file.by_ref().take(16.min(part.end - at)).read_to_end(&mut bytes)?;
        let Some(place) = head(&bytes).and_then(|head| placed(&head, at, part.end)) else {
            return Ok(None);
        };
        at = place.end;
        found.push(place);
    }
    Ok(Some(found))
}

fn placed(head: &Head, at: u64, all: u64) -> Option<Place> {
    let len = head.box_bytes.unwrap_or(all - at);
    let end = at.checked_add(len).filter(|end| *end <= all)?;
    Some(Place { kind: head.kind, start: at, inside: at + head.head_bytes, end })
}

/// Where the payloads of the top-level boxes of `kind` lie; none if `bytes` is not whole boxes.
#[must_use]
pub fn payloads_in(bytes: &[u8], kind: &[u8; 4]) -> Option<Vec<Range<usize>>> {
    in_bytes(bytes)?
        .into_iter()
        .filter(|place| place.kind == *kind)
        .map(|place| Some(usize::try_from(place.inside).ok()?..usize::try_from(place.end).ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn a_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(8 + payload.len()).unwrap();
        [&len.to_be_bytes()[..], kind, payload].concat()
    }

    fn both(bytes: &[u8]) -> Option<Vec<Place>> {
        let in_memory = in_bytes(bytes);
        let of_file = in_file(&mut Cursor::new(bytes), 0..bytes.len() as u64).unwrap();
        assert_eq!(in_memory, of_file);
        of_file
    }

    #[test]
    fn payloads_are_found_under_every_form_of_length() {
        let wide = [&1_u32.to_be_bytes()[..], b"mdat", &20_u64.to_be_bytes(), b"wide"].concat();
        let to_end = [&0_u32.to_be_bytes()[..], b"mdat", b"rest"].concat();
        let bytes = [a_box(b"ftyp", b"isom"), a_box(b"mdat", b"narrow"), wide, to_end].concat();
        assert_eq!(both(&bytes).unwrap().len(), 4);
        let ranges = payloads_in(&bytes, b"mdat").unwrap();
        let found: Vec<_> = ranges.into_iter().map(|r| &bytes[r]).collect();
        assert_eq!(found, [&b"narrow"[..], b"wide", b"rest"]);
    }

    #[test]
    fn torn_and_impossible_boxes_are_refused() {
        let whole = [a_box(b"ftyp", b"isom"), a_box(b"mdat", b"picture")].concat();
        // Cut between boxes it is whole, only without its second box.
        for cut in (1..whole.len()).filter(|cut| *cut != 12) {
            assert!(both(&whole[..cut]).is_none(), "{cut}");
        }
        assert!(both(&[0, 0, 0, 7, b'm', b'd', b'a', b't']).is_none());
        let huge = [&1_u32.to_be_bytes()[..], b"mdat", &u64::MAX.to_be_bytes()].concat();
        assert!(both(&[a_box(b"free", b""), huge].concat()).is_none());
        let endless = a_box(b"free", b"").repeat(BOXES_MAX + 1);
        assert!(both(&endless).is_none());
    }
}
