//! What a bundle proves, and every refusal. Plain values; [`crate::print`] writes them for a person,
//! [`crate::json`] for a program.

use std::collections::{BTreeMap, BTreeSet};

use custody::coverage::{self, Coverage, Span};
use custody::manifest::{Mask, Segment};
use custody::record::{GapReason, KeyUsage};
use custody::{
    CameraId, CaseId, Clock, ClockSource, Code, Digest, KeyId, Refusal, Seq, SiteId, WallTime,
};

use crate::logbook::{Logged, Logs};
use crate::site::Site;

/// Refusals kept. A bundle of garbage could name a million missing files; the rest is counted.
pub const REFUSALS_MAX: usize = 1_000;

/// The verdict and its grounds.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The SHA-256 of the key that it was judged by: to be compared with the published one.
    pub authority: Option<Digest>,
    /// The case, as the authority's statement names it.
    pub case: Option<CaseId>,
    /// The exhibit reference, as the authority's statement names it.
    pub exhibit: Option<String>,
    /// What a clip is an excerpt of; none for a bundle.
    pub clip: Option<ClipReport>,
    /// When the bundle was made, says the authority.
    pub made: Option<WallTime>,
    /// The interval asked for, says the authority.
    pub asked: Option<Span>,
    /// Whether the policy was the caller's own.
    pub own_policy: bool,
    /// Whether the caller brought further statements of the authority.
    pub own_statements: bool,
    /// What each site's keys and logs are.
    pub sites: Vec<SiteReport>,
    /// What the controller's log proves of the custody record.
    pub custody: Option<LogReport>,
    /// What each camera's part proves, in the cameras' order.
    pub cameras: Vec<CameraReport>,
    /// What is wrong, at most [`REFUSALS_MAX`].
    pub refusals: Vec<Refusal>,
    /// How many more refusals there were.
    pub refusals_left_out: u64,
    /// Files whose digests were compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    codes: BTreeSet<Code>,
}

/// Which part of a segment a clip is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipReport {
    /// Whose footage.
    pub camera: CameraId,
    /// Which segment.
    pub seq: Seq,
    /// The first fragment in it.
    pub first: u32,
    /// How many.
    pub fragments: u32,
    /// How many the segment has.
    pub of: u32,
}

/// A site's keys and time stamps.
#[derive(Debug, Clone)]
pub struct SiteReport {
    /// Which site.
    pub site: SiteId,
    /// Its keys.
    pub keys: Vec<KeyReport>,
    /// Checkpoints of its log that a time stamping authority has stamped.
    pub stamps: Vec<Stamp>,
}

/// The state of one key.
#[derive(Debug, Clone)]
pub struct KeyReport {
    /// Which.
    pub key_id: KeyId,
    /// What it signs; none for an identity.
    pub usage: Option<KeyUsage>,
    /// From.
    pub not_before: WallTime,
    /// To; none for an identity.
    pub not_after: Option<WallTime>,
    /// Where its certificate stands in the log.
    pub logged: Option<(String, u64)>,
    /// When it was revoked, and how many entries of its log still count.
    pub revoked: Option<(WallTime, u64)>,
}

/// A token over a checkpoint. Its signature is for `openssl ts -verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Which log.
    pub origin: String,
    /// Entries of the log that existed then.
    pub size: u64,
    /// The token's time.
    pub at: WallTime,
}

/// What a log proves of a list of records.
#[derive(Debug, Clone, Default)]
pub struct LogReport {
    /// The logs.
    pub logs: Vec<String>,
    /// Records that stand where their proofs say.
    pub proved: u64,
    /// Records that do not.
    pub unproved: u64,
    /// Of those proved, how many enough witnesses have cosigned.
    pub witnessed: u64,
    /// Each witness of the policy, and how many of the records it has cosigned.
    pub witnesses: BTreeMap<String, u64>,
    /// How late after a record's end enough witnesses had cosigned it, at worst, microseconds.
    pub latest_us: Option<i64>,
}

