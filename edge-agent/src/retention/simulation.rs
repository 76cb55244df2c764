//! The whole force on one model disc for 60 days: 268 cameras in three classes, a bitrate that steps
//! up, a sweep that hangs, a disc that is lost, a bitrate that comes down again. The real walk, plan
//! and forecast; ten minutes are the grain. After every step: nothing was kept too long or erased too
//! early without an alarm that stood before.

use std::collections::BTreeMap;
use std::convert::Infallible;

use custody::record::{EraseReason, Hold};
use custody::{CameraId, Digest, Seq, WallTime};

use super::forecast::{Forecast, Load, forecast};
use super::plan::{self, Held, Keep, Plan, Rules};
use super::walk::Walk;
use super::{rate, watchdog};
use crate::limits;
use crate::seal::key_ring::{epoch_begins, epoch_of};
use crate::store::{Expiring, SegmentRow, Unheld, reaches};

const CAMERAS: usize = 268;
const SLOT_US: i64 = 600_000_000;
const SLOTS_A_DAY: u64 = 144;
const DAY_US: i64 = 86_400_000_000;
/// The hour in which it begins.
const BEGIN: u64 = 498_000;
const KBPS: u64 = 4_000;

const CLASSES: usize = 3;

/// Which class a camera is of, by its number: most are standard, some custody, a few foyers.
fn class(camera: usize) -> usize {
    match camera % 10 {
        0 => 1,
        1 => 2,
        _ => 0,
    }
}

fn keep(camera: usize) -> Keep {
    let (floor, ceiling) = [(28, 31), (31, 31), (7, 14)][class(camera)];
    Keep { floor_us: floor * DAY_US, ceiling_us: ceiling * DAY_US }
}

struct Model {
    ids: Vec<CameraId>,
    kbps: Vec<u64>,
    rules: Rules,
    holds: Vec<Hold>,
    disc_bytes: u64,
    /// By class, bytes by slot and camera: the order of ends.
    stored: [BTreeMap<(u64, usize), u64>; CLASSES],
    hours: Vec<BTreeMap<u64, u64>>,
    used_bytes: u64,
    slot: u64,
}

fn hour_of(slot: u64) -> u64 {
    BEGIN + slot / 6
}

fn at(slot: u64) -> WallTime {
    epoch_begins(BEGIN).plus_micros(i64::try_from(slot).unwrap() * SLOT_US)
}

impl Model {
    fn new() -> Self {
        let ids: Vec<CameraId> =
            (0..CAMERAS).map(|n| format!("east/ext-{n:03}").parse().unwrap()).collect();
        let rules = Rules {
            standard: keep(2),
            cameras: ids.iter().cloned().zip((0..CAMERAS).map(keep)).collect(),
            reserve_bytes: 1 << 30,
        };
        let kbps = vec![KBPS; CAMERAS];
        // A twentieth more than all floors: less than all ceilings, so that footage between the two
        // is needed for room from the third week on.
        let floors: u64 = (0..CAMERAS)
            .map(|n| rate::bytes_per_hour(KBPS) * (keep(n).floor_us / (DAY_US / 24)).unsigned_abs())
            .sum();
        Self {
            ids,
            kbps,
            rules,
            holds: Vec::new(),
            disc_bytes: floors / 20 * 21,
            stored: Default::default(),
            hours: vec![BTreeMap::new(); CAMERAS],
            used_bytes: 0,
            slot: 0,
        }
    }

    fn now(&self) -> WallTime {
        at(self.slot)
    }

    fn free_bytes(&self) -> u64 {
        self.disc_bytes.saturating_sub(self.used_bytes)
    }

    fn record(&mut self) {
        for camera in 0..CAMERAS {
            let bytes = rate::bytes_per_hour(self.kbps[camera]) / 6;
            self.stored[class(camera)].insert((self.slot, camera), bytes);
            *self.hours[camera].entry(hour_of(self.slot)).or_default() += bytes;
            self.used_bytes += bytes;
        }
        self.slot += 1;
    }

    fn row(&self, (slot, camera): (u64, usize), bytes: u64) -> SegmentRow {
        SegmentRow {
            camera: self.ids[camera].clone(),
            seq: Seq(slot),
            start: at(slot),
            end: at(slot + 1),
            bytes,
            root: Digest([0; 32]),
            epoch: hour_of(slot),
        }
    }

