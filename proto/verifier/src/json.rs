//! The report as `--output json` writes it. Field names are stable; new ones may be added.

use std::collections::{BTreeMap, BTreeSet};

use custody::manifest::Mask;
use custody::record::{GapReason, KeyUsage};
use custody::{ClockSource, Code, WallTime};
use serde::Serialize;

use crate::report::{Bounds, CameraReport, KeyReport, LogReport, Report, SiteReport, Stamp};

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct JsonReport {
    verified: bool,
    verdict: &'static str,
    codes: Vec<&'static str>,
    authority_sha256: Option<String>,
    case: Option<String>,
    exhibit: Option<String>,
    clip: Option<JsonClip>,
    made: Option<WallTime>,
    from: Option<WallTime>,
    to: Option<WallTime>,
    policy: &'static str,
    statements: &'static str,
    coverage_per_cent: f64,
    files: u64,
    bytes: u64,
    sites: Vec<JsonSite>,
    cameras: Vec<JsonCamera>,
    custody: Option<JsonLog>,
    refusals: Vec<JsonRefusal>,
    refusals_left_out: u64,
}

#[derive(Debug, Clone, Serialize)]
struct JsonClip {
    camera: String,
    seq: u64,
    first_fragment: u32,
    fragments: u32,
    of_fragments: u32,
}

#[derive(Debug, Clone, Serialize)]
struct JsonSite {
    site: String,
    keys: Vec<JsonKey>,
    time_stamps: Vec<JsonStamp>,
}

#[derive(Debug, Clone, Serialize)]
struct JsonKey {
    key_id: String,
    usage: &'static str,
    not_before: WallTime,
    not_after: Option<WallTime>,
    log: Option<String>,
    log_index: Option<u64>,
    revoked_at: Option<WallTime>,
    believed_below: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct JsonStamp {
    log: String,
    size: u64,
    at: WallTime,
    signature: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct JsonLog {
    logs: Vec<String>,
    records_proved: u64,
    records_unproved: u64,
    records_witnessed: u64,
    quorum_met: bool,
    latest_us: Option<i64>,
    witnesses: BTreeMap<String, u64>,
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
    made_not_before: Option<WallTime>,
    made_not_after: Option<WallTime>,
    gaps: Vec<JsonGap>,
    unexplained: Vec<JsonSpan>,
    clock_sources: Vec<ClockSource>,
    clock_uncertainty_us_min: Option<i64>,
    clock_uncertainty_us_max: Option<i64>,
    log: JsonLog,
    bounds: Vec<JsonBounds>,
    masks: Vec<Mask>,
    streams: BTreeSet<String>,
    byte_exact: bool,
    analytics: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct JsonBounds {
    seq: u64,
    start: WallTime,
    end: WallTime,
    not_before: Option<WallTime>,
    not_after: Option<WallTime>,
    witnesses: usize,
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
        let origin = |own| if own { "yours" } else { "of the bundle" };
        JsonReport {
            verified: self.verified(),
            verdict: self.verdict(),
            codes: self.codes().iter().map(|code: &Code| code.as_str()).collect(),
            authority_sha256: self.authority.map(|digest| digest.to_string()),
            case: self.case.as_ref().map(ToString::to_string),
            exhibit: self.exhibit.clone(),
            clip: self.clip.as_ref().map(|clip| JsonClip {
                camera: clip.camera.to_string(),
                seq: clip.seq.0,
                first_fragment: clip.first,
                fragments: clip.fragments,
                of_fragments: clip.of,
            }),
            made: self.made,
            from: self.asked.map(|span| span.from),
            to: self.asked.map(|span| span.to),
            policy: origin(self.own_policy),
            statements: origin(self.own_statements),
            coverage_per_cent: self.coverage_per_cent(),
            files: self.files,
            bytes: self.bytes,
            sites: self.sites.iter().map(JsonSite::of).collect(),
            cameras: self.cameras.iter().map(JsonCamera::of).collect(),
            custody: self.custody.as_ref().map(JsonLog::of),
            refusals: self
                .refusals
                .iter()
                .map(|r| JsonRefusal { code: r.code().as_str(), what: r.what().to_owned() })
                .collect(),
            refusals_left_out: self.refusals_left_out,
        }
    }
}

impl JsonSite {
    fn of(site: &SiteReport) -> Self {
        let stamp = |stamp: &Stamp| JsonStamp {
            log: stamp.origin.clone(),
            size: stamp.size,
            at: stamp.at,
            signature: "not checked here: use `openssl ts -verify`",
        };
        Self {
            site: site.site.to_string(),
            keys: site.keys.iter().map(JsonKey::of).collect(),
            time_stamps: site.stamps.iter().map(stamp).collect(),
        }
    }
}

/// A key's use as it is printed.
pub(crate) fn usage_text(usage: Option<KeyUsage>) -> &'static str {
    match usage {
        None => "identity",
        Some(KeyUsage::Records) => "records",
        Some(KeyUsage::Log) => "log",
        Some(KeyUsage::Witness) => "witness",
    }
}

impl JsonKey {
    fn of(key: &KeyReport) -> Self {
        Self {
            key_id: key.key_id.to_string(),
            usage: usage_text(key.usage),
            not_before: key.not_before,
            not_after: key.not_after,
            log: key.logged.as_ref().map(|(log, _)| log.clone()),
            log_index: key.logged.as_ref().map(|(_, index)| *index),
            revoked_at: key.revoked.map(|(at, _)| at),
            believed_below: key.revoked.map(|(_, size)| size),
        }
    }
}

impl JsonLog {
    fn of(log: &LogReport) -> Self {
        Self {
            logs: log.logs.clone(),
            records_proved: log.proved,
            records_unproved: log.unproved,
            records_witnessed: log.witnessed,
            quorum_met: log.quorum_met(),
            latest_us: log.latest_us,
            witnesses: log.witnesses.clone(),
        }
    }
}

impl JsonCamera {
    fn of(camera: &CameraReport) -> Self {
        let (made_not_before, made_not_after) = camera.made_within();
        let bounds = |one: &Bounds| JsonBounds {
            seq: one.seq.0,
            start: one.start,
            end: one.end,
            not_before: one.not_before,
            not_after: one.not_after,
            witnesses: one.witnesses,
        };
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
            made_not_before,
            made_not_after,
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
            log: JsonLog::of(&camera.log),
            bounds: camera.bounds.iter().map(bounds).collect(),
            masks: camera.masks.clone(),
            streams: camera.streams.clone(),
            byte_exact: camera.byte_exact,
            analytics: "none",
        }
    }
}
