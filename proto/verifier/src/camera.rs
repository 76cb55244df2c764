//! One camera's part: its chain of signed records, their places in the log, its segments, its
//! playable copy, and how much of the asked interval they cover. Sections 7 to 11 of CHECKS.md.

use std::collections::BTreeSet;
use std::io::{BufRead, Read as _};

use custody::chain::{self, Head};
use custody::coverage::{self, Span};
use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::log::entry;
use custody::manifest::Segment;
use custody::record::{Gap, GapReason, KeyUsage, Link, Record, Statement};
use custody::{CameraId, Clock, Code, Refusal, Seq, bundle};

use crate::bag::Bag;
use crate::lanes::Read;
use crate::logbook::{Logged, Shown, Sought};
use crate::place::CameraFiles;
use crate::report::{Bounds, CameraReport, Report};
use crate::site::{Certificate, Site};
use crate::{master, stamps};

/// What a camera's part is judged by.
pub struct Scene<'a> {
    /// The folder.
    pub bag: &'a Bag,
    /// What was read of it.
    pub read: &'a Read,
    /// The keys and logs of the camera's site.
    pub site: &'a Site,
    /// What lies in the camera's folders.
    pub files: &'a CameraFiles,
}

/// Checks everything of a camera and adds its part to the report.
pub fn check(scene: &Scene<'_>, camera: &CameraId, shown: &mut Shown, report: &mut Report) {
    let mut part = Part::new(scene, camera);
    if let Err(refusal) = part.records(shown, report) {
        report.refuse(refusal);
    }
    for seq in scene.files.segments.difference(&part.segments) {
        report.refuse(Refusal::new(
            Code::FileUnexpected,
            format!("{camera}: files of segment {seq}, which no record names"),
        ));
    }
    for seq in scene.files.proofs.difference(&part.links) {
        report.refuse(Refusal::new(
            Code::FileUnexpected,
            format!("{camera}: a log proof of record {seq}, which is not there"),
        ));
    }
    part.copies(report);
    let summary = part.summary(report);
    report.cameras.push(summary);
}

/// Checks one record by itself, as a clip has it: everything but its footage, and what the report then
/// says of its camera.
///
/// # Errors
/// As for a line of a chain.
pub fn check_alone(
    scene: &Scene<'_>,
    camera: &CameraId,
    line: &[u8],
    shown: &mut Shown,
    report: &mut Report,
) -> Result<(Record, CameraReport), Refusal> {
    let mut part = Part::new(scene, camera);
    let (record, _) = part.link(line, shown, report)?;
    Ok((record, part.report))
}

/// A link with what its check needs.
struct Linked<'a> {
    record: &'a Record,
    link: Link<'a>,
    clock: &'a Clock,
    certificate: &'a Certificate,
}

/// What is known of the camera so far.
struct Part<'a> {
    scene: &'a Scene<'a>,
    camera: &'a CameraId,
    head: Option<Head>,
    /// The place of the last link that was found in a log.
    last: Option<(String, u64)>,
    links: BTreeSet<Seq>,
    segments: BTreeSet<Seq>,
    /// Every segment that a record signs.
    signed: Vec<Span>,
    /// Those of which nothing was refused.
    proved: Vec<Span>,
    /// Whether every segment's bytes are as signed.
    sound: bool,
    report: CameraReport,
}

impl<'a> Part<'a> {
    fn new(scene: &'a Scene<'a>, camera: &'a CameraId) -> Self {
        Self {
            scene,
            camera,
            head: None,
            last: None,
            links: BTreeSet::new(),
            segments: BTreeSet::new(),
            signed: Vec::new(),
            proved: Vec::new(),
            sound: true,
            report: CameraReport::new(camera, &scene.site.logs),
        }
    }

