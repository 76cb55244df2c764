//! Family `heads`: the last link of each camera's chain.
//!
//! ```text
//! key   = camera 0x00
//! value = 1:u8 seq:u64 digest[32] end
//! ```

use custody::chain::Head;

use super::{Reader, Writer};

/// The value.
#[must_use]
pub(crate) fn encode(head: &Head) -> Vec<u8> {
    Writer::default().u8(1).u64(head.seq.0).digest(head.digest).time(head.end).done()
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Head> {
    let mut r = Reader(bytes);
    r.version(1)?;
    let head = Head { seq: r.seq()?, digest: r.digest()?, end: r.time()? };
    r.end()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use custody::{Digest, Seq, WallTime};

    use super::*;

    #[test]
    fn a_head_reads_back() {
        let head = Head { seq: Seq(4), digest: Digest::of(b"4"), end: WallTime(-9) };
        assert_eq!(decode(&encode(&head)), Some(head));
        assert_eq!(decode(b"\x02"), None);
    }
}
