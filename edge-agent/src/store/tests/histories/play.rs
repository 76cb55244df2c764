//! Plays histories, two at a time, and tells the seed of one that goes wrong.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::History;
use crate::store::core::lock;
use crate::store::{Depth, Finding, Store};

/// Histories that `make test` plays.
const HISTORIES: u64 = 200;

impl History {
    /// The oracle finds nothing. But a destroyed hour to which a stepped clock went back has a new key, of
    /// which the log tells only with the first segment that comes of it; the next sweep destroys it.
    pub(super) fn sound(&self, store: &Store) {
        let checked = store.check(Depth::Bytes).unwrap();
        let is_new = |it: &Finding| {
            let hour = it.place.strip_prefix("hour ").and_then(|hour| hour.parse().ok());
            it.what.starts_with("it has a key") && hour.is_some_and(|it| self.opened.contains(&it))
        };
        let findings: Vec<_> = checked.findings.iter().filter(|it| !is_new(it)).collect();
        assert!(findings.is_empty(), "{findings:?}");
        // Refused steps leave keys for the next sweep or start.
        let expected = ["index-rebuilding", "keys-not-destroyed"];
        let alarms = store.alarms();
        assert!(alarms.iter().all(|(code, _)| expected.contains(code)), "{alarms:?}");
    }
}

/// Plays one history; what went wrong, and what had been done.
fn play(seed: u64, acts: usize) -> Result<(), String> {
    let mut history = History::new(seed, acts);
    let played = panic::catch_unwind(AssertUnwindSafe(|| history.play()));
    played.map_err(|panicked| {
        let what = panicked.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panicked.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let done = acts.saturating_sub(history.acts_left);
        let last = history.acts.len().saturating_sub(60);
        format!(
            "{}\nthe last of {done} acts:\n  {}\nreplay: WATCHHOUSE_SEED={seed} WATCHHOUSE_ACTS={done}",
            what.unwrap_or_default(),
            history.acts[last..].join("\n  ")
        )
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_nothing_that_was_promised_is_lost() {
    let acts = number("WATCHHOUSE_ACTS").and_then(|n| usize::try_from(n).ok()).unwrap_or(200);
    if let Some(seed) = number("WATCHHOUSE_SEED") {
        play(seed, acts).unwrap_or_else(|why| panic!("{why}"));
        return;
    }
    let count = number("WATCHHOUSE_HISTORIES").unwrap_or(HISTORIES);
    let first = number("WATCHHOUSE_FIRST").unwrap_or(1);
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while lock(&failures).is_empty() {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count {
                        return;
                    }
                    if let Err(why) = play(seed, acts) {
                        lock(&failures).push(why);
                    }
                }
            });
        }
    });
    let failures: Vec<String> = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
