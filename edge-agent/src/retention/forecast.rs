//! When, at the present rates of all cameras, the disc will not hold every camera's floor. Pure.
//!
//! The disc is shared and what is past its floor makes room for what is not, so the floor is broken
//! when what *must* be there is more than the disc has room for:
//!
//! ```text
//! must(t) = what is held + what ends within its floor, at t        room = stored + free - reserve
//! ```
//!
//! Both are reckoned by the hour: `must` grows by what is recorded and loses, hour by hour, what comes
//! past its floor. Which camera loses footage then is no matter of the camera: what is nearest to its
//! floor goes first, so that all reach it together.

use std::collections::BTreeMap;

use custody::WallTime;

use crate::seal::key_ring;

/// How far is looked ahead, hours: twice the law's ceiling. After the first of the two nothing changes
/// but what is held.
pub const AHEAD_HOURS: u64 = 2 * 31 * 24;
const HOUR_US: i64 = 3_600_000_000;

/// What is known of one camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// Stored bytes by the hour since 1970.
    pub stored: BTreeMap<u64, u64>,
    /// Hours, first and last, that holds reach, in part or whole.
    pub held: Vec<(u64, u64)>,
    /// The floor in hours, rounded up.
    pub floor_hours: u64,
    /// What it will record.
    pub bytes_per_hour: u64,
}

impl Load {
    fn is_held(&self, hour: u64) -> bool {
        self.held.iter().any(|(first, last)| (*first..=*last).contains(&hour))
    }
}

/// What will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// When footage below its floor will have to go; none: not within 62 days.
    pub shortfall: Option<WallTime>,
    /// The most that must be on the disc at once within 62 days.
    pub wanted_bytes: u64,
    /// What the disc lacks then.
    pub lacking_bytes: u64,
}

/// Looks ahead from `now`, with so much free and so much of it kept in reserve.
#[must_use]
pub fn forecast(loads: &[Load], now: WallTime, free_bytes: u64, reserve_bytes: u64) -> Forecast {
    let present = key_ring::epoch_of(now);
    let stored: i128 = loads.iter().flat_map(|l| l.stored.values()).map(|b| i128::from(*b)).sum();
    let room = stored + i128::from(free_bytes) - i128::from(reserve_bytes);
    let (mut must, leaving) = due_and_leaving(loads, present);
    let growth: i128 = loads.iter().map(|load| i128::from(load.bytes_per_hour)).sum();
    let mut shortfall = (must > room).then_some(now);
    let mut wanted = must;
    for (ahead, leaves) in (0_i64..).zip(leaving) {
        let before = must;
        must += growth - leaves;
        wanted = wanted.max(must);
        if must > room && shortfall.is_none() {
            // Within the hour, as if it came evenly.
            let part = i128::from(HOUR_US) * (room - before) / (must - before).max(1);
            let part = i64::try_from(part).unwrap_or(0).clamp(0, HOUR_US);
            shortfall = Some(now.plus_micros(ahead * HOUR_US + part));
        }
    }
    let bytes = |n: i128| u64::try_from(n.max(0)).unwrap_or(u64::MAX);
    Forecast { shortfall, wanted_bytes: bytes(wanted), lacking_bytes: bytes(wanted - room) }
}

