//! Writes 31 days into the index of a store that is not open: the rows that recording would have
//! written, by the layouts in `edge_agent::store`'s `key` room, minute by minute over all cameras.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody::log::{entry, tiles};
use custody::manifest::{
    Agent, Analytics, Fragments, Mask, PREDICATE_TYPE, Reception, Seal, Segment,
};
use custody::record::{ChainEnd, Heartbeat, IN_TOTO, Kind, RECORD, Statement};
use custody::{CameraId, ClockSource, Digest, Seq, SiteId, WallTime, tree};
use edge_agent::store;
use rocksdb::{BoundColumnFamily, DB, WriteBatch, WriteOptions};

use super::cameras;
use crate::bench::still::Still;

/// A minute at 4 Mb/s.
pub(super) const FILE_BYTES: u64 = 30_000_000;

/// What was written.
pub(super) struct Filled {
    /// Entries in the log.
    pub(super) entries: u64,
    /// A record of a segment, as an answer holds it.
    pub(super) body: Vec<u8>,
    /// Bytes by family, in words.
    pub(super) families: String,
}

/// The right edge of the log's tree.
#[derive(Default)]
struct Edge(std::collections::BTreeMap<u64, Digest>);

impl tiles::Hashes for Edge {
    fn hash(&self, number: u64) -> Result<Digest, tiles::TreeError> {
        self.0.get(&number).copied().ok_or_else(|| tiles::TreeError::new("not on the edge"))
    }
}

struct Families<'a> {
    links: Arc<BoundColumnFamily<'a>>,
    moments: Arc<BoundColumnFamily<'a>>,
    expiry: Arc<BoundColumnFamily<'a>>,
    log: Arc<BoundColumnFamily<'a>>,
    entries: Arc<BoundColumnFamily<'a>>,
    tree: Arc<BoundColumnFamily<'a>>,
    heads: Arc<BoundColumnFamily<'a>>,
    tallies: Arc<BoundColumnFamily<'a>>,
}

struct Filling<'a> {
    to: Families<'a>,
    edge: Edge,
    place: u64,
    batch: WriteBatch,
}

/// One camera's chain as it grows.
struct Chain {
    camera: CameraId,
    name: Vec<u8>,
    prev: Digest,
    stream: custody::manifest::Stream,
    tallied: u64,
}

/// Fills the index under `state` with the minutes from `begin` on, and lets compaction settle.
pub(super) fn fill(state: &Path, begin: WallTime, minutes: u64) -> Result<Filled> {
    let (mut options, families) = store::layout();
    // Ten gigabytes at once; a recorder writes that in a month.
    options.set_ratelimiter(4 << 30, 100_000, 10);
    let names: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
    let db = DB::open_cf_descriptors(&options, state.join("index"), families)?;
    let family = |name: &str| db.cf_handle(name).with_context(|| format!("no family {name}"));
    let to = Families {
        links: family("links")?,
        moments: family("moments")?,
        expiry: family("expiry")?,
        log: family("log")?,
        entries: family("entries")?,
        tree: family("tree")?,
        heads: family("heads")?,
        tallies: family("tallies")?,
    };
    let last = db.iterator_cf(&to.log, rocksdb::IteratorMode::End).next().context("no log")??;
    let place = u64::from_be_bytes((&*last.0).try_into()?) + 1;
    let mut edge = Edge::default();
    for number in tiles::edge(place) {
        let hash = db.get_cf(&to.tree, number.to_be_bytes())?.context("a hash is missing")?;
        edge.0.insert(number, Digest(hash.as_slice().try_into()?));
    }
    let mut filling = Filling { to, edge, place, batch: WriteBatch::default() };
    let mut chains: Vec<Chain> = cameras().into_iter().map(Chain::new).collect::<Result<_>>()?;
    let site: SiteId = "bench".parse()?;
    let mut body = Vec::new();
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    for minute in 0..minutes {
        for chain in &mut chains {
            body = filling.segment(chain, begin, minute)?;
        }
        filling.heartbeat(&site, &chains, begin, minute)?;
        if filling.batch.len() > 5000 || minute + 1 == minutes {
            db.write_opt(std::mem::take(&mut filling.batch), &unlogged)?;
        }
    }
    let mut sizes = Vec::new();
    for name in &names {
        let handle = family(name)?;
        db.flush_cf(&handle)?;
        db.compact_range_cf(&handle, None::<&[u8]>, None::<&[u8]>);
        let bytes = db.property_int_value_cf(&handle, "rocksdb.total-sst-files-size")?;
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 1 << 20) {
            sizes.push(format!("{name} {} MB", bytes >> 20));
        }
    }
    Ok(Filled { entries: filling.place, body, families: sizes.join(", ") })
}

impl Chain {
    fn new(camera: CameraId) -> Result<Self> {
        let stream = Still::new(camera.clone(), 60, 100)?.stream();
        let name = [camera.name().as_bytes(), &[0]].concat();
        Ok(Self { camera, name, prev: Digest::NONE, stream, tallied: 0 })
    }
}

/// A time as a key holds it.
fn sortable(time: WallTime) -> [u8; 8] {
    let mut bytes = time.0.to_be_bytes();
    bytes[0] ^= 0x80;
    bytes
}

/// An envelope with a signature that is random bytes: as long, and compresses as little.
fn envelope(payload_type: &str, payload: &[u8], about: &Digest) -> Vec<u8> {
    let signature = [Digest::of(&about.0).0, Digest::of_parts(&[&about.0, b"2"]).0].concat();
    format!(
        r#"{{"payloadType":"{payload_type}","payload":"{}","signatures":[{{"keyid":"{}","sig":"{}"}}]}}"#,
        BASE64.encode(payload),
        Digest::of(b"a day's key").to_string().split_at(16).0,
        BASE64.encode(signature),
    )
    .into_bytes()
}

