//! Proofs, checkpoints, cosignatures and policies bent; logs rolled back and forked; notes from the
//! future; tokens over other data.

use custody::Code::{
    CheckpointInvalid, ForeignCheckpointInvalid, LogForked, LogProofInvalid, LogProofMissing,
    PolicyMalformed, QuorumNotMet, TimeInconsistent, TimeStampInvalid,
};
use custody::log::{Checkpoint, Proof, proof};
use custody::record::Record;
use custody::{Code, Digest, SiteId, bundle};

use super::files::{file, reseal};
use super::records::{retold, told};
use super::{Case, Given, Who};
use crate::forge::draft::{Cosigner, Draft, secret};
use crate::forge::files::{Files, sealed};
use crate::forge::stamp;
use crate::forge::world::{
    AUTHORITY, CONTROLLER_WITNESS, World, at, east_camera, origin, proof_path,
};

fn case(
    name: &'static str,
    what: &'static str,
    who: Who,
    expect: &'static [Code],
    make: fn(&World) -> Files,
) -> Case {
    Case { name, what, who, given: Given::Nothing, expect, make }
}

fn east() -> SiteId {
    "east".parse().expect("a valid name")
}

/// Rewrites the proof of a link.
fn proofs(files: &mut Files, seq: u64, change: impl FnOnce(Proof) -> Vec<u8>) {
    let path = proof_path(&east_camera(), seq);
    let proof = Proof::read(&files[&path]).expect("the world's proofs read");
    files.insert(path, change(proof));
}

/// A note without the lines of these witnesses.
fn without(note: &[u8], names: &[&str]) -> Vec<u8> {
    let text = String::from_utf8(note.to_vec()).expect("a note is text");
    let kept = text.split_inclusive('\n').filter(|line| {
        !names.iter().any(|name| line.starts_with(&format!("— {name}.watchhouse.example/witness ")))
    });
    kept.collect::<String>().into_bytes()
}

fn replace_line(note: &[u8], name: &str, line: &str) -> Vec<u8> {
    let mut bytes = without(note, &[name]);
    bytes.extend_from_slice(line.as_bytes());
    bytes
}

fn anew(proof: &Proof, note: &[u8]) -> Vec<u8> {
    proof::write(proof.index, &proof.path, note)
}

/// The log of the east, told with other entries after `from`.
fn forked(world: &World, from: usize) -> (Draft, crate::forge::draft::Log) {
    let mut draft = world.east.clone();
    if let Record::Segment(segment) = &mut draft.entries[from].record {
        segment.boot_id = "forked".into();
    }
    let log = draft.log(&draft.sign());
    (draft, log)
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = proofs_resealed();
    all.extend(cosignatures());
    all.extend(logs());
    all.extend(policies());
    all.extend(foreign_notes());
    all.extend(stamps());
    all
}

fn proofs_resealed() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by("proof-removed-resealed", "the log proof of a record", &[LogProofMissing], |w| {
            reseal(w, |files| drop(files.remove(&proof_path(&east_camera(), 42))))
        }),
        by(
            "proof-swapped-resealed",
            "the log proofs of two records swapped",
            &[LogProofInvalid],
            |w| {
                reseal(w, |files| {
                    let (a, b) = (proof_path(&east_camera(), 41), proof_path(&east_camera(), 42));
                    let (one, two) = (files[&a].clone(), files[&b].clone());
                    files.insert(a, two);
                    files.insert(b, one);
                })
            },
        ),
        by("proof-index-altered-resealed", "the index in a log proof", &[LogProofInvalid], |w| {
            reseal(w, |files| {
                proofs(files, 42, |p| proof::write(p.index - 1, &p.path, p.checkpoint.bytes()));
            })
        }),
        by("proof-path-cut-resealed", "a hash of a log proof's path", &[LogProofInvalid], |w| {
            reseal(w, |files| {
                proofs(files, 42, |p| proof::write(p.index, &p.path[1..], p.checkpoint.bytes()));
            })
        }),
        by("proof-garbled-resealed", "a log proof that is none", &[LogProofInvalid], |w| {
            reseal(w, |files| {
                files.insert(proof_path(&east_camera(), 42), b"proof\n".to_vec());
            })
        }),
        by(
            "checkpoint-garbled-resealed",
            "a proof whose checkpoint is none",
            &[CheckpointInvalid],
            |w| reseal(w, |files| proofs(files, 42, |p| anew(&p, b"checkpoint\n"))),
        ),
        by(
            "checkpoint-of-another-log-resealed",
            "a checkpoint signed by the other site's log",
            &[CheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| {
                        let mut checkpoint = p.checkpoint.checkpoint().clone();
                        checkpoint.origin = origin("west");
                        anew(&p, &checkpoint.sign(&secret(22)))
                    });
                })
            },
        ),
        by(
            "checkpoint-root-altered-resealed",
            "a checkpoint with another root under the old signatures",
            &[CheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| {
                        let was = p.checkpoint.checkpoint().clone();
                        let now = Checkpoint { root: Digest::NONE, ..was.clone() };
                        let text = String::from_utf8(p.checkpoint.bytes().to_vec()).expect("text");
                        anew(&p, text.replacen(&was.text(), &now.text(), 1).as_bytes())
                    });
                })
            },
        ),
    ]
}

