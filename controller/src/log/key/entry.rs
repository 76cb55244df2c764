//! One entry of the log.
//!
//! ```text
//! key    2 position:u64
//! value  {"stream":"case/WH-2026-000001","version":0,"at":"2026-11-21T14:03:00.000000Z",
//!         "actor":"t.okafor","purpose":"crime","reason":"…",
//!         "event":"evidence-requested","event_version":1,"body":{…}}
//! ```
//! The value is also what the audit trail shows and what a bundle's custody record holds.

use custody::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BadRecord;
use crate::access::{Actor, Purpose};
use crate::log::{Event, Stored, Stream};

/// The kind.
pub const KIND: u8 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    stream: Stream,
    version: u64,
    at: WallTime,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<Purpose>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    event: String,
    event_version: u16,
    body: Value,
}

/// The key of a position.
#[must_use]
pub fn key(position: u64) -> [u8; 9] {
    let mut key = [KIND; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The position of a key; none when it is a key of another kind.
#[must_use]
pub fn read_key(key: &[u8]) -> Option<u64> {
    let (&KIND, position) = key.split_first()? else { return None };
    position.try_into().ok().map(u64::from_be_bytes)
}

/// The value.
#[must_use]
pub fn value(stored: &Stored) -> Vec<u8> {
    let wire = Wire {
        stream: stored.stream.clone(),
        version: stored.version,
        at: stored.at,
        actor: stored.actor.clone(),
        purpose: stored.purpose,
        reason: stored.reason.clone(),
        event: stored.body.name().to_owned(),
        event_version: stored.body.version(),
        body: stored.body.body(),
    };
    serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
}

/// Reads the value found at `position`.
///
/// # Errors
/// When it is no entry, or its event is not known.
pub fn read_value(position: u64, value: &[u8]) -> Result<Stored, BadRecord> {
    let bad = |source: Box<dyn std::error::Error + Send + Sync>| {
        BadRecord::because(format!("entry {position} does not read"), source)
    };
    let wire: Wire = serde_json::from_slice(value).map_err(|e| bad(e.into()))?;
    let body =
        Event::read(&wire.event, wire.event_version, wire.body).map_err(|e| bad(e.into()))?;
    Ok(Stored {
        position,
        stream: wire.stream,
        version: wire.version,
        at: wire.at,
        actor: wire.actor,
        purpose: wire.purpose,
        reason: wire.reason,
        body,
    })
}