/// What must be there now, and what comes past its floor in each hour ahead without being held.
fn due_and_leaving(loads: &[Load], present: u64) -> (i128, Vec<i128>) {
    let mut must = 0;
    let mut leaving = vec![0_i128; usize::try_from(AHEAD_HOURS).unwrap_or(0)];
    for load in loads {
        let stored = load.stored.iter().map(|(hour, bytes)| (*hour, *bytes, true));
        let coming = (present..present + AHEAD_HOURS).map(|h| (h, load.bytes_per_hour, false));
        for (hour, bytes, is_there) in stored.chain(coming) {
            // Footage of an hour is past its floor so many hours after that hour has ended.
            let ahead = (hour + load.floor_hours).checked_sub(present);
            let is_held = load.is_held(hour);
            if is_there && (is_held || ahead.is_some()) {
                must += i128::from(bytes);
            }
            let ahead = ahead.and_then(|ahead| usize::try_from(ahead).ok());
            if let Some(left) = ahead.and_then(|at| leaving.get_mut(at)).filter(|_| !is_held) {
                *left += i128::from(bytes);
            }
        }
    }
    (must, leaving)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRESENT: u64 = 1000;

    fn now() -> WallTime {
        key_ring::epoch_begins(PRESENT)
    }

    /// Hour by hour, bucket by bucket: records, and takes away what the disc needs, nearest to its
    /// floor first. Gives the first hour ahead in which that is below its floor.
    fn lived_through(loads: &[Load], room: i128) -> Option<u64> {
        let mut discs: Vec<BTreeMap<u64, u64>> = loads.iter().map(|l| l.stored.clone()).collect();
        let make_room = |discs: &mut Vec<BTreeMap<u64, u64>>, over: u64| loop {
            let used: i128 = discs.iter().flat_map(|d| d.values()).map(|b| i128::from(*b)).sum();
            if used <= room {
                return true;
            }
            let unheld = loads.iter().enumerate().flat_map(|(at, load)| {
                let hours = discs[at].keys().filter(|hour| !load.is_held(**hour));
                hours.map(move |hour| (hour + load.floor_hours, at, *hour))
            });
            match unheld.min() {
                Some((floor_ends, at, hour)) if floor_ends < over => discs[at].remove(&hour),
                _ => return false,
            };
        };
        if !make_room(&mut discs, PRESENT) {
            return Some(0);
        }
        for ahead in 0..AHEAD_HOURS {
            for (disc, load) in discs.iter_mut().zip(loads) {
                *disc.entry(PRESENT + ahead).or_default() += load.bytes_per_hour;
            }
            if !make_room(&mut discs, PRESENT + ahead + 1) {
                return Some(ahead);
            }
        }
        None
    }

    fn load(floor_hours: u64, bytes_per_hour: u64) -> Load {
        Load { floor_hours, bytes_per_hour, ..Load::default() }
    }

    #[test]
    fn an_empty_disc_is_enough_for_its_floor_and_not_for_a_byte_more() {
        let loads = [load(744, 10), load(24, 5)];
        let wanted = 744 * 10 + 24 * 5;
        let enough = forecast(&loads, now(), wanted + 7, 7);
        assert_eq!((enough.shortfall, enough.wanted_bytes), (None, wanted));
        assert_eq!(enough.lacking_bytes, 0);
        let short = forecast(&loads, now(), wanted + 6, 7);
        assert_eq!(short.lacking_bytes, 1);
        let day_31 = PRESENT + 743;
        assert_eq!(short.shortfall.map(key_ring::epoch_of), Some(day_31));
    }

    #[test]
    fn the_date_lies_within_the_hour_in_which_the_room_ends() {
        let loads = [load(744, 100)];
        let at = forecast(&loads, now(), 250, 0).shortfall.unwrap();
        assert_eq!(at.micros_since(now()), 5 * HOUR_US / 2);
        // Less free than the reserve, and nothing is past its floor: it is so now.
        assert_eq!(forecast(&loads, now(), 5, 10).shortfall, Some(now()));
    }

    #[test]
    fn a_standing_hold_fills_the_disc_in_the_end() {
        let mut held = load(24, 10);
        assert_eq!(forecast(std::slice::from_ref(&held), now(), 300, 0).shortfall, None);
        held.held = vec![(PRESENT, PRESENT + 100)];
        let at = forecast(&[held], now(), 300, 0).shortfall.unwrap();
        assert_eq!(key_ring::epoch_of(at), PRESENT + 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_forecast_is_what_comes_when_it_is_lived_through(
            cameras in proptest::collection::vec(
                (
                    1_u64..60,
                    0_u64..50,
                    proptest::collection::btree_map(PRESENT - 90..=PRESENT, 0_u64..60, 0..20),
                    proptest::collection::vec((PRESENT - 90..PRESENT + 60, 0_u64..60), 0..2),
                ),
                1..4,
            ),
            free in 0_u64..5000,
            reserve in 0_u64..500,
        ) {
            let loads: Vec<Load> = cameras
                .into_iter()
                .map(|(floor_hours, bytes_per_hour, stored, held)| Load {
                    stored,
                    held: held.into_iter().map(|(from, hours)| (from, from + hours)).collect(),
                    floor_hours,
                    bytes_per_hour,
                })
                .collect();
            let seen = forecast(&loads, now(), free, reserve);
            let stored: u64 = loads.iter().flat_map(|l| l.stored.values()).sum();
            let room = i128::from(stored + free) - i128::from(reserve);
            let hours = seen.shortfall.map(|at| key_ring::epoch_of(at) - PRESENT);
            prop_assert_eq!(hours, lived_through(&loads, room));
            prop_assert_eq!(seen.lacking_bytes > 0, seen.shortfall.is_some());
        }
    }
}
