//! A site that records on a clock we own, and its stories. The oracle runs after every step.

mod faults;
mod log;
mod never_forks;
mod second;
mod stories;
mod torn;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use custody::manifest::{Mask, Stream};
use custody::record::{Record, Statement};
use custody::{CameraId, Digest, WallTime};
use host::Clock;
use tempfile::TempDir;

use super::{Depth, Disc, OpenFile, OpenSegment, RealDisc, Recovery, Store, StoreError, Stored};
use crate::seal::{Identity, Plain};

/// 2026-11-22T14:10:00Z.
pub(crate) const BEGIN: WallTime = WallTime(1_795_356_600_000_000);
/// What one fake fragment lasts.
pub(crate) const FRAGMENT_US: i64 = 2_000_000;

/// One site's state folder and clock; outlives the runs of its agent.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) cameras: Vec<CameraId>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            // Hundreds of starts: on a RAM disc where there is one.
            folder: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap(),
            clock: Clock::simulated(BEGIN),
            cameras: ["east/ext-01", "east/ext-02"].map(|c| c.parse().unwrap()).into(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the agent's store on the machine's disc.
    pub(crate) fn start(&self) -> (Store, Recovery) {
        self.start_on(Arc::new(RealDisc)).unwrap_or_else(|e| panic!("{}", told(&e)))
    }

    pub(crate) fn start_on(&self, disc: Arc<dyn Disc>) -> Result<(Store, Recovery), StoreError> {
        self.start_with(b"config", disc)
    }

    pub(crate) fn start_with(
        &self,
        config: &[u8],
        disc: Arc<dyn Disc>,
    ) -> Result<(Store, Recovery), StoreError> {
        let site = "east".parse().unwrap();
        let identity = Identity::load(self.folder(), &site, "watchhouse.example", config)?;
        Store::open_on(self.folder(), identity, self.clock.clone(), &self.cameras, disc)
    }

    /// Starts with a second disc mounted at `second`.
    pub(crate) fn start_tiered(
        &self,
        second: &Path,
        disc: Arc<dyn Disc>,
    ) -> Result<(Store, Recovery), StoreError> {
        let site = "east".parse().unwrap();
        let identity = Identity::load(self.folder(), &site, "watchhouse.example", b"config")?;
        let (clock, discs) = (self.clock.clone(), (disc, Some(second)));
        Store::open_tiered(self.folder(), identity, clock, &self.cameras, discs)
    }

    pub(crate) fn ext_01(&self) -> &CameraId {
        &self.cameras[0]
    }

    pub(crate) fn ext_02(&self) -> &CameraId {
        &self.cameras[1]
    }

    /// Opens a segment that begins now.
    pub(crate) fn open(&self, store: &Store, camera: &CameraId) -> Result<OpenFile, StoreError> {
        store.open_segment(camera, ask(self.clock.now(), None))
    }

    /// Appends a fragment and lets its time pass.
    pub(crate) fn append(&self, file: &mut OpenFile) -> Result<(), StoreError> {
        let bytes = format!("moof mdat {} {}", file.seq(), file.end()).into_bytes();
        let plain = Plain::fake(&bytes, self.clock.now(), FRAGMENT_US);
        self.clock.advance_ms(2000);
        file.append_plain(plain)
    }

    /// Records a segment of so many fragments from now on.
    pub(crate) fn record(
        &self,
        store: &Store,
        camera: &CameraId,
        fragments: usize,
    ) -> Result<Stored, StoreError> {
        let mut file = self.open(store, camera)?;
        for _ in 0..fragments {
            self.append(&mut file)?;
        }
        file.close(self.clock.now(), 0, Some(-40))
    }
}

pub(crate) fn ask(start: WallTime, discontinuity: Option<&str>) -> OpenSegment {
    OpenSegment {
        start,
        stream: Stream {
            codec: "avc1.64001f".into(),
            width: 1280,
            height: 720,
            parameters_sha256: Digest::of(b"avcC"),
            byte_exact: true,
        },
        mask: Mask::NotRequired { approved_by: "d.mensah".into() },
        init: Bytes::from_static(b"ftyp moov"),
        discontinuity: discontinuity.map(str::to_owned),
    }
}

/// An error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", told(source)),
        None => error.to_string(),
    }
}

/// The store is sound, byte for byte.
#[track_caller]
pub(crate) fn sound(store: &Store) {
    let checked = store.check(Depth::Bytes).unwrap();
    assert_eq!(checked.findings, []);
    assert_eq!(checked.entries, store.log_size());
}

/// The site log, read.
pub(crate) fn records(store: &Store) -> Vec<Record> {
    let envelopes = store.log_read(0, usize::MAX, usize::MAX).unwrap();
    let read = |bytes: &Vec<u8>| {
        let envelope = custody::dsse::Envelope::read(bytes).unwrap();
        Record::danger_read_unchecked(&envelope).unwrap()
    };
    envelopes.iter().map(read).collect()
}

/// The kinds of a camera's links, first to last, gaps by their reasons.
pub(crate) fn chain(store: &Store, camera: &CameraId) -> Vec<&'static str> {
    let of = |record: Record| match record {
        Record::Segment(s) if s.camera == *camera => {
            Some(if s.recovered { "recovered" } else { "segment" })
        }
        Record::Other(Statement::Gap(g)) if g.camera == *camera => Some(g.reason.as_str()),
        _ => None,
    };
    records(store).into_iter().filter_map(of).collect()
}
