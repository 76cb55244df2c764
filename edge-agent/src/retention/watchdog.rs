//! Looks once a minute whether retention keeps its contract, and says so when it does not. Goes by
//! other rows of the index than the sweep does, knows nothing of it but when it last finished, and
//! believes the wall clock even where the sweep doubts it.
//!
//! | alarm | when | until |
//! |---|---|---|
//! | `over-ceiling` | unheld footage is more than ten minutes over its ceiling, at two looks | it is gone |
//! | `sweep-overdue` | no sweep has finished for five minutes | one has |
//! | `under-floor` | footage below its floor was erased | 31 days later |
//! | `retention-at-risk` | at the present rates the disc will not hold the floor | it will |
//!
//! Two looks, because what a hold ends on may be far over its ceiling, and goes within one sweep.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use custody::{CameraId, WallTime};
use host::telemetry::chain;
use host::{Clock, Tasks};
use tokio::time::{MissedTickBehavior, interval};

use super::forecast::{self, Forecast, Load};
use super::plan::Rules;
use super::rate;
use super::sweep::LastSweep;
use crate::limits;
use crate::seal::key_ring::epoch_of;
use crate::store::{Alarm, CameraStats, Erasures, Store, StoreError, Unheld};

const HOUR_US: i64 = 3_600_000_000;
/// Footage of less than this tells no rate.
const RATE_US_MIN: i64 = 300_000_000;
/// Cameras that an alarm names.
const NAMED_MAX: usize = 3;

/// How retention stands, for those who report it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// When it was looked at; none: not yet.
    pub at: Option<WallTime>,
    /// When the disc will not hold the floor; none: not within 62 days.
    pub shortfall: Option<WallTime>,
    /// What it lacks then, bytes.
    pub lacking_bytes: u64,
    /// What was not erased in its time in the last 31 days.
    pub erasures: Erasures,
    /// By camera.
    pub cameras: BTreeMap<CameraId, CameraStanding>,
}

/// How retention of one camera's footage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CameraStanding {
    /// Its oldest unheld footage.
    pub oldest: Option<Unheld>,
    /// What it stores, kilobits a second: over a day, else as long as there is footage.
    pub day_kbps: Option<u64>,
    /// What it stored in the last whole hour.
    pub hour_kbps: Option<u64>,
    /// What it is expected to send.
    pub expected_kbps: Option<u64>,
}

/// Where the newest [`Standing`] is found. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Standing>>);

impl Board {
    /// How retention stood at the last look.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the watchdog goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long footage is kept.
    pub rules: Rules,
    /// The cameras that are recorded, and what each is expected to send, if the settings say.
    pub recorded: BTreeMap<CameraId, Option<u64>>,
    /// What stays free on a second disc.
    pub second_reserve_bytes: u64,
}

/// Looks after one store.
pub struct Watchdog {
    store: Store,
    clock: Clock,
    settings: Settings,
    last_sweep: LastSweep,
    board: Board,
    /// Whose footage was over its ceiling at the last look.
    was_over: BTreeMap<CameraId, WallTime>,
}

