//! The good world: two sites with a camera each, watched by four witnesses.
//!
//! ```text
//! east/ext-01   40 [k0]  41 [k1]  42 [k1]  43 gap [k1] | midnight | 44 [k2]  45 [k2]
//! west/int-02    7 [k0]   8 [k0]   9 [k0]  10 [k0]     | midnight | 11 [k1]  12 [k1]
//! ```
//! Segments of 8 seconds. The east's first identity certified k0 and was revoked after segment 40 had
//! been witnessed; its second certified k1 and, at midnight, k2.

use custody::coverage::Span;
use custody::log::{Policy, entry};
use custody::manifest::{
    Agent, Analytics, ForeignCheckpoint, Fragments, Mask, Reception, Seal, Segment, Stream,
};
use custody::record::{
    AgentStart, BundleSeal, ChainEnd, Gap, GapReason, Heartbeat, KeyCert, KeyGrant, KeyUsage,
    Record, Revoked, Statement, Transfer,
};
use custody::{
    CameraId, Clock, ClockSource, Digest, PublicKey, Seq, Signer as _, SiteId, WallTime,
};
use custody::{bundle, tree};

use super::draft::{By, Cosigner, Draft, Entry, Identity, Line, Log, secret};
use super::files::{self, Files};
use super::footage::{self, Shot};

/// 2026-11-21T23:59:28Z.
pub const START: WallTime = WallTime(1_795_305_568_000_000);
/// Microseconds of a segment.
pub const SEGMENT_S: i64 = 8;
/// The numbers that the authority's, the controller log's and the controller witness's keys are
/// grown from.
pub const AUTHORITY: u8 = 1;
/// See [`AUTHORITY`].
pub const CONTROLLER_LOG: u8 = 2;
/// See [`AUTHORITY`].
pub const CONTROLLER_WITNESS: u8 = 3;
/// The sites' witnesses.
const SITE_WITNESSES: [(&str, u8); 4] = [("east", 11), ("west", 12), ("south", 13), ("hq", 14)];

/// A segment before it is signed: its footage.
#[derive(Debug, Clone)]
pub struct Filmed {
    /// Whose.
    pub camera: CameraId,
    /// Its place.
    pub seq: u64,
    /// The pictures.
    pub shot: Shot,
}

/// One line of the custody record before it is committed to.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it says, JSON on one line.
    pub body: Vec<u8>,
    /// Its salt.
    pub salt: Digest,
    /// When.
    pub at: WallTime,
}

/// Everything before it is signed.
#[derive(Debug, Clone)]
pub struct World {
    /// The number that the authority's key is grown from.
    pub authority: u8,
    /// The east's log.
    pub east: Draft,
    /// The west's log.
    pub west: Draft,
    /// Every segment's footage.
    pub films: Vec<Filmed>,
    /// The controller's events; those of the case are in the bundle.
    pub events: Vec<Event>,
    /// Which of them are of the case.
    pub of_case: Vec<usize>,
    /// Who cosigns the controller's log.
    pub controller_cosigners: Vec<Cosigner>,
    /// The authority's statements about each site's identities.
    pub grants: Vec<KeyGrant>,
    /// What the authority says of the bundle.
    pub seal: BundleSeal,
}

/// `START` and some seconds.
#[must_use]
pub fn at(seconds: i64) -> WallTime {
    START.plus_seconds(seconds)
}

/// The camera in the east.
#[must_use]
pub fn east_camera() -> CameraId {
    "east/ext-01".parse().expect("a valid name")
}

/// The camera in the west.
#[must_use]
pub fn west_camera() -> CameraId {
    "west/int-02".parse().expect("a valid name")
}

/// The name of a site's log.
#[must_use]
pub fn origin(site: &str) -> String {
    format!("{site}.watchhouse.example/log/5f3a9c01")
}

fn site_witness(short: &'static str, seed: u8, delay_s: i64) -> Cosigner {
    Cosigner { short, name: format!("{short}.watchhouse.example/witness"), seed, delay_s }
}

/// The witnesses of a log: the sites but its own, then the controller unless it is its own.
#[must_use]
pub fn cosigners(own: &str) -> Vec<Cosigner> {
    let sites = SITE_WITNESSES.iter().zip(0..).filter(|((name, _), _)| *name != own);
    let mut all: Vec<_> = sites.map(|((name, seed), n)| site_witness(name, *seed, n)).collect();
    if own != "controller" {
        all.push(site_witness("controller", CONTROLLER_WITNESS, 1));
    }
    all
}

