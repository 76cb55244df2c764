//! What the log tells of destroyed keys against what is there: no hour is destroyed while footage is
//! stored under it, the site key changes only as told, destroyed hours have no key, every stored
//! segment's key opens and no erased one's does once its hour is said to be gone.

use custody::record::KeysDestroyed;

use super::super::core::{Core, lock};
use super::super::key::link::Linked;
use super::super::{StoreError, read, rotate};
use super::{Checked, Depth, Told, row_of};

pub(super) fn destroyed(seen: &mut Checked, told: &mut Told, place: &str, gone: &KeysDestroyed) {
    if gone.site_key_before == gone.site_key_after {
        seen.note(place, "it destroys no site key");
    }
    // A rotation that never came about, because the root lost the next site key, leaves the one before.
    if told.site_key.is_some_and(|key| key != gone.site_key_before) {
        tracing::debug!(place, "a rotation before this one did not come about");
    }
    told.site_key = Some(gone.site_key_after);
    for hour in &gone.epochs {
        let stored = told
            .links
            .iter()
            .find(|(_, row)| matches!(row.what, Linked::Stored(file) if file.epoch == *hour));
        if let Some(((camera, seq), _)) = stored {
            let what = format!("it destroys hour {hour}, and segment {seq} of {camera} is stored");
            seen.note(place, what);
        }
        told.gone.insert(*hour);
    }
}

pub(super) fn compare(
    core: &Core,
    seen: &mut Checked,
    told: &Told,
    depth: Depth,
) -> Result<(), StoreError> {
    let unfinished = rotate::mark(core)?.is_some();
    if !unfinished && told.site_key.is_some_and(|key| key != core.ring.site_key()) {
        seen.note("site key", "it is not the one that the last rotation left in force");
    }
    let open = lock(&core.epochs).clone();
    if !unfinished {
        for hour in told.gone.iter().filter(|hour| !open.contains_key(hour)) {
            if core.ring.has_hour(*hour) {
                seen.note(format!("hour {hour}"), "it has a key, and the log says it is destroyed");
            }
        }
    }
    for (camera, seq) in told.links.keys() {
        let Some(row) = row_of(core, camera, *seq) else { continue };
        let Some(file) = row.stored() else { continue };
        let place = || format!("segment {seq} of {camera}");
        if !core.ring.has_hour(file.epoch) {
            seen.note(place(), "its hour has no key");
        } else if depth == Depth::Bytes
            && let Err(StoreError::Key(error)) = read::segment_key(core, camera, *seq)
        {
            // A file that is not there, or is another's, is told where files are looked at.
            seen.note(place(), format!("its key does not open: {error}"));
        }
    }
    Ok(())
}
