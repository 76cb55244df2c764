//! Records dropped, swapped, repeated, edited and signed anew. What a site signs anew after the
//! fact stands in no log that witnesses have cosigned: that, and not the signature, gives it away.

use custody::Code::{
    ChainBroken, FileUnexpected, FragmentAltered, IntervalUncovered, KeyUnknown, LogProofInvalid,
    QuorumNotMet, RecordMalformed, RecordMisplaced, SequenceMissing, SequenceRepeated,
    SignatureInvalid, TimeInconsistent,
};
use custody::record::{GapReason, Record, Statement};
use custody::{Code, Digest, Seq, WallTime, bundle};

use super::files::{file, reseal};
use super::{Case, Given, Who};
use crate::forge::draft::Draft;
use crate::forge::draft::secret;
use crate::forge::files::{Files, sealed};
use crate::forge::footage;
use crate::forge::world::{AUTHORITY, World, at, east_camera, west_camera};

/// The lines of the east's chain.
fn lines(files: &Files) -> Vec<Vec<u8>> {
    let text = &files[&bundle::records(&east_camera())];
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

fn put_lines(files: &mut Files, lines: &[Vec<u8>]) {
    let text: Vec<u8> = lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect();
    files.insert(bundle::records(&east_camera()), text);
}

fn edit_lines(files: &mut Files, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut all = lines(files);
    edit(&mut all);
    put_lines(files, &all);
}

/// Takes a link out with all that hangs on it, and shows fewer pictures.
fn drop_link(world: &World, files: &mut Files, seq: u64) {
    let camera = east_camera();
    let place = usize::try_from(seq - 40).expect("small");
    edit_lines(files, |lines| {
        lines.remove(place);
    });
    for path in [bundle::init, bundle::master, bundle::disclosed, bundle::link_proof] {
        files.remove(&path(&camera, Seq(seq)));
    }
    let films = world.films.iter().filter(|one| one.camera == camera && one.seq != seq);
    let shots: Vec<_> = films.map(|one| &one.shot).collect();
    files.insert(bundle::view(&camera), footage::view(&shots));
}

/// The world as the site tells it from the start; witnesses and controller are honest.
pub(super) fn told(world: &World, bend: impl FnOnce(&mut World)) -> Files {
    let mut told = world.clone();
    bend(&mut told);
    told.folder()
}

/// The world as the site tells it after the fact: from the entry `from` on it signs its log anew, and
/// no witness cosigns that. What stood before keeps its proofs.
pub(super) fn retold(world: &World, from: usize, bend: impl FnOnce(&mut World)) -> Files {
    let mut liar = world.clone();
    bend(&mut liar);
    liar.east.cosigners.clear();
    let kept: Vec<_> = world.east.entries[..from]
        .iter()
        .filter_map(|entry| Some(bundle::link_proof(&east_camera(), entry.record.link()?.seq)))
        .chain(certificate_proofs(&world.east, from))
        .collect();
    let (honest, mut payload) = (world.payload(), liar.payload());
    for path in kept {
        if let Some(bytes) = honest.get(&path) {
            payload.insert(path, bytes.clone());
        }
    }
    sealed(&payload, &liar.seal, &secret(AUTHORITY))
}

fn certificate_proofs(draft: &Draft, before: usize) -> Vec<String> {
    let certs = draft.entries[..before].iter().filter_map(|entry| match &entry.record {
        Record::Other(Statement::KeyCert(cert)) => {
            Some(bundle::key_cert_proof(&draft.site, &cert.key_id))
        }
        _ => None,
    });
    certs.collect()
}

/// Changes the segment or gap at `seq`.
fn change(draft: &mut Draft, seq: u64, change: impl FnOnce(&mut Record)) {
    let place = draft.place(&east_camera(), seq);
    change(&mut draft.entries[place].record);
}

fn shift(record: &mut Record, seconds: i64) {
    let to = |time: &mut WallTime| *time = time.plus_seconds(seconds);
    match record {
        Record::Segment(segment) => {
            to(&mut segment.start);
            to(&mut segment.end);
        }
        Record::Other(Statement::Gap(gap)) => {
            to(&mut gap.start);
            to(&mut gap.end);
        }
        Record::Other(_) => {}
    }
}

fn renumber(record: &mut Record, seq: u64) {
    match record {
        Record::Segment(segment) => segment.seq = Seq(seq),
        Record::Other(Statement::Gap(gap)) => gap.seq = Seq(seq),
        Record::Other(_) => {}
    }
}

fn case(
    name: &'static str,
    what: &'static str,
    who: Who,
    expect: &'static [Code],
    make: fn(&World) -> Files,
) -> Case {
    Case { name, what, who, given: Given::Nothing, expect, make }
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = lines_resealed();
    all.extend(told_at_once());
    all.extend(told_after_the_fact());
    all
}

fn lines_resealed() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by(
            "drop-record-first-resealed",
            "the first segment with its record",
            &[IntervalUncovered],
            |w| reseal(w, |files| drop_link(w, files, 40)),
        ),
        by(
            "drop-record-middle-resealed",
            "a segment in the middle with its record",
            &[SequenceMissing, IntervalUncovered],
            |w| reseal(w, |files| drop_link(w, files, 41)),
        ),
        by(
            "drop-record-last-resealed",
            "the last segment with its record",
            &[IntervalUncovered],
            |w| reseal(w, |files| drop_link(w, files, 45)),
        ),
        by(
            "strip-gap-resealed",
            "the record of the gap",
            &[SequenceMissing, IntervalUncovered],
            |w| reseal(w, |files| drop_link(w, files, 43)),
        ),
        by(
            "drop-record-leave-files-resealed",
            "a record, its segment's files left",
            &[SequenceMissing, FileUnexpected, IntervalUncovered, Code::ViewAltered],
            |w| {
                reseal(w, |files| {
                    edit_lines(files, |lines| {
                        lines.remove(1);
                    });
                })
            },
        ),
        by(
            "swap-records-resealed",
            "two records swapped",
            &[SequenceMissing, SequenceRepeated, LogProofInvalid],
            |w| reseal(w, |files| edit_lines(files, |lines| lines.swap(1, 2))),
        ),
        by(
            "duplicate-record-resealed",
            "a record twice",
            &[SequenceRepeated, LogProofInvalid],
            |w| {
                reseal(w, |files| {
                    edit_lines(files, |lines| {
                        let again = lines[1].clone();
                        lines.insert(2, again);
                    });
                })
            },
        ),
        by(
            "edit-gap-resealed",
            "the reason of a gap, the signature left",
            &[SignatureInvalid, SequenceMissing, FileUnexpected, IntervalUncovered],
            |w| {
                reseal(w, |files| {
                    edit_lines(files, |lines| {
                        let text = String::from_utf8(lines[3].clone()).expect("JSON");
                        let mut parts: Vec<_> = text.split('"').map(str::to_owned).collect();
                        let payload =
                            parts.iter().position(|part| part == "payload").expect("DSSE");
                        let middle = parts[payload + 2].len() / 2;
                        let was = parts[payload + 2].as_bytes()[middle];
                        let now = if was == b'A' { "B" } else { "A" };
                        parts[payload + 2].replace_range(middle..=middle, now);
                        lines[3] = parts.join("\"").into_bytes();
                    });
                })
            },
        ),
        by(
            "garble-record-resealed",
            "a record that is no envelope",
            &[
                RecordMalformed,
                SequenceMissing,
                FileUnexpected,
                IntervalUncovered,
                Code::ViewAltered,
            ],
            |w| reseal(w, |files| edit_lines(files, |lines| lines[1] = b"{}".to_vec())),
        ),
        by(
            "splice-record-resealed",
            "a record of the other camera in place of one",
            &[KeyUnknown, SequenceMissing, FileUnexpected, IntervalUncovered, Code::ViewAltered],
            |w| {
                reseal(w, |files| {
                    let west = files[&bundle::records(&west_camera())].clone();
                    let other =
                        west.split(|byte| *byte == b'\n').nth(2).expect("six records").to_vec();
                    edit_lines(files, |lines| lines[1] = other);
                })
            },
        ),
        by(
            "no-records-resealed",
            "the whole chain, the footage left",
            &[Code::FileMissing, FileUnexpected, IntervalUncovered],
            |w| {
                reseal(w, |files| {
                    files.remove(&bundle::records(&east_camera()));
                })
            },
        ),
        by(
            "no-records-left-resealed",
            "every line of the chain, the footage left",
            &[FileUnexpected, IntervalUncovered],
            |w| reseal(w, |files| file(files, &bundle::records(&east_camera())).clear()),
        ),
    ]
}