fn cosignatures() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by(
            "good-with-two-of-three",
            "one site's cosignature left out where two are enough",
            &[],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| anew(&p, &without(p.checkpoint.bytes(), &["hq"])));
                })
            },
        ),
        by(
            "cosignatures-below-quorum",
            "the cosignatures of two of three sites",
            &[QuorumNotMet],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| {
                        anew(&p, &without(p.checkpoint.bytes(), &["hq", "south"]))
                    });
                })
            },
        ),
        by(
            "cosignature-of-controller-missing",
            "the controller's cosignature",
            &[QuorumNotMet],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| {
                        anew(&p, &without(p.checkpoint.bytes(), &["controller"]))
                    });
                })
            },
        ),
        by(
            "cosignature-forged",
            "a cosignature under another key in the name of a witness",
            &[CheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    proofs(files, 42, |p| {
                        let note = p.checkpoint.bytes();
                        // The witness's name and key id, over a signature that its key did not make.
                        let mut text = String::from_utf8(note.to_vec()).expect("a note is text");
                        let line = text.find("— hq.").expect("hq has cosigned");
                        let at =
                            line + text[line..].find(".example/witness ").expect("a line") + 50;
                        let now = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
                        text.replace_range(at..=at, now);
                        anew(&p, text.as_bytes())
                    });
                })
            },
        ),
        by(
            "cosignature-of-another-checkpoint",
            "a witness's cosignature of an older checkpoint",
            &[CheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    let draft = &w.east;
                    let log = draft.log(&draft.sign());
                    let older = log.checkpoint(4).cosign(
                        "hq.watchhouse.example/witness",
                        &secret(14),
                        at(40),
                    );
                    proofs(files, 42, |p| {
                        anew(&p, &replace_line(p.checkpoint.bytes(), "hq", &older))
                    });
                })
            },
        ),
        by(
            "cosigned-before-recorded",
            "a checkpoint cosigned an hour before its record ended",
            &[TimeInconsistent],
            |w| {
                told(w, |w| {
                    for one in &mut w.east.cosigners {
                        if one.short == "south" {
                            one.delay_s = -3_600;
                        }
                    }
                })
            },
        ),
        by("good-cosigned-late", "witnesses that were cut off for 41 minutes", &[], |w| {
            told(w, |w| {
                for one in &mut w.east.cosigners {
                    one.delay_s += 41 * 60;
                }
            })
        }),
    ]
}

