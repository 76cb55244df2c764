//! Random histories of a site, each from its seed: record, miss, hold, release, sweep, step the clock,
//! publish; end by stop, kill, power cut or a disc that fails; start again. After each start the oracle
//! finds nothing and the model was promised nothing that is not so.
//!
//! `WATCHHOUSE_SEED=n` replays one history, `WATCHHOUSE_ACTS=n` only its beginning,
//! `WATCHHOUSE_HISTORIES=n` runs so many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use custody::record::{EraseReason, GapReason};
use custody::{CameraId, WallTime};

use super::super::{
    Depth, Disc, OpenFile, PlaceHold, RealDisc, Recovery, SegmentRow, Store, StoreError,
};
use super::dice::Dice;
use super::model::{Model, Sure};
use super::worn_disc::{EIO, ENOSPC, EROFS, Fault, WornDisc};
use super::{Site, ask, told};

mod play;

/// Footage goes at this age.
const RETAIN_S: i64 = 5400;

struct History {
    site: Site,
    dice: Dice,
    model: Model,
    acts_left: usize,
    acts: Vec<String>,
    holds: u32,
    /// The last run ended with no segment open: a lost index loses no file.
    at_rest: bool,
    /// Hours in which a segment was opened since their key was last to be destroyed.
    opened: BTreeSet<u64>,
}

/// One run of the agent.
struct Run {
    store: Store,
    disc: Arc<WornDisc>,
    open: BTreeMap<CameraId, OpenFile>,
    /// Why each camera's next segment does not continue the last one.
    anew: BTreeMap<CameraId, &'static str>,
    faulty: bool,
    /// Cameras whose last segment nobody has closed: with the index its file would be lost.
    abandoned: BTreeSet<CameraId>,
}

impl History {
    fn new(seed: u64, acts_left: usize) -> Self {
        let mut site = Site::new();
        site.cameras = (1..=3).map(|n| format!("east/ext-{n:02}").parse().unwrap()).collect();
        Self {
            site,
            dice: Dice::new(seed),
            model: Model::default(),
            acts_left,
            acts: Vec::new(),
            holds: 0,
            at_rest: false,
            opened: BTreeSet::new(),
        }
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.acts.push(what.into());
    }

    fn play(&mut self) {
        let runs = 2 + self.dice.below(5);
        for _ in 0..runs {
            if self.acts_left == 0 {
                break;
            }
            self.run();
            self.between();
        }
        // Whatever came before, a sound machine records on.
        self.tell("last start");
        let run = self.start(None).expect("a sound disc starts");
        for camera in self.site.cameras.clone() {
            let mut file =
                run.store.open_segment(&camera, ask(self.now(), Some("started"))).unwrap();
            self.site.append(&mut file).unwrap();
            file.close(self.now(), 0, None).unwrap();
        }
        super::read_in(&run.store);
        self.sound(&run.store);
        self.model.check(&run.store, &Recovery::default());
        assert_eq!(run.store.alarms(), []);
        run.store.publish().unwrap().expect("nothing was contradicted");
    }

    fn now(&self) -> WallTime {
        self.site.clock.now()
    }

    /// Starts the agent; none if the armed fault ended the start.
    fn start(&mut self, fault: Option<(u32, Fault)>) -> Option<Run> {
        let disc = WornDisc::new(self.site.folder(), Dice::new(self.dice.roll()));
        if let Some((steps, fault)) = fault {
            self.tell(format!("  at start {fault:?} after {steps}"));
            disc.arm(steps, fault);
        }
        let now = self.now();
        let started = self.site.start_on(Arc::clone(&disc) as Arc<dyn Disc>);
        let (store, recovery) = match started {
            Ok(started) => started,
            Err(error) => {
                assert!(fault.is_some(), "no start: {}", told(&error));
                self.tell(format!("  no start: {}", told(&error)));
                self.end(&disc, Fault::Kill);
                return None;
            }
        };
        if disc.ended().is_none() {
            self.sound_start(&store, &recovery, now, fault.is_some());
        }
        let anew = self.site.cameras.iter().map(|c| (c.clone(), "started")).collect();
        let faulty = fault.is_some();
        let (open, abandoned) = (BTreeMap::new(), BTreeSet::new());
        Some(Run { store, disc, open, anew, faulty, abandoned })
    }

