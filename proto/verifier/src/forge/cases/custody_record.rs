//! The custody record edited, shortened, lengthened and replayed; the controller's log rewritten.

use custody::Code::{
    CheckpointInvalid, CustodyAltered, FileAltered, FileMissing, FileUnexpected, KeyUntrusted,
    PolicyMalformed, QuorumNotMet, SignatureInvalid,
};
use custody::bundle;
use custody::bundle::AuditLine;
use custody::dsse::Envelope;
use custody::record::{KeyUsage, Record, Statement};

use super::files::{file, reseal};
use super::{Case, Given, Who};
use crate::forge::draft::secret;
use crate::forge::files::Files;
use crate::forge::world::{AUTHORITY, World};

fn case(
    name: &'static str,
    what: &'static str,
    who: Who,
    expect: &'static [custody::Code],
    make: fn(&World) -> Files,
) -> Case {
    Case { name, what, who, given: Given::Nothing, expect, make }
}

fn edit(files: &mut Files, edit: impl FnOnce(&mut Vec<String>)) {
    let text = String::from_utf8(files[bundle::AUDIT].clone()).expect("JSON");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    files.insert(bundle::AUDIT.to_owned(), text.into_bytes());
}

fn places(files: &mut Files, edit: impl FnOnce(&mut Vec<AuditLine>)) {
    let mut places: Vec<AuditLine> =
        serde_json::from_slice(&files[bundle::AUDIT_PLACES]).expect("the world's places read");
    edit(&mut places);
    let bytes = serde_json::to_vec(&places).expect("numbers have a JSON form");
    files.insert(bundle::AUDIT_PLACES.to_owned(), bytes);
}

fn another_actor(lines: &mut [String]) {
    lines[1] = lines[1].replace("t.okafor", "d.mensah");
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = lines();
    all.extend(log());
    all
}

fn lines() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        case(
            "edit-custody",
            "who approved, in the custody record",
            Who::Nobody,
            &[FileAltered, CustodyAltered],
            |w| {
                let mut files = w.folder();
                edit(&mut files, |lines| another_actor(lines));
                files
            },
        ),
        by(
            "edit-custody-resealed",
            "who approved, in the custody record",
            &[CustodyAltered],
            |w| reseal(w, |files| edit(files, |lines| another_actor(lines))),
        ),
        by("drop-custody-line-resealed", "a line of the custody record", &[CustodyAltered], |w| {
            reseal(w, |files| edit(files, |lines| drop(lines.remove(3))))
        }),
        by("drop-custody-last-resealed", "the last line, its place left", &[CustodyAltered], |w| {
            reseal(w, |files| edit(files, |lines| drop(lines.pop())))
        }),
        by(
            "drop-custody-place-resealed",
            "the last line and its place, its proof left",
            &[FileUnexpected],
            |w| {
                reseal(w, |files| {
                    edit(files, |lines| drop(lines.pop()));
                    places(files, |places| drop(places.pop()));
                })
            },
        ),
        by(
            "add-custody-line-resealed",
            "a line that the log does not hold",
            &[CustodyAltered],
            |w| {
                reseal(w, |files| {
                    edit(files, |lines| lines.push(lines[1].replace("approved", "viewed")));
                    places(files, |places| {
                        let mut one = places[1].clone();
                        one.position = 15;
                        places.push(one);
                    });
                    let log = w.controller_log();
                    files.insert(bundle::audit_proof(15), log.proof_at(15, w.events.len()));
                })
            },
        ),
        by(
            "swap-custody-lines-resealed",
            "two lines of the custody record swapped",
            &[CustodyAltered],
            |w| reseal(w, |files| edit(files, |lines| lines.swap(1, 2))),
        ),
        by(
            "replay-transfer-resealed",
            "an earlier transfer shown again as a later one",
            &[CustodyAltered],
            |w| {
                reseal(w, |files| {
                    edit(files, |lines| lines.push(lines[3].clone()));
                    places(files, |places| {
                        let mut one = places[3].clone();
                        one.position = 15;
                        places.push(one);
                    });
                    let proof = files[&bundle::audit_proof(11)].clone();
                    files.insert(bundle::audit_proof(15), proof);
                })
            },
        ),
        by("custody-places-removed-resealed", "what opens the commitments", &[FileMissing], |w| {
            reseal(w, |files| drop(files.remove(bundle::AUDIT_PLACES)))
        }),
    ]
}

fn log() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by(
            "rewrite-controller-log",
            "who approved, and the whole log signed anew; the sites cosign none of it",
            &[QuorumNotMet],
            |w| {
                let mut liar = w.clone();
                let body = String::from_utf8(liar.events[8].body.clone()).expect("JSON");
                liar.events[8].body = body.replace("t.okafor", "d.mensah").into_bytes();
                liar.controller_cosigners.clear();
                let lie = liar.payload();
                reseal(w, |files| {
                    for (path, bytes) in lie {
                        if path.starts_with("data/proof/controller/") || path == bundle::AUDIT {
                            files.insert(path, bytes);
                        }
                    }
                })
            },
        ),
        by(
            "controller-log-key-of-another-use",
            "the log key certified as a witness",
            &[KeyUntrusted, CheckpointInvalid],
            |w| {
                reseal(w, |files| {
                    let envelope =
                        Envelope::read(&files[bundle::CONTROLLER_LOG_KEY]).expect("ours");
                    let record = Record::danger_read_unchecked(&envelope).expect("ours");
                    let Record::Other(Statement::KeyCert(mut cert)) = record else { return };
                    cert.usage = KeyUsage::Witness;
                    let cert = Record::Other(Statement::KeyCert(cert)).sign(&secret(AUTHORITY));
                    files.insert(bundle::CONTROLLER_LOG_KEY.to_owned(), cert.bytes().to_vec());
                })
            },
        ),
        case(
            "controller-log-key-forged",
            "the log key under a signature that is not the authority's",
            Who::Nobody,
            &[FileAltered, SignatureInvalid, CheckpointInvalid, KeyUntrusted],
            |w| {
                let mut files = w.folder();
                let text = String::from_utf8(files[bundle::CONTROLLER_LOG_KEY].clone());
                let text = text.expect("JSON");
                let at = text.find("\"sig\":\"").expect("DSSE") + 20;
                let now = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
                file(&mut files, bundle::CONTROLLER_LOG_KEY)[at] = now.as_bytes()[0];
                files
            },
        ),
        by(
            "controller-policy-removed-resealed",
            "the policy of the controller's log",
            &[PolicyMalformed],
            |w| reseal(w, |files| drop(files.remove(bundle::CONTROLLER_POLICY))),
        ),
    ]
}
