//! Wall time as records carry it, and how good it was. Sequence numbers order; time describes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds since 1970-01-01T00:00:00Z, always UTC: BST and GMT never touch a record.
///
/// Written as RFC 3339 with `Z` and six decimals.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(try_from = "String", into = "String")]
pub struct WallTime(pub i64);

/// Text that is not an RFC 3339 time between the years 1970 and 2400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write it like 2026-11-21T14:03:00Z")]
pub struct BadTime(String);

/// 2400-01-01, so that sums of two times and a duration cannot overflow.
const MICROS_MAX: i64 = 13_569_465_600_000_000;

impl WallTime {
    /// This time moved by `micros` microseconds.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This time moved by whole seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds from `earlier` to this time; negative if it is later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The calendar form, UTC.
    #[must_use]
    pub fn calendar(self) -> OffsetDateTime {
        let nanos = i128::from(self.0.clamp(0, MICROS_MAX)) * 1000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.calendar();
        let (year, month, day) = t.to_calendar_date();
        let (hour, minute, second, micro) = t.to_hms_micro();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
    }
}

impl FromStr for WallTime {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let bad = || BadTime(text.chars().take(40).collect());
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
        let micros = i64::try_from(parsed.unix_timestamp_nanos() / 1000).map_err(|_| bad())?;
        if (0..=MICROS_MAX).contains(&micros) { Ok(Self(micros)) } else { Err(bad()) }
    }
}

impl TryFrom<String> for WallTime {
    type Error = BadTime;
    fn try_from(text: String) -> Result<Self, BadTime> {
        text.parse()
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

/// Where the recorder's clock got its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSource {
    /// The kernel says that a time service (chrony, ntpd, PTP) disciplines it.
    Disciplined,
    /// The kernel says that nothing disciplines it.
    Undisciplined,
    /// The test's own clock.
    Simulated,
}

/// How good the recorder's clock was when a record was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Who keeps it.
    pub source: ClockSource,
    /// The kernel's own estimate of how far the clock is from true time, microseconds.
    pub offset_us: i64,
    /// The bound on that estimate's error, microseconds (`ntp_adjtime`'s maxerror).
    pub uncertainty_us: i64,
    /// The camera's clock minus the recorder's, from its RTCP sender report, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_offset_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_and_read_back() {
        let t: WallTime = "2026-03-29T01:30:00.5+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-03-29T00:30:00.500000Z");
        assert_eq!(t.to_string().parse::<WallTime>().unwrap(), t);
    }

    #[test]
    fn nonsense_and_far_futures_are_refused() {
        for bad in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert!(bad.parse::<WallTime>().is_err(), "{bad}");
        }
    }
}
