//! The sites' keys that are not believed any more, and their logs. Pure.
//!
//! What a revoked key signed is believed where it stands in a log below the size that witnesses had
//! cosigned when it was revoked; see `custody::record::Revoked`.

use custody::record::Revoked;
use custody::{KeyId, SiteId, WallTime};

use super::{Registry, site};
use crate::access::{Code, Refusal};
use crate::limits;
use crate::log::Event;
use crate::log::event::logs::{Contradiction, LogBegan, LogContradicted};
use crate::log::event::sites::KeyRevoked;

/// Decides that a key is not believed any more. Who asks has made sure that the site has it.
///
/// # Errors
/// `site-unknown`, `key-revoked` (already), `busy` (too many).
pub fn revoke(
    registry: &Registry,
    site: &SiteId,
    key_id: &KeyId,
    lines: &[Revoked],
) -> Result<Vec<Event>, Refusal> {
    let entry = registry.sites.get(site).ok_or_else(|| site::unknown(site))?;
    if entry.revoked_keys.iter().any(|revoked| revoked.key_id == *key_id) {
        return Err(Refusal::new(
            Code::KeyRevoked,
            format!("key {key_id} of site {site} is not believed any more already"),
        ));
    }
    if entry.revoked_keys.len() + lines.len() > limits::REVOKED_KEYS {
        return Err(Refusal::new(
            Code::Busy,
            format!("site {site} has too many revoked keys: enrol it under another name"),
        ));
    }
    let event = KeyRevoked { site: site.clone(), key_id: key_id.clone(), lines: lines.to_vec() };
    Ok(vec![Event::KeyRevoked(event)])
}

/// Decides that a site has begun a log; nothing when that is known.
///
/// # Errors
/// `site-unknown`.
pub fn begin_log(registry: &Registry, site: &SiteId, vkey: &str) -> Result<Vec<Event>, Refusal> {
    let entry = registry.sites.get(site).ok_or_else(|| site::unknown(site))?;
    if entry.logs.iter().any(|known| known == vkey) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::LogBegan(LogBegan { site: site.clone(), vkey: vkey.to_owned() })])
}

/// Decides that a site's log contradicts itself; nothing when this proof is known.
///
/// # Errors
/// `site-unknown`.
pub fn contradict(registry: &Registry, found: &Contradiction) -> Result<Vec<Event>, Refusal> {
    let entry = registry.sites.get(&found.site).ok_or_else(|| site::unknown(&found.site))?;
    let is_known = |known: &Contradiction| known.proof == found.proof && known.kind == found.kind;
    if entry.contradicted.as_ref().is_some_and(|(_, known)| is_known(known)) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::LogContradicted(LogContradicted { found: found.clone() })])
}

pub(super) fn apply_revoked(registry: &mut Registry, event: &KeyRevoked) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    entry.revoked_keys.extend(event.lines.iter().cloned());
}

pub(super) fn apply_began(registry: &mut Registry, event: &LogBegan) {
    let entry = registry.sites.entry(event.site.clone()).or_default();
    entry.logs.push(event.vkey.clone());
}

pub(super) fn apply_contradicted(registry: &mut Registry, event: &LogContradicted, at: WallTime) {
    let entry = registry.sites.entry(event.found.site.clone()).or_default();
    entry.contradicted = Some((at, event.found.clone()));
}

#[cfg(test)]
mod tests {
    use super::super::SiteEntry;
    use super::*;
    use crate::log::event::logs::ContradictionKind;

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.sites.insert("east".parse().unwrap(), SiteEntry::default());
        registry
    }

    fn line(key: &str) -> Revoked {
        Revoked {
            key_id: KeyId(key.to_owned()),
            at: WallTime(1),
            origin: "east.force.example/log/00000001".to_owned(),
            log_size: 7,
        }
    }

    #[test]
    fn a_key_is_revoked_once_and_its_line_stays() {
        let mut registry = registry();
        let east = "east".parse().unwrap();
        let key = KeyId("21fe31dfa154a261".to_owned());
        let events = revoke(&registry, &east, &key, &[line(&key.0)]).unwrap();
        let [Event::KeyRevoked(event)] = &events[..] else { panic!("{events:?}") };
        apply_revoked(&mut registry, event);
        let again = revoke(&registry, &east, &key, &[line(&key.0)]).unwrap_err();
        assert_eq!(again.code(), Code::KeyRevoked);
        assert_eq!(registry.sites[&east].revoked_keys, [line(&key.0)]);
        let unknown = revoke(&registry, &"west".parse().unwrap(), &key, &[]).unwrap_err();
        assert_eq!(unknown.code(), Code::SiteUnknown);
    }

    #[test]
    fn what_is_known_of_a_log_is_kept_once() {
        let mut registry = registry();
        let east: SiteId = "east".parse().unwrap();
        let began = begin_log(&registry, &east, "east.force.example/log/1+k").unwrap();
        let [Event::LogBegan(event)] = &began[..] else { panic!("{began:?}") };
        apply_began(&mut registry, event);
        assert_eq!(begin_log(&registry, &east, "east.force.example/log/1+k").unwrap(), []);

        let found = Contradiction {
            site: east,
            origin: "east.force.example/log/1".to_owned(),
            kind: ContradictionKind::Fork,
            size: 5,
            detail: "two roots".to_owned(),
            proof: "east-00".to_owned(),
        };
        let kept = contradict(&registry, &found).unwrap();
        let [Event::LogContradicted(event)] = &kept[..] else { panic!("{kept:?}") };
        apply_contradicted(&mut registry, event, WallTime(9));
        assert_eq!(contradict(&registry, &found).unwrap(), []);
        let other = Contradiction { proof: "east-01".to_owned(), ..found };
        assert_eq!(contradict(&registry, &other).unwrap().len(), 1);
    }
}
