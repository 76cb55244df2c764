//! The custody record against the controller's log: each line is the event that the log commits to.
//! Section 13 of CHECKS.md.

use std::collections::BTreeSet;

use custody::bundle::AuditLine;
use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::log::entry;
use custody::record::{KeyUsage, Record, Statement};
use custody::{Code, Refusal, bundle};

use crate::bag::Bag;
use crate::logbook::{LogKey, Logs, Shown, Sought};
use crate::place::Layout;
use crate::report::{LogReport, Report};
use crate::site::{CONTROLLER, Trust, certified_key};
use crate::statement::trusted_record;

/// A case has some hundred events of about 500 bytes.
const AUDIT_BYTES_MAX: u64 = 64 << 20;

/// Checks the custody record.
pub fn check(bag: &Bag, layout: &Layout, trust: &Trust, shown: &mut Shown, report: &mut Report) {
    let key = match log_key(bag, trust) {
        Ok(key) => Some(key),
        Err(refusal) => {
            report.refuse(refusal.at(bundle::CONTROLLER_LOG_KEY));
            None
        }
    };
    let certified: Vec<_> = key.into_iter().collect();
    let (policy, given) = trust.policy_or(bag, bundle::CONTROLLER_POLICY, report);
    let logs = Logs::new(&certified, policy, given, report);
    let mut summary = LogReport::new(&logs);
    if let Err(refusal) = lines(bag, layout, &logs, shown, &mut summary, report) {
        report.refuse(refusal);
    }
    report.custody = Some(summary);
}

/// The key of the controller's log, as the authority certifies it.
fn log_key(bag: &Bag, trust: &Trust) -> Result<LogKey, Refusal> {
    let untrusted = |why: &str| Refusal::new(Code::KeyUntrusted, why);
    let path = bundle::CONTROLLER_LOG_KEY;
    if !bag.has(path) {
        return Err(Refusal::new(Code::FileMissing, "there is none"));
    }
    let bytes = bag
        .read(path, ENVELOPE_BYTES_MAX as u64)
        .ok_or_else(|| Refusal::new(Code::RecordMalformed, "it is too long"))?;
    let envelope = Envelope::read(&bytes)?;
    let Record::Other(Statement::KeyCert(cert)) = trusted_record(&envelope, &trust.authority)?
    else {
        return Err(untrusted("this is a statement about something else than a key"));
    };
    let key = certified_key(&cert)
        .filter(|_| cert.usage == KeyUsage::Log && cert.site.as_str() == CONTROLLER);
    key.zip(cert.name.as_deref())
        .and_then(|(key, name)| LogKey::new(name, &key))
        .ok_or_else(|| untrusted("it is not about a key of the controller's log"))
}

fn lines(
    bag: &Bag,
    layout: &Layout,
    logs: &Logs,
    shown: &mut Shown,
    summary: &mut LogReport,
    report: &mut Report,
) -> Result<(), Refusal> {
    let path = bundle::AUDIT_PLACES;
    let altered = |what: String| Refusal::new(Code::CustodyAltered, what);
    if !bag.has(path) {
        return Err(Refusal::new(Code::FileMissing, path));
    }
    let openings: Vec<AuditLine> = bag
        .read(path, AUDIT_BYTES_MAX)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| altered(format!("{path} does not read")))?;
    if openings.windows(2).any(|pair| pair[0].position >= pair[1].position) {
        return Err(altered(format!("{path}: its positions do not ascend")));
    }
    let known: BTreeSet<u64> = openings.iter().map(|one| one.position).collect();
    for position in layout.positions.difference(&known) {
        report.refuse(Refusal::new(
            Code::FileUnexpected,
            format!("{} is of no line", bundle::audit_proof(*position)),
        ));
    }
    if !bag.has(bundle::AUDIT) {
        return Ok(()); // already said
    }
    let text = bag
        .read(bundle::AUDIT, AUDIT_BYTES_MAX)
        .ok_or_else(|| altered(format!("{} is too long", bundle::AUDIT)))?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let bodies: Vec<_> =
        if text.is_empty() { Vec::new() } else { text.split(|byte| *byte == b'\n').collect() };
    if bodies.len() != openings.len() {
        report.refuse(altered(format!(
            "{} has {} lines, {path} has {}",
            bundle::AUDIT,
            bodies.len(),
            openings.len()
        )));
    }
    for (opening, body) in openings.iter().zip(bodies) {
        let entry = entry::event(&opening.salt.0, body);
        let sought = Sought {
            entry: &entry,
            proof: bundle::audit_proof(opening.position),
            end: None,
            index: Some(opening.position),
            other_entry: Code::CustodyAltered,
        };
        let found = logs.find(bag, &sought, shown, report);
        summary.add(found.as_ref(), None);
    }
    Ok(())
}
