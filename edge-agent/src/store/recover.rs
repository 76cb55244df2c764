//! Opening the store: whose folders these are, what a crash left behind, and the gap since.
//!
//! In order: lock the folder · compare volume identities, count the opening · certify this run's keys ·
//! record that the agent came up · finish erasures · close or index the segment that each camera was
//! writing · adopt complete files that the index does not know · finish a change of the keys · record a
//! gap for each camera up to now. Costs a few reads per camera, not a walk over the footage.
//!
//! An index that is lost, damaged or older than the footage is set aside as `index-aside-<n>` and a
//! new one begun; see `rebuild`.
//!
//! A new log begins with the certificates of this run's keys, then the agent's start, which names the
//! log before it where the index was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use custody::record::{AgentStart, ConfigChange, GapReason, LogEnd, Record, Statement};
use custody::{CameraId, Digest, SiteId};
use host::{Clock, durable};

use super::core::{Core, Holds, Line, Tallies, Writing, lock};
use super::disc::Step;
use super::effort::{Buffers, Effort};
use super::index::{Batch, Index};
use super::key::opened::OpenedRow;
use super::key::tally::{self, Tally};
use super::key::{Family, Reader, entry, fact, head, hold, mask};
use super::salvage::{self, Salvaged};
use super::second::Second;
use super::tail::{self, Tail};
use super::volume::{self, Indexed, Verdict};
use super::{
    Places, StoreError, aside, damage, erase, holds, publish, rebuild, rotate, second, signing,
    untimely,
};
use crate::seal::{Identity, KeyRing, key_ring};

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
    /// Whether the index was gone, damaged or an older copy, and is being built again from the segment
    /// files: see [`super::Store::read_in`].
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
    places: Places<'_>,
) -> Result<(Arc<Core>, Recovery), StoreError> {
    if let Some(other) = cameras.iter().find(|c| c.site() != identity.site()) {
        let site = identity.site();
        return Err(StoreError::refused(format!("{other} is not a camera of site {site}")));
    }
    let lock = volume::lock(state_dir)?;
    let found = volume::look(state_dir)?;
    let (loaded, verdict) = match load(state_dir, &identity, &found, cameras) {
        Err(error) if error.is_index_damage() => {
            let why = host::telemetry::chain(&error);
            tracing::error!(why, "the index is damaged; it is set aside and built again");
            aside::set_aside(state_dir)?;
            load(state_dir, &identity, &found, cameras)?
        }
        loaded => loaded?,
    };
    let Loaded { index, lines, origin, tail, holds, tallies } = loaded;
    let ring = KeyRing::open(&state_dir.join("keys"), identity.site(), places.root)?;
    let mut core = Core {
        state_dir: state_dir.to_owned(),
        segments: state_dir.join("segments"),
        second: places.second.zip(verdict.volume()).map(|(folder, of)| Second::new(folder, of)),
        lines,
        epochs: Mutex::default(),
        origin,
        signing: Mutex::default(),
        durable: AtomicU64::new(tail.size()),
        tail: Mutex::new(tail),
        synced: Mutex::default(),
        publisher: Mutex::default(),
        foreign: Mutex::default(),
        alarms: Mutex::default(),
        holds: RwLock::new(holds),
        held: Mutex::default(),
        tallies: Mutex::new(tallies),
        unread: Mutex::default(),
        damaged: Mutex::default(),
        erasures: Mutex::new(untimely::load(&index)?),
        failed: AtomicBool::new(false),
        _lock: lock,
        identity,
        ring,
        clock,
        index,
        disc: places.disc,
        buffers: Buffers::default(),
        effort: Effort::default(),
    };
    let recovery = bring_in_order(&mut core, cameras, &found, &verdict)?;
    Ok((Arc::new(core), recovery))
}

