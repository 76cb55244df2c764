//! Checkpoints stamped by a time stamping authority, and checkpoints of other logs named by records:
//! what bounds the time from outside. Sections 8 and 12 of CHECKS.md.

use custody::log::SignedCheckpoint;
use custody::log::note::NOTE_BYTES_MAX;
use custody::manifest::{ForeignCheckpoint, Segment};
use custody::{Code, Digest, Refusal, SiteId, WallTime, bundle};

use crate::bag::Bag;
use crate::logbook::Shown;
use crate::report::{Report, Stamp};
use crate::site::Site;
use crate::token::{TOKEN_BYTES_MAX, Token};

/// A record's foreign checkpoint may be younger than its end by this: the record is signed a little
/// later, by a clock a little apart.
const FOREIGN_LATER_US: i64 = 120_000_000;
/// A token may be older than the youngest cosignature in its note by this.
const STAMP_EARLIER_US: i64 = 120_000_000;

/// When the segment's record was signed at the earliest; none if nobody of the policy says so.
///
/// # Errors
/// `foreign-checkpoint-invalid`, `time-inconsistent`.
pub fn not_before(
    bag: &Bag,
    id: &SiteId,
    site: &Site,
    segment: &Segment,
    foreign: &ForeignCheckpoint,
) -> Result<Option<WallTime>, Refusal> {
    let path = bundle::foreign_note(id, foreign.note_sha256);
    let at = newest_cosignature(bag, &path, site, foreign)
        .map_err(|what| Refusal::new(Code::ForeignCheckpointInvalid, format!("{path}: {what}")))?;
    let Some(at) = at else { return Ok(None) };
    let slack = FOREIGN_LATER_US.saturating_add(segment.clock.uncertainty_us.max(0));
    if !segment.recovered && at > segment.end.plus_micros(slack) {
        return Err(Refusal::new(
            Code::TimeInconsistent,
            format!("its foreign checkpoint is of {at}, and it ends at {}", segment.end),
        ));
    }
    Ok(Some(at))
}

fn newest_cosignature(
    bag: &Bag,
    path: &str,
    site: &Site,
    foreign: &ForeignCheckpoint,
) -> Result<Option<WallTime>, String> {
    let bytes = bag.read(path, NOTE_BYTES_MAX as u64).ok_or("there is none")?;
    if Digest::of(&bytes) != foreign.note_sha256 {
        return Err("it does not have the digest that the record names".into());
    }
    let note = SignedCheckpoint::read(&bytes).map_err(|refusal| refusal.what().to_owned())?;
    let checkpoint = note.checkpoint();
    let found = (&checkpoint.origin, checkpoint.size, checkpoint.root);
    if found != (&foreign.origin, foreign.size, foreign.root) {
        return Err("it is another checkpoint than the record says".into());
    }
    if site.logs.believed().iter().any(|log| *log.vkey.name() == *checkpoint.origin) {
        return Err("it is of the site's own log".into());
    }
    let mut broken = None;
    let by = site.logs.cosigned(&note, |refusal| broken = Some(refusal.what().to_owned()));
    match broken {
        Some(what) => Err(what),
        None => Ok(by.iter().map(|one| one.at).max()),
    }
}

/// Checks a stamped checkpoint.
///
/// # Errors
/// `time-stamp-invalid`, `time-inconsistent`.
pub fn stamp(
    bag: &Bag,
    id: &SiteId,
    site: &Site,
    size: u64,
    shown: &mut Shown,
    report: &mut Report,
) -> Result<Stamp, Refusal> {
    let (note_path, token_path) = (bundle::stamped_note(id, size), bundle::stamp(id, size));
    let invalid = |what: String| Refusal::new(Code::TimeStampInvalid, what);
    let note = bag
        .read(&note_path, NOTE_BYTES_MAX as u64)
        .ok_or_else(|| invalid(format!("{note_path} is not in the bundle")))?;
    let token = bag
        .read(&token_path, TOKEN_BYTES_MAX)
        .ok_or_else(|| invalid(format!("{token_path} is not in the bundle")))?;
    let signed = SignedCheckpoint::read(&note)
        .and_then(|note| site.logs.signer(&note).map(|_| ()).map(|()| note))
        .map_err(|refusal| invalid(format!("{note_path}: {}", refusal.what())))?;
    if signed.checkpoint().size != size {
        return Err(invalid(format!("{note_path} has {} entries", signed.checkpoint().size)));
    }
    let token = Token::read(&token)
        .ok_or_else(|| invalid(format!("{token_path} is no granted RFC 3161 token")))?;
    if !token.stamps(&note) {
        return Err(invalid(format!("{token_path} stamps something else than {note_path}")));
    }
    shown.checkpoint(signed.checkpoint(), report);
    let mut broken = None;
    let by = site.logs.cosigned(&signed, |refusal| broken = Some(refusal));
    if let Some(broken) = broken {
        report.refuse(broken.at(&note_path));
    }
    let newest = by.iter().map(|one| one.at).max();
    if newest.is_some_and(|newest| token.at < newest.plus_micros(-STAMP_EARLIER_US)) {
        return Err(Refusal::new(
            Code::TimeInconsistent,
            format!("{token_path} is of {}, before its note was cosigned", token.at),
        ));
    }
    Ok(Stamp { origin: signed.checkpoint().origin.clone(), size, at: token.at })
}
