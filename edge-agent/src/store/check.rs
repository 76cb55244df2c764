//! The oracle over the whole store: reads everything and says what does not hold. For tests after
//! every step, and for an operator with a night to spare: it reads every byte of footage.
//!
//! | file | holds |
//! |---|---|
//! | `check/grown.rs` | the log's tree, its checkpoints and static files |
//! | `check/keys.rs` | what the log tells of destroyed keys, and what opens |
//! | `check/signed.rs` | who signed each record, and whether they might |
//!
//! Cost: one pass over log and index, and over the segment files: 110 TB at 31 days of 67 cameras;
//! with [`Depth::Sizes`] a `stat` a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use custody::chain::{self, Head};
use custody::dsse::Envelope;
use custody::manifest::Mask;
use custody::record::{
    Damage, DamageOutcome, Heartbeat, Hold, MaskChange, Record, SegmentRef, Statement,
};
use custody::sealed::SealedSegment;
use custody::{CameraId, Digest, HoldId, Seq, tree};

use super::StoreError;
use super::core::{Core, Holds, Writing, lock};
use super::holds;
use super::key::condemned::CondemnedRow;
use super::key::expiry::SegmentRow;
use super::key::link::{self, LinkRow, Linked};
use super::key::second::Mark;
use super::key::tally::Tally;
use super::key::{Family, Reader, entry, fact, mask};
use super::volume::LOST_AND_FOUND;
use super::{key, path, second};

mod grown;
mod keys;
mod signed;

use grown::Regrown;
use signed::Certificates;

/// How far the check goes into the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// They are there and as long as they should be.
    Sizes,
    /// Every fragment is the one that was signed.
    Bytes,
}

/// One thing that does not hold: what, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Finding {
    /// A file, or a row of the index.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

/// What the check saw.
#[derive(Debug, Default)]
pub struct Checked {
    /// Everything that does not hold; empty in a sound store.
    pub findings: Vec<Finding>,
    /// Log entries read.
    pub entries: u64,
    /// Segment files looked at.
    pub files: u64,
}

impl Checked {
    #[expect(clippy::needless_pass_by_value, reason = "a path's display, a text or an error")]
    fn note(&mut self, place: impl ToString, what: impl ToString) {
        self.findings.push(Finding { place: place.to_string(), what: what.to_string() });
    }
}

/// What the log alone says should be so.
#[derive(Default)]
struct Told {
    heads: BTreeMap<CameraId, Head>,
    links: BTreeMap<(CameraId, Seq), LinkRow>,
    holds: Holds,
    masks: BTreeMap<CameraId, Mask>,
    /// The configuration of the last run, and a change of it that is still to be recorded.
    config: (Option<Digest>, Option<(Digest, Digest)>),
    certificates: Certificates,
    /// Segments that were found damaged and not repaired.
    damaged: BTreeSet<(CameraId, Seq)>,
    tree: Regrown,
    /// The site key that the last rotation left in force.
    site_key: Option<Digest>,
    /// Hours whose keys were destroyed, or changed, and have not been used since.
    gone: BTreeSet<u64>,
    /// Until which entry records of older segments stand among the others.
    rebuilt: u64,
}

/// Checks the store. Nothing may be recording meanwhile.
pub(super) fn check(core: &Core, depth: Depth) -> Result<Checked, StoreError> {
    let mut seen = Checked::default();
    let mut told = Told::default();
    if core.index.get(Family::Facts, fact::REBUILDING)?.is_some() {
        told.rebuilt = u64::MAX;
    } else if let Some(bytes) = core.index.get(Family::Facts, fact::REBUILT)? {
        told.rebuilt = fact::number(&bytes).unwrap_or(0);
    }
    follow_log(core, &mut seen, &mut told)?;
    compare_links(core, &mut seen, &told)?;
    compare_counts(core, &mut seen, &told)?;
    if *core.holds() != told.holds {
        seen.note("holds", "they are not those that the log tells");
    }
    compare_settings(core, &mut seen, &told)?;
    compare_damage(core, &mut seen, &told);
    grown::compare(core, &mut seen, &told.tree)?;
    keys::compare(core, &mut seen, &told, depth)?;
    let expected = look_at_files(core, &mut seen, &told, depth);
    look_for_strays(core, &mut seen, &expected)?;
    Ok(seen)
}

/// Reads the site log from its first entry and follows every chain.
fn follow_log(core: &Core, seen: &mut Checked, told: &mut Told) -> Result<(), StoreError> {
    for found in core.index.rows(Family::Log, Vec::new(), None) {
        let (key, value) = found?;
        let place = format!("log entry {}", seen.entries);
        if entry::decode_key(&key) != Some(seen.entries) {
            seen.note(&place, "it is missing");
            return Ok(());
        }
        match told.certificates.read(core, &value) {
            Ok((envelope, record)) => {
                if let Err(why) = told.tree.take(core, seen.entries, &record, &envelope) {
                    seen.note(&place, why);
                }
                apply(seen, told, &place, &envelope, &record);
            }
            Err(why) => seen.note(&place, why),
        }
        seen.entries += 1;
    }
    if core.durable.load(Ordering::SeqCst) != seen.entries {
        seen.note("log", "its size is not the number of its entries");
    }
    Ok(())
}

