//! What a bundle proves, and every refusal. Plain values; [`crate::print`] writes them.

use std::collections::BTreeSet;

use custody::coverage::{Coverage, Span};
use custody::manifest::Mask;
use custody::record::GapReason;
use custody::{CameraId, CaseId, ClockSource, Code, Refusal, WallTime};
use serde::Serialize;

/// Refusals kept. A bundle of garbage could name a million missing files; the rest is counted.
pub const REFUSALS_MAX: usize = 1_000;

/// The verdict and its grounds.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The case, as the authority's statement names it.
    pub case: Option<CaseId>,
    /// When the bundle was made, says the authority.
    pub made: Option<WallTime>,
    /// The interval asked for, says the authority.
    pub asked: Option<Span>,
    /// What each camera's part proves, in the cameras' order.
    pub cameras: Vec<CameraReport>,
    /// Everything that is wrong, at most [`REFUSALS_MAX`].
    pub refusals: Vec<Refusal>,
    /// How many more refusals there were.
    pub refusals_left_out: u64,
    /// Files whose digests were compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What one camera's part proves.
#[derive(Debug, Clone)]
pub struct CameraReport {
    /// Whose footage.
    pub camera: CameraId,
    /// Footage, explained gaps and unexplained holes in the asked interval. When nobody signed an
    /// interval, of the records' own.
    pub coverage: Coverage,
    /// Segments whose fragments lead to their signed root.
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
    /// The masks, each once.
    pub masks: Vec<Mask>,
    /// Coded streams, each once: `avc1.64001f 960x720`.
    pub streams: BTreeSet<String>,
    /// Whether every frame is the camera's own, byte for byte.
    pub byte_exact: bool,
}

impl Report {
    /// Whether nothing was refused.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.refusals.is_empty()
    }

    /// The codes of the refusals, each once.
    #[must_use]
    pub fn codes(&self) -> BTreeSet<Code> {
        self.refusals.iter().map(Refusal::code).collect()
    }

    /// `verified`, or the first refusal's code: the verdict in one word.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        self.refusals.first().map_or("verified", |refusal| refusal.code().as_str())
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

/// The report as `--output json` writes it. Field names are stable; new ones may be added.
#[derive(Debug, Clone, Serialize)]
pub struct JsonReport {
    verified: bool,
    verdict: &'static str,
    case: Option<String>,
    made: Option<WallTime>,
    from: Option<WallTime>,
    to: Option<WallTime>,
    coverage_per_cent: f64,
    files: u64,
    bytes: u64,
    cameras: Vec<JsonCamera>,
    refusals: Vec<JsonRefusal>,
    refusals_left_out: u64,
}

#[derive(Debug, Clone, Serialize)]
struct JsonCamera {
    camera: String,
    coverage_per_cent: f64,
    footage_us: i64,
    segments: u64,
    records: u64,
    fragments: u64,
    frames: u64,
    recorded_from: Option<WallTime>,
    recorded_to: Option<WallTime>,
    gaps: Vec<JsonGap>,
    unexplained: Vec<JsonSpan>,
    clock_sources: Vec<ClockSource>,
    clock_uncertainty_us_min: Option<i64>,
    clock_uncertainty_us_max: Option<i64>,
    masks: Vec<Mask>,
    streams: BTreeSet<String>,
    byte_exact: bool,
    analytics: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct JsonGap {
    from: WallTime,
    to: WallTime,
    reason: GapReason,
}

#[derive(Debug, Clone, Serialize)]
struct JsonSpan {
    from: WallTime,
    to: WallTime,
}

#[derive(Debug, Clone, Serialize)]
struct JsonRefusal {
    code: &'static str,
    what: String,
}

impl Report {
    /// The form for programs.
    #[must_use]
    pub fn to_json(&self) -> JsonReport {
        JsonReport {
            verified: self.verified(),
            verdict: self.verdict(),
            case: self.case.as_ref().map(ToString::to_string),
            made: self.made,
            from: self.asked.map(|span| span.from),
            to: self.asked.map(|span| span.to),
            coverage_per_cent: self.coverage_per_cent(),
            files: self.files,
            bytes: self.bytes,
            cameras: self.cameras.iter().map(JsonCamera::of).collect(),
            refusals: self
                .refusals
                .iter()
                .map(|r| JsonRefusal { code: r.code().as_str(), what: r.what().to_owned() })
                .collect(),
            refusals_left_out: self.refusals_left_out,
        }
    }
}

impl JsonCamera {
    fn of(camera: &CameraReport) -> Self {
        Self {
            camera: camera.camera.to_string(),
            coverage_per_cent: camera.coverage.per_cent(),
            footage_us: camera.coverage.footage_us,
            segments: camera.segments,
            records: camera.records,
            fragments: camera.fragments,
            frames: camera.frames,
            recorded_from: camera.recorded.map(|span| span.from),
            recorded_to: camera.recorded.map(|span| span.to),
            gaps: camera
                .gaps
                .iter()
                .map(|(span, reason)| JsonGap { from: span.from, to: span.to, reason: *reason })
                .collect(),
            unexplained: camera
                .coverage
                .unexplained
                .iter()
                .map(|span| JsonSpan { from: span.from, to: span.to })
                .collect(),
            clock_sources: camera.clock_sources.clone(),
            clock_uncertainty_us_min: camera.clock_uncertainty_us.map(|(min, _)| min),
            clock_uncertainty_us_max: camera.clock_uncertainty_us.map(|(_, max)| max),
            masks: camera.masks.clone(),
            streams: camera.streams.clone(),
            byte_exact: camera.byte_exact,
            analytics: "none",
        }
    }
}
