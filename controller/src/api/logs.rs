//! The logs for people: how each is witnessed, what is wrong, and up to where a key is believed.

use custody::record::Revoked;
use custody::{KeyId, SiteId};
use proto::v1;

use super::Parts;
use crate::access::{Code, Refusal};
use crate::limits;
use crate::registry::SiteEntry;
use crate::witnessing::standing::LogStanding;

/// A log on the wire.
pub(super) fn log(standing: LogStanding) -> v1::Log {
    let (quorum_size, quorum_us) = standing.quorum.map_or((0, 0), |(size, at)| (size, at.0));
    let witnesses = standing.witnesses.into_iter().map(|witness| v1::LogWitness {
        name: witness.name,
        kind: witness.kind.to_owned(),
        connected: witness.connected,
        cosigned: witness.cosigned,
        trouble: witness.trouble,
    });
    v1::Log {
        origin: standing.origin,
        vkey: standing.vkey,
        site: standing.site.map(|site| site.to_string()).unwrap_or_default(),
        size: standing.size,
        quorum_size,
        quorum_us,
        // Never at all reads as very late, and not as in time.
        late_since_us: standing.late_since.map_or(0, |since| since.0.max(1)),
        policy: standing.policy,
        witnesses: witnesses.collect(),
    }
}

/// What is wrong with the controller's own log, witnesses and time stamps.
pub(super) fn alarms(parts: &Parts) -> Vec<String> {
    let mut alarms = parts.witnessing.troubles();
    let now = parts.ledger.clock().now();
    for log in parts.witnessing.standing() {
        let is_late = log.late_since.is_some_and(|since| {
            since.plus_seconds(limits::WITNESS_LATE_S) < now && !log.witnesses.is_empty()
        });
        if is_late {
            let covered = log.quorum.map_or(0, |(size, _)| size);
            alarms.push(format!(
                "{} entries of log {} are not cosigned by enough witnesses; see `watchhouse logs`",
                log.size.saturating_sub(covered),
                log.origin
            ));
        }
        for witness in log.witnesses.iter().filter(|w| w.trouble.contains("fork")) {
            alarms.push(format!("log {}: witness {} refused a fork", log.origin, witness.name));
        }
    }
    alarms
}

/// How a site's log contradicts itself; empty when it does not, or when it has begun a new one.
pub(super) fn alarm(entry: &SiteEntry) -> String {
    let Some((at, found)) = &entry.contradicted else { return String::new() };
    let is_present = |vkey: &String| vkey.starts_with(&format!("{}+", found.origin));
    if !entry.logs.last().is_none_or(is_present) {
        return String::new();
    }
    format!("{at}: {found}; its proof is in the controller's forks/{}", found.proof)
}

/// Up to where a key of a site is still believed when it is revoked now: what the quorum has cosigned
/// of the log in which it stands, for an identity key of the site's present one.
///
/// # Errors
/// `site-unknown`, `key-unknown`, `log-broken` where what is kept of witnessing does not read.
pub(super) fn line(parts: &Parts, site: &SiteId, key: &KeyId) -> Result<Revoked, Refusal> {
    let unread = |error: &dyn std::fmt::Display| Refusal::new(Code::Busy, error.to_string());
    let is_identity = parts.ledger.read(|state| {
        let entry = state.registry.site(site).ok_or_else(|| {
            Refusal::new(Code::SiteUnknown, format!("there is no site {site}: list the sites"))
        })?;
        Ok(entry.evidence_keys.iter().any(|(_, known)| known.id() == *key))
    })?;
    let mirror = parts.fleet.mirror();
    let origins = mirror.origins(site);
    let mut of_key = None;
    for origin in &origins {
        if is_identity || mirror.cert(origin, key).map_err(|error| unread(&error))?.is_some() {
            of_key = Some(origin.clone());
        }
    }
    if of_key.is_none() && !is_identity {
        return Err(Refusal::new(
            Code::KeyUnknown,
            format!("site {site} has no key {key:.40}: take it from a record or the site's grant"),
        ));
    }
    // Without a log nothing was ever witnessed, and nothing is believed.
    let origin = of_key.unwrap_or_default();
    let kept = parts.witnessing.book().quorum(&origin).map_err(|error| unread(&error))?;
    let log_size = kept.map_or(0, |kept| kept.size);
    Ok(Revoked { key_id: key.clone(), at: parts.ledger.clock().now(), origin, log_size })
}
