//! The minute's record that the site runs, and how far each camera's chain has come.

use std::collections::BTreeMap;

use custody::record::{ChainEnd, Heartbeat, Record, Statement};
use custody::{CameraId, chain};

use super::StoreError;
use super::core::{Core, lock};

/// Logs a heartbeat that says of each camera its state; changes the records key first if its time is
/// nearly over.
pub(super) fn beat(core: &Core, states: &BTreeMap<CameraId, String>) -> Result<(), StoreError> {
    core.change_key_if_due()?;
    let mut cameras = Vec::with_capacity(states.len());
    for (camera, state) in states {
        let line = core.line(camera)?;
        let (next, _) = chain::after(line.head.as_ref());
        cameras.push(ChainEnd { camera: camera.clone(), next, state: state.clone() });
    }
    let heartbeat = Record::Other(Statement::Heartbeat(Heartbeat {
        site: core.identity.site().clone(),
        boot_id: core.identity.boot_id().to_owned(),
        clock: core.clock.quality(),
        cameras,
        at: core.clock.now(),
    }));
    let signed = core.sign(&heartbeat)?;
    core.log(&[&signed], |_, _| {})?;
    Ok(())
}

/// What a person must see to: each alarm's code and words.
pub(super) fn alarms(core: &Core) -> Vec<(&'static str, String)> {
    lock(&core.alarms).iter().map(|(alarm, what)| (alarm.code(), what.clone())).collect()
}
