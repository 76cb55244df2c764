//! Where the logs and the witnesses at the sites are: the fleet and the event log, named so that the
//! rounds can be tested against sites that are away, refuse or lie.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use custody::log::VerifierKey;
use custody::log::tiles;
use custody::record::KeyUsage;
use custody::{Digest, SiteId};
use tokio::sync::watch;

use super::quorum::Voice;
use crate::fleet::{Fleet, Note};
use crate::ledger::Ledger;
use crate::log::{Nodes, Publisher};

/// A log and its newest checkpoint, signed by the log alone.
#[derive(Debug, Clone)]
pub struct LogHead {
    /// Whose; none: the controller's own.
    pub site: Option<SiteId>,
    /// Its name and key.
    pub vkey: VerifierKey,
    /// Entries under the checkpoint.
    pub size: u64,
    /// The checkpoint.
    pub note: Arc<Vec<u8>>,
}

/// A site as a witness.
#[derive(Debug, Clone)]
pub struct SiteWitness {
    /// Which.
    pub site: SiteId,
    /// Its witness's keys, newest first.
    pub voice: Voice,
    /// Whether it can be asked now.
    pub connected: bool,
}

/// The logs and the sites.
pub trait Field: Send + Sync + 'static {
    /// Every log of which a checkpoint is known.
    fn logs(&self) -> Vec<LogHead>;

    /// Every site that has a witness.
    fn witnesses(&self) -> Vec<SiteWitness>;

    /// That a log's tree at `size` continues the one at `old`. Blocks.
    ///
    /// # Errors
    /// When the tree cannot be read.
    fn consistency(
        &self,
        log: &LogHead,
        old: u64,
        size: u64,
    ) -> Result<Vec<Digest>, tiles::TreeError>;

    /// Brings the body of an `add-checkpoint` to a site's witness.
    fn ask(
        &self,
        site: &SiteId,
        log: &VerifierKey,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<(u16, Vec<u8>), String>> + Send;

    /// From now on the sites are handed these notes of each other's logs and the controller's.
    fn hand_out(&self, notes: Vec<(Option<SiteId>, Vec<u8>)>);

    /// Signals whenever a log may have a new checkpoint.
    fn moved(&self) -> (watch::Receiver<u64>, watch::Receiver<crate::log::publish::Standing>);
}

/// The fleet and the event log.
pub struct Estate {
    /// The sites.
    pub fleet: Fleet,
    /// The event log's door.
    pub ledger: Ledger,
    /// The event log as others see it.
    pub publisher: Arc<Publisher>,
}

impl Field for Estate {
    fn logs(&self) -> Vec<LogHead> {
        let mirrored = self.fleet.mirror().mirrored().into_iter().map(|log| LogHead {
            site: Some(log.site),
            vkey: log.vkey,
            size: log.checkpoint.size,
            note: log.note,
        });
        let own = self.publisher.head().map(|(size, note)| LogHead {
            site: None,
            vkey: self.publisher.vkey().clone(),
            size,
            note,
        });
        own.into_iter().chain(mirrored).collect()
    }

    fn witnesses(&self) -> Vec<SiteWitness> {
        let connected: BTreeSet<SiteId> = self
            .fleet
            .presence()
            .into_iter()
            .filter(|(_, presence)| presence.connected)
            .map(|(site, _)| site)
            .collect();
        let mirror = self.fleet.mirror();
        let witness = |log: crate::fleet::mirror::Mirrored| {
            // A damaged copy is told where it is written; here it is a site without a witness.
            let keys = mirror.vkeys(log.vkey.name(), KeyUsage::Witness).unwrap_or_default();
            let voice = Voice { word: format!("site-{}", log.site), keys };
            let connected = connected.contains(&log.site);
            (!voice.keys.is_empty()).then_some(SiteWitness { site: log.site, voice, connected })
        };
        mirror.mirrored().into_iter().filter_map(witness).collect()
    }

    fn consistency(
        &self,
        log: &LogHead,
        old: u64,
        size: u64,
    ) -> Result<Vec<Digest>, tiles::TreeError> {
        match &log.site {
            Some(_) => tiles::consistency(size, old, &self.fleet.mirror().nodes(log.vkey.name())),
            None => tiles::consistency(size, old, &Nodes(self.ledger.log())),
        }
    }

    async fn ask(
        &self,
        site: &SiteId,
        log: &VerifierKey,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let asked = self.fleet.witness(site, log.to_string(), body).await;
        let (status, body) = asked.map_err(|error| error.to_string())?;
        Ok((u16::try_from(status).unwrap_or(500), body))
    }

    fn hand_out(&self, notes: Vec<(Option<SiteId>, Vec<u8>)>) {
        let note = |(site, bytes)| Note { site, bytes: Arc::new(bytes) };
        self.fleet.hand_out(notes.into_iter().map(note).collect());
    }

    fn moved(&self) -> (watch::Receiver<u64>, watch::Receiver<crate::log::publish::Standing>) {
        (self.fleet.mirror().moved(), self.publisher.standing())
    }
}
