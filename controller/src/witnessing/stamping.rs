//! Once an hour, and once after the start, the newest cosigned note of each log is stamped by a
//! time-stamping authority; and so is one that a bundle needs, where none covers its records yet. An
//! authority that is away is told in `health`; a bundle asks it once and goes without.

use std::time::Duration;

use custody::{Digest, WallTime};
use host::Tasks;

use super::Witnessing;
use super::book::KeptStamp;
use super::field::Field;
use super::stamp::{QUERY_TYPE, Query};
use super::web::WebParty;
use crate::ledger::{Actor, Command};
use crate::limits;
use crate::log::event::logs::{LogsStamped, Stamped};

/// Where there was nothing to stamp, or the authority was away, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);
const TROUBLE: &str = "time-stamping";

/// A time-stamping authority.
#[derive(Clone)]
pub struct StampAuthority {
    /// Its address, for the log.
    pub name: String,
    /// Where it is.
    pub party: WebParty,
}

/// Stamps until shutdown.
pub async fn run<F: Field>(witnessing: Witnessing<F>, authority: StampAuthority, tasks: Tasks) {
    let mut due = WallTime(i64::MIN);
    loop {
        let now = witnessing.0.clock.now();
        if now >= due {
            let stamped = tokio::select! {
                () = tasks.stopping() => return,
                stamped = witnessing.stamp(&authority) => stamped,
            };
            if stamped > 0 {
                due = now.plus_seconds(limits::STAMP_EVERY_S);
            }
        }
        tokio::select! {
            () = tasks.stopping() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

impl<F: Field> Witnessing<F> {
    /// Has the newest cosigned note of each log stamped. How many were.
    pub async fn stamp(&self, authority: &StampAuthority) -> usize {
        let logs = self.0.field.logs();
        let origins: Vec<_> = logs.iter().map(|log| log.vkey.name().to_owned()).collect();
        self.stamp_each(authority, &origins).await
    }

    /// Has the newest cosigned note stamped of each log that has no stamp over its place yet.
    pub async fn stamp_places(&self, authority: &StampAuthority, places: &[(String, u64)]) {
        let has_none = |(origin, index): &&(String, u64)| {
            // A store that does not read is told by the round.
            let (stamp, kept) =
                (self.0.book.stamp_covering(origin, *index), self.0.book.quorum(origin));
            let is_covered = kept.ok().flatten().is_some_and(|kept| kept.size > *index);
            matches!(stamp, Ok(None)) && is_covered
        };
        let origins: Vec<_> =
            places.iter().filter(has_none).map(|(origin, _)| origin.clone()).collect();
        if !origins.is_empty() {
            self.stamp_each(authority, &origins).await;
        }
    }

    async fn stamp_each(&self, authority: &StampAuthority, origins: &[String]) -> usize {
        let mut stamps = Vec::new();
        let mut failed = None;
        for origin in origins {
            match self.stamp_one(authority, origin).await {
                Ok(Some(stamped)) => stamps.push(stamped),
                Ok(None) => {}
                Err(why) => {
                    // An authority that does not answer one question is not asked the next.
                    failed = Some(why);
                    break;
                }
            }
        }
        if let Some(why) = &failed {
            tracing::warn!(why, "the time-stamping authority gave no stamp");
        }
        self.0.set_trouble(TROUBLE, failed);
        let count = stamps.len();
        for stamps in stamps.chunks(limits::STAMPS_AN_EVENT) {
            let event = LogsStamped { authority: authority.name.clone(), stamps: stamps.to_vec() };
            let sent = self.0.ledger.send(Actor::Controller, Command::StampLogs(event)).await;
            if let Err(refusal) = sent {
                tracing::error!(%refusal, "time stamps could not be noted");
            }
        }
        count
    }

    async fn stamp_one(
        &self,
        authority: &StampAuthority,
        origin: &str,
    ) -> Result<Option<Stamped>, String> {
        let kept = self.0.book.quorum(origin).map_err(|error| error.to_string())?;
        let Some(kept) = kept else { return Ok(None) };
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce)
            .expect("aws-lc's random source does not fail once seeded");
        let query = Query::new(&kept.note, nonce).map_err(|error| error.to_string())?;
        let body = query.der().map_err(|error| error.to_string())?;
        let answer = authority.party.post("", QUERY_TYPE, body).await;
        let answer = answer.map_err(|error| host::telemetry::chain(&error))?;
        if answer.status != 200 {
            return Err(format!("{} answered {}", authority.name, answer.status));
        }
        let stamp = query.check(&answer.body).map_err(|error| host::telemetry::chain(&error))?;
        let (size, note) = (kept.size, kept.note);
        let (note_sha256, token_sha256) = (Digest::of(&note), Digest::of(&stamp.response));
        let kept = KeptStamp { size, note, response: stamp.response };
        self.0.book.put_stamp(origin, &kept).map_err(|error| error.to_string())?;
        Ok(Some(Stamped {
            origin: origin.to_owned(),
            size,
            note_sha256,
            token_sha256,
            at: stamp.at,
        }))
    }
}
