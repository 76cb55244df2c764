//! The log as a transparency log: static files (C2SP tlog-tiles) and signed checkpoints, so that
//! others can see that nothing in it was changed, and witnesses can say so.
//!
//! ```text
//! <state_dir>/log-public/checkpoint                 the newest signed tree head
//! <state_dir>/log-public/tile/…                     hashes and entries, see host::tiles
//! ```
//! Order of one publication, each step safe to repeat:
//!
//! 1. the entries are durable (the log's own append);
//! 2. the tree at the last signed size still has the signed root, else all publishing stops;
//! 3. size and root are kept and synced as the ones that may be signed, by compare-and-swap;
//! 4. the checkpoint is signed;
//! 5. tiles are written and synced, and after them the checkpoint.
//!
//! So a checkpoint never names what is not durable, and no two contradict each other, whatever
//! happens between the steps. The log itself goes on when publishing has stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use custody::log::note::Algorithm;
use custody::log::tiles;
use custody::log::{Checkpoint, SignedCheckpoint, VerifierKey};
use custody::{PublicKey, SecretKey};
use host::{Tasks, tiles as files};
use tokio::sync::watch;

use super::{EventLog, Fatal, Head, Nodes, SignError};

/// The folder of the published files, in the state folder.
pub const FOLDER: &str = "log-public";
/// A checkpoint is made this often while the log grows: what is unpublished is a second of log.
const EVERY: Duration = Duration::from_secs(1);
/// The disc refused: tried again after this.
const PAUSE: Duration = Duration::from_secs(5);

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What was signed before is not so any more. Publishing must stop for good.
    #[error("the log contradicts what it has signed: {0}")]
    Contradiction(String),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] Fatal),
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] tiles::TreeError),
    /// The static files.
    #[error("the log's public files cannot be written")]
    Files(#[from] files::PublishError),
    /// The checkpoint's file.
    #[error("the log's published checkpoint cannot be read")]
    Checkpoint(#[source] io::Error),
}

/// How publishing stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Entries under the newest checkpoint.
    pub size: u64,
    /// The newest checkpoint, as signed by the log alone.
    pub note: Option<Arc<Vec<u8>>>,
    /// Why publishing has stopped, or fails; empty when all is well.
    pub trouble: String,
}

/// Publishes a log.
pub struct Publisher {
    log: Arc<dyn EventLog>,
    folder: PathBuf,
    key: SecretKey,
    vkey: VerifierKey,
    standing: watch::Sender<Standing>,
}

/// The name of the controller's log.
#[must_use]
pub fn origin(log: &dyn EventLog, domain: &str) -> String {
    format!("controller.{domain}/log/{}", log.instance())
}

/// The key of a log, as others check it.
///
/// # Panics
/// Never with the names that [`origin`] gives: a domain is checked where the settings are read.
#[must_use]
pub fn log_vkey(origin: &str, key: PublicKey) -> VerifierKey {
    VerifierKey::new(origin, Algorithm::Ed25519, key)
        .expect("a checked domain and eight digits stand in a note, and log keys are Ed25519")
}

