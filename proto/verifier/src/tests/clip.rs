//! A clip from the middle of a segment verifies alone; whatever is bent in it is refused.

use std::fs;
use std::path::Path;

use custody::coverage::Span;
use custody::{Code, Digest};
use tempfile::TempDir;

use crate::clip::{self, Plan};
use crate::cut::{CutError, cut};
use crate::forge::cases;
use crate::forge::files;
use crate::forge::world::{World, at, east_camera, west_camera};
use crate::report::Report;
use crate::{Trust, print, verify, verify_by};

/// A bundle, and a clip of its camera in the east between these seconds.
fn clip(from_s: i64, to_s: i64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files::write(&World::new().folder(), &folder.path().join("bundle")).unwrap();
    let span = Span { from: at(from_s), to: at(to_s) };
    let to = folder.path().join("clip");
    cut(&folder.path().join("bundle"), &east_camera(), span, &to).unwrap();
    folder
}

fn judged(folder: &TempDir) -> Report {
    verify(&folder.path().join("clip"), &World::published_key())
}

fn plan(folder: &TempDir) -> Plan {
    Plan::read(&fs::read(folder.path().join("clip").join(clip::PLAN)).unwrap()).unwrap()
}

/// Edits a clip of fragments 1 and 2 of segment 42 and gives the codes.
fn bent(bend: impl FnOnce(&mut Plan, &mut Vec<u8>)) -> Vec<Code> {
    let folder = clip(19, 21);
    let (mut plan, place) = (plan(&folder), folder.path().join("clip"));
    let mut movie = fs::read(place.join(clip::MOVIE)).unwrap();
    bend(&mut plan, &mut movie);
    fs::write(place.join(clip::PLAN), serde_json::to_vec(&plan).unwrap()).unwrap();
    fs::write(place.join(clip::MOVIE), movie).unwrap();
    judged(&folder).codes().iter().copied().collect()
}

#[test]
fn one_fragment_from_the_middle_verifies_alone() {
    let folder = clip(19, 20);
    fs::remove_dir_all(folder.path().join("bundle")).unwrap();
    let report = judged(&folder);
    assert!(report.verified(), "{:?}", report.refusals);
    let found = report.clip.as_ref().unwrap();
    assert_eq!((found.seq.0, found.first, found.fragments, found.of), (42, 1, 1, 4));
    assert_eq!(report.asked.unwrap(), Span { from: at(18), to: at(20) });
    let text = print::text(&report);
    for due in ["east/ext-01 segment 42", "met for each: 1 of 1", "REVOKED", "VERIFIED"] {
        assert!(text.contains(due), "{due} in\n{text}");
    }
    let mut trust = Trust::new(World::published_key());
    trust.policy = Some(cases::published_policy());
    assert!(verify_by(&folder.path().join("clip"), &trust, 1).verified());
    trust.authority = crate::forge::draft::secret(99).public();
    assert!(!verify_by(&folder.path().join("clip"), &trust, 1).verified());
}

#[test]
fn a_clip_lies_in_one_segment_of_a_camera() {
    let folder = clip(0, 8);
    assert!(judged(&folder).verified(), "a whole segment is a clip too");
    let bundle = folder.path().join("bundle");
    let refused = |camera: &custody::CameraId, from_s, to_s| {
        let span = Span { from: at(from_s), to: at(to_s) };
        cut(&bundle, camera, span, &folder.path().join("more")).unwrap_err()
    };
    let of_two = refused(&east_camera(), 6, 10);
    assert!(of_two.to_string().contains("its segments: 2026-11-21T23:59:28"), "{of_two}");
    assert!(matches!(refused(&east_camera(), 26, 28), CutError::NotOneSegment { .. }));
    assert!(matches!(refused(&west_camera(), 4, 4), CutError::NotOneSegment { .. }));
    let nobody = "east/ext-09".parse().unwrap();
    assert!(matches!(refused(&nobody, 1, 2), CutError::Bundle { .. }));
    assert!(!folder.path().join("more").exists());
}

