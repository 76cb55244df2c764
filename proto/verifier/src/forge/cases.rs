//! The mutation corpus: each way to bend the good bundle, who could do it, and what must be found.
//!
//! | who | holds |
//! |---|---|
//! | nobody | no key; edits files, and at most makes manifests anew |
//! | site | the site's present keys: its identity, its keys for records, its log; the bundle is then made in good faith |
//! | controller | the authority's key, the controller's log and witness; makes manifests and statements anew |
//!
//! A thief with yesterday's key is `site` with an old or a revoked one.

use std::collections::BTreeSet;

use custody::Code;
use custody::log::Policy;

use super::files::Files;
use super::lay::log_vkey;
use super::world::{self, World};

mod custody_record;
mod files;
mod keys;
mod log;
mod records;

/// Who bends the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anyone.
    Nobody,
    /// The site's administrator, or who stole the site's keys.
    Site,
    /// The controller's administrator.
    Controller,
}

impl Who {
    /// As `expected.json` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Site => "site",
            Self::Controller => "controller",
        }
    }
}

/// What the verifier is given beside the folder and the authority's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing.
    Nothing,
    /// The published policies of every log.
    Policy,
    /// The newest published statements about sites' keys.
    Statements,
}

/// One bundle of the corpus.
pub struct Case {
    /// Its folder.
    pub name: &'static str,
    /// What was done.
    pub what: &'static str,
    /// By whom.
    pub who: Who,
    /// What the verifier is given.
    pub given: Given,
    /// Every code that must be found; none: it is good.
    pub expect: &'static [Code],
    /// Makes the folder.
    pub make: fn(&World) -> Files,
}

impl Case {
    /// Every code that must be found, in the order of the closed list.
    #[must_use]
    pub fn codes(&self) -> BTreeSet<Code> {
        self.expect.iter().copied().collect()
    }
}

/// Every case, the good ones first.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = vec![
        Case {
            name: "good",
            what: "nothing: two sites, two cameras, a gap, a rotation, a revoked older key",
            who: Who::Nobody,
            given: Given::Nothing,
            expect: &[],
            make: World::folder,
        },
        Case {
            name: "good-by-published-policy",
            what: "nothing, judged by the published policies",
            who: Who::Nobody,
            given: Given::Policy,
            expect: &[],
            make: World::folder,
        },
        Case {
            name: "good-by-published-statements",
            what: "nothing, judged with the newest published statements",
            who: Who::Nobody,
            given: Given::Statements,
            expect: &[],
            make: World::folder,
        },
    ];
    all.extend(files::cases());
    all.extend(records::cases());
    all.extend(keys::cases());
    all.extend(log::cases());
    all.extend(custody_record::cases());
    all
}

/// The policy of every log in one file, as published: any of them by three of the four sites.
#[must_use]
pub fn published_policy() -> Policy {
    let mut text = String::new();
    for (site, seed) in [("east", 21), ("west", 22), ("controller", world::CONTROLLER_LOG)] {
        text += &format!("log {}\n", log_vkey(&world::origin(site), seed));
    }
    let mut names = Vec::new();
    for one in world::cosigners("nobody") {
        if one.short != "controller" {
            text += &format!("witness {} {}\n", one.short, one.vkey());
            names.push(one.short);
        }
    }
    text += &format!("group sites 2 {}\nquorum sites\n", names.join(" "));
    Policy::read(&text).expect("the policy is well formed")
}

/// The newest statements about sites' keys, as published.
#[must_use]
pub fn published_statements(world: &World) -> Vec<u8> {
    let payload = world.payload();
    let grants = payload.iter().filter(|(path, _)| path.ends_with("/key.dsse.jsonl"));
    grants.flat_map(|(_, lines)| lines.clone()).collect()
}
