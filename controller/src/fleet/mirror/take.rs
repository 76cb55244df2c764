//! Takes a batch of a site's log in: whole or not at all.
//!
//! 1. the log it is of: by the name in its checkpoint, or in the certificate of its log key, else
//!    the site's present one;
//! 2. records that are here already must be the same, byte for byte;
//! 3. each new one must be signed by a key whose certificate stands before it in the log;
//! 4. the checkpoint must have the root of the tree over them;
//! 5. one synced write.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::log::tiles::{self, Hashes, TreeError};
use custody::log::{SignedCheckpoint, VerifierKey, entry};
use custody::record::{KeyUsage, Record, Statement};
use custody::{Digest, KeyId, SiteId, tree};
use rocksdb::{WriteBatch, WriteOptions};

use super::{Agreed, Log, Mirror, MirrorError, contradiction, row};
use crate::fleet::signers::{Cert, Identity};
use crate::limits;
use crate::log::event::logs::{Contradiction, ContradictionKind};

/// A batch as it came.
pub(crate) struct Submission<'a> {
    /// From this site.
    pub(crate) site: &'a SiteId,
    /// What the authority knows of its keys.
    pub(crate) identity: &'a Identity,
    /// The place of the first record.
    pub(crate) first: u64,
    /// Envelopes.
    pub(crate) records: &'a [Vec<u8>],
    /// The log's newest checkpoint; empty: none yet.
    pub(crate) checkpoint: &'a [u8],
    /// Counts submissions as they come, so that one that was overtaken is known.
    pub(crate) arrival: u64,
}

/// What was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The index wanted next.
    pub(crate) next: u64,
    /// The log and the key that signed its checkpoint, once both are known.
    pub(crate) log: Option<VerifierKey>,
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// It contradicts what the site has sent and signed before.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The copy cannot be read or written.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
}

impl From<rocksdb::Error> for Refused {
    fn from(error: rocksdb::Error) -> Self {
        Self::Mirror(error.into())
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Malformed(why.into()))
}

impl Mirror {
    /// Takes a batch in. Blocks for one synced write.
    pub(crate) fn take(&self, batch: &Submission<'_>) -> Result<Taken, Refused> {
        let logs = self.logs(batch.site);
        let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
        let note = match batch.checkpoint {
            [] => None,
            bytes => Some(
                SignedCheckpoint::read(bytes)
                    .map_err(|refusal| Refused::Malformed(refusal.to_string()))?,
            ),
        };
        let named = match &note {
            Some(note) => Some(note.checkpoint().origin.clone()),
            None => named_log(batch).or_else(|| logs.last().map(|log| log.origin.clone())),
        };
        let Some(origin) = named else {
            if batch.records.is_empty() {
                return Ok(Taken { next: 0, log: None });
            }
            return malformed("a log begins with the certificates of its keys, or its checkpoint");
        };
        check_origin(batch.site, &origin)?;
        let number = logs.iter().position(|log| log.origin == origin);
        let is_present = number.is_none_or(|number| number + 1 == logs.len());
        if !is_present {
            return malformed(format!("{origin} is over: a later log of the site has begun"));
        }
        let number = match number {
            Some(number) => number,
            None => self.begin(batch.site, &origin, &mut logs)?,
        };
        let log = &mut logs[number];
        if batch.arrival < log.arrival {
            return Ok(Taken { next: log.size, log: None });
        }
        log.arrival = batch.arrival;
        self.take_into(log, batch, note.as_ref())
    }

    /// Notes a log that was not known.
    fn begin(&self, site: &SiteId, origin: &str, logs: &mut Vec<Log>) -> Result<usize, Refused> {
        let number = logs.len();
        if number >= limits::LOGS_A_SITE {
            return malformed(format!(
                "site {site} has begun {number} logs; enrol it again under another name"
            ));
        }
        let key = row::log(site, u32::try_from(number).unwrap_or(u32::MAX));
        self.rows.put_opt(key, origin, &synced())?;
        logs.push(Log { origin: origin.to_owned(), size: 0, agreed: None, arrival: 0 });
        Ok(number)
    }

