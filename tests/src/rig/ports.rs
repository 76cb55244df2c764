//! Free ports on loopback, for programs that must be told their port before they start.
//!
//! They are taken from below the kernel's range for outgoing connections (32768 and up), so that
//! none is lent to a stranger between being found free here and being bound by the program.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How many ports this process has asked for; the same one is not given twice.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A TCP port on 127.0.0.1 that nothing listens on.
///
/// # Panics
/// If 12 000 ports are all taken: nothing can be tested on such a machine.
#[must_use]
pub fn free_tcp_port() -> u16 {
    free(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

/// A UDP port on 127.0.0.1 that nothing is bound to.
///
/// # Panics
/// If 12 000 ports are all taken.
#[must_use]
pub fn free_udp_port() -> u16 {
    free(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

fn free(is_free: impl Fn(u16) -> bool) -> u16 {
    // Test processes that run side by side begin at different places.
    let start = u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .map(|_| {
            let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
            FIRST + (start + taken % COUNT) % COUNT
        })
        .find(|&port| is_free(port))
        .expect("a machine has a free loopback port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let first = free_tcp_port();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let others: Vec<u16> = (0..50).map(|_| free_tcp_port()).collect();
        assert!(!others.contains(&first));
        let udp = free_udp_port();
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, udp)).is_ok());
    }
}