impl LogReport {
    /// Nothing found yet.
    #[must_use]
    pub fn new(logs: &Logs) -> Self {
        let names = logs.policy().witnesses.iter().map(|one| (one.vkey.name().to_owned(), 0));
        Self {
            logs: logs.believed().iter().map(|log| log.vkey.name().to_owned()).collect(),
            witnesses: names.collect(),
            ..Self::default()
        }
    }

    /// Whether enough witnesses have cosigned every record.
    #[must_use]
    pub fn quorum_met(&self) -> bool {
        self.unproved == 0 && self.witnessed == self.proved
    }

    /// Takes what was found of a record that ended at `end`.
    pub fn add(&mut self, logged: Option<&Logged>, end: Option<WallTime>) {
        let Some(logged) = logged else {
            self.unproved += 1;
            return;
        };
        self.proved += 1;
        for one in &logged.by {
            *self.witnesses.entry(one.witness.clone()).or_default() += 1;
        }
        let Some(at) = logged.quorum_at else { return };
        self.witnessed += 1;
        if let Some(end) = end {
            let late = at.micros_since(end).max(0);
            self.latest_us = Some(self.latest_us.unwrap_or(0).max(late));
        }
    }
}

/// Between which times a record was made, by others' clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Which record.
    pub seq: Seq,
    /// From when it tells.
    pub start: WallTime,
    /// To when it tells.
    pub end: WallTime,
    /// The newest cosignature in the foreign checkpoint that it names.
    pub not_before: Option<WallTime>,
    /// When enough witnesses had cosigned it.
    pub not_after: Option<WallTime>,
    /// How many witnesses have cosigned it.
    pub witnesses: usize,
}

/// What one camera's part proves.
#[derive(Debug, Clone)]
pub struct CameraReport {
    /// Whose footage.
    pub camera: CameraId,
    /// Footage, explained gaps and unexplained holes in the asked interval. When nobody signed an
    /// interval, of the records' own.
    pub coverage: Coverage,
    /// Segments of which nothing was refused.
    pub segments: u64,
    /// Segments and gaps in the chain.
    pub records: u64,
    /// Fragments in those segments.
    pub fragments: u64,
    /// Frames in those segments.
    pub frames: u64,
    /// From the first record's start to the last record's end.
    pub recorded: Option<Span>,
    /// Every signed gap, whole: some reach beyond the asked interval.
    pub gaps: Vec<(Span, GapReason)>,
    /// Who kept the recorder's clock, in all records.
    pub clock_sources: Vec<ClockSource>,
    /// The smallest and the largest bound on the clock's error, microseconds.
    pub clock_uncertainty_us: Option<(i64, i64)>,
    /// The bounds of each record, in chain order.
    pub bounds: Vec<Bounds>,
    /// What the site's log proves of the records.
    pub log: LogReport,
    /// The masks, each once.
    pub masks: Vec<Mask>,
    /// Coded streams, each once: `avc1.64001f 960x720`.
    pub streams: BTreeSet<String>,
    /// Whether every frame is the camera's own, byte for byte.
    pub byte_exact: bool,
}

impl CameraReport {
    /// Nothing proved yet.
    #[must_use]
    pub fn new(camera: &CameraId, logs: &Logs) -> Self {
        let nothing = Span { from: WallTime(0), to: WallTime(0) };
        Self {
            camera: camera.clone(),
            coverage: coverage::measure(nothing, &[], &[]),
            segments: 0,
            records: 0,
            fragments: 0,
            frames: 0,
            recorded: None,
            gaps: Vec::new(),
            clock_sources: Vec::new(),
            clock_uncertainty_us: None,
            bounds: Vec::new(),
            log: LogReport::new(logs),
            masks: Vec::new(),
            streams: BTreeSet::new(),
            byte_exact: true,
        }
    }

