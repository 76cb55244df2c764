//! What lies in RocksDB: one kind of record a file. The first byte of a key is its kind; ids are
//! stable for ever.
//!
//! | first byte | file | key | value |
//! |---|---|---|---|
//! | 1 | [`mod@format`] | nothing more | the format's version, one byte |
//! | 2 | [`entry`] | position:u64 | JSON, see there |
//! | 3 | [`stream_end`] | the stream's name | entries in the stream:u64 |
//! | 4 | [`salt`] | position:u64 | 32 random bytes |
//! | 5 | [`node`] | place:u64 | one hash of the tree, 32 bytes |
//! | 6 | [`signed`] | nothing more | the newest tree head that may be signed |
//! | 7 | [`instance`] | nothing more | which log this is |
//!
//! Integers are big-endian, so that keys sort as numbers do.

pub mod entry;
pub mod format;
pub mod instance;
pub mod node;
pub mod salt;
pub mod signed;
pub mod stream_end;

/// Bytes that are no record of the kind that they should be.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct BadRecord {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BadRecord {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    pub(crate) fn because(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }
}