    fn sound_start(&mut self, store: &Store, recovery: &Recovery, now: WallTime, is_faulty: bool) {
        self.sound(store);
        self.model.note_log(store);
        if is_reading(store) {
            self.tell("  the index is being read in");
            assert!(recovery.rebuilt || !store.alarms().is_empty());
            // Under an armed fault the reading itself may be what fails.
            if is_faulty || self.dice.hit(40) {
                return;
            }
            self.tell("read all in");
            super::read_in(store);
            self.sound(store);
        }
        self.model.check(store, recovery);
        for camera in &self.site.cameras {
            let unsettled = recovery.unsettled.iter().any(|(it, _)| it == camera);
            if let Some(end) = store.chain_end(camera).unwrap().filter(|_| !unsettled) {
                assert!(end >= now, "no gap up to the start for {camera}: {end} < {now}");
            }
        }
    }

    /// The process is gone; what the disc then holds.
    fn end(&mut self, disc: &WornDisc, how: Fault) {
        disc.end(how);
        disc.settle();
        let note = std::fs::read(self.site.folder().join("log/checkpoint"));
        if let Ok(note) = note {
            // What lies in public when the run ends, others may have read.
            self.model.seen(note.into());
        }
    }

    fn fault(&mut self) -> Option<(u32, Fault)> {
        let errno = [EIO, ENOSPC, EROFS][self.dice.index(3)];
        let times = 1 + u32::try_from(self.dice.below(12)).unwrap();
        let fault = match self.dice.below(12) {
            0..=3 => Fault::Power,
            4..=5 => Fault::Kill,
            6 => Fault::Refuse(errno),
            7 => Fault::RefuseFor(errno, times),
            8 => Fault::FailedSync,
            _ => return None,
        };
        Some((u32::try_from(self.dice.below(160)).unwrap(), fault))
    }

    fn run(&mut self) {
        self.tell("start");
        let at_start = if self.dice.hit(25) { self.fault() } else { None };
        let Some(mut run) = self.start(at_start) else { return };
        if at_start.is_none()
            && let Some((steps, fault)) = self.fault()
        {
            self.tell(format!("  {fault:?} after {steps}"));
            run.disc.arm(steps, fault);
            run.faulty = true;
        }
        let acts = 4 + self.dice.index(40);
        for _ in 0..acts {
            if self.acts_left == 0 || run.disc.ended().is_some() {
                break;
            }
            self.acts_left -= 1;
            if let Err(error) = self.act(&mut run) {
                self.tell(format!("  -> {}", told(&error)));
                assert!(run.faulty, "on a sound disc: {}", told(&error));
                if error.is_fatal() {
                    break;
                }
            }
        }
        self.finish(run);
    }

    fn finish(&mut self, run: Run) {
        let Run { store, disc, open, faulty, mut abandoned, .. } = run;
        let mut how = Fault::Kill;
        self.at_rest = false;
        match self.dice.below(4) {
            0 if disc.ended().is_none() => {
                self.tell("stop");
                for (camera, file) in open {
                    let seq = file.seq();
                    if file.close(self.now(), 0, None).is_ok() {
                        self.model.closed(&camera, seq);
                    } else {
                        abandoned.insert(camera);
                    }
                }
                let stopped = store.stop().and_then(|()| store.publish());
                self.at_rest = stopped.is_ok() && !faulty && abandoned.is_empty();
            }
            1 | 2 => how = Fault::Power,
            _ => {}
        }
        // From here on nothing reaches the disc: dropping is not part of the history.
        disc.end(how);
        self.tell(format!("ended: {:?}", disc.ended()));
        drop(store);
        self.end(&disc, how);
    }

    /// What passes while nothing runs.
    fn between(&mut self) {
        if self.at_rest && self.dice.hit(30) {
            self.lose_index();
        }
        self.at_rest = false;
        match self.dice.below(10) {
            0 => {
                let back = i64::try_from(self.dice.below(10_000)).unwrap();
                self.tell(format!("clock back {back} s while down"));
                self.site.clock.step_wall(self.now().plus_seconds(-back));
            }
            1 => self.site.clock.advance_ms(86_400_000),
            _ => self.site.clock.advance_ms(self.dice.below(1_200_000)),
        }
    }

