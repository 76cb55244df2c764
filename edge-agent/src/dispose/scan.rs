//! Reads a disc and says what lies on it. Knows a segment file by its first bytes, follows its blocks as
//! long as they lie one behind the other, and looks everywhere for keys and for footage in the clear.
//!
//! | a block of 4 KiB is | if |
//! |---|---|
//! | sealed | it lies within the sealed blocks of a segment file, and its bytes are spread as random ones are |
//! | empty | all its bytes are one |
//! | noise | its bytes are spread as random ones are: a part of a sealed file that lies elsewhere |
//! | other | none of these: names, heads, signed records, the file system's own |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use custody::sealed::{BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES, Header, MAGIC};
use custody::sealing::Key;

/// What is judged at once.
const BLOCK: usize = 4096;
/// What is read at once.
const CHUNK: usize = 1 << 20;
/// The longest pattern, less a byte: so much of a chunk is looked at again with the next.
const OVERLAP: usize = 63;
/// Whatever a disc refuses is skipped in steps of this.
const SKIP: u64 = 64 << 10;
/// After so many refusals the rest is given up: 64 MiB of bad places in a row are a dead disc.
const REFUSALS_MAX: u64 = 1024;
/// A header is names, numbers and a wrapped key.
const HEADER_BYTES_MAX: usize = 4096;
/// Places of one kind that are named; the rest are counted.
const PLACES_MAX: u64 = 3;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Bytes that could be read.
    pub bytes_read: u64,
    /// Segment files: heads that read.
    pub sealed_files: u64,
    /// Bytes within sealed blocks.
    pub sealed_bytes: u64,
    /// Bytes that look random and belong to no file that was followed.
    pub noise_bytes: u64,
    /// Bytes of blocks that are neither sealed, nor empty, nor noise.
    pub plain_bytes: u64,
    /// The volume identity that lies on it.
    pub volume: Option<String>,
    /// Why not all could be read.
    pub unreadable: Option<String>,
    /// What must not be there: how often, and where first.
    found: BTreeMap<&'static str, (u64, Vec<String>)>,
    /// How often each byte stands in sealed blocks.
    counts: [u64; 256],
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            bytes_read: 0,
            sealed_files: 0,
            sealed_bytes: 0,
            noise_bytes: 0,
            plain_bytes: 0,
            volume: None,
            unreadable: None,
            found: BTreeMap::new(),
            counts: [0; 256],
        }
    }
}

impl Seen {
    /// What lies there that must not, in words.
    #[must_use]
    pub fn not_sealed(&self) -> Option<String> {
        let of = |(what, (count, places)): (&&str, &(u64, Vec<String>))| {
            format!("{what}, {count} times, first at {}", places.join(" and "))
        };
        let all: Vec<_> = self.found.iter().map(of).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The chi-square of the sealed bytes against even ones; none for too few.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure on a page, and counts below 2^52")]
    pub fn chi_square(&self) -> Option<f64> {
        let all: u64 = self.counts.iter().sum();
        if all < 256 * 5 {
            return None;
        }
        let even = all as f64 / 256.0;
        Some(self.counts.iter().map(|count| (*count as f64 - even).powi(2) / even).sum())
    }

    /// Whether that is as noise has it: 255 degrees of freedom, six standard deviations.
    #[must_use]
    pub fn looks_random(&self) -> bool {
        self.chi_square().is_none_or(|chi| chi < 255.0 + 6.0 * 22.6)
    }

    fn note(&mut self, what: &'static str, path: &Path, at: u64) {
        let (count, places) = self.found.entry(what).or_default();
        *count += 1;
        if *count <= PLACES_MAX {
            places.push(format!("byte {at} of {}", path.display()));
        }
    }

    fn refuse(&mut self, path: &Path, at: u64, error: &io::Error) {
        self.unreadable
            .get_or_insert_with(|| format!("from byte {at} of {} on: {error}", path.display()));
    }
}

/// Scans a device, an image, a file, or every file of a folder, for footage and for `keys`.
///
/// # Errors
/// When it cannot be opened at all. What cannot be read of it is in `seen`.
pub fn scan(path: &Path, keys: &[Key], seen: &mut Seen) -> io::Result<()> {
    let patterns = Patterns::new(keys);
    if !fs::metadata(path)?.is_dir() {
        scan_file(&File::open(path)?, path, &patterns, seen);
        return Ok(());
    }
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = pending.pop() {
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) => {
                seen.refuse(&folder, 0, &error);
                continue;
            }
        };
        for entry in listing.flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            match kind {
                Ok(kind) if kind.is_dir() => pending.push(path),
                Ok(kind) if kind.is_file() => match File::open(&path) {
                    Ok(file) => scan_file(&file, &path, &patterns, seen),
                    Err(error) => seen.refuse(&path, 0, &error),
                },
                // A link leads elsewhere, and a socket holds nothing.
                _ => {}
            }
        }
    }
    Ok(())
}

