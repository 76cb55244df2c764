//! Holds the sites' connections: one QUIC connection a site, dialled by its agent; gRPC both ways
//! on its streams, one unidirectional stream for each pulled file. Knows nothing of cases.
//!
//! | file | does |
//! |---|---|
//! | `fleet/listen.rs` | accepts connections, refuses foreign and revoked certificates, logs both |
//! | `fleet/session.rs` | one site's connection: its streams, its presence |
//! | `fleet/serve.rs` | the gRPC service `Fleet`, which agents call |
//! | `fleet/call.rs` | what the controller asks of agents |
//! | `fleet/copy.rs` | gives a site its copy of a held segment back |
//! | `fleet/guest.rs` | copies of held footage at another site: sent, listed, deleted, brought back |
//! | `fleet/intake.rs` | pulled files: resumed, checked on arrival, kept in the vault |
//! | `fleet/mirror.rs` | the copy of each site's log, checked |
//! | `fleet/signers.rs` | who may sign what at a site (pure) |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use custody::dsse::Envelope;
use custody::record::Record;
use custody::sealing::Key;
use custody::{CameraId, Digest, Seq, SiteId, WallTime};
use host::{Clock, Tasks};
use link::pace::Pace;

use crate::ledger::Ledger;
use crate::limits;
use crate::pki::Authority;
use crate::vault::Vault;

mod call;
mod copy;
mod guest;
mod intake;
mod listen;
pub(crate) mod mirror;
mod serve;
mod session;
pub(crate) mod signers;

pub use guest::Guest;
pub use mirror::{MirrorError, Place};

/// What a site's agent found of a camera's chain.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whether the site records this camera at all.
    pub camera_known: bool,
    /// The links that touch the interval, in chain order, signatures checked.
    pub records: Vec<FoundRecord>,
}

/// One link.
#[derive(Debug, Clone)]
pub struct FoundRecord {
    /// The envelope, byte-exact.
    pub envelope: Envelope,
    /// What it says.
    pub record: Record,
    /// Bytes of the sealed file; 0 for gaps and erased segments.
    pub file_bytes: u64,
}

/// What a hold caught at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Segments held now.
    pub segments: u32,
    /// Whether footage of the interval is still being recorded.
    pub open: bool,
    /// Segments of the interval that had been erased.
    pub erased: u32,
}

/// How far a site has come with an erasure order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasedFootage {
    /// Holds reach the footage: nothing was erased.
    Held {
        /// Which.
        holds: Vec<String>,
    },
    /// Its hour is still being recorded: nothing was erased yet.
    Recording,
    /// It is unlinked; its hour's key is not yet changed.
    KeysRemain,
    /// It opens nowhere.
    Done {
        /// Segments erased in the interval.
        segments: u32,
    },
}

/// A segment to pull.
#[derive(Debug, Clone)]
pub struct WantedSegment {
    /// Whose footage.
    pub camera: CameraId,
    /// Which segment.
    pub seq: Seq,
    /// Bytes of its sealed file.
    pub file_bytes: u64,
    /// The fragment tree's root, from its signed record.
    pub root: Digest,
}

/// The keys of pulled segments.
#[derive(Default)]
pub struct ReleasedKeys {
    /// In the order asked.
    pub keys: Vec<Key>,
    /// The site's signed transfer records, each of at most 512 segments.
    pub transfer_records: Vec<Envelope>,
}

/// What is known of a site now.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    /// Whether its connection stands.
    pub connected: bool,
    /// Its last report.
    pub report: Option<proto::v1::SiteReport>,
    /// When that came.
    pub received: WallTime,
    /// How many records of its log are copied here.
    pub log_copied: u64,
}

/// Why a site could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// It is not connected. Try again later.
    #[error("site {site} is not connected; its agent will call back when it can")]
    Away {
        /// Which site.
        site: SiteId,
    },
    /// It answered no. Asking again will not help.
    #[error("site {site} refused: {why}")]
    Refused {
        /// Which site.
        site: SiteId,
        /// Its words.
        why: String,
    },
    /// The link broke, or what came over it did not hold. Try again.
    #[error("site {site}: {why}")]
    Broken {
        /// Which site.
        site: SiteId,
        /// What broke.
        why: String,
    },
}