    fn lose_index(&mut self) {
        let index = self.site.folder().join("index");
        let listing = std::fs::read_dir(&index).unwrap();
        let tables = listing.map(|entry| entry.unwrap().path());
        let tables: Vec<_> = tables.filter(|p| p.extension().is_some_and(|e| e == "sst")).collect();
        let table = tables.get(self.dice.index(tables.len()));
        match table {
            Some(table) if self.dice.hit(50) => {
                self.tell("a table of the index is gone");
                std::fs::remove_file(table).unwrap();
                self.start_on_damage();
            }
            _ => {
                self.tell("the index is gone");
                std::fs::remove_dir_all(&index).unwrap();
            }
        }
    }

    /// Whether a start or a reader finds the damage, one of the next starts has mended it.
    fn start_on_damage(&mut self) {
        for _ in 0..3 {
            match self.site.start_on(Arc::new(RealDisc)) {
                Ok((store, _)) if store.check(Depth::Sizes).is_ok() => return,
                Ok(_) => self.tell("  a reader found the damage"),
                Err(error) => {
                    assert!(error.is_index_damage(), "{}", told(&error));
                    self.tell("  the start found the damage");
                }
            }
        }
        panic!("the damaged index is not set aside");
    }

    fn act(&mut self, run: &mut Run) -> Result<(), StoreError> {
        let camera = self.site.cameras[self.dice.index(3)].clone();
        match self.dice.below(25) {
            0..=8 => self.record(run, &camera),
            9..=10 => self.close(run, &camera),
            11 => {
                self.tell(format!("drop {camera}"));
                if run.open.remove(&camera).is_some() {
                    run.abandoned.insert(camera.clone());
                }
                run.anew.insert(camera, "not-kept");
                Ok(())
            }
            12 => self.gap(run, &camera),
            13 => self.hold(run, &camera),
            14 => self.release(run),
            15..=16 => self.sweep(run),
            17 => {
                let ahead_ms = self.dice.below(3_000_000);
                self.tell(format!("{ahead_ms} ms pass"));
                self.site.clock.advance_ms(ahead_ms);
                Ok(())
            }
            18 => {
                let by = i64::try_from(self.dice.below(14_400)).unwrap() - 7200;
                self.tell(format!("clock stepped by {by} s"));
                self.site.clock.step_wall(self.now().plus_seconds(by));
                Ok(())
            }
            19 => {
                self.tell("heartbeat");
                run.store.heartbeat(&run.anew.keys().map(|c| (c.clone(), "x".into())).collect())?;
                self.acknowledged(run);
                Ok(())
            }
            20..=22 => {
                self.tell("publish");
                let note = run.store.publish()?;
                self.model.seen(note.expect("an honest log is never contradicted"));
                Ok(())
            }
            23 => {
                self.tell("read in");
                run.store.read_in().map(drop)
            }
            _ => self.keys(run),
        }
    }

    fn acknowledged(&mut self, run: &Run) {
        self.model.log_size = self.model.log_size.max(run.store.log_size());
    }

    /// Opens a segment if none is, and appends; as the recorder does it.
    fn record(&mut self, run: &mut Run, camera: &CameraId) -> Result<(), StoreError> {
        let mut file = match run.open.remove(camera) {
            Some(file) => file,
            None => {
                let end = run.store.chain_end(camera)?;
                let back = end.is_some_and(|end| end.micros_since(self.now()) > 1_000_000);
                let anew = run.anew.get(camera).copied().or_else(|| back.then_some("clock-step"));
                self.tell(format!("open {camera} {anew:?}"));
                let hours = [Some(self.now()), end].into_iter().flatten();
                self.opened.extend(hours.map(crate::seal::key_ring::epoch_of));
                let file = run.store.open_segment(camera, ask(self.now(), anew))?;
                run.anew.remove(camera);
                run.abandoned.remove(camera);
                file
            }
        };
        if file.end().micros_since(self.now()) > 1_000_000 {
            // The clock went back: the recorder closes and begins anew.
            run.anew.insert(camera.clone(), "clock-step");
            run.open.insert(camera.clone(), file);
            return self.close(run, camera);
        }
        self.tell(format!("append {camera} {}", file.seq()));
        match self.site.append(&mut file) {
            Ok(()) => {
                self.model.appended(camera, file.seq());
                run.open.insert(camera.clone(), file);
                Ok(())
            }
            Err(StoreError::Refused { .. }) => {
                // Too long by now.
                run.open.insert(camera.clone(), file);
                self.close(run, camera)
            }
            Err(error) => {
                run.anew.insert(camera.clone(), "not-kept");
                Err(error)
            }
        }
    }

