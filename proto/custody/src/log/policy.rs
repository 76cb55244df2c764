//! Which witnesses are enough (C2SP tlog-policy): logs, witnesses, groups with thresholds, a quorum.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <member>…
//! quorum <name>|none
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::note::{Algorithm, Cosignature, SignedCheckpoint, VerifierKey};
use crate::refusal::{Code, Refusal};

/// A policy longer than this is refused unread: 1,000 sites' witnesses at 150 bytes, doubled.
pub const POLICY_BYTES_MAX: usize = 300 << 10;

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name within the policy.
    pub name: String,
    /// Its key.
    pub vkey: VerifierKey,
    /// Where it answers, if that is of use.
    pub url: Option<String>,
}

/// A group of witnesses or groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name within the policy.
    pub name: String,
    /// How many of its members must have witnessed.
    pub threshold: usize,
    /// Witnesses and groups named before it.
    pub members: Vec<String>,
}

/// Which logs are believed under whose witness.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// The logs; empty: whichever is known from elsewhere.
    pub logs: Vec<VerifierKey>,
    /// The witnesses, in order.
    pub witnesses: Vec<Witness>,
    /// The groups, each after its members.
    pub groups: Vec<Group>,
    /// The witness or group that decides; none: no cosignature is needed.
    pub quorum: Option<String>,
}

/// What the witnesses of a policy say of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Cosignatures that fit, in the policy's order.
    pub by: Vec<Cosignature>,
    /// Whether they are enough.
    pub quorum: bool,
    /// When they were first enough, by the witnesses' clocks; none if they are not, or none is
    /// needed.
    pub quorum_at: Option<crate::time::WallTime>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// `policy-malformed`, with the line.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(Refusal::new(Code::PolicyMalformed, "the policy is longer than 300 kB"));
        }
        let mut reading = Reading::default();
        for (number, line) in text.split('\n').enumerate() {
            reading.line(line).map_err(|why| {
                Refusal::new(Code::PolicyMalformed, format!("line {}: {why}", number + 1))
            })?;
        }
        if !reading.has_quorum {
            return Err(Refusal::new(Code::PolicyMalformed, "no quorum line"));
        }
        Ok(reading.policy)
    }

    /// What this policy's witnesses say of a checkpoint.
    #[must_use]
    pub fn witnessed(&self, checkpoint: &SignedCheckpoint) -> Witnessed {
        // By the policy's own names, which are unique: two keys may bear one name in notes.
        let cosigned: Vec<(&str, Cosignature)> = self
            .witnesses
            .iter()
            .filter_map(|w| Some((w.name.as_str(), checkpoint.cosignature(&w.vkey)?)))
            .collect();
        let mut times: Vec<_> = cosigned.iter().map(|(_, cosignature)| cosignature.at).collect();
        times.sort_unstable();
        let enough = |until| {
            let until = cosigned.iter().filter(|(_, cosignature)| cosignature.at <= until);
            self.is_enough(&until.map(|(name, _)| *name).collect())
        };
        let quorum_at = times.into_iter().find(|at| enough(*at));
        let quorum = self.quorum.is_none() || quorum_at.is_some();
        let by = cosigned.into_iter().map(|(_, cosignature)| cosignature).collect();
        Witnessed { by, quorum, quorum_at: self.quorum.as_ref().and(quorum_at) }
    }

    /// Whether these witnesses, by their names within the policy, meet the quorum.
    #[must_use]
    pub fn is_enough(&self, cosigned: &BTreeSet<&str>) -> bool {
        let Some(quorum) = &self.quorum else { return true };
        let mut holds: BTreeMap<&str, bool> = self
            .witnesses
            .iter()
            .map(|w| (w.name.as_str(), cosigned.contains(w.name.as_str())))
            .collect();
        for group in &self.groups {
            let met = group.members.iter().filter(|m| holds.get(m.as_str()) == Some(&true));
            let met = met.count() >= group.threshold;
            holds.insert(&group.name, met);
        }
        holds.get(quorum.as_str()) == Some(&true)
    }
}

#[derive(Default)]
struct Reading {
    policy: Policy,
    names: BTreeSet<String>,
    members: BTreeSet<String>,
    has_quorum: bool,
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a control character".into());
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", vkey] | ["log", vkey, _] => self.log(vkey),
            ["witness", name, vkey] => self.witness(name, vkey, None),
            ["witness", name, vkey, url] => self.witness(name, vkey, Some(url)),
            ["group", name, threshold, members @ ..] => self.group(name, threshold, members),
            ["quorum", name] => self.quorum(name),
            _ => Err("neither log, witness, group nor quorum".into()),
        }
    }

    fn vkey(vkey: &str, algorithm: Algorithm) -> Result<VerifierKey, String> {
        let vkey: VerifierKey = vkey.parse().map_err(|bad| format!("{bad}"))?;
        if vkey.algorithm() == algorithm { Ok(vkey) } else { Err("a key of the wrong type".into()) }
    }

    fn log(&mut self, vkey: &str) -> Result<(), String> {
        let vkey = Self::vkey(vkey, Algorithm::Ed25519)?;
        if self.policy.logs.iter().any(|log| log.key() == vkey.key()) {
            return Err("the log's key stands twice".into());
        }
        self.policy.logs.push(vkey);
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        if name == "none" || !self.names.insert(name.to_owned()) {
            return Err(format!("the name {name:.60} stands twice or is none"));
        }
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&str>) -> Result<(), String> {
        let vkey = Self::vkey(vkey, Algorithm::CosignatureV1)?;
        if self.policy.witnesses.iter().any(|w| w.vkey.key() == vkey.key()) {
            return Err("the witness's key stands twice".into());
        }
        self.name(name)?;
        let url = url.map(str::to_owned);
        self.policy.witnesses.push(Witness { name: name.to_owned(), vkey, url });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            number => number.parse().map_err(|_| "a threshold is all, any or a number")?,
        };
        if threshold == 0 || threshold > members.len() {
            return Err("a group's threshold lies between 1 and its members".into());
        }
        for member in members {
            if !self.names.contains(*member) {
                return Err(format!("{member:.60} is not named before"));
            }
            if !self.members.insert((*member).to_owned()) {
                return Err(format!("{member:.60} is a member twice"));
            }
        }
        self.name(name)?;
        let members = members.iter().map(|m| (*m).to_owned()).collect();
        self.policy.groups.push(Group { name: name.to_owned(), threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.has_quorum {
            return Err("a second quorum line".into());
        }
        if name != "none" && !self.names.contains(name) {
            return Err(format!("{name:.60} is not named before"));
        }
        self.has_quorum = true;
        self.policy.quorum = (name != "none").then(|| name.to_owned());
        Ok(())
    }
}

