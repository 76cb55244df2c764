//! What a case waits for, in words for whoever is on shift: what, since when, and what happens
//! next. Pure.

use custody::{CameraId, Seq, SiteId, WallTime};

use crate::access::Refusal;
use crate::fleet::FleetError;

/// What a case may wait for; a case that waits for the same thing again has waited all along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Holds that are not placed.
    Holds,
    /// A site.
    Site(SiteId),
    /// A camera whose last segment is still being recorded.
    Recording(CameraId),
    /// A pulled file that was not as signed.
    File(CameraId, Seq),
    /// The controller's own disc or log.
    Controller,
}

/// Why a case does not go on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it waits for.
    pub topic: Topic,
    /// In words, without a full stop.
    pub what: String,
    /// What happens next, or what to do; whole sentences.
    pub next: String,
}

impl Reason {
    /// A site is away, or did not do what it was asked: `to_do`, as in "cannot …".
    #[must_use]
    pub fn site(error: &FleetError, to_do: &str) -> Self {
        let (site, what, next) = match error {
            FleetError::Away { site } => {
                let what = format!("site {site} is not connected and cannot {to_do}");
                let next = "It goes on by itself when the site calls back. \
                            If the site stays away, check its power and its line.";
                (site, what, next)
            }
            FleetError::Broken { site, why } => {
                let what = format!("site {site} could not {to_do}: {why}");
                let next = "If that repeats, read the log of the site's agent.";
                (site, what, next)
            }
            FleetError::Refused { site, why } => {
                let what = format!("site {site} will not {to_do}: {why}");
                (site, what, "Read the log of the site's agent.")
            }
        };
        Self { topic: Topic::Site(site.clone()), what, next: next.to_owned() }
    }

    /// Some holds are not placed.
    #[must_use]
    pub fn holds(open: usize, all: usize, of_one: &Self) -> Self {
        let what = format!("{open} of {all} holds are not placed: {}", of_one.what);
        Self { topic: Topic::Holds, what, next: of_one.next.clone() }
    }

    /// The end of the interval is still being recorded.
    #[must_use]
    pub fn recording(camera: &CameraId, at_latest: WallTime) -> Self {
        Self {
            topic: Topic::Recording(camera.clone()),
            what: format!("{camera} has not closed the last segment of the asked interval"),
            next: format!(
                "It goes on by itself when that is closed, and at {} with what there is.",
                clock_text(at_latest)
            ),
        }
    }

    /// A pulled file was not as signed, and has been removed.
    #[must_use]
    pub fn file(camera: &CameraId, seq: Seq) -> Self {
        Self {
            topic: Topic::File(camera.clone(), seq),
            what: format!("the pulled file of {camera} segment {seq} was not as signed"),
            next: "It was removed, and is pulled from the site anew. \
                   If that repeats, check the controller's disc."
                .to_owned(),
        }
    }

    /// The controller's own disc.
    #[must_use]
    pub fn disc(what: String) -> Self {
        let next = "Check the space and the health of the controller's disc. \
                    What has been pulled is kept.";
        Self { topic: Topic::Controller, what, next: next.to_owned() }
    }

    /// The log did not take a step.
    #[must_use]
    pub fn log(refusal: &Refusal) -> Self {
        Self {
            topic: Topic::Controller,
            what: format!("the controller could not note the next step: {refusal}"),
            next: "If that repeats, read the controller's log.".to_owned(),
        }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self, since: WallTime, again_at: Option<WallTime>) -> String {
        let again = again_at
            .map(|at| format!(" The next try is at {}.", clock_text(at)))
            .unwrap_or_default();
        format!("Waits since {}: {}. {}{again}", clock_text(since), self.what, self.next)
    }
}

/// To the second: what is read aloud over a telephone.
fn clock_text(at: WallTime) -> String {
    let text = at.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technician_reads_what_since_when_and_what_next() {
        let at = |text: &str| -> WallTime { text.parse().unwrap() };
        let away = FleetError::Away { site: "east".parse().unwrap() };
        let holds = Reason::holds(2, 3, &Reason::site(&away, "place the hold"));
        assert_eq!(
            holds.text(at("2026-11-21T02:14:05Z"), None),
            "Waits since 2026-11-21T02:14:05Z: 2 of 3 holds are not placed: site east is not \
             connected and cannot place the hold. It goes on by itself when the site calls back. \
             If the site stays away, check its power and its line."
        );
        let disc = Reason::disc("cannot write /vault: no space left".to_owned());
        assert_eq!(
            disc.text(at("2026-11-21T02:14:05Z"), Some(at("2026-11-21T02:14:10Z"))),
            "Waits since 2026-11-21T02:14:05Z: cannot write /vault: no space left. Check the space \
             and the health of the controller's disc. What has been pulled is kept. The next try \
             is at 2026-11-21T02:14:10Z."
        );
    }
}
