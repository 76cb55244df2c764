//! Gathers what proves a case's records and its custody record: places in the logs under cosigned
//! checkpoints, keys, policies, other logs' notes, time stamps.
//!
//! A proof that is not there is left out, and the verifier says what that costs: a bundle is never
//! held back for a witness longer than [`crate::limits::WITNESS_WAIT`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use custody::dsse::Envelope;
use custody::log::{Policy, SignedCheckpoint, proof, tiles};
use custody::record::{KeyUsage, Record};
use custody::{Digest, KeyId, SiteId};

use super::binding::Part;
use crate::bundle::AuditEntry;
use crate::bundle::proof::{ControllerProof, KeyProof, SiteProof, Stamp};
use crate::fleet::mirror::Mirror;
use crate::fleet::{Fleet, Place};
use crate::ledger::Ledger;
use crate::limits;
use crate::log::{Nodes, Publisher};
use crate::registry::{Authority, own};
use crate::witnessing::book::{Book, Kept};
use crate::witnessing::stamping::StampAuthority;
use crate::witnessing::{Estate, Witnessing};

/// Where proofs come from.
pub struct Proving {
    /// Holds the copies of the sites' logs.
    pub fleet: Fleet,
    /// The controller's own log as others see it.
    pub publisher: Arc<Publisher>,
    /// Holds cosigned notes.
    pub witnessing: Witnessing<Estate>,
    /// Stamps them, if there is one.
    pub authority: Option<StampAuthority>,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The proof of a place.
struct Proved {
    /// The tlog-proof.
    text: Vec<u8>,
    /// The kept note that it is under, if it is one.
    under: Option<Kept>,
}

impl Proving {
    /// Waits until the quorum has cosigned what the bundle will need, or for long enough, and has it
    /// stamped. Whether the quorum has.
    pub(super) async fn wait(&self, ledger: &Ledger, ready: &[Part]) -> bool {
        let until = tokio::time::Instant::now() + limits::WITNESS_WAIT;
        let mut moved = self.mirror().moved();
        // A record may have been signed while it was asked for, and its copy is seconds away.
        let mut last = loop {
            moved.borrow_and_update();
            let (last, is_whole) = self.last_places(ready);
            if is_whole {
                break last;
            }
            match tokio::time::timeout_at(until, moved.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break last,
            }
        };
        let head = ledger.read(crate::ledger::State::head);
        last.insert(self.publisher.vkey().name().to_owned(), head.saturating_sub(1));
        let mut places: Vec<_> = last.into_iter().collect();
        let is_met = self.witnessing.wait_for(&places, until).await;
        if let Some(authority) = &self.authority {
            // No bundle carries a stamp over the controller's own log.
            places.retain(|(origin, _)| origin != self.publisher.vkey().name());
            self.witnessing.stamp_places(authority, &places).await;
        }
        is_met
    }

    /// In each site's log the last place of a case's records, and whether every record has one.
    fn last_places(&self, ready: &[Part]) -> (BTreeMap<String, u64>, bool) {
        let (mut last, mut is_whole) = (BTreeMap::new(), true);
        for part in ready {
            for found in &part.footage.records {
                let site = part.footage.camera.site();
                match self.mirror().place(site, found.envelope.digest()) {
                    Ok(Some(place)) => {
                        let most = last.entry(place.origin).or_default();
                        *most = place.index.max(*most);
                    }
                    Ok(None) => is_whole = false,
                    // The mirror's own errors are told where the proofs are read.
                    Err(_) => {}
                }
            }
        }
        (last, is_whole)
    }

    fn mirror(&self) -> &Mirror {
        self.fleet.mirror()
    }

    fn book(&self) -> &Book {
        self.witnessing.book()
    }

    /// What proves the records of a site. Blocks.
    pub(super) fn of_site(
        &self,
        site: &SiteId,
        grants: Vec<Envelope>,
        ready: &[Part],
    ) -> Result<SiteProof, Failed> {
        let mut proof = SiteProof::of_grants(site.clone(), grants);
        let mut keys: BTreeSet<(String, KeyId)> = BTreeSet::new();
        let mut used: Vec<(String, Kept)> = Vec::new();
        let (mut origins, mut named) = (BTreeMap::new(), BTreeSet::new());
        for part in ready.iter().filter(|part| part.footage.camera.site() == site) {
            for found in &part.footage.records {
                if let Record::Segment(segment) = &found.record {
                    named.extend(segment.foreign_checkpoint.as_ref().map(|note| note.note_sha256));
                }
                let Some(place) = self.mirror().place(site, found.envelope.digest())? else {
                    continue;
                };
                keys.insert((place.origin.clone(), found.envelope.key_id().clone()));
                let most = origins.entry(place.origin.clone()).or_insert(place.index);
                *most = (*most).max(place.index);
                let Some(link) = found.record.link() else { continue };
                if let Some(Proved { text, under }) = self.prove(&place)? {
                    proof.links.insert((link.camera.clone(), link.seq), text);
                    used.extend(under.map(|kept| (place.origin.clone(), kept)));
                }
            }
        }
        for origin in origins.keys() {
            let of_log = self.mirror().vkeys(origin, KeyUsage::Log)?;
            keys.extend(of_log.iter().map(|vkey| (origin.clone(), vkey.key().id())));
        }
        for (origin, key) in keys {
            proof.keys.extend(self.key(&origin, &key)?);
        }
        proof.policy = self.policy(&used, origins.keys())?;
        for digest in named {
            proof.notes.extend(self.book().by_digest(digest)?);
        }
        for (origin, index) in &origins {
            proof.stamps.extend(self.stamp(origin, *index)?);
        }
        Ok(proof)
    }

