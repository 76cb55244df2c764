//! How witnessing stands, for people: each log, its quorum, how late that is, and each witness.

use std::sync::PoisonError;

use custody::WallTime;

use super::Witnessing;
use super::field::Field;
use super::plan::Trouble;
use super::round::{self, Who};

/// How one log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStanding {
    /// Its name and key.
    pub vkey: String,
    /// Its name.
    pub origin: String,
    /// The site whose it is; none: the controller's.
    pub site: Option<custody::SiteId>,
    /// Entries under its newest checkpoint.
    pub size: u64,
    /// Entries under the newest checkpoint that met the quorum, and when it did.
    pub quorum: Option<(u64, WallTime)>,
    /// Since when there is something that the quorum has not seen; none: it has seen all.
    pub late_since: Option<WallTime>,
    /// Its policy, as a bundle carries it.
    pub policy: String,
    /// Its witnesses.
    pub witnesses: Vec<WitnessStanding>,
}

/// How a witness stands with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessStanding {
    /// Its name.
    pub name: String,
    /// `site`, `controller`, `outside`.
    pub kind: &'static str,
    /// Whether it can be asked now, as far as is known.
    pub connected: bool,
    /// Entries under the newest checkpoint that it has cosigned since this program began.
    pub cosigned: u64,
    /// Why not more, in words; empty when all is well.
    pub trouble: String,
}

impl<F: Field> Witnessing<F> {
    /// How each log stands. Reads the disc.
    #[must_use]
    pub fn standing(&self) -> Vec<LogStanding> {
        let tasks = round::tasks(&self.0);
        tasks.iter().map(|task| self.of_log(task)).collect()
    }

    /// What fails of witnessing as a whole.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }

    fn of_log(&self, task: &round::Task) -> LogStanding {
        let origin = task.log.vkey.name();
        // A store that does not read is told by the round.
        let quorum = self.0.book.quorum(origin).ok().flatten().map(|kept| (kept.size, kept.at));
        let plan = self.0.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let witness = |asked: &round::Asked| {
            let (cosigned, trouble) = plan.stand(origin, &asked.voice.word);
            let (name, kind) = match &asked.who {
                Who::Site(site) => (site.to_string(), "site"),
                Who::Own => ("controller".to_owned(), "controller"),
                Who::Outside(number) => (self.0.outside[*number].name.clone(), "outside"),
            };
            let trouble = match trouble {
                None if !asked.connected => "it is not connected".to_owned(),
                None => String::new(),
                Some(Trouble::Away(why)) => why,
                Some(Trouble::Ahead(size)) => {
                    format!("it has cosigned {size} entries, more than there are: a rollback")
                }
                Some(Trouble::Refused(422)) => "it refused a fork".to_owned(),
                Some(Trouble::Refused(403)) => "it knows another key of this log".to_owned(),
                Some(Trouble::Refused(404)) => "it does not know this log".to_owned(),
                Some(Trouble::Refused(status)) => format!("it answered {status}"),
            };
            WitnessStanding { name, kind, connected: asked.connected, cosigned, trouble }
        };
        LogStanding {
            vkey: task.log.vkey.to_string(),
            origin: origin.to_owned(),
            site: task.log.site.clone(),
            size: task.log.size,
            quorum,
            late_since: round::late_since(quorum, task.log.size),
            policy: task.policy.to_string(),
            witnesses: task.witnesses.iter().map(witness).collect(),
        }
    }
}
