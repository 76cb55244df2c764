//! Who may sign what at a site: the authority knows the site's identity keys, an identity certifies
//! the keys that sign records, the log and as a witness, and those sign. Pure.

use std::collections::BTreeMap;

use custody::dsse::Envelope;
use custody::record::{KeyCert, KeyUsage, RECORDS_KEY_LIFE_US, Record, Revoked, Statement};
use custody::{KeyId, PublicKey, SiteId, WallTime};

/// What the authority knows of a site's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its identity keys, oldest first.
    pub(crate) keys: Vec<PublicKey>,
    /// Keys that are not believed any more, and up to where they still are.
    pub(crate) revoked: Vec<Revoked>,
}

/// A key that an identity has certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cert {
    /// What it may sign.
    pub(crate) usage: KeyUsage,
    /// The key.
    pub(crate) key: PublicKey,
    /// The identity key that certified it.
    pub(crate) by: KeyId,
    /// The log or witness it is of; empty for records.
    pub(crate) name: String,
    /// From.
    pub(crate) not_before: WallTime,
    /// Until.
    pub(crate) not_after: WallTime,
}

impl Identity {
    /// Whether a key may be believed for a record at `index` of the log `origin`.
    pub(crate) fn believes(&self, key: &KeyId, origin: &str, index: u64) -> bool {
        // As the verifiers have it: every line about the key must let it pass.
        let mut lines = self.revoked.iter().filter(|revoked| revoked.key_id == *key);
        lines.all(|line| line.origin == origin && index < line.log_size)
    }

    /// Reads a key certificate that stands at `index` of the log `origin`, or that a site showed
    /// (`at` none).
    pub(crate) fn certified(
        &self,
        site: &SiteId,
        envelope: &Envelope,
        at: Option<(&str, u64)>,
    ) -> Result<Cert, String> {
        let signed = |key: &&PublicKey| {
            key.id() == *envelope.key_id()
                && at.is_none_or(|(origin, index)| self.believes(&key.id(), origin, index))
        };
        let identity = self.keys.iter().find(signed).ok_or_else(|| {
            format!("a key of site {site} is not certified by an identity key that holds")
        })?;
        match Record::check(envelope, identity).map_err(|refusal| refusal.to_string())? {
            Record::Other(Statement::KeyCert(cert)) => Cert::read(site, &cert, identity.id()),
            _ => Err("an identity key signs certificates alone".to_owned()),
        }
    }
}

impl Cert {
    fn read(site: &SiteId, cert: &KeyCert, by: KeyId) -> Result<Self, String> {
        let key = PublicKey::from_hex(&cert.public_key)
            .ok()
            .filter(|key| key.is_ed25519() && key.id() == cert.key_id)
            .ok_or_else(|| "a key certificate holds no Ed25519 key of its name".to_owned())?;
        let is_named = cert.name.is_some();
        let life_us = cert.not_after.0.saturating_sub(cert.not_before.0);
        let fits = match cert.usage {
            KeyUsage::Records => !is_named && (0..=RECORDS_KEY_LIFE_US).contains(&life_us),
            KeyUsage::Log | KeyUsage::Witness => is_named && life_us >= 0,
        };
        let own_name = cert.name.as_ref().is_none_or(|name| name.starts_with(&format!("{site}.")));
        if cert.site != *site || !fits || !own_name {
            return Err(format!(
                "the certificate of key {} is not one of site {site}",
                cert.key_id
            ));
        }
        Ok(Self {
            usage: cert.usage,
            key,
            by,
            name: cert.name.clone().unwrap_or_default(),
            not_before: cert.not_before,
            not_after: cert.not_after,
        })
    }
}

/// The keys that a site showed beside its records, for an answer that is checked at once.
pub(crate) struct Shown(BTreeMap<KeyId, Cert>);

impl Shown {
    /// Reads the certificates that came with an answer.
    pub(crate) fn read(
        site: &SiteId,
        identity: &Identity,
        certs: &[Vec<u8>],
    ) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for bytes in certs {
            let envelope = Envelope::read(bytes).map_err(|refusal| refusal.to_string())?;
            let cert = identity.certified(site, &envelope, None)?;
            keys.insert(cert.key.id(), cert);
        }
        Ok(Self(keys))
    }

    /// The record, if one of the shown keys for records signed it.
    pub(crate) fn check(&self, envelope: &Envelope) -> Result<Record, String> {
        let cert = self.0.get(envelope.key_id()).filter(|cert| cert.usage == KeyUsage::Records);
        let cert = cert.ok_or_else(|| {
            format!("a record is signed by key {}, which is not certified", envelope.key_id())
        })?;
        Record::check(envelope, &cert.key).map_err(|refusal| refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use custody::SecretKey;

    use super::*;
    use crate::fleet::mirror::tests::site::{self, Site};

    #[test]
    fn the_chain_from_identity_to_record_holds_link_by_link() {
        let east = Site::new("east", 1);
        let identity = east.identity();
        let cert = east.cert(KeyUsage::Records, None, 2);
        let record = site::heartbeat("east", 0).sign(&SecretKey::from_seed(&[2; 32]));
        let shown = |certs: &[&Envelope]| {
            let certs: Vec<_> = certs.iter().map(|cert| cert.bytes().to_vec()).collect();
            Shown::read(&east.id, &identity, &certs)
        };
        assert!(shown(&[&cert]).unwrap().check(&record).is_ok());
        assert!(shown(&[]).unwrap().check(&record).is_err());
        // A witness key signs no records.
        let witness = east.cert(KeyUsage::Witness, Some("east.force.example/witness"), 2);
        assert!(shown(&[&witness]).unwrap().check(&record).is_err());
        // Another's identity, another's name, a life of two days.
        let west = Site::new("west", 9).cert(KeyUsage::Records, None, 2);
        assert!(shown(&[&west]).is_err());
        let foreign = east.cert(KeyUsage::Witness, Some("west.force.example/witness"), 2);
        assert!(shown(&[&foreign]).is_err());
        let nameless = east.cert(KeyUsage::Log, None, 2);
        assert!(shown(&[&nameless]).is_err());
    }

    #[test]
    fn a_revoked_key_is_believed_below_its_line_in_its_log_alone() {
        let east = Site::new("east", 1);
        let key = SecretKey::from_seed(&[1; 32]).public().id();
        let revoked = Revoked {
            key_id: key.clone(),
            at: WallTime(5),
            origin: "east.force.example/log/1".to_owned(),
            log_size: 10,
        };
        let identity = Identity { revoked: vec![revoked], ..east.identity() };
        assert!(identity.believes(&key, "east.force.example/log/1", 9));
        assert!(!identity.believes(&key, "east.force.example/log/1", 10));
        assert!(!identity.believes(&key, "east.force.example/log/2", 9));
        let cert = east.cert(KeyUsage::Records, None, 2);
        let at = |index| Some(("east.force.example/log/1", index));
        assert!(identity.certified(&east.id, &cert, at(9)).is_ok());
        assert!(identity.certified(&east.id, &cert, at(10)).is_err());
    }
}