fn clock() -> custody::Clock {
    let source = ClockSource::Disciplined;
    custody::Clock { source, offset_us: 118, uncertainty_us: 4210, camera_offset_ms: Some(-40) }
}

impl Filling<'_> {
    /// Appends a record; gives its place.
    fn log(&mut self, kind: Kind, envelope: &[u8]) -> Result<(u64, Digest)> {
        let (place, digest) = (self.place, Digest::of(envelope));
        let record = entry::record(kind, digest);
        self.batch.put_cf(&self.to.log, place.to_be_bytes(), store::pack(envelope));
        self.batch.put_cf(&self.to.entries, place.to_be_bytes(), record);
        let new = tiles::append(place, tree::leaf(&record), &self.edge)?;
        for (number, hash) in &new {
            self.batch.put_cf(&self.to.tree, number.to_be_bytes(), hash.0);
        }
        self.edge.0.extend(new);
        let edge = tiles::edge(place + 1);
        self.edge.0.retain(|number, _| edge.contains(number));
        self.place += 1;
        Ok((place, digest))
    }

    /// One camera's minute; gives its record.
    fn segment(&mut self, chain: &mut Chain, begin: WallTime, minute: u64) -> Result<Vec<u8>> {
        let start = begin.plus_seconds(i64::try_from(minute * 60)?);
        let end = start.plus_seconds(60);
        let root = Digest::of_parts(&[&chain.prev.0, b"root"]);
        let epoch = u64::try_from(start.0 / 3_600_000_000)?;
        let segment = Segment {
            camera: chain.camera.clone(),
            seq: Seq(minute),
            prev: chain.prev,
            boot_id: "5f0c7a4be1d24f6f9e34c5a1b2d3e4f5".to_owned(),
            start,
            end,
            clock: clock(),
            stream: chain.stream.clone(),
            init_sha256: Digest::of(b"init"),
            fragments: Fragments {
                count: 30,
                root,
                samples: 1500,
                bytes: FILE_BYTES - minute % 997,
            },
            mask: Mask::NotRequired { approved_by: "d.mensah".to_owned() },
            reception: Reception { lost_packets: minute % 3, discontinuity: None },
            seal: Seal { algorithm: "AES-256-GCM".to_owned(), epoch },
            agent: Agent {
                version: "0.1.0".to_owned(),
                binary_sha256: Digest::of(b"binary"),
                config_sha256: Digest::of(b"config"),
            },
            analytics: Analytics::None,
            recovered: false,
            foreign_checkpoint: Some(custody::manifest::ForeignCheckpoint {
                origin: "controller.watchhouse.example/log/1".to_owned(),
                size: minute * 40,
                root: Digest::of(&minute.to_be_bytes()),
                note_sha256: Digest::of_parts(&[b"note", &minute.to_be_bytes()]),
            }),
        };
        let statement = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": format!("{}/{}", chain.camera, minute), "digest": { "sha256": root } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": segment,
        });
        let body = envelope(IN_TOTO, &serde_json::to_vec(&statement)?, &root);
        let (place, digest) = self.log(Kind::Segment, &body)?;
        let (bytes, seq) = (FILE_BYTES.to_be_bytes(), minute.to_be_bytes());
        let file = [&bytes[..], &root.0, &epoch.to_be_bytes()].concat();
        let link =
            [&[1, 1][..], &sortable(start), &sortable(end), &place.to_be_bytes(), &digest.0, &file]
                .concat();
        self.batch.put_cf(&self.to.links, [&chain.name[..], &seq].concat(), link);
        let moment = [&chain.name[..], b"S", &sortable(start), &seq].concat();
        self.batch.put_cf(&self.to.moments, moment, []);
        let expiry = [&sortable(end)[..], &chain.name, &seq].concat();
        let due = [&[1][..], &sortable(start), &file].concat();
        self.batch.put_cf(&self.to.expiry, expiry, due);
        let head = [&[1][..], &seq, &digest.0, &sortable(end)].concat();
        self.batch.put_cf(&self.to.heads, &chain.name, head);
        let first_of_hour = chain.tallied != epoch;
        chain.tallied = epoch;
        let so_far = if first_of_hour { 1 } else { u64::try_from(start.0 / 60_000_000 % 60)? + 1 };
        let counted = so_far.min(minute + 1);
        let tally =
            [&[1][..], &counted.to_be_bytes(), &(counted * FILE_BYTES).to_be_bytes()].concat();
        let hour = [&chain.name[..], &epoch.to_be_bytes()].concat();
        self.batch.put_cf(&self.to.tallies, hour, tally);
        chain.prev = digest;
        Ok(body)
    }

    fn heartbeat(
        &mut self,
        site: &SiteId,
        chains: &[Chain],
        begin: WallTime,
        minute: u64,
    ) -> Result<()> {
        let at = begin.plus_seconds(i64::try_from(minute * 60 + 60)?);
        let state = || "recording".to_owned();
        let end = |chain: &Chain| {
            let (camera, next) = (chain.camera.clone(), Seq(minute + 1));
            ChainEnd { camera, next, state: state() }
        };
        let heartbeat = Statement::Heartbeat(Heartbeat {
            site: site.clone(),
            boot_id: "5f0c7a4be1d24f6f9e34c5a1b2d3e4f5".to_owned(),
            clock: clock(),
            cameras: chains.iter().map(end).collect(),
            at,
        });
        let about = Digest::of(&minute.to_be_bytes());
        let body = envelope(RECORD, &serde_json::to_vec(&heartbeat)?, &about);
        self.log(Kind::Heartbeat, &body)?;
        Ok(())
    }
}
