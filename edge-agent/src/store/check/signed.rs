//! Who signed each record of the log, and whether they might: the certificate stands earlier in the
//! log, is for records, and covers the record's time.

use std::collections::BTreeMap;

use custody::dsse::Envelope;
use custody::record::{KeyCert, KeyUsage, Record, Statement};
use custody::{KeyId, PublicKey};

use crate::seal::identity::dated;
use crate::store::core::Core;
use crate::store::signing;

/// The certificates read so far.
#[derive(Default)]
pub(super) struct Certificates(BTreeMap<KeyId, (PublicKey, Vec<KeyCert>)>);

impl Certificates {
    /// Reads an entry's body: signed by whom it might be, or what is wrong.
    pub(super) fn read(&mut self, core: &Core, bytes: &[u8]) -> Result<(Envelope, Record), String> {
        let envelope = Envelope::read(bytes).map_err(|e| e.to_string())?;
        let record = match self.0.get(envelope.key_id()) {
            Some((key, certs)) => {
                let record = Record::check(&envelope, key).map_err(|e| e.to_string())?;
                may_sign(certs, &record)?;
                record
            }
            None => self.of_identity(core, &envelope)?,
        };
        Ok((envelope, record))
    }

    fn of_identity(&mut self, core: &Core, envelope: &Envelope) -> Result<Record, String> {
        let signer = signing::signer_row(core, envelope.key_id())
            .filter(|signer| signer.cert.is_none())
            .ok_or("signed by a key without a certificate earlier in the log")?;
        let record = Record::check(envelope, &signer.key).map_err(|e| e.to_string())?;
        let Record::Other(Statement::KeyCert(cert)) = &record else {
            return Err("the identity key signs certificates alone".into());
        };
        let key = PublicKey::from_hex(&cert.public_key).map_err(|e| e.to_string())?;
        if key.id() != cert.key_id || !key.is_ed25519() || cert.site != *core.identity.site() {
            return Err("its certificate is not of the key that it names".into());
        }
        let entry = self.0.entry(cert.key_id.clone());
        entry.or_insert_with(|| (key, Vec::new())).1.push(cert.clone());
        Ok(record)
    }
}

fn may_sign(certs: &[KeyCert], record: &Record) -> Result<(), String> {
    if matches!(record, Record::Other(Statement::KeyCert(_))) {
        return Err("a certificate is signed by the identity key alone".into());
    }
    // What a crash left is signed by the run that finds it, long after it was recorded.
    let recovered = matches!(record, Record::Segment(segment) if segment.recovered);
    let time = dated(record);
    let covered = certs.iter().any(|cert| {
        let begun = cert.not_before <= time || recovered;
        cert.usage == KeyUsage::Records && begun && time <= cert.not_after
    });
    if covered { Ok(()) } else { Err("its key's certificate does not cover it".into()) }
}
