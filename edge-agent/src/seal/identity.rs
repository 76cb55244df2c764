//! Who signs: the site's identity, this run of the agent, the program that it is, and the keys that
//! the identity has certified.
//!
//! ```text
//! identity (P-256)  ──certifies──►  records key    in memory alone, 24 h at most, new at each start
//!                   ──certifies──►  log key        keys/log.key      signs checkpoints
//!                   ──certifies──►  witness key    keys/witness.key  cosigns other logs' checkpoints
//! ```
//! A certificate stands in the site log before the key signs anything: `store` sees to that, and
//! nobody else can begin with a new key. A thief of the whole disc finds no key that has ever signed
//! a record; a thief of today's memory cannot sign for yesterday.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{OnceLock, PoisonError, RwLock};

use custody::dsse::Envelope;
use custody::keys::SignError;
use custody::manifest::Agent;
use custody::record::{KeyCert, KeyUsage, RECORDS_KEY_LIFE_US, Record, Statement};
use custody::{Digest, PublicKey, SecretKey, SiteId, WallTime};
use host::durable::{self, Reader};
use zeroize::Zeroizing;

use super::identity_key::{FileKey, IdentityKey};
use super::key_ring::{KeyError, disc, random};

/// A key is certified from a minute before it is made: what it signs first ended a moment ago.
const LEAD_US: i64 = 60_000_000;
/// A records key is changed when it has this long to live: an hour to try again in, should the
/// identity not answer.
const CHANGE_US: i64 = 3_600_000_000;
/// The records key before the present one is kept this long, for what ended under it.
const OVERLAP_MS: u64 = 60_000;
/// Log and witness keys are certified for a year.
const FILE_KEY_LIFE_US: i64 = 365 * 86_400 * 1_000_000;

/// The digest of this program's own file; read once, for it is what runs.
fn executable() -> Result<Digest, KeyError> {
    static DIGEST: OnceLock<Digest> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(*digest);
    }
    let path = Path::new("/proc/self/exe");
    let bytes = fs::read(path).map_err(disc("reading", path))?;
    Ok(*DIGEST.get_or_init(|| Digest::of(&bytes)))
}

/// One run of one site's agent. Has no `Debug`: it holds keys.
pub struct Identity {
    site: SiteId,
    domain: String,
    boot_id: String,
    agent: Agent,
    key: Box<dyn IdentityKey>,
    records: RwLock<RecordsKeys>,
    log: SecretKey,
    witness: SecretKey,
}

/// The keys that sign records now. Each is wiped when it is dropped.
#[derive(Default)]
struct RecordsKeys {
    current: Option<RecordsKey>,
    /// The one before, and monotonic milliseconds until when.
    previous: Option<(RecordsKey, u64)>,
}

/// A records key that has been drawn and certified. It signs once [`Identity::begin_with`] has it.
pub(crate) struct RecordsKey {
    key: SecretKey,
    not_before: WallTime,
    not_after: WallTime,
}

impl RecordsKey {
    fn covers(&self, time: WallTime) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }
}

impl Identity {
    /// Reads the keys under `state_dir`, making those that are not there, and draws a new run number.
    /// `config` is the configuration file as it was read; `domain` the end of the site's name as log
    /// and witness.
    ///
    /// # Errors
    /// When a key or this program's own executable cannot be read.
    pub fn load(
        state_dir: &Path,
        site: &SiteId,
        domain: &str,
        config: &[u8],
    ) -> Result<Self, KeyError> {
        let folder = keys_folder(state_dir)?;
        let key = FileKey::load(&folder.join("identity.pem"))?;
        Self::with_key(Box::new(key), state_dir, site, domain, config)
    }

    /// As [`Self::load`], with the identity key where it is.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn with_key(
        key: Box<dyn IdentityKey>,
        state_dir: &Path,
        site: &SiteId,
        domain: &str,
        config: &[u8],
    ) -> Result<Self, KeyError> {
        let folder = keys_folder(state_dir)?;
        let agent = Agent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary_sha256: executable()?,
            config_sha256: Digest::of(config),
        };
        Ok(Self {
            site: site.clone(),
            domain: domain.to_owned(),
            boot_id: hex::encode(random::<16>()?),
            agent,
            key,
            records: RwLock::default(),
            log: file_key(&folder.join("log.key"))?,
            witness: file_key(&folder.join("witness.key"))?,
        })
    }

    /// Which site.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// This run of the agent: 32 random hexadecimal digits.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The program.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The identity key's public half: what the authority grants.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a message that is no record, by the identity key: the proof of possession at enrolment.
    ///
    /// # Errors
    /// When the key's holder does not answer.
    pub fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }

    /// Signs a record by the present records key, or by the one before if only that covers the
    /// record's time. The one way to sign for the rooms.
    #[must_use]
    pub fn sign(&self, record: &Record) -> Envelope {
        let keys = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let current = keys.current.as_ref();
        let current = current.expect("a store certifies a key before it gives its identity out");
        let before = keys.previous.as_ref().map(|(key, _)| key);
        let time = dated(record);
        let key = before.filter(|key| !current.covers(time) && key.covers(time)).unwrap_or(current);
        record.sign(&key.key)
    }

    /// Signs checkpoints of the site's own log.
    #[must_use]
    pub fn log_key(&self) -> &SecretKey {
        &self.log
    }

    /// Cosigns other logs' checkpoints, as [`Self::witness_name`].
    #[must_use]
    pub fn witness_key(&self) -> &SecretKey {
        &self.witness
    }

    /// The site's name as a witness.
    #[must_use]
    pub fn witness_name(&self) -> String {
        format!("{}.{}/witness", self.site, self.domain)
    }

    /// The name of a log of this site that begins now: `instance` is 8 hexadecimal digits.
    #[must_use]
    pub fn log_origin(&self, instance: &str) -> String {
        format!("{}.{}/log/{instance}", self.site, self.domain)
    }
}

