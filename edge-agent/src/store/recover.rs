//! Opening the store: whose folders these are, what a crash left behind, and the gap since.
//!
//! In order: lock the folder · compare volume identities · finish erasures · close or index the
//! segment that each camera was writing · adopt complete files that the index does not know ·
//! record that the agent came up, and a gap for each camera up to now. Costs a few reads per camera,
//! not a walk over the footage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use custody::record::{AgentStart, GapReason, Record, Statement};
use custody::{CameraId, SiteId};
use host::{Clock, durable};

use super::core::{Core, Holds, Line, Tallies, Writing, lock};
use super::disc::Disc;
use super::index::{Batch, Index};
use super::key::opened::OpenedRow;
use super::key::tally::{self, Tally};
use super::key::{Family, Reader, entry, fact, head, hold, signer};
use super::salvage::{self, Salvaged};
use super::volume::{self, Verdict};
use super::{StoreError, erase, holds, rebuild};
use crate::seal::{Identity, KeyRing};

/// What opening the store found and did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Whether the run before ended in order. Also true the first time.
    pub orderly: bool,
    /// Segments that nobody had closed.
    pub salvaged: Vec<(CameraId, Salvaged)>,
    /// Cameras whose segment the disc would not let be closed, and why; the camera's next operation
    /// tries again.
    pub unsettled: Vec<(CameraId, StoreError)>,
    /// Files whose logged erasure was finished now.
    pub erased_leftovers: usize,
    /// Complete files that the index did not know and now does.
    pub adopted: u64,
    /// Whether the index was gone and has been built again from the segment files.
    pub rebuilt: bool,
    /// Files under `segments` that could not be adopted. They are left where they are.
    pub strays: Vec<PathBuf>,
}

/// Opens the store under `state_dir` and brings it in order.
pub(super) fn open(
    state_dir: &Path,
    identity: Identity,
    clock: Clock,
    cameras: &[CameraId],
    disc: Arc<dyn Disc>,
) -> Result<(Arc<Core>, Recovery), StoreError> {
    if let Some(other) = cameras.iter().find(|c| c.site() != identity.site()) {
        let site = identity.site();
        return Err(StoreError::refused(format!("{other} is not a camera of site {site}")));
    }
    let lock = volume::lock(state_dir)?;
    let found = volume::look(state_dir)?;
    let (index, verdict) = open_index(state_dir, identity.site(), &found)?;
    let ring = KeyRing::open(&state_dir.join("keys"), identity.site())?;
    let mut core = Core {
        state_dir: state_dir.to_owned(),
        segments: state_dir.join("segments"),
        lines: lines(&index, identity.site(), cameras)?,
        epochs: Mutex::default(),
        next: Mutex::default(),
        durable: AtomicU64::new(0),
        holds: RwLock::new(load_holds(&index)?),
        tallies: Mutex::new(load_tallies(&index, identity.site())?),
        failed: AtomicBool::new(false),
        _lock: lock,
        identity,
        ring,
        clock,
        index,
        disc,
    };
    let mut recovery = Recovery::default();
    greet(&core)?;
    let first = measure_log(&core)? == 0;
    match &verdict {
        Verdict::Same(_) => {}
        Verdict::New(volume) => {
            found.write(core.identity.site(), volume)?;
            set_volume(&core, volume)?;
        }
        Verdict::IndexLost(volume) => {
            rebuild::rebuild(&mut core, &mut recovery)?;
            set_volume(&core, volume)?;
        }
    }
    holds::match_files(&core)?;
    recovery.erased_leftovers = erase::unlink_condemned(&core, usize::MAX)?;
    settle_all(&core, &mut recovery)?;
    recovery.orderly =
        core.index.get(Family::Facts, fact::STOPPED)?.is_some() || (first && !recovery.rebuilt);
    say_started(&core, cameras, recovery.orderly)?;
    Ok((Arc::new(core), recovery))
}

/// Opens the index and judges whether it belongs here; one that was being rebuilt begins anew.
fn open_index(
    state_dir: &Path,
    site: &SiteId,
    found: &volume::Found,
) -> Result<(Index, Verdict), StoreError> {
    let folder = state_dir.join("index");
    let fault =
        |source| StoreError::DiscFault { what: format!("preparing {}", folder.display()), source };
    durable::create_folder(&folder).map_err(fault)?;
    let index = Index::open(&folder)?;
    let said = index.get(Family::Facts, fact::VOLUME)?;
    let said = said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let verdict = found.judge(site, said.as_deref())?;
    let begun = index.rows(Family::Log, Vec::new(), None).next().is_some();
    if matches!(verdict, Verdict::IndexLost(_)) && begun {
        drop(index);
        fs::remove_dir_all(&folder).map_err(fault)?;
        durable::create_folder(&folder).map_err(fault)?;
        return Ok((Index::open(&folder)?, verdict));
    }
    Ok((index, verdict))
}

fn damaged(family: Family) -> StoreError {
    StoreError::Fatal {
        what: format!("reading the index's {}", family.name()),
        source: io::Error::other("a row does not read; move the index away to have it rebuilt"),
    }
}

