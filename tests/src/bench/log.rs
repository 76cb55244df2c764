//! Records appended a second to one site's log, each signed, in the tree and synced, by as many
//! cameras as the largest site has, with a checkpoint published each second; beside a plain file that
//! is written and synced once a record. Then a proof for any of ten million records.
//!
//! Ten million records would take hours to sign. So the log's own tree is grown from its true end by
//! the same function that the store calls (`custody::log::tiles::append`), and its entries and hashes
//! are written into the store's index; bodies are not. The store then opens it, and proves.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use custody::log::{entry, tiles};
use custody::record::{GapReason, Kind};
use custody::{CameraId, Digest, SiteId, tree};
use edge_agent::seal::Identity;
use edge_agent::store::Store;
use host::Clock;
use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteBatch, WriteOptions};

use super::{Figure, machine};

/// Headquarters has 71.
const CAMERAS: usize = 71;
const MEASURED_MS: u64 = 20_000;
const RECORDS: u64 = 10_000_000;
const PROOFS: u64 = 5_000;
/// What a logged gap is long.
const BODY: [u8; 900] = [7; 900];

pub(super) fn run(folder: &Path) -> Result<Figure> {
    let work = folder.join("log");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(&work)?;
    let peer_figure = plain_file(&work)?;
    let state = work.join("site");
    let figure = appends(&state)?;
    fill(&state)?;
    let worst_ms = proofs(&state)?;
    fs::remove_dir_all(&state)?;
    Ok(Figure {
        name: "log",
        figure,
        unit: "signed records a second, with a checkpoint each second",
        peer: "one file, a write and a data sync a record, same disc",
        peer_figure,
        ratio: figure / peer_figure,
        goal: "1,000 a second; a proof for any of 10 million records within 5 ms",
        holds: figure >= 1000.0 && worst_ms < 5.0,
        machine: machine(),
        command: "make bench NAME=log".to_owned(),
    })
}

fn plain_file(work: &Path) -> Result<f64> {
    let clock = Clock::system();
    let mut file = File::create(work.join("plain"))?;
    let (begun, mut count) = (clock.tick().0, 0_u32);
    while clock.tick().0 - begun < 3000 {
        file.write_all(&BODY)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / 3.0)
}

fn cameras() -> Vec<CameraId> {
    (1..=CAMERAS).filter_map(|n| format!("bench/int-{n:02}").parse().ok()).collect()
}

fn open(state: &Path) -> Result<Store> {
    let site: SiteId = "bench".parse()?;
    let identity = Identity::load(state, &site, "watchhouse.example", b"")?;
    Ok(Store::open(state, identity, Clock::system(), &cameras())?.0)
}

