//! The folds of the log, in memory. Dropping them loses nothing: the log gives them back.

use std::collections::BTreeMap;

use super::command::Command;
use crate::access::Object;
use crate::erasure::Erasures;
use crate::evidence::Evidence;
use crate::log::{Stored, Stream};
use crate::registry::Registry;

/// All that the log says is so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Sites, cameras, accounts.
    pub registry: Registry,
    /// Cases and holds.
    pub evidence: Evidence,
    /// Erasure orders.
    pub erasures: Erasures,
    versions: BTreeMap<Stream, u64>,
    head: u64,
}

impl State {
    /// Takes one entry in.
    pub fn apply(&mut self, stored: &Stored) {
        self.registry.apply(stored);
        self.evidence.apply(stored);
        self.erasures.apply(stored);
        self.versions.insert(stored.stream.clone(), stored.version + 1);
        self.head = stored.position + 1;
    }

    /// The position that comes next.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// How many entries a stream has.
    #[must_use]
    pub fn version(&self, stream: &Stream) -> u64 {
        self.versions.get(stream).copied().unwrap_or(0)
    }

    /// What a command is about, with what is known of it.
    pub fn with_object<T>(&self, command: &Command, look: impl FnOnce(Object<'_>) -> T) -> T {
        look(match command {
            Command::ApproveCase { case, .. }
            | Command::RefuseCase { case, .. }
            | Command::FetchBundle { case }
            | Command::StepCase { case, .. } => {
                let entry = self.evidence.cases.get(case);
                Object::Case(case, entry.map(|entry| &entry.requested_by))
            }
            Command::ReleaseHold { hold, .. } | Command::StepHold { hold, .. } => {
                Object::Hold(hold)
            }
            Command::ApproveErasure { order, .. }
            | Command::RefuseErasure { order, .. }
            | Command::StepErasure { order, .. } => Object::Order(order),
            Command::AddPerson { person, .. } | Command::SuspendPerson { person, .. } => {
                Object::Person(person)
            }
            Command::CreateEnrolmentToken { site, .. }
            | Command::RevokeSite { site, .. }
            | Command::RenewSite { site, .. }
            | Command::SiteConnected { site, .. }
            | Command::SiteDisconnected { site, .. }
            | Command::AnnounceCameras { site, .. }
            | Command::RevokeKey { site, .. }
            | Command::BeginLog { site, .. }
            | Command::EnrolSite { site, .. } => Object::Site(site),
            Command::ContradictLog(found) => Object::Site(&found.site),
            Command::RequestEvidence(_)
            | Command::PlaceHold(_)
            | Command::OrderErasure(_)
            | Command::ReadAudit(_)
            | Command::StampLogs(_)
            | Command::RefuseConnection { .. }
            | Command::KeepRefusal(..) => Object::Estate,
        })
    }
}
