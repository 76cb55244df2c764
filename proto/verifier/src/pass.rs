//! One pass over a file: every digest that any check needs of it, from a single reading; and many
//! files at once, on as many threads as asked. Knows nothing of what the digests are compared with.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use custody::Digest;
use sha2::{Digest as _, Sha256, Sha512};

/// Files are read in pieces of this size: small enough for a core's own cache, so that the second
/// and third digest of a piece do not fetch it again.
const PIECE_BYTES: usize = 128 << 10;

/// A digest by FIPS 180-4 SHA-512.
pub type Digest512 = [u8; 64];

/// Stretches of a file to be digested, each group by itself: the fragments of a master, or the
/// pictures in a playable copy that belong to one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    groups: Vec<Vec<Range<u64>>>,
}

impl Lane {
    /// Groups of stretches; none unless all of them, in this order, ascend without overlap.
    #[must_use]
    pub fn new(groups: Vec<Vec<Range<u64>>>) -> Option<Self> {
        let mut at = 0;
        for range in groups.iter().flatten() {
            if range.start < at || range.end < range.start {
                return None;
            }
            at = range.end;
        }
        Some(Self { groups })
    }
}

/// A file to be read.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name in the bundle.
    pub path: String,
    /// Where it lies.
    pub full: PathBuf,
    /// Its length, to begin with the longest.
    pub bytes: u64,
    /// Whether its SHA-512 is asked for.
    pub sha512: bool,
    /// What else is to be digested.
    pub lanes: Vec<Lane>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How many bytes.
    pub bytes: u64,
    /// Of all of them.
    pub sha256: Digest,
    /// Of all of them, if asked for.
    pub sha512: Option<Digest512>,
    /// Of each group of each lane. A group that reaches beyond the file's end has the digest of
    /// what is there: whoever lays lanes knows the length.
    pub lanes: Vec<Vec<Digest>>,
}

/// Reads every file, on at most `threads` threads; the answers in the order of the jobs.
#[must_use]
pub fn run(jobs: &[Job], threads: usize) -> Vec<io::Result<Found>> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(jobs[*index].bytes));
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<io::Result<Found>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    let work = || {
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = read(&jobs[*index], &mut piece);
            found.lock().unwrap_or_else(PoisonError::into_inner)[*index] = Some(one);
        }
    };
    let threads = threads.clamp(1, jobs.len().max(1));
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let never = || Err(io::Error::other("it was not read"));
    found.into_iter().map(|one| one.unwrap_or_else(never)).collect()
}

fn read(job: &Job, piece: &mut [u8]) -> io::Result<Found> {
    let mut file = File::open(&job.full)?;
    file.seek(SeekFrom::Start(0))?;
    let mut sha256 = Sha256::new();
    let mut sha512 = job.sha512.then(Sha512::new);
    let mut lanes: Vec<_> = job.lanes.iter().map(Reading::new).collect();
    let mut at = 0_u64;
    loop {
        let read = match file.read(piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &piece[..read];
        sha256.update(piece);
        if let Some(sha512) = &mut sha512 {
            sha512.update(piece);
        }
        for lane in &mut lanes {
            lane.take(at, piece);
        }
        at += read as u64;
    }
    Ok(Found {
        bytes: at,
        sha256: Digest(sha256.finalize().into()),
        sha512: sha512.map(|hasher| hasher.finalize().into()),
        lanes: lanes.into_iter().map(Reading::end).collect(),
    })
}

/// A lane as the file goes by.
struct Reading<'a> {
    groups: &'a [Vec<Range<u64>>],
    /// The stretch that is next or under way, and its group's digest so far.
    group: usize,
    stretch: usize,
    hasher: Sha256,
    done: Vec<Digest>,
}

impl<'a> Reading<'a> {
    fn new(lane: &'a Lane) -> Self {
        let groups = &lane.groups;
        let done = Vec::with_capacity(groups.len());
        Self { groups, group: 0, stretch: 0, hasher: Sha256::new(), done }
    }

    /// Takes the piece of the file that begins at `at`.
    fn take(&mut self, at: u64, piece: &[u8]) {
        let end = at + piece.len() as u64;
        while let Some(group) = self.groups.get(self.group) {
            let Some(range) = group.get(self.stretch) else {
                self.finish_group();
                continue;
            };
            if range.start >= end {
                return;
            }
            let from = index(range.start.max(at) - at);
            let to = index(range.end.min(end) - at);
            self.hasher.update(&piece[from..to.max(from)]);
            if range.end > end {
                return;
            }
            self.stretch += 1;
        }
    }

    fn finish_group(&mut self) {
        self.done.push(Digest(self.hasher.finalize_reset().into()));
        self.group += 1;
        self.stretch = 0;
    }

    fn end(mut self) -> Vec<Digest> {
        while self.group < self.groups.len() {
            self.finish_group();
        }
        self.done
    }
}

/// A place within a piece.
fn index(at: u64) -> usize {
    usize::try_from(at).expect("a place within a piece is below PIECE_BYTES")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(folder: &std::path::Path, name: &str, bytes: &[u8], lanes: Vec<Lane>) -> Job {
        let full = folder.join(name);
        std::fs::write(&full, bytes).unwrap();
        Job { path: name.into(), full, bytes: bytes.len() as u64, sha512: true, lanes }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_pass_finds_what_a_reader_of_each_part_finds(
            len in 0_usize..600_000,
            mut cuts in proptest::collection::vec(0_u64..600_000, 0..12),
        ) {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
            cuts.retain(|cut| *cut <= len as u64);
            cuts.sort_unstable();
            let ranges: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let each: Vec<_> = ranges.iter().map(|range| vec![range.clone()]).collect();
            let lanes = vec![Lane::new(each).unwrap(), Lane::new(vec![ranges.clone()]).unwrap()];
            let folder = tempfile::tempdir().unwrap();
            let jobs = [job(folder.path(), "a", &bytes, lanes), job(folder.path(), "b", b"b", vec![])];
            let found: Vec<_> = run(&jobs, 2).into_iter().map(Result::unwrap).collect();
            let part = |range: &Range<u64>| &bytes[index(range.start)..index(range.end)];
            prop_assert_eq!(found[0].bytes, len as u64);
            prop_assert_eq!(found[0].sha256, Digest::of(&bytes));
            prop_assert_eq!(found[0].sha512.unwrap().to_vec(), Sha512::digest(&bytes).to_vec());
            let each: Vec<_> = ranges.iter().map(|range| Digest::of(part(range))).collect();
            prop_assert_eq!(&found[0].lanes[0], &each);
            let all = ranges.iter().flat_map(|range| part(range).to_vec()).collect::<Vec<u8>>();
            prop_assert_eq!(&found[0].lanes[1], &vec![Digest::of(&all)]);
            prop_assert_eq!(found[1].sha256, Digest::of(b"b"));
        }
    }

    #[test]
    fn stretches_must_ascend_and_files_must_be_there() {
        assert!(Lane::new(vec![vec![0..5], vec![4..6]]).is_none());
        assert!(Lane::new(vec![vec![5..9, 0..5]]).is_none());
        assert!(Lane::new(vec![vec![], vec![0..5, 5..6], vec![9..9]]).is_some());
        let gone = Job {
            path: "gone".into(),
            full: PathBuf::from("/nonexistent/gone"),
            bytes: 1,
            sha512: false,
            lanes: Vec::new(),
        };
        assert!(run(&[gone], 8)[0].is_err());
        assert!(run(&[], 8).is_empty());
    }
}
