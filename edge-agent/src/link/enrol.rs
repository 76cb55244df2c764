//! The first certificate, for a one-time token, and each one after, for the one before.
//!
//! The token names the digest of the controller's authority, so that the very first connection is
//! already checked: there is no moment of blind trust.

use std::sync::Arc;

use custody::Digest;
use proto::v1::{EnrolRequest, RenewRequest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use zeroize::Zeroizing;

use super::credentials::{Credentials, Files};
use super::dial::{self, LinkError};
use super::session::FleetChannel;
use super::{Parts, session};

/// Enrols by the token in its file and keeps the credentials.
pub(super) async fn enrol(parts: &Parts, files: &Files) -> Result<Credentials, LinkError> {
    let path = &parts.config.controller.enrolment_token_path;
    let token = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        LinkError::Enrol(format!(
            "{}: {error}; put the output of `watchhouse site enrol-token {}` there",
            path.display(),
            parts.site()
        ))
    })?;
    let token = token.trim();
    let authority = token_authority(token, parts.site().as_str()).ok_or_else(|| {
        LinkError::Enrol(format!("{}: not a token for site {}", path.display(), parts.site()))
    })?;
    let connected = dial::connect(parts, pinned(authority)).await?;
    let csr = files.signing_request()?;
    let proof = prove(parts, [link::ENROL_PREFIX, &csr].concat()).await?;
    let request = EnrolRequest {
        token: token.to_owned(),
        csr,
        evidence_key: parts.store.identity().public_key().to_bytes(),
        evidence_proof: proof,
    };
    let answer = session::fleet(&connected.connection)
        .enrol(request)
        .await
        .map_err(|status| LinkError::Enrol(status.message().to_owned()))?
        .into_inner();
    if Digest::of(&answer.ca_certificate) != authority {
        return Err(LinkError::Enrol("the controller answers with another authority".to_owned()));
    }
    files.keep(&answer.certificate, Some(&answer.ca_certificate))?;
    tracing::info!("enrolled; the token is used up and its file can be removed");
    files.load()?.ok_or_else(|| LinkError::Enrol("the credentials were not kept".to_owned()))
}

/// Signs by the identity key, off the async threads: a token may take its time.
async fn prove(parts: &Parts, message: Vec<u8>) -> Result<Vec<u8>, LinkError> {
    let store = parts.store.clone();
    tokio::task::spawn_blocking(move || store.identity().sign_message(&message))
        .await
        .map_err(|_| LinkError::Enrol("the agent is stopping".to_owned()))?
        .map_err(|error| LinkError::Enrol(error.to_string()))
}

/// Exchanges the site's certificate for a fresh one.
pub(super) async fn renew(fleet: &mut FleetChannel, files: &Files) -> Result<(), LinkError> {
    let csr = files.signing_request()?;
    let answer = fleet
        .renew(RenewRequest { csr })
        .await
        .map_err(|status| LinkError::Enrol(status.message().to_owned()))?;
    files.keep(&answer.into_inner().certificate, None)?;
    tracing::info!("certificate renewed");
    Ok(())
}

/// The authority's digest in `SITE.SECRET.CA`, if the token is this site's.
fn token_authority(token: &str, site: &str) -> Option<Digest> {
    let mut parts = token.split('.');
    let (of, _secret, authority) = (parts.next()?, parts.next()?, parts.next()?);
    (of == site && parts.next().is_none()).then(|| authority.parse().ok()).flatten()
}

fn pinned(authority: Digest) -> ClientConfig {
    ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { authority }))
        .with_no_client_auth()
}

/// Trusts a server whose chain holds, by the ordinary rules, up to the authority with this digest.
#[derive(Debug)]
struct Pinned {
    authority: Digest,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|certificate| Digest::of(certificate) == self.authority)
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let ordinary =
            WebPkiServerVerifier::builder(Arc::new(roots)).build().map_err(|_| unknown())?;
        ordinary.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC is TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_site_and_names_the_authority() {
        let digest = Digest::of(b"authority");
        let token = format!("east.00ff.{digest}");
        assert_eq!(token_authority(&token, "east"), Some(digest));
        assert_eq!(token_authority(&token, "west"), None);
        assert_eq!(token_authority("east.00ff", "east"), None);
        assert_eq!(token_authority(&format!("{token}.x"), "east"), None);
    }
}
