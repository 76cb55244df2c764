//! The one seam to quinn that both ends of the fleet link share: sockets, windows, and a stream
//! that tonic can serve. Knows nothing of what is said on the link.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::{IdleTimeout, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// Bytes that may be under way on one stream: 100 Mbit/s over 600 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Bytes that one connection may make its receiver hold.
const CONNECTION_WINDOW_BYTES: u32 = 24 << 20;
/// Kernel buffers, so that a burst at 1 Gbit/s survives a 30 ms pause of the process.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// A silent connection is given up after this; the agent speaks every [`KEEP_ALIVE`].
const IDLE: Duration = Duration::from_secs(20);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes the link reads and writes HTTP/2 frames through.
pub const HTTP2_WINDOW_BYTES: u32 = 4 << 20;

/// Makes aws-lc-rs this process's provider of cryptography. First thing in every `main`; a second
/// call changes nothing.
pub fn install_crypto() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The link's transport parameters.
#[must_use]
pub fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(16))
        .max_concurrent_uni_streams(VarInt::from_u32(16))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(
            IdleTimeout::try_from(IDLE).expect("20 s is within QUIC's idle timeout"),
        ));
    Arc::new(transport)
}

/// A UDP socket with room for bursts. A kernel that grants less is no error: packets are resent.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    for set in [
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES),
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES),
    ] {
        if let Err(error) = set {
            tracing::debug!(%error, "the kernel grants smaller UDP buffers");
        }
    }
    Ok(socket)
}

/// A bidirectional stream as one reader and writer, with what is known of the peer.
#[derive(Debug)]
pub struct Duplex<Peer> {
    receive: RecvStream,
    send: SendStream,
    peer: Peer,
}

impl<Peer> Duplex<Peer> {
    /// Joins the halves of a stream.
    #[must_use]
    pub fn new(send: SendStream, receive: RecvStream, peer: Peer) -> Self {
        Self { receive, send, peer }
    }
}

impl<Peer: Clone + Send + Sync + 'static> Connected for Duplex<Peer> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<Peer: Unpin> AsyncRead for Duplex<Peer> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl<Peer: Unpin> AsyncWrite for Duplex<Peer> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), cx)
    }
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn key_exchange_is_post_quantum_first() {
        install_crypto();
        let provider = rustls::crypto::CryptoProvider::get_default().unwrap();
        assert_eq!(provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }
}