    fn records(&mut self, shown: &mut Shown, report: &mut Report) -> Result<(), Refusal> {
        let path = bundle::records(self.camera);
        if !self.scene.bag.has(&path) {
            return Err(Refusal::new(Code::FileMissing, path));
        }
        let unreadable = |error| Refusal::new(Code::FileMissing, format!("{path}: {error}"));
        let mut file = self.scene.bag.open(&path).map_err(unreadable)?;
        let mut number = 0_u64;
        while let Some(line) = next_line(&mut file, &path)? {
            number += 1;
            if let Err(refusal) = self.line(&line, shown, report) {
                report.refuse(refusal.at(format!("{path} line {number}")));
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], shown: &mut Shown, report: &mut Report) -> Result<(), Refusal> {
        let before = report.refused();
        match self.link(line, shown, report)? {
            (Record::Segment(segment), span) => self.segment(&segment, span, before, report),
            (Record::Other(Statement::Gap(Gap { reason, .. })), span) => {
                self.report.gaps.push((span, reason));
            }
            (Record::Other(_), _) => {}
        }
        Ok(())
    }

    /// The link that a line is; everything but its footage is checked.
    fn link(
        &mut self,
        line: &[u8],
        shown: &mut Shown,
        report: &mut Report,
    ) -> Result<(Record, Span), Refusal> {
        let envelope = Envelope::read(line)?;
        let site = self.scene.site;
        let certificate = site.certificates.get(envelope.key_id()).ok_or_else(|| {
            Refusal::new(
                Code::KeyUnknown,
                format!("signed by key {:.40}, which nobody certifies", envelope.key_id().0),
            )
        })?;
        if certificate.cert.usage != KeyUsage::Records {
            let what = format!("key {} may not sign records", certificate.cert.key_id);
            return Err(Refusal::new(Code::KeyUntrusted, what));
        }
        let record = Record::check(&envelope, &certificate.key)?;
        let misplaced = |what: &str| Refusal::new(Code::RecordMisplaced, what);
        let (link, clock) = match (record.link(), clock_of(&record)) {
            (Some(link), Some(clock)) => (link, clock),
            _ => return Err(misplaced("this record is no part of a camera's chain")),
        };
        if link.seq.0 == u64::MAX {
            return Err(Refusal::new(Code::RecordMalformed, "no record can follow this one"));
        }
        if link.camera != self.camera {
            return Err(misplaced(&format!("it is about {}", link.camera)));
        }
        self.links.insert(link.seq);
        let linked = Linked { record: &record, link, clock, certificate };
        self.chain(&linked, &envelope, report);
        let logged = self.logged(&linked, &envelope, shown, report);
        self.bounds(&linked, logged.as_ref(), report);
        let span = Span { from: link.start, to: link.end };
        self.report.take(span, clock);
        Ok((record, span))
    }

    /// A broken link is refused and the chain goes on from it, so that one break is told once.
    fn chain(&mut self, linked: &Linked<'_>, envelope: &Envelope, report: &mut Report) {
        let (link, digest) = (linked.link, envelope.digest());
        self.head = match chain::advance(self.camera, self.head.as_ref(), link, digest) {
            Ok(head) => Some(head),
            Err(refusal) => {
                report.refuse(refusal.at(bundle::records(self.camera)));
                Some(Head { seq: link.seq, digest, end: link.end })
            }
        };
        if let Err(refusal) = within_life(linked) {
            report.refuse(refusal.at(format!("{} record {}", self.camera, link.seq)));
        }
    }

    fn logged(
        &mut self,
        linked: &Linked<'_>,
        envelope: &Envelope,
        shown: &mut Shown,
        report: &mut Report,
    ) -> Option<Logged> {
        let Linked { link, certificate, clock, record } = linked;
        let site = self.scene.site;
        let entry = entry::record(record.kind()?, envelope.digest());
        let sought = Sought {
            entry: &entry,
            proof: bundle::link_proof(self.camera, link.seq),
            end: Some((link.end, clock.uncertainty_us)),
            index: None,
            other_entry: Code::LogProofInvalid,
        };
        let logged = site.logs.find(self.scene.bag, &sought, shown, report);
        let keys = [Some(&certificate.cert.key_id), Some(&certificate.identity)];
        let mut refuse = |refusal: Refusal| {
            report.refuse(refusal.at(format!("{} record {}", self.camera, link.seq)));
        };
        if let Err(refusal) = site.not_revoked(&keys, logged.as_ref()) {
            refuse(refusal);
        }
        let logged = logged?;
        let cert = certificate.logged.as_ref();
        if cert.is_some_and(|cert| cert.origin == logged.origin && cert.index >= logged.index) {
            let what = "its key was logged only after it";
            refuse(Refusal::new(Code::KeyExpired, what));
        }
        let last = self.last.replace((logged.origin.clone(), logged.index));
        if last.is_some_and(|(origin, index)| origin == logged.origin && index >= logged.index) {
            let what = "it stands in the log before its predecessor";
            refuse(Refusal::new(Code::LogProofInvalid, what));
        }
        Some(logged)
    }

    /// When the record was made at the earliest and the latest, by others' clocks.
    fn bounds(&mut self, linked: &Linked<'_>, logged: Option<&Logged>, report: &mut Report) {
        let link = linked.link;
        let mut not_before = None;
        if let Record::Segment(segment) = linked.record
            && let Some(foreign) = &segment.foreign_checkpoint
        {
            let scene = self.scene;
            let site = self.camera.site();
            not_before = stamps::not_before(scene.bag, site, scene.site, segment, foreign)
                .unwrap_or_else(|refusal| {
                    report.refuse(refusal.at(format!("{} record {}", self.camera, link.seq)));
                    None
                });
        }
        self.report.bounds.push(Bounds {
            seq: link.seq,
            start: link.start,
            end: link.end,
            not_before,
            not_after: logged.and_then(|logged| logged.quorum_at),
            witnesses: logged.map_or(0, |logged| logged.by.len()),
        });
        self.report.log.add(logged, Some(link.end));
    }

    fn segment(&mut self, segment: &Segment, span: Span, before: u64, report: &mut Report) {
        self.segments.insert(segment.seq);
        self.signed.push(span);
        let scene = self.scene;
        if !master::check(scene.bag, scene.read, self.camera, segment, report) {
            self.sound = false;
        }
        if report.refused() > before {
            return;
        }
        self.proved.push(span);
        self.report.take_segment(segment);
    }

    /// The copies made for players: the playable file and the playlist.
    fn copies(&self, report: &mut Report) {
        let view = bundle::view(self.camera);
        let playlist = bundle::playlist(self.camera);
        let files = self.scene.files;
        for (path, is_there) in [(&playlist, files.playlist), (&view, files.view)] {
            if self.segments.is_empty() && is_there {
                let what = format!("{path} is there, and no footage for it");
                report.refuse(Refusal::new(Code::FileUnexpected, what));
            }
            if !self.segments.is_empty() && !is_there {
                report.refuse(Refusal::new(Code::FileMissing, path));
            }
        }
        if self.segments.is_empty() || !files.view {
            return;
        }
        let read = self.scene.read;
        let checked = read.view_reads(self.camera).and_then(|()| {
            if self.sound { read.compare_view(self.camera, &self.segments) } else { Ok(()) }
        });
        if let Err(refusal) = checked {
            report.refuse(refusal);
        }
    }

    fn summary(mut self, report: &mut Report) -> CameraReport {
        let Some(asked) = report.asked.or(self.report.recorded) else { return self.report };
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

fn clock_of(record: &Record) -> Option<&Clock> {
    match record {
        Record::Segment(segment) => Some(&segment.clock),
        Record::Other(Statement::Gap(gap)) => Some(&gap.clock),
        Record::Other(_) => None,
    }
}

/// What a record tells of ended in the life of the key that signed it. A segment closed after a
/// crash is signed by the next run's key, which is younger than the segment.
fn within_life(linked: &Linked<'_>) -> Result<(), Refusal> {
    let cert = &linked.certificate.cert;
    let recovered = matches!(linked.record, Record::Segment(segment) if segment.recovered);
    let end = linked.link.end;
    if (end < cert.not_before && !recovered) || end > cert.not_after {
        return Err(Refusal::new(
            Code::KeyExpired,
            format!("key {} signs from {} to {}", cert.key_id, cert.not_before, cert.not_after),
        ));
    }
    Ok(())
}

/// The next line without its end; none at the end of the file.
fn next_line<R: BufRead>(file: &mut R, path: &str) -> Result<Option<Vec<u8>>, Refusal> {
    let mut line = Vec::new();
    file.by_ref()
        .take(ENVELOPE_BYTES_MAX as u64 + 2)
        .read_until(b'\n', &mut line)
        .map_err(|error| Refusal::new(Code::FileMissing, format!("{path}: {error}")))?;
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
