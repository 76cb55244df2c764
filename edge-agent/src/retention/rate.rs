//! How fast a camera fills the disc: as measured by what it stored, else as expected. Pure.

use std::collections::BTreeMap;

/// What a camera is taken to send before it is measured, kilobits a second, unless its settings say.
pub const EXPECTED_KBPS: u64 = 4_000;
/// A measured rate this much above the expected one is worth a warning: a fifth.
const ABOVE: (u64, u64) = (6, 5);
/// Hours that a rate is taken over: a day and a night.
const HOURS: u64 = 24;

/// Bytes an hour of so many kilobits a second.
#[must_use]
pub fn bytes_per_hour(kbps: u64) -> u64 {
    kbps.saturating_mul(125 * 3600)
}

/// Kilobits a second of so many bytes an hour.
#[must_use]
pub fn kbps(bytes_per_hour: u64) -> u64 {
    bytes_per_hour / (125 * 3600)
}

/// Bytes an hour over those of the last 24 whole hours in which there is footage; none: in none of
/// them. An hour in which the camera was away for a part counts as it is.
#[must_use]
pub fn day(hours: &BTreeMap<u64, u64>, present: u64) -> Option<u64> {
    let whole = hours.range(present.saturating_sub(HOURS)..present);
    let (sum, count) = whole.fold((0_u64, 0), |(sum, n), (_, b)| (sum.saturating_add(*b), n + 1));
    sum.checked_div(count)
}

/// Bytes of the last whole hour, if there is footage in it.
#[must_use]
pub fn hour(hours: &BTreeMap<u64, u64>, present: u64) -> Option<u64> {
    hours.get(&present.checked_sub(1)?).copied()
}

/// Whether a camera sends a fifth more than it is expected to.
#[must_use]
pub fn is_above(measured_kbps: u64, expected_kbps: u64) -> bool {
    measured_kbps.saturating_mul(ABOVE.1) > expected_kbps.saturating_mul(ABOVE.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_whole_hours_with_footage() {
        let hours = BTreeMap::from([(70, 9_000), (90, 100), (91, 300), (99, 500), (100, 7)]);
        assert_eq!(day(&hours, 100), Some(300));
        assert_eq!(hour(&hours, 100), Some(500));
        assert_eq!((day(&hours, 200), hour(&hours, 200)), (None, None));
        assert_eq!(kbps(bytes_per_hour(4_000)), 4_000);
        assert!(is_above(1201, 1000) && !is_above(1200, 1000));
    }
}
