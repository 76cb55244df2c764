//! In family `facts`: hours of which footage was erased while other footage of theirs lives on, so that
//! the hour's key must change.
//!
//! ```text
//! key   = "residue" 0x00 hour:u64
//! value = 1:u8 since last:u64 ordered:u8
//! ```

use custody::WallTime;

use super::{Reader, Writer, after_prefix};

/// What is erased and still opens under a living hour's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Residue {
    /// When the first of it was erased.
    pub since: WallTime,
    /// The place in the log of the record that erased the last of it.
    pub last: u64,
    /// Some of it by order.
    pub ordered: bool,
}

impl Residue {
    /// With what the record at `place` erases.
    #[must_use]
    pub(crate) fn with(before: Option<Self>, now: WallTime, place: u64, ordered: bool) -> Self {
        let since = before.map_or(now, |before| before.since.min(now));
        Self { since, last: place, ordered: ordered || before.is_some_and(|b| b.ordered) }
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().u8(1).time(self.since).u64(self.last);
        writer.u8(u8::from(self.ordered)).done()
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.version(1)?;
        let residue = Self { since: r.time()?, last: r.u64()?, ordered: r.u8()? == 1 };
        r.end()?;
        Some(residue)
    }
}

/// The key.
#[must_use]
pub(crate) fn key(hour: u64) -> Vec<u8> {
    Writer::default().text("residue").u64(hour).done()
}

/// Reads a key.
#[must_use]
pub(crate) fn decode_key(bytes: &[u8]) -> Option<u64> {
    let mut r = Reader(bytes);
    let hour = (r.text()? == "residue").then(|| r.u64())??;
    r.end()?;
    Some(hour)
}

/// Where the rows begin and end.
#[must_use]
pub(crate) fn range() -> (Vec<u8>, Vec<u8>) {
    let lower = Writer::default().text("residue").done();
    let upper = after_prefix(&lower);
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_residue_reads_back_and_keeps_its_beginning() {
        let first = Residue::with(None, WallTime(50), 7, true);
        let second = Residue::with(Some(first), WallTime(90), 9, false);
        assert_eq!(second, Residue { since: WallTime(50), last: 9, ordered: true });
        assert_eq!(Residue::decode(&second.encode()), Some(second));
        assert_eq!(decode_key(&key(500)), Some(500));
        let (lower, upper) = range();
        assert!(
            lower <= key(0)
                && key(u64::MAX - 1) < upper
                && !(lower..upper).contains(&b"origin".to_vec())
        );
    }
}
