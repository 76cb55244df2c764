//! The port: TLS by aws-lc, limits, health, reflection.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use proto::v1::audit_server::AuditServer;
use proto::v1::erasures_server::ErasuresServer;
use proto::v1::estate_server::EstateServer;
use proto::v1::evidence_server::EvidenceServer;
use proto::v1::holds_server::HoldsServer;
use proto::v1::people_server::PeopleServer;
use tokio::net::TcpListener;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use zeroize::Zeroizing;

use super::audit::AuditService;
use super::door::{Door, Parts};
use super::erasures::ErasuresService;
use super::estate::EstateService;
use super::evidence::EvidenceService;
use super::gate;
use super::holds::HoldsService;
use super::people::PeopleService;
use crate::limits;

/// Why the API could not open.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The TCP port.
    #[error("cannot listen for the API on {address}/tcp; is another controller running?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key.
    #[error("{path}: cannot be read; was `controller init` run?")]
    File {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS.
    #[error("the API's certificate does not fit its key")]
    Tls(#[source] tonic::transport::Error),
    /// Reflection.
    #[error("the services' descriptions do not read")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Handshakes that take longer are dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Opens the API with the server certificate in `pki`; gives the address listened on.
///
/// # Errors
/// When the port or the certificate cannot be used.
pub async fn serve(parts: Parts, listen: SocketAddr, pki: &Path) -> Result<SocketAddr, ServeError> {
    let failed = |source| ServeError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let incoming = gate::admit(listener, limits::API_CONNECTIONS, parts.ledger.clock().clone());
    let tls = ServerTlsConfig::new().identity(identity(pki)?).timeout(HANDSHAKE);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1()
        .map_err(ServeError::Reflection)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<EvidenceServer<EvidenceService>>().await;
    let tasks = parts.tasks.clone();
    let door = Door::new(parts);
    let longest = proto::MESSAGE_BYTES_MAX;
    let router = Server::builder()
        .tls_config(tls)
        .map_err(ServeError::Tls)?
        .concurrency_limit_per_connection(limits::CALLS_A_CONNECTION)
        .max_concurrent_streams(limits::STREAMS_A_CONNECTION)
        .timeout(limits::CALL_TIMEOUT)
        .http2_keepalive_interval(Some(limits::API_KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::API_KEEPALIVE))
        .add_service(health)
        .add_service(reflection)
        .add_service(
            EvidenceServer::new(EvidenceService(door.clone())).max_decoding_message_size(longest),
        )
        .add_service(
            HoldsServer::new(HoldsService(door.clone())).max_decoding_message_size(longest),
        )
        .add_service(
            ErasuresServer::new(ErasuresService(door.clone())).max_decoding_message_size(longest),
        )
        .add_service(
            AuditServer::new(AuditService(door.clone())).max_decoding_message_size(longest),
        )
        .add_service(
            EstateServer::new(EstateService(door.clone())).max_decoding_message_size(longest),
        )
        .add_service(PeopleServer::new(PeopleService(door)).max_decoding_message_size(longest));
    let stopping = tasks.clone();
    tasks.spawn("api", async move {
        let served = router
            .serve_with_incoming_shutdown(incoming, async move { stopping.stopping().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the API ended");
        }
    });
    Ok(address)
}

fn identity(pki: &Path) -> Result<Identity, ServeError> {
    let read = |name: &str| {
        let path = pki.join(name);
        let failed = |source| ServeError::File { path: path.display().to_string(), source };
        std::fs::read_to_string(&path).map(Zeroizing::new).map_err(failed)
    };
    let chain = format!("{}{}", *read("server.pem")?, *read("ca.pem")?);
    Ok(Identity::from_pem(chain, read("server.key")?.as_bytes()))
}
