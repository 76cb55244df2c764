//! Sends `tracing` events to standard error: lines for a person, JSON for a journal.

use std::error::Error;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One readable line an event.
    Lines,
    /// One JSON object an event.
    Json,
}

/// Starts logging. `WATCHHOUSE_LOG` chooses levels (`info` when unset), `WATCHHOUSE_LOG_FORMAT=json`
/// the form. A second call changes nothing.
pub fn start() {
    let format = match std::env::var("WATCHHOUSE_LOG_FORMAT").as_deref() {
        Ok("json") => Format::Json,
        _ => Format::Lines,
    };
    let filter = EnvFilter::try_from_env("WATCHHOUSE_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Lines => log.with_ansi(false).try_init(),
        Format::Json => log.json().try_init(),
    };
    drop(started);
}

/// An error and its causes in one line, for the one place that logs or signs it.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("writing failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_causes() {
        assert_eq!(chain(&Outer(io::Error::other("disc gone"))), "writing failed: disc gone");
    }
}