fn told_at_once() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Site, expect, make);
    vec![
        by(
            "clock-set-forward",
            "everything recorded with a clock that is an hour ahead",
            &[Code::KeyExpired, TimeInconsistent, IntervalUncovered],
            |w| {
                told(w, |w| {
                    for seq in [40, 41, 42, 43, 44, 45] {
                        change(&mut w.east, seq, |record| shift(record, 3_600));
                    }
                })
            },
        ),
        by(
            "clock-set-back",
            "everything recorded with a clock that is an hour behind",
            &[Code::KeyExpired, TimeInconsistent, IntervalUncovered],
            |w| {
                told(w, |w| {
                    for seq in [40, 41, 42, 43, 44, 45] {
                        change(&mut w.east, seq, |record| shift(record, -3_600));
                    }
                })
            },
        ),
        by(
            "overlap",
            "a segment that begins before the one before it ends",
            &[TimeInconsistent],
            |w| {
                told(w, |w| {
                    change(&mut w.east, 42, |record| {
                        if let Record::Segment(segment) = record {
                            segment.start = segment.start.plus_seconds(-2);
                        }
                    });
                })
            },
        ),
        by("number-skipped", "a chain that skips a number", &[SequenceMissing], |w| {
            told(w, |w| {
                for (was, now) in [(45, 46), (44, 45)] {
                    change(&mut w.east, was, |record| renumber(record, now));
                }
                change(&mut w.east, 43, |record| renumber(record, 44));
                for one in &mut w.films {
                    if one.camera == east_camera() && one.seq >= 44 {
                        one.seq += 1;
                    }
                }
            })
        }),
        by(
            "another-cameras-record",
            "a record about another camera of the site in the chain",
            &[RecordMisplaced, SequenceMissing, FileUnexpected, IntervalUncovered],
            |w| {
                let other = told(w, |w| {
                    change(&mut w.east, 43, |record| {
                        if let Record::Other(Statement::Gap(gap)) = record {
                            gap.camera = "east/ext-02".parse().expect("a valid name");
                        }
                    });
                });
                let stray = other["data/proof/east/ext-02/records.dsse.jsonl"].clone();
                reseal(w, |files| {
                    edit_lines(files, |lines| lines[3] = stray[..stray.len() - 1].to_vec());
                })
            },
        ),
        by(
            "gap-cut-short",
            "a gap that ends before footage begins again",
            &[IntervalUncovered],
            |w| {
                told(w, |w| {
                    change(&mut w.east, 43, |record| {
                        if let Record::Other(Statement::Gap(gap)) = record {
                            gap.end = gap.end.plus_seconds(-3);
                        }
                    });
                })
            },
        ),
        by(
            "counts-inflated",
            "a record that counts more frames than there are",
            &[FragmentAltered],
            |w| {
                told(w, |w| {
                    change(&mut w.east, 42, |record| {
                        if let Record::Segment(segment) = record {
                            segment.fragments.samples += 1;
                        }
                    });
                })
            },
        ),
    ]
}

