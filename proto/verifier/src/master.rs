//! One segment's plain fragments against its signed record: digest by digest to the root, counts,
//! and times that tile the segment.

use std::io::{Read as _, Seek as _};

use custody::fragment::Disclosed;
use custody::manifest::Segment;
use custody::sealed::{BLOCK_BYTES_MAX, FRAGMENTS_MAX};
use custody::{CameraId, Code, Refusal, bundle, tree};

use crate::bag::{Bag, unreadable};
use crate::boxes::{self, Pictures};
use crate::report::Report;

/// 90 kHz ticks do not divide into whole microseconds: neighbours may miss each other by this.
pub const SLACK_US: u64 = 1_000;
/// A disclosed fragment is about 320 bytes of JSON.
const DISCLOSED_BYTES_MAX: u64 = FRAGMENTS_MAX as u64 * 1_000;

/// Checks one segment and feeds its pictures' bytes to `pictures`. True if it is as signed.
pub fn check(
    bag: &Bag,
    camera: &CameraId,
    segment: &Segment,
    pictures: &mut Pictures,
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
    let missing: Vec<_> = places.iter().filter(|p| !bag.payload.contains_key(*p)).collect();
    if !missing.is_empty() {
        for path in missing {
            refuse(Refusal::new(Code::SegmentMissing, format!("{path} is not in the bundle")));
        }
        return false;
    }
    let [init, master, disclosed] = places;
    if let Err(refusal) = check_init(bag, &init, segment) {
        refuse(refusal);
    }
    let disclosed = match read_disclosed(bag, &disclosed) {
        Ok(disclosed) => disclosed,
        Err(refusal) => {
            refuse(refusal);
            return false;
        }
    };
    for refusal in [counts(segment, &disclosed), times(segment, &disclosed)].into_iter().flatten() {
        refuse(refusal);
    }
    if let Err(refusal) = check_fragments(bag, &master, segment, &disclosed, pictures) {
        refuse(refusal);
    }
    sound
}

fn check_init(bag: &Bag, path: &str, segment: &Segment) -> Result<(), Refusal> {
    let bytes = bag.read_tag(path, BLOCK_BYTES_MAX as u64)?;
    if custody::Digest::of(&bytes) == segment.init_sha256 {
        Ok(())
    } else {
        Err(Refusal::new(Code::InitAltered, format!("{path} is not the signed init section")))
    }
}

fn read_disclosed(bag: &Bag, path: &str) -> Result<Vec<Disclosed>, Refusal> {
    let bytes = bag.read_tag(path, DISCLOSED_BYTES_MAX)?;
    let disclosed: Vec<Disclosed> = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(Code::FragmentAltered, format!("{path} lists no fragments: {error}"))
    })?;
    if disclosed.len() > FRAGMENTS_MAX {
        return Err(Refusal::new(
            Code::FragmentAltered,
            format!("{path} lists too many fragments"),
        ));
    }
    Ok(disclosed)
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
    let apart = |a: custody::WallTime, b: custody::WallTime| a.0.abs_diff(b.0) > SLACK_US;
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

fn check_fragments(
    bag: &Bag,
    path: &str,
    segment: &Segment,
    disclosed: &[Disclosed],
    pictures: &mut Pictures,
) -> Result<(), Refusal> {
    let altered = |what: String| Refusal::new(Code::FragmentAltered, what);
    let mut file = bag.open(path)?;
    let mut leaves = Vec::with_capacity(disclosed.len());
    let mut fragment = Vec::new();
    for (index, one) in disclosed.iter().enumerate() {
        if one.bytes > BLOCK_BYTES_MAX as u64 || u32::try_from(index) != Ok(one.info.index) {
            return Err(altered(format!("fragment {index} is too long or out of order")));
        }
        fragment.clear();
        file.by_ref()
            .take(one.bytes)
            .read_to_end(&mut fragment)
            .map_err(|error| unreadable(path, &error))?;
        if fragment.len() as u64 != one.bytes {
            return Err(Refusal::new(
                Code::SegmentTruncated,
                format!("{path} ends within fragment {index}"),
            ));
        }
        leaves.push(one.leaf(&fragment));
        let ranges = boxes::payloads_in(&fragment, b"mdat")
            .ok_or_else(|| altered(format!("fragment {index} is not whole MP4 boxes")))?;
        for range in ranges {
            pictures.take(&fragment[range]);
        }
    }
    let at = file.stream_position().map_err(|error| unreadable(path, &error))?;
    if bag.payload.get(path).is_some_and(|entry| entry.bytes != at) {
        return Err(altered(format!("{path} goes on behind its last fragment")));
    }
    if tree::root(&leaves) != segment.fragments.root {
        return Err(altered(format!("{path} does not lead to the signed root")));
    }
    Ok(())
}
