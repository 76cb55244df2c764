//! Whatever happens to a site, in whatever order, with power lost at any step and every write that
//! was not synced gone: all checkpoints that anyone may have seen are beginnings of one log.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use custody::log::SignedCheckpoint;
use custody::record::GapReason;
use custody::tree;
use proptest::prelude::*;

use super::super::core::lock;
use super::super::{Disc, Step, Store, StoreError};
use super::{Site, sound};

/// A disc that loses power after so many steps, and with it what the index had not synced.
struct CutDisc {
    index: PathBuf,
    steps_left: AtomicUsize,
    /// The lengths of the index's own logs at their last sync.
    synced: Mutex<BTreeMap<PathBuf, u64>>,
}

impl CutDisc {
    fn new(site: &Site, steps: usize) -> Arc<Self> {
        Arc::new(Self {
            index: site.folder().join("index"),
            steps_left: AtomicUsize::new(steps),
            synced: Mutex::default(),
        })
    }

    /// After the process has ended: takes what was not synced away.
    fn cut(&self) {
        let synced = lock(&self.synced);
        for path in index_logs(&self.index) {
            let length = synced.get(&path).copied().unwrap_or(0);
            OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        }
    }
}

fn index_logs(index: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(index) else { return Vec::new() };
    let paths = listing.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "log")).collect()
}

impl Disc for CutDisc {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let left = self
            .steps_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(io::Error::other("power went"));
        }
        act()?;
        if step == Step::SyncIndex {
            let mut synced = lock(&self.synced);
            for path in index_logs(&self.index) {
                let length = fs::metadata(&path)?.len();
                synced.insert(path, length);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Record,
    Gap,
    Heartbeat,
    Publish,
    Stop,
    Day,
    ClockBack,
    ClockAhead,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Record),
        1 => Just(Act::Gap),
        2 => Just(Act::Heartbeat),
        4 => Just(Act::Publish),
        1 => Just(Act::Stop),
        1 => Just(Act::Day),
        1 => Just(Act::ClockBack),
        1 => Just(Act::ClockAhead),
    ]
}

/// Does one thing. Whether the agent goes on.
fn go(site: &Site, store: &Store, act: Act, seen: &mut Vec<Arc<[u8]>>) -> Result<bool, StoreError> {
    let camera = site.ext_01();
    match act {
        Act::Record => {
            let opening = super::ask(site.clock.now(), Some("started"));
            let mut file = store.open_segment(camera, opening)?;
            site.append(&mut file)?;
            file.close(site.clock.now(), 0, None)?;
        }
        Act::Gap => {
            site.clock.advance_ms(3000);
            let now = site.clock.now();
            store.gap(camera, Some(now.plus_seconds(-3)), now, GapReason::StreamStalled, "")?;
        }
        Act::Heartbeat => store.heartbeat(&BTreeMap::new())?,
        Act::Publish => {
            let note = store.publish()?.expect("an honest log is never contradicted");
            seen.push(note);
        }
        Act::Stop => {
            store.stop()?;
            return Ok(false);
        }
        Act::Day => site.clock.advance_ms(86_400_000),
        Act::ClockBack => site.clock.step_wall(site.clock.now().plus_seconds(-7200)),
        Act::ClockAhead => site.clock.step_wall(site.clock.now().plus_seconds(100_000)),
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_checkpoint_is_a_beginning_of_one_log(
        runs in proptest::collection::vec((proptest::collection::vec(act(), 1..12), 0_usize..160), 1..5),
    ) {
        let site = Site::new();
        drop(site.start());
        let mut seen: Vec<Arc<[u8]>> = Vec::new();
        for (acts, steps) in runs {
            let disc = CutDisc::new(&site, steps);
            let started = site.start_on(Arc::clone(&disc) as Arc<dyn Disc>);
            if let Ok((store, _)) = started {
                for act in acts {
                    if !go(&site, &store, act, &mut seen).unwrap_or(false) {
                        break;
                    }
                }
            }
            disc.cut();
            // What lies in public when power goes, others may have read.
            if let Ok(note) = fs::read(site.folder().join("log/checkpoint")) {
                seen.push(note.into());
            }
            site.clock.advance_ms(1000);
        }
        let (store, _) = site.start();
        prop_assert_eq!(store.alarms(), vec![]);
        store.publish().unwrap();
        sound(&store);
        let size = store.log_size();
        let now = (size, store.log_root(size).unwrap());
        for note in &seen {
            let note = SignedCheckpoint::read(note).unwrap();
            let old = note.check(&store.log_vkey()).unwrap();
            prop_assert!(old.size <= size, "a checkpoint of {} of a log of {size}", old.size);
            let proof = store.consistency_proof(size, old.size).unwrap();
            prop_assert!(tree::is_consistent((old.size, old.root), now, &proof));
        }
    }
}