fn told_after_the_fact() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Site, expect, make);
    vec![
        by(
            "rewrite-gap",
            "another reason for the gap, and all that follows signed anew",
            &[QuorumNotMet],
            |w| {
                retold(w, w.east.place(&east_camera(), 43), |w| {
                    change(&mut w.east, 43, |record| {
                        if let Record::Other(Statement::Gap(gap)) = record {
                            gap.reason = GapReason::AgentStopped;
                        }
                    });
                })
            },
        ),
        by(
            "rewrite-footage",
            "other pictures in a segment, and all that follows signed anew",
            &[QuorumNotMet],
            |w| {
                retold(w, w.east.place(&east_camera(), 42), |w| {
                    let shot = footage::Shot::new(&footage::west(), 1, at(16));
                    change(&mut w.east, 42, |record| {
                        if let Record::Segment(segment) = record {
                            segment.init_sha256 = Digest::of(&shot.init);
                            segment.fragments.root = shot.root();
                            segment.fragments.bytes =
                                shot.fragments.iter().map(|(one, _)| one.bytes).sum();
                        }
                    });
                    for one in &mut w.films {
                        if one.camera == east_camera() && one.seq == 42 {
                            one.shot = shot.clone();
                        }
                    }
                })
            },
        ),
        by(
            "rewrite-segment-as-gap",
            "a segment replaced by a gap, and all that follows signed anew",
            &[QuorumNotMet],
            |w| {
                retold(w, w.east.place(&east_camera(), 42), |w| {
                    let gap = w.east.entries[w.east.place(&east_camera(), 43)].record.clone();
                    change(&mut w.east, 42, |record| {
                        if let Record::Other(Statement::Gap(mut gap)) = gap {
                            (gap.seq, gap.start, gap.end) = (Seq(42), at(16), at(24));
                            *record = Record::Other(Statement::Gap(gap));
                        }
                    });
                    w.films.retain(|one| one.camera != east_camera() || one.seq != 42);
                })
            },
        ),
        by(
            "rewrite-without-gap",
            "the gap stripped, all that follows renumbered and signed anew",
            &[QuorumNotMet, IntervalUncovered],
            |w| {
                retold(w, w.east.place(&east_camera(), 43), |w| {
                    let place = w.east.place(&east_camera(), 43);
                    w.east.entries.remove(place);
                    for (was, now) in [(44, 43), (45, 44)] {
                        change(&mut w.east, was, |record| renumber(record, now));
                    }
                    for one in &mut w.films {
                        if one.camera == east_camera() && one.seq >= 44 {
                            one.seq -= 1;
                        }
                    }
                })
            },
        ),
        by(
            "replay-segment",
            "an earlier segment shown again for a later one, all signed anew",
            &[QuorumNotMet, TimeInconsistent],
            |w| {
                retold(w, w.east.place(&east_camera(), 44), |w| {
                    let shot = w.filmed(&east_camera(), 41).shot.clone();
                    change(&mut w.east, 44, |record| {
                        if let Record::Segment(segment) = record {
                            segment.fragments.root = shot.root();
                            segment.fragments.bytes =
                                shot.fragments.iter().map(|(one, _)| one.bytes).sum();
                        }
                    });
                    for one in &mut w.films {
                        if one.camera == east_camera() && one.seq == 44 {
                            one.shot = shot.clone();
                        }
                    }
                })
            },
        ),
        by(
            "one-record-signed-anew",
            "one gap signed anew in its old place",
            &[QuorumNotMet, ChainBroken],
            |w| {
                // The links behind it keep their envelopes, which name the old one, and their proofs.
                let anew = retold(w, w.east.place(&east_camera(), 43), |w| {
                    change(&mut w.east, 43, |record| {
                        if let Record::Other(Statement::Gap(gap)) = record {
                            gap.reason = GapReason::StreamStalled;
                        }
                    });
                });
                let stray = lines(&anew)[3].clone();
                let proof = bundle::link_proof(&east_camera(), Seq(43));
                let proof_bytes = anew[&proof].clone();
                reseal(w, |files| {
                    edit_lines(files, |lines| lines[3] = stray);
                    files.insert(proof, proof_bytes);
                })
            },
        ),
    ]
}
