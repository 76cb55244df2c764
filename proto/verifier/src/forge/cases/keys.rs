//! Records under keys of yesterday, revoked keys, foreign keys; certificates and the authority's
//! statements bent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody::Code::{
    CheckpointInvalid, FileAltered, FileMissing, FileUnexpected, IntervalUncovered, KeyExpired,
    KeyRevoked, KeyUnknown, KeyUntrusted, RecordMisplaced, SequenceMissing, SignatureInvalid,
    ViewAltered,
};
use custody::dsse::Envelope;
use custody::record::{KeyUsage, Record, Statement};
use custody::{Code, SiteId, bundle};

use super::files::{file, reseal};
use super::records::{retold, told};
use super::{Case, Given, Who};
use crate::forge::draft::{By, Draft, secret};
use crate::forge::files::{Files, sealed};
use crate::forge::world::{AUTHORITY, World, at, east_camera};

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

/// The certificate path of the key grown from this number.
fn cert(seed: u8) -> String {
    bundle::key_cert(&east(), &secret(seed).public().id())
}

fn signed_by(draft: &mut Draft, seq: u64, key: usize) {
    let place = draft.place(&east_camera(), seq);
    draft.entries[place].by = By::Key(key);
}

/// Changes the east's certificate of the key grown from this number.
fn recertify(world: &mut World, seed: u8, change: impl Fn(&mut custody::record::KeyCert)) {
    let id = secret(seed).public().id();
    for entry in &mut world.east.entries {
        if let Record::Other(Statement::KeyCert(cert)) = &mut entry.record
            && cert.key_id == id
        {
            change(cert);
        }
    }
}

/// A revoked key signs the last segment, in a log that honest witnesses cosign.
fn late_by_revoked(world: &mut World) {
    recertify(world, 41, |cert| cert.not_after = at(86_000));
    signed_by(&mut world.east, 45, 0);
}

/// The P-256 signature in its other form: S in the upper half.
fn high_s(envelope: &[u8]) -> Vec<u8> {
    let read = Envelope::read(envelope).expect("ours");
    let low = p256::ecdsa::Signature::from_der(read.signature()).expect("an identity signed it");
    let high = p256::ecdsa::Signature::from_scalars(*low.r(), -*low.s()).expect("S is not zero");
    let text = String::from_utf8(envelope.to_vec()).expect("JSON");
    let (was, now) = (BASE64.encode(read.signature()), BASE64.encode(high.to_der().as_bytes()));
    text.replace(&was, &now).into_bytes()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = signed_with();
    all.extend(certificates());
    all.extend(statements());
    all
}

/// What the site's chain shows when its k1 is not known: 41, 42 and the gap are no links.
const WITHOUT_K1: &[Code] =
    &[KeyUnknown, SequenceMissing, FileUnexpected, ViewAltered, IntervalUncovered];