fn apply(seen: &mut Checked, told: &mut Told, place: &str, envelope: &Envelope, record: &Record) {
    if record.link().is_some() {
        follow(seen, told, place, envelope, record);
        return;
    }
    let Record::Other(statement) = record else { return };
    match statement {
        Statement::Erase(erase) => {
            for segment in &erase.segments {
                erased(seen, told, place, &erase.camera, segment);
            }
        }
        Statement::Hold(hold) => {
            let key = (hold.hold.clone(), hold.camera.clone());
            told.holds.insert(key, hold.clone());
        }
        Statement::Release(release) => {
            let key: (HoldId, CameraId) = (release.hold.clone(), release.camera.clone());
            if told.holds.remove(&key).is_none() {
                seen.note(place, "it releases a hold that does not stand");
            }
        }
        Statement::AgentStart(start) => {
            let (before, after) = (told.config.0, start.agent.config_sha256);
            let due = before.filter(|before| *before != after).map(|before| (before, after));
            told.config = (Some(after), due);
        }
        Statement::ConfigChange(change) => {
            if told.config.1.take() != Some((change.before, change.after)) {
                seen.note(place, "it tells of settings that did not change so");
            }
        }
        Statement::MaskChange(change) => mask_changed(seen, told, place, change),
        Statement::Damage(damage) => harmed(seen, told, place, damage),
        Statement::KeysDestroyed(gone) => keys::destroyed(seen, told, place, gone),
        Statement::Heartbeat(heartbeat) => heard(seen, told, place, heartbeat),
        Statement::Gap(_)
        | Statement::ClockStep(_)
        | Statement::Access(_)
        | Statement::Disposal(_)
        | Statement::KeyCert(_)
        | Statement::Transfer(_)
        | Statement::Key(_)
        | Statement::Bundle(_) => {}
    }
}

fn mask_changed(seen: &mut Checked, told: &mut Told, place: &str, change: &MaskChange) {
    let before = told.masks.insert(change.camera.clone(), change.after.clone());
    if before != change.before || before.as_ref() == Some(&change.after) {
        seen.note(place, "it does not continue the camera's last mask");
    }
}

/// Damage is told of footage that is stored, and mended only where it was told.
fn harmed(seen: &mut Checked, told: &mut Told, place: &str, damage: &Damage) {
    let key = (damage.camera.clone(), damage.segment.seq);
    let is_stored = told.links.get(&key).is_some_and(|row| row.stored().is_some());
    let fits = match damage.outcome {
        DamageOutcome::Found => told.damaged.insert(key) && is_stored,
        DamageOutcome::Repaired => told.damaged.remove(&key) && is_stored,
    };
    if !fits {
        seen.note(place, format!("it tells wrongly of damage to segment {}", damage.segment.seq));
    }
}

/// A heartbeat names no link that is not in the log before it.
fn heard(seen: &mut Checked, told: &Told, place: &str, heartbeat: &Heartbeat) {
    for end in &heartbeat.cameras {
        if end.next > chain::after(told.heads.get(&end.camera)).0 {
            seen.note(place, format!("links of {} before {} are missing", end.camera, end.next));
        }
    }
}

/// Compares what is remembered of masks and settings with what the log tells.
fn compare_settings(core: &Core, seen: &mut Checked, told: &Told) -> Result<(), StoreError> {
    let site = core.identity.site();
    let mut masks = BTreeMap::new();
    for found in core.index.rows(Family::Masks, Vec::new(), None) {
        let (key, value) = found?;
        if let (Some(camera), Some(mask)) = (Reader(&key).camera(site), mask::decode(&value)) {
            masks.insert(camera, mask);
        }
    }
    if masks != told.masks {
        seen.note("masks", "they are not those that the log tells");
    }
    let config = core.index.get(Family::Facts, fact::CONFIG)?;
    if config != told.config.0.map(|digest| digest.to_string().into_bytes()) {
        seen.note("config", "it is not that of the last logged start");
    }
    if told.config.1.is_some() {
        seen.note("log", "settings have changed and no record says so");
    }
    Ok(())
}