fn logs() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Site, expect, make);
    vec![
        by(
            "log-rolled-back",
            "a log rolled back to before a segment and grown anew",
            &[QuorumNotMet],
            |w| {
                retold(w, w.east.place(&east_camera(), 44), |w| {
                    let place = w.east.place(&east_camera(), 44);
                    w.east.entries.remove(place - 1);
                })
            },
        ),
        by(
            "log-forked",
            "a record proved in another tree of the same size than a stamped one",
            &[LogForked, QuorumNotMet],
            |w| {
                let from = w.east.place(&east_camera(), 45);
                let (draft, mut fork) = forked(w, from);
                fork.cosigners.clear();
                let lines = draft.sign();
                reseal(w, |files| {
                    let text = files[&bundle::records(&east_camera())].clone();
                    let mut all: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
                    let anew = [lines[from].envelope.bytes(), b"\n"].concat();
                    *all.last_mut().expect("six records") = &anew;
                    let all = all.concat();
                    files.insert(bundle::records(&east_camera()), all);
                    let size = w.east.entries.len();
                    files.insert(proof_path(&east_camera(), 45), fork.proof_at(from, size));
                })
            },
        ),
        by(
            "log-forked-with-the-controller",
            "the same, the controller's witness cosigning both",
            &[LogForked, QuorumNotMet],
            |w| {
                let from = w.east.place(&east_camera(), 45);
                let (draft, mut fork) = forked(w, from);
                fork.cosigners.retain(|one| one.short == "controller");
                let lines = draft.sign();
                reseal(w, |files| {
                    let text = files[&bundle::records(&east_camera())].clone();
                    let mut all: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
                    let anew = [lines[from].envelope.bytes(), b"\n"].concat();
                    *all.last_mut().expect("six records") = &anew;
                    let all = all.concat();
                    files.insert(bundle::records(&east_camera()), all);
                    let size = w.east.entries.len();
                    files.insert(proof_path(&east_camera(), 45), fork.proof_at(from, size));
                })
            },
        ),
        by(
            "logged-out-of-order",
            "a segment logged before the one that it follows",
            &[LogProofInvalid],
            |w| {
                let (a, b) = (w.east.place(&east_camera(), 44), w.east.place(&east_camera(), 45));
                // Signed in the order of the chain, logged in the other.
                let mut lines = w.east.sign();
                let (first, second) = (lines[a].at, lines[b].at);
                lines.swap(a, b);
                (lines[a].at, lines[b].at) = (second, second.max(first));
                let log = w.east.log(&lines);
                reseal(w, |files| {
                    for (seq, place) in [(45, a), (44, b)] {
                        files.insert(proof_path(&east_camera(), seq), log.proof(place));
                    }
                })
            },
        ),
    ]
}

fn policies() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
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
                |w| alone(w),
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
    if let Record::Other(custody::record::Statement::Gap(gap)) = &mut liar.east.entries[gap].record
    {
        gap.reason = custody::record::GapReason::AgentStopped;
    }
    liar.east.cosigners = controller.clone();
    let lie = liar.payload();
    reseal(world, |files| {
        for (path, bytes) in lie {
            if path.starts_with("data/proof/east/") {
                files.insert(path, bytes);
            }
        }
        let log = crate::forge::lay::log_vkey(&origin("east"), 21);
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
        if let Record::Other(custody::record::Statement::KeyCert(cert)) = &mut entry.record
            && cert.key_id == was.id()
        {
            cert.key_id = now.id();
            cert.public_key = now.to_hex();
        }
    }
    let mut files = lie.payload();
    let log = crate::forge::lay::log_vkey(&origin("east"), 121);
    let mut text = format!("log {log}\n");
    for one in &lie.east.cosigners {
        text += &format!("witness {} {}\n", one.short, one.vkey());
    }
    text += "group each all west south hq controller\nquorum each\n";
    files.insert(bundle::policy(&east()), text.into_bytes());
    // Notes of the controller's log would name the true witnesses: an inventor takes them as they are.
    sealed(&files, &lie.seal, &secret(AUTHORITY))
}

/// Makes segment 45 name another foreign checkpoint, and lays that note out.
fn foreign(world: &World, change: impl FnOnce(&mut custody::manifest::ForeignCheckpoint)) -> Files {
    told(world, |w| {
        let place = w.east.place(&east_camera(), 45);
        if let Record::Segment(segment) = &mut w.east.entries[place].record
            && let Some(named) = &mut segment.foreign_checkpoint
        {
            change(named);
        }
    })
}