fn signed_with() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Site, expect, make);
    vec![
        by(
            "signed-with-yesterdays-key",
            "a segment after midnight under the key of before",
            &[KeyExpired],
            |w| told(w, |w| signed_by(&mut w.east, 45, 1)),
        ),
        by(
            "signed-with-revoked-key-late",
            "the last segment under a key whose identity was revoked before",
            &[KeyRevoked],
            |w| told(w, late_by_revoked),
        ),
        by(
            "rewritten-with-revoked-key",
            "a segment and all that follows anew under a revoked key",
            &[Code::QuorumNotMet, KeyRevoked],
            |w| retold(w, w.east.place(&east_camera(), 41), |w| signed_by(&mut w.east, 41, 0)),
        ),
        by(
            "signed-with-foreign-key",
            "a segment under a key of the other site",
            &[KeyUnknown, SequenceMissing, FileUnexpected, ViewAltered, IntervalUncovered],
            |w| {
                told(w, |w| {
                    w.east.keys.push(45);
                    signed_by(&mut w.east, 42, 3);
                })
            },
        ),
        by(
            "signed-with-log-key",
            "a segment under the key of the log",
            &[KeyUntrusted, SequenceMissing, FileUnexpected, ViewAltered, IntervalUncovered],
            |w| {
                told(w, |w| {
                    w.east.keys.push(21);
                    signed_by(&mut w.east, 42, 3);
                })
            },
        ),
        by(
            "key-logged-after-use",
            "a certificate logged behind what its key had signed",
            &[KeyExpired],
            |w| {
                told(w, |w| {
                    let id = secret(43).public().id();
                    let is_it = |entry: &crate::forge::draft::Entry| matches!(&entry.record, Record::Other(Statement::KeyCert(c)) if c.key_id == id);
                    let place = w.east.entries.iter().position(is_it).expect("k2 is certified");
                    let entry = w.east.entries.remove(place);
                    let last = w.east.entries.last().expect("a long log").at;
                    w.east.entries.push(crate::forge::draft::Entry { at: last, ..entry });
                })
            },
        ),
        by(
            "key-of-a-week",
            "a key for records that is good for a week",
            &[
                KeyUnknown,
                KeyExpired,
                SequenceMissing,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| {
                told(w, |w| {
                    recertify(w, 42, |cert| {
                        cert.not_after = cert.not_before.plus_seconds(7 * 86_400)
                    });
                })
            },
        ),
        by(
            "key-older-than-its-identity",
            "a key that begins before the identity that certifies it",
            &[
                KeyUnknown,
                KeyExpired,
                SequenceMissing,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| {
                told(w, |w| {
                    recertify(w, 42, |cert| cert.not_before = at(-40_000));
                })
            },
        ),
        by(
            "key-for-another-use",
            "a key certified as a witness, not for records",
            &[KeyUntrusted, SequenceMissing, FileUnexpected, ViewAltered, IntervalUncovered],
            |w| {
                told(w, |w| {
                    recertify(w, 42, |cert| {
                        cert.usage = KeyUsage::Log;
                        cert.name = Some("another.example/log".into());
                    });
                })
            },
        ),
    ]
}

fn certificates() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by(
            "certificate-removed-resealed",
            "the certificate of a key, its proof left",
            WITHOUT_K1,
            |w| reseal(w, |files| drop(files.remove(&cert(42)))),
        ),
        by(
            "certificate-proof-removed-resealed",
            "the proof that a certificate was logged",
            &[Code::LogProofMissing],
            |w| {
                reseal(w, |files| {
                    drop(files.remove(&bundle::key_cert_proof(&east(), &secret(42).public().id())));
                })
            },
        ),
        by(
            "certificate-by-a-stranger-resealed",
            "a certificate under an identity that nobody granted",
            WITHOUT_K1,
            |w| {
                let mut other = w.clone();
                other.east.identities[1] = 77;
                let other = other.payload();
                reseal(w, |files| {
                    files.insert(cert(42), other[&cert(42)].clone());
                })
            },
        ),
        by(
            "certificate-under-another-name-resealed",
            "the certificate of one key under the name of another",
            &[
                KeyUnknown,
                KeyUntrusted,
                SequenceMissing,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| {
                reseal(w, |files| {
                    let other = files[&cert(43)].clone();
                    files.insert(cert(42), other);
                })
            },
        ),
        by(
            "certificate-of-another-site",
            "a certificate that the identity gave for another site's key",
            &[
                KeyUnknown,
                RecordMisplaced,
                SequenceMissing,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| told(w, |w| recertify(w, 42, |cert| cert.site = "west".parse().expect("a name"))),
        ),
        by(
            "certificate-malleable-resealed",
            "a certificate with the other form of its signature",
            &[
                SignatureInvalid,
                KeyUnknown,
                SequenceMissing,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| {
                reseal(w, |files| {
                    let high = high_s(&files[&cert(42)]);
                    files.insert(cert(42), high);
                })
            },
        ),
        by(
            "log-key-uncertified-resealed",
            "the certificate of the log's key",
            &[KeyUntrusted, CheckpointInvalid, Code::TimeStampInvalid],
            |w| {
                reseal(w, |files| {
                    files.remove(&cert(21));
                    files.remove(&bundle::key_cert_proof(&east(), &secret(21).public().id()));
                })
            },
        ),
    ]
}

/// Signs the east's statements anew, changed.
fn grants(world: &World, change: impl FnOnce(&mut World)) -> Files {
    let mut bent = world.clone();
    change(&mut bent);
    sealed(&bent.payload(), &bent.seal, &secret(AUTHORITY))
}

fn strip_revocations(world: &mut World) {
    for grant in &mut world.grants {
        grant.revoked.clear();
    }
}

fn statements() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        case(
            "strip-revocation",
            "the revocation, cut out of the authority's signed statement",
            Who::Nobody,
            &[
                FileAltered,
                Code::BagMalformed,
                SignatureInvalid,
                KeyUnknown,
                KeyUntrusted,
                FileUnexpected,
                Code::TimeStampInvalid,
                IntervalUncovered,
            ],
            |w| {
                let mut files = w.folder();
                let path = bundle::key_grants(&east());
                let stripped = grants(w, strip_revocations)[&path].clone();
                // The statements without revocations, under the signatures of those with them.
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON");
                let signature =
                    |line: &str| line[line.find("\"sig\":").expect("DSSE")..].to_owned();
                let (old, new) = (text(&files[&path]), text(&stripped));
                let lines = old.lines().zip(new.lines()).map(|(old, new)| {
                    let head = &new[..new.find("\"sig\":").expect("DSSE")];
                    format!("{head}{}\n", signature(old))
                });
                let bent: String = lines.collect();
                files.insert(path, bent.into_bytes());
                files
            },
        ),
        Case {
            given: Given::Statements,
            ..by(
                "strip-revocation-resealed",
                "a late segment under a revoked key, and the revocation left out \
                 of statements signed anew",
                &[KeyRevoked],
                |w| {
                    let mut bent = w.clone();
                    late_by_revoked(&mut bent);
                    grants(&bent, strip_revocations)
                },
            )
        },
        by(
            "revocation-moved-resealed",
            "a revocation that ends before the last segments of the key",
            &[KeyRevoked],
            |w| {
                grants(w, |w| {
                    for grant in &mut w.grants {
                        for one in &mut grant.revoked {
                            one.log_size = 3;
                        }
                    }
                })
            },
        ),
        by(
            "revocation-of-another-log-resealed",
            "a revocation whose line is drawn in another log",
            &[KeyRevoked],
            |w| {
                grants(w, |w| {
                    for grant in &mut w.grants {
                        for one in &mut grant.revoked {
                            one.origin = "east.watchhouse.example/log/00000000".into();
                        }
                    }
                })
            },
        ),
        by(
            "identity-removed-resealed",
            "the statement about the identity that is in use",
            &[
                KeyUnknown,
                KeyUntrusted,
                CheckpointInvalid,
                Code::TimeStampInvalid,
                FileUnexpected,
                ViewAltered,
                IntervalUncovered,
            ],
            |w| {
                reseal(w, |files| {
                    let path = bundle::key_grants(&east());
                    let text = String::from_utf8(files[&path].clone()).expect("JSON");
                    let first = text.lines().next().expect("two lines");
                    files.insert(path, format!("{first}\n").into_bytes());
                })
            },
        ),
        by(
            "statements-of-another-site-resealed",
            "the other site's statements in place of this one's",
            &[
                KeyUnknown,
                KeyUntrusted,
                Code::TimeStampInvalid,
                RecordMisplaced,
                FileUnexpected,
                IntervalUncovered,
            ],
            |w| {
                reseal(w, |files| {
                    let west: SiteId = "west".parse().expect("a valid name");
                    let other = files[&bundle::key_grants(&west)].clone();
                    *file(files, &bundle::key_grants(&east())) = other;
                })
            },
        ),
        by(
            "statements-removed-resealed",
            "the authority's statements about a site",
            &[
                FileMissing,
                KeyUnknown,
                KeyUntrusted,
                Code::TimeStampInvalid,
                FileUnexpected,
                IntervalUncovered,
            ],
            |w| reseal(w, |files| drop(files.remove(&bundle::key_grants(&east())))),
        ),
    ]
}
