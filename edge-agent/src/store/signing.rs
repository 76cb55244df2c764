//! What comes before a signature: the clock is looked at, and the records key changed when due.
//!
//! | step | in this order |
//! |---|---|
//! | a key | draw · certify by the identity · `keys/certs/` file · one synced batch (certificate, signer) · sign with it |
//! | a stepped clock | a key that covers the new time · one synced batch (`clock-step`) · whatever was to be signed |
//!
//! The key is changed from the minute's heartbeat, an hour before its end, so that a token that does
//! not answer delays no camera. Only a clock that was stepped out of the key's life changes it on the
//! way to a signature.

use std::fs;
use std::path::PathBuf;

use custody::dsse::Envelope;
use custody::record::{ClockStep, KeyCert, KeyUsage, Kind, Record, Statement};
use custody::{KeyId, PublicKey, WallTime};
use host::Clock;
use host::durable::{self, Reader};

use super::StoreError;
use super::core::{Alarm, Core, lock};
use super::disc::Step;
use super::key::Family;
use super::key::signer::{self, Signer};
use crate::seal::KeyError;

mod step;

use step::StepWatch;

/// A file's key is certified anew when its certificate has this long to live: a month.
const RENEW_US: i64 = 30 * 86_400 * 1_000_000;
/// After an identity key that did not answer, it is asked again this much later at the earliest.
const RETRY_MS: u64 = 60_000;
/// Two readings of the monotonic clock around one of the wall clock lie at most this far apart, or
/// the thread was held up in between and they say nothing.
const SAMPLE_MS: u64 = 20;

/// A record ready for the log: its kind and its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) kind: Kind,
    pub(super) envelope: Envelope,
}

/// What is looked at before each signature.
#[derive(Default)]
pub(super) struct Signing {
    watch: StepWatch,
    /// Monotonic milliseconds before which the identity key is not asked again.
    not_before_ms: u64,
}

/// Both clocks at one moment; none if the thread was held up each time.
fn sample(clock: &Clock) -> Option<(WallTime, u64)> {
    (0..8).find_map(|_| {
        let before = clock.tick().0;
        let wall = clock.now();
        (clock.tick().0.saturating_sub(before) <= SAMPLE_MS).then_some((wall, before))
    })
}

impl Core {
    /// Signs a record with a key whose certificate is logged, after any clock step is.
    pub(super) fn sign(&self, record: &Record) -> Result<Signed, StoreError> {
        self.make_ready()?;
        let kind = record.kind().expect("a site signs no statement of the authority");
        Ok(Signed { kind, envelope: self.identity.sign(record) })
    }

    /// Looks at the clock: a step is signed, and a key drawn that covers the time.
    pub(super) fn make_ready(&self) -> Result<(), StoreError> {
        self.alive()?;
        let Some((wall, tick_ms)) = sample(&self.clock) else { return Ok(()) };
        self.identity.wipe_spent_key(tick_ms);
        let mut signing = lock(&self.signing);
        let expected = signing.watch.look(wall, tick_ms);
        let due = !self.identity.covers(wall) && tick_ms >= signing.not_before_ms;
        if due && !self.change_key(wall, tick_ms)? {
            signing.not_before_ms = tick_ms.saturating_add(RETRY_MS);
        }
        if let Some(expected) = expected {
            tracing::warn!(%expected, %wall, "the wall clock was stepped");
            let record = Record::Other(Statement::ClockStep(ClockStep {
                site: self.identity.site().clone(),
                boot_id: self.identity.boot_id().to_owned(),
                expected,
                at: wall,
                clock: self.clock.quality(),
            }));
            let envelope = self.identity.sign(&record);
            self.log(&[&Signed { kind: Kind::ClockStep, envelope }], |_, _| {})?;
        }
        Ok(())
    }

    /// Changes the records key; whether it did. If the identity does not answer, the present key signs
    /// on: footage under a key whose time is over is worth more than none, and the verifier says what
    /// it is.
    fn change_key(&self, wall: WallTime, tick_ms: u64) -> Result<bool, StoreError> {
        match begin_key(self, wall, tick_ms) {
            Err(StoreError::Key(error @ KeyError::Identity { .. })) => {
                let what = host::telemetry::chain(&error);
                self.raise(
                    Alarm::RecordsKey,
                    &format!("the records key cannot be changed: {what}"),
                );
                Ok(false)
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.clear(Alarm::RecordsKey);
                Ok(true)
            }
        }
    }

    /// Changes the records key when its time is nearly over: from the heartbeat, once a minute.
    pub(super) fn change_key_if_due(&self) -> Result<(), StoreError> {
        self.make_ready()?;
        let (wall, tick_ms) = (self.clock.now(), self.clock.tick().0);
        if !self.identity.records_key_due(wall) {
            return Ok(());
        }
        // Not under the lock of those who sign: a token takes its time.
        if self.change_key(wall, tick_ms)? { certify_file_keys(self) } else { Ok(()) }
    }
}

