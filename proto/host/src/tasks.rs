//! One tree of tasks: cancel, ask, wait with a deadline. A task that panics ends the process, so
//! that the service manager restarts it: recovery is the tested path.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks, knows when they have ended, and tells them to end. Clones share one tree.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    cancelled: CancellationToken,
}

impl Tasks {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task named `name` that shutdown waits for.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = PanicEndsProcess(name);
        drop(tokio::spawn(self.tracker.track_future(async move {
            task.await;
            guard.defuse();
        })));
    }

    /// Ready when shutdown has been asked for.
    pub async fn stopping(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether shutdown has been asked for.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Asks every task to end.
    pub fn stop(&self) {
        self.cancelled.cancel();
    }

    /// Asks every task to end and waits at most `deadline`. Whether all did.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        self.stop();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

struct PanicEndsProcess(&'static str);

impl PanicEndsProcess {
    fn defuse(self) {
        drop(self);
    }
}

impl Drop for PanicEndsProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "task panicked; ending so that the service restarts");
            std::process::abort();
        }
    }
}

/// Ready at SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// When the process may not handle signals.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    #[expect(clippy::disallowed_methods, reason = "outlives the tree on purpose")]
    drop(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: ending at once");
        std::process::exit(130);
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_waits_for_tasks_that_end_when_asked() {
        let tasks = Tasks::new();
        let (said, heard) = tokio::sync::oneshot::channel();
        let inner = tasks.clone();
        tasks.spawn("polite", async move {
            inner.stopping().await;
            said.send("sealed").unwrap();
        });
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
        assert_eq!(heard.await, Ok("sealed"));
    }
}
