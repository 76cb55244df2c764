//! Taking a failed disc out of service: reads it as far as it can be read, says what lies on it, has the
//! running recorder sign that, and prints a page for whoever shreds it.
//!
//! | file | does |
//! |---|---|
//! | [`scan`] | reads a device, an image, a folder or a file: what is sealed, what is not, which keys |
//! | [`page`] | the certificate, on one page (pure) |
//!
//! **What is the proof?** Every segment file found on the disc is sealed, and neither the site key, nor any
//! hour's key, nor a key ring, nor a private key lies on it: what it holds opens with this site's key ring
//! alone, and after 31 days with nothing. That the sealed bytes look like noise is looked at as well; it is
//! no proof. A disc that cannot be read proves nothing of itself: then the record says why, and that what
//! was written to it was written sealed, for the recorder can write footage in no other way.
//!
//! The recorder holds the store, so the record goes to it as a file in `disposals/` of the state folder,
//! and comes back signed beside it: see `store::disposals`. It records on meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use custody::PersonId;
use custody::dsse::Envelope;

use crate::config::{self, Config};
use crate::limits;
use crate::seal::{KeyRing, root};
use crate::store::DisposalAsk;

pub mod page;
pub mod scan;

pub use scan::Seen;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The site's TOML.
    pub config: PathBuf,
    /// The device, image or folder; none: it cannot be attached at all.
    pub disc: Option<PathBuf>,
    /// Its maker's serial number, or what is written on it.
    pub serial: String,
    /// Who takes it out.
    pub person: PersonId,
    /// Why it cannot be read, if that is known already.
    pub unreadable: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The certificate, to be printed.
    pub page: String,
    /// Whether only sealed bytes were found, or nothing could be read.
    pub is_sealed: bool,
}

/// Looks at a disc and has the recorder sign what was seen. Blocks: a disc of 10 TB takes a day.
///
/// # Errors
/// When the settings, the keys or the disc's path cannot be used, or the recorder does not answer.
pub fn run(ask: &Ask) -> anyhow::Result<Outcome> {
    let (config, _) = config::load(&ask.config)?;
    let mut seen = Seen::default();
    if let Some(disc) = &ask.disc {
        scan::scan(disc, &secrets(&config)?, &mut seen)
            .map_err(|error| anyhow::anyhow!("{} cannot be opened: {error}", disc.display()))?;
    }
    if let Some(why) = &ask.unreadable {
        seen.unreadable.get_or_insert_with(|| why.clone());
    }
    if seen.bytes_read == 0 && seen.unreadable.is_none() {
        anyhow::bail!("nothing was read; say why with --unreadable");
    }
    let wanted = DisposalAsk {
        volume: seen.volume.clone().unwrap_or_default(),
        disc: ask.serial.clone(),
        person: ask.person.clone(),
        bytes_read: seen.bytes_read,
        sealed_files: seen.sealed_files,
        plain_bytes: seen.plain_bytes,
        unreadable: seen.unreadable.clone(),
        not_sealed: seen.not_sealed(),
    };
    let record = wanted.hand_over(&config.state_dir, WAIT)?;
    let envelope = record.as_deref().map(Envelope::read).transpose()?;
    let digest = envelope.map(|envelope| envelope.digest());
    Ok(Outcome {
        page: page::page(&config.site, ask, &seen, digest),
        is_sealed: seen.not_sealed().is_none(),
    })
}

/// The recorder looks once a sweep.
const WAIT: Duration = Duration::from_secs(3 * limits::SWEEP_SECONDS);

/// The keys that must not be on the disc. Reads alone: the recorder may be running.
fn secrets(config: &Config) -> anyhow::Result<Vec<custody::sealing::Key>> {
    let root = root::open(&config.site_key, &config.state_dir)?;
    Ok(KeyRing::danger_keys(&keys(&config.state_dir), &config.site, root.as_ref())?)
}

fn keys(state_dir: &Path) -> PathBuf {
    state_dir.join("keys")
}

#[cfg(test)]
mod tests;
