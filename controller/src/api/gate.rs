//! How many connections the API has at once. Beyond the limit a connection is closed before its
//! handshake; that is counted, and told at most once a minute.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, Stream};
use host::Clock;
use link::Tick;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// When the system has no connection to give (too many open files), it is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A connection with its place among the limited ones, which it gives back when it is dropped.
#[derive(Debug)]
pub struct Admitted {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// The connections that come to `listener`, at most `places` at once.
pub fn admit(
    listener: TcpListener,
    places: usize,
    clock: Clock,
) -> impl Stream<Item = io::Result<Admitted>> {
    let gate = Gate {
        listener,
        places: Arc::new(Semaphore::new(places)),
        clock,
        turned: Turned::default(),
    };
    stream::unfold(gate, |mut gate| async move {
        let admitted = gate.next().await;
        Some((Ok(admitted), gate))
    })
}

struct Gate {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clock: Clock,
    turned: Turned,
}

impl Gate {
    async fn next(&mut self) -> Admitted {
        loop {
            let (stream, remote) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the API cannot accept a connection; it goes on");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                // Small answers must not wait for more; without it the API is slower, not wrong.
                drop(stream.set_nodelay(true));
                return Admitted { stream, _place: place };
            }
            drop(stream);
            if let Some(count) = self.turned.another(self.clock.tick()) {
                tracing::warn!(
                    count,
                    last = %remote.ip(),
                    "the API has all the connections it may have; others were turned away"
                );
            }
        }
    }
}

/// Connections turned away, and when that was last told. Pure.
#[derive(Debug, Default)]
struct Turned {
    untold: u64,
    told: Option<Tick>,
}

impl Turned {
    /// One more at `now`; gives how many there were since the last telling, if it is time to tell.
    fn another(&mut self, now: Tick) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.ms_since(told) < 60_000) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Connected for Admitted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use custody::WallTime;
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn beyond_the_limit_a_connection_is_closed_until_another_has_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut gate = pin!(admit(listener, 2, Clock::simulated(WallTime(0))));
        let mut callers = Vec::new();
        let mut inside = Vec::new();
        for _ in 0..2 {
            callers.push(TcpStream::connect(address).await.unwrap());
            inside.push(gate.next().await.unwrap().unwrap());
        }
        let mut third = TcpStream::connect(address).await.unwrap();
        let turned_away = async {
            let mut byte = [0];
            // Closed: the end, or a reset. Either way no byte.
            third.read(&mut byte).await.unwrap_or(0)
        };
        tokio::select! {
            read = turned_away => assert_eq!(read, 0),
            _ = gate.next() => panic!("a third came in where two may"),
        }
        // The two that are inside are served as before.
        callers[0].write_all(b"w").await.unwrap();
        assert_eq!(inside[0].read_u8().await.unwrap(), b'w');

        drop(inside.pop());
        let mut fourth = TcpStream::connect(address).await.unwrap();
        let mut admitted = gate.next().await.unwrap().unwrap();
        fourth.write_all(b"h").await.unwrap();
        assert_eq!(admitted.read_u8().await.unwrap(), b'h');
    }

    #[test]
    fn a_crowd_is_told_once_a_minute_with_its_number() {
        let mut turned = Turned::default();
        assert_eq!(turned.another(Tick(5)), Some(1));
        let told = (0..100).filter_map(|n| turned.another(Tick(6 + n))).count();
        assert_eq!(told, 0);
        assert_eq!(turned.another(Tick(60_005)), Some(101));
    }
}
