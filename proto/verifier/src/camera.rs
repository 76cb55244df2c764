//! One camera's part: its chain of signed records, its segments, its playable copy, and how much of
//! the asked interval they cover.

use std::collections::BTreeSet;
use std::io::{BufRead, Read as _};

use custody::chain::{self, Head};
use custody::coverage::{self, Span};
use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::manifest::Segment;
use custody::record::{GapReason, Record, Statement};
use custody::{CameraId, Clock, Code, Refusal, Seq, WallTime, bundle};

use crate::bag::{Bag, unreadable};
use crate::boxes::{self, Pictures};
use crate::master;
use crate::place::CameraFiles;
use crate::report::{CameraReport, Report};
use crate::statement::SiteKeys;

/// Checks everything in a camera's folder and adds its part to the report.
pub fn check(
    bag: &Bag,
    camera: &CameraId,
    files: &CameraFiles,
    keys: &SiteKeys,
    report: &mut Report,
) {
    let mut part = Part::new(camera);
    if let Err(refusal) = part.records(bag, keys, report) {
        report.refuse(refusal);
    }
    for seq in files.segments.difference(&part.seqs) {
        report.refuse(Refusal::new(
            Code::FileUnexpected,
            format!("{camera}: files of segment {seq}, which no record names"),
        ));
    }
    part.view(bag, files.view, report);
    let summary = part.summary(report);
    report.cameras.push(summary);
}

/// What is known of the camera so far.
struct Part<'a> {
    camera: &'a CameraId,
    head: Option<Head>,
    /// Segments that records name.
    seqs: BTreeSet<Seq>,
    /// Every segment that a record signs.
    signed: Vec<Span>,
    /// Those whose bytes are as signed.
    proved: Vec<Span>,
    pictures: Pictures,
    report: CameraReport,
}

impl<'a> Part<'a> {
    fn new(camera: &'a CameraId) -> Self {
        let nothing = Span { from: WallTime(0), to: WallTime(0) };
        Self {
            camera,
            head: None,
            seqs: BTreeSet::new(),
            signed: Vec::new(),
            proved: Vec::new(),
            pictures: Pictures::default(),
            report: CameraReport {
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
                masks: Vec::new(),
                streams: BTreeSet::new(),
                byte_exact: true,
            },
        }
    }

    fn records(&mut self, bag: &Bag, keys: &SiteKeys, report: &mut Report) -> Result<(), Refusal> {
        let path = bundle::records(self.camera);
        if !bag.payload.contains_key(&path) {
            return Err(Refusal::new(Code::FileMissing, path));
        }
        let mut file = bag.open(&path)?;
        let mut number = 0_u64;
        loop {
            let line = next_line(&mut file, &path)?;
            let Some(line) = line else { return Ok(()) };
            number += 1;
            let checked = Envelope::read(&line).and_then(|envelope| {
                let record = self.signed_by_site(&envelope, keys)?;
                Ok((envelope, record))
            });
            match checked {
                Err(refusal) => report.refuse(refusal.at(format!("{path} line {number}"))),
                Ok((envelope, record)) => {
                    if let Err(refusal) = self.link(bag, &envelope, &record, report) {
                        report.refuse(refusal.at(format!("{path} line {number}")));
                    }
                }
            }
        }
    }

    /// The record, if a key of the camera's site signed it within its life.
    fn signed_by_site(&self, envelope: &Envelope, keys: &SiteKeys) -> Result<Record, Refusal> {
        let site = self.camera.site();
        let key = keys.get(site).and_then(|of_site| of_site.get(envelope.key_id()));
        let key = key.ok_or_else(|| {
            Refusal::new(
                Code::KeyUnknown,
                format!("signed by key {:.40}, which nobody vouches for", envelope.key_id().0),
            )
        })?;
        let record = Record::check(envelope, &key.key)?;
        // A record is signed when what it tells of is over.
        if record.link().is_some_and(|link| link.end < key.not_before) {
            return Err(Refusal::new(
                Code::KeyExpired,
                format!("the key is {site}'s only from {}", key.not_before),
            ));
        }
        Ok(record)
    }