fn lines(
    index: &Index,
    site: &SiteId,
    cameras: &[CameraId],
) -> Result<BTreeMap<CameraId, Mutex<Line>>, StoreError> {
    let mut lines: BTreeMap<CameraId, Line> =
        cameras.iter().map(|camera| (camera.clone(), Line::default())).collect();
    for row in index.rows(Family::Heads, Vec::new(), None) {
        let (key, value) = row?;
        let camera = Reader(&key).camera(site).ok_or_else(|| damaged(Family::Heads))?;
        let head = head::decode(&value).ok_or_else(|| damaged(Family::Heads))?;
        lines.entry(camera).or_default().head = Some(head);
    }
    for row in index.rows(Family::Opened, Vec::new(), None) {
        let (key, value) = row?;
        let camera = Reader(&key).camera(site).ok_or_else(|| damaged(Family::Opened))?;
        let opened = OpenedRow::decode(&value).ok_or_else(|| damaged(Family::Opened))?;
        lines.entry(camera).or_default().writing = Writing::Abandoned(opened);
    }
    Ok(lines.into_iter().map(|(camera, line)| (camera, Mutex::new(line))).collect())
}

fn load_holds(index: &Index) -> Result<Holds, StoreError> {
    let rows = index.rows(Family::Holds, Vec::new(), None);
    rows.map(|row| {
        let hold = hold::decode(&row?.1).ok_or_else(|| damaged(Family::Holds))?;
        Ok(((hold.hold.clone(), hold.camera.clone()), hold))
    })
    .collect()
}

fn load_tallies(index: &Index, site: &SiteId) -> Result<Tallies, StoreError> {
    let mut tallies = Tallies::new();
    for row in index.rows(Family::Tallies, Vec::new(), None) {
        let (key, value) = row?;
        let (camera, epoch) =
            tally::decode_key(site, &key).ok_or_else(|| damaged(Family::Tallies))?;
        let tally = Tally::decode(&value).ok_or_else(|| damaged(Family::Tallies))?;
        tallies.entry(camera).or_default().insert(epoch, tally);
    }
    Ok(tallies)
}

/// Remembers this run's evidence key among those that have signed here.
fn greet(core: &Core) -> Result<(), StoreError> {
    let public = core.identity.public_key();
    let key = signer::key(&public.id());
    if core.index.get(Family::Signers, &key)?.is_none() {
        let mut batch = Batch::default();
        batch.put(Family::Signers, key, signer::encode(&public));
        core.write(&batch)?;
    }
    Ok(())
}

/// Finds the end of the site log.
fn measure_log(core: &Core) -> Result<u64, StoreError> {
    let size = match core.index.rows_back(Family::Log, Vec::new(), None).next() {
        Some(row) => entry::decode_key(&row?.0).ok_or_else(|| damaged(Family::Log))? + 1,
        None => 0,
    };
    *lock(&core.next) = size;
    core.durable.store(size, Ordering::SeqCst);
    Ok(size)
}

fn set_volume(core: &Core, volume: &str) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Family::Facts, fact::VOLUME.to_vec(), volume);
    core.write(&batch)
}

fn settle_all(core: &Core, recovery: &mut Recovery) -> Result<(), StoreError> {
    for (camera, line) in &core.lines {
        let mut line = lock(line);
        if let Writing::Abandoned(row) = &line.writing {
            core.use_epoch(row.epoch);
        }
        match salvage::settle(core, camera, &mut line) {
            Ok(Some(salvaged)) => recovery.salvaged.push((camera.clone(), salvaged)),
            Ok(None) => {}
            Err(error @ (StoreError::DiscFull { .. } | StoreError::DiscFault { .. })) => {
                // The store must open, or retention could never make room.
                recovery.unsettled.push((camera.clone(), error));
                continue;
            }
            Err(error) => return Err(error),
        }
        rebuild::adopt(core, camera, &mut line, recovery)?;
    }
    Ok(())
}

/// Logs that the agent came up, and for each recorded camera a gap up to now.
fn say_started(core: &Core, cameras: &[CameraId], orderly: bool) -> Result<(), StoreError> {
    let now = core.clock.now();
    let cameras: BTreeSet<_> = cameras.iter().collect();
    let record = Record::Other(Statement::AgentStart(AgentStart {
        site: core.identity.site().clone(),
        boot_id: core.identity.boot_id().to_owned(),
        agent: core.identity.agent().clone(),
        orderly,
        cameras: cameras.iter().map(|camera| (*camera).clone()).collect(),
        continues: None,
        at: now,
    }));
    let envelope = core.identity.sign(&record);
    core.log(&[&envelope], |_, batch| batch.delete(Family::Facts, fact::STOPPED.to_vec()))?;
    let (reason, detail) = if orderly {
        (GapReason::AgentStopped, "the recorder was not running")
    } else {
        (GapReason::AgentCrashed, "the recorder had ended without saying so")
    };
    for camera in cameras {
        let mut line = core.line(camera)?;
        // The chain of an unsettled camera goes on with the segment that is still to be closed.
        if line.head.is_some() && matches!(line.writing, Writing::Nothing) {
            core.write_gap(camera, &mut line, (None, now), reason, detail)?;
        }
    }
    Ok(())
}
