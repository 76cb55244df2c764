//! Puts the rooms together: prepares a new controller, starts one, runs it until it is asked to
//! stop or its log fails.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody::PersonId;
use host::durable::{self, Reader};
use host::{Clock, Tasks, tasks};

use crate::access::{Actor, Refusal, Role};
use crate::api::{self, ServeError};
use crate::bundle::Signer;
use crate::config::Config;
use crate::fleet::{self, Fleet};
use crate::ledger::{Command, Ledger};
use crate::limits;
use crate::log::publish;
use crate::log::{Fatal, Publisher, RocksLog};
use crate::pki::{self, PkiError};
use crate::reconcile::{self, Progress, Proving};
use crate::registry::authority::AuthorityError;
use crate::registry::{Authority, OwnKeys, own, token};
use crate::vault::{self, Vault};
use crate::witnessing::stamping::{self, StampAuthority};
use crate::witnessing::{self, Book, Estate, Outside, OwnWitness, Witnessing, web};

/// The file with the first administrator's token.
pub const TOKEN_FILE: &str = "administrator.token";

/// Why a controller cannot be prepared or run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is a controller already.
    #[error("{0} already holds a controller: nothing was changed; remove nothing without a backup")]
    AlreadyThere(PathBuf),
    /// A file or folder.
    #[error("{path}: cannot be written; check the folder's owner and space")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The event log.
    #[error("the event log cannot be used")]
    Log(#[source] Fatal),
    /// The event log failed while running.
    #[error("the event log failed; start again when its disc is well")]
    LogBroken,
    /// The first administrator.
    #[error("the administrator cannot be added")]
    Administrator(#[source] Refusal),
    /// The signing key.
    #[error("the authority's key cannot be used")]
    Authority(#[source] AuthorityError),
    /// The certificates.
    #[error("the certificates cannot be used; was `controller init` run?")]
    Pki(#[source] PkiError),
    /// The sites' door.
    #[error("the door for the sites cannot be opened")]
    Fleet(#[source] fleet::OpenError),
    /// What is kept of witnessing.
    #[error("what is kept of witnessing cannot be used")]
    Witnessing(#[source] witnessing::book::BookError),
    /// An outside witness or time-stamping authority.
    #[error("an outside party of the settings cannot be used")]
    Outside(#[source] web::WebError),
    /// The API.
    #[error("the API cannot be opened")]
    Api(#[source] ServeError),
    /// Signals.
    #[error("signals cannot be handled")]
    Signals(#[source] io::Error),
}

/// What a running controller listens on.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// UDP, for agents.
    pub fleet: SocketAddr,
    /// TCP, for people and systems.
    pub api: SocketAddr,
}

/// Makes the authority, the log and the first administrator; gives the file with their token. May
/// be repeated after it was broken off, until there is an administrator. Blocks.
///
/// # Errors
/// When there is a controller already, or a file cannot be written.
pub fn init(config: &Config, administrator: &PersonId, clock: &Clock) -> Result<PathBuf, RunError> {
    let state = &config.state_dir;
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::File { path, source }
    };
    durable::create_folder(state).map_err(file(state))?;
    let ledger = open_ledger(state, clock)?;
    if ledger.read(|state| state.registry.accounts().next().is_some()) {
        return Err(RunError::AlreadyThere(state.clone()));
    }
    let pki_folder = state.join("pki");
    if !pki_folder.join("ca.pem").exists() {
        pki::create(&pki_folder, clock.now()).map_err(RunError::Pki)?;
    }
    Authority::create(state).map_err(RunError::Authority)?;
    let bearer = token::new_bearer();
    let path = state.join(TOKEN_FILE);
    // The token first: an administrator whose token nobody has would lock everyone out.
    durable::replace(&path, bearer.as_bytes(), Reader::Owner).map_err(file(&path))?;
    let add = Command::AddPerson {
        person: administrator.clone(),
        roles: [Role::Administrator].into(),
        token_sha256: token::bearer_sha256(&bearer),
    };
    ledger.submit(Actor::Controller, add).map_err(RunError::Administrator)?;
    Ok(path)
}

fn open_ledger(state_dir: &Path, clock: &Clock) -> Result<Ledger, RunError> {
    let folder = state_dir.join("log");
    // Names and reasons stand in it: for the controller's user alone.
    let private = || {
        durable::create_folder(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
    };
    private().map_err(|source| RunError::File { path: folder.clone(), source })?;
    let log = RocksLog::open(&folder).map_err(RunError::Log)?;
    Ledger::open(Box::new(log), clock.clone()).map_err(RunError::Log)
}

/// Starts all rooms on `tasks`.
///
/// # Errors
/// When something cannot be opened.
pub async fn start(
    config: &Config,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<(Running, Ledger), RunError> {
    let state = &config.state_dir;
    let pki_folder = state.join("pki");
    let certificates = pki::Authority::open(&pki_folder, &config.names, clock.now())
        .map_err(RunError::Pki)
        .map(Arc::new)?;
    let authority = Authority::open(state).map_err(RunError::Authority).map(Arc::new)?;
    let ledger = open_ledger(state, clock)?;
    let copies = Vault::open(state)
        .map_err(|source| RunError::File { path: state.join(vault::KEY_FILE), source })?;
    let (fleet, fleet_address) = Fleet::open(fleet::Parts {
        ledger: ledger.clone(),
        copies: copies.clone(),
        authority: certificates.clone(),
        state_dir: state.clone(),
        listen: config.fleet,
        pull_bytes_per_second: config.pull_bytes_per_second,
        clock: clock.clone(),
        tasks: tasks.clone(),
    })
    .map_err(RunError::Fleet)?;
    let watched = watch(config, clock, tasks, &ledger, &fleet)?;
    let progress = Progress::default();
    let vault_folder = state.join("vault");
    let parts = api::Parts {
        ledger: ledger.clone(),
        fleet: fleet.clone(),
        progress: progress.clone(),
        copies: copies.book().clone(),
        guests: copies.guest_book().clone(),
        witnessing: watched.witnessing.clone(),
        ca_sha256: certificates.digest(),
        bundles: vault_folder.join("bundles"),
        tasks: tasks.clone(),
    };
    let api_address = api::serve(parts, config.api, &pki_folder).await.map_err(RunError::Api)?;
    let parts = reconcile::Parts {
        ledger: ledger.clone(),
        sites: fleet,
        authority,
        vault: vault_folder,
        copies,
        also_at: config.also_at.clone(),
        proving: Some(Arc::new(watched)),
        signer: signer(config, &certificates, &pki_folder, clock)?,
        progress,
        tasks: tasks.clone(),
    };
    tasks.spawn("reconcile driver", reconcile::run(parts));
    tracing::info!(fleet = %fleet_address, api = %api_address, "controller is up");
    Ok((Running { fleet: fleet_address, api: api_address }, ledger))
}

/// Publishes the event log, and has it and the sites' logs witnessed and stamped.
fn watch(
    config: &Config,
    clock: &Clock,
    tasks: &Tasks,
    ledger: &Ledger,
    fleet: &Fleet,
) -> Result<Proving, RunError> {
    let (state, domain) = (&config.state_dir, &config.domain);
    let keys = OwnKeys::open(state).map_err(RunError::Authority)?;
    let origin = publish::origin(ledger.log(), domain);
    let publisher = Arc::new(Publisher::new(ledger.shared_log(), state, &origin, keys.log));
    tasks.spawn("publish", publish::run(publisher.clone(), ledger.watch(), tasks.clone()));
    let book = Book::open(&state.join("witnessing")).map(Arc::new).map_err(RunError::Witnessing)?;
    let vkey = own::witness_vkey(domain, &keys.witness);
    let outside = config.witnesses.iter().enumerate().map(|(number, witness)| {
        let party = web::WebParty::new(witness.url.clone(), witness.tls_ca_path.as_deref())?;
        let word = format!("outside-{}", number + 1);
        let voice = witnessing::quorum::Voice { word, keys: vec![witness.vkey.clone()] };
        Ok(Outside { name: witness.name.clone(), voice, party })
    });
    let witnessing = Witnessing::new(witnessing::Parts {
        field: Estate {
            fleet: fleet.clone(),
            ledger: ledger.clone(),
            publisher: publisher.clone(),
        },
        own: OwnWitness::new(vkey, keys.witness, book.clone(), clock.clone()),
        book,
        outside: outside.collect::<Result<_, _>>().map_err(RunError::Outside)?,
        ledger: ledger.clone(),
        forks: state.join("forks"),
        clock: clock.clone(),
    });
    tasks.spawn("witnessing", witnessing.clone().run(tasks.clone()));
    let mut authority = None;
    if let Some(tsa) = &config.tsa {
        let party = web::WebParty::new(tsa.url.clone(), tsa.tls_ca_path.as_deref());
        let party = party.map_err(RunError::Outside)?;
        let tsa = StampAuthority { name: tsa.url.to_string(), party };
        let stamping = stamping::run(witnessing.clone(), tsa.clone(), tasks.clone());
        tasks.spawn("time stamps", stamping);
        authority = Some(tsa);
    }
    Ok(Proving { fleet: fleet.clone(), publisher, witnessing, authority })
}

/// What signs playable copies: the program that the settings name, or the one beside this program.
fn signer(
    config: &Config,
    certificates: &pki::Authority,
    pki_folder: &Path,
    clock: &Clock,
) -> Result<Option<Signer>, RunError> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("c2pa-sign"));
    let program = config.c2pa_sign.clone().or(beside).filter(|program| program.exists());
    let Some(program) = program else {
        tracing::warn!("there is no c2pa-sign: playable copies go without a C2PA manifest");
        return Ok(None);
    };
    let files = certificates.for_copies(pki_folder, clock.now()).map_err(RunError::Pki)?;
    Ok(Some(Signer { program, certificate: files.certificate, key: files.key }))
}

/// Runs until a signal asks it to stop, or its log fails.
///
/// # Errors
/// When it cannot start, or its log failed.
pub async fn run(config: &Config) -> Result<(), RunError> {
    let (clock, tree) = (Clock::system(), Tasks::new());
    let stop = tasks::stop_signal();
    let started = start(config, &clock, &tree).await;
    let (_, ledger) = match started {
        Ok(started) => started,
        Err(error) => {
            tree.shut_down(limits::SHUTDOWN).await;
            return Err(error);
        }
    };
    let mut broken = ledger.broken();
    let ended = tokio::select! {
        stopped = stop => stopped.map_err(RunError::Signals),
        _ = broken.wait_for(|broken| *broken) => Err(RunError::LogBroken),
    };
    tracing::info!("stopping");
    if !tree.shut_down(limits::SHUTDOWN).await {
        tracing::warn!("some tasks did not end in time");
    }
    ended
}

#[cfg(test)]
mod tests;