fn bring_in_order(
    core: &mut Core,
    cameras: &[CameraId],
    found: &volume::Found,
    verdict: &Verdict,
) -> Result<Recovery, StoreError> {
    let lost = matches!(verdict, Verdict::IndexLost(_));
    let first = lock(&core.tail).size() == 0;
    if let Verdict::New(volume) = verdict {
        found.write(core.identity.site(), volume)?;
        set_volume(core, volume)?;
    }
    count_opening(core, found, verdict)?;
    let mut recovery = Recovery {
        orderly: core.index.get(Family::Facts, fact::STOPPED)?.is_some() || (first && !lost),
        ..Recovery::default()
    };
    second::look(core)?;
    let continues = publish::look_back(core, first)?;
    keep_fact(core, fact::ORIGIN, core.origin.as_bytes())?;
    signing::greet(core)?;
    signing::begin_key(core, core.clock.now(), core.clock.tick().0)?;
    signing::certify_file_keys(core)?;
    say_started(core, cameras, recovery.orderly, continues)?;
    signing::restore_certs(core)?;
    if let Verdict::IndexLost(volume) = verdict {
        rebuild::begin(core, &mut recovery)?;
        set_volume(core, volume)?;
    }
    rebuild::resume(core)?;
    damage::load(core)?;
    holds::match_files(core)?;
    second::settle(core)?;
    recovery.erased_leftovers = erase::unlink_condemned(core, usize::MAX)?;
    settle_all(core, &mut recovery)?;
    rotate::settle(core)?;
    say_missed(core, cameras, recovery.orderly)?;
    Ok(recovery)
}

/// What the index holds of the site's present state.
struct Loaded {
    index: Index,
    lines: BTreeMap<CameraId, Mutex<Line>>,
    origin: String,
    tail: Tail,
    holds: Holds,
    tallies: Tallies,
}

/// Opens the index and reads what is kept in memory.
fn load(
    state_dir: &Path,
    identity: &Identity,
    found: &volume::Found,
    cameras: &[CameraId],
) -> Result<(Loaded, Verdict), StoreError> {
    let site = identity.site();
    if aside::is_damaged(state_dir) {
        aside::set_aside(state_dir)?;
    }
    let (mut index, mut verdict) = open_index(state_dir, site, found)?;
    if verdict == Verdict::IndexOld {
        tracing::error!("the index is an older copy than the footage; it is set aside");
        drop(index);
        aside::set_aside(state_dir)?;
        (index, verdict) = open_index(state_dir, site, found)?;
    }
    let loaded = Loaded {
        lines: lines(&index, site, cameras)?,
        origin: origin(&index, identity)?,
        tail: load_tail(&index)?,
        holds: load_holds(&index)?,
        tallies: load_tallies(&index, site)?,
        index,
    };
    Ok((loaded, verdict))
}

/// Opens the index and judges whether it belongs here; one that was just begun begins anew.
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
    let opened = index.get(Family::Facts, fact::OPENED)?;
    let opened = opened.and_then(|bytes| fact::number(&bytes)).unwrap_or(0);
    let indexed = said.as_deref().map(|volume| Indexed { volume, opened });
    let verdict = found.judge(site, indexed)?;
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
        source: io::Error::new(io::ErrorKind::InvalidData, "a row does not read"),
    }
}

