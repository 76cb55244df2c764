//! What a camera's signed records say, gathered for the reports and texts. Pure.

use std::collections::BTreeSet;

use custody::coverage::{self, Coverage, Span};
use custody::manifest::{Mask, Segment};
use custody::record::{Gap, GapReason, Record, Statement};
use custody::{CameraId, Clock, ClockSource, WallTime};

use super::CameraPart;

/// Where there is footage, and where a signed record says why not.
#[derive(Debug, Clone, Default)]
pub(super) struct Footage {
    pub(super) segments: Vec<Span>,
    pub(super) gaps: Vec<(Span, GapReason)>,
}

/// One camera's part.
pub(super) struct Facts<'a> {
    pub(super) camera: &'a CameraId,
    pub(super) segments: Vec<&'a Segment>,
    pub(super) gaps: Vec<&'a Gap>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(part: &'a CameraPart) -> Self {
        let (mut segments, mut gaps) = (Vec::new(), Vec::new());
        for (_, record) in &part.records {
            match record {
                Record::Segment(segment) => segments.push(segment),
                Record::Other(Statement::Gap(gap)) => gaps.push(gap),
                Record::Other(_) => {}
            }
        }
        Self { camera: &part.camera, segments, gaps }
    }

    pub(super) fn footage(&self) -> Footage {
        let segments = self.segments.iter().map(|s| Span { from: s.start, to: s.end }).collect();
        let gaps = self.gaps.iter().map(|g| (Span { from: g.start, to: g.end }, g.reason));
        Footage { segments, gaps: gaps.collect() }
    }

    pub(super) fn coverage(&self, asked: Span) -> Coverage {
        let footage = self.footage();
        coverage::measure(asked, &footage.segments, &footage.gaps)
    }

    /// From the first picture to the last.
    pub(super) fn recorded(&self) -> Option<(WallTime, WallTime)> {
        Some((self.segments.first()?.start, self.segments.last()?.end))
    }

    /// Each record's word on the recorder's clock, with the time it speaks of.
    pub(super) fn clocks(&self) -> impl Iterator<Item = (WallTime, &'a Clock)> + '_ {
        let segments = self.segments.iter().map(|s| (s.end, &s.clock));
        segments.chain(self.gaps.iter().map(|g| (g.end, &g.clock)))
    }

    /// The worst that any record says of the recorder's clock.
    pub(super) fn accuracy(&self) -> Accuracy {
        let mut all = Accuracy { disciplined: true, ..Accuracy::default() };
        for (_, clock) in self.clocks() {
            all.records += 1;
            all.disciplined &= clock.source != ClockSource::Undisciplined;
            all.offset_us = all.offset_us.max(clock.offset_us.saturating_abs());
            all.uncertainty_us = all.uncertainty_us.max(clock.uncertainty_us);
            if let Some(offset) = clock.camera_offset_ms {
                let (min, max) = all.camera_offset_ms.unwrap_or((offset, offset));
                all.camera_offset_ms = Some((min.min(offset), max.max(offset)));
            }
        }
        all
    }

    /// Each distinct mask, in words.
    pub(super) fn masks(&self) -> BTreeSet<String> {
        let words = |segment: &&Segment| match &segment.mask {
            Mask::NotRequired { approved_by } => {
                format!("no privacy mask is needed (approved by {approved_by})")
            }
            Mask::Burned { policy_id, revision, approved_by, .. } => format!(
                "privacy mask {policy_id}, revision {revision} (approved by {approved_by}), burned \
                 into the pictures before they were stored"
            ),
        };
        self.segments.iter().map(words).collect()
    }

    /// Each distinct coded stream, in words.
    pub(super) fn streams(&self) -> BTreeSet<String> {
        let words = |segment: &&Segment| {
            let stream = &segment.stream;
            let kept = if stream.byte_exact {
                "the camera's own coded pictures, byte for byte"
            } else {
                "encoded anew by the recorder, to burn the mask in"
            };
            format!("{} {}x{}: {kept}", stream.codec, stream.width, stream.height)
        };
        self.segments.iter().map(words).collect()
    }

    /// Each distinct version of the recorder, with its executable's digest.
    pub(super) fn recorders(&self) -> BTreeSet<String> {
        let words = |segment: &&Segment| {
            let agent = &segment.agent;
            format!("edge-agent {}, executable sha256 {}", agent.version, agent.binary_sha256)
        };
        self.segments.iter().map(words).collect()
    }
}

/// How far a recorder's clock may have been from true time, at worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Accuracy {
    pub(super) records: u64,
    pub(super) disciplined: bool,
    pub(super) offset_us: i64,
    pub(super) uncertainty_us: i64,
    pub(super) camera_offset_ms: Option<(i64, i64)>,
}