    fn index_of(&self, camera: &CameraId) -> usize {
        self.ids.binary_search(camera).unwrap()
    }

    fn read(&self, ask: Expiring<'_>) -> Vec<SegmentRow> {
        let after = ask.cursor.map_or((0, 0), |row| (row.seq.0, self.index_of(&row.camera) + 1));
        // A lane is of one class.
        let of_class = ask.cameras.first().map(|camera| class(self.index_of(camera)));
        let rows = of_class.into_iter().flat_map(|class| self.stored[class].range(after..));
        rows.take_while(|((slot, _), _)| at(slot + 1) <= ask.before)
            .take(ask.limit)
            .map(|(key, bytes)| self.row(*key, *bytes))
            .collect()
    }

    /// As the sweeper: what is due, then what the disc needs. Gives what was erased early.
    fn sweep(&mut self) -> Vec<(CameraId, WallTime)> {
        let mut early = Vec::new();
        let (ids, mut rules, mut free_bytes) =
            (self.ids.clone(), self.rules.clone(), self.free_bytes());
        // The model records beyond its end where a real disc would refuse; that comes free as well.
        rules.reserve_bytes += self.used_bytes.saturating_sub(self.disc_bytes);
        let walks = [Walk::due(&ids, &rules, self.now()), Walk::all(&ids, &rules)];
        for mut walk in walks {
            while !walk.is_for_room() || free_bytes < rules.reserve_bytes {
                let rows = walk.next(&rules, 64, |ask| Ok::<_, Infallible>(self.read(ask)));
                let Ok(rows) = rows;
                if rows.is_empty() {
                    break;
                }
                let held = Held { standing: &self.holds, released: &[] };
                let plan = plan::plan(&rows, held, self.now(), &rules, free_bytes);
                free_bytes += plan.frees_bytes;
                self.erase(&plan, &mut early);
            }
        }
        early
    }

    fn erase(&mut self, plan: &Plan, early: &mut Vec<(CameraId, WallTime)>) {
        for erasure in &plan.erase {
            let camera = self.index_of(&erasure.camera);
            for segment in &erasure.segments {
                let bytes = self.stored[class(camera)].remove(&(segment.seq.0, camera)).unwrap();
                self.used_bytes -= bytes;
                let hour = hour_of(segment.seq.0);
                let left = self.hours[camera].get_mut(&hour).unwrap();
                *left -= bytes;
                if *left == 0 {
                    self.hours[camera].remove(&hour);
                }
                let holds = self.holds.iter();
                assert!(!holds.clone().any(|h| reaches(
                    h,
                    &erasure.camera,
                    segment.start,
                    segment.end
                )));
                if erasure.reason == EraseReason::DiscFull {
                    early.push((erasure.camera.clone(), segment.end));
                }
                let age = self.now().micros_since(segment.end);
                assert_eq!(age < keep(camera).floor_us, erasure.reason == EraseReason::DiscFull);
            }
        }
    }

    /// Found otherwise than the sweep finds it: camera by camera.
    fn oldest(&self) -> BTreeMap<CameraId, Unheld> {
        let mut oldest: BTreeMap<CameraId, Unheld> = BTreeMap::new();
        for (of_class, stored) in self.stored.iter().enumerate() {
            let mut missing = (0..CAMERAS).filter(|camera| class(*camera) == of_class).count();
            for (slot, camera) in stored.keys() {
                let (start, end) = (at(*slot), at(slot + 1));
                let id = &self.ids[*camera];
                let is_held = self.holds.iter().any(|hold| reaches(hold, id, start, end));
                if !is_held && !oldest.contains_key(id) {
                    oldest.insert(id.clone(), Unheld { start, end });
                    missing -= 1;
                }
                if missing == 0 {
                    break;
                }
            }
        }
        oldest
    }

