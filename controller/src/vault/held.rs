//! What is kept beside the files of one hold: the records of its interval as the site signed them,
//! and, once all files are there, their keys, wrapped, with the site's signed word that it gave them.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::Record;
use custody::{Digest, Seq};
use serde::{Deserialize, Serialize};

use crate::fleet::{Found, FoundRecord};

/// The content of `held/<hold>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldFile {
    /// The links of the chain that touch the interval, in order.
    records: Vec<KeptRecord>,
    /// The keys of its segments; none until all files are there.
    pub keys: Vec<KeptKey>,
    /// The site's transfer records: DSSE envelopes, base64.
    transfers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRecord {
    /// The DSSE envelope, base64.
    envelope: String,
    /// Bytes of the sealed file; 0 for gaps and erased segments.
    file_bytes: u64,
}

/// A segment's key, wrapped under the vault's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptKey {
    /// Which segment.
    pub seq: Seq,
    /// Hexadecimal.
    pub wrapped: String,
}

/// A segment that a hold keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSegment {
    /// Which.
    pub seq: Seq,
    /// The root that its record signs.
    pub root: Digest,
    /// From when to when.
    pub span: Span,
    /// Bytes of the sealed file.
    pub file_bytes: u64,
}

impl HeldFile {
    /// The records of an interval, as a site gave them and they were checked; no keys yet.
    #[must_use]
    pub fn of(found: &Found) -> Self {
        let kept = |found: &FoundRecord| KeptRecord {
            envelope: STANDARD.encode(found.envelope.bytes()),
            file_bytes: found.file_bytes,
        };
        Self { records: found.records.iter().map(kept).collect(), ..Self::default() }
    }

    /// With the keys and the site's word that it gave them.
    #[must_use]
    pub fn with_keys(self, keys: Vec<KeptKey>, transfers: &[Envelope]) -> Self {
        let transfers = transfers.iter().map(|record| STANDARD.encode(record.bytes())).collect();
        Self { keys, transfers, ..self }
    }

    /// The segments that still existed when the hold was copied.
    ///
    /// # Errors
    /// When a record does not read.
    pub fn segments(&self) -> io::Result<Vec<HeldSegment>> {
        Ok(segments(&self.found()?))
    }

    /// What the site found, as it was kept. The signatures were checked when it came; whatever is
    /// made of it is checked again by the verifier.
    ///
    /// # Errors
    /// When a record does not read.
    pub fn found(&self) -> io::Result<Found> {
        let read = |kept: &KeptRecord| {
            let envelope = envelope(&kept.envelope)?;
            let record = Record::danger_read_unchecked(&envelope).map_err(io::Error::other)?;
            Ok::<_, io::Error>(FoundRecord { envelope, record, file_bytes: kept.file_bytes })
        };
        let records = self.records.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Found { camera_known: true, records })
    }

    /// The site's transfer records.
    ///
    /// # Errors
    /// When one does not read.
    pub fn transfers(&self) -> io::Result<Vec<Envelope>> {
        self.transfers.iter().map(|text| envelope(text)).collect()
    }

    /// As it lies on the shelf.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always have a JSON form")
    }

    /// Reads what [`Self::encode`] gave.
    ///
    /// # Errors
    /// When it is something else.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(bytes).map_err(io::Error::other)
    }
}

/// The segments among what a site found that still exist there.
#[must_use]
pub fn segments(found: &Found) -> Vec<HeldSegment> {
    let of = |found: &FoundRecord| match &found.record {
        Record::Segment(segment) if found.file_bytes > 0 => Some(HeldSegment {
            seq: segment.seq,
            root: segment.fragments.root,
            span: Span { from: segment.start, to: segment.end },
            file_bytes: found.file_bytes,
        }),
        Record::Segment(_) | Record::Other(_) => None,
    };
    found.records.iter().filter_map(of).collect()
}

fn envelope(text: &str) -> io::Result<Envelope> {
    let bytes = STANDARD.decode(text).map_err(io::Error::other)?;
    Envelope::read(&bytes).map_err(io::Error::other)
}
