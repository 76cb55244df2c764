//! Family `opened`: the segment being written, per camera, with what its manifest must say and its
//! file does not. Written before the file is created, so that recovery need not search.
//!
//! ```text
//! key   = camera 0x00
//! value = JSON
//! ```

use custody::Seq;
use custody::manifest::{Mask, Stream};
use serde::{Deserialize, Serialize};

/// A segment being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenedRow {
    /// Its place in the chain.
    pub seq: Seq,
    /// The hour under whose key it is sealed.
    pub epoch: u64,
    /// The coded stream.
    pub stream: Stream,
    /// What covers the picture.
    pub mask: Mask,
    /// Why it does not continue the one before.
    pub discontinuity: Option<String>,
}

impl OpenedRow {
    /// The value.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always have a JSON form")
    }

    /// Reads a value.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use custody::Digest;

    use super::*;

    #[test]
    fn an_open_segment_reads_back() {
        let row = OpenedRow {
            seq: Seq(4),
            epoch: 9,
            stream: Stream {
                codec: "avc1.64001f".into(),
                width: 1280,
                height: 720,
                parameters_sha256: Digest::of(b"avcC"),
                byte_exact: true,
            },
            mask: Mask::NotRequired { approved_by: "d.mensah".into() },
            discontinuity: Some("clock-step".into()),
        };
        assert_eq!(OpenedRow::decode(&row.encode()), Some(row));
        assert_eq!(OpenedRow::decode(b"{}"), None);
    }
}