/// The time at which a record was made, by its own account: footage and gaps, where they end.
#[must_use]
pub(crate) fn dated(record: &Record) -> WallTime {
    match record {
        Record::Segment(segment) => segment.end,
        Record::Other(statement) => match statement {
            Statement::Gap(it) => it.end,
            Statement::Erase(it) => it.at,
            Statement::Hold(it) => it.at,
            Statement::Release(it) => it.at,
            Statement::AgentStart(it) => it.at,
            Statement::Transfer(it) => it.at,
            Statement::KeyCert(it) => it.not_before,
            Statement::Heartbeat(it) => it.at,
            Statement::ClockStep(it) => it.at,
            Statement::MaskChange(it) => it.at,
            Statement::ConfigChange(it) => it.at,
            Statement::Access(it) => it.at,
            Statement::KeysDestroyed(it) => it.at,
            Statement::Damage(it) => it.at,
            Statement::Disposal(it) => it.at,
            Statement::Key(it) => it.not_before,
            Statement::Bundle(it) => it.at,
        },
    }
}

pub(super) fn keys_folder(state_dir: &Path) -> Result<std::path::PathBuf, KeyError> {
    let folder = state_dir.join("keys");
    durable::create_folder(&folder).map_err(disc("creating", &folder))?;
    Ok(folder)
}

/// Reads an Ed25519 key, making it the first time.
fn file_key(path: &Path) -> Result<SecretKey, KeyError> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(pem) => SecretKey::from_pem(&pem).map_err(|_| KeyError::Damaged {
            what: format!("{} is not an Ed25519 key in PEM form", path.display()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SecretKey::from_seed(&Zeroizing::new(random()?));
            durable::replace(path, key.to_pem().as_bytes(), Reader::Owner)
                .map_err(disc("writing", path))?;
            Ok(key)
        }
        Err(source) => Err(disc("reading", path)(source)),
    }
}

/// For the store alone: new keys, in the order certificate → log → first use.
impl Identity {
    /// Draws a records key and has it certified from `now` on. It signs nothing yet.
    ///
    /// # Errors
    /// When there is no randomness, or the identity key does not answer.
    pub(crate) fn draw_records_key(
        &self,
        now: WallTime,
    ) -> Result<(RecordsKey, KeyCert, Envelope), KeyError> {
        let key = SecretKey::from_seed(&Zeroizing::new(random()?));
        let not_before = now.plus_micros(-LEAD_US);
        let not_after = not_before.plus_micros(RECORDS_KEY_LIFE_US);
        let cert = self.cert(KeyUsage::Records, &key.public(), None, (not_before, not_after));
        let envelope = self.certify(&cert)?;
        Ok((RecordsKey { key, not_before, not_after }, cert, envelope))
    }

    /// The certificate of the log key for the log `origin`, or of the witness key, from `now` on.
    ///
    /// # Errors
    /// When the identity key does not answer.
    pub(crate) fn certify_file_key(
        &self,
        usage: KeyUsage,
        name: &str,
        now: WallTime,
    ) -> Result<(KeyCert, Envelope), KeyError> {
        let key = if usage == KeyUsage::Log { &self.log } else { &self.witness };
        let life = (now.plus_micros(-LEAD_US), now.plus_micros(FILE_KEY_LIFE_US));
        let cert = self.cert(usage, &key.public(), Some(name.to_owned()), life);
        let envelope = self.certify(&cert)?;
        Ok((cert, envelope))
    }

    fn cert(
        &self,
        usage: KeyUsage,
        key: &PublicKey,
        name: Option<String>,
        (not_before, not_after): (WallTime, WallTime),
    ) -> KeyCert {
        KeyCert {
            site: self.site.clone(),
            usage,
            key_id: key.id(),
            public_key: key.to_hex(),
            name,
            not_before,
            not_after,
        }
    }

