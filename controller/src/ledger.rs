//! The one door to the controller's state. Every change walks: access decides → the room decides →
//! the log keeps it → the folds take it in. A change that is not in the log did not happen.
//!
//! [`Ledger::submit`] blocks for one synced write (1 to 10 ms) and takes turns with other writers;
//! from async code use [`Ledger::send`], which does the same on a blocking thread. [`Ledger::read`]
//! takes a shared lock for as long as the closure runs: copy out what is needed, wait for nothing.
//!
//! | file | holds |
//! |---|---|
//! | [`command`] | everything that can be asked for |
//! | [`decide`] | who answers which command (pure) |
//! | [`state`] | the folds (pure) |

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use host::Clock;
use tokio::sync::watch;

use crate::access::{self, Act, Code, Object};
use crate::limits;
use crate::log::event::audit::AccessRefused;
use crate::log::{AppendError, Body, Entry, EventLog, Fatal, Stored, Stream};

pub mod command;
pub mod decide;
pub mod state;

pub use crate::access::{Actor, Refusal};
pub use crate::log::Event;
pub use command::Command;
pub use decide::Decided;
pub use state::State;

/// The door. Clones are the same door.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    log: Arc<dyn EventLog>,
    clock: Clock,
    /// Held by one writer from before it decides until its events are folded.
    writing: Mutex<()>,
    /// The folds. Written only under `writing`.
    state: RwLock<State>,
    /// The position that comes next, for those who wait for changes.
    head: watch::Sender<u64>,
    /// True from the log's first failure on: nothing is decided any more, the process must end.
    broken: watch::Sender<bool>,
}

impl Ledger {
    /// Opens the door to `log`: folds all of it.
    ///
    /// # Errors
    /// When the log does not read.
    pub fn open(log: Box<dyn EventLog>, clock: Clock) -> Result<Self, Fatal> {
        let mut state = State::default();
        catch_up(&*log, &mut state)?;
        let head = watch::Sender::new(state.head());
        Ok(Self(Arc::new(Inner {
            log: Arc::from(log),
            clock,
            writing: Mutex::new(()),
            state: RwLock::new(state),
            head,
            broken: watch::Sender::new(false),
        })))
    }

    /// Decides on a command and keeps what follows. Refusals of people and systems are kept too.
    ///
    /// Blocks; see the top of this file.
    ///
    /// # Errors
    /// The refusal. `log-broken` when the log failed: the process must end, see
    /// [`Ledger::broken`].
    #[expect(clippy::needless_pass_by_value, reason = "a wish is given away, not lent")]
    pub fn submit(&self, actor: Actor, command: Command) -> Result<Vec<Event>, Refusal> {
        let (actor, command) = (&actor, &command);
        let inner = &*self.0;
        let _turn = inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..limits::RACES_MAX {
            if *inner.broken.borrow() {
                return Err(log_broken());
            }
            let now = inner.clock.now();
            let decided = self.read(|state| {
                let principal = state.registry.principal(actor);
                state.with_object(command, |object| {
                    access::decide(&principal, command.act(), object)
                })?;
                decide::decide(state, actor, command, now)
            });
            match decided {
                Ok(decided) if decided.events.is_empty() => return Ok(Vec::new()),
                Ok(decided) => match self.append(actor, decided) {
                    Ok(events) => return Ok(events),
                    Err(AppendError::Conflict { .. }) => self.fold_what_others_wrote()?,
                    Err(AppendError::Fatal(fatal)) => return Err(self.fail(&fatal)),
                },
                Err(refusal) => {
                    if actor.account().is_some() {
                        self.keep_refusal(actor, command, &refusal)?;
                    }
                    return Err(refusal);
                }
            }
        }
        Err(Refusal::new(Code::Busy, "others changed the same thing again and again: try again"))
    }

