//! What is kept of witnessing: cosigned notes, time stamps, the policies that were in force, and
//! what the controller's own witness has seen. RocksDB; the first byte of a key is its kind.
//!
//! | first byte | then | value |
//! |---|---|---|
//! | 1 | nothing | the layout's version |
//! | 2 | log | the newest note with all cosignatures that came |
//! | 3 | log | the newest note that met the quorum, as kind 4 |
//! | 4 | log, 0, size:u64 | a kept note: size:u64 quorum time:i64 policy:32 note |
//! | 5 | digest:32 | size:u64 log: the kept note with this digest |
//! | 6 | log, 0, size:u64 | a time stamp: note bytes:u32 note response |
//! | 7 | log | what the own witness has cosigned: size:u64 root:32 |
//! | 8 | digest:32 | a policy's text |
//!
//! Kept notes are one a minute for [`limits::NOTES_DENSE_S`], then one an hour.

use std::path::Path;

use custody::log::witness::Seen;
use custody::{Digest, WallTime};
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::limits;

/// The store failed, or holds what it should not.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The store.
    #[error("what is kept of witnessing cannot be read or written: {0}")]
    Store(#[from] rocksdb::Error),
    /// A row is not what it should be.
    #[error("what is kept of witnessing is damaged: {0}")]
    Row(&'static str),
}

/// A note that met the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Entries under it.
    pub size: u64,
    /// When enough witnesses had cosigned, by their clocks.
    pub at: WallTime,
    /// The digest of the policy that it met.
    pub policy: Digest,
    /// Its exact bytes.
    pub note: Vec<u8>,
}

/// A time stamp over a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStamp {
    /// Entries under the note.
    pub size: u64,
    /// The stamped bytes.
    pub note: Vec<u8>,
    /// The response of the authority.
    pub response: Vec<u8>,
}

/// All of it.
pub struct Book {
    rows: DB,
}

const VERSION: [u8; 1] = [1];

fn one(kind: u8, origin: &str) -> Vec<u8> {
    [&[kind], origin.as_bytes()].concat()
}

fn sized(kind: u8, origin: &str, size: u64) -> Vec<u8> {
    [&[kind], origin.as_bytes(), &[0], &size.to_be_bytes()].concat()
}

/// The size in a key of this kind and log.
fn read_sized(kind: u8, origin: &str, key: &[u8]) -> Option<u64> {
    let prefix = [&[kind], origin.as_bytes(), &[0]].concat();
    key.strip_prefix(&prefix[..])?.try_into().ok().map(u64::from_be_bytes)
}

impl Kept {
    fn value(&self) -> Vec<u8> {
        [&self.size.to_be_bytes()[..], &self.at.0.to_be_bytes(), &self.policy.0, &self.note]
            .concat()
    }

    fn read(value: &[u8]) -> Result<Self, BookError> {
        let read = || {
            let (size, rest) = value.split_first_chunk::<8>()?;
            let (at, rest) = rest.split_first_chunk::<8>()?;
            let (policy, note) = rest.split_first_chunk::<32>()?;
            Some(Self {
                size: u64::from_be_bytes(*size),
                at: WallTime(i64::from_be_bytes(*at)),
                policy: Digest(*policy),
                note: note.to_vec(),
            })
        };
        read().ok_or(BookError::Row("a kept note"))
    }
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

impl Book {
    /// Opens it in `folder`, or begins one there.
    ///
    /// # Errors
    /// When the store cannot be opened, or a later program wrote it.
    pub fn open(folder: &Path) -> Result<Self, BookError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(8 << 20);
        options.set_max_open_files(128);
        options.set_keep_log_file_num(2);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        let rows = DB::open(&options, folder)?;
        match rows.get([1])? {
            None => rows.put([1], VERSION)?,
            Some(version) if version == VERSION => {}
            Some(_) => return Err(BookError::Row("it has the layout of another program")),
        }
        Ok(Self { rows })
    }

    /// A policy's text.
    ///
    /// # Errors
    /// When the store fails.
    pub fn policy(&self, digest: Digest) -> Result<Option<String>, BookError> {
        let text = self.rows.get([&[8], &digest.0[..]].concat())?;
        text.map(|text| String::from_utf8(text).map_err(|_| BookError::Row("a policy"))).transpose()
    }

    /// The newest note of a log, with all cosignatures that came.
    ///
    /// # Errors
    /// When the store fails.
    pub fn newest(&self, origin: &str) -> Result<Option<Vec<u8>>, BookError> {
        Ok(self.rows.get(one(2, origin))?)
    }