/// The policy of a log as the controller composes it.
#[must_use]
pub fn policy(own: &str, log: &custody::log::VerifierKey) -> Policy {
    let mut text = format!("log {log}\n");
    let witnesses = cosigners(own);
    for one in &witnesses {
        text += &format!("witness {} {}\n", one.short, one.vkey());
    }
    let sites: Vec<_> =
        witnesses.iter().map(|one| one.short).filter(|short| *short != "controller").collect();
    text += &format!("group sites 2 {}\n", sites.join(" "));
    text += if own == "controller" {
        "quorum sites\n"
    } else {
        "group enough all sites controller\nquorum enough\n"
    };
    Policy::read(&text).expect("the policy is well formed")
}

fn clock(uncertainty_us: i64) -> Clock {
    Clock {
        source: ClockSource::Disciplined,
        offset_us: 120,
        uncertainty_us,
        camera_offset_ms: Some(-40),
    }
}

fn agent() -> Agent {
    Agent {
        version: "0.2.0".into(),
        binary_sha256: Digest::of(b"edge-agent"),
        config_sha256: Digest::of(b"configuration"),
    }
}

fn segment(filmed: &Filmed, start: WallTime, foreign: &ForeignCheckpoint) -> Record {
    let disclosed = filmed.shot.disclosed();
    Record::Segment(Segment {
        camera: filmed.camera.clone(),
        seq: Seq(filmed.seq),
        prev: Digest::of(b"the link before the first in the bundle"),
        boot_id: "b7e1".into(),
        start,
        end: start.plus_seconds(SEGMENT_S),
        clock: clock(900),
        stream: Stream {
            codec: "avc1.42c00b".into(),
            width: 160,
            height: 120,
            parameters_sha256: Digest::of(b"parameters"),
            byte_exact: true,
        },
        init_sha256: Digest::of(&filmed.shot.init),
        fragments: Fragments {
            count: u32::try_from(disclosed.len()).expect("a few"),
            root: filmed.shot.root(),
            samples: disclosed.iter().map(|one| one.info.samples).sum(),
            bytes: disclosed.iter().map(|one| one.bytes).sum(),
        },
        mask: Mask::NotRequired { approved_by: "d.mensah".into() },
        reception: Reception::default(),
        seal: Seal { algorithm: "AES-256-GCM".into(), epoch: 498_696 },
        agent: agent(),
        analytics: Analytics::None,
        recovered: false,
        foreign_checkpoint: Some(foreign.clone()),
    })
}

/// A certificate. `days`: how long it is good from `from`.
fn cert(site: &SiteId, usage: KeyUsage, seed: u8, name: Option<String>, life: Span) -> Record {
    let key = secret(seed).public();
    Record::Other(Statement::KeyCert(KeyCert {
        site: site.clone(),
        usage,
        key_id: key.id(),
        public_key: key.to_hex(),
        name,
        not_before: life.from,
        not_after: life.to,
    }))
}

fn grant(site: &SiteId, key: &PublicKey, from: WallTime, revoked: Vec<Revoked>) -> KeyGrant {
    KeyGrant {
        site: site.clone(),
        key_id: key.id(),
        public_key: key.to_hex(),
        not_before: from,
        revoked,
    }
}

fn life(from_s: i64, to_s: i64) -> Span {
    Span { from: at(from_s), to: at(to_s) }
}

/// Seconds from `START` to midnight.
const MIDNIGHT_S: i64 = 32;
const DAY_S: i64 = 86_400;
const YEAR_S: i64 = 365 * DAY_S;

fn heartbeat(camera: &CameraId, next: u64, seconds: i64) -> Record {
    Record::Other(Statement::Heartbeat(Heartbeat {
        site: camera.site().clone(),
        boot_id: "b7e1".into(),
        clock: clock(1_000),
        cameras: vec![ChainEnd {
            camera: camera.clone(),
            next: Seq(next),
            state: "recording".into(),
        }],
        at: at(seconds),
    }))
}

fn agent_start(camera: &CameraId) -> Record {
    Record::Other(Statement::AgentStart(AgentStart {
        site: camera.site().clone(),
        boot_id: "b7e1".into(),
        agent: agent(),
        orderly: true,
        cameras: vec![camera.clone()],
        continues: None,
        at: at(-100),
    }))
}

fn entry_at(record: Record, by: By, seconds: i64) -> Entry {
    Entry { record, by, at: at(seconds) }
}