/// What the fleet needs to run.
pub struct Parts {
    /// The door to state.
    pub ledger: Ledger,
    /// Issues and checks certificates.
    pub authority: Arc<Authority>,
    /// Where `mirror/` and `vault/` are.
    pub state_dir: PathBuf,
    /// What sites may ask their copies back from.
    pub copies: Vault,
    /// UDP.
    pub listen: SocketAddr,
    /// Bytes per second per site in pulls; 0: no limit.
    pub pull_bytes_per_second: u64,
    /// Time.
    pub clock: Clock,
    /// Where its tasks hang.
    pub tasks: Tasks,
}

/// The sites' connections. Clones share them.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

struct Shared {
    parts: Parts,
    mirror: mirror::Mirror,
    intake: intake::Intake,
    /// Every site seen since start; the lock is held for moments, never across an await.
    sites: Mutex<BTreeMap<SiteId, SiteState>>,
    /// Numbers pulls.
    transfers: AtomicU64,
    /// Numbers submissions of records as they come.
    arrivals: AtomicU64,
    /// How fast files go to other sites; the lock is held for moments.
    guest_pace: Mutex<Pace>,
    /// The newest kept notes of all logs, for the sites to name in their records.
    notes: RwLock<Vec<Note>>,
    /// How many refusals may still be logged.
    refusals: Mutex<listen::Budget>,
}

/// A cosigned note of a log, to be handed to sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The site whose log it is of; none: the controller's.
    pub(crate) site: Option<SiteId>,
    /// Its exact bytes.
    pub(crate) bytes: Arc<Vec<u8>>,
}

#[derive(Default)]
struct SiteState {
    presence: Presence,
    session: Option<session::Session>,
}

/// Why the fleet's door could not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The UDP port.
    #[error("cannot listen for sites on {address}/udp; is another controller running?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS.
    #[error("the server certificate does not fit its key")]
    Tls(#[source] rustls::Error),
    /// The copy of the site logs.
    #[error("the copies of the site logs cannot be opened")]
    Mirror(#[source] MirrorError),
}

impl Fleet {
    /// Opens the door to the sites. Gives also the address listened on.
    ///
    /// # Errors
    /// When the port, the certificate or the mirror cannot be used.
    pub fn open(parts: Parts) -> Result<(Self, SocketAddr), OpenError> {
        let endpoint = listen::endpoint(&parts)?;
        let address = endpoint
            .local_addr()
            .map_err(|source| OpenError::Listen { address: parts.listen, source })?;
        let (copies, forks) = (parts.state_dir.join("mirror"), parts.state_dir.join("forks"));
        let mirror = mirror::Mirror::open(&copies, &forks).map_err(OpenError::Mirror)?;
        let intake = intake::Intake::new(parts.state_dir.join("vault"));
        let tasks = parts.tasks.clone();
        let guest_pace = Pace::new(limits::COPY_BYTES_PER_SECOND, parts.clock.tick());
        let transfers = AtomicU64::new(u64::try_from(parts.clock.now().0).unwrap_or(1));
        let fleet = Self(Arc::new(Shared {
            parts,
            mirror,
            intake,
            sites: Mutex::default(),
            transfers,
            arrivals: AtomicU64::new(1),
            guest_pace: Mutex::new(guest_pace),
            notes: RwLock::default(),
            refusals: Mutex::default(),
        }));
        tasks.spawn("fleet listen", listen::run(fleet.clone(), endpoint));
        Ok((fleet, address))
    }

    /// What is known of every site seen since start.
    #[must_use]
    pub fn presence(&self) -> BTreeMap<SiteId, Presence> {
        let mut presence: BTreeMap<SiteId, Presence> = self
            .sites()
            .iter()
            .map(|(site, state)| (site.clone(), state.presence.clone()))
            .collect();
        for (site, presence) in &mut presence {
            presence.log_copied = self.0.mirror.size(site);
        }
        presence
    }

    /// The copies of the sites' logs.
    pub(crate) fn mirror(&self) -> &mirror::Mirror {
        &self.0.mirror
    }

    /// From now on sites are handed these notes of other logs.
    pub(crate) fn hand_out(&self, notes: Vec<Note>) {
        *self.0.notes.write().unwrap_or_else(PoisonError::into_inner) = notes;
    }

    fn sites(&self) -> MutexGuard<'_, BTreeMap<SiteId, SiteState>> {
        self.0.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
