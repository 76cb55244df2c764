//! TLS for an RTSP client that has none: `retina` takes no connection of ours, so it is given an
//! address of this machine behind which one connection, its own, is carried to the camera.
//!
//! The camera's certificate is checked before `retina` hears of the address, so nothing, and no
//! password, is ever sent to a peer that is not the pinned one. The listener takes one connection and is
//! closed; a connection by another process of the machine is closed unread.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::Address;
use super::pin::{Checking, Pin};

/// Where cameras listen for RTSPS (IANA `rtsps`).
const PORT: u16 = 322;
/// `retina` connects at once; a tunnel that nobody came to is closed.
const CLIENT_WITHIN: Duration = Duration::from_secs(10);
/// Tunnels of one camera at a time: the session's own, and those whose TEARDOWN is under way.
const TUNNELS_MAX: usize = 4;
/// What a copy holds of one direction: three frames at 4 Mb/s.
const COPY_BYTES: usize = 64 << 10;

/// The tunnels of one camera; gone when dropped.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    open: JoinSet<()>,
}

/// Why there is no tunnel; for a technician.
#[derive(Debug)]
pub(super) struct NoTunnel(pub(super) String);

impl Tunnels {
    /// Connects to the camera, checks that it is the pinned one, and gives the address at which
    /// `retina` finds it.
    pub(super) async fn open(
        &mut self,
        address: &Address,
        pin: Option<&Pin>,
    ) -> Result<Url, NoTunnel> {
        let stream = connect(address.url(), pin).await?;
        let failed = |error: io::Error| NoTunnel(format!("no tunnel on this machine: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let mut url = address.url().clone();
        let rewritten = url.set_host(Some("127.0.0.1")).is_ok()
            && url.set_port(Some(at.port())).is_ok()
            && url.set_scheme("rtsp").is_ok();
        if !rewritten {
            return Err(NoTunnel(format!("{url} cannot be carried")));
        }
        while self.open.try_join_next().is_some() {}
        if self.open.len() >= TUNNELS_MAX {
            self.open.abort_all();
        }
        self.open.spawn(carry(listener, at, stream));
        Ok(url)
    }
}

async fn connect(url: &Url, pin: Option<&Pin>) -> Result<TlsStream<TcpStream>, NoTunnel> {
    let Some(pin) = pin else {
        let what = "pin-missing: give this camera certificate_sha256 or ca_path in the settings";
        return Err(NoTunnel(what.to_owned()));
    };
    let checking = Checking::of(pin).map_err(|error| NoTunnel(error.to_string()))?;
    // An IPv6 address stands in brackets in a URL.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone())
        .map_err(|_| NoTunnel(format!("{host} is no name that a certificate can hold")))?;
    let stream = TcpStream::connect((host.as_str(), url.port().unwrap_or(PORT)))
        .await
        .map_err(|error| NoTunnel(format!("Unable to connect to the camera: {error}")))?;
    let connector = TlsConnector::from(checking.config.clone());
    connector.connect(name, stream).await.map_err(|error| {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        NoTunnel(match tls {
            Some(rustls::Error::InvalidCertificate(_)) => checking.refused().to_string(),
            _ => format!("tls-failed: the camera and we agree on no secure connection: {error}"),
        })
    })
}

/// Carries the first connection of our own until either side closes it.
async fn carry(listener: TcpListener, at: SocketAddr, mut camera: TlsStream<TcpStream>) {
    let own = async {
        loop {
            let Ok((client, from)) = listener.accept().await else { continue };
            if is_ours(from, at) {
                return client;
            }
            tracing::warn!(%from, "a stranger's connection to a camera's tunnel was closed");
        }
    };
    let Ok(mut client) = tokio::time::timeout(CLIENT_WITHIN, own).await else { return };
    drop(listener);
    // How it ends is told by `retina`, which sees its own end closed.
    let _ended =
        copy_bidirectional_with_sizes(&mut client, &mut camera, COPY_BYTES / 16, COPY_BYTES).await;
}

/// Whether the loopback connection `from` → `to` is held by this process (`proc(5)`: the socket's inode
/// among our descriptors).
fn is_ours(from: SocketAddr, to: SocketAddr) -> bool {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { return false };
    let Ok(table) = fs::read_to_string("/proc/self/net/tcp") else { return false };
    let Some(inode) = inode_of(&table, from, to) else { return false };
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return false };
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.as_os_str() == wanted.as_str())
}

/// The inode of the socket `from` → `to` in a table like `/proc/net/tcp`, where addresses stand as
/// hexadecimal in the machine's byte order.
fn inode_of(table: &str, from: SocketAddrV4, to: SocketAddrV4) -> Option<u64> {
    let shown = |address: SocketAddrV4| {
        let ip = u32::from_ne_bytes(address.ip().octets());
        format!("{ip:08X}:{:04X}", address.port())
    };
    let (from, to) = (shown(from), shown(to));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (*fields.get(1)? == from && *fields.get(2)? == to).then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_connection_is_told_from_others() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).await.unwrap();
        let (_server, from) = listener.accept().await.unwrap();
        assert!(is_ours(from, at));
        // The connection's own other end is another socket, and one that is gone is nobody's.
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, at.port() ^ 1));
        assert!(!is_ours(from, elsewhere));
        drop(client);
        assert!(!is_ours(from, at));
    }

    #[test]
    fn a_socket_is_found_by_both_of_its_ends() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0\n";
        let end = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let table = if cfg!(target_endian = "little") {
            table.to_owned()
        } else {
            table.replace("0100007F", "7F000001")
        };
        assert_eq!(inode_of(&table, end(8080), end(40000)), Some(4711));
        assert_eq!(inode_of(&table, end(40000), end(8080)), None);
        assert_eq!(inode_of("", end(1), end(2)), None);
    }
}
