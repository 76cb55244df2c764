//! One round: each log's newest checkpoint goes to those of its witnesses that are due, the answers
//! are checked, and what came is kept.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use custody::WallTime;
use custody::log::{Policy, SignedCheckpoint, VerifierKey, witness};
use futures::StreamExt as _;

use super::book::BookError;
use super::field::{Field, LogHead, SiteWitness};
use super::plan::{Outcome, neighbours};
use super::quorum::{self, Voice};
use super::{Inner, Outside};
use crate::limits;

/// A log with its witnesses and the policy that they make.
pub(super) struct Task {
    pub(super) log: LogHead,
    pub(super) witnesses: Vec<Asked>,
    pub(super) policy: Policy,
}

/// A witness of a log.
pub(super) struct Asked {
    /// Its word in the policy, and in the plan.
    pub(super) voice: Voice,
    pub(super) who: Who,
    pub(super) connected: bool,
}

#[derive(Clone)]
pub(super) enum Who {
    Site(custody::SiteId),
    Own,
    Outside(usize),
}

/// Each log with its witnesses.
pub(super) fn tasks<F: Field>(inner: &Inner<F>) -> Vec<Task> {
    let sites = inner.field.witnesses();
    let by_site: BTreeMap<_, _> = sites.iter().map(|site| (&site.site, site)).collect();
    let all: Vec<_> = by_site.keys().copied().collect();
    let own = Voice { word: "controller".to_owned(), keys: vec![inner.own.vkey().clone()] };
    let outside: Vec<Voice> = inner.outside.iter().map(|outside| outside.voice.clone()).collect();
    let task = |log: LogHead| {
        let others: Vec<&SiteWitness> =
            neighbours(&all, log.site.as_ref()).into_iter().map(|site| by_site[site]).collect();
        let voices: Vec<Voice> = others.iter().map(|site| site.voice.clone()).collect();
        let controller = log.site.is_some().then_some(&own);
        let policy = quorum::compose(&log.vkey, &voices, controller, &outside);
        let mut witnesses: Vec<Asked> = others
            .into_iter()
            .map(|site| Asked {
                voice: site.voice.clone(),
                who: Who::Site(site.site.clone()),
                connected: site.connected,
            })
            .collect();
        if let Some(own) = controller {
            witnesses.push(Asked { voice: own.clone(), who: Who::Own, connected: true });
        }
        let outside = outside.iter().enumerate().map(|(number, voice)| Asked {
            voice: voice.clone(),
            who: Who::Outside(number),
            connected: true,
        });
        witnesses.extend(outside);
        Task { log, witnesses, policy }
    };
    inner.field.logs().into_iter().map(task).collect()
}

/// Asks whoever is due; keeps what came. Whether anything was asked.
pub(super) async fn run<F: Field>(inner: &Inner<F>) -> Result<bool, BookError> {
    let tasks = tasks(inner);
    {
        let mut plan = inner.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: std::collections::BTreeSet<(&str, &str)> = tasks
            .iter()
            .flat_map(|task| {
                let log = task.log.vkey.name();
                task.witnesses.iter().map(move |asked| (log, asked.voice.word.as_str()))
            })
            .collect();
        plan.keep_only(|log, witness| wanted.contains(&(log, witness)));
        let mut present = inner.present.lock().unwrap_or_else(PoisonError::into_inner);
        for asked in tasks.iter().flat_map(|task| &task.witnesses).filter(|a| a.connected) {
            if present.insert(asked.voice.word.clone()) {
                plan.is_back(&asked.voice.word);
            }
        }
        let away = |word: &String| {
            let mut all = tasks.iter().flat_map(|task| &task.witnesses);
            !all.any(|asked| asked.voice.word == *word && asked.connected)
        };
        present.retain(|word| !away(word));
    }
    let questions = tasks.iter().enumerate().flat_map(|(number, task)| {
        let due =
            task.witnesses.iter().filter(|asked| asked.connected && is_due(inner, task, asked));
        due.map(move |asked| async move { (number, ask(inner, task, asked).await) })
    });
    let questions: Vec<_> = questions.collect();
    let answers: Vec<(usize, Option<String>)> =
        futures::stream::iter(questions).buffer_unordered(limits::WITNESS_AT_ONCE).collect().await;
    let mut lines: BTreeMap<usize, String> = BTreeMap::new();
    for (number, line) in &answers {
        lines.entry(*number).or_default().push_str(line.as_deref().unwrap_or_default());
    }
    for (number, lines) in lines {
        keep(inner, &tasks[number], &lines)?;
    }
    hand_out(inner, &tasks)?;
    Ok(!answers.is_empty())
}

fn is_due<F>(inner: &Inner<F>, task: &Task, asked: &Asked) -> bool {
    let plan = inner.plan.lock().unwrap_or_else(PoisonError::into_inner);
    let (log, now) = (task.log.vkey.name(), inner.clock.tick());
    plan.due(log, &asked.voice.word, task.log.size, now).is_some()
}

