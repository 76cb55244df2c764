//! One segment's plain fragments against its signed record: digest by digest to the root, counts,
//! and times that tile the segment. Section 9 of CHECKS.md.

use custody::fragment::{Disclosed, leaf, plain_commit};
use custody::manifest::Segment;
use custody::sealed::BLOCK_BYTES_MAX;
use custody::{CameraId, Code, Digest, Refusal, WallTime, bundle, tree};

use crate::bag::Bag;
use crate::lanes::Read;
use crate::report::Report;

/// 90 kHz ticks do not divide into whole microseconds: neighbours may miss each other by this.
pub const SLACK_US: u64 = 1_000;

/// Checks one segment. True if it is as signed.
pub fn check(
    bag: &Bag,
    read: &Read,
    camera: &CameraId,
    segment: &Segment,
    report: &mut Report,
) -> bool {
    let mut sound = true;
    let mut refuse = |refusal: Refusal| {
        sound = false;
        report.refuse(refusal.at(format!("{camera} segment {}", segment.seq)));
    };
    let places = [
        bundle::init(camera, segment.seq),
        bundle::master(camera, segment.seq),
        bundle::disclosed(camera, segment.seq),
    ];
    let missing: Vec<_> = places.iter().filter(|path| !bag.has(path)).collect();
    if !missing.is_empty() {
        for path in missing {
            refuse(Refusal::new(Code::SegmentMissing, format!("{path} is not in the bundle")));
        }
        return false;
    }
    let [init, master, list] = places;
    let bytes = bag.read(&init, BLOCK_BYTES_MAX as u64);
    if bytes.map(|bytes| Digest::of(&bytes)) != Some(segment.init_sha256) {
        let what = format!("{init} is not the signed init section");
        refuse(Refusal::new(Code::InitAltered, what));
    }
    let Some((cut, digests)) = read.master(camera, segment.seq) else {
        refuse(Refusal::new(Code::SegmentMissing, format!("{master} was not read")));
        return false;
    };
    let Some(disclosed) = &cut.disclosed else {
        let what = format!("{list} lists no fragments");
        refuse(Refusal::new(Code::FragmentAltered, what));
        return false;
    };
    for refusal in [counts(segment, disclosed), times(segment, disclosed)].into_iter().flatten() {
        refuse(refusal);
    }
    if let Some(fault) = &cut.fault {
        refuse(fault.clone().at(&master));
    } else if root(disclosed, digests) != Some(segment.fragments.root) {
        let what = format!("{master} does not lead to the signed root");
        refuse(Refusal::new(Code::FragmentAltered, what));
    }
    sound
}

/// The root that fragments of these digests lead to; none if they are not as many.
fn root(disclosed: &[Disclosed], digests: &[Digest]) -> Option<Digest> {
    let leaves = disclosed.iter().zip(digests).map(|(one, plain)| leaf_of(one, *plain));
    let leaves: Vec<_> = leaves.collect();
    (leaves.len() == disclosed.len()).then(|| tree::root(&leaves))
}

/// The leaf of a fragment whose plain bytes have this digest.
pub(crate) fn leaf_of(one: &Disclosed, plain: Digest) -> Digest {
    leaf(&one.info, plain_commit(&one.salt.0, plain), one.cipher_sha256)
}

/// The list has as many fragments, frames and bytes as the record says.
fn counts(segment: &Segment, disclosed: &[Disclosed]) -> Option<Refusal> {
    let signed = &segment.fragments;
    let samples: u64 = disclosed.iter().map(|d| u64::from(d.info.samples)).sum();
    let bytes = disclosed.iter().fold(0_u64, |sum, d| sum.saturating_add(d.bytes));
    let found = (disclosed.len() as u64, samples, bytes);
    let due = (u64::from(signed.count), u64::from(signed.samples), signed.bytes);
    if found == due {
        return None;
    }
    let code = if found.0 < due.0 { Code::SegmentTruncated } else { Code::FragmentAltered };
    Some(Refusal::new(
        code,
        format!(
            "{} fragments, {} frames, {} bytes are disclosed; {}, {} and {} are signed",
            found.0, found.1, found.2, due.0, due.1, due.2
        ),
    ))
}

/// The fragments lie end to end from the segment's start to its end.
fn times(segment: &Segment, disclosed: &[Disclosed]) -> Option<Refusal> {
    let wrong = |what: String| Some(Refusal::new(Code::TimeInconsistent, what));
    let apart = |a: WallTime, b: WallTime| a.0.abs_diff(b.0) > SLACK_US;
    let mut due = segment.start;
    for (index, one) in disclosed.iter().enumerate() {
        if apart(one.info.start, due) {
            return wrong(format!("fragment {index} begins at {}, {due} is due", one.info.start));
        }
        due = one.info.end();
    }
    if apart(due, segment.end) {
        return wrong(format!("the last fragment ends at {due}, the segment at {}", segment.end));
    }
    None
}
