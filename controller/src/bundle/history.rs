//! The audit extract as acts that the page and the graph tell: who did what, when and why. Pure.

use custody::{Digest, WallTime};
use serde::Deserialize;
use serde_json::Value;

/// One line of the audit extract: an entry of the controller's log.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its place in the controller's log.
    pub position: u64,
    /// What opens the log's commitment to it; none where the log has none yet.
    pub salt: Option<Digest>,
    /// Its bytes, exactly as they lie there.
    pub body: Vec<u8>,
}

/// What an audit line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) position: u64,
    pub(super) at: WallTime,
    pub(super) actor: String,
    pub(super) purpose: Option<String>,
    pub(super) reason: String,
    /// The event's stable name.
    pub(super) event: String,
    /// What was done, in words.
    pub(super) words: String,
}

/// The part of a line that is told; the rest is in the line itself.
#[derive(Deserialize)]
struct Line {
    at: WallTime,
    actor: String,
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    reason: String,
    event: String,
    #[serde(default)]
    body: Value,
}

/// The acts of these lines, in order. A line that does not read is no act; it stays in the extract.
pub(super) fn acts(lines: &[AuditEntry]) -> Vec<Act> {
    lines.iter().filter_map(act).collect()
}

fn act(line: &AuditEntry) -> Option<Act> {
    let read: Line = serde_json::from_slice(&line.body).ok()?;
    Some(Act {
        position: line.position,
        at: read.at,
        words: words(&read.event, &read.body),
        actor: read.actor,
        purpose: read.purpose,
        reason: read.reason,
        event: read.event,
    })
}

fn words(event: &str, body: &Value) -> String {
    let field = |name: &str| match &body[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match event {
        "evidence-requested" => {
            format!("asked for the footage from {} to {}", field("from"), field("to"))
        }
        "case-approved" => "approved the request".to_owned(),
        "case-refused" => "refused the request".to_owned(),
        "hold-ordered" => format!("ordered a hold on the footage of {}", field("camera")),
        "hold-placed" => "the site keeps the footage beyond its time".to_owned(),
        "hold-refused" => "the site does not keep the footage".to_owned(),
        "hold-release-ordered" => "ordered the end of a hold".to_owned(),
        "hold-released" => "the site no longer holds the footage".to_owned(),
        "hold-copying-to-site" => {
            format!(
                "began to copy the held footage, sealed and without keys, to site {}",
                field("site")
            )
        }
        "hold-copied-to-site" => {
            format!("site {} keeps a checked, sealed copy of the held footage", field("site"))
        }
        "hold-site-copy-deleted" => {
            format!("the copy of the held footage at site {} was deleted", field("site"))
        }
        "case-held" => "all footage of the case is held at its sites".to_owned(),
        "case-pulling" => format!(
            "began to copy {} sealed files, {} bytes, from the sites",
            field("segments"),
            field("bytes")
        ),
        "keys-released" => format!(
            "the site released the keys of {} segments of {}",
            field("segments"),
            field("camera")
        ),
        "case-bundled" => format!("a bundle was made; the check says {}", field("verdict")),
        "case-failed" => format!("the case failed: {}", field("detail")),
        "bundle-fetched" => "the bundle was given out".to_owned(),
        "access-refused" => {
            format!("was refused: {} ({})", field("message"), field("code"))
        }
        "audit-read" => "read the audit trail of the case".to_owned(),
        other => other.replace('-', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_a_case_is_told_in_words_and_none_is_lost() {
        let line =
            |body: &str| AuditEntry { position: 7, salt: None, body: body.as_bytes().to_vec() };
        let told = acts(&[
            line(
                r#"{"stream":"case/WH-2026-000001","version":1,"at":"2026-11-21T14:03:00.000000Z",
                "actor":"t.okafor","purpose":"crime","reason":"burglary",
                "event":"evidence-requested","event_version":1,
                "body":{"from":"2026-11-21T12:00:00.000000Z","to":"2026-11-21T13:00:00.000000Z"}}"#,
            ),
            line(r#"{"at":"2026-11-21T14:04:00Z","actor":"controller","event":"some-new-event"}"#),
            line("not JSON"),
        ]);
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].actor.as_str(), told[0].reason.as_str()), ("t.okafor", "burglary"));
        assert!(told[0].words.contains("from 2026-11-21T12:00:00.000000Z to 2026"), "{told:?}");
        assert_eq!(told[1].words, "some new event");
    }
}