/// Asks one witness, once more where it says that it stands elsewhere. Gives its cosignature's line.
async fn ask<F: Field>(inner: &Inner<F>, task: &Task, asked: &Asked) -> Option<String> {
    let (log, word, size) = (&task.log, &asked.voice.word, task.log.size);
    for _ in 0..2 {
        let old = {
            let plan = inner.plan.lock().unwrap_or_else(PoisonError::into_inner);
            plan.due(log.vkey.name(), word, size, inner.clock.tick())?
        };
        let (outcome, line) = match inner.field.consistency(log, old, size) {
            Err(error) => (Outcome::Failed(error.to_string()), None),
            Ok(proof) => {
                let body = witness::request(old, &proof, &log.note);
                let asking = question(inner, &asked.who, &log.vkey, body);
                match tokio::time::timeout(limits::WITNESS_CALL, asking).await {
                    Err(_) => (Outcome::Failed("it did not answer in time".to_owned()), None),
                    Ok(Err(why)) => (Outcome::Failed(why), None),
                    Ok(Ok((status, body))) => {
                        judge(&log.note, size, &asked.voice.keys, status, &body)
                    }
                }
            }
        };
        if let Outcome::Refused(status) = outcome {
            inner.refused(log, word, old, status);
        }
        let mut plan = inner.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.came(log.vkey.name(), word, size, outcome, inner.clock.tick());
        drop(plan);
        if line.is_some() {
            return line;
        }
    }
    None
}

async fn question<F: Field>(
    inner: &Inner<F>,
    who: &Who,
    log: &VerifierKey,
    body: Vec<u8>,
) -> Result<(u16, Vec<u8>), String> {
    match who {
        Who::Site(site) => inner.field.ask(site, log, body).await,
        Who::Own => {
            let (own, log) = (inner.own.clone(), log.clone());
            let answer = tokio::task::spawn_blocking(move || own.answer(&log, &body)).await;
            answer.map_err(|_| "stopping".to_owned())?.map_err(|error| error.to_string())
        }
        Who::Outside(number) => {
            let Outside { party, .. } = &inner.outside[*number];
            let answer = party.post("add-checkpoint", "text/plain; charset=utf-8", body).await;
            let answer = answer.map_err(|error| host::telemetry::chain(&error))?;
            Ok((answer.status, answer.body))
        }
    }
}

/// What an answer is: a cosignature counts only if it fits one of the witness's keys.
fn judge(
    note: &[u8],
    size: u64,
    keys: &[VerifierKey],
    status: u16,
    body: &[u8],
) -> (Outcome, Option<String>) {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match status {
        200 => {
            let fits = |line: &str| {
                let note = SignedCheckpoint::read(note).ok()?;
                let with = SignedCheckpoint::read(&note.with_lines(line)).ok()?;
                keys.iter().any(|key| with.cosignature(key).is_some()).then(|| format!("{line}\n"))
            };
            // More lines than a witness has keys say nothing more.
            match text.lines().take(limits::NAMED_KEYS).find_map(fits) {
                Some(line) => (Outcome::Cosigned(size), Some(line)),
                None => (Outcome::Failed("its cosignature does not fit its key".to_owned()), None),
            }
        }
        409 => match text.trim_end().parse() {
            Ok(size) => (Outcome::Has(size), None),
            Err(_) => (Outcome::Failed("it answers 409 and no size".to_owned()), None),
        },
        status => (Outcome::Refused(status), None),
    }
}

/// Adds cosignatures to the log's newest note, and keeps it where the quorum is met.
fn keep<F>(inner: &Inner<F>, task: &Task, lines: &str) -> Result<(), BookError> {
    let origin = task.log.vkey.name();
    let read = |bytes: &[u8]| SignedCheckpoint::read(bytes).ok();
    let before = inner.book.newest(origin)?.and_then(|note| read(&note));
    let own = read(&task.log.note).ok_or(BookError::Row("a log's checkpoint"))?;
    // Cosignatures that came for the same checkpoint in an earlier round still count.
    let base = before.filter(|note| note.checkpoint() == own.checkpoint()).unwrap_or(own);
    let bytes = base.with_lines(lines);
    let note = read(&bytes).ok_or(BookError::Row("a cosigned note"))?;
    inner.book.put_newest(origin, &bytes)?;
    let witnessed = task.policy.witnessed(&note);
    if !witnessed.quorum {
        return Ok(());
    }
    // A policy without witnesses is met at once, by nobody's clock but ours.
    let at = witnessed.quorum_at.unwrap_or_else(|| inner.clock.now());
    inner.book.met(origin, task.log.size, at, &task.policy.to_string(), &bytes)?;
    inner.covered(origin, task.log.size, at);
    Ok(())
}

/// The newest kept note of each log goes to the sites: kept, so that it can be shown when a record
/// names it.
fn hand_out<F: Field>(inner: &Inner<F>, tasks: &[Task]) -> Result<(), BookError> {
    let mut notes = Vec::new();
    for task in tasks {
        if let Some(kept) = inner.book.last_kept(task.log.vkey.name())? {
            notes.push((task.log.site.clone(), kept.note));
        }
    }
    inner.field.hand_out(notes);
    Ok(())
}

/// How late witnessing is: since when there is something that the quorum has not seen.
pub(super) fn late_since(quorum: Option<(u64, WallTime)>, size: u64) -> Option<WallTime> {
    match quorum {
        Some((covered, at)) => (covered < size).then_some(at),
        None => Some(WallTime(0)),
    }
}
