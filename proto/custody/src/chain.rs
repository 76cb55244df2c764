//! A camera's unbroken line of segments and gaps: each link names its predecessor's digest, numbers
//! have no holes, and time does not run backwards unexplained.

use crate::ids::{CameraId, Digest, Seq};
use crate::record::Link;
use crate::refusal::{Code, Refusal};
use crate::time::WallTime;

/// The last link seen. What the next one must continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last link's number.
    pub seq: Seq,
    /// The last link's envelope digest.
    pub digest: Digest,
    /// Where the last link ends.
    pub end: WallTime,
}

/// The number and predecessor that the link after `head` must name.
#[must_use]
pub fn after(head: Option<&Head>) -> (Seq, Digest) {
    head.map_or((Seq(0), Digest::NONE), |h| (h.seq.next(), h.digest))
}

/// Checks that `link`, whose envelope has `digest`, continues `head`; gives the new head.
///
/// Without a head any link of `camera` may stand: a bundle begins in the middle of a chain.
///
/// # Errors
/// `record-misplaced`, `sequence-missing`, `sequence-repeated`, `chain-broken`,
/// `time-inconsistent`.
pub fn advance(
    camera: &CameraId,
    head: Option<&Head>,
    link: Link<'_>,
    digest: Digest,
) -> Result<Head, Refusal> {
    let refuse = |code, what: String| Err(Refusal::new(code, what));
    if link.camera != camera {
        return refuse(
            Code::RecordMisplaced,
            format!("record {} is about {}", link.seq, link.camera),
        );
    }
    if link.end < link.start {
        return refuse(
            Code::TimeInconsistent,
            format!("record {} ends before it begins", link.seq),
        );
    }
    if let Some(head) = head {
        let due = head.seq.next();
        if link.seq > due {
            return refuse(
                Code::SequenceMissing,
                format!("record {due} is missing before record {}", link.seq),
            );
        }
        if link.seq < due {
            return refuse(
                Code::SequenceRepeated,
                format!("record {} stands where record {due} is due", link.seq),
            );
        }
        if link.prev != head.digest {
            return refuse(
                Code::ChainBroken,
                format!("record {} does not name record {} as it stands", link.seq, head.seq),
            );
        }
        if link.start < head.end && !link.anew {
            return refuse(
                Code::TimeInconsistent,
                format!("record {} begins before record {} ends", link.seq, head.seq),
            );
        }
    }
    Ok(Head { seq: link.seq, digest, end: link.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_break_of_the_chain_has_its_own_code() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let other: CameraId = "east/ext-02".parse().unwrap();
        let head = Head { seq: Seq(4), digest: Digest::of(b"4"), end: WallTime(100) };
        let good = Link {
            camera: &camera,
            seq: Seq(5),
            prev: head.digest,
            start: WallTime(100),
            end: WallTime(200),
            anew: false,
        };
        let digest = Digest::of(b"5");
        let next = advance(&camera, Some(&head), good, digest).unwrap();
        assert_eq!(after(Some(&next)), (Seq(6), digest));
        for (link, code) in [
            (Link { camera: &other, ..good }, Code::RecordMisplaced),
            (Link { seq: Seq(6), ..good }, Code::SequenceMissing),
            (Link { seq: Seq(4), ..good }, Code::SequenceRepeated),
            (Link { prev: Digest::NONE, ..good }, Code::ChainBroken),
            (Link { start: WallTime(99), ..good }, Code::TimeInconsistent),
            (Link { end: WallTime(99), ..good }, Code::TimeInconsistent),
        ] {
            assert_eq!(advance(&camera, Some(&head), link, digest).unwrap_err().code(), code);
        }
        let stepped = Link { start: WallTime(50), anew: true, ..good };
        assert!(advance(&camera, Some(&head), stepped, digest).is_ok());
    }
}
