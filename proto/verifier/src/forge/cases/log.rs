//! Proofs, checkpoints and cosignatures bent; logs rolled back and forked.

use custody::Code::{
    CheckpointInvalid, LogForked, LogProofInvalid, LogProofMissing, QuorumNotMet, TimeInconsistent,
};
use custody::log::{Checkpoint, Proof, proof};
use custody::record::Record;
use custody::{Code, Digest, bundle};

use super::files::reseal;
use super::records::{retold, told};
use super::{Case, Given, Who};
use crate::forge::draft::{Draft, Log, secret};
use crate::forge::files::Files;
use crate::forge::world::{World, at, east_camera, origin, proof_path};

fn case(
    name: &'static str,
    what: &'static str,
    who: Who,
    expect: &'static [Code],
    make: fn(&World) -> Files,
) -> Case {
    Case { name, what, who, given: Given::Nothing, expect, make }
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
fn forked(world: &World, from: usize) -> (Draft, Log) {
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

#[expect(clippy::too_many_lines, reason = "a table: one entry for each case")]
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

#[expect(clippy::too_many_lines, reason = "a table: one entry for each case")]
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
