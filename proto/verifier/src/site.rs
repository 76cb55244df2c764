//! Whose keys signed: the authority's statements about a site, the certificates that the site's
//! identity gave, and which of them are revoked. Sections 4 and 5 of CHECKS.md.

use std::collections::BTreeMap;

use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::log::{Policy, entry};
use custody::record::{
    KeyCert, KeyGrant, KeyUsage, Kind, RECORDS_KEY_LIFE_US, Record, Revoked, Statement,
};
use custody::{Code, Digest, KeyId, PublicKey, Refusal, SiteId, WallTime, bundle};

use crate::bag::Bag;
use crate::logbook::{self, LogKey, Logged, Logs, Shown, Sought};
use crate::place::SiteFiles;
use crate::report::Report;
use crate::statement::trusted_record;

/// A site's identities over the years, one statement a line.
pub const STATEMENTS_BYTES_MAX: u64 = 1 << 20;
const STATEMENTS_MAX: usize = 64;

/// Under this name the controller's own keys are certified; no site has it.
pub const CONTROLLER: &str = "controller";

/// A key of which the authority says that it is the site's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The key.
    pub key: PublicKey,
    /// Certifies from this time on.
    pub not_before: WallTime,
}

/// A key of which the site's identity says that it signs.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// What is certified.
    pub cert: KeyCert,
    /// The key.
    pub key: PublicKey,
    /// Which identity says so.
    pub identity: KeyId,
    /// Where that stands in the log, if it is proved.
    pub logged: Option<Logged>,
}

/// A site as far as its keys go.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Its identities.
    pub identities: BTreeMap<KeyId, Identity>,
    /// Its keys that are not believed any more.
    pub revoked: Vec<Revoked>,
    /// Its certified keys.
    pub certificates: BTreeMap<KeyId, Certificate>,
    /// Its logs.
    pub logs: Logs,
}

/// What the caller brings along to judge a bundle by.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The authority's key.
    pub authority: PublicKey,
    /// The policy that takes the place of the bundle's own.
    pub policy: Option<Policy>,
    /// Further statements of the authority about sites' keys, one a line: revocations published
    /// after the bundle was made.
    pub statements: Vec<u8>,
}

impl Trust {
    /// The authority's key alone: policies and revocations are those of the bundle.
    #[must_use]
    pub fn new(authority: PublicKey) -> Self {
        Self { authority, policy: None, statements: Vec::new() }
    }

    /// The policy to judge by, and whether it is the caller's own.
    pub(crate) fn policy_or(&self, bag: &Bag, path: &str, report: &mut Report) -> (Policy, bool) {
        if let Some(policy) = &self.policy {
            return (policy.clone(), true);
        }
        // Without a policy no cosignature is looked at: what is missing is told once, not at each
        // record.
        let policy = match logbook::policy(bag, path) {
            Ok(policy) if policy.quorum.is_some() => policy,
            Ok(policy) => {
                let what = format!("{path} asks for no witness");
                report.refuse(Refusal::new(Code::QuorumNotMet, what));
                policy
            }
            Err(refusal) => {
                report.refuse(refusal);
                Policy::default()
            }
        };
        (policy, false)
    }
}

/// Reads what the bundle says of a site's keys.
pub fn check(
    bag: &Bag,
    site: &SiteId,
    files: &SiteFiles,
    trust: &Trust,
    shown: &mut Shown,
    report: &mut Report,
) -> Site {
    let mut out = Site::default();
    out.grants(bag, site, trust, report);
    let mut envelopes = BTreeMap::new();
    for id in &files.certificates {
        let path = bundle::key_cert(site, &KeyId(id.clone()));
        match out.certificate(bag, site, id, &path) {
            Ok((certificate, envelope)) => {
                envelopes.insert(KeyId(id.clone()), envelope);
                out.certificates.insert(KeyId(id.clone()), certificate);
            }
            Err(refusal) => report.refuse(refusal.at(path)),
        }
    }
    let certified: Vec<_> = out.certificates.values().filter_map(log_key).collect();
    let path = bundle::policy(site);
    let (policy, given) = trust.policy_or(bag, &path, report);
    out.logs = Logs::new(&certified, policy, given, report);
    for (id, envelope) in envelopes {
        let logged = out.certificate_logged(bag, site, &id, envelope, shown, report);
        if let Some(certificate) = out.certificates.get_mut(&id) {
            certificate.logged = logged;
        }
    }
    out
}

fn log_key(certificate: &Certificate) -> Option<LogKey> {
    let name = certificate.cert.name.as_ref()?;
    (certificate.cert.usage == KeyUsage::Log).then_some(())?;
    LogKey::new(name, &certificate.key)
}

impl Site {
    fn grants(&mut self, bag: &Bag, site: &SiteId, trust: &Trust, report: &mut Report) {
        let path = bundle::key_grants(site);
        if !bag.has(&path) {
            report.refuse(Refusal::new(Code::FileMissing, &path));
        }
        let bytes = bag.read(&path, STATEMENTS_BYTES_MAX);
        if bag.has(&path) && bytes.is_none() {
            report.refuse(Refusal::new(Code::RecordMalformed, format!("{path} is too long")));
        }
        let of_bundle = lines(bytes.as_deref().unwrap_or_default());
        if of_bundle.len() > STATEMENTS_MAX {
            report.refuse(Refusal::new(Code::RecordMalformed, format!("{path} is too long")));
            return;
        }
        for line in of_bundle {
            if let Err(refusal) = self.grant(line, site, trust) {
                report.refuse(refusal.at(&path));
            }
        }
        for line in lines(&trust.statements) {
            match self.grant(line, site, trust) {
                Err(refusal) if refusal.code() != Code::RecordMisplaced => {
                    report.refuse(refusal.at("the statements given"));
                }
                _ => {}
            }
        }
    }

