//! A site that records on a clock we own, and its stories. The oracle runs after every step.

mod dice;
mod erasure;
mod faults;
mod histories;
mod holds;
mod log;
mod model;
mod never_forks;
mod rebuilds;
mod second;
mod stories;
mod torn;
mod worn_disc;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use custody::manifest::{Mask, Stream};
use custody::record::{Grounds, LegalBasis, MopiGroup, Record, Statement};
use custody::{CameraId, Digest, WallTime};
use host::Clock;
use tempfile::TempDir;

use super::{
    Depth, Disc, OpenFile, OpenSegment, Places, RealDisc, Recovery, Store, StoreError, Stored,
};
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

/// Starts, again if the folder is in use: a child that another test's thread has forked holds copies of
/// this process's locks until it becomes its program. It was never seen to take more than four tries.
fn once_free<T>(
    disc: Arc<dyn Disc>,
    start: impl Fn(Arc<dyn Disc>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    for _ in 0..1000 {
        match start(Arc::clone(&disc)) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            other => return other,
        }
    }
    start(disc)
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

    /// A site whose state lies in a new folder of `parent`.
    pub(crate) fn on(parent: &Path) -> Self {
        Self { folder: tempfile::tempdir_in(parent).unwrap(), ..Self::new() }
    }

    /// Starts with the site key where `root` keeps it.
    pub(crate) fn start_rooted(&self, root: Box<dyn crate::seal::Root>) -> Store {
        let site = "east".parse().unwrap();
        let identity = Identity::load(self.folder(), &site, "watchhouse.example", b"config");
        let identity = identity.unwrap_or_else(|e| panic!("{}", told(&e)));
        let places = Places { root, ..Places::of(self.folder()) };
        Store::open_with(self.folder(), identity, self.clock.clone(), &self.cameras, places)
            .unwrap_or_else(|e| panic!("{}", told(&e)))
            .0
    }

    /// Records a segment of one fragment with these bytes from now on.
    pub(crate) fn record_bytes(&self, store: &Store, camera: &CameraId, bytes: &[u8]) -> Stored {
        let mut file = self.open(store, camera).unwrap();
        let plain = Plain::fake(bytes, self.clock.now(), FRAGMENT_US);
        self.clock.advance_ms(2000);
        file.append_plain(plain).unwrap();
        file.close(self.clock.now(), 0, None).unwrap()
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
        once_free(disc, |disc| {
            let identity = Identity::load(self.folder(), &site, "watchhouse.example", config)?;
            Store::open_on(self.folder(), identity, self.clock.clone(), &self.cameras, disc)
        })
    }

    /// Starts with a second disc mounted at `second`.
    pub(crate) fn start_tiered(
        &self,
        second: &Path,
        disc: Arc<dyn Disc>,
    ) -> Result<(Store, Recovery), StoreError> {
        let site = "east".parse().unwrap();
        once_free(disc, |disc| {
            let identity = Identity::load(self.folder(), &site, "watchhouse.example", b"config")?;
            let places = Places { disc, second: Some(second), ..Places::of(self.folder()) };
            Store::open_with(self.folder(), identity, self.clock.clone(), &self.cameras, places)
        })
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

impl Store {
    /// The hours that have keys, and how many segments each still opens.
    pub(crate) fn key_hours(&self) -> Result<BTreeMap<u64, u64>, StoreError> {
        Ok(self.key_state()?.hours)
    }

    /// Destroys the key of one hour, if nothing needs it. Whether it did.
    pub(crate) fn destroy_hour(&self, hour: u64) -> Result<bool, StoreError> {
        let spent = super::Rotation { destroy: vec![hour], rekey: vec![] };
        Ok(self.rotate_keys(&spent)? == [hour])
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

/// Why holds of tests stand.
pub(crate) fn grounds() -> Grounds {
    Grounds {
        basis: LegalBasis::Cpia,
        mopi_group: MopiGroup::new(3).unwrap(),
        review_at: BEGIN.plus_seconds(6 * 365 * 86_400),
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

/// After a lost index: everything is read in.
pub(crate) fn read_in(store: &Store) {
    while store.read_in().unwrap().is_some() {}
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

/// Where the segment of a header lies under a state folder.
pub(crate) fn segment_file(
    state_dir: &Path,
    header: &custody::sealed::Header,
) -> std::path::PathBuf {
    super::path::segment(&state_dir.join("segments"), &header.camera, header.epoch, header.seq)
}