    /// The proof of a place: under the earliest kept note that covers it, so that its time is tight;
    /// else under the newest that covers it, cosigned or not. None while nothing does.
    fn prove(&self, place: &Place) -> Result<Option<Proved>, Failed> {
        let Place { origin, index } = place;
        if let Some(kept) = self.book().covering(origin, *index)? {
            let path = self.mirror().inclusion(origin, kept.size, *index)?;
            let text = proof::write(*index, &path, &kept.note);
            return Ok(Some(Proved { text, under: Some(kept) }));
        }
        let Some((size, note)) = self.newest(origin, *index)? else { return Ok(None) };
        let path = self.mirror().inclusion(origin, size, *index)?;
        Ok(Some(Proved { text: proof::write(*index, &path, &note), under: None }))
    }

    /// The newest note of a site's log that covers a place: with the cosignatures that came, else
    /// as the log alone signed it.
    fn newest(&self, origin: &str, index: u64) -> Result<Option<(u64, Vec<u8>)>, Failed> {
        if let Some(note) = self.cosigned(origin, index)? {
            return Ok(Some(note));
        }
        let mirrored = self.mirror().mirrored();
        let own = mirrored.into_iter().find(|log| log.vkey.name() == origin);
        let covers = own.filter(|log| log.checkpoint.size > index);
        Ok(covers.map(|log| (log.checkpoint.size, log.note.to_vec())))
    }

    fn cosigned(&self, origin: &str, index: u64) -> Result<Option<(u64, Vec<u8>)>, Failed> {
        let Some(bytes) = self.book().newest(origin)? else { return Ok(None) };
        let size = SignedCheckpoint::read(&bytes).map(|note| note.checkpoint().size);
        Ok(size.ok().filter(|size| *size > index).map(|size| (size, bytes)))
    }

    /// A certified key, and that its certificate stands in the log.
    fn key(&self, origin: &str, key: &KeyId) -> Result<Option<KeyProof>, Failed> {
        let Some((index, _)) = self.mirror().cert(origin, key)? else { return Ok(None) };
        let record = self.mirror().record(origin, index)?;
        let place = Place { origin: origin.to_owned(), index };
        let tlog_proof = self.prove(&place)?.map(|proved| proved.text);
        Ok(Some(KeyProof { record, tlog_proof }))
    }

    /// The policy that the earliest note met, of the notes that are used: later ones were cosigned
    /// by as many or more. Without any, the present one, which says what is missing.
    fn policy<'a>(
        &self,
        used: &[(String, Kept)],
        origins: impl Iterator<Item = &'a String>,
    ) -> Result<String, Failed> {
        let standing = self.witnessing.standing();
        let mut texts = Vec::new();
        for origin in origins {
            let first = used.iter().filter(|(of, _)| of == origin).min_by_key(|(_, k)| k.size);
            let met = first.map(|(_, kept)| self.book().policy(kept.policy)).transpose()?.flatten();
            let present = || {
                let log = standing.iter().find(|log| log.origin == *origin);
                log.map(|log| log.policy.clone())
            };
            texts.extend(met.or_else(present));
        }
        // A case over two logs of a site, before and after its index was lost, has one policy of
        // both: the later log's, and the earlier log's key.
        let Some(last) = texts.pop() else { return Ok(String::new()) };
        let mut policy = Policy::read(&last)?;
        for text in &texts {
            let logs = Policy::read(text)?.logs;
            let fresh = logs.into_iter().filter(|log| !policy.logs.contains(log));
            let fresh: Vec<_> = fresh.collect();
            policy.logs.extend(fresh);
        }
        Ok(policy.to_string())
    }

    fn stamp(&self, origin: &str, index: u64) -> Result<Option<Stamp>, Failed> {
        let kept = self.book().stamp_covering(origin, index)?;
        Ok(kept.map(|kept| Stamp { size: kept.size, note: kept.note, response: kept.response }))
    }

    /// What proves the custody record. Blocks.
    pub(super) fn of_controller(
        &self,
        ledger: &Ledger,
        authority: &Authority,
        audit: &[AuditEntry],
    ) -> Result<ControllerProof, Failed> {
        let vkey = self.publisher.vkey();
        let origin = vkey.name();
        let log_key = Some(own::certify(authority, vkey, ledger.clock().now()));
        let mut proof = ControllerProof { log_key, ..ControllerProof::default() };
        let mut used = Vec::new();
        for entry in audit {
            let index = entry.position;
            let kept = self.book().covering(origin, index)?;
            let note = match &kept {
                Some(kept) => Some((kept.size, kept.note.clone())),
                None => self.newest_own(index)?,
            };
            let Some((size, note)) = note else { continue };
            let path: Vec<Digest> = tiles::inclusion(size, index, &Nodes(ledger.log()))?;
            proof.entries.insert(index, proof::write(index, &path, &note));
            used.extend(kept.map(|kept| (origin.to_owned(), kept)));
        }
        proof.policy = self.policy(&used, std::iter::once(&origin.to_owned()))?;
        Ok(proof)
    }

    fn newest_own(&self, index: u64) -> Result<Option<(u64, Vec<u8>)>, Failed> {
        if let Some(note) = self.cosigned(self.publisher.vkey().name(), index)? {
            return Ok(Some(note));
        }
        let own = self.publisher.head().filter(|(size, _)| *size > index);
        Ok(own.map(|(size, note)| (size, note.to_vec())))
    }
}
