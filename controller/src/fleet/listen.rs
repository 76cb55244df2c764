//! Accepts connections. TLS checks that a certificate is our authority's and in its life; here it is
//! checked that it is one of its site's present ones. Whoever fails is refused, and the attempt is
//! logged.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use custody::SiteId;
use host::quic;
use link::Tick;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, TokioRuntime, VarInt};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;

use super::{Fleet, OpenError, Parts, session};
use crate::ledger::{Actor, Command};

/// Close code: the certificate is not (or no longer) one of the site's.
pub(super) const CLOSE_REVOKED: VarInt = VarInt::from_u32(1);
/// Close code: the site has dialled anew; this connection is the older one.
pub(super) const CLOSE_REPLACED: VarInt = VarInt::from_u32(2);
/// Close code: the controller is going down.
pub(super) const CLOSE_STOPPING: VarInt = VarInt::from_u32(3);
/// Handshakes under way at once; more are refused and dial again.
const HANDSHAKES_MAX: usize = 64;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub(super) fn endpoint(parts: &Parts) -> Result<Endpoint, OpenError> {
    let (chain, key) = parts.authority.server();
    let mut roots = RootCertStore::empty();
    roots.add(parts.authority.certificate().clone()).map_err(OpenError::Tls)?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .allow_unauthenticated()
        .build()
        .map_err(|e| OpenError::Tls(rustls::Error::General(e.to_string())))?;
    let mut tls = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(OpenError::Tls)?;
    tls.alpn_protocols = vec![link::ALPN.to_vec()];
    let tls = QuicServerConfig::try_from(tls)
        .map_err(|e| OpenError::Tls(rustls::Error::General(e.to_string())))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(quic::transport()).migration(true);
    let listen = |source| OpenError::Listen { address: parts.listen, source };
    let socket = quic::bind(parts.listen).map_err(listen)?;
    Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
        .map_err(listen)
}

pub(super) async fn run(fleet: Fleet, endpoint: Endpoint) {
    let served = session::serve_agents(&fleet);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let tasks = fleet.0.parts.tasks.clone();
    loop {
        let incoming = tokio::select! {
            () = tasks.stopping() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (fleet, served) = (fleet.clone(), served.clone());
        tasks.spawn("fleet connection", async move {
            let admitted = admit(&fleet, incoming).await;
            drop(permit);
            if let Some((connection, admitted)) = admitted {
                session::run(fleet, connection, admitted, served).await;
            }
        });
    }
    endpoint.close(CLOSE_STOPPING, b"stopping");
    endpoint.wait_idle().await;
}

/// A site and the certificate that it showed.
pub(super) struct Admitted {
    pub(super) site: SiteId,
    certificate: CertificateDer<'static>,
}

/// Ready when the certificate that let a site in is no longer one of its present ones.
pub(super) async fn revoked(fleet: &Fleet, admitted: &Admitted) -> String {
    let mut changes = fleet.0.parts.ledger.watch();
    loop {
        if let Err(why) = site_of(fleet, &admitted.certificate) {
            return why;
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The connection and its site (none: it may only enrol), or nothing if it is refused.
async fn admit(fleet: &Fleet, incoming: Incoming) -> Option<(Connection, Option<Admitted>)> {
    let remote = incoming.remote_address();
    let connecting = incoming.accept().ok()?;
    let connection = match tokio::time::timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            // Certificates from elsewhere end here; so do port scans.
            refuse(fleet, remote, format!("handshake failed: {error}")).await;
            return None;
        }
        Err(_) => {
            refuse(fleet, remote, "handshake took too long".to_owned()).await;
            return None;
        }
    };
    let certificates = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let Some(certificate) = certificates.and_then(|list| list.into_iter().next()) else {
        return Some((connection, None));
    };
    match site_of(fleet, &certificate) {
        Ok(site) => Some((connection, Some(Admitted { site, certificate }))),
        Err(why) => {
            connection.close(CLOSE_REVOKED, why.as_bytes());
            refuse(fleet, remote, why).await;
            None
        }
    }
}

/// The site whose present certificate this is.
pub(super) fn site_of(fleet: &Fleet, certificate: &CertificateDer<'_>) -> Result<SiteId, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| "certificate does not read".to_owned())?;
    let name = parsed
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .and_then(|name| name.parse::<SiteId>().ok())
        .ok_or_else(|| "certificate names no site".to_owned())?;
    let serial = hex::encode(parsed.raw_serial());
    fleet.0.parts.ledger.read(|state| match state.registry.site(&name) {
        None => Err(format!("certificate of unknown site {name}")),
        Some(site) if site.revoked => Err(format!("certificate of revoked site {name}")),
        Some(site) if !site.serials.contains(&serial) => {
            Err(format!("certificate {serial} is not a present one of site {name}"))
        }
        Some(_) => Ok(name.clone()),
    })
}

/// Refused connections written to the log in one minute; a port scan must not fill it. What is left
/// out is counted in the next entry.
const LOGGED_PER_MINUTE: u32 = 30;

/// How many refusals may still be logged. Pure.
#[derive(Debug, Default)]
pub(super) struct Budget {
    minute: u64,
    logged: u32,
    left_out: u64,
}

impl Budget {
    /// Whether a refusal at `now` is logged, and how many before it were not.
    fn take(&mut self, now: Tick) -> Option<u64> {
        let minute = now.0 / 60_000;
        if minute != self.minute {
            (self.minute, self.logged) = (minute, 0);
        }
        if self.logged >= LOGGED_PER_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

async fn refuse(fleet: &Fleet, remote: SocketAddr, reason: String) {
    let left_out = {
        let now = fleet.0.parts.clock.tick();
        fleet.0.refusals.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    };
    let reason = match left_out {
        None => return,
        Some(0) => reason,
        Some(left_out) => format!("{reason} ({left_out} refused before were not logged)"),
    };
    tracing::warn!(%remote, reason, "connection refused");
    let command = Command::RefuseConnection { remote: remote.to_string(), reason };
    session::submit(fleet, Actor::Controller, command).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_scan_does_not_fill_the_log_and_is_counted() {
        let mut budget = Budget::default();
        let logged = (0..100).filter(|n| budget.take(Tick(n * 10)).is_some()).count();
        assert_eq!(logged, 30);
        assert_eq!(budget.take(Tick(60_000)), Some(70));
        assert_eq!(budget.take(Tick(60_001)), Some(0));
    }
}