impl Watchdog {
    /// A watchdog over `store`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, settings: Settings, last_sweep: LastSweep) -> Self {
        let (board, was_over) = (Board::default(), BTreeMap::new());
        Self { store, clock, settings, last_sweep, board, was_over }
    }

    /// Where it shows what it saw.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Looks, sets the alarms, shows what it saw. Blocks.
    ///
    /// # Errors
    /// As the store says; no alarm has changed then but `sweep-overdue`.
    pub fn look(&mut self) -> Result<Standing, StoreError> {
        let free_bytes = self.store.space()?.free_bytes;
        // The ring runs over both discs: what the first has no room for moves to the second.
        let second = self.store.second_space()?.map_or(0, |space| space.free_bytes);
        let second = second.saturating_sub(self.settings.second_reserve_bytes);
        self.look_with(free_bytes.saturating_add(second))
    }

    /// As [`Self::look`], with so many bytes free.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn look_with(&mut self, free_bytes: u64) -> Result<Standing, StoreError> {
        let now = self.clock.now();
        self.set(Alarm::SweepOverdue, self.sweep_overdue().as_deref());
        let oldest = self.store.oldest_unheld()?;
        let over = self.over_ceiling(&oldest, now);
        self.set(Alarm::OverCeiling, over.as_deref());
        let erasures = self.store.erasures();
        self.set(Alarm::UnderFloor, under_floor(erasures).as_deref());
        let mut standing = Standing {
            at: Some(now),
            erasures,
            cameras: self.cameras(now, &oldest)?,
            ..Standing::default()
        };
        let seen = self.forecast(&standing, now, free_bytes);
        (standing.shortfall, standing.lacking_bytes) = (seen.shortfall, seen.lacking_bytes);
        self.set(Alarm::RetentionAtRisk, at_risk(seen, &standing, now).as_deref());
        standing.clone_into(&mut self.board.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(standing)
    }

    fn set(&self, alarm: Alarm, what: Option<&str>) {
        self.store.set_alarm(alarm, what);
    }

    fn sweep_overdue(&self) -> Option<String> {
        let ms = self.last_sweep.ms_ago(&self.clock);
        (ms > limits::SWEEP_OVERDUE_MS).then(|| {
            "no sweep has finished for five minutes: footage is not erased; see the log for why, and \
             restart the agent if it says nothing"
                .to_owned()
        })
    }

    fn over_ceiling(
        &mut self,
        oldest: &BTreeMap<CameraId, Unheld>,
        now: WallTime,
    ) -> Option<String> {
        let over = over_ceiling(oldest, &self.settings.rules, now);
        let was_over = std::mem::replace(&mut self.was_over, over.clone());
        let both = over.iter().filter(|(camera, _)| was_over.contains_key(*camera));
        let (camera, due) = both.clone().min_by_key(|(_, due)| **due)?;
        Some(format!(
            "unheld footage of {} camera(s) is over its ceiling, most {camera}, whose was due at {due}: \
             see whether the sweep runs and the clock is right",
            both.count()
        ))
    }

    fn cameras(
        &self,
        now: WallTime,
        oldest: &BTreeMap<CameraId, Unheld>,
    ) -> Result<BTreeMap<CameraId, CameraStanding>, StoreError> {
        let (hours, stats) = (self.store.hours(), self.store.stats()?);
        let present = epoch_of(now);
        let none = BTreeMap::new();
        let standing = |(camera, expected): (&CameraId, Option<u64>)| {
            let hours = hours.get(camera).unwrap_or(&none);
            let day = rate::day(hours, present)
                .or_else(|| stats.cameras.get(camera).and_then(young_rate));
            let standing = CameraStanding {
                oldest: oldest.get(camera).copied(),
                day_kbps: day.map(rate::kbps),
                hour_kbps: rate::hour(hours, present).map(rate::kbps),
                expected_kbps: expected,
            };
            (camera.clone(), standing)
        };
        let recorded = &self.settings.recorded;
        let expected = |camera| (camera, recorded.get(camera).copied().flatten());
        Ok(self.store.cameras().map(expected).map(standing).collect())
    }

    fn forecast(&self, standing: &Standing, now: WallTime, free_bytes: u64) -> Forecast {
        let (mut hours, holds) = (self.store.hours(), self.store.holds());
        let load = |(camera, standing): (&CameraId, &CameraStanding)| {
            let floor_us = self.settings.rules.keep(camera).floor_us;
            let kbps = standing.day_kbps.or(standing.expected_kbps).unwrap_or(rate::EXPECTED_KBPS);
            let is_recorded = self.settings.recorded.contains_key(camera);
            let of_camera = holds.iter().filter(|hold| hold.camera == *camera);
            Load {
                stored: hours.remove(camera).unwrap_or_default(),
                // A segment of the hour before may reach into the hold.
                held: of_camera
                    .map(|hold| (epoch_of(hold.from).saturating_sub(1), epoch_of(hold.to)))
                    .collect(),
                floor_hours: u64::try_from(floor_us).unwrap_or(0).div_ceil(HOUR_US.unsigned_abs()),
                bytes_per_hour: if is_recorded { rate::bytes_per_hour(kbps) } else { 0 },
            }
        };
        let loads: Vec<Load> = standing.cameras.iter().map(load).collect();
        forecast::forecast(&loads, now, free_bytes, self.settings.rules.reserve_bytes)
    }

    /// Looks at once and then every minute, until shutdown.
    pub async fn run(mut self, tasks: Tasks) {
        let mut minute = interval(Duration::from_secs(limits::WATCHDOG_SECONDS));
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = tasks.stopping() => return,
                _ = minute.tick() => {}
            }
            let looked = tokio::task::spawn_blocking(move || {
                let looked = self.look();
                (self, looked)
            });
            let Ok((watchdog, looked)) = looked.await else {
                tracing::error!(
                    "the retention watchdog panicked; ending so that the service restarts"
                );
                std::process::abort();
            };
            self = watchdog;
            if let Err(error) = looked {
                tracing::error!(error = %chain(&error), "retention watchdog: will look again");
            }
        }
    }
}

