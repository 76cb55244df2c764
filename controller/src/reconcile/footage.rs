//! What the sites' records say about an interval: whether it is over, which sealed files it needs,
//! and what is missing. Pure.

use custody::coverage::Span;
use custody::record::{Record, Statement};
use custody::{CameraId, Seq, WallTime};

use crate::fleet::{Found, FoundRecord, WantedSegment};
use crate::limits;

/// What a camera's chain holds of an interval.
#[derive(Debug, Clone)]
pub struct Footage {
    /// Whose.
    pub camera: CameraId,
    /// An unbroken run of the chain, in order, of which every segment still exists.
    pub records: Vec<FoundRecord>,
    /// Whether segments of the interval have been erased.
    pub erased: bool,
}

impl Footage {
    /// Takes what a site found. Where segments have been erased, the run between them that has
    /// the most footage stays: a bundle holds one unbroken run, and says what is missing.
    #[must_use]
    pub fn new(camera: CameraId, found: Found) -> Self {
        let mut runs = vec![Vec::new()];
        let mut erased = false;
        for found in found.records {
            if matches!(found.record, Record::Segment(_)) && found.file_bytes == 0 {
                erased = true;
                runs.push(Vec::new());
            } else if let Some(run) = runs.last_mut() {
                run.push(found);
            }
        }
        let bytes = |run: &Vec<FoundRecord>| run.iter().map(|r| r.file_bytes).sum::<u64>();
        let records = runs.into_iter().max_by_key(bytes).unwrap_or_default();
        Self { camera, records, erased }
    }

    /// Whether the chain reaches the interval's end, so that nothing will be added to it.
    #[must_use]
    pub fn is_complete(&self, span: Span, now: WallTime) -> bool {
        let reaches = self
            .records
            .iter()
            .any(|found| found.record.link().is_some_and(|link| link.end >= span.to));
        reaches || now >= span.to.plus_seconds(limits::CHAIN_WAIT_S)
    }

    /// The sealed files it needs.
    pub fn wanted(&self) -> impl Iterator<Item = WantedSegment> + '_ {
        self.records.iter().filter_map(|found| match &found.record {
            Record::Segment(segment) => Some(WantedSegment {
                camera: self.camera.clone(),
                seq: segment.seq,
                file_bytes: found.file_bytes,
                root: segment.fragments.root,
            }),
            Record::Other(_) => None,
        })
    }

    /// The numbers of its segments.
    #[must_use]
    pub fn seqs(&self) -> Vec<Seq> {
        self.wanted().map(|wanted| wanted.seq).collect()
    }

    /// Why there is no footage, in words.
    #[must_use]
    pub fn gaps(&self) -> String {
        let mut reasons: Vec<&str> = self
            .records
            .iter()
            .filter_map(|found| match &found.record {
                Record::Other(Statement::Gap(gap)) => Some(gap.reason.as_str()),
                Record::Segment(_) | Record::Other(_) => None,
            })
            .collect();
        reasons.dedup();
        if self.erased {
            reasons.push("erased");
        }
        if reasons.is_empty() {
            reasons.push("the site has no record of that time");
        }
        format!("{}: {}", self.camera, reasons.join(", "))
    }
}