    fn grant(&mut self, line: &[u8], site: &SiteId, trust: &Trust) -> Result<(), Refusal> {
        let untrusted = |why: &str| Refusal::new(Code::KeyUntrusted, why);
        let envelope = Envelope::read(line)?;
        let Record::Other(Statement::Key(grant)) = trusted_record(&envelope, &trust.authority)?
        else {
            return Err(untrusted("this is a statement about something else than a key"));
        };
        let KeyGrant { site: granted, key_id, public_key, not_before, revoked } = grant;
        if granted != *site {
            return Err(Refusal::new(
                Code::RecordMisplaced,
                format!("the statement is about a key of {granted}"),
            ));
        }
        let key = PublicKey::from_hex(&public_key).ok().filter(|key| key.id() == key_id);
        let key = key.ok_or_else(|| untrusted("the statement's key and its name do not fit"))?;
        self.identities.insert(key_id, Identity { key, not_before });
        for one in revoked {
            if !self.revoked.contains(&one) {
                self.revoked.push(one);
            }
        }
        Ok(())
    }

    fn certificate(
        &self,
        bag: &Bag,
        site: &SiteId,
        id: &str,
        path: &str,
    ) -> Result<(Certificate, Digest), Refusal> {
        let untrusted = |why: &str| Refusal::new(Code::KeyUntrusted, why);
        let bytes = bag
            .read(path, ENVELOPE_BYTES_MAX as u64)
            .ok_or_else(|| Refusal::new(Code::RecordMalformed, "it is too long"))?;
        let envelope = Envelope::read(&bytes)?;
        let identity = self.identities.get(envelope.key_id()).ok_or_else(|| {
            Refusal::new(
                Code::KeyUnknown,
                format!("signed by key {:.40}, no identity of the site", envelope.key_id().0),
            )
        })?;
        let Record::Other(Statement::KeyCert(cert)) = Record::check(&envelope, &identity.key)?
        else {
            return Err(untrusted("this is a record about something else than a key"));
        };
        if cert.site != *site {
            return Err(Refusal::new(
                Code::RecordMisplaced,
                format!("it certifies a key of {}", cert.site),
            ));
        }
        let key = certified_key(&cert).filter(|_| cert.key_id.0 == id);
        let key = key.ok_or_else(|| untrusted("its key, its names and its use do not fit"))?;
        lifetime(&cert, identity)?;
        let identity = envelope.key_id().clone();
        Ok((Certificate { cert, key, identity, logged: None }, envelope.digest()))
    }

    fn certificate_logged(
        &self,
        bag: &Bag,
        site: &SiteId,
        id: &KeyId,
        envelope: Digest,
        shown: &mut Shown,
        report: &mut Report,
    ) -> Option<Logged> {
        let entry = entry::record(Kind::KeyCert, envelope);
        let sought = Sought {
            entry: &entry,
            proof: bundle::key_cert_proof(site, id),
            end: None,
            index: None,
            other_entry: Code::LogProofInvalid,
        };
        let logged = self.logs.find(bag, &sought, shown, report);
        let identity = self.certificates.get(id).map(|certificate| certificate.identity.clone());
        if let Err(refusal) = self.not_revoked(&[identity.as_ref()], logged.as_ref()) {
            report.refuse(refusal.at(bundle::key_cert(site, id)));
        }
        logged
    }

    /// Whether what these keys signed is still believed: it stands in the log where the authority
    /// drew the line.
    ///
    /// # Errors
    /// `key-revoked`.
    pub fn not_revoked(
        &self,
        keys: &[Option<&KeyId>],
        logged: Option<&Logged>,
    ) -> Result<(), Refusal> {
        // What stands in no log is refused for that.
        let Some(logged) = logged else { return Ok(()) };
        for one in &self.revoked {
            let used = keys.iter().copied().chain([Some(&logged.log_key)]);
            let is_used = used.into_iter().any(|key| key == Some(&one.key_id));
            let is_before = logged.origin == one.origin && logged.index < one.log_size;
            if is_used && !is_before {
                return Err(Refusal::new(
                    Code::KeyRevoked,
                    format!(
                        "key {} was revoked at {}; this is not among the first {} entries of {:.100}",
                        one.key_id, one.at, one.log_size, one.origin
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The key of a certificate, if its parts fit each other.
pub(crate) fn certified_key(cert: &KeyCert) -> Option<PublicKey> {
    let key = PublicKey::from_hex(&cert.public_key).ok()?;
    let is_whole = key.is_ed25519()
        && key.id() == cert.key_id
        && cert.name.is_some() == (cert.usage != KeyUsage::Records);
    is_whole.then_some(key)
}

fn lifetime(cert: &KeyCert, identity: &Identity) -> Result<(), Refusal> {
    let expired = |why: &str| Err(Refusal::new(Code::KeyExpired, why));
    if cert.not_before < identity.not_before {
        return expired("it begins before the identity that gave it");
    }
    if cert.not_after <= cert.not_before {
        return expired("it ends before it begins");
    }
    let life = cert.not_after.micros_since(cert.not_before);
    if cert.usage == KeyUsage::Records && life > RECORDS_KEY_LIFE_US {
        return expired("a key for records lives longer than a day");
    }
    Ok(())
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}