fn follow(seen: &mut Checked, told: &mut Told, place: &str, envelope: &Envelope, record: &Record) {
    let Some(link) = record.link() else { return };
    let camera = link.camera.clone();
    let head = told.heads.get(&camera);
    // After a lost index each chain goes on from its newest segment; older ones are read in later.
    let old = seen.entries < told.rebuilt && head.is_some_and(|h| link.seq < h.seq);
    let digest = envelope.digest();
    let against = if old { None } else { head };
    match chain::advance(&camera, against, link, digest) {
        Err(refusal) => seen.note(place, refusal),
        Ok(_) if head.is_some_and(|h| !old && !link.anew && link.start != h.end) => {
            seen.note(place, "it does not begin where the record before it ended");
        }
        Ok(_) => {}
    }
    if let Record::Segment(segment) = record {
        told.gone.remove(&segment.seal.epoch);
    }
    let what = match record {
        Record::Segment(segment) => Linked::Stored(link::FileFacts {
            bytes: 0,
            root: segment.fragments.root,
            epoch: segment.seal.epoch,
        }),
        Record::Other(_) => Linked::Gap,
    };
    let row = LinkRow { start: link.start, end: link.end, place: seen.entries, digest, what };
    if !old {
        told.heads.insert(camera.clone(), row.head(link.seq));
    }
    if told.links.insert((camera, link.seq), row).is_some() {
        seen.note(place, "it stands in the log twice");
    }
}

fn erased(seen: &mut Checked, told: &mut Told, place: &str, camera: &CameraId, of: &SegmentRef) {
    let held = |hold: &Hold| holds::reaches(hold, camera, of.start, of.end);
    if told.holds.values().any(held) {
        seen.note(place, format!("it erases segment {} of {camera}, which is held", of.seq));
    }
    match told.links.get_mut(&(camera.clone(), of.seq)) {
        Some(LinkRow { what, .. }) => match *what {
            Linked::Stored(file) if file.root == of.root => *what = Linked::Erased(file),
            _ => seen.note(place, format!("it erases segment {} of {camera} wrongly", of.seq)),
        },
        None => seen.note(place, format!("it erases segment {} of {camera}, never logged", of.seq)),
    }
}

/// Compares the index's links with what the log tells; takes file lengths from the index.
fn compare_links(core: &Core, seen: &mut Checked, told: &Told) -> Result<(), StoreError> {
    let site = core.identity.site();
    let mut count = 0;
    for found in core.index.rows(Family::Links, Vec::new(), None) {
        let (key, value) = found?;
        count += 1;
        let (Some(key), Some(row)) = (link::decode_key(site, &key), LinkRow::decode(&value)) else {
            seen.note("links", "a row does not read");
            continue;
        };
        let without_length = |row: LinkRow| {
            let strip = |file| link::FileFacts { bytes: 0, ..file };
            let what = match row.what {
                Linked::Gap => Linked::Gap,
                Linked::Stored(file) => Linked::Stored(strip(file)),
                Linked::Erased(file) => Linked::Erased(strip(file)),
            };
            LinkRow { what, ..row }
        };
        if told.links.get(&key) != Some(&without_length(row)) {
            seen.note(format!("link {} of {}", key.1, key.0), "it is not what the log tells");
        }
    }
    if count != told.links.len() {
        seen.note("links", format!("{count} rows for {} logged links", told.links.len()));
    }
    let moments = core.index.rows(Family::Moments, Vec::new(), None).count();
    if moments != told.links.len() {
        seen.note("moments", format!("{moments} rows for {} logged links", told.links.len()));
    }
    for (camera, line) in &core.lines {
        if lock(line).head.as_ref() != told.heads.get(camera) {
            seen.note(format!("head of {camera}"), "it is not the last logged link");
        }
    }
    Ok(())
}

fn row_of(core: &Core, camera: &CameraId, seq: Seq) -> Option<LinkRow> {
    LinkRow::decode(&core.index.get(Family::Links, &link::key(camera, seq)).ok()??)
}

/// Compares the retention order and the tallies with the stored segments.
fn compare_counts(core: &Core, seen: &mut Checked, told: &Told) -> Result<(), StoreError> {
    let mut tallies: BTreeMap<CameraId, BTreeMap<u64, Tally>> = BTreeMap::new();
    let mut order = BTreeSet::new();
    for (camera, seq) in told.links.keys() {
        let Some(row) = row_of(core, camera, *seq) else { continue };
        let Some(file) = row.stored() else { continue };
        let hours = tallies.entry(camera.clone()).or_default();
        let tally = hours.entry(file.epoch).or_default();
        tally.segments += 1;
        tally.bytes += file.bytes;
        let (start, end, root) = (row.start, row.end, file.root);
        let (bytes, epoch) = (file.bytes, file.epoch);
        let of = SegmentRow { camera: camera.clone(), seq: *seq, start, end, bytes, root, epoch };
        order.insert((of.key(), of.encode()));
    }
    let kept: BTreeSet<_> = core
        .index
        .rows(Family::Expiry, Vec::new(), None)
        .map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())))
        .collect::<Result<_, _>>()?;
    if kept != order {
        seen.note("expiry", "it does not list exactly the stored segments");
    }
    let mut counted = lock(&core.tallies).clone();
    counted.retain(|_, hours| !hours.is_empty());
    if counted != tallies {
        seen.note("tallies", "they are not the sums of the stored segments");
    }
    Ok(())
}