/// Draws a records key and has it signing: its certificate is logged before.
pub(super) fn begin_key(core: &Core, now: WallTime, tick_ms: u64) -> Result<(), StoreError> {
    let (key, cert, envelope) = core.identity.draw_records_key(now)?;
    keep_cert(core, &cert, envelope)?;
    core.identity.begin_with(key, tick_ms);
    Ok(())
}

/// Certifies the log key and the witness key, unless this log holds a certificate of theirs that has
/// a month to live.
pub(super) fn certify_file_keys(core: &Core) -> Result<(), StoreError> {
    let now = core.clock.now();
    let witness = core.identity.witness_name();
    for (usage, key, name) in [
        (KeyUsage::Log, core.identity.log_key().public(), &core.origin),
        (KeyUsage::Witness, core.identity.witness_key().public(), &witness),
    ] {
        if !is_certified(core, &key, name, now)? {
            let (cert, envelope) = core.identity.certify_file_key(usage, name, now)?;
            log_cert(core, &cert, envelope)?;
        }
    }
    Ok(())
}

fn is_certified(
    core: &Core,
    key: &PublicKey,
    name: &str,
    now: WallTime,
) -> Result<bool, StoreError> {
    let Some(signer) = signer_row(core, &key.id()) else { return Ok(false) };
    let Some(certified) = signer.cert else { return Ok(false) };
    let in_time = now >= certified.not_before && certified.not_after.micros_since(now) > RENEW_US;
    let body = super::read::envelope(core, certified.place)?;
    let said = Envelope::read(&body).and_then(|e| Record::danger_read_unchecked(&e));
    let named = matches!(
        said,
        Ok(Record::Other(Statement::KeyCert(cert))) if cert.name.as_deref() == Some(name)
    );
    Ok(in_time && named)
}

/// What is known of a key that has signed here.
pub(super) fn signer_row(core: &Core, id: &KeyId) -> Option<Signer> {
    let row = core.index.get(Family::Signers, &signer::key(id)).ok()??;
    Signer::decode(&row)
}

fn folder(core: &Core) -> PathBuf {
    core.state_dir.join("keys/certs")
}

/// Keeps a records key's certificate: as a file, so that a lost index loses none, and in the log.
fn keep_cert(core: &Core, cert: &KeyCert, envelope: Envelope) -> Result<(), StoreError> {
    let path = folder(core).join(format!("{}.dsse", cert.key_id));
    core.step(Step::WriteCert, format_args!("writing {}", path.display()), || {
        durable::create_folder(&folder(core))?;
        durable::replace(&path, envelope.bytes(), Reader::Anyone)
    })?;
    log_cert(core, cert, envelope)
}

fn log_cert(core: &Core, cert: &KeyCert, envelope: Envelope) -> Result<(), StoreError> {
    core.log(&[&Signed { kind: Kind::KeyCert, envelope }], |place, batch| {
        if let Some(signer) = Signer::certified(cert, place) {
            batch.put(Family::Signers, signer::key(&cert.key_id), signer.encode());
        }
    })?;
    Ok(())
}

/// At start: takes the certificates of earlier runs, of which the index knows nothing, back into the
/// log: the index was lost or is an older copy, and segment files are signed by their keys.
pub(super) fn restore_certs(core: &Core) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for path in super::rebuild::list(&folder(core))? {
        let bytes = fs::read(&path).map_err(|source| StoreError::DiscFault {
            what: format!("reading {}", path.display()),
            source,
        })?;
        let Ok(envelope) = Envelope::read(&bytes) else { continue };
        let Some(Signer { key, cert: None }) = signer_row(core, envelope.key_id()) else {
            continue;
        };
        if let Ok(Record::Other(Statement::KeyCert(cert))) = Record::check(&envelope, &key)
            && cert.usage == KeyUsage::Records
            && signer_row(core, &cert.key_id).is_none()
        {
            found.push((cert, envelope));
        }
    }
    found.sort_by_key(|(cert, _)| cert.not_before);
    found.into_iter().try_for_each(|(cert, envelope)| log_cert(core, &cert, envelope))
}

/// The envelope of the newest certificate of a key; none if it has none here.
pub(super) fn cert_of(core: &Core, id: &KeyId) -> Result<Option<Vec<u8>>, StoreError> {
    let place = signer_row(core, id).and_then(|signer| signer.cert).map(|cert| cert.place);
    place.map(|place| super::read::envelope(core, place)).transpose()
}

/// Remembers the site's identity among those that have signed here.
pub(super) fn greet(core: &Core) -> Result<(), StoreError> {
    let public = core.identity.public_key();
    let key = signer::key(&public.id());
    if core.index.get(Family::Signers, &key)?.is_none() {
        let mut batch = super::index::Batch::default();
        batch.put(Family::Signers, key, Signer::identity(public).encode());
        core.write(&batch)?;
    }
    Ok(())
}
