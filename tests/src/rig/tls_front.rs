//! TLS before an RTSP server that has none: what an RTSPS camera is to its client.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use custody::Digest;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A front; gone, with its connections, when dropped.
#[derive(Debug)]
pub struct TlsFront {
    addr: SocketAddr,
    fingerprint: Digest,
    authority_pem: String,
    counts: Arc<Counts>,
    /// The accepting task, which owns the connections. Aborted when dropped.
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    refused: AtomicU64,
    carried: AtomicU64,
}

impl TlsFront {
    /// A front for 127.0.0.1, with a certificate of an authority of its own, before the server at
    /// `port`.
    ///
    /// # Errors
    /// If no certificate can be made or no port be had.
    pub async fn before(port: u16) -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?
            .signed_by(&key, &Issuer::new(authority, authority_key))?;
        let fingerprint = Digest::of(certificate.der());
        let private = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| anyhow::anyhow!("a key that was just made does not read: {error}"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port")?;
        let addr = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tasks.spawn(accept(listener, acceptor, port, Arc::clone(&counts)));
        Ok(Self { addr, fingerprint, authority_pem, counts, _tasks: tasks })
    }

    /// The address of the camera `path` behind it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("rtsps://{}/{path}", self.addr)
    }

    /// The SHA-256 of its certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Writes the certificate of its authority.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_authority(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, &self.authority_pem)?)
    }

    /// How many clients broke off when they had seen the certificate.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// How many were carried to the server.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.counts.carried.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, port: u16, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        // A failed accept is the client's loss.
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counts));
        connections.spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                return;
            };
            counts.carried.fetch_add(1, Ordering::Relaxed);
            let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                return;
            };
            // Whoever closes first ends it.
            let _ended = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
