//! One HTTP request to an outside party, a witness or a time-stamping authority: a POST whose
//! answer is short. HTTP/1.1, over TLS where the address says so.
//!
//! Everything is bounded: the answer's bytes, and the time from the first packet to the last. No
//! connection is kept: an outside party is asked every few seconds at most.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// An outside party has this long for its whole answer.
const CALL: Duration = Duration::from_secs(10);
/// An answer longer than this is no answer of ours: a cosignature line has about 200 bytes, a
/// time-stamp token with its certificates 4 to 10 kB.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Where an outside party is: `http://` or `https://`, a host, a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress(Url);

impl FromStr for WebAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("`{text}` must begin with http:// or https:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err("an address holds no name, password or query".to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl WebAddress {
    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    fn path(&self, below: &str) -> String {
        if below.is_empty() {
            return self.0.path().to_owned();
        }
        format!("{}/{below}", self.0.path().trim_end_matches('/'))
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The kind of body; empty when none was named.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing usable came back. Trying again later may help.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The certificates to trust.
    #[error("{path}: no certificates can be read from it")]
    Roots {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The way there.
    #[error("{address} cannot be reached")]
    Away {
        /// Who.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{address} did not answer in {} s", CALL.as_secs())]
    Slow {
        /// Who.
        address: String,
    },
}

/// A party that can be asked.
#[derive(Clone)]
pub struct WebParty {
    address: WebAddress,
    tls: Option<TlsConnector>,
}

impl WebParty {
    /// The party at `address`; over TLS it must show a certificate from one of those in `roots`.
    ///
    /// # Errors
    /// When the file of certificates does not read.
    pub fn new(address: WebAddress, roots: Option<&Path>) -> Result<Self, WebError> {
        let tls = address.is_tls().then(|| trusting(roots)).transpose()?;
        Ok(Self { address, tls })
    }

    /// Posts `body` to `below` the address.
    ///
    /// # Errors
    /// When it cannot be reached, is slow, or answers at too great a length.
    pub async fn post(
        &self,
        below: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer, WebError> {
        let called = tokio::time::timeout(CALL, self.call(below, content_type, body)).await;
        let address = || self.address.to_string();
        called
            .map_err(|_| WebError::Slow { address: address() })?
            .map_err(|source| WebError::Away { address: address(), source })
    }

    async fn call(
        &self,
        below: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let url = &self.address.0;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let request = Request::post(self.address.path(below))
            .header(HOST, authority)
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))?;
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let plain_host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((plain_host, port)).await?;
        let response = match &self.tls {
            None => send(stream, request).await?,
            Some(tls) => {
                let name = ServerName::try_from(plain_host.to_owned())?;
                send(tls.connect(name, stream).await?, request).await?
            }
        };
        Ok(response)
    }
}

/// Sends one request and drives its connection until the answer is whole.
async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        read(response).await
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The peer may close as soon as it has answered: what has come is still read.
        _ = connection => exchange.await,
    }
}

async fn read(
    response: Response<Incoming>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Answer { status, content_type, body: body.to_vec() })
}

fn trusting(roots: Option<&Path>) -> Result<TlsConnector, WebError> {
    let mut store = RootCertStore::empty();
    if let Some(path) = roots {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| WebError::Roots {
            path: path.display().to_string(),
            source,
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.into()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| failed(e.into()))?;
            store.add(certificate).map_err(|e| failed(e.into()))?;
        }
        if store.is_empty() {
            return Err(failed("it holds no certificate".into()));
        }
    }
    let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_plain() {
        for bad in ["ftp://a/", "http://", "x", "http://u:p@a/", "http://a/?q=1", "file:///etc"] {
            assert!(bad.parse::<WebAddress>().is_err(), "{bad}");
        }
        let address: WebAddress = "https://w.example/one/".parse().unwrap();
        assert_eq!(address.path("add-checkpoint"), "/one/add-checkpoint");
        assert_eq!(address.path(""), "/one/");
        assert!(address.is_tls());
    }

    /// A server that reads a request's head and answers with `answer`.
    async fn answering(answer: Vec<u8>) -> WebParty {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        host::Tasks::new().spawn("answering", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"POST /add-checkpoint HTTP/1.1\r\n"));
            // The peer may have heard enough before all is said.
            drop(stream.write_all(&answer).await);
        });
        let address = format!("http://127.0.0.1:{port}").parse().unwrap();
        WebParty::new(address, None).unwrap()
    }

    #[tokio::test]
    async fn an_answer_comes_back_whole() {
        let text = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\n\
                     Content-Length: 3\r\nConnection: close\r\n\r\n12\n";
        let party = answering(text.to_vec()).await;
        let answer = party.post("add-checkpoint", "text/plain", b"old 0\n".to_vec()).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_str()), (409, "text/x.tlog.size"));
        assert_eq!(answer.body, b"12\n");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        let party = answering(b"SSH-2.0-OpenSSH\r\n".to_vec()).await;
        let error = party.post("add-checkpoint", "text/plain", Vec::new()).await.unwrap_err();
        assert!(matches!(error, WebError::Away { .. }), "{error}");
        let mut long = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n".to_vec();
        long.resize(long.len() + 300_000, b'x');
        let party = answering(long).await;
        assert!(party.post("add-checkpoint", "text/plain", Vec::new()).await.is_err());
        // Nobody there: the port is taken and given back.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let address = format!("http://127.0.0.1:{port}").parse().unwrap();
        let party = WebParty::new(address, None).unwrap();
        assert!(party.post("", "text/plain", Vec::new()).await.is_err());
    }
}