    fn take_into(
        &self,
        log: &mut Log,
        batch: &Submission<'_>,
        note: Option<&SignedCheckpoint>,
    ) -> Result<Taken, Refused> {
        let count = batch.records.len() as u64;
        let Some(known) = link::catch_up::skip(log.size, batch.first, count) else {
            return Ok(Taken { next: log.size, log: None });
        };
        let (again, new) = batch.records.split_at(usize::try_from(known).unwrap_or(0));
        for (index, bytes) in (batch.first..).zip(again) {
            self.is_same(log, batch.site, index, bytes)?;
        }
        let mut fresh = Fresh::new(self, log);
        for bytes in new {
            fresh.add(batch, bytes)?;
        }
        let size = log.size + new.len() as u64;
        let agreed = match note {
            Some(note) => self.agree(log, batch.site, note, &fresh, size)?.map(|vkey| (vkey, note)),
            None => None,
        };
        let Fresh { mut rows, .. } = fresh;
        if let Some((_, note)) = &agreed {
            rows.put(row::checkpoint(&log.origin), note.bytes());
        }
        if !rows.is_empty() {
            self.rows.write_opt(rows, &synced())?;
        }
        log.size = size;
        if let Some((vkey, note)) = agreed {
            let checkpoint = note.checkpoint().clone();
            let note = Arc::new(note.bytes().to_vec());
            log.agreed = Some(Agreed { vkey, checkpoint, note });
            self.moved.send_modify(|moved| *moved += 1);
        }
        Ok(Taken { next: size, log: log.agreed.as_ref().map(|agreed| agreed.vkey.clone()) })
    }

    /// A record that is here already must be the same.
    fn is_same(&self, log: &Log, site: &SiteId, index: u64, bytes: &[u8]) -> Result<(), Refused> {
        let have = self.rows.get(row::body(&log.origin, index))?.unwrap_or_default();
        if have == bytes {
            return Ok(());
        }
        Err(self.contradicted(
            Contradiction {
                site: site.clone(),
                origin: log.origin.clone(),
                kind: ContradictionKind::RecordChanged,
                size: index,
                detail: format!("record {index} came again and is another"),
                proof: String::new(),
            },
            &[("first.dsse.json", &have), ("later.dsse.json", bytes)],
        ))
    }

    /// Compares the checkpoint with the tree. Gives the key that signed it, if it is a new one that
    /// agrees; none while it cannot be checked yet.
    fn agree(
        &self,
        log: &Log,
        site: &SiteId,
        note: &SignedCheckpoint,
        fresh: &Fresh<'_>,
        size: u64,
    ) -> Result<Option<VerifierKey>, Refused> {
        let checkpoint = note.checkpoint();
        let mut keys = self.vkeys(&log.origin, KeyUsage::Log)?;
        keys.extend(fresh.log_keys());
        let Some(vkey) = keys.into_iter().find(|vkey| note.check(vkey).is_ok()) else {
            if checkpoint.size <= size {
                return malformed(format!("the checkpoint of {} is not signed by it", log.origin));
            }
            // Its key's certificate is on its way.
            return Ok(None);
        };
        let contradicted = |kind, detail: String| {
            let before = log.agreed.as_ref().map(|agreed| &agreed.note[..]).unwrap_or_default();
            let contradiction = Contradiction {
                site: site.clone(),
                origin: log.origin.clone(),
                kind,
                size: checkpoint.size,
                detail,
                proof: String::new(),
            };
            let files = [("before.note", before), ("contradicting.note", note.bytes())];
            self.contradicted(contradiction, &files)
        };
        if checkpoint.size > size {
            return Ok(None);
        }
        let root = tiles::root(checkpoint.size, fresh).map_err(MirrorError::Tree)?;
        if root != checkpoint.root {
            let detail = format!(
                "its checkpoint of {} entries has the root {}, and the records that it sent have \
                 {root}",
                checkpoint.size, checkpoint.root
            );
            return Err(contradicted(ContradictionKind::Fork, detail));
        }
        match log.agreed.as_ref().map(|agreed| &agreed.checkpoint) {
            Some(newest) if newest.size > checkpoint.size => {
                let detail = format!(
                    "it signed {} entries after it had signed {}: it was restored from an older copy",
                    checkpoint.size, newest.size
                );
                Err(contradicted(ContradictionKind::Rollback, detail))
            }
            Some(newest) if newest.size == checkpoint.size => Ok(None),
            _ => Ok(Some(vkey)),
        }
    }

    fn contradicted(&self, found: Contradiction, files: &[(&str, &[u8])]) -> Refused {
        match contradiction::keep(&self.forks, found, files) {
            Ok(kept) => Refused::Contradiction(kept),
            Err(error) => Refused::Mirror(error.into()),
        }
    }
}

/// The log whose beginning a batch is, by the certificate of its key. Who signed that is checked
/// where it is taken in.
fn named_log(batch: &Submission<'_>) -> Option<String> {
    let name = |bytes: &Vec<u8>| {
        let envelope = Envelope::read(bytes).ok()?;
        match Record::danger_read_unchecked(&envelope).ok()? {
            Record::Other(Statement::KeyCert(cert)) if cert.usage == KeyUsage::Log => cert.name,
            _ => None,
        }
    };
    (batch.first == 0).then(|| batch.records.iter().find_map(name)).flatten()
}