impl World {
    /// The good world.
    #[must_use]
    pub fn new() -> Self {
        let (events, of_case) = events();
        let mut world = Self {
            authority: AUTHORITY,
            east: empty("east", 21, vec![31, 32], vec![41, 42, 43]),
            west: empty("west", 22, vec![33], vec![44, 45]),
            films: Vec::new(),
            events,
            of_case,
            controller_cosigners: cosigners("controller"),
            grants: Vec::new(),
            seal: BundleSeal {
                case: "WH-2026-000001".parse().expect("a valid name"),
                exhibit: "WH-2026-000001/1".into(),
                cameras: vec![east_camera(), west_camera()],
                from: at(2),
                to: at(46),
                payload_manifest_sha256: Digest::NONE,
                at: at(3_600),
            },
        };
        let controller = world.controller_log();
        // The newest that each site had been handed when it signed.
        let foreign = [controller.foreign(3), controller.foreign(5)];
        world.film();
        world.east.entries = east_entries(&world, &foreign);
        world.west.entries = west_entries(&world, &foreign);
        let keys = [31, 32, 33].map(|seed| Identity::new(seed).public());
        let size = world.east.place(&east_camera(), 40) + 2;
        let revoked = vec![Revoked {
            key_id: keys[0].id(),
            at: at(9),
            origin: origin("east"),
            log_size: u64::try_from(size).expect("a short log"),
        }];
        let (east, west) = (world.east.site.clone(), world.west.site.clone());
        world.grants = vec![
            grant(&east, &keys[0], at(-YEAR_S), revoked.clone()),
            grant(&east, &keys[1], at(-200), revoked),
            grant(&west, &keys[2], at(-YEAR_S), Vec::new()),
        ];
        world
    }

    fn film(&mut self) {
        let (east, west) = (footage::east(), footage::west());
        for (number, seq) in [40, 41, 42, 44, 45].into_iter().enumerate() {
            let start = at((i64::try_from(seq).expect("small") - 40) * SEGMENT_S);
            let shot = Shot::new(&east, number, start);
            self.films.push(Filmed { camera: east_camera(), seq, shot });
        }
        for (number, seq) in (7..13).enumerate() {
            let start = at((i64::try_from(seq).expect("small") - 7) * SEGMENT_S);
            let shot = Shot::new(&west, number, start);
            self.films.push(Filmed { camera: west_camera(), seq, shot });
        }
    }

    /// A segment's footage.
    #[must_use]
    pub fn filmed(&self, camera: &CameraId, seq: u64) -> &Filmed {
        let is_it = |one: &&Filmed| one.camera == *camera && one.seq == seq;
        self.films.iter().find(is_it).expect("the world has filmed it")
    }

    /// The controller's log.
    #[must_use]
    pub fn controller_log(&self) -> Log {
        let leaf =
            |event: &Event| (tree::leaf(&entry::event(&event.salt.0, &event.body)), event.at);
        Log {
            origin: origin("controller"),
            seed: CONTROLLER_LOG,
            cosigners: self.controller_cosigners.clone(),
            leaves: self.events.iter().map(leaf).collect(),
        }
    }

    /// What the authority publishes: the key to trust.
    #[must_use]
    pub fn published_key() -> PublicKey {
        secret(AUTHORITY).public()
    }

    /// The folder that an honest controller makes of all this.
    #[must_use]
    pub fn folder(&self) -> Files {
        files::sealed(&self.payload(), &self.seal, &secret(self.authority))
    }

