//! Whom a camera's RTSPS connection must be with: the certificate that the settings name, or one that
//! an authority of theirs vouches for. There is no way to accept whatever is shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use custody::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Whom to trust as the camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// Whoever holds the key of the certificate with this SHA-256, whatever name and time it says:
    /// cameras make their own.
    Certificate(Digest),
    /// Whoever shows a certificate for the address's host by an authority in this PEM file.
    Authority(PathBuf),
}

/// Why a pin is of no use, or a peer is not who it must be. The first word is stable.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untrusted {
    #[error("pin-unusable: {path} holds no certificate of an authority; see to ca_path", path = path.display())]
    NoAuthority { path: PathBuf },
    #[error(
        "certificate-not-trusted: it shows SHA-256 {shown}, which the settings do not vouch for; nothing was sent to it"
    )]
    Certificate { shown: Shown },
}

/// The digest of the certificate that was shown, if it came to that.
#[derive(Debug)]
pub(super) struct Shown(Option<Digest>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(digest) => digest.fmt(f),
            None => f.write_str("(none)"),
        }
    }
}

/// One handshake's trust, which remembers what it was shown.
pub(super) struct Checking {
    pub(super) config: Arc<ClientConfig>,
    checker: Arc<Checker>,
}

impl Checking {
    pub(super) fn of(pin: &Pin) -> Result<Self, Untrusted> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = match pin {
            Pin::Certificate(digest) => Trust::Certificate(*digest),
            Pin::Authority(path) => Trust::Authority(authority(path, &provider)?),
        };
        let shown = Mutex::default();
        let checker = Arc::new(Checker { trust, provider: Arc::clone(&provider), shown });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the suites of TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&checker) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), checker })
    }

    /// What to say of a peer whose certificate was refused.
    pub(super) fn refused(&self) -> Untrusted {
        let shown = *self.checker.shown.lock().unwrap_or_else(PoisonError::into_inner);
        Untrusted::Certificate { shown: Shown(shown) }
    }
}

fn authority(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Untrusted> {
    let unusable = || Untrusted::NoAuthority { path: path.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unusable())? {
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| unusable())
}

#[derive(Debug)]
enum Trust {
    Certificate(Digest),
    Authority(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Checker {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<Digest>>,
}

impl ServerCertVerifier for Checker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Digest::of(end_entity);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match &self.trust {
            Trust::Certificate(pinned) if *pinned == shown => Ok(ServerCertVerified::assertion()),
            Trust::Certificate(_) => Err(rustls::Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
            Trust::Authority(ordinary) => ordinary.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_authority_is_no_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in [None, Some(""), Some("not PEM"), Some(pem)] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let Err(error) = Checking::of(&Pin::Authority(path.clone())) else {
                panic!("{content:?} was taken");
            };
            let said = error.to_string();
            assert!(said.starts_with("pin-unusable: ") && said.contains("ca.pem"), "{said}");
        }
    }
}