    /// [`Ledger::submit`] on a blocking thread.
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, actor: Actor, command: Command) -> Result<Vec<Event>, Refusal> {
        let ledger = self.clone();
        let answer = tokio::task::spawn_blocking(move || ledger.submit(actor, command)).await;
        answer.unwrap_or_else(|_| Err(log_broken()))
    }

    /// Says whether `actor` may do `act`, which changes nothing; a refusal is kept in the log.
    ///
    /// # Errors
    /// The refusal.
    pub async fn permit(&self, actor: &Actor, act: Act, object: Object<'_>) -> Result<(), Refusal> {
        let answer =
            self.read(|state| access::decide(&state.registry.principal(actor), act, object));
        if let Err(refusal) = &answer {
            let case = match object {
                Object::Case(case, _) => Some(case.clone()),
                Object::Estate
                | Object::Hold(_)
                | Object::Order(_)
                | Object::Site(_)
                | Object::Person(_) => None,
            };
            let event = AccessRefused {
                act: act.as_str().to_owned(),
                object: object.to_string(),
                case,
                code: refusal.code().as_str().to_owned(),
                message: refusal.message().to_owned(),
            };
            self.send(Actor::Controller, Command::KeepRefusal(actor.clone(), event)).await?;
        }
        answer
    }

    /// Looks at the state. The closure must wait for nothing.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The position that comes next, and a signal whenever it moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.head.subscribe()
    }

    /// True once the log has failed: the process must end.
    #[must_use]
    pub fn broken(&self) -> watch::Receiver<bool> {
        self.0.broken.subscribe()
    }

    /// The clock by which decisions are made.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Entries as they stand in the log, for the audit trail. Blocks.
    ///
    /// # Errors
    /// `log-broken`.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<Stored>, Refusal> {
        self.0.log.read(from, limit).map_err(|fatal| self.fail(&fatal))
    }

    /// The log itself, for those who publish and prove it.
    #[must_use]
    pub fn log(&self) -> &dyn EventLog {
        &*self.0.log
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_log(&self) -> Arc<dyn EventLog> {
        self.0.log.clone()
    }

    /// An entry's exact bytes and salt. Blocks.
    ///
    /// # Errors
    /// `log-broken`; also when the entry is not there.
    pub fn body(&self, position: u64) -> Result<Body, Refusal> {
        let found = self.0.log.body(position).map_err(|fatal| self.fail(&fatal))?;
        let missing = || Fatal::new("reading an entry", format!("entry {position} is missing"));
        found.ok_or_else(|| self.fail(&missing()))
    }

    fn append(&self, actor: &Actor, decided: Decided) -> Result<Vec<Event>, AppendError> {
        let inner = &*self.0;
        let at = inner.clock.now();
        let actor = decided.actor.as_ref().unwrap_or(actor);
        let entries: Vec<Entry> = decided
            .events
            .iter()
            .map(|event| Entry {
                at,
                actor: actor.clone(),
                purpose: decided.purpose,
                reason: decided.reason.clone(),
                body: event.clone(),
            })
            .collect();
        let version = self.read(|state| state.version(&decided.stream));
        let positions = inner.log.append(&decided.stream, version, &entries)?;
        let head = self.read(State::head);
        if positions.start == head {
            let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
            for ((position, version), entry) in positions.zip(version..).zip(entries) {
                let stream = decided.stream.clone();
                state.apply(&Stored::place(entry, stream, version, position));
            }
        } else {
            // Another writer's entries of other streams lie before ours.
            let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
            catch_up(&*inner.log, &mut state).map_err(AppendError::Fatal)?;
        }
        inner.head.send_replace(self.read(State::head));
        Ok(decided.events)
    }

    fn fold_what_others_wrote(&self) -> Result<(), Refusal> {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        let caught_up = catch_up(&*self.0.log, &mut state);
        drop(state);
        caught_up.map_err(|fatal| self.fail(&fatal))?;
        self.0.head.send_replace(self.read(State::head));
        Ok(())
    }

    fn keep_refusal(
        &self,
        actor: &Actor,
        command: &Command,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let event = self.read(|state| {
            state.with_object(command, |object| AccessRefused {
                act: command.act().as_str().to_owned(),
                object: object.to_string(),
                case: command.case().cloned(),
                code: refusal.code().as_str().to_owned(),
                message: refusal.message().to_owned(),
            })
        });
        let (purpose, reason) = command.purpose_and_reason();
        for _ in 0..limits::RACES_MAX {
            let decided = Decided {
                stream: Stream::access(),
                actor: None,
                purpose,
                reason: reason.chars().take(limits::TEXT_CHARS_MAX).collect(),
                events: vec![Event::AccessRefused(event.clone())],
            };
            match self.append(actor, decided) {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict { .. }) => self.fold_what_others_wrote()?,
                Err(AppendError::Fatal(fatal)) => return Err(self.fail(&fatal)),
            }
        }
        Err(Refusal::new(Code::Busy, "others changed the same thing again and again: try again"))
    }

    fn fail(&self, fatal: &Fatal) -> Refusal {
        let cause = std::error::Error::source(fatal).map(ToString::to_string).unwrap_or_default();
        tracing::error!(%fatal, cause, "the event log failed; this process must end");
        self.0.broken.send_replace(true);
        log_broken()
    }
}

fn log_broken() -> Refusal {
    Refusal::new(
        Code::LogBroken,
        "the event log failed, and nothing is decided without it: tell whoever runs the controller",
    )
}

fn catch_up(log: &dyn EventLog, state: &mut State) -> Result<(), Fatal> {
    loop {
        let entries = log.read(state.head(), limits::READ_ENTRIES)?;
        for stored in &entries {
            if stored.position != state.head() {
                let why = format!("entry {} comes where {} is due", stored.position, state.head());
                return Err(Fatal::new("folding the log", why));
            }
            state.apply(stored);
        }
        if entries.len() < limits::READ_ENTRIES {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
