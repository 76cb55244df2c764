//! Signs that a disc was taken out of service. Who looked at the disc is another program, which hands over
//! what it saw as a file; the recorder holds the log.
//!
//! ```text
//! disposals/<name>.json     what was seen; written whole, taken away once it is logged
//! disposals/<name>.dsse     the signed record
//! ```
//! Power loss between the log and the file's end logs the disposal twice, which says nothing false.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use custody::PersonId;
use custody::record::{Disposal, Record, Statement};
use host::durable::{self, Reader};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::core::Core;
use super::disc::Step;
use crate::seal::key_ring;

/// A disposal as it is handed over: what the record says but for where and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisposalAsk {
    /// The volume identity found on the disc; empty if none was.
    pub volume: String,
    /// Its maker's serial number, or what is written on it.
    pub disc: String,
    /// Who took it out.
    pub person: PersonId,
    /// Bytes that could be read, and were.
    pub bytes_read: u64,
    /// Segment files found on it, all sealed.
    pub sealed_files: u64,
    /// Bytes outside sealed files.
    pub plain_bytes: u64,
    /// Why it could not be read, where it could not.
    pub unreadable: Option<String>,
    /// Keys or footage in the clear, and where.
    pub not_sealed: Option<String>,
}

/// A disposal is a page of text; a longer file is not one.
const ASK_BYTES_MAX: u64 = 16 << 10;
/// How often the other program looks for the answer.
const LOOK: Duration = Duration::from_millis(500);

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("disposals")
}

impl DisposalAsk {
    /// Hands it to the recorder and waits at most `wait` for the signed record. None: it has not been
    /// signed yet, and will be when the recorder runs.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn hand_over(&self, state_dir: &Path, wait: Duration) -> anyhow::Result<Option<Vec<u8>>> {
        let folder = folder(state_dir);
        durable::create_folder(&folder)?;
        let name = hex::encode(key_ring::random::<8>()?);
        let (asked, signed) =
            (folder.join(format!("{name}.json")), folder.join(format!("{name}.dsse")));
        durable::replace(&asked, &serde_json::to_vec(self)?, Reader::Owner)?;
        let mut waited = Duration::ZERO;
        loop {
            if let Ok(record) = fs::read(&signed) {
                return Ok(Some(record));
            }
            if waited >= wait {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
    }
}

/// Logs what was handed over. Gives how many.
pub(super) fn take(core: &Core) -> Result<usize, StoreError> {
    let mut taken = 0;
    for path in super::rebuild::list(&folder(&core.state_dir))? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Some(ask) = read(&path) else {
            tracing::error!(path = %path.display(), "not a disposal; take the file away");
            continue;
        };
        let disposal = Disposal {
            site: core.identity.site().clone(),
            volume: ask.volume,
            disc: ask.disc,
            person: ask.person,
            bytes_read: ask.bytes_read,
            sealed_files: ask.sealed_files,
            plain_bytes: ask.plain_bytes,
            unreadable: ask.unreadable,
            not_sealed: ask.not_sealed,
            at: core.clock.now(),
        };
        let signed = core.sign(&Record::Other(Statement::Disposal(disposal)))?;
        core.log(&[&signed], |_, _| {})?;
        let to = path.with_extension("dsse");
        core.step(Step::WriteCert, format_args!("writing {}", to.display()), || {
            durable::replace(&to, signed.envelope.bytes(), Reader::Owner)?;
            durable::remove(&path)
        })?;
        taken += 1;
    }
    Ok(taken)
}

fn read(path: &Path) -> Option<DisposalAsk> {
    let length = fs::metadata(path).ok()?.len();
    let bytes = (length <= ASK_BYTES_MAX).then(|| fs::read(path).ok())??;
    serde_json::from_slice(&bytes).ok()
}