    /// Keeps the newest note of a log. Not synced: it is asked for again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn put_newest(&self, origin: &str, note: &[u8]) -> Result<(), BookError> {
        Ok(self.rows.put(one(2, origin), note)?)
    }

    /// The newest note of a log that met the quorum.
    ///
    /// # Errors
    /// When the store fails.
    pub fn quorum(&self, origin: &str) -> Result<Option<Kept>, BookError> {
        self.rows.get(one(3, origin))?.map(|value| Kept::read(&value)).transpose()
    }

    /// Takes a note that met the quorum: as the newest, and as one that is kept if there is none of
    /// its minute.
    ///
    /// # Errors
    /// When the store fails.
    pub fn met(
        &self,
        origin: &str,
        size: u64,
        at: WallTime,
        policy: &str,
        note: &[u8],
    ) -> Result<(), BookError> {
        let number = Digest::of(policy.as_bytes());
        let kept = Kept { size, at, policy: number, note: note.to_vec() };
        let minute = |at: WallTime| at.0.div_euclid(limits::NOTE_EVERY_S * 1_000_000);
        let before = self.last_kept(origin)?;
        let is_first = before
            .as_ref()
            .is_none_or(|before| minute(before.at) < minute(at) && before.size < size);
        let mut batch = WriteBatch::default();
        batch.put(one(3, origin), kept.value());
        batch.put([&[8], &number.0[..]].concat(), policy);
        if is_first {
            batch.put(sized(4, origin, size), kept.value());
            let place = [&size.to_be_bytes()[..], origin.as_bytes()].concat();
            batch.put([&[5], &Digest::of(note).0[..]].concat(), place);
        }
        // The newest is asked for again where power is lost; a kept one may have been handed out.
        let options = if is_first { synced() } else { WriteOptions::default() };
        Ok(self.rows.write_opt(batch, &options)?)
    }

    /// The kept note with the most entries.
    ///
    /// # Errors
    /// When the store fails.
    pub fn last_kept(&self, origin: &str) -> Result<Option<Kept>, BookError> {
        let from = sized(4, origin, u64::MAX);
        let item = self.rows.iterator(IteratorMode::From(&from, Direction::Reverse)).next();
        let Some((key, value)) = item.transpose()? else { return Ok(None) };
        read_sized(4, origin, &key).map(|_| Kept::read(&value)).transpose()
    }

    /// The earliest note that met the quorum and has entry `index` under it: the kept one, else the
    /// newest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn covering(&self, origin: &str, index: u64) -> Result<Option<Kept>, BookError> {
        let from = sized(4, origin, index.saturating_add(1));
        let item = self.rows.iterator(IteratorMode::From(&from, Direction::Forward)).next();
        if let Some((key, value)) = item.transpose()?
            && read_sized(4, origin, &key).is_some()
        {
            return Kept::read(&value).map(Some);
        }
        Ok(self.quorum(origin)?.filter(|kept| kept.size > index))
    }

    /// The kept note with this digest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn by_digest(&self, digest: Digest) -> Result<Option<Vec<u8>>, BookError> {
        let Some(place) = self.rows.get([&[5], &digest.0[..]].concat())? else { return Ok(None) };
        let (size, origin) = place.split_first_chunk::<8>().ok_or(BookError::Row("a digest"))?;
        let origin = std::str::from_utf8(origin).map_err(|_| BookError::Row("a digest"))?;
        let kept = self.rows.get(sized(4, origin, u64::from_be_bytes(*size)))?;
        kept.map(|value| Kept::read(&value).map(|kept| kept.note)).transpose()
    }

    /// Keeps a time stamp.
    ///
    /// # Errors
    /// When the store fails.
    pub fn put_stamp(&self, origin: &str, stamp: &KeptStamp) -> Result<(), BookError> {
        let length = u32::try_from(stamp.note.len()).unwrap_or(u32::MAX);
        let value = [&length.to_be_bytes()[..], &stamp.note, &stamp.response].concat();
        Ok(self.rows.put_opt(sized(6, origin, stamp.size), value, &synced())?)
    }

    /// The earliest time stamp with entry `index` under it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn stamp_covering(&self, origin: &str, index: u64) -> Result<Option<KeptStamp>, BookError> {
        let from = sized(6, origin, index.saturating_add(1));
        let item = self.rows.iterator(IteratorMode::From(&from, Direction::Forward)).next();
        let Some((key, value)) = item.transpose()? else { return Ok(None) };
        let Some(size) = read_sized(6, origin, &key) else { return Ok(None) };
        let bad = || BookError::Row("a time stamp");
        let (length, rest) = value.split_first_chunk::<4>().ok_or_else(bad)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad())?;
        let (note, response) = rest.split_at_checked(length).ok_or_else(bad)?;
        Ok(Some(KeptStamp { size, note: note.to_vec(), response: response.to_vec() }))
    }

    /// What the own witness has cosigned of a log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn seen(&self, origin: &str) -> Result<Option<Seen>, BookError> {
        let Some(value) = self.rows.get(one(7, origin))? else { return Ok(None) };
        let bad = || BookError::Row("what the own witness has seen");
        let (size, root) = value.split_first_chunk::<8>().ok_or_else(bad)?;
        let root = root.try_into().map(Digest).map_err(|_| bad())?;
        Ok(Some(Seen { size: u64::from_be_bytes(*size), root }))
    }

    /// Keeps what the own witness is about to cosign; synced.
    ///
    /// # Errors
    /// When the store fails: then it must not cosign.
    pub fn see(&self, origin: &str, seen: Seen) -> Result<(), BookError> {
        let value = [&seen.size.to_be_bytes()[..], &seen.root.0].concat();
        Ok(self.rows.put_opt(one(7, origin), value, &synced())?)
    }

    /// Thins a log's notes that are older than [`limits::NOTES_DENSE_S`] at `now` to one an hour;
    /// looks at [`limits::NOTES_A_PASS`] from `from` on. Gives where the next pass goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub fn thin(&self, origin: &str, from: u64, now: WallTime) -> Result<u64, BookError> {
        let old = now.plus_seconds(-limits::NOTES_DENSE_S);
        let hour = |at: WallTime| at.0.div_euclid(limits::NOTE_THIN_S * 1_000_000);
        let (mut batch, mut stays, mut next) = (WriteBatch::default(), None, from);
        let start = sized(4, origin, from);
        let rows = self.rows.iterator(IteratorMode::From(&start, Direction::Forward));
        for item in rows.take(limits::NOTES_A_PASS) {
            let (key, value) = item?;
            let Some(size) = read_sized(4, origin, &key) else { break };
            let kept = Kept::read(&value)?;
            if kept.at >= old {
                break;
            }
            if stays == Some(hour(kept.at)) {
                batch.delete(&key);
                batch.delete([&[5], &Digest::of(&kept.note).0[..]].concat());
            } else {
                (stays, next) = (Some(hour(kept.at)), size);
            }
        }
        if !batch.is_empty() {
            self.rows.write(batch)?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "east.force.example/log/00000001";

    fn at(second: i64) -> WallTime {
        WallTime(0).plus_seconds(second)
    }

    fn note(size: u64) -> Vec<u8> {
        format!("{LOG}\n{size}\n").into_bytes()
    }

    #[test]
    fn one_note_a_minute_is_kept_and_the_newest_always_is() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path()).unwrap();
        for second in 0..180 {
            let size = u64::try_from(second).unwrap() + 1;
            book.met(LOG, size, at(second), "quorum none\n", &note(size)).unwrap();
        }
        // A log whose name begins with the other's, and one that comes after it.
        book.met("east.force.example/log/000000012", 999, at(0), "quorum none\n", b"x").unwrap();
        assert_eq!(book.quorum(LOG).unwrap().unwrap().size, 180);
        let covering = |index| book.covering(LOG, index).unwrap().map(|kept| kept.size);
        assert_eq!(
            [0, 1, 60, 61, 120, 121, 179, 180].map(covering),
            [Some(1), Some(61), Some(61), Some(121), Some(121), Some(180), Some(180), None]
        );
        assert_eq!(book.last_kept(LOG).unwrap().unwrap().size, 121);
        assert_eq!(book.by_digest(Digest::of(&note(61))).unwrap(), Some(note(61)));
        assert_eq!(book.by_digest(Digest::of(&note(62))).unwrap(), None);
        drop(book);
        let book = Book::open(folder.path()).unwrap();
        assert_eq!(book.quorum(LOG).unwrap().unwrap().note, note(180));
    }

    #[test]
    fn each_note_names_the_policy_that_it_met() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path()).unwrap();
        for (size, policy) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            book.met(LOG, size, at(60 * i64::try_from(size).unwrap()), policy, &note(size))
                .unwrap();
        }
        let policy = |index| {
            let kept = book.covering(LOG, index).unwrap().unwrap();
            book.policy(kept.policy).unwrap().unwrap()
        };
        assert_eq!([0, 1, 2, 3].map(policy), ["a", "b", "a", "c"]);
        assert_eq!(book.policy(Digest::of(b"d")).unwrap(), None);
    }

    #[test]
    fn old_notes_are_thinned_to_one_an_hour_and_young_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path()).unwrap();
        let minutes: u64 = 4 * 60;
        for minute in 0..minutes {
            let second = i64::try_from(minute * 60).unwrap();
            book.met(LOG, minute + 1, at(second), "a", &note(minute + 1)).unwrap();
        }
        let now = at(limits::NOTES_DENSE_S + 3 * 3600);
        let mut from = 0;
        for _ in 0..3 {
            from = book.thin(LOG, from, now).unwrap();
        }
        let covering = |index| book.covering(LOG, index).unwrap().unwrap().size;
        assert_eq!([0, 1, 60, 61, 121, 180, 181].map(covering), [1, 61, 61, 121, 181, 181, 182]);
        assert_eq!(book.by_digest(Digest::of(&note(2))).unwrap(), None);
        assert_eq!(book.by_digest(Digest::of(&note(61))).unwrap(), Some(note(61)));
    }

    #[test]
    fn stamps_and_what_the_own_witness_saw_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(folder.path()).unwrap();
        let stamp = KeptStamp { size: 7, note: note(7), response: vec![1, 2, 3] };
        book.put_stamp(LOG, &stamp).unwrap();
        assert_eq!(book.stamp_covering(LOG, 6).unwrap(), Some(stamp));
        assert_eq!(book.stamp_covering(LOG, 7).unwrap(), None);
        assert_eq!(book.seen(LOG).unwrap(), None);
        let seen = Seen { size: 7, root: Digest::of(b"root") };
        book.see(LOG, seen).unwrap();
        assert_eq!(book.seen(LOG).unwrap(), Some(seen));
    }
}
