//! `logs`: each transparency log, how far enough witnesses have cosigned it, and who has not.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, time, time_text};

/// A log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Log {
    /// Its name.
    pub origin: String,
    /// Its name and key, as C2SP signed-note writes it.
    pub vkey: String,
    /// Whose it is; none: the controller's.
    pub site: Option<String>,
    /// Entries under its newest checkpoint.
    pub size: u64,
    /// Entries that enough witnesses have cosigned.
    pub quorum_size: u64,
    /// When they had, by their clocks.
    pub quorum_at: Option<WallTime>,
    /// Since when there are entries that they have not.
    pub late_since: Option<WallTime>,
    /// C2SP tlog-policy.
    pub policy: String,
    /// Its witnesses.
    pub witnesses: Vec<Witness>,
}

/// A witness of a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Witness {
    /// Its name.
    pub name: String,
    /// `site`, `controller`, `outside`.
    pub kind: String,
    /// Whether it can be asked now.
    pub connected: bool,
    /// Entries that it has cosigned since the controller started.
    pub cosigned: u64,
    /// Why not more; none when all is well.
    pub trouble: Option<String>,
}

impl From<v1::Log> for Log {
    fn from(log: v1::Log) -> Self {
        let witnesses = log.witnesses.into_iter().map(|witness| Witness {
            name: witness.name,
            kind: witness.kind,
            connected: witness.connected,
            cosigned: witness.cosigned,
            trouble: (!witness.trouble.is_empty()).then_some(witness.trouble),
        });
        Self {
            origin: log.origin,
            vkey: log.vkey,
            site: (!log.site.is_empty()).then_some(log.site),
            size: log.size,
            quorum_size: log.quorum_size,
            quorum_at: time(log.quorum_us),
            late_since: time(log.late_since_us),
            policy: log.policy,
            witnesses: witnesses.collect(),
        }
    }
}

impl Row for Log {
    const HEAD: &'static [&'static str] =
        &["log", "entries", "cosigned by enough", "last at", "witnesses"];

    fn cells(&self) -> Vec<String> {
        let quorum = if self.late_since.is_none() { "all" } else { "NOT ALL" };
        let witness = |witness: &Witness| match &witness.trouble {
            None => format!("{} {}", witness.name, witness.cosigned),
            Some(trouble) => format!("{} {} ({trouble})", witness.name, witness.cosigned),
        };
        vec![
            self.origin.clone(),
            self.size.to_string(),
            format!("{} ({quorum})", self.quorum_size),
            time_text(self.quorum_at),
            self.witnesses.iter().map(witness).collect::<Vec<_>>().join(", "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_late_says_so_and_why() {
        let witness = |name: &str, trouble: &str| v1::LogWitness {
            name: name.into(),
            kind: "site".into(),
            cosigned: 40,
            trouble: trouble.into(),
            ..v1::LogWitness::default()
        };
        let log = v1::Log {
            origin: "east.force.example/log/00000001".into(),
            size: 42,
            quorum_size: 40,
            quorum_us: 1,
            late_since_us: 1,
            witnesses: vec![witness("hq", ""), witness("west", "it is not connected")],
            ..v1::Log::default()
        };
        let cells = Log::from(log.clone()).cells();
        assert_eq!(cells[2], "40 (NOT ALL)");
        assert_eq!(cells[4], "hq 40, west 40 (it is not connected)");
        let sound = v1::Log { quorum_size: 42, late_since_us: 0, ..log };
        assert_eq!(Log::from(sound).cells()[2], "42 (all)");
    }
}
