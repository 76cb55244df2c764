//! Policies bent, and what a weak or invented policy would let pass: judged by the published ones.

use custody::Code::{CheckpointInvalid, PolicyMalformed, QuorumNotMet, TimeStampInvalid};
use custody::record::{GapReason, Record, Statement};
use custody::{Code, SiteId, bundle};

use super::files::{file, reseal};
use super::{Case, Given, Who};
use crate::forge::draft::{Cosigner, secret};
use crate::forge::files::{Files, sealed};
use crate::forge::lay::log_vkey;
use crate::forge::world::{AUTHORITY, CONTROLLER_WITNESS, World, east_camera, origin};

fn east() -> SiteId {
    "east".parse().expect("a valid name")
}

pub(super) fn cases() -> Vec<Case> {
    let by = |name, what, expect, make| Case {
        name,
        what,
        who: Who::Controller,
        given: Given::Nothing,
        expect,
        make,
    };
    vec![
        by("policy-removed-resealed", "the policy of a site's log", &[PolicyMalformed], |w| {
            reseal(w, |files| drop(files.remove(&bundle::policy(&east()))))
        }),
        by("policy-garbled-resealed", "a policy without a quorum", &[PolicyMalformed], |w| {
            reseal(w, |files| {
                let text = file(files, &bundle::policy(&east()));
                let cut = text.len() - "quorum enough\n".len();
                text.truncate(cut);
            })
        }),
        by(
            "policy-of-nobody-resealed",
            "a policy that asks for no witness",
            &[QuorumNotMet],
            |w| {
                reseal(w, |files| {
                    let text = String::from_utf8(files[&bundle::policy(&east())].clone());
                    let text =
                        text.expect("a policy is text").replace("quorum enough", "quorum none");
                    files.insert(bundle::policy(&east()), text.into_bytes());
                })
            },
        ),
        by(
            "policy-of-another-log-resealed",
            "a policy that names the other site's log",
            &[Code::KeyUntrusted, CheckpointInvalid, TimeStampInvalid],
            |w| {
                reseal(w, |files| {
                    let west: SiteId = "west".parse().expect("a valid name");
                    let other = files[&bundle::policy(&west)].clone();
                    files.insert(bundle::policy(&east()), other);
                })
            },
        ),
        Case {
            given: Given::Policy,
            ..by(
                "policy-weakened-resealed",
                "a gap rewritten after the fact, witnessed by the controller alone, and \
                 a policy for which that is enough; judged by the published policies",
                &[QuorumNotMet],
                alone,
            )
        },
        Case {
            given: Given::Policy,
            ..by(
                "site-invented-resealed",
                "a whole site invented: identity, keys, log and witnesses; judged by \
                 the published policies",
                &[CheckpointInvalid, TimeStampInvalid],
                invented,
            )
        },
    ]
}

/// The gap rewritten, cosigned by the controller's witness alone, under a policy of it alone.
fn alone(world: &World) -> Files {
    let controller: Vec<Cosigner> =
        world.east.cosigners.iter().filter(|one| one.seed == CONTROLLER_WITNESS).cloned().collect();
    let mut liar = world.clone();
    let gap = liar.east.place(&east_camera(), 43);
    if let Record::Other(Statement::Gap(gap)) = &mut liar.east.entries[gap].record {
        gap.reason = GapReason::AgentStopped;
    }
    liar.east.cosigners = controller.clone();
    let lie = liar.payload();
    reseal(world, |files| {
        for (path, bytes) in lie {
            if path.starts_with("data/proof/east/") {
                files.insert(path, bytes);
            }
        }
        let log = log_vkey(&origin("east"), 21);
        let one = &controller[0];
        let text = format!("log {log}\nwitness {0} {1}\nquorum {0}\n", one.short, one.vkey());
        files.insert(bundle::policy(&east()), text.into_bytes());
    })
}

/// The east as the holder of the authority's key would invent it: every key another one.
fn invented(world: &World) -> Files {
    let mut lie = world.clone();
    lie.east.log_seed = 121;
    for one in &mut lie.east.cosigners {
        one.seed += 100;
    }
    let (was, now) = (secret(21).public(), secret(121).public());
    for entry in &mut lie.east.entries {
        if let Record::Other(Statement::KeyCert(cert)) = &mut entry.record
            && cert.key_id == was.id()
        {
            cert.key_id = now.id();
            cert.public_key = now.to_hex();
        }
    }
    let mut files = lie.payload();
    let log = log_vkey(&origin("east"), 121);
    let mut text = format!("log {log}\n");
    for one in &lie.east.cosigners {
        text += &format!("witness {} {}\n", one.short, one.vkey());
    }
    text += "group each all west south hq controller\nquorum each\n";
    files.insert(bundle::policy(&east()), text.into_bytes());
    // Notes of the controller's log would name the true witnesses: an inventor takes them as they are.
    sealed(&files, &lie.seal, &secret(AUTHORITY))
}
