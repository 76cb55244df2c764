//! Keeps a third copy of held footage, at another site: what is whole in the vault is sent there, sealed,
//! and no key with it. Behind the pulls of cases, at the rate of copies, resumable within every file. Each
//! hour both copies are looked at: what one has lost comes from the other. With the last hold that needs
//! it the copy goes.

use std::collections::BTreeSet;

use custody::{HoldId, Seq, SiteId};

use super::copies::{Wait, after_cases, note, on_disc};
use super::driver::Rest;
use super::memory::Memory;
use super::{Parts, Sites};
use crate::evidence::hold::{CopyState, GuestState, GuestStep, HoldStep, guest};
use crate::evidence::{HoldEntry, HoldState};
use crate::fleet::{Guest, WantedSegment};
use crate::ledger::State;
use crate::vault::segment_name;

/// A file as another site names it.
type Name = (Seq, [u8; 8]);

/// Whether the other site has all of it, so that it is only looked at now and then.
pub(super) fn is_whole(hold: &HoldEntry) -> bool {
    matches!((&hold.state, &hold.guest), (HoldState::Placed { .. }, GuestState::Whole { .. }))
}

/// Whether there is something to send, to look at or to delete.
pub(super) fn is_due(hold: &HoldEntry, also_at: &[SiteId]) -> bool {
    match (&hold.state, hold.copy, &hold.guest) {
        (HoldState::Placed { .. }, CopyState::Whole { .. }, GuestState::None) => {
            guest::choose(also_at, &hold.camera).is_some()
        }
        (HoldState::Placed { .. }, CopyState::Whole { .. }, there)
        | (HoldState::Released, _, there) => there.site().is_some(),
        _ => false,
    }
}

/// Sends, looks at or deletes the copy of a hold at another site.
pub(super) async fn advance<S: Sites>(parts: &Parts<S>, memory: &Memory, id: &HoldId) -> Rest {
    let Ok(hold) = parts.ledger.read(|state| state.evidence.hold(id).cloned()) else {
        return Rest::No;
    };
    if !is_due(&hold, &parts.also_at) {
        return Rest::No;
    }
    let stands = matches!(hold.state, HoldState::Placed { .. });
    let done =
        if stands { keep(parts, memory, &hold).await } else { delete(parts, memory, &hold).await };
    let now = parts.ledger.clock().tick();
    let book = parts.copies.guest_book();
    match done {
        Ok(()) | Err(Wait::Over) => {
            book.forget(id);
            if stands {
                memory.guest_looked(id, now);
            } else {
                memory.forget_guest(id);
            }
            Rest::No
        }
        Err(Wait::For(why)) => {
            book.waits(id, &why);
            Rest::Needed
        }
        Err(Wait::Failed(why)) => {
            tracing::warn!(hold = %id, why, "a hold's copy at another site waits");
            memory.guest_failed(id, now);
            book.waits(id, &why);
            Rest::No
        }
    }
}

/// Makes both copies whole; notes the other site's when it first is.
async fn keep<S: Sites>(parts: &Parts<S>, memory: &Memory, hold: &HoldEntry) -> Result<(), Wait> {
    let chosen = hold.guest.site().or_else(|| guest::choose(&parts.also_at, &hold.camera));
    let Some(site) = chosen.cloned() else { return Err(Wait::Over) };
    let wanted = wanted(parts, &hold.id).await?;
    if hold.guest == GuestState::None {
        // Logged before the first byte goes.
        note(parts, hold, HoldStep::Guest { site: site.clone(), step: GuestStep::Begun }).await?;
    }
    mend(parts, hold, &wanted).await?;
    let sent = send(parts, hold, &site, &wanted).await;
    if is_whole(hold) {
        // Another site that is away for a while has not lost anything.
        return if matches!(sent, Err(Wait::For(_))) { Ok(()) } else { sent };
    }
    sent?;
    // Nothing is deleted there between this look and the event.
    let _turn = memory.guest_turn().await;
    if !lacking(parts, &site, &wanted).await?.is_empty() {
        return Err(Wait::For(format!("a file at site {site} is gone again; it is sent anew")));
    }
    let (segments, bytes) = (wanted.len() as u64, wanted.iter().map(|it| it.file_bytes).sum());
    let whole = GuestStep::Whole { segments, bytes };
    note(parts, hold, HoldStep::Guest { site, step: whole }).await
}

/// The sealed files of a hold, by what the vault keeps of it.
async fn wanted<S>(parts: &Parts<S>, hold: &HoldId) -> Result<Vec<WantedSegment>, Wait> {
    let entry = parts.ledger.read(|state| state.evidence.hold(hold).cloned());
    let camera = entry.map_err(|refusal| Wait::Failed(refusal.to_string()))?.camera;
    let (vault, id) = (parts.copies.clone(), hold.clone());
    let kept = on_disc(move || vault.held(&id)?.map(|held| held.segments()).transpose()).await?;
    let Some(segments) = kept else {
        return Err(Wait::Failed(format!(
            "the vault has lost its list of {hold}: restore vault/held from a backup"
        )));
    };
    let wanted = segments.into_iter().map(|held| WantedSegment {
        camera: camera.clone(),
        seq: held.seq,
        file_bytes: held.file_bytes,
        root: held.root,
    });
    Ok(wanted.collect())
}

