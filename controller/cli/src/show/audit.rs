//! Entries of the audit trail.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, text, time_text};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its place in the log.
    pub position: u64,
    /// When.
    pub at: WallTime,
    /// Who: a person, `system:NAME`, `site:NAME` or `controller`.
    pub actor: String,
    /// What happened.
    pub event: String,
    /// To what.
    pub object: Option<String>,
    /// For which purpose.
    pub purpose: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The whole event as the log keeps it; a text if it is no JSON.
    pub whole: serde_json::Value,
}

impl From<v1::AuditEntry> for Entry {
    fn from(entry: v1::AuditEntry) -> Self {
        Self {
            position: entry.position,
            at: WallTime(entry.at_us),
            actor: entry.actor,
            event: entry.event,
            object: text(entry.object),
            purpose: text(entry.purpose),
            reason: text(entry.reason),
            whole: serde_json::from_str(&entry.json)
                .unwrap_or(serde_json::Value::String(entry.json)),
        }
    }
}

impl Row for Entry {
    const HEAD: &'static [&'static str] =
        &["position", "at", "actor", "event", "object", "purpose", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.position.to_string(),
            time_text(Some(self.at)),
            self.actor.clone(),
            self.event.clone(),
            or_dash(self.object.as_ref()),
            or_dash(self.purpose.as_ref()),
            or_dash(self.reason.as_ref()),
        ]
    }
}
