//! One connection after another, with back-off, for as long as the program runs.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use host::quic;
use host::telemetry::chain;
use link::backoff::Backoff;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime, VarInt};
use rustls::ClientConfig;

use super::credentials::{Credentials, CredentialsError, Files};
use super::{Parts, enrol, session};

/// A handshake that takes longer is given up.
const CONNECT: Duration = Duration::from_secs(15);
/// The first pause between connections; the longest is a minute, so that a site is back within a
/// minute of its network.
const PAUSE_MS_FIRST: u64 = 500;
const PAUSE_MS_MAX: u64 = 60_000;
/// A connection that stood this long was a good one: the next pause is short again.
const GOOD_MS: u64 = 30_000;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The name does not resolve, or no UDP socket can be had.
    #[error("cannot reach {address}: {why}")]
    Address {
        /// Which address.
        address: String,
        /// Why.
        why: String,
    },
    /// No connection came to be.
    #[error("no connection to the controller: {0}")]
    Connect(String),
    /// The TLS settings do not hold.
    #[error("TLS settings do not hold")]
    Tls(#[source] rustls::Error),
    /// The site's credentials cannot be used.
    #[error("the site's credentials cannot be used")]
    Credentials(#[from] CredentialsError),
    /// The site could not enrol.
    #[error("enrolment: {0}")]
    Enrol(String),
}

pub(super) async fn run(parts: Parts) {
    let mut backoff = Backoff::new(PAUSE_MS_FIRST, PAUSE_MS_MAX);
    let mut told = String::new();
    while !parts.tasks.is_stopping() {
        let started = parts.clock.tick();
        let tasks = parts.tasks.clone();
        let ended = tokio::select! {
            () = tasks.stopping() => return,
            ended = run_once(&parts) => ended,
        };
        let why = match ended {
            Ok(why) => why,
            Err(error) => chain(&error),
        };
        // Once for each new reason: a controller away for a week is one line, not a million.
        if why != told {
            tracing::warn!(why, "no link to the controller; recording goes on");
            told = why;
        }
        if parts.clock.tick().ms_since(started) > GOOD_MS {
            backoff.reset();
            told.clear();
        }
        let pause_ms = backoff.next_ms(random());
        tokio::select! {
            () = tasks.stopping() => return,
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
        }
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Only spreads the pauses.
    let _spread = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// One connection, to its end; enrols first where that is still to be done.
async fn run_once(parts: &Parts) -> Result<String, LinkError> {
    let files = Files::new(parts.keys_folder());
    let credentials = match files.load()? {
        Some(credentials) => credentials,
        None => enrol::enrol(parts, &files).await?,
    };
    let tls = trusting(&credentials)?;
    let connected = connect(parts, tls).await?;
    tracing::info!("connected to the controller");
    Ok(session::run(parts, &files, &credentials, &connected.connection).await)
}

fn trusting(credentials: &Credentials) -> Result<ClientConfig, LinkError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(credentials.authority.clone()).map_err(LinkError::Tls)?;
    ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![credentials.certificate.clone()], credentials.key.clone_key())
        .map_err(LinkError::Tls)
}

/// A connection and the socket it lives on. Closed when it is dropped.
pub(super) struct Connected {
    pub(super) connection: Connection,
    endpoint: Endpoint,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.endpoint.close(VarInt::from_u32(0), b"done");
    }
}

pub(super) async fn connect(parts: &Parts, mut tls: ClientConfig) -> Result<Connected, LinkError> {
    let to = &parts.config.controller;
    let unreachable = |why: String| LinkError::Address { address: to.address.clone(), why };
    let address = tokio::net::lookup_host(&to.address)
        .await
        .map_err(|error| unreachable(error.to_string()))?
        .next()
        .ok_or_else(|| unreachable("the name has no address".to_owned()))?;
    tls.alpn_protocols = vec![link::ALPN.to_vec()];
    let tls = QuicClientConfig::try_from(tls)
        .map_err(|error| LinkError::Tls(rustls::Error::General(error.to_string())))?;
    let mut client = quinn::ClientConfig::new(Arc::new(tls));
    client.transport_config(quic::transport());
    let any: SocketAddr = if address.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = quic::bind(any).map_err(|error| unreachable(error.to_string()))?;
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
        .map_err(|error| unreachable(error.to_string()))?;
    let connecting = endpoint
        .connect_with(client, address, &to.server_name)
        .map_err(|error| LinkError::Connect(error.to_string()))?;
    let connection = tokio::time::timeout(CONNECT, connecting)
        .await
        .map_err(|_| LinkError::Connect(format!("{} does not answer", to.address)))?
        .map_err(|error| LinkError::Connect(error.to_string()))?;
    Ok(Connected { connection, endpoint })
}
