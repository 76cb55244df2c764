//! Where a segment's time begins on its camera's chain. Pure.
//!
//! Every record of a camera starts where the one before it ended, so that no instant is without
//! one. Frame times jitter and recorders lose frames, so a start is judged by its distance from the
//! chain's end:
//!
//! | start is | the segment starts |
//! |---|---|
//! | at most 2 s before the end | at the end: the camera's clock is a little slow |
//! | more than 2 s before, with a discontinuity | as given: the record says that time begins anew |
//! | more than 2 s before, without one | not at all: refused |
//! | at most 100 ms after | at the end: less than a frame at 10 frames a second is missing |
//! | later | as given, after a gap up to it |

use custody::WallTime;

use super::StoreError;
use crate::limits;

/// Where a segment starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its start.
    pub(super) start: WallTime,
    /// Whether a gap must come between.
    pub(super) gap: bool,
}

/// Judges `start` against the chain's `end`.
pub(super) fn place(
    end: Option<WallTime>,
    start: WallTime,
    anew: bool,
) -> Result<Placed, StoreError> {
    let Some(end) = end else {
        return Ok(Placed { start, gap: false });
    };
    let late_us = start.micros_since(end);
    if late_us > limits::START_SNAP_US {
        return Ok(Placed { start, gap: true });
    }
    if late_us >= -limits::START_CLAMP_US {
        return Ok(Placed { start: end, gap: false });
    }
    if anew {
        return Ok(Placed { start, gap: false });
    }
    Err(StoreError::refused(format!(
        "footage from {start} would begin before the record before it ends at {end}; open the \
         segment with discontinuity `clock-step`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_judged_by_its_distance_from_the_end() {
        let end = Some(WallTime(10_000_000));
        let at = |us, anew| place(end, WallTime(us), anew).ok();
        let starts = |us, gap| Some(Placed { start: WallTime(us), gap });
        assert_eq!(at(10_000_000, false), starts(10_000_000, false));
        assert_eq!(at(8_000_000, false), starts(10_000_000, false));
        assert_eq!(at(7_999_999, false), None);
        assert_eq!(at(7_999_999, true), starts(7_999_999, false));
        assert_eq!(at(10_100_000, false), starts(10_000_000, false));
        assert_eq!(at(10_100_001, false), starts(10_100_001, true));
        assert_eq!(place(None, WallTime(5), false).ok(), starts(5, false));
    }
}
