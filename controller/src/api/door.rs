//! Who calls, and what all services share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use custody::Digest;
use host::Tasks;
use link::Tick;
use tonic::{Request, Status};

use super::status;
use crate::access::{Act, Actor, Code, Object, Refusal};
use crate::fleet::Fleet;
use crate::ledger::{Command, Event, Ledger};
use crate::limits;
use crate::log::event::audit::AccessRefused;
use crate::reconcile::Progress;
use crate::vault::Book;
use crate::witnessing::{self, Witnessing};

/// What the services need.
#[derive(Clone)]
pub struct Parts {
    /// The door to the state.
    pub ledger: Ledger,
    /// How the sites are.
    pub fleet: Fleet,
    /// How the logs are witnessed.
    pub witnessing: Witnessing<witnessing::Estate>,
    /// How cases under way are doing.
    pub progress: Progress,
    /// How copies of held footage are doing.
    pub copies: Book,
    /// How its copies at other sites are doing.
    pub guests: Book,
    /// The digest of the authority's certificate, for enrolment tokens.
    pub ca_sha256: Digest,
    /// The folder with the bundles.
    pub bundles: PathBuf,
    /// Where streams hang.
    pub tasks: Tasks,
}

/// Every service holds one; clones are the same.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    parts: Parts,
    guesses: Mutex<Guesses>,
}

/// Unknown tokens in the present minute.
#[derive(Default)]
struct Guesses {
    since: Tick,
    logged: u32,
    unlogged: u64,
}

impl Door {
    /// The door over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared { parts, guesses: Mutex::default() }))
    }

    /// What is behind it.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// Who calls.
    ///
    /// # Errors
    /// `token-unknown`, `person-suspended`; kept in the log, the former a few times a minute.
    pub async fn actor<T>(&self, request: &Request<T>) -> Result<Actor, Status> {
        let token = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let known = self.parts().ledger.read(|state| state.registry.authenticate(token.trim()));
        match known {
            Ok(actor) => Ok(actor),
            Err(refusal) => {
                self.keep_guess(request.remote_addr(), &refusal).await?;
                Err(status::of(&refusal))
            }
        }
    }

    /// Submits a command.
    ///
    /// # Errors
    /// The refusal, as a status.
    pub async fn send(&self, actor: Actor, command: Command) -> Result<Vec<Event>, Status> {
        self.parts().ledger.send(actor, command).await.map_err(|refusal| status::of(&refusal))
    }

    /// Says whether `actor` may look.
    ///
    /// # Errors
    /// The refusal, as a status.
    pub async fn permit(&self, actor: &Actor, act: Act, object: Object<'_>) -> Result<(), Status> {
        let answer = self.parts().ledger.permit(actor, act, object).await;
        answer.map_err(|refusal| status::of(&refusal))
    }

    /// Keeps the refusal of a request that does not read, and gives its status.
    pub async fn refuse(&self, actor: &Actor, act: Act, refusal: Refusal) -> Status {
        let event = AccessRefused {
            act: act.as_str().to_owned(),
            object: Object::Estate.to_string(),
            case: None,
            code: refusal.code().as_str().to_owned(),
            message: refusal.message().to_owned(),
        };
        let keep = Command::KeepRefusal(actor.clone(), event);
        match self.parts().ledger.send(Actor::Controller, keep).await {
            Ok(_) => status::of(&refusal),
            Err(worse) => status::of(&worse),
        }
    }

    /// Guessing must not fill the log: beyond some a minute they are counted, not kept.
    async fn keep_guess(&self, from: Option<SocketAddr>, refusal: &Refusal) -> Result<(), Status> {
        let tick = self.parts().ledger.clock().tick();
        let unlogged = {
            let mut guesses = self.0.guesses.lock().unwrap_or_else(PoisonError::into_inner);
            if tick.ms_since(guesses.since) >= 60_000 {
                guesses.since = tick;
                guesses.logged = 0;
            }
            if refusal.code() == Code::TokenUnknown
                && guesses.logged >= limits::UNKNOWN_TOKENS_LOGGED_A_MINUTE
            {
                guesses.unlogged += 1;
                return Ok(());
            }
            guesses.logged += 1;
            std::mem::take(&mut guesses.unlogged)
        };
        let event = AccessRefused {
            act: "authenticate".to_owned(),
            object: from.map_or_else(|| "unknown".to_owned(), |from| from.ip().to_string()),
            case: None,
            code: refusal.code().as_str().to_owned(),
            message: format!("{} ({unlogged} more before it)", refusal.message()),
        };
        self.send(Actor::Controller, Command::KeepRefusal(Actor::Controller, event)).await?;
        Ok(())
    }
}

/// A name from the wire.
///
/// # Errors
/// `name-invalid`.
pub fn name<T>(text: &str) -> Result<T, Refusal>
where
    T: std::str::FromStr<Err = custody::ids::BadName>,
{
    text.parse()
        .map_err(|bad: custody::ids::BadName| Refusal::new(Code::NameInvalid, bad.to_string()))
}