/// Whose oldest unheld footage is more than ten minutes over its ceiling, and when it was due.
pub(super) fn over_ceiling(
    oldest: &BTreeMap<CameraId, Unheld>,
    rules: &Rules,
    now: WallTime,
) -> BTreeMap<CameraId, WallTime> {
    let due =
        |(camera, unheld): (&CameraId, &Unheld)| (camera.clone(), rules.due(camera, unheld.end));
    let due = oldest.iter().map(due);
    due.filter(|(_, due)| now.micros_since(*due) > limits::LATE_US).collect()
}

/// Bytes an hour of a camera that has not been recorded for a whole hour.
fn young_rate(stats: &CameraStats) -> Option<u64> {
    let span_us = stats.newest?.micros_since(stats.oldest?);
    let per_hour = u128::from(stats.bytes) * u128::from(HOUR_US.unsigned_abs());
    let per_hour = per_hour.checked_div(u128::try_from(span_us).ok()?)?;
    u64::try_from(per_hour).ok().filter(|_| span_us >= RATE_US_MIN)
}

fn under_floor(erasures: Erasures) -> Option<String> {
    let at = erasures.early_at?;
    Some(format!(
        "{} segment(s) below their floor were erased in the last 31 days because the disc was full, \
         last at {at}",
        erasures.early
    ))
}

fn at_risk(seen: Forecast, standing: &Standing, now: WallTime) -> Option<String> {
    let shortfall = seen.shortfall?;
    let mut rates: Vec<_> = standing
        .cameras
        .iter()
        .map(|(camera, it)| {
            (it.day_kbps.or(it.expected_kbps).unwrap_or(rate::EXPECTED_KBPS), camera)
        })
        .collect();
    rates.sort_by(|a, b| b.cmp(a));
    let most: Vec<String> =
        rates.iter().take(NAMED_MAX).map(|(kbps, camera)| format!("{camera} {kbps}")).collect();
    // To the day, so that the words change once a day and not with every look.
    let when = if shortfall.micros_since(now) < HOUR_US {
        "now".to_owned()
    } else {
        format!("from {} on", shortfall.calendar().date())
    };
    Some(format!(
        "at the present rates the disc will not hold every camera's floor {when}: it lacks {} GB; give it \
         room or lower what is sent most, kbit/s: {}",
        seen.lacking_bytes.div_ceil(1_000_000_000),
        most.join(", ")
    ))
}

#[cfg(test)]
mod tests;
