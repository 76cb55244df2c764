//! The identity key as a file: for sites without a TPM or token, and for tests.

use std::fs;
use std::io;
use std::path::Path;

use custody::PublicKey;
use custody::keys::{SignError, Signer};
use host::durable::{self, Reader};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use zeroize::Zeroizing;

use super::IdentityKey;
use crate::seal::key_ring::{KeyError, disc, random};

/// A P-256 key in a PKCS#8 PEM file. Has no `Debug`; memory is wiped when it is dropped.
pub struct FileKey {
    key: SigningKey,
    place: String,
}

impl FileKey {
    /// Reads the key at `path`, making it the first time.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let key = match fs::read_to_string(path).map(Zeroizing::new) {
            Ok(pem) => SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Damaged {
                what: format!("{} is not a P-256 key in PEM form", path.display()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = draw()?;
                let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Damaged {
                    what: "a new P-256 key has no PEM form".to_owned(),
                })?;
                durable::replace(path, pem.as_bytes(), Reader::Owner)
                    .map_err(disc("writing", path))?;
                key
            }
            Err(source) => return Err(disc("reading", path)(source)),
        };
        Ok(Self { key, place: path.display().to_string() })
    }
}

/// A new key. One number in 2^32 drawn is no key of the curve: then another is drawn.
fn draw() -> Result<SigningKey, KeyError> {
    loop {
        let seed = Zeroizing::new(random::<32>()?);
        if let Ok(key) = SigningKey::from_slice(&*seed) {
            return Ok(key);
        }
    }
}

impl Signer for FileKey {
    fn public(&self) -> PublicKey {
        let point = self.key.verifying_key().to_encoded_point(false);
        PublicKey::from_bytes(point.as_bytes()).expect("a key's own point lies on its curve")
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: Signature =
            self.key.try_sign(message).map_err(|error| SignError::new(error.to_string()))?;
        // Of the two forms of a signature only the one with the lower S is accepted.
        let signature = signature.normalize_s().unwrap_or(signature);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl IdentityKey for FileKey {
    fn place(&self) -> &str {
        &self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_in_its_file_and_signs_in_the_accepted_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.pem");
        let first = FileKey::load(&path).unwrap();
        let second = FileKey::load(&path).unwrap();
        assert!(first.public() == second.public());
        for n in 0_u32..32 {
            let message = n.to_be_bytes();
            let signature = first.sign(&message).unwrap();
            assert!(second.public().verifies(&message, &signature), "{n}");
        }
        fs::write(&path, "-----BEGIN RSA").unwrap();
        assert!(matches!(FileKey::load(&path), Err(KeyError::Damaged { .. })));
    }
}