fn scan_file(file: &File, path: &Path, patterns: &Patterns, seen: &mut Seen) {
    let mut buffer = vec![0; OVERLAP + CHUNK];
    let (mut at, mut refusals, mut carried) = (0_u64, 0, 0_usize);
    let mut sealed = Sealed::default();
    loop {
        let read = match read_chunk(file, &mut buffer[OVERLAP..], at) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) => {
                seen.refuse(path, at, &error);
                refusals += 1;
                if refusals >= REFUSALS_MAX {
                    return;
                }
                at += SKIP;
                carried = 0;
                continue;
            }
        };
        seen.bytes_read += read as u64;
        for (index, block) in buffer[OVERLAP..OVERLAP + read].chunks(BLOCK).enumerate() {
            let block_at = at + (index * BLOCK) as u64;
            if !sealed.covers(block_at) && block.starts_with(MAGIC) {
                sealed.follow(file, block_at, seen);
            }
            judge(block, block_at, &sealed, seen);
        }
        let look = &buffer[OVERLAP - carried..OVERLAP + read];
        let place = Place { path, at: at - carried as u64, carried };
        patterns.look(look, &place, seen);
        carried = OVERLAP.min(read);
        buffer.copy_within(OVERLAP + read - carried..OVERLAP + read, OVERLAP - carried);
        at += read as u64;
    }
}