impl fmt::Display for Policy {
    /// The policy file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        for log in &self.logs {
            writeln!(out, "log {log}")?;
        }
        for Witness { name, vkey, url } in &self.witnesses {
            let url = url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
            writeln!(out, "witness {name} {vkey}{url}")?;
        }
        for Group { name, threshold, members } in &self.groups {
            writeln!(out, "group {name} {threshold} {}", members.join(" "))?;
        }
        writeln!(out, "quorum {}", self.quorum.as_deref().unwrap_or("none"))?;
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Digest;
    use crate::keys::SecretKey;
    use crate::log::note::Checkpoint;
    use crate::time::WallTime;

    fn witness(name: &str, seed: u8) -> String {
        let key = SecretKey::from_seed(&[seed; 32]).public();
        let vkey = VerifierKey::new(&format!("{name}/w"), Algorithm::CosignatureV1, key).unwrap();
        format!("witness {name} {vkey}\n")
    }

    fn text() -> String {
        let sites = ["west", "south", "hq"];
        let mut text = "# the other sites, and someone outside\n".to_owned();
        for (name, seed) in sites.iter().chain(&["pcc"]).zip(1..) {
            text += &witness(name, seed);
        }
        text + "group sites 2 west south hq\ngroup both all sites pcc\nquorum both\n"
    }

    #[test]
    fn a_quorum_is_met_by_enough_of_each_group() {
        let policy = Policy::read(&text()).unwrap();
        for (names, enough) in [
            (vec![], false),
            (vec!["west", "south", "hq"], false),
            (vec!["west", "pcc"], false),
            (vec!["west", "hq", "pcc"], true),
        ] {
            assert_eq!(policy.is_enough(&names.iter().copied().collect()), enough, "{names:?}");
        }
        assert_eq!(Policy::read(&policy.to_string()).unwrap(), policy);
        assert!(Policy::read("quorum none\n").unwrap().is_enough(&BTreeSet::new()));
    }

    #[test]
    fn the_quorum_is_as_old_as_the_cosignature_that_met_it() {
        let policy = Policy::read(&text()).unwrap();
        let checkpoint = Checkpoint { origin: "l".into(), size: 1, root: Digest::NONE };
        let mut note = checkpoint.sign(&SecretKey::from_seed(&[9; 32]));
        for (name, seed, second) in
            [("west", 1, 30), ("pcc", 4, 20), ("hq", 3, 50), ("south", 2, 60)]
        {
            let at = WallTime(0).plus_seconds(second);
            let line =
                checkpoint.cosign(&format!("{name}/w"), &SecretKey::from_seed(&[seed; 32]), at);
            note.extend(line.as_bytes());
        }
        let witnessed = policy.witnessed(&SignedCheckpoint::read(&note).unwrap());
        assert_eq!((witnessed.by.len(), witnessed.quorum), (4, true));
        assert_eq!(witnessed.quorum_at, Some(WallTime(0).plus_seconds(50)));
    }

    #[test]
    fn one_cosignature_counts_once_where_two_keys_bear_one_name() {
        let keys = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let mut text = String::new();
        for (name, key) in ["one", "two"].iter().zip(&keys) {
            let vkey = VerifierKey::new("same/w", Algorithm::CosignatureV1, key.public()).unwrap();
            text += &format!("witness {name} {vkey}\n");
        }
        let policy = Policy::read(&(text + "group both all one two\nquorum both\n")).unwrap();
        let checkpoint = Checkpoint { origin: "l".into(), size: 1, root: Digest::NONE };
        let mut note = checkpoint.sign(&SecretKey::from_seed(&[9; 32]));
        for (key, quorum) in keys.iter().zip([false, true]) {
            note.extend(checkpoint.cosign("same/w", key, WallTime(5_000_000)).as_bytes());
            let read = SignedCheckpoint::read(&note).unwrap();
            assert_eq!(policy.witnessed(&read).quorum, quorum);
        }
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_refused_with_its_line() {
        let good = text();
        for (from, to, line) in [
            ("quorum both\n", "", "no quorum"),
            ("quorum both", "quorum nobody", "line 8"),
            ("quorum both", "quorum both\nquorum both", "line 9"),
            ("2 west", "4 west", "line 6"),
            ("2 west", "0 west", "line 6"),
            ("sites pcc", "sites west", "line 7"),
            ("witness hq", "witness west", "line 4"),
            ("quorum both", "forum both", "line 8"),
        ] {
            let refusal = Policy::read(&good.replace(from, to)).unwrap_err();
            assert_eq!(refusal.code(), Code::PolicyMalformed);
            assert!(refusal.what().contains(line), "{to}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(words in "(log|witness|group|quorum|none|all|[a-z0-9+ \n]){0,20}") {
            let _verdict = Policy::read(&words);
        }
    }
}