#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn appends(state: &Path) -> Result<f64> {
    let store = open(state)?;
    let clock = Clock::system();
    let (begin, size) = (clock.now(), store.log_size());
    let (ended, checkpoints) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = clock.tick().0;
    let slowest_ms = std::thread::scope(|threads| {
        let publisher = threads.spawn(|| -> Result<u64> {
            let mut slowest = 0;
            while !ended.load(Ordering::SeqCst) {
                let second = clock.tick().0;
                store.publish()?.context("the log is contradicted")?;
                checkpoints.fetch_add(1, Ordering::SeqCst);
                let took = clock.tick().0 - second;
                slowest = slowest.max(took);
                std::thread::sleep(std::time::Duration::from_millis(1000_u64.saturating_sub(took)));
            }
            Ok(slowest)
        });
        let appending: Vec<_> = cameras()
            .into_iter()
            .map(|camera| {
                let (store, clock) = (store.clone(), clock.clone());
                threads.spawn(move || -> Result<()> {
                    while clock.tick().0 - begun < MEASURED_MS {
                        let (from, to) = (Some(begin.plus_seconds(-1)), clock.now());
                        store.gap(&camera, from, to, GapReason::StreamStalled, "a benchmark")?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in appending {
            thread.join().map_err(|_| anyhow::anyhow!("a camera's thread panicked"))??;
        }
        ended.store(true, Ordering::SeqCst);
        publisher.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))?
    })?;
    let seconds = (clock.tick().0 - begun) as f64 / 1000.0;
    let figure = (store.log_size() - size) as f64 / seconds;
    let checkpoints = checkpoints.load(Ordering::SeqCst);
    println!(
        "log: {figure:.0} records a second over {seconds:.1} s; {checkpoints} checkpoints, the \
         slowest took {slowest_ms} ms"
    );
    ensure!(checkpoints as f64 >= seconds * 0.9, "checkpoints came late");
    store.stop()?;
    Ok(figure)
}

/// Grows the log's tree to ten million entries in the store's index.
fn fill(state: &Path) -> Result<()> {
    let options = Options::default();
    let index = state.join("index");
    let names = DB::list_cf(&options, &index)?;
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    let db = DB::open_cf_descriptors(&options, &index, families)?;
    let family = |name: &str| db.cf_handle(name).with_context(|| format!("no family {name}"));
    let (log, entries, hashes) = (family("log")?, family("entries")?, family("tree")?);
    let last =
        db.iterator_cf(&log, rocksdb::IteratorMode::End).next().context("an empty log")??;
    let begun = u64::from_be_bytes((&*last.0).try_into()?) + 1;
    let mut right = Edge::default();
    for number in tiles::edge(begun) {
        let hash = db.get_cf(&hashes, number.to_be_bytes())?.context("a hash is missing")?;
        right.0.insert(number, Digest(hash.as_slice().try_into()?));
    }
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    let mut batch = WriteBatch::default();
    for place in begun..RECORDS {
        let record = entry::record(Kind::Gap, Digest::of(&place.to_be_bytes()));
        batch.put_cf(&entries, place.to_be_bytes(), record);
        let new = tiles::append(place, tree::leaf(&record), &right)?;
        for (number, hash) in &new {
            batch.put_cf(&hashes, number.to_be_bytes(), hash.0);
        }
        right.0.extend(new);
        let edge = tiles::edge(place + 1);
        right.0.retain(|number, _| edge.contains(number));
        if place + 1 == RECORDS {
            batch.put_cf(&log, place.to_be_bytes(), BODY);
        }
        if batch.len() >= 20_000 || place + 1 == RECORDS {
            db.write_opt(std::mem::take(&mut batch), &unlogged)?;
        }
    }
    for family in [&entries, &hashes, &log] {
        db.flush_cf(family)?;
    }
    Ok(())
}

#[derive(Default)]
struct Edge(std::collections::BTreeMap<u64, Digest>);

impl tiles::Hashes for Edge {
    fn hash(&self, number: u64) -> Result<Digest, tiles::TreeError> {
        self.0.get(&number).copied().ok_or_else(|| tiles::TreeError::new("not on the edge"))
    }
}

/// Proves records spread over the log, each proof checked; gives what the slowest took.
#[expect(clippy::print_stdout, reason = "figures beside the one in the file")]
#[expect(clippy::cast_precision_loss, reason = "milliseconds")]
#[expect(clippy::disallowed_methods, reason = "a proof takes microseconds")]
fn proofs(state: &Path) -> Result<f64> {
    let store = open(state)?;
    let size = store.log_size();
    ensure!(size > RECORDS, "the log has {size} entries");
    let root = store.log_root(size)?;
    let length = usize::try_from(size)?;
    let mut took_us: Vec<u128> = Vec::new();
    // A multiplier without a pattern in the tree's halves.
    for n in 0..PROOFS {
        let place = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % RECORDS;
        let begun = std::time::Instant::now();
        let path = store.inclusion_proof(size, place)?;
        took_us.push(begun.elapsed().as_micros());
        if let Some(leaf) = synthetic_leaf(&store, place) {
            let led = tree::root_by_path(leaf, usize::try_from(place)?, length, &path);
            ensure!(led == Some(root), "the proof of {place} does not hold");
        }
    }
    took_us.sort_unstable();
    let at = |share: usize| took_us[(took_us.len() - 1) * share / 100] as f64 / 1000.0;
    println!(
        "log: {PROOFS} proofs in a log of {size}: median {:.3} ms, 99 in 100 within {:.3} ms, the \
         slowest {:.3} ms",
        at(50),
        at(99),
        at(100)
    );
    Ok(at(100))
}

/// The leaf of a record that [`fill`] made; none for those appended before.
fn synthetic_leaf(store: &Store, place: u64) -> Option<Digest> {
    let appended = store.log_read(place, 1, usize::MAX).ok()?.into_iter().next();
    let known = appended.is_some_and(|body| body != BODY);
    let record = entry::record(Kind::Gap, Digest::of(&place.to_be_bytes()));
    (!known).then(|| tree::leaf(&record))
}
