//! The oracle: is the log whole? Called after every step of the tests, and by `controller
//! check-log`. Reads everything; changes nothing.

use std::collections::BTreeMap;

use rocksdb::{Direction, IteratorMode};

use super::key::{entry, stream_end};
use super::{RocksLog, Stream};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store does not read.
    #[error("the store does not read: {0}")]
    Store(String),
    /// A position is missing.
    #[error("entry {due} is missing: the next one is {found}")]
    Hole {
        /// The position that is due.
        due: u64,
        /// The one that comes instead.
        found: u64,
    },
    /// An entry does not read, or not as it was written.
    #[error("entry {position}: {why}")]
    Entry {
        /// Which.
        position: u64,
        /// What is wrong.
        why: String,
    },
    /// A stream's numbers are not dense, or its end is not where its entries end.
    #[error("stream {stream}: {why}")]
    Stream {
        /// Which.
        stream: Stream,
        /// What is wrong.
        why: String,
    },
}

/// Everything that is wrong with the log; nothing when it is whole.
#[must_use]
pub fn check(log: &RocksLog) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut entries_of: BTreeMap<Stream, u64> = BTreeMap::new();
    let mut due = 0;
    let from = entry::key(0);
    for item in log.db().iterator(IteratorMode::From(&from, Direction::Forward)) {
        let (key, value) = match item {
            Ok(item) => item,
            Err(error) => {
                faults.push(Fault::Store(error.to_string()));
                return faults;
            }
        };
        let Some(position) = entry::read_key(&key) else { break };
        if position != due {
            faults.push(Fault::Hole { due, found: position });
        }
        due = position + 1;
        check_entry(position, &value, &mut entries_of, &mut faults);
    }
    check_ends(log, entries_of, &mut faults);
    faults
}

fn check_entry(
    position: u64,
    value: &[u8],
    entries_of: &mut BTreeMap<Stream, u64>,
    faults: &mut Vec<Fault>,
) {
    let stored = match entry::read_value(position, value) {
        Ok(stored) => stored,
        Err(error) => {
            let why = format!("{error}: {}", causes(&error));
            faults.push(Fault::Entry { position, why });
            return;
        }
    };
    if entry::value(&stored) != value {
        let why = "its bytes are not as this program writes them".to_owned();
        faults.push(Fault::Entry { position, why });
    }
    let version = entries_of.entry(stored.stream.clone()).or_default();
    if stored.version != *version {
        let why = format!("entry {position} has version {} where {version} is due", stored.version);
        faults.push(Fault::Stream { stream: stored.stream, why });
    }
    *version += 1;
}

fn check_ends(log: &RocksLog, mut entries_of: BTreeMap<Stream, u64>, faults: &mut Vec<Fault>) {
    let from = [stream_end::KIND];
    for item in log.db().iterator(IteratorMode::From(&from, Direction::Forward)) {
        let read = item.map_err(|e| e.to_string()).and_then(|(key, value)| {
            let stream = stream_end::read_key(&key).map_err(|e| e.to_string())?;
            Ok((stream, stream_end::read_value(&value).map_err(|e| e.to_string())?))
        });
        match read {
            Ok((stream, end)) => {
                let entries = entries_of.remove(&stream).unwrap_or(0);
                if entries != end {
                    let why = format!("it has {entries} entries and should have {end}");
                    faults.push(Fault::Stream { stream, why });
                }
            }
            Err(why) => faults.push(Fault::Store(why)),
        }
    }
    for (stream, entries) in entries_of {
        let why = format!("it has {entries} entries and no end");
        faults.push(Fault::Stream { stream, why });
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push(error.to_string());
        cause = error.source();
    }
    text.join(": ")
}