    fn close(&mut self, run: &mut Run, camera: &CameraId) -> Result<(), StoreError> {
        let Some(file) = run.open.remove(camera) else { return Ok(()) };
        let seq = file.seq();
        self.tell(format!("close {camera} {seq}"));
        match file.close(self.now(), 0, None) {
            Ok(stored) => {
                self.model.closed(camera, stored.seq);
                self.acknowledged(run);
                Ok(())
            }
            // Nothing was appended.
            Err(StoreError::Refused { .. }) => {
                run.abandoned.insert(camera.clone());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn gap(&mut self, run: &mut Run, camera: &CameraId) -> Result<(), StoreError> {
        self.close(run, camera)?;
        self.site.clock.advance_ms(3000);
        self.tell(format!("gap {camera}"));
        let now = self.now();
        run.store.gap(camera, Some(now.plus_seconds(-3)), now, GapReason::StreamStalled, "")?;
        self.acknowledged(run);
        Ok(())
    }

    fn hold(&mut self, run: &mut Run, camera: &CameraId) -> Result<(), StoreError> {
        self.holds += 1;
        let from = self.now().plus_seconds(-i64::try_from(self.dice.below(4000)).unwrap());
        let hold = PlaceHold {
            hold: format!("h{}", self.holds).parse().unwrap(),
            case: "WH-2026-000001".parse().unwrap(),
            camera: camera.clone(),
            from,
            to: from.plus_seconds(1 + i64::try_from(self.dice.below(4000)).unwrap()),
            grounds: super::grounds(),
        };
        self.tell(format!("hold {} on {camera}", hold.hold));
        self.model.holding(&hold, Sure::Perhaps);
        match run.store.place_hold(hold.clone()) {
            Ok(_) => self.model.holding(&hold, Sure::Yes),
            Err(error) => return Err(error),
        }
        self.acknowledged(run);
        Ok(())
    }

    fn release(&mut self, run: &mut Run) -> Result<(), StoreError> {
        let Some(hold) = self.model.some_hold(self.dice.index(8)) else { return Ok(()) };
        self.tell(format!("release {}", hold.hold));
        self.model.releasing(&hold.hold);
        run.store.release_hold(&hold.hold)?;
        self.model.released(&hold.hold);
        self.acknowledged(run);
        Ok(())
    }

    /// What the retention room does, in its order.
    fn sweep(&mut self, run: &mut Run) -> Result<(), StoreError> {
        let full = self.dice.hit(20);
        self.tell(format!("sweep{}", if full { ", disc full" } else { "" }));
        let before = if full { WallTime(i64::MAX - 1) } else { self.now().plus_seconds(-RETAIN_S) };
        let limit = if full { 3 } else { 512 };
        let rows = run.store.expiring(before, None, limit)?;
        let reason = if full { EraseReason::DiscFull } else { EraseReason::Retention };
        for camera in self.site.cameras.clone() {
            let of = rows.iter().filter(|row| row.camera == camera);
            let refs: Vec<_> = of.map(SegmentRow::reference).collect();
            self.model.erasing(&camera, refs.iter().map(|it| it.seq));
            let gone = run.store.condemn(&camera, &refs, reason)?;
            self.model.erased(&camera, &gone);
            self.acknowledged(run);
        }
        while run.store.unlink_condemned()? > 0 {}
        let present = crate::seal::key_ring::epoch_of(self.now());
        for (hour, segments) in run.store.key_hours()? {
            if segments == 0 && hour.abs_diff(present) > 1 {
                self.opened.remove(&hour);
                run.store.destroy_hour(hour)?;
            }
        }
        Ok(())
    }

    fn keys(&mut self, run: &mut Run) -> Result<(), StoreError> {
        let Some(hold) = self.model.some_hold(self.dice.index(8)) else { return Ok(()) };
        let rows = run.store.expiring(WallTime(i64::MAX - 1), None, 512)?;
        let held = |row: &&SegmentRow| {
            row.camera == hold.camera && row.start < hold.to && row.end > hold.from
        };
        let Some(row) = rows.iter().find(held) else { return Ok(()) };
        self.tell(format!("keys of {} {}", row.camera, row.seq));
        match run.store.release_keys(&hold.case, &row.camera, &[row.seq]) {
            // A hold that was perhaps placed.
            Err(StoreError::Refused { .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn is_reading(store: &Store) -> bool {
    store.alarms().iter().any(|(code, _)| *code == "index-rebuilding")
}