    /// Takes a link of the chain.
    pub fn take(&mut self, span: Span, clock: &Clock) {
        self.records += 1;
        let recorded = self.recorded.get_or_insert(span);
        recorded.from = recorded.from.min(span.from);
        recorded.to = recorded.to.max(span.to);
        if !self.clock_sources.contains(&clock.source) {
            self.clock_sources.push(clock.source);
        }
        let now = clock.uncertainty_us;
        let (min, max) = self.clock_uncertainty_us.unwrap_or((now, now));
        self.clock_uncertainty_us = Some((min.min(now), max.max(now)));
    }

    /// Takes a segment that is proved.
    pub fn take_segment(&mut self, segment: &Segment) {
        self.segments += 1;
        self.fragments += u64::from(segment.fragments.count);
        self.frames += u64::from(segment.fragments.samples);
        if !self.masks.contains(&segment.mask) {
            self.masks.push(segment.mask.clone());
        }
        let stream = &segment.stream;
        self.streams.insert(format!("{} {}x{}", stream.codec, stream.width, stream.height));
        self.byte_exact &= stream.byte_exact;
    }

    /// Between which times all of it was made, by others' clocks: from the earliest not-before to
    /// the latest not-after; none where a record has none.
    #[must_use]
    pub fn made_within(&self) -> (Option<WallTime>, Option<WallTime>) {
        let every = self.bounds.iter().map(|one| one.not_after).collect::<Option<Vec<_>>>();
        let earliest = self.bounds.iter().filter_map(|one| one.not_before).min();
        (earliest, every.and_then(|every| every.into_iter().max()))
    }
}

impl SiteReport {
    /// What is known of a site's keys.
    #[must_use]
    pub fn new(id: &SiteId, site: &Site, stamps: Vec<Stamp>) -> Self {
        let revoked = |key_id: &KeyId| {
            let one = site.revoked.iter().find(|one| one.key_id == *key_id)?;
            Some((one.at, one.log_size))
        };
        let identities = site.identities.iter().map(|(key_id, identity)| KeyReport {
            key_id: key_id.clone(),
            usage: None,
            not_before: identity.not_before,
            not_after: None,
            logged: None,
            revoked: revoked(key_id),
        });
        let certified = site.certificates.iter().map(|(key_id, certificate)| KeyReport {
            key_id: key_id.clone(),
            usage: Some(certificate.cert.usage),
            not_before: certificate.cert.not_before,
            not_after: Some(certificate.cert.not_after),
            logged: certificate.logged.as_ref().map(|one| (one.origin.clone(), one.index)),
            revoked: revoked(key_id),
        });
        Self { site: id.clone(), keys: identities.chain(certified).collect(), stamps }
    }
}

impl Report {
    /// Whether nothing was refused.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.codes.is_empty()
    }

    /// The codes of the refusals, each once, in the order of the closed list.
    #[must_use]
    pub fn codes(&self) -> &BTreeSet<Code> {
        &self.codes
    }

    /// `verified`, or the first refusal's code in the order of the closed list.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        self.codes.first().map_or("verified", |code| code.as_str())
    }

    /// How many refusals there were.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refusals.len() as u64 + self.refusals_left_out
    }

    /// Footage in per cent of what was asked, over all cameras; 0 without cameras.
    #[must_use]
    pub fn coverage_per_cent(&self) -> f64 {
        let footage: i64 = self.cameras.iter().map(|c| c.coverage.footage_us).sum();
        let asked: i64 = self.cameras.iter().map(|c| c.coverage.asked.micros()).sum();
        let basis_points = footage.saturating_mul(10_000) / asked.max(1);
        f64::from(i32::try_from(basis_points).unwrap_or(10_000)) / 100.0
    }

    /// Adds what is wrong. Control characters, which a forged file name could bring to a terminal,
    /// are replaced.
    #[expect(clippy::needless_pass_by_value, reason = "a refusal ends here")]
    pub fn refuse(&mut self, refusal: Refusal) {
        self.codes.insert(refusal.code());
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push(Refusal::new(refusal.code(), printable(refusal.what())));
        } else {
            self.refusals_left_out += 1;
        }
    }
}

/// Text that moves no cursor and begins no line.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
