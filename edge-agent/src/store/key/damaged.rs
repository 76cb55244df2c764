//! Facts `damaged/…`: a stored segment whose file is not what was signed, and whose damage is logged.
//! Goes when a sound copy has replaced it, or when it is erased.
//!
//! ```text
//! key   = "damaged/" camera 0x00 seq:u64
//! value = 1:u8 text 0x00
//! ```

use custody::{CameraId, Seq, SiteId};

use super::{Reader, Writer, link};

/// What every key begins with, in family `facts`.
pub(crate) const PREFIX: &[u8] = b"damaged/";

/// The key.
#[must_use]
pub(crate) fn key(camera: &CameraId, seq: Seq) -> Vec<u8> {
    [PREFIX, &link::key(camera, seq)].concat()
}

/// The value.
#[must_use]
pub(crate) fn encode(what: &str) -> Vec<u8> {
    Writer::default().u8(1).text(&what.replace('\0', " ")).done()
}

/// Reads a row.
#[must_use]
pub(crate) fn decode(site: &SiteId, key: &[u8], value: &[u8]) -> Option<((CameraId, Seq), String)> {
    let of = link::decode_key(site, key.strip_prefix(PREFIX)?)?;
    let mut r = Reader(value);
    r.version(1)?;
    let what = r.text()?;
    r.end()?;
    Some((of, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_reads_back() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let key = key(&camera, Seq(7));
        let site = "east".parse().unwrap();
        let read = decode(&site, &key, &encode("it is\0gone"));
        assert_eq!(read, Some(((camera, Seq(7)), "it is gone".to_owned())));
        assert_eq!(decode(&site, b"damaged/", b""), None);
    }
}