impl Publisher {
    /// Publishes `log` in `state_dir` under the name `origin`, signed by `key`.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, state_dir: &Path, origin: &str, key: SecretKey) -> Self {
        let vkey = log_vkey(origin, key.public());
        let standing = watch::Sender::new(Standing::default());
        Self { log, folder: state_dir.join(FOLDER), key, vkey, standing }
    }

    /// The log's name and key.
    #[must_use]
    pub fn vkey(&self) -> &VerifierKey {
        &self.vkey
    }

    /// The newest checkpoint and its size.
    #[must_use]
    pub fn head(&self) -> Option<(u64, Arc<Vec<u8>>)> {
        let standing = self.standing.borrow();
        Some((standing.size, standing.note.clone()?))
    }

    /// How publishing stands, and a signal whenever that changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Publishes what the log has grown by, if it has. Gives the tree head that is published.
    /// Blocks.
    ///
    /// # Errors
    /// Why nothing was published.
    pub fn publish(&self) -> Result<Option<Head>, PublishError> {
        let size = self.log.head()?;
        if size == 0 {
            return Ok(None);
        }
        let nodes = Nodes(&*self.log);
        let signed = self.log.signed()?;
        if let Some(signed) = signed {
            self.agrees(signed, size)?;
        }
        let head = Head { size, root: tiles::root(size, &nodes)? };
        let published = self.published()?;
        if signed != Some(head) || published != Some(head) {
            let old = published.map_or(0, |head| head.size);
            self.keep(signed, head)?;
            let note = self.checkpoint(head).sign(&self.key);
            let entries = |first: u64, width: u64| {
                (first..first + width).map(|index| self.entry(index)).collect()
            };
            files::publish(&self.folder, (old, size), &nodes, entries, &note)?;
        }
        self.tell(Some(head), String::new());
        Ok(Some(head))
    }

    /// That the tree still is what was signed of it.
    fn agrees(&self, signed: Head, size: u64) -> Result<(), PublishError> {
        if signed.size > size {
            return Err(PublishError::Contradiction(format!(
                "{} entries were signed and there are {size}: the log was restored from an older \
                 copy, or cut",
                signed.size
            )));
        }
        let root = tiles::root(signed.size, &Nodes(&*self.log))?;
        if root != signed.root {
            return Err(PublishError::Contradiction(format!(
                "the tree of {} entries has the root {root}, and {} was signed",
                signed.size, signed.root
            )));
        }
        Ok(())
    }

    fn keep(&self, signed: Option<Head>, head: Head) -> Result<(), PublishError> {
        if signed == Some(head) {
            return Ok(());
        }
        self.log.keep_signed(signed, head).map_err(|error| match error {
            SignError::Fatal(fatal) => PublishError::Log(fatal),
            conflict @ SignError::Conflict { .. } => {
                PublishError::Contradiction(conflict.to_string())
            }
        })
    }

    fn entry(&self, index: u64) -> Result<Vec<u8>, tiles::TreeError> {
        let body =
            self.log.body(index).map_err(|fatal| tiles::TreeError::new(fatal.to_string()))?;
        let body =
            body.ok_or_else(|| tiles::TreeError::new(format!("entry {index} is missing")))?;
        Ok(body.commitment().to_vec())
    }

    fn checkpoint(&self, head: Head) -> Checkpoint {
        Checkpoint { origin: self.vkey.name().to_owned(), size: head.size, root: head.root }
    }

    /// The tree head in the file; none when there is none of ours. One that is ahead of what was
    /// kept contradicts the order of publication.
    fn published(&self) -> Result<Option<Head>, PublishError> {
        let bytes = files::published(&self.folder).map_err(PublishError::Checkpoint)?;
        let Some(Ok(note)) = bytes.map(|bytes| SignedCheckpoint::read(&bytes)) else {
            return Ok(None);
        };
        let Ok(checkpoint) = note.check(&self.vkey) else { return Ok(None) };
        let head = Head { size: checkpoint.size, root: checkpoint.root };
        let signed = self.log.signed()?;
        if signed.is_none_or(|signed| head.size > signed.size) {
            return Err(PublishError::Contradiction(format!(
                "{} entries were published, and {signed:?} is the newest that was kept: the log's \
                 folder was restored from an older copy",
                head.size
            )));
        }
        self.agrees(head, self.log.head()?)?;
        Ok(Some(head))
    }

    fn tell(&self, head: Option<Head>, trouble: String) {
        self.standing.send_if_modified(|standing| {
            let before = standing.clone();
            if let Some(head) = head {
                standing.size = head.size;
                standing.note = Some(Arc::new(self.checkpoint(head).sign(&self.key)));
            }
            standing.trouble = trouble;
            *standing != before
        });
    }
}

/// Publishes as the log grows, until shutdown or a contradiction.
pub async fn run(publisher: Arc<Publisher>, mut grown: watch::Receiver<u64>, tasks: Tasks) {
    loop {
        grown.borrow_and_update();
        let one = publisher.clone();
        let published = tokio::task::spawn_blocking(move || one.publish()).await;
        let pause = match published {
            Ok(Ok(_)) => EVERY,
            Ok(Err(error @ PublishError::Contradiction(_))) => {
                tracing::error!(%error, "the event log is not published any more");
                publisher.tell(None, error.to_string());
                return;
            }
            Ok(Err(error)) => {
                let error = host::telemetry::chain(&error);
                tracing::error!(error, "publishing the event log failed");
                publisher.tell(None, error);
                PAUSE
            }
            // The blocking thread went with the runtime.
            Err(_) => return,
        };
        let failed = pause == PAUSE;
        let next = async {
            tokio::time::sleep(pause).await;
            if !failed && grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tasks.stopping() => return,
            () = next => {}
        }
    }
}

#[cfg(test)]
mod tests;