/// Reads until the chunk is full or the file ends. A refusal within it is told at its beginning, and what
/// lies before it is read again in smaller steps.
fn read_chunk(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let want = (filled + usize::try_from(SKIP).unwrap_or(CHUNK)).min(buffer.len());
        match file.read_at(&mut buffer[filled..want], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(filled)
}

fn judge(block: &[u8], at: u64, sealed: &Sealed, seen: &mut Seen) {
    let mut covered = sealed.covered(at, block.len());
    if covered == [(0, BLOCK)] && !is_noise(block) {
        // Its file lay in two places: what lies here is another's.
        covered.clear();
    }
    let inside: u64 = covered.iter().map(|(from, to)| (to - from) as u64).sum();
    seen.sealed_bytes += inside;
    for (from, to) in covered {
        for byte in &block[from..to] {
            seen.counts[usize::from(*byte)] += 1;
        }
    }
    let rest = block.len() as u64 - inside;
    if rest == 0 || block.iter().all(|byte| *byte == block[0]) {
        return;
    }
    if inside == 0 && is_noise(block) {
        seen.noise_bytes += rest;
    } else {
        seen.plain_bytes += rest;
    }
}

/// Whether a block's bytes are spread as random ones are: 4 096 of them hold nearly every value, and none
/// often.
fn is_noise(block: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    for byte in block {
        counts[usize::from(*byte)] += 1;
    }
    block.len() == BLOCK
        && counts.iter().filter(|count| **count > 0).count() > 250
        && counts.iter().all(|count| *count < 48)
}

/// Where sealed blocks lie: stretches that do not overlap, in order.
#[derive(Default)]
struct Sealed(Vec<(u64, u64)>);

impl Sealed {
    /// Follows a segment file's blocks from its first byte as far as they read.
    fn follow(&mut self, file: &File, start: u64, seen: &mut Seen) {
        // What lies behind is not asked for again: memory stays small on a disc of ten terabytes.
        self.0.retain(|(_, to)| *to + (CHUNK as u64) > start);
        let mut at = start + MAGIC.len() as u64;
        let mut first = true;
        loop {
            let mut head = [0; BLOCK_HEAD_BYTES];
            if file.read_exact_at(&mut head, at).is_err() {
                return;
            }
            let [kind, a, b, c, d] = head;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length > BLOCK_BYTES_MAX || first != (kind == b'H') || !b"HIFM".contains(&kind) {
                return;
            }
            let payload = at + BLOCK_HEAD_BYTES as u64;
            if first {
                let mut header = vec![0; length.min(HEADER_BYTES_MAX)];
                let read = file.read_exact_at(&mut header, payload);
                if read.is_err() || serde_json::from_slice::<Header>(&header).is_err() {
                    return;
                }
                seen.sealed_files += 1;
                first = false;
            }
            // Of a fragment's block its first 60 bytes are times and a commitment.
            let plain = match kind {
                b'I' => 0,
                b'F' => FRAGMENT_HEAD,
                _ => length,
            };
            if plain < length {
                self.0.push((payload + plain as u64, payload + length as u64));
            }
            at = payload + length as u64;
            if kind == b'M' {
                return;
            }
        }
    }

    fn covers(&self, at: u64) -> bool {
        self.0.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// The parts of a block that are sealed, within it.
    fn covered(&self, at: u64, length: usize) -> Vec<(usize, usize)> {
        let end = at + length as u64;
        let within = |place: u64| usize::try_from(place.clamp(at, end) - at).unwrap_or(length);
        let parts = self.0.iter().map(|(from, to)| (within(*from), within(*to)));
        parts.filter(|(from, to)| from < to).collect()
    }
}

/// A fragment's description and commitment, before its sealed bytes.
const FRAGMENT_HEAD: usize = 28 + 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Key,
    Ring,
    Media,
    Volume,
}

/// Byte patterns that are looked for at every place, by their first two bytes.
struct Patterns {
    all: Vec<(Vec<u8>, What)>,
    by_start: BTreeMap<[u8; 2], Vec<usize>>,
    starts: Vec<bool>,
}

impl Patterns {
    fn new(keys: &[Key]) -> Self {
        let mut all: Vec<(Vec<u8>, What)> =
            keys.iter().map(|key| (key.danger_bytes().to_vec(), What::Key)).collect();
        all.push((b"-----BEGIN PRIVATE KEY-----".to_vec(), What::Key));
        all.push((b"WHRING1\n".to_vec(), What::Ring));
        all.push((b"WHHOUR1\n".to_vec(), What::Ring));
        all.push((b"{\"volume\":\"".to_vec(), What::Volume));
        // A movie's first box; a parameter set of H.264 (baseline, main, high) and of H.265.
        for brand in [b"ftypisom", b"ftypiso5", b"ftypiso6", b"ftypmp42", b"ftypavc1"] {
            all.push((brand.to_vec(), What::Media));
        }
        for profile in [0x42, 0x4d, 0x64] {
            all.push((vec![0, 0, 0, 1, 0x67, profile, 0], What::Media));
        }
        all.push((vec![0, 0, 0, 1, 0x40, 0x01, 0x0c, 0x01], What::Media));
        let mut by_start: BTreeMap<[u8; 2], Vec<usize>> = BTreeMap::new();
        let mut starts = vec![false; 1 << 16];
        for (index, (pattern, _)) in all.iter().enumerate() {
            let start = [pattern[0], pattern[1]];
            by_start.entry(start).or_default().push(index);
            starts[usize::from(u16::from_be_bytes(start))] = true;
        }
        Self { all, by_start, starts }
    }

    fn look(&self, bytes: &[u8], place: &Place<'_>, seen: &mut Seen) {
        for (index, pair) in bytes.windows(2).enumerate() {
            let start = [pair[0], pair[1]];
            if !self.starts[usize::from(u16::from_be_bytes(start))] {
                continue;
            }
            for (pattern, what) in self.by_start[&start].iter().map(|one| &self.all[*one]) {
                if let Some(after) = bytes[index..].strip_prefix(pattern.as_slice()) {
                    // What ends within the carried bytes was told with the look before.
                    let is_new = index + pattern.len() > place.carried;
                    let at = place.at + index as u64;
                    match what {
                        What::Volume => take_volume(after, seen),
                        _ if !is_new => {}
                        What::Key => seen.note("a key in the clear", place.path, at),
                        What::Ring => seen.note("a key ring", place.path, at),
                        // Seven bytes stand in noise by chance once in 2^56 places: no exception is made
                        // for sealed blocks, whose file may have lain in two places.
                        What::Media => seen.note("footage that is not sealed", place.path, at),
                    }
                }
            }
        }
    }
}

/// Where the bytes lie that are looked at.
struct Place<'a> {
    path: &'a Path,
    at: u64,
    /// So many of them were looked at before.
    carried: usize,
}

fn take_volume(after: &[u8], seen: &mut Seen) {
    let id = after.get(..32).and_then(|id| std::str::from_utf8(id).ok());
    if let Some(id) = id.filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit())) {
        seen.volume.get_or_insert_with(|| id.to_owned());
    }
}
