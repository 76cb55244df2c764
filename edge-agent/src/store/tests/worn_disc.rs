//! A disc that fails as discs do, over a real folder: power cuts that lose what was not synced in any
//! combination, kills, refused and torn writes, failed syncs whose pages are gone, a file system that
//! turns read-only or full for a while.
//!
//! What survives power loss is tracked by each step as it is taken: a segment file's content by its
//! data sync, its name by its folder's sync, the index by the sync of its own log. Files that are
//! replaced whole (holds, certificates, keys, tiles) carry their syncs within one step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::super::core::lock;
use super::super::{Disc, Step};
use super::dice::Dice;

/// What befalls the disc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is killed: nothing that was written is lost.
    Kill,
    /// Power goes: what was not synced is lost, or not, or partly.
    Power,
    /// One step is refused with this error number; of a write some bytes have landed.
    Refuse(i32),
    /// Every step that writes is refused with this error number, so many times.
    RefuseFor(i32, u32),
    /// The next sync fails; the pages are gone, and later syncs succeed.
    FailedSync,
}

/// No space.
pub(super) const ENOSPC: i32 = 28;
/// The device does not read or write.
pub(super) const EIO: i32 = 5;
/// Remounted read-only.
pub(super) const EROFS: i32 = 30;

/// A disc under the folder of one site.
pub(super) struct WornDisc(Mutex<State>);

struct State {
    segments: PathBuf,
    index: PathBuf,
    dice: Dice,
    /// Before how many more steps, and what.
    due: Option<(u32, Fault)>,
    refusing: Option<(i32, u32)>,
    /// Nothing happens any more; whether power went.
    ended: Option<Fault>,
    /// What every file held at its last sync; only files whose names would survive.
    synced: BTreeMap<PathBuf, Vec<u8>>,
    /// Contents that are synced under names that are not.
    nameless: BTreeMap<PathBuf, Vec<u8>>,
    /// The lengths of the index's own logs at their last sync.
    index_logs: BTreeMap<PathBuf, u64>,
    /// Lengths as last seen.
    lengths: BTreeMap<PathBuf, u64>,
    /// The file written last.
    written: Option<PathBuf>,
    /// Folders whose names have changed since the last step of another kind.
    renamed: BTreeSet<PathBuf>,
    unlinking: bool,
}

impl WornDisc {
    /// A sound disc; all that it holds now would survive.
    pub(super) fn new(folder: &Path, dice: Dice) -> Arc<Self> {
        let (segments, index) = (folder.join("segments"), folder.join("index"));
        let lengths = walk(&segments);
        let synced =
            lengths.keys().map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect();
        let index_logs = index_logs(&index);
        Arc::new(Self(Mutex::new(State {
            segments,
            index,
            dice,
            due: None,
            refusing: None,
            ended: None,
            synced,
            nameless: BTreeMap::new(),
            index_logs,
            lengths,
            written: None,
            renamed: BTreeSet::new(),
            unlinking: false,
        })))
    }

    /// Lets `fault` come after `steps` more steps.
    pub(super) fn arm(&self, steps: u32, fault: Fault) {
        lock(&self.0).due = Some((steps, fault));
    }

    /// Ends the process, or power, now.
    pub(super) fn end(&self, fault: Fault) {
        let mut state = lock(&self.0);
        state.ended = state.ended.or(Some(fault));
    }

    /// What ended the run; none if the process is alive.
    pub(super) fn ended(&self) -> Option<Fault> {
        lock(&self.0).ended
    }

    /// After the process is gone: what power loss leaves, if power went.
    pub(super) fn settle(&self) {
        let mut state = lock(&self.0);
        if state.ended == Some(Fault::Power) {
            state.lose();
        }
    }
}

impl Disc for WornDisc {
    fn take(&self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        lock(&self.0).take(step, act)
    }
}

fn is_sync(step: Step) -> bool {
    matches!(step, Step::SyncFile | Step::SyncFolder | Step::SyncIndex)
}

