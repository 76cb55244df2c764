//! A moment as the clocks of the United Kingdom showed it. The rules for British Summer Time come
//! with the program, not from the machine, so that every controller writes the same. Pure.

use custody::WallTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The United Kingdom's clock.
pub(super) struct Local(TimeZone);

impl Local {
    pub(super) fn new() -> Self {
        Self(TimeZone::get("Europe/London").expect("the time zones are compiled in"))
    }

    /// Such as `2026-07-01 15:03:05 BST (UTC+01:00)`.
    pub(super) fn text(&self, wall: WallTime) -> String {
        let moment = Timestamp::from_microsecond(wall.0).unwrap_or(Timestamp::UNIX_EPOCH);
        moment
            .to_zoned_datetime(self.0.clone())
            .strftime("%Y-%m-%d %H:%M:%S %Z (UTC%:z)")
            .to_string()
    }
}

/// Such as `2026-07-01 14:03:05 UTC`.
pub(super) fn utc(wall: WallTime) -> String {
    let moment = wall.calendar();
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_begins_and_ends_at_one_oclock_utc() {
        let check = |utc_time: &str, expect: &str| {
            assert_eq!(Local::new().text(utc_time.parse().unwrap()), expect);
        };
        check("2026-03-29T00:59:59Z", "2026-03-29 00:59:59 GMT (UTC+00:00)");
        check("2026-03-29T01:00:00Z", "2026-03-29 02:00:00 BST (UTC+01:00)");
        check("2026-10-25T00:59:59Z", "2026-10-25 01:59:59 BST (UTC+01:00)");
        check("2026-10-25T01:00:00Z", "2026-10-25 01:00:00 GMT (UTC+00:00)");
        check("2026-11-21T14:03:05.900Z", "2026-11-21 14:03:05 GMT (UTC+00:00)");
        assert_eq!(utc("2026-11-21T14:03:05.900Z".parse().unwrap()), "2026-11-21 14:03:05 UTC");
    }
}