/// Compares what is remembered of damage with what the log tells of footage that is still stored.
fn compare_damage(core: &Core, seen: &mut Checked, told: &Told) {
    let is_stored =
        |key: &&(CameraId, Seq)| told.links.get(*key).is_some_and(|row| row.stored().is_some());
    let known = lock(&core.damaged);
    if !known.keys().filter(is_stored).eq(told.damaged.iter().filter(is_stored)) {
        seen.note("damage", "it is not what the log tells");
    }
}

/// Looks at every stored segment's file. Gives the files that may be there.
fn look_at_files(core: &Core, seen: &mut Checked, told: &Told, depth: Depth) -> BTreeSet<PathBuf> {
    let mut expected = BTreeSet::new();
    for (camera, seq) in told.links.keys() {
        let Some(row) = row_of(core, camera, *seq) else { continue };
        let Some(of) = row.stored() else { continue };
        // What lies on a second disc that is away cannot be looked at; an alarm says so.
        let Ok(file) = second::place(core, camera, of.epoch, *seq) else { continue };
        seen.files += 1;
        if lock(&core.damaged).contains_key(&(camera.clone(), *seq)) {
            // Known, logged, and an alarm.
            expected.insert(file);
            continue;
        }
        let length = fs::metadata(&file).map(|m| m.len());
        match length {
            Err(error) => seen.note(file.display(), error),
            Ok(length) if length != of.bytes => {
                seen.note(file.display(), format!("{length} bytes where {} are kept", of.bytes));
            }
            Ok(_) if depth == Depth::Bytes => {
                if let Err(why) = same_footage(&file, camera, *seq, of.root, row.digest) {
                    seen.note(file.display(), why);
                }
            }
            Ok(_) => {}
        }
        expected.insert(file);
    }
    expected
}

/// That a file holds the segment that was signed and logged: its sealed bytes lead to the root.
pub(super) fn same_footage(
    file: &Path,
    camera: &CameraId,
    seq: Seq,
    root: Digest,
    record: Digest,
) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|e| e.to_string())?;
    let segment = SealedSegment::read(&bytes).map_err(|e| e.to_string())?;
    if segment.header.camera != *camera || segment.header.seq != seq {
        return Err("its header names another segment".into());
    }
    if tree::root(&segment.leaves()) != root {
        return Err("its fragments are not the signed ones".into());
    }
    if segment.manifest.map(Digest::of) != Some(record) {
        return Err("its manifest is not the logged one".into());
    }
    Ok(())
}

/// Names every file under `segments` that nothing accounts for.
fn look_for_strays(
    core: &Core,
    seen: &mut Checked,
    expected: &BTreeSet<PathBuf>,
) -> Result<(), StoreError> {
    let mut allowed: BTreeSet<_> =
        second::roots(core).map(|root| root.join("volume.json")).collect();
    let site = core.identity.site();
    for found in core.index.rows(Family::Condemned, Vec::new(), None) {
        let (key, value) = found?;
        if let Some(row) = CondemnedRow::decode(site, &key, &value) {
            let of = |root| path::segment(root, &row.camera, row.epoch, row.seq);
            allowed.extend(second::roots(core).map(of));
        }
    }
    for found in core.index.rows(Family::Second, Vec::new(), None) {
        let (key, value) = found?;
        if let Some((Mark::Moving, row)) = key::second::decode(site, &key, &value) {
            let of = |root| path::segment(root, &row.camera, row.epoch, row.seq);
            allowed.extend(second::roots(core).map(of));
        }
    }
    let mut writing = BTreeSet::new();
    for (camera, line) in &core.lines {
        match &lock(line).writing {
            Writing::Nothing => {}
            Writing::Open => {
                writing.insert(core.segments.join(camera.name()));
            }
            Writing::Abandoned(row) => {
                allowed.insert(path::segment(&core.segments, camera, row.epoch, row.seq));
            }
        }
    }
    let mut pending: Vec<PathBuf> = second::roots(core).map(Path::to_owned).collect();
    while let Some(folder) = pending.pop() {
        for path in super::rebuild::list(&folder)? {
            if path.ends_with(LOST_AND_FOUND) {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else if !expected.contains(&path)
                && !allowed.contains(&path)
                && !super::rebuild::is_unread(core, &path)
                && !writing.iter().any(|folder| path.starts_with(folder))
            {
                seen.note(path.display(), "nothing accounts for this file");
            }
        }
    }
    Ok(())
}
