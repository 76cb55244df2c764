//! The witnesses of the good world, and the policies that name them.

use custody::log::{Policy, VerifierKey};

use super::draft::Cosigner;
use super::world::CONTROLLER_WITNESS;

/// The sites' witnesses.
const SITE_WITNESSES: [(&str, u8); 4] = [("east", 11), ("west", 12), ("south", 13), ("hq", 14)];

fn site_witness(short: &'static str, seed: u8, delay_s: i64) -> Cosigner {
    Cosigner { short, name: format!("{short}.watchhouse.example/witness"), seed, delay_s }
}

/// The witnesses of a log: the sites but its own, then the controller unless it is its own.
#[must_use]
pub fn cosigners(own: &str) -> Vec<Cosigner> {
    let sites = SITE_WITNESSES.iter().zip(0..).filter(|((name, _), _)| *name != own);
    let mut all: Vec<_> = sites.map(|((name, seed), n)| site_witness(name, *seed, n)).collect();
    if own != "controller" {
        all.push(site_witness("controller", CONTROLLER_WITNESS, 1));
    }
    all
}

/// The policy of a log as the controller composes it.
#[must_use]
pub fn policy(own: &str, log: &VerifierKey) -> Policy {
    let mut text = format!("log {log}\n");
    let witnesses = cosigners(own);
    for one in &witnesses {
        text += &format!("witness {} {}\n", one.short, one.vkey());
    }
    let sites: Vec<_> =
        witnesses.iter().map(|one| one.short).filter(|short| *short != "controller").collect();
    text += &format!("group sites 2 {}\n", sites.join(" "));
    text += if own == "controller" {
        "quorum sites\n"
    } else {
        "group enough all sites controller\nquorum enough\n"
    };
    Policy::read(&text).expect("the policy is well formed")
}
