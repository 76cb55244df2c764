//! Times as people write them: RFC 3339, `now`, or how long ago. Pure: takes the present.

use custody::WallTime;

/// What may be written, for `--help` and for messages.
pub const FORMS: &str = "2026-11-21T14:03:00Z, 2026-06-21T15:03:00+01:00, now, -5m, `5m ago`";

/// A time as it was written, not yet placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A time of day on a day.
    At(WallTime),
    /// Seconds before the present.
    Ago(i64),
}

impl When {
    /// The time that is meant at `now`.
    #[must_use]
    pub fn at(self, now: WallTime) -> WallTime {
        match self {
            Self::At(at) => at,
            Self::Ago(seconds) => now.plus_seconds(-seconds),
        }
    }
}

/// Reads any of [`FORMS`]. Without a zone a time is refused: `14:03` is two times on one day of the
/// year, and evidence must not be guessed.
///
/// # Errors
/// With the forms that may be written.
pub fn parse(text: &str) -> Result<When, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(When::Ago(0));
    }
    if let Ok(at) = text.parse() {
        return Ok(When::At(at));
    }
    let length = text.strip_suffix("ago").map(str::trim_end).or_else(|| text.strip_prefix('-'));
    length.and_then(seconds).map(When::Ago).ok_or_else(|| {
        let zone = if text.contains(':') && !text.contains('+') && !text.ends_with('Z') {
            " (a zone is needed: Z, or +01:00 in summer)"
        } else {
            ""
        };
        format!("`{text:.40}` is not a time{zone}: write {FORMS}")
    })
}

/// Reads a day, for dates that are years away; its first moment in UTC is meant.
///
/// # Errors
/// With the form that is meant.
pub fn parse_day(text: &str) -> Result<WallTime, String> {
    let at = (text.len() == 10).then(|| format!("{text}T00:00:00Z").parse().ok()).flatten();
    at.ok_or_else(|| format!("`{text:.40}` is not a day: write it like 2032-11-19"))
}

/// `90s`, `5m`, `1h30m`, `31d`; at most ten years, and every part once.
fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    let mut unit_before = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = match tail.as_bytes().first()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return None,
        };
        if unit >= unit_before {
            return None;
        }
        unit_before = unit;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty() && total <= 3_660 * 86_400).then_some(total)
}

/// The present. The one place that reads the clock.
#[must_use]
pub fn now() -> WallTime {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    WallTime(i64::try_from(nanos / 1_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_with_a_zone_or_relative() {
        let now: WallTime = "2026-11-21T14:00:00Z".parse().unwrap();
        for (text, expect) in [
            ("now", "2026-11-21T14:00:00.000000Z"),
            ("-5m", "2026-11-21T13:55:00.000000Z"),
            ("5m ago", "2026-11-21T13:55:00.000000Z"),
            ("90s ago", "2026-11-21T13:58:30.000000Z"),
            ("-1h30m", "2026-11-21T12:30:00.000000Z"),
            ("2d ago", "2026-11-19T14:00:00.000000Z"),
            ("2026-06-21T15:03:00+01:00", "2026-06-21T14:03:00.000000Z"),
            (" 2026-11-21T14:03:00Z ", "2026-11-21T14:03:00.000000Z"),
        ] {
            assert_eq!(parse(text).unwrap().at(now).to_string(), expect, "{text}");
        }
    }

    #[test]
    fn a_day_is_its_first_moment() {
        let day = parse_day("2032-11-19").unwrap();
        assert_eq!(day.to_string(), "2032-11-19T00:00:00.000000Z");
        for bad in ["", "2032-11", "19.11.2032", "2032-13-01", "in a year", "2032-11-1Z"] {
            assert!(parse_day(bad).unwrap_err().contains("2032-11-19"), "{bad}");
        }
    }

    #[test]
    fn what_could_mean_two_times_is_refused() {
        for bad in [
            "",
            "-",
            "ago",
            "5m",
            "-5",
            "5x ago",
            "-m",
            "-5m5m",
            "-5m1h",
            "-99999999999999999999d",
            "-4000d",
            "yesterday",
            "14:03",
            "2026-11-21 14:03",
            "-\u{e9}m",
            "2026-10-25T01:30:00",
        ] {
            let why = parse(bad).unwrap_err();
            assert!(why.contains("now, -5m"), "{bad}: {why}");
        }
        assert!(parse("2026-10-25T01:30:00").unwrap_err().contains("zone"));
    }
}