    /// Adds a record to the chain; a broken link is refused and the chain goes on from it, so that
    /// one break is told once.
    fn link(
        &mut self,
        bag: &Bag,
        envelope: &Envelope,
        record: &Record,
        report: &mut Report,
    ) -> Result<(), Refusal> {
        let link = record.link().ok_or_else(|| {
            Refusal::new(Code::RecordMisplaced, "this record is no part of a camera's chain")
        })?;
        if link.seq.0 == u64::MAX {
            return Err(Refusal::new(Code::RecordMalformed, "no record can follow this one"));
        }
        let digest = envelope.digest();
        match chain::advance(self.camera, self.head.as_ref(), link, digest) {
            Ok(head) => self.head = Some(head),
            Err(refusal) if refusal.code() == Code::RecordMisplaced => return Err(refusal),
            Err(refusal) => {
                report.refuse(refusal.at(bundle::records(self.camera)));
                self.head = Some(Head { seq: link.seq, digest, end: link.end });
            }
        }
        let span = Span { from: link.start, to: link.end };
        let recorded = self.report.recorded.get_or_insert(span);
        recorded.from = recorded.from.min(span.from);
        recorded.to = recorded.to.max(span.to);
        self.report.records += 1;
        match record {
            Record::Segment(segment) => self.segment(bag, segment, span, report),
            Record::Other(Statement::Gap(gap)) => {
                self.clock(&gap.clock);
                self.report.gaps.push((span, gap.reason));
            }
            Record::Other(_) => {}
        }
        Ok(())
    }

    fn segment(&mut self, bag: &Bag, segment: &Segment, span: Span, report: &mut Report) {
        self.seqs.insert(segment.seq);
        self.signed.push(span);
        self.clock(&segment.clock);
        if !master::check(bag, self.camera, segment, &mut self.pictures, report) {
            return;
        }
        self.proved.push(span);
        let part = &mut self.report;
        part.segments += 1;
        part.fragments += u64::from(segment.fragments.count);
        part.frames += u64::from(segment.fragments.samples);
        if !part.masks.contains(&segment.mask) {
            part.masks.push(segment.mask.clone());
        }
        let stream = &segment.stream;
        part.streams.insert(format!("{} {}x{}", stream.codec, stream.width, stream.height));
        part.byte_exact &= stream.byte_exact;
    }

    fn clock(&mut self, clock: &Clock) {
        let part = &mut self.report;
        if !part.clock_sources.contains(&clock.source) {
            part.clock_sources.push(clock.source);
        }
        let now = clock.uncertainty_us;
        let (min, max) = part.clock_uncertainty_us.unwrap_or((now, now));
        part.clock_uncertainty_us = Some((min.min(now), max.max(now)));
    }

    /// Compares the playable copy with the masters, if every master is as signed.
    fn view(&mut self, bag: &Bag, is_there: bool, report: &mut Report) {
        let path = bundle::view(self.camera);
        if self.seqs.is_empty() {
            if is_there {
                report.refuse(Refusal::new(
                    Code::FileUnexpected,
                    format!("{path} is there, and no footage for it"),
                ));
            }
            return;
        }
        let Some(entry) = bag.payload.get(&path) else {
            report.refuse(Refusal::new(Code::FileMissing, path));
            return;
        };
        let altered = |what: String| Refusal::new(Code::ViewAltered, format!("{path}: {what}"));
        let view = match bag.open(&path) {
            Ok(file) => boxes::mdat_of(file, entry.bytes).map_err(|e| altered(e.to_string())),
            Err(refusal) => Err(refusal),
        };
        match view {
            Err(refusal) => report.refuse(refusal),
            Ok(_) if self.proved.len() < self.signed.len() => {} // nothing sound to compare with
            Ok(pictures) => {
                if pictures.finish() != std::mem::take(&mut self.pictures).finish() {
                    report.refuse(altered("it does not hold the masters' pictures".into()));
                }
            }
        }
    }

    fn summary(mut self, report: &mut Report) -> CameraReport {
        let own = self.report.recorded;
        let Some(asked) = report.asked.or(own) else { return self.report };
        let gaps: Vec<(Span, GapReason)> = self.report.gaps.clone();
        for hole in coverage::measure(asked, &self.signed, &gaps).unexplained {
            if hole.micros().unsigned_abs() > master::SLACK_US {
                report.refuse(Refusal::new(
                    Code::IntervalUncovered,
                    format!("{}: nothing explains {} to {}", self.camera, hole.from, hole.to),
                ));
            }
        }
        self.report.coverage = coverage::measure(asked, &self.proved, &gaps);
        self.report
    }
}

/// The next line without its end; none at the end of the file.
fn next_line<R: BufRead>(file: &mut R, path: &str) -> Result<Option<Vec<u8>>, Refusal> {
    let mut line = Vec::new();
    file.by_ref()
        .take(ENVELOPE_BYTES_MAX as u64 + 2)
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(path, &error))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() && line.len() > ENVELOPE_BYTES_MAX {
        return Err(Refusal::new(
            Code::RecordMalformed,
            format!("{path}: a line is longer than 1 MiB; the rest was not read"),
        ));
    }
    Ok(Some(line))
}