fn writes_segment(step: Step) -> bool {
    matches!(step, Step::WriteHead | Step::WriteFragment | Step::WriteManifest | Step::Truncate)
}

impl State {
    fn take(&mut self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if self.ended.is_some() {
            return Err(io::Error::other("the machine is off"));
        }
        if let Some((errno, left)) = self.refusing {
            let reads = matches!(step, Step::ReadSegment);
            if !reads || errno == EIO {
                self.refusing = left.checked_sub(1).map(|left| (errno, left));
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        match self.due {
            Some((0, fault)) if fault != Fault::FailedSync || is_sync(step) => {
                self.due = None;
                self.meet(fault, step, act)
            }
            Some((left, fault)) => {
                self.due = Some((left.saturating_sub(1), fault));
                self.go(step, act)
            }
            None => self.go(step, act),
        }
    }

    fn go(&mut self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        act()?;
        self.note(step);
        Ok(())
    }

    fn meet(
        &mut self,
        fault: Fault,
        step: Step,
        act: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        match fault {
            Fault::Kill | Fault::Power => {
                // Before, within or after the step.
                match self.dice.below(3) {
                    0 => {}
                    1 if writes_segment(step) => self.tear(step, act)?,
                    _ => self.go(step, act)?,
                }
                self.ended = Some(fault);
                Err(io::Error::other("the machine is off"))
            }
            Fault::Refuse(errno) => {
                if writes_segment(step) && step != Step::Truncate {
                    self.tear(step, act)?;
                }
                Err(io::Error::from_raw_os_error(errno))
            }
            Fault::RefuseFor(errno, times) => {
                self.refusing = Some((errno, times));
                Err(io::Error::from_raw_os_error(errno))
            }
            Fault::FailedSync => {
                if step == Step::SyncFile
                    && let Some(path) = self.written.clone()
                {
                    self.drop_pages(&path);
                }
                Err(io::Error::from_raw_os_error(EIO))
            }
        }
    }

    /// Takes a writing step, of which only some bytes reach the file.
    fn tear(&mut self, step: Step, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let before = self.lengths.clone();
        self.go(step, act)?;
        let Some(path) = self.written.clone() else { return Ok(()) };
        let was = before.get(&path).copied().unwrap_or(0);
        let is = self.lengths.get(&path).copied().unwrap_or(0);
        if is > was {
            let kept = was + self.dice.below(is - was + 1);
            OpenOptions::new().write(true).open(&path)?.set_len(kept)?;
            self.lengths.insert(path, kept);
        }
        Ok(())
    }

    /// What a failed sync leaves in the page cache: the file as synced before, or zeroes.
    fn drop_pages(&mut self, path: &Path) {
        let kept = self.synced.get(path).or_else(|| self.nameless.get(path));
        let kept = kept.cloned().unwrap_or_default();
        let is = fs::read(path).unwrap_or_default();
        let worn = worn(&kept, &is, &mut self.dice);
        fs::write(path, worn).expect("a file of the test is writable");
    }

    fn note(&mut self, step: Step) {
        if step != Step::Unlink && step != Step::SyncFolder {
            self.unlinking = false;
        }
        match step {
            _ if writes_segment(step) => {
                let lengths = walk(&self.segments);
                let changed =
                    lengths.iter().find(|(path, length)| self.lengths.get(*path) != Some(length));
                self.written = changed.map(|(path, _)| path.clone());
                if step == Step::WriteHead {
                    self.renamed = self.written.iter().filter_map(|p| folder_of(p)).collect();
                }
                self.lengths = lengths;
            }
            Step::Unlink => {
                if !self.unlinking {
                    self.renamed.clear();
                }
                self.unlinking = true;
                let lengths = walk(&self.segments);
                let gone = self.lengths.keys().filter(|path| !lengths.contains_key(*path));
                self.renamed.extend(gone.filter_map(|path| folder_of(path)));
                self.lengths = lengths;
            }
            Step::SyncFile => {
                if let Some(path) = &self.written {
                    let bytes = fs::read(path).unwrap_or_default();
                    match self.synced.get_mut(path) {
                        Some(synced) => *synced = bytes,
                        None => drop(self.nameless.insert(path.clone(), bytes)),
                    }
                }
            }
            Step::SyncFolder => {
                if let Some(folder) = self.renamed.pop_first() {
                    self.keep_names(&folder);
                }
            }
            Step::SyncIndex => self.index_logs = index_logs(&self.index),
            Step::RepairFile => {
                self.lengths = walk(&self.segments);
                for path in self.lengths.keys() {
                    self.synced.insert(path.clone(), fs::read(path).unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    fn keep_names(&mut self, folder: &Path) {
        let is_here = |path: &PathBuf| path.parent() == Some(folder);
        self.synced.retain(|path, _| !is_here(path) || path.exists());
        for path in self.lengths.keys().filter(|path| is_here(path)) {
            if !self.synced.contains_key(path) {
                let bytes = self.nameless.remove(path).unwrap_or_default();
                self.synced.insert(path.clone(), bytes);
            }
        }
    }

    /// Power went: files and the index's logs become what a disc may then hold.
    fn lose(&mut self) {
        for path in walk(&self.segments).keys() {
            let kept = self.synced.get(path);
            let Some(kept) = kept.or_else(|| self.nameless.get(path).filter(|_| self.dice.hit(50)))
            else {
                if self.dice.hit(50) {
                    drop(fs::remove_file(path));
                } else {
                    let is = fs::read(path).unwrap_or_default();
                    fs::write(path, worn(&[], &is, &mut self.dice)).expect("writable");
                }
                continue;
            };
            let is = fs::read(path).unwrap_or_default();
            if *kept != is {
                fs::write(path, worn(kept, &is, &mut self.dice)).expect("writable");
            }
        }
        for (path, kept) in &self.synced {
            // Unlinked, and the folder was not synced.
            if !path.exists() && path.parent().is_some_and(Path::is_dir) && self.dice.hit(50) {
                fs::write(path, kept).expect("writable");
            }
        }
        for (path, length) in index_logs(&self.index) {
            let kept = self.index_logs.get(&path).copied().unwrap_or(0).min(length);
            let torn = kept + self.dice.below(length - kept + 1);
            let file = OpenOptions::new().write(true).open(&path).expect("writable");
            file.set_len(torn).expect("writable");
            if self.dice.hit(25) {
                // The length reached the disc, the bytes did not.
                file.set_len(length).expect("writable");
            }
        }
    }
}

/// What a file holds after power loss that was `kept` at its last sync and `is` now.
fn worn(kept: &[u8], is: &[u8], dice: &mut Dice) -> Vec<u8> {
    let Some(tail) = is.strip_prefix(kept) else {
        // Cut back, and the cut not synced.
        return if dice.hit(50) { kept.to_vec() } else { is.to_vec() };
    };
    let mut out = kept.to_vec();
    match dice.below(4) {
        0 => {}
        1 => out.extend_from_slice(&tail[..dice.index(tail.len() + 1)]),
        2 => out.extend_from_slice(tail),
        _ => {
            // Blocks reach the disc in any order; those that did not are zeroes.
            let block = [16, 64, 512, 4096][dice.index(4)];
            let mut blocks = Vec::new();
            for chunk in tail.chunks(block) {
                blocks.extend(if dice.hit(50) { chunk.to_vec() } else { vec![0; chunk.len()] });
            }
            blocks.truncate(dice.index(blocks.len() + 1));
            out.extend(blocks);
        }
    }
    out
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    path.parent().map(Path::to_owned)
}

/// The segment files under a folder, and their lengths.
fn walk(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(path),
                Ok(metadata) if path.extension().is_some_and(|e| e == "whseg") => {
                    found.insert(path, metadata.len());
                }
                _ => {}
            }
        }
    }
    found
}

fn index_logs(index: &Path) -> BTreeMap<PathBuf, u64> {
    let listing = fs::read_dir(index).into_iter().flatten().flatten();
    let logs = listing.filter(|entry| entry.path().extension().is_some_and(|e| e == "log"));
    logs.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect()
}