/// `<site>.<domain>/log/<eight hexadecimal digits>`.
fn check_origin(site: &SiteId, origin: &str) -> Result<(), Refused> {
    let domain = origin
        .strip_prefix(site.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.split_once("/log/"));
    let is_good = domain.is_some_and(|(domain, instance)| {
        let is_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
        (1..=100).contains(&domain.len())
            && domain.bytes().all(is_domain)
            && instance.len() == 8
            && instance.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    if is_good {
        return Ok(());
    }
    malformed(format!("{origin:.150} is not the name of a log of site {site}"))
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// Rows that are about to be written.
struct Fresh<'a> {
    mirror: &'a Mirror,
    origin: String,
    size: u64,
    rows: WriteBatch,
    nodes: BTreeMap<u64, Digest>,
    certs: BTreeMap<KeyId, Cert>,
}

impl<'a> Fresh<'a> {
    fn new(mirror: &'a Mirror, log: &Log) -> Self {
        Self {
            mirror,
            origin: log.origin.clone(),
            size: log.size,
            rows: WriteBatch::default(),
            nodes: BTreeMap::new(),
            certs: BTreeMap::new(),
        }
    }

    /// Checks the record that comes next and adds its rows.
    fn add(&mut self, batch: &Submission<'_>, bytes: &[u8]) -> Result<(), Refused> {
        let index = self.size;
        let at = |why: String| Refused::Malformed(format!("record {index}: {why}"));
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(at("longer than 1 MiB".to_owned()));
        }
        let envelope = Envelope::read(bytes).map_err(|refusal| at(refusal.to_string()))?;
        let is_identity = batch.identity.keys.iter().any(|key| key.id() == *envelope.key_id());
        let record = if is_identity {
            let place = Some((self.origin.as_str(), index));
            let cert = batch.identity.certified(batch.site, &envelope, place).map_err(at)?;
            let key = cert.key.id();
            let value = row::cert_value(index, &cert);
            if cert.usage != KeyUsage::Records {
                self.rows.put(row::named(&self.origin, &key), &value);
            }
            self.rows.put(row::cert(&self.origin, &key), value);
            self.certs.insert(key, cert);
            Record::danger_read_unchecked(&envelope).map_err(|refusal| at(refusal.to_string()))?
        } else {
            self.signed(batch, &envelope, index)?
        };
        let kind = record.kind().ok_or_else(|| at("it is none of a site's".to_owned()))?;
        let leaf = tree::leaf(&entry::record(kind, envelope.digest()));
        for (number, hash) in tiles::append(index, leaf, self).map_err(MirrorError::Tree)? {
            self.rows.put(row::node(&self.origin, number), hash.0);
            self.nodes.insert(number, hash);
        }
        self.rows.put(row::body(&self.origin, index), bytes);
        self.rows.put(row::digest(&self.origin, envelope.digest()), index.to_be_bytes());
        self.size += 1;
        Ok(())
    }

    /// The record, if a key for records whose certificate stands before it signed it.
    fn signed(
        &self,
        batch: &Submission<'_>,
        envelope: &Envelope,
        index: u64,
    ) -> Result<Record, Refused> {
        let at = |why: String| Refused::Malformed(format!("record {index}: {why}"));
        let key = envelope.key_id();
        let cert = match self.certs.get(key) {
            Some(cert) => Some(cert.clone()),
            None => self.mirror.cert(&self.origin, key)?.map(|(_, cert)| cert),
        };
        let believed = |cert: &Cert| {
            let holds = |key| batch.identity.believes(key, &self.origin, index);
            cert.usage == KeyUsage::Records && holds(key) && holds(&cert.by)
        };
        let cert = cert.filter(believed).ok_or_else(|| {
            at(format!("key {key:.40} is not certified for records before it, or is revoked"))
        })?;
        let record =
            Record::check(envelope, &cert.key).map_err(|refusal| at(refusal.to_string()))?;
        if matches!(record, Record::Other(Statement::KeyCert(_))) {
            return Err(at("a certificate is signed by an identity key".to_owned()));
        }
        Ok(record)
    }

    /// Log keys among the new certificates.
    fn log_keys(&self) -> impl Iterator<Item = VerifierKey> + '_ {
        let of_log = |cert: &&Cert| cert.usage == KeyUsage::Log && cert.name == self.origin;
        self.certs.values().filter(of_log).filter_map(|cert| {
            VerifierKey::new(&cert.name, custody::log::note::Algorithm::Ed25519, cert.key.clone())
                .ok()
        })
    }
}

impl Hashes for Fresh<'_> {
    fn hash(&self, number: u64) -> Result<Digest, TreeError> {
        let found = self.nodes.get(&number).copied();
        found.map_or_else(|| self.mirror.nodes(&self.origin).hash(number), Ok)
    }
}
