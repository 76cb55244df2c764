//! Family `moments`: finds a camera's links by time.
//!
//! ```text
//! key   = camera 0x00 'S' start seq:u64       a segment, stored or erased
//!       | camera 0x00 'G' end   seq:u64       a gap
//! value = nothing
//! ```
//! A segment is at most an hour long, so one that reaches into an interval begins at most an hour
//! before it. A gap may be weeks long, so gaps are found by their ends.

use custody::{CameraId, Seq, WallTime};

use super::{Reader, Writer};

/// Which of the two orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Segments by their starts.
    SegmentStart,
    /// Gaps by their ends.
    GapEnd,
}

impl Order {
    fn byte(self) -> u8 {
        match self {
            Self::SegmentStart => b'S',
            Self::GapEnd => b'G',
        }
    }
}

/// What every key of this camera and order begins with.
#[must_use]
pub(crate) fn prefix(camera: &CameraId, order: Order) -> Vec<u8> {
    Writer::default().camera(camera).u8(order.byte()).done()
}

/// The key of one link.
#[must_use]
pub(crate) fn key(camera: &CameraId, order: Order, time: WallTime, seq: Seq) -> Vec<u8> {
    Writer::default().camera(camera).u8(order.byte()).time(time).u64(seq.0).done()
}

/// The time and place that a key beginning with [`prefix`] names.
#[must_use]
pub(crate) fn decode_key(camera: &CameraId, order: Order, bytes: &[u8]) -> Option<(WallTime, Seq)> {
    let mut r = Reader(bytes.strip_prefix(prefix(camera, order).as_slice())?);
    let read = (r.time()?, r.seq()?);
    r.end()?;
    Some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_sort_by_time_even_before_1970(a: i64, b: i64, seq: u64) {
            let camera: CameraId = "east/ext-01".parse().unwrap();
            let of = |t| key(&camera, Order::GapEnd, WallTime(t), Seq(seq));
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
            prop_assert_eq!(decode_key(&camera, Order::GapEnd, &of(a)), Some((WallTime(a), Seq(seq))));
            prop_assert_eq!(decode_key(&camera, Order::SegmentStart, &of(a)), None);
        }
    }
}
