//! Who signs: the site's evidence key, this run of the agent, and the program that it is.

use std::fs;
use std::io;
use std::path::Path;

use custody::dsse::Envelope;
use custody::manifest::Agent;
use custody::record::Record;
use custody::{Digest, PublicKey, SecretKey, SiteId};
use host::durable::{self, Reader};
use zeroize::Zeroizing;

use super::key_ring::{KeyError, disc, random};

/// One run of one site's agent. Has no `Debug`: it holds the evidence key.
pub struct Identity {
    site: SiteId,
    boot_id: String,
    agent: Agent,
    key: SecretKey,
}

impl Identity {
    /// Reads `keys/evidence.pem` under `state_dir`, creating it the first time, and draws a new run
    /// number. `config` is the configuration file as it was read.
    ///
    /// # Errors
    /// When the key or this program's own executable cannot be read.
    pub fn load(state_dir: &Path, site: &SiteId, config: &[u8]) -> Result<Self, KeyError> {
        let folder = state_dir.join("keys");
        durable::create_folder(&folder).map_err(disc("creating", &folder))?;
        let path = folder.join("evidence.pem");
        let key = match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(pem) => SecretKey::from_pem(&pem).map_err(|_| KeyError::Damaged {
                what: format!("{} is not an Ed25519 key in PEM form", path.display()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = Zeroizing::new(random()?);
                let key = SecretKey::from_seed(&seed);
                durable::replace(&path, key.to_pem().as_bytes(), Reader::Owner)
                    .map_err(disc("writing", &path))?;
                key
            }
            Err(source) => return Err(disc("reading", &path)(source)),
        };
        let executable = Path::new("/proc/self/exe");
        let executable = fs::read(executable).map_err(disc("reading", executable))?;
        let agent = Agent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary_sha256: Digest::of(&executable),
            config_sha256: Digest::of(config),
        };
        let boot_id = hex::encode(random::<16>()?);
        Ok(Self { site: site.clone(), boot_id, agent, key })
    }

    /// Which site.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// This run of the agent: 32 random hexadecimal digits.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The program.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The evidence key's public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a record.
    #[must_use]
    pub fn sign(&self, record: &Record) -> Envelope {
        record.sign(&self.key)
    }

    /// Signs a message that is no record: the proof of possession at enrolment.
    #[must_use]
    pub fn sign_message(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_each_run_has_its_own_number() {
        let folder = tempfile::tempdir().unwrap();
        let site: SiteId = "east".parse().unwrap();
        let first = Identity::load(folder.path(), &site, b"a = 1").unwrap();
        let second = Identity::load(folder.path(), &site, b"a = 2").unwrap();
        assert!(first.public_key() == second.public_key());
        assert_ne!(first.boot_id(), second.boot_id());
        assert_ne!(first.agent().config_sha256, second.agent().config_sha256);
        assert_eq!(first.agent().binary_sha256, second.agent().binary_sha256);
    }
}