    fn forecast(&self) -> Forecast {
        let now = self.now();
        let load = |camera: usize| Load {
            stored: self.hours[camera].clone(),
            held: self
                .holds
                .iter()
                .filter(|hold| hold.camera == self.ids[camera])
                .map(|hold| (epoch_of(hold.from), epoch_of(hold.to)))
                .collect(),
            floor_hours: (keep(camera).floor_us / (DAY_US / 24)).unsigned_abs(),
            bytes_per_hour: rate::day(&self.hours[camera], epoch_of(now))
                .unwrap_or_else(|| rate::bytes_per_hour(KBPS)),
        };
        let loads: Vec<Load> = (0..CAMERAS).map(load).collect();
        forecast(&loads, now, self.free_bytes(), self.rules.reserve_bytes)
    }
}

/// What happens on which day.
fn live(model: &mut Model, day: u64) {
    match day {
        10 => {
            let hold = |n: usize| Hold {
                hold: format!("h{n}").parse().unwrap(),
                case: "WH-2026-000001".parse().unwrap(),
                camera: model.ids[n].clone(),
                from: at(5 * SLOTS_A_DAY),
                to: at(6 * SLOTS_A_DAY),
                grounds: None,
                at: at(10 * SLOTS_A_DAY),
            };
            model.holds = (0..5).map(hold).collect();
        }
        33 => model.kbps[..100].fill(KBPS * 13 / 10),
        50 => model.disc_bytes = model.disc_bytes / 10 * 9,
        51 => model.kbps.fill(KBPS / 4),
        _ => {}
    }
}

#[test]
fn in_sixty_days_of_the_force_nothing_is_kept_too_long_or_erased_early_without_an_alarm() {
    let mut model = Model::new();
    let mut seen = model.forecast();
    assert_eq!(seen.shortfall, None, "an empty disc of that size is enough");
    let (mut foretold, mut first_early, mut early_on) = (None, None, 0_u64);
    let mut was_over = BTreeMap::new();
    for slot in 0..60 * SLOTS_A_DAY {
        if slot % SLOTS_A_DAY == 0 {
            live(&mut model, slot / SLOTS_A_DAY);
        }
        // Looked before it bites, as the watchdog does each minute.
        if slot % 36 == 0 {
            seen = model.forecast();
        }
        model.record();
        // The sweep hangs for three hours of day 32, when the first custody footage is of age.
        let hangs = (32 * SLOTS_A_DAY..32 * SLOTS_A_DAY + 18).contains(&slot);
        let early = if hangs { Vec::new() } else { model.sweep() };
        let oldest = model.oldest();
        let over = watchdog::over_ceiling(&oldest, &model.rules, model.now());
        let alarmed = over.keys().any(|camera| was_over.contains_key(camera));
        let too_long = oldest.iter().any(|(camera, unheld)| {
            model.now().micros_since(model.rules.due(camera, unheld.end)) > 2 * limits::LATE_US
        });
        assert!(!too_long || alarmed, "slot {slot}: {over:?}");
        // Ten minutes late is not more than ten minutes late.
        assert_eq!(over.is_empty(), !hangs || slot < 32 * SLOTS_A_DAY + 2, "slot {slot}");
        was_over = over;
        if slot == 36 * SLOTS_A_DAY {
            foretold = seen.shortfall;
        }
        let Some(newest) = early.iter().map(|(c, end)| model.rules.floor_ends(c, *end)).max()
        else {
            continue;
        };
        assert!(seen.shortfall.is_some(), "slot {slot}: erased early, and it was not foretold");
        // The oldest relative to its floor went first, across all cameras.
        let left = oldest.iter().map(|(c, unheld)| model.rules.floor_ends(c, unheld.end)).min();
        assert!(left >= Some(newest), "slot {slot}");
        first_early.get_or_insert_with(|| model.now());
        early_on = slot / SLOTS_A_DAY;
    }
    // Three days after the bitrate stepped up, the date was known to the day, and rather too early:
    // an hour that is partly past its floor is reckoned whole.
    let (foretold, first_early) = (foretold.unwrap(), first_early.unwrap());
    let ahead_us = first_early.micros_since(foretold);
    assert!((0..DAY_US).contains(&ahead_us), "foretold {foretold}, came {first_early}");
    // A quarter of the bitrate mends what a lost tenth of the disc broke, and the forecast says so.
    assert!((51..58).contains(&early_on), "the last early erasure was on day {early_on}");
    assert_eq!(seen.shortfall, None);
}
