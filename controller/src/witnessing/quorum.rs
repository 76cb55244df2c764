//! Who must have cosigned a log's checkpoint: the policy of each log, composed of the witnesses that
//! there are. Pure.
//!
//! ```text
//! the other sites     2 of 3, both of two, the one there is   (no group where there is none)
//! the controller      for the sites' logs
//! outside witnesses   any of those configured                  (no group where there is none)
//! quorum              all of these groups
//! ```
//! A site whose witness key was changed has a group of its own, any of whose keys will do, so that
//! what it cosigned before the change still counts.

use custody::log::VerifierKey;
use custody::log::policy::{Group, Policy, Witness};

/// A witness by its keys: the present one, and those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// A word for it within the policy: `site-west`, `controller`, `outside-1`.
    pub word: String,
    /// Its keys, newest first.
    pub keys: Vec<VerifierKey>,
}

/// The policy of the log `log`.
#[must_use]
pub fn compose(
    log: &VerifierKey,
    sites: &[Voice],
    controller: Option<&Voice>,
    outside: &[Voice],
) -> Policy {
    let mut policy = Policy { logs: vec![log.clone()], ..Policy::default() };
    let mut quorum = Vec::new();
    // Two of three let one site be away; of two or one, none may be.
    let of_sites = if sites.len() >= 3 { sites.len() - 1 } else { sites.len() };
    for (name, voices, threshold) in [
        ("sites", sites, of_sites),
        ("controllers", controller.map(std::slice::from_ref).unwrap_or_default(), 1),
        ("outside", outside, 1),
    ] {
        let members: Vec<_> = voices.iter().filter_map(|voice| add(&mut policy, voice)).collect();
        if members.is_empty() {
            continue;
        }
        let threshold = threshold.min(members.len());
        policy.groups.push(Group { name: name.to_owned(), threshold, members });
        quorum.push(name.to_owned());
    }
    if quorum.is_empty() {
        return policy;
    }
    let threshold = quorum.len();
    policy.groups.push(Group { name: "all-kinds".to_owned(), threshold, members: quorum });
    policy.quorum = Some("all-kinds".to_owned());
    policy
}

/// Names a voice's keys in the policy; gives the word by which groups name it.
fn add(policy: &mut Policy, voice: &Voice) -> Option<String> {
    let mut names = Vec::new();
    for (age, key) in voice.keys.iter().enumerate() {
        if policy.witnesses.iter().any(|known| known.vkey.key() == key.key()) {
            continue;
        }
        let name = if voice.keys.len() == 1 {
            voice.word.clone()
        } else {
            format!("{}-key-{}", voice.word, age + 1)
        };
        policy.witnesses.push(Witness { name: name.clone(), vkey: key.clone(), url: None });
        names.push(name);
    }
    match names.len() {
        0 => None,
        1 => names.pop(),
        _ => {
            policy.groups.push(Group { name: voice.word.clone(), threshold: 1, members: names });
            Some(voice.word.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use custody::SecretKey;
    use custody::log::note::Algorithm;

    use super::*;

    fn key(name: &str, seed: u8, algorithm: Algorithm) -> VerifierKey {
        VerifierKey::new(name, algorithm, SecretKey::from_seed(&[seed; 32]).public()).unwrap()
    }

    fn voice(word: &str, seeds: &[u8]) -> Voice {
        let name = format!("{word}.example/witness");
        let keys = seeds.iter().map(|seed| key(&name, *seed, Algorithm::CosignatureV1));
        Voice { word: word.to_owned(), keys: keys.collect() }
    }

    fn log() -> VerifierKey {
        key("east.example/log/1", 1, Algorithm::Ed25519)
    }

    fn enough(policy: &Policy, names: &[&str]) -> bool {
        policy.is_enough(&names.iter().copied().collect::<BTreeSet<_>>())
    }

    #[test]
    fn four_sites_and_a_controller_need_two_sites_and_the_controller() {
        let sites = [voice("hq", &[2]), voice("south", &[3]), voice("west", &[4])];
        let policy = compose(&log(), &sites, Some(&voice("controller", &[5])), &[]);
        assert!(enough(&policy, &["hq", "west", "controller"]));
        assert!(!enough(&policy, &["hq", "south", "west"]));
        assert!(!enough(&policy, &["west", "controller"]));
        assert_eq!(Policy::read(&policy.to_string()).unwrap(), policy);
    }

    #[test]
    fn fewer_sites_are_all_needed_and_none_is_no_group() {
        let policy = compose(&log(), &[voice("hq", &[2]), voice("west", &[4])], None, &[]);
        assert!(enough(&policy, &["hq", "west"]) && !enough(&policy, &["hq"]));
        let policy = compose(&log(), &[], Some(&voice("controller", &[5])), &[]);
        assert!(enough(&policy, &["controller"]) && !enough(&policy, &[]));
        let alone = compose(&log(), &[], None, &[]);
        assert_eq!(alone.quorum, None);
        assert_eq!(Policy::read(&alone.to_string()).unwrap(), alone);
    }

    #[test]
    fn one_outside_witness_of_those_configured_is_needed() {
        let outside = [voice("outside-1", &[6]), voice("outside-2", &[7])];
        let policy = compose(&log(), &[voice("west", &[4])], None, &outside);
        assert!(enough(&policy, &["west", "outside-2"]) && !enough(&policy, &["west"]));
    }

    #[test]
    fn what_a_site_cosigned_before_its_key_was_changed_still_counts() {
        let policy = compose(&log(), &[voice("west", &[8, 4])], None, &[]);
        assert!(enough(&policy, &["west-key-1"]) && enough(&policy, &["west-key-2"]));
        assert!(!enough(&policy, &[]));
        assert_eq!(Policy::read(&policy.to_string()).unwrap(), policy);
    }
}
