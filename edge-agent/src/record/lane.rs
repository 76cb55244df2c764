//! The one thread on which all cameras of a site are read and cut. It looks at most every 20 ms: then
//! it takes what has come from all cameras since. Being woken for each frame of each camera, 6 700
//! times a second for 268 cameras, costs more than reading them.
//!
//! What blocks (sealing, writing, syncing) runs on this runtime's blocking threads, what masks on
//! threads of its own; nothing that talks to others runs here.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;

/// From one look to the next. A frame is told to have arrived at most this much late: half of what
/// passes between two frames of 25 a second, and far below what a camera's own clock is trusted for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A write that hangs must not keep the process.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The thread; it ends, and what still runs on it with it, when this is dropped.
#[derive(Debug)]
pub struct Lane {
    handle: Handle,
    _ends: oneshot::Sender<()>,
}

impl Lane {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no poll.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(|| std::thread::sleep(LOOK_EVERY))
            .thread_name("recording")
            .build()?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("cameras".to_owned()).spawn(move || {
            // The sender says nothing; it goes.
            let _gone = runtime.block_on(ended);
            runtime.shutdown_timeout(END_WITHIN);
        })?;
        Ok(Self { handle, _ends: ends })
    }

    /// What is spawned while the guard lives runs on the lane, and so does what that spawns.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

#[cfg(test)]
mod tests {
    use host::Tasks;

    use super::*;

    #[tokio::test]
    async fn what_is_started_on_the_lane_runs_there() {
        let lane = Lane::start().unwrap();
        let tasks = Tasks::new();
        let (said, heard) = oneshot::channel();
        {
            let _on = lane.enter();
            tasks.spawn("where", async move {
                let name = std::thread::current().name().map(str::to_owned);
                tokio::time::sleep(Duration::from_millis(1)).await;
                let blocking = tokio::task::spawn_blocking(|| {
                    std::thread::current().name().map(str::to_owned)
                });
                said.send((name, blocking.await.unwrap())).unwrap();
            });
        }
        let (on, blocking) = heard.await.unwrap();
        assert_eq!(on.as_deref(), Some("cameras"));
        assert_eq!(blocking.as_deref(), Some("recording"));
        assert!(tasks.shut_down(Duration::from_secs(10)).await);
    }
}
