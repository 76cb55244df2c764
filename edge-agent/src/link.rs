//! Talks to the controller: dials out by QUIC, enrols once, renews in time, reports, copies the
//! site log, answers questions, sends what is pulled. Lives without the controller for weeks:
//! nothing here is waited for by recording.
//!
//! | file | does |
//! |---|---|
//! | [`credentials`] | the site's TLS key and certificate, on disc |
//! | `link/dial.rs` | one connection after another, with back-off |
//! | `link/enrol.rs` | token and signing request for the first certificate; renewal |
//! | `link/session.rs` | what happens on one connection |
//! | `link/serve.rs` | the gRPC service `Agent`, which the controller calls |
//! | `link/guests.rs` | what it asks of the guest room, translated |
//! | `link/upload.rs` | pulled files, each on its own stream, paced |
//! | `link/report.rs` | what the site says of itself |
//! | `link/copies.rs` | the controller's copy of a file that is damaged here |
//! | `link/foreign.rs` | which checkpoint of another log the manifests name (pure) |

use std::path::PathBuf;
use std::sync::Arc;

use custody::SiteId;
use host::{Clock, Tasks};

use crate::config::Config;
use crate::guest::GuestRoom;
use crate::record::Recorder;
use crate::retention::{Board, Grace};
use crate::store::Store;
use crate::witness::Witness;

mod copies;
pub mod credentials;
mod dial;
mod enrol;
mod foreign;
mod guests;
mod report;
mod serve;
mod session;
mod upload;

pub use copies::Copies;
pub use dial::LinkError;

/// What the link works with. Clones share it.
#[derive(Clone)]
pub struct Parts {
    /// The site's settings.
    pub config: Arc<Config>,
    /// What is kept.
    pub store: Store,
    /// What is being recorded.
    pub recorders: Arc<Vec<Recorder>>,
    /// Told what the controller says of holds on their way.
    pub grace: Grace,
    /// What masks.
    pub mask: crate::mask::Pool,
    /// How retention stands.
    pub retention: Board,
    /// What is seen of other logs.
    pub witness: Witness,
    /// The controller as the second place of sealed files.
    pub copies: Copies,
    /// This site as the third place of other sites' files.
    pub guests: GuestRoom,
    /// Time.
    pub clock: Clock,
    /// Where its tasks hang.
    pub tasks: Tasks,
}

impl Parts {
    fn site(&self) -> &SiteId {
        &self.config.site
    }

    fn keys_folder(&self) -> PathBuf {
        self.config.state_dir.join("keys")
    }
}

/// Keeps the link up until the tasks are asked to stop.
pub fn start(parts: Parts) {
    let tasks = parts.tasks.clone();
    tasks.spawn("link", dial::run(parts));
}
