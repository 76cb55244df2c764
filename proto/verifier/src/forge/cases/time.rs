//! Bounds of time bent: checkpoints of other logs that records name, and time stamp tokens.

use custody::Code::{ForeignCheckpointInvalid, TimeInconsistent, TimeStampInvalid};
use custody::manifest::ForeignCheckpoint;
use custody::record::Record;
use custody::{Code, Digest, SiteId, bundle};

use super::files::{file, reseal};
use super::records::told;
use super::{Case, Given, Who};
use crate::forge::draft::secret;
use crate::forge::files::{Files, sealed};
use crate::forge::stamp;
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

pub(super) fn cases() -> Vec<Case> {
    let mut all = foreign_notes();
    all.extend(stamps());
    all
}

/// Makes segment 45 name another foreign checkpoint, and lays that note out.
fn foreign(world: &World, change: impl FnOnce(&mut ForeignCheckpoint)) -> Files {
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