/// Brings back what the vault has lost of a whole copy: from the footage's own site, or from the other
/// one, checked on arrival as ever.
async fn mend<S: Sites>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    wanted: &[WantedSegment],
) -> Result<(), Wait> {
    let (shelf, all) = (parts.copies.shelf().clone(), wanted.to_vec());
    let lost = on_disc(move || {
        let mut lost = Vec::new();
        for wanted in all {
            let name = segment_name(&wanted.camera, wanted.seq, wanted.root);
            match shelf.bytes(&name)? {
                Some(bytes) if bytes == wanted.file_bytes => continue,
                Some(_) => shelf.remove(&name)?,
                None => {}
            }
            lost.push(wanted);
        }
        Ok(lost)
    });
    let lost = lost.await?;
    if lost.is_empty() {
        return Ok(());
    }
    tracing::error!(
        hold = %hold.id, files = lost.len(), "the vault has lost copies: they are brought back"
    );
    let Err(error) = parts.sites.copy(hold.camera.site(), &lost).await else { return Ok(()) };
    let brought = match hold.guest.whole_at() {
        Some(keeper) => parts.sites.bring_back(keeper, &lost).await,
        None => Err(error),
    };
    let to_do = format!("give back {} files that the vault has lost", lost.len());
    brought.map_err(|error| Wait::site(&error, &to_do))
}

/// Sends what the other site lacks.
async fn send<S: Sites>(
    parts: &Parts<S>,
    hold: &HoldEntry,
    site: &SiteId,
    wanted: &[WantedSegment],
) -> Result<(), Wait> {
    let book = parts.copies.guest_book();
    let lacking = lacking(parts, site, wanted).await?;
    let mut there = wanted.len() - lacking.len();
    for file in lacking {
        book.set(&hold.id, there, wanted.len());
        let stands = |state: &State| {
            let now = state.evidence.hold(&hold.id);
            now.is_ok_and(|hold| matches!(hold.state, HoldState::Placed { .. }))
        };
        if !parts.ledger.read(stands) {
            return Err(Wait::Over);
        }
        after_cases(parts, site)?;
        let kept = parts.sites.keep_guest(site, &file).await;
        kept.map_err(|error| Wait::site(&error, "keep a copy of the held footage"))?;
        there += 1;
    }
    book.set(&hold.id, there, wanted.len());
    Ok(())
}

/// Which files the other site does not have whole.
async fn lacking<S: Sites>(
    parts: &Parts<S>,
    site: &SiteId,
    wanted: &[WantedSegment],
) -> Result<Vec<WantedSegment>, Wait> {
    let Some(camera) = wanted.first().map(|wanted| &wanted.camera) else { return Ok(Vec::new()) };
    let there = parts.sites.guests(site, camera).await;
    let there = there.map_err(|error| Wait::site(&error, "list the copies that it keeps"))?;
    let there: BTreeSet<Name> =
        there.iter().filter(|guest| guest.is_whole).map(|it| (it.seq, it.root_start)).collect();
    let lacks = |wanted: &&WantedSegment| !there.contains(&name(wanted));
    Ok(wanted.iter().filter(lacks).cloned().collect())
}

fn name(wanted: &WantedSegment) -> Name {
    (wanted.seq, Guest::root_start(wanted.root))
}

/// Deletes what the other site keeps of the camera and no other hold needs, parts that were cut off
/// among it.
async fn delete<S: Sites>(parts: &Parts<S>, memory: &Memory, hold: &HoldEntry) -> Result<(), Wait> {
    let Some(site) = hold.guest.site() else { return Err(Wait::Over) };
    let _turn = memory.guest_turn().await;
    let others: Vec<HoldId> = parts.ledger.read(|state| {
        let holds = state.evidence.holds();
        holds
            .filter(|other| other.id != hold.id && other.camera == hold.camera)
            .filter(|other| other.state.stands() && other.guest.site() == Some(site))
            .map(|other| other.id.clone())
            .collect()
    });
    let mut needed = BTreeSet::new();
    for other in others {
        needed.extend(wanted(parts, &other).await?.iter().map(name));
    }
    let gone = parts.sites.guests(site, &hold.camera).await;
    let mut gone = gone.map_err(|error| Wait::site(&error, "list the copies that it keeps"))?;
    gone.retain(|guest| !needed.contains(&(guest.seq, guest.root_start)));
    let dropped = parts.sites.drop_guests(site, &hold.camera, &gone).await;
    dropped.map_err(|error| Wait::site(&error, "delete the copy that it keeps"))?;
    let segments = gone.len() as u64;
    let bytes = gone.iter().map(|guest| guest.bytes).sum();
    let deleted = GuestStep::Deleted { segments, bytes };
    note(parts, hold, HoldStep::Guest { site: site.clone(), step: deleted }).await
}