/// Counts this opening on both sides, see `volume`. A disc that takes no writes is not counted: the
/// store opens, and the gaps say what the disc does.
fn count_opening(core: &Core, found: &volume::Found, verdict: &Verdict) -> Result<(), StoreError> {
    let Some(volume) = verdict.volume() else { return Ok(()) };
    let number = found.next_opening();
    let write = |done| {
        let (path, bytes) = found.counted(core.identity.site(), volume, number, done);
        core.step(Step::WriteVolume, format_args!("writing {}", path.display()), || {
            durable::replace(path, &bytes, durable::Reader::Anyone)
        })
    };
    let refused = |error: StoreError| {
        if error.is_fatal() {
            return Err(error);
        }
        tracing::error!(error = %host::telemetry::chain(&error), "this opening is not counted");
        Ok(())
    };
    if let Err(error) = write(false) {
        return refused(error);
    }
    let mut batch = Batch::default();
    batch.put(Family::Facts, fact::OPENED.to_vec(), number.to_be_bytes());
    core.write(&batch)?;
    write(true).or_else(refused)
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
    for row in index.rows(Family::Masks, Vec::new(), None) {
        let (key, value) = row?;
        let camera = Reader(&key).camera(site).ok_or_else(|| damaged(Family::Masks))?;
        let mask = mask::decode(&value).ok_or_else(|| damaged(Family::Masks))?;
        lines.entry(camera).or_default().mask = Some(mask);
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

/// Finds the end of the site log.
fn load_tail(index: &Index) -> Result<Tail, StoreError> {
    let size = match index.rows_back(Family::Log, Vec::new(), None).next() {
        Some(row) => entry::decode_key(&row?.0).ok_or_else(|| damaged(Family::Log))? + 1,
        None => 0,
    };
    Tail::load(size, &tail::Stored(index)).map_err(tail::broken)
}

/// The log's name: as it began, or a new one for a log that begins now.
fn origin(index: &Index, identity: &Identity) -> Result<String, StoreError> {
    if let Some(origin) = index.get(Family::Facts, fact::ORIGIN)? {
        return String::from_utf8(origin).map_err(|_| damaged(Family::Facts));
    }
    Ok(identity.log_origin(&hex::encode(key_ring::random::<4>()?)))
}

/// Writes a fact that is not there yet.
fn keep_fact(core: &Core, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
    if core.index.get(Family::Facts, name)?.is_some() {
        return Ok(());
    }
    let mut batch = Batch::default();
    batch.put(Family::Facts, name.to_vec(), value);
    core.write(&batch)
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

/// Logs that the agent came up, and that it runs with other settings if it does.
fn say_started(
    core: &Core,
    cameras: &[CameraId],
    orderly: bool,
    continues: Option<LogEnd>,
) -> Result<(), StoreError> {
    let now = core.clock.now();
    let (site, agent) = (core.identity.site().clone(), core.identity.agent().clone());
    let after = agent.config_sha256;
    let cameras: BTreeSet<_> = cameras.iter().cloned().collect();
    let started = core.sign(&Record::Other(Statement::AgentStart(AgentStart {
        site: site.clone(),
        boot_id: core.identity.boot_id().to_owned(),
        agent,
        orderly,
        cameras: cameras.into_iter().collect(),
        continues,
        at: now,
    })))?;
    let mut records = vec![&started];
    let changed = match last_config(core)?.filter(|before| *before != after) {
        None => None,
        Some(before) => {
            let change = ConfigChange { site, before, after, at: now };
            Some(core.sign(&Record::Other(Statement::ConfigChange(change)))?)
        }
    };
    records.extend(&changed);
    core.log(&records, |_, batch| {
        batch.delete(Family::Facts, fact::STOPPED.to_vec());
        batch.put(Family::Facts, fact::CONFIG.to_vec(), after.to_string());
    })?;
    Ok(())
}

/// The digest of the configuration that the last run recorded.
fn last_config(core: &Core) -> Result<Option<Digest>, StoreError> {
    let Some(bytes) = core.index.get(Family::Facts, fact::CONFIG)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| damaged(Family::Facts))
}

/// Logs for each recorded camera a gap up to now.
fn say_missed(core: &Core, cameras: &[CameraId], orderly: bool) -> Result<(), StoreError> {
    let now = core.clock.now();
    let (reason, detail) = if orderly {
        (GapReason::AgentStopped, "the recorder was not running")
    } else {
        (GapReason::AgentCrashed, "the recorder had ended without saying so")
    };
    for camera in cameras.iter().collect::<BTreeSet<_>>() {
        let mut line = core.line(camera)?;
        // The chain of an unsettled camera goes on with the segment that is still to be closed.
        if line.head.is_some() && matches!(line.writing, Writing::Nothing) {
            core.write_gap(camera, &mut line, (None, now), reason, detail)?;
        }
    }
    Ok(())
}
