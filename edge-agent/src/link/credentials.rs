//! The site's TLS key, its certificate and the authority it trusts, in `keys/`: `link.pem` (key,
//! owner only), `link.crt` and `ca.crt` (DER).

use std::io;
use std::path::{Path, PathBuf};

use custody::WallTime;
use host::durable::{self, Reader};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A credential file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct CredentialsError {
    path: PathBuf,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

/// What the site shows and trusts.
#[derive(Debug)]
pub struct Credentials {
    /// The site's certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The controller's authority.
    pub authority: CertificateDer<'static>,
}

/// The folder's file names.
pub struct Files(PathBuf);

impl Files {
    /// The credentials in `keys`.
    #[must_use]
    pub fn new(keys: PathBuf) -> Self {
        Self(keys)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What the site shows and trusts; none before it has enrolled.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn load(&self) -> Result<Option<Credentials>, CredentialsError> {
        let certificate = self.at("link.crt");
        if !certificate.exists() {
            return Ok(None);
        }
        let key = self.key()?;
        let key_der = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| wrong(&self.at("link.pem"), "no private key"))?;
        Ok(Some(Credentials {
            certificate: CertificateDer::from(read(&certificate)?),
            key: key_der,
            authority: CertificateDer::from(read(&self.at("ca.crt"))?),
        }))
    }

    /// The TLS key; made at first use, kept over renewals.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn key(&self) -> Result<KeyPair, CredentialsError> {
        let path = self.at("link.pem");
        if !path.exists() {
            let key = KeyPair::generate().map_err(|_| wrong(&path, "no key can be made"))?;
            write(&path, key.serialize_pem().as_bytes(), Reader::Owner)?;
            return Ok(key);
        }
        let pem = String::from_utf8(read(&path)?).map_err(|_| wrong(&path, "no PEM text"))?;
        KeyPair::from_pem(&pem).map_err(|_| wrong(&path, "no private key in PEM form"))
    }

    /// A signing request (PKCS#10, DER) by the TLS key.
    ///
    /// # Errors
    /// When there is no key.
    pub fn signing_request(&self) -> Result<Vec<u8>, CredentialsError> {
        let key = self.key()?;
        CertificateParams::default()
            .serialize_request(&key)
            .map(|request| request.der().to_vec())
            .map_err(|_| wrong(&self.at("link.pem"), "the key cannot sign a request"))
    }

    /// Keeps a fresh certificate, and at enrolment the authority.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(
        &self,
        certificate: &[u8],
        authority: Option<&[u8]>,
    ) -> Result<(), CredentialsError> {
        if let Some(authority) = authority {
            write(&self.at("ca.crt"), authority, Reader::Anyone)?;
        }
        // Last: its presence means that the site has enrolled.
        write(&self.at("link.crt"), certificate, Reader::Anyone)
    }
}

/// Whether two thirds of a certificate's life are over. One that does not read is due as well.
#[must_use]
pub fn renewal_is_due(certificate: &CertificateDer<'_>, now: WallTime) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return true };
    let begins_s = parsed.validity().not_before.timestamp();
    let ends_s = parsed.validity().not_after.timestamp();
    now.0 / 1_000_000 >= begins_s + (ends_s - begins_s) * 2 / 3
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path).map_err(|source| CredentialsError {
        path: path.to_owned(),
        what: "cannot be read",
        source: Some(source),
    })
}

fn write(path: &Path, bytes: &[u8], reader: Reader) -> Result<(), CredentialsError> {
    durable::replace(path, bytes, reader).map_err(|source| CredentialsError {
        path: path.to_owned(),
        what: "cannot be written",
        source: Some(source),
    })
}

fn wrong(path: &Path, what: &'static str) -> CredentialsError {
    CredentialsError { path: path.to_owned(), what, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let key = KeyPair::generate().unwrap();
        let start: WallTime = "2026-11-21T00:00:00Z".parse().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = start.calendar();
        params.not_after = start.plus_seconds(60 * 86_400).calendar();
        let certificate = params.self_signed(&key).unwrap();
        assert!(!renewal_is_due(certificate.der(), start.plus_seconds(39 * 86_400)));
        assert!(renewal_is_due(certificate.der(), start.plus_seconds(40 * 86_400)));
    }

    #[test]
    fn the_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        assert!(files.load().unwrap().is_none());
        let key = files.key().unwrap().serialize_der();
        assert_eq!(files.key().unwrap().serialize_der(), key);
    }
}