    /// The payload that an honest controller makes of all this.
    #[must_use]
    pub fn payload(&self) -> Files {
        super::lay::payload(self)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn empty(site: &str, log_seed: u8, identities: Vec<u8>, keys: Vec<u8>) -> Draft {
    Draft {
        site: site.parse().expect("a valid name"),
        origin: origin(site),
        log_seed,
        identities,
        keys,
        entries: Vec::new(),
        cosigners: cosigners(site),
    }
}

fn east_entries(world: &World, foreign: &[ForeignCheckpoint; 2]) -> Vec<Entry> {
    let camera = east_camera();
    let site = camera.site();
    let log = |by, seconds| {
        let cert = cert(site, KeyUsage::Log, 21, Some(origin("east")), life(-150, YEAR_S));
        entry_at(cert, By::Identity(by), seconds)
    };
    // Rotation at midnight: what a key signs ends a few seconds into the next day at the latest.
    let key = |seed, by, from_s, seconds| {
        let to_s = if from_s < MIDNIGHT_S - 1 { MIDNIGHT_S + 4 } else { from_s + DAY_S };
        let cert = cert(site, KeyUsage::Records, seed, None, life(from_s, to_s));
        entry_at(cert, By::Identity(by), seconds)
    };
    let name = cosigners("west").swap_remove(0).name;
    let witness = cert(site, KeyUsage::Witness, 11, Some(name), life(-150, YEAR_S));
    let link = |seq: u64, by: usize, foreign: &ForeignCheckpoint| {
        let began = (i64::try_from(seq).expect("small") - 40) * SEGMENT_S;
        let record = segment(world.filmed(&camera, seq), at(began), foreign);
        entry_at(record, By::Key(by), began + SEGMENT_S)
    };
    let gap = Record::Other(Statement::Gap(Gap {
        camera: camera.clone(),
        seq: Seq(43),
        prev: Digest::NONE,
        boot_id: "b7e1".into(),
        start: at(24),
        end: at(32),
        reason: GapReason::CameraUnreachable,
        detail: "no answer to OPTIONS".into(),
        clock: clock(2_000),
    }));
    let beat =
        |next, by, seconds| entry_at(heartbeat(&camera, next, seconds), By::Key(by), seconds);
    vec![
        log(0, -140),
        entry_at(witness, By::Identity(0), -140),
        key(41, 0, -120, -110),
        entry_at(agent_start(&camera), By::Key(0), -100),
        beat(40, 0, -2),
        link(40, 0, &foreign[0]),
        beat(41, 0, 8),
        log(1, 9),
        key(42, 1, 8, 9),
        link(41, 1, &foreign[0]),
        beat(42, 1, 17),
        link(42, 1, &foreign[0]),
        key(43, 1, 31, 31),
        entry_at(gap, By::Key(1), 32),
        beat(44, 2, 33),
        link(44, 2, &foreign[1]),
        link(45, 2, &foreign[1]),
        beat(46, 2, 49),
        entry_at(transfer(&camera), By::Key(2), 60),
    ]
}

fn transfer(camera: &CameraId) -> Record {
    Record::Other(Statement::Transfer(Transfer {
        case: "WH-2026-000001".parse().expect("a valid name"),
        camera: camera.clone(),
        segments: Vec::new(),
        at: at(60),
    }))
}

fn west_entries(world: &World, foreign: &[ForeignCheckpoint; 2]) -> Vec<Entry> {
    let camera = west_camera();
    let site = camera.site();
    let key = |seed, from_s, seconds| {
        let to_s = if from_s < MIDNIGHT_S - 1 { MIDNIGHT_S + 4 } else { from_s + DAY_S };
        let cert = cert(site, KeyUsage::Records, seed, None, life(from_s, to_s));
        entry_at(cert, By::Identity(0), seconds)
    };
    let log = cert(site, KeyUsage::Log, 22, Some(origin("west")), life(-400, YEAR_S));
    let link = |seq: u64, by: usize, foreign: &ForeignCheckpoint| {
        let began = (i64::try_from(seq).expect("small") - 7) * SEGMENT_S;
        let record = segment(world.filmed(&camera, seq), at(began), foreign);
        entry_at(record, By::Key(by), began + SEGMENT_S)
    };
    vec![
        entry_at(log, By::Identity(0), -400),
        key(44, -300, -300),
        entry_at(agent_start(&camera), By::Key(0), -100),
        link(7, 0, &foreign[0]),
        link(8, 0, &foreign[0]),
        link(9, 0, &foreign[0]),
        key(45, 31, 31),
        link(10, 0, &foreign[0]),
        link(11, 1, &foreign[1]),
        link(12, 1, &foreign[1]),
        entry_at(transfer(&camera), By::Key(1), 61),
    ]
}

/// Sixteen events of the controller, of which six are of the case.
fn events() -> (Vec<Event>, Vec<usize>) {
    let of_case = vec![6, 8, 9, 11, 12, 14];
    let doings = ["asked", "approved", "held", "pulled", "released", "opened"];
    let event = |number: usize| {
        let before = of_case.iter().position(|place| *place == number);
        let what = before.map_or("other", |place| doings[place]);
        let seconds = if number < 4 { -60 } else { i64::try_from(number).expect("small") * 5 + 12 };
        let seconds = if number == 4 { 28 } else { seconds };
        let body = format!(
            "{{\"position\":{number},\"at\":\"{}\",\"actor\":\"t.okafor\",\"event\":\"{what}\"}}",
            at(seconds)
        );
        Event {
            salt: Digest::of(format!("salt {number}").as_bytes()),
            body: body.into_bytes(),
            at: at(seconds),
        }
    };
    ((0..16).map(event).collect(), of_case)
}

/// A line of a log, found by its camera and number.
#[must_use]
pub fn link_of(lines: &[Line], camera: &CameraId, seq: u64) -> usize {
    let is_it = |line: &Line| {
        line.record.link().is_some_and(|link| link.camera == camera && link.seq == Seq(seq))
    };
    lines.iter().position(is_it).expect("the link is there")
}

/// Where a link's proof lies.
#[must_use]
pub fn proof_path(camera: &CameraId, seq: u64) -> String {
    bundle::link_proof(camera, Seq(seq))
}
