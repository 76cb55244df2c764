//! What people must see to about holds, in words. Pure.

use custody::WallTime;

use super::{HoldEntry, HoldState};
use crate::limits;

/// How the site of a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteIs {
    /// Connected.
    Here,
    /// Away, since then if that is known.
    Away(Option<WallTime>),
}

/// Something to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable name: `hold-review-due`, `hold-waits`, `hold-too-late`, `hold-refused`.
    pub problem: &'static str,
    /// In words.
    pub detail: String,
}

/// When the oldest footage of a hold that is not placed is erased: the margin that there is.
#[must_use]
pub fn expires(hold: &HoldEntry) -> Option<WallTime> {
    (hold.state == HoldState::Ordered).then(|| hold.span.from.plus_seconds(limits::RETENTION_S))
}

/// What to see to about a hold; nothing when all is well.
#[must_use]
pub fn of(hold: &HoldEntry, site: SiteIs, now: WallTime) -> Option<Warning> {
    let warning = |problem, detail| Some(Warning { problem, detail });
    match &hold.state {
        HoldState::Ordered => waits(hold, site, now),
        HoldState::Refused { why } => {
            let camera = &hold.camera;
            warning("hold-refused", format!("the site will not hold footage of {camera}: {why}"))
        }
        HoldState::Placed { segments, erased } if *erased > 0 => warning(
            "hold-too-late",
            format!(
                "{erased} segments of the interval had been erased when the hold came; {segments} \
                 are held. Note in the case what is lost."
            ),
        ),
        HoldState::Placed { .. } if hold.is_due(now) => {
            let due = hold.grounds.map(|grounds| grounds.review_at).unwrap_or_default();
            warning(
                "hold-review-due",
                format!(
                    "its review was due on {}: release it, or order it anew with a later review",
                    day(due)
                ),
            )
        }
        HoldState::Placed { .. } | HoldState::ReleaseOrdered | HoldState::Released => None,
    }
}

fn waits(hold: &HoldEntry, site: SiteIs, now: WallTime) -> Option<Warning> {
    let SiteIs::Away(since) = site else { return None };
    let expires = expires(hold)?;
    let away = match since {
        Some(since) => format!("site {} away since {}", hold.camera.site(), minute(since)),
        None => format!("site {} away", hold.camera.site()),
    };
    let left_us = expires.micros_since(now);
    Some(if left_us > 0 {
        let detail = format!(
            "expires in {}, {away}. The hold is placed when the site calls back, before anything \
             expires there. If the time is short, call the site.",
            length(left_us)
        );
        Warning { problem: "hold-waits", detail }
    } else {
        let detail = format!(
            "its oldest footage was erased at {}, {away}. What is left is held when the site calls \
             back.",
            minute(expires)
        );
        Warning { problem: "hold-too-late", detail }
    })
}

/// `3 h 12 min`, `29 d 4 h`.
fn length(micros: i64) -> String {
    let minutes = micros / 60_000_000;
    let (hours, days) = (minutes / 60, minutes / 1440);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else {
        format!("{hours} h {} min", minutes % 60)
    }
}

fn minute(at: WallTime) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |text| format!("{text}Z"))
}

fn day(at: WallTime) -> String {
    let text = at.to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}