#[test]
fn each_way_to_bend_a_clip_has_its_code() {
    assert_eq!(bent(|_, _| {}), []);
    assert_eq!(bent(|_, movie| movie[100] ^= 1), [Code::InitAltered]);
    assert_eq!(bent(|_, movie| *movie.last_mut().unwrap() ^= 1), [Code::FragmentAltered]);
    assert_eq!(bent(|_, movie| movie.truncate(movie.len() - 1)), [Code::SegmentTruncated]);
    assert_eq!(bent(|_, movie| movie.push(0)), [Code::FragmentAltered]);
    assert_eq!(bent(|plan, _| plan.init_bytes -= 1), [Code::InitAltered]);
    assert_eq!(bent(|plan, _| plan.format.push('2')), [Code::ClipMalformed]);
    assert_eq!(bent(|plan, _| plan.fragments.clear()), [Code::ClipMalformed]);
    assert_eq!(bent(|plan, _| plan.fragments.swap(0, 1)), [Code::ClipMalformed]);
    assert_eq!(bent(|plan, _| plan.fragments[0].bytes = 1 << 40), [Code::ClipMalformed]);
    let altered = [Code::FragmentAltered];
    assert_eq!(bent(|plan, _| drop(plan.fragments.remove(0))), altered);
    assert_eq!(bent(|plan, _| plan.fragments[1].path.truncate(1)), altered);
    assert_eq!(bent(|plan, _| plan.fragments[1].path.reverse()), altered);
    assert_eq!(bent(|plan, _| plan.fragments[1].salt = Digest::NONE), altered);
    assert_eq!(bent(|plan, _| plan.fragments[1].info.samples += 1), altered);
    assert_eq!(bent(|plan, _| plan.fragments[1].info.start.0 += 1), altered);
    let renumbered = bent(|plan, _| plan.fragments.iter_mut().for_each(|f| f.info.index += 1));
    assert_eq!(renumbered, altered);
    // The first fragment's bytes twice, under the second's number.
    let doubled = bent(|plan, movie| {
        let (first, len) = (plan.fragments[0].clone(), plan.init_bytes);
        let (from, bytes) = (usize::try_from(len).unwrap(), usize::try_from(first.bytes).unwrap());
        let again = movie[from..from + bytes].to_vec();
        movie.truncate(from + bytes);
        movie.extend(again);
        let index = plan.fragments[1].info.index;
        plan.fragments[1] = first;
        plan.fragments[1].info.index = index;
    });
    assert_eq!(doubled, altered);
}

#[test]
fn no_file_of_a_clip_can_be_bent_removed_or_added() {
    let folder = clip(19, 20);
    let place = folder.path().join("clip");
    let names: Vec<_> = fs::read_dir(&place).unwrap().map(|e| e.unwrap().path()).collect();
    let refused = |what: &str, path: &Path| {
        assert!(!judged(&folder).verified(), "{what} {}", path.display());
    };
    for path in &names {
        let good = fs::read(path).unwrap();
        for at in [good.len() / 7, good.len() / 3, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(path, bad).unwrap();
            // In `clip.json` that may be a space, or the case of a digest: then it is the same plan.
            let is_plan = path.ends_with(clip::PLAN);
            if !is_plan || good[at].is_ascii_digit() {
                refused("bent", path);
            }
        }
        fs::write(path, &good[..good.len() / 2]).unwrap();
        refused("cut", path);
        fs::remove_file(path).unwrap();
        refused("removed", path);
        fs::write(path, &good).unwrap();
    }
    fs::write(place.join("more.mp4"), b"x").unwrap();
    assert_eq!(judged(&folder).verdict(), "file-unexpected");
    fs::remove_file(place.join("more.mp4")).unwrap();
    assert!(judged(&folder).verified(), "the files were put back");
    // The record of another segment, with its own proof: true, and not of these pictures.
    let bundle = folder.path().join("bundle");
    cut(&bundle, &east_camera(), Span { from: at(10), to: at(11) }, &folder.path().join("b"))
        .unwrap();
    for name in [clip::RECORD, clip::RECORD_PROOF] {
        fs::copy(folder.path().join("b").join(name), place.join(name)).unwrap();
    }
    assert_eq!(judged(&folder).verdict(), "fragment-altered");
}
