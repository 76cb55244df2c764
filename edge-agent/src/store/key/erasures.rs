//! In family `facts`: segments that were erased below their floor or after their ceiling, by day of
//! the last 31 and today. Key: `erasures`. Value: JSON, at most 32 days, 2 kB.

use std::collections::BTreeMap;

use custody::WallTime;
use serde::{Deserialize, Serialize};

/// The key.
pub(crate) const KEY: &[u8] = b"erasures";
/// Days that are kept: those of the ceiling, and the one that is not over.
const DAYS: u64 = 32;
const DAY_US: i64 = 86_400_000_000;

/// By day since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasuresRow {
    early: BTreeMap<u64, u64>,
    late: BTreeMap<u64, u64>,
    early_at: Option<WallTime>,
    late_at: Option<WallTime>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// Below the floor, for want of room.
    Early,
    /// More than ten minutes after the ceiling.
    Late,
}

/// Segments that were not erased in their time, in the last 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erasures {
    /// Below their floor, because the disc was full.
    pub early: u64,
    /// When last; none: never in that time.
    pub early_at: Option<WallTime>,
    /// More than ten minutes after their ceiling.
    pub late: u64,
    /// When last.
    pub late_at: Option<WallTime>,
}

fn day_of(time: WallTime) -> u64 {
    u64::try_from(time.0 / DAY_US).unwrap_or(0)
}

impl ErasuresRow {
    /// Counts `segments` at `now`, and forgets what is longer ago than 31 days.
    pub(crate) fn count(&mut self, which: Untimely, segments: u64, now: WallTime) {
        let (days, at) = match which {
            Untimely::Early => (&mut self.early, &mut self.early_at),
            Untimely::Late => (&mut self.late, &mut self.late_at),
        };
        *days.entry(day_of(now)).or_default() += segments;
        *at = Some(now);
        // By number too: a clock that was far ahead leaves days that are not over for long.
        let first = day_of(now).saturating_sub(DAYS - 1);
        for days in [&mut self.early, &mut self.late] {
            days.retain(|day, _| *day >= first);
            while u64::try_from(days.len()).unwrap_or(DAYS) > DAYS {
                days.pop_last();
            }
        }
    }

    /// What was so in the 31 days before `now`, to the day.
    #[must_use]
    pub(crate) fn figures(&self, now: WallTime) -> Erasures {
        let first = day_of(now).saturating_sub(DAYS - 1);
        let sum = |days: &BTreeMap<u64, u64>| days.range(first..).map(|(_, n)| n).sum();
        let (early, late) = (sum(&self.early), sum(&self.late));
        Erasures {
            early,
            early_at: self.early_at.filter(|_| early > 0),
            late,
            late_at: self.late_at.filter(|_| late > 0),
        }
    }

    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and times always have a JSON form")
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasures_are_remembered_for_thirty_one_days_and_read_back() {
        let day = |day: i64| WallTime(day * DAY_US + 5);
        let mut row = ErasuresRow::default();
        for at in 0..100 {
            row.count(Untimely::Early, 2, day(at));
            row.count(Untimely::Late, 1, day(at));
            assert!(row.encode().len() < 2048);
        }
        assert_eq!(ErasuresRow::decode(&row.encode()), Some(row.clone()));
        let at_end = row.figures(day(99));
        assert_eq!((at_end.early, at_end.late), (64, 32));
        assert_eq!((at_end.early_at, at_end.late_at), (Some(day(99)), Some(day(99))));
        assert_eq!(row.figures(day(99 + 30)).early, 4);
        assert_eq!(row.figures(day(99 + 31)).early, 2);
        assert_eq!(row.figures(day(99 + 32)), Erasures::default());
    }
}