    fn certify(&self, cert: &KeyCert) -> Result<Envelope, KeyError> {
        let record = Record::Other(Statement::KeyCert(cert.clone()));
        record
            .sign_by(&*self.key)
            .map_err(|source| KeyError::Identity { place: self.key.place().to_owned(), source })
    }

    /// Signs with `key` from now on: its certificate stands in the log. The one before goes in a
    /// minute.
    pub(crate) fn begin_with(&self, key: RecordsKey, tick_ms: u64) {
        let mut keys = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let before = keys.current.replace(key);
        keys.previous = before.map(|key| (key, tick_ms.saturating_add(OVERLAP_MS)));
    }

    /// Whether the present records key may sign what is made at `now`.
    pub(crate) fn covers(&self, now: WallTime) -> bool {
        let keys = self.records.read().unwrap_or_else(PoisonError::into_inner);
        keys.current.as_ref().is_some_and(|key| key.covers(now))
    }

    /// Whether another records key is due: this one ends within the hour, or does not cover `now` at
    /// all because the clock was stepped.
    pub(crate) fn records_key_due(&self, now: WallTime) -> bool {
        let keys = self.records.read().unwrap_or_else(PoisonError::into_inner);
        keys.current
            .as_ref()
            .is_none_or(|key| !key.covers(now) || key.not_after.micros_since(now) < CHANGE_US)
    }

    /// Wipes the key before the present one when its minute is over.
    pub(crate) fn wipe_spent_key(&self, tick_ms: u64) {
        let spent = |keys: &RecordsKeys| keys.previous.as_ref().is_some_and(|p| tick_ms >= p.1);
        if spent(&self.records.read().unwrap_or_else(PoisonError::into_inner)) {
            self.records.write().unwrap_or_else(PoisonError::into_inner).previous = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use custody::record::ConfigChange;

    use super::*;

    const NOW: WallTime = WallTime(1_795_356_600_000_000);
    const HOUR: i64 = 3600;

    fn identity(folder: &Path) -> Identity {
        Identity::load(folder, &"east".parse().unwrap(), "example", b"a = 1").unwrap()
    }

    fn record(at: WallTime) -> Record {
        Record::Other(Statement::ConfigChange(ConfigChange {
            site: "east".parse().unwrap(),
            before: Digest::of(b"1"),
            after: Digest::of(b"2"),
            at,
        }))
    }

    #[test]
    fn the_identity_stays_and_each_run_has_its_own_number() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (identity(folder.path()), identity(folder.path()));
        assert!(first.public_key() == second.public_key());
        assert!(!first.public_key().is_ed25519());
        assert!(first.log_key().public() == second.log_key().public());
        assert_ne!(first.boot_id(), second.boot_id());
        let proof = first.sign_message(b"csr").unwrap();
        assert!(second.public_key().verifies(b"csr", &proof));
        assert_eq!(first.witness_name(), "east.example/witness");
        assert_eq!(first.log_origin("5f3a9c01"), "east.example/log/5f3a9c01");
    }

    #[test]
    fn a_records_key_is_certified_lives_a_day_and_is_followed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let identity = identity(folder.path());
        assert!(identity.records_key_due(NOW));
        let (key, cert, envelope) = identity.draw_records_key(NOW).unwrap();
        assert_eq!(
            Record::check(&envelope, &identity.public_key()).unwrap(),
            Record::Other(Statement::KeyCert(cert.clone()))
        );
        assert_eq!(cert.not_after.micros_since(NOW), 24 * HOUR * 1_000_000);
        identity.begin_with(key, 0);
        assert!(!identity.records_key_due(NOW.plus_seconds(22 * HOUR)));
        assert!(identity.records_key_due(NOW.plus_seconds(23 * HOUR + 1)));
        assert!(identity.records_key_due(NOW.plus_seconds(-61)), "the clock was stepped back");
        let signed = identity.sign(&record(NOW));
        assert_eq!(*signed.key_id(), cert.key_id);
        assert!(Record::check(&signed, &PublicKey::from_hex(&cert.public_key).unwrap()).is_ok());
    }

    #[test]
    fn the_key_before_signs_only_what_ended_under_it_and_for_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let identity = identity(folder.path());
        let (first, old, _) = identity.draw_records_key(NOW).unwrap();
        identity.begin_with(first, 0);
        // The clock was two days ahead, and is stepped back.
        let back = NOW.plus_seconds(-48 * HOUR);
        let (second, new, _) = identity.draw_records_key(back).unwrap();
        identity.begin_with(second, 1000);
        assert_eq!(*identity.sign(&record(back)).key_id(), new.key_id);
        assert_eq!(*identity.sign(&record(NOW)).key_id(), old.key_id);
        identity.wipe_spent_key(60_999);
        assert_eq!(*identity.sign(&record(NOW)).key_id(), old.key_id);
        identity.wipe_spent_key(61_000);
        assert_eq!(*identity.sign(&record(NOW)).key_id(), new.key_id);
    }
}