fn foreign_notes() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Site, expect, make);
    vec![
        by(
            "foreign-note-from-the-future",
            "a segment that names a checkpoint cosigned an hour after its end: \
             signed later than it says",
            &[TimeInconsistent],
            |w| {
                let mut later = w.clone();
                for one in &mut later.controller_cosigners {
                    one.delay_s += 3_600;
                }
                let log = later.controller_log();
                let named = log.foreign(5);
                let digest = named.note_sha256;
                let told = foreign(w, |foreign| *foreign = named);
                let mut payload: Files =
                    told.into_iter().filter(|(path, _)| path.starts_with("data/")).collect();
                payload.insert(bundle::foreign_note(&east(), digest), log.note(5));
                sealed(&payload, &w.seal, &secret(AUTHORITY))
            },
        ),
        by(
            "foreign-note-misquoted",
            "a segment that names a checkpoint with another root",
            &[ForeignCheckpointInvalid],
            |w| foreign(w, |foreign| foreign.root = Digest::NONE),
        ),
        by(
            "foreign-note-of-own-log",
            "a segment that names a checkpoint of its own site's log",
            &[ForeignCheckpointInvalid],
            |w| {
                let log = w.east.log(&w.east.sign());
                let named = log.foreign(6);
                let digest = named.note_sha256;
                let told = foreign(w, |foreign| *foreign = named);
                let mut payload: Files =
                    told.into_iter().filter(|(path, _)| path.starts_with("data/")).collect();
                payload.insert(bundle::foreign_note(&east(), digest), log.note(6));
                sealed(&payload, &w.seal, &secret(AUTHORITY))
            },
        ),
        case(
            "foreign-note-removed-resealed",
            "a checkpoint that segments name",
            Who::Controller,
            &[ForeignCheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    let digest = w.controller_log().foreign(5).note_sha256;
                    files.remove(&bundle::foreign_note(&east(), digest));
                })
            },
        ),
        case(
            "foreign-note-replaced-resealed",
            "another checkpoint under the name of one",
            Who::Controller,
            &[ForeignCheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    let log = w.controller_log();
                    let path = bundle::foreign_note(&east(), log.foreign(5).note_sha256);
                    files.insert(path, log.note(7));
                })
            },
        ),
    ]
}

fn stamps() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    fn size(w: &World) -> u64 {
        u64::try_from(w.east.entries.len()).expect("a short log")
    }
    vec![
        by(
            "token-over-other-data",
            "a time stamp token over another checkpoint",
            &[TimeStampInvalid],
            |w| {
                reseal(w, |files| {
                    let other = stamp::token(b"another note", at(90));
                    files.insert(bundle::stamp(&east(), size(w)), other);
                })
            },
        ),
        by("token-garbled", "a time stamp token that is none", &[TimeStampInvalid], |w| {
            reseal(w, |files| {
                let token = file(files, &bundle::stamp(&east(), size(w)));
                token.truncate(40);
            })
        }),
        by("token-removed", "a time stamp token, its checkpoint left", &[TimeStampInvalid], |w| {
            reseal(w, |files| drop(files.remove(&bundle::stamp(&east(), size(w)))))
        }),
        by(
            "token-older-than-its-note",
            "a token from before its checkpoint was cosigned",
            &[TimeInconsistent],
            |w| {
                reseal(w, |files| {
                    let note = files[&bundle::stamped_note(&east(), size(w))].clone();
                    files.insert(bundle::stamp(&east(), size(w)), stamp::token(&note, at(-3_600)));
                })
            },
        ),
        by(
            "stamped-note-of-another-size",
            "a stamped checkpoint under the name of another size",
            &[TimeStampInvalid],
            |w| {
                reseal(w, |files| {
                    let note =
                        files.remove(&bundle::stamped_note(&east(), size(w))).expect("stamped");
                    let token = files.remove(&bundle::stamp(&east(), size(w))).expect("stamped");
                    files.insert(bundle::stamped_note(&east(), 7), note);
                    files.insert(bundle::stamp(&east(), 7), token);
                })
            },
        ),
    ]
}
