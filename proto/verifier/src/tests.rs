//! The good bundle is verified and says what it proves; every mutation of the corpus gets exactly its
//! codes; whatever else is bent is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use custody::Code;
use custody::record::GapReason;

use crate::forge::cases::{self, Given, Who};
use crate::forge::files::{self, Files};
use crate::forge::world::World;
use crate::report::Report;
use crate::{Trust, print, verify, verify_by};

fn judged(files: &Files, trust: &Trust) -> Report {
    let folder = tempfile::tempdir().unwrap();
    files::write(files, folder.path()).unwrap();
    verify_by(folder.path(), trust, 2)
}

fn trust(given: Given, world: &World) -> Trust {
    let mut trust = Trust::new(World::published_key());
    match given {
        Given::Nothing => {}
        Given::Policy => trust.policy = Some(cases::published_policy()),
        Given::Statements => trust.statements = cases::published_statements(world),
    }
    trust
}

#[test]
fn the_good_bundle_is_verified_and_says_what_it_proves() {
    let world = World::new();
    let report = judged(&world.folder(), &trust(Given::Nothing, &world));
    assert!(report.verified(), "{:?}", report.refusals);
    assert_eq!(report.exhibit.as_deref(), Some("WH-2026-000001/1"));
    let [east, west] = &report.cameras[..] else { panic!("two cameras") };
    // Asked: 44 s, of which the camera in the east was unreachable for 8.
    assert!((east.coverage.per_cent() - 81.81).abs() < 0.001);
    assert_eq!(east.coverage.explained[0].1, GapReason::CameraUnreachable);
    assert!((west.coverage.per_cent() - 100.0).abs() < f64::EPSILON);
    assert_eq!((east.segments, east.records, east.frames), (5, 6, 200));
    assert!(east.log.quorum_met());
    assert_eq!(east.log.latest_us, Some(3_000_000));
    let bounds = &east.bounds[0];
    assert!(bounds.not_before.unwrap() < bounds.end && bounds.end < bounds.not_after.unwrap());
    let text = print::text(&report);
    for due in [
        "WH-2026-000001/1",
        "81.81 % of the interval",
        "camera-unreachable",
        "0.900 to 2.000 ms",
        "not required, approved by d.mensah",
        "REVOKED",
        "hq.watchhouse.example/witness: 6",
        "met for each: 6 of 6",
        "3000.000 ms after",
        "openssl ts -verify",
        "the bundle's own policy",
        "6 lines in the controller's log",
        "Analytics  none",
        "VERIFIED",
    ] {
        assert!(text.contains(due), "{due} in\n{text}");
    }
    let json = serde_json::to_value(report.to_json()).unwrap();
    assert_eq!(json["verdict"], "verified");
    assert_eq!(json["cameras"][0]["gaps"][0]["reason"], "camera-unreachable");
    assert_eq!(json["cameras"][0]["log"]["quorum_met"], true);
}

#[test]
fn every_case_of_the_corpus_gets_its_codes_and_no_others() {
    let world = World::new();
    let mut wrong = Vec::new();
    for case in cases::all() {
        let report = judged(&(case.make)(&world), &trust(case.given, &world));
        let due = case.codes();
        if *report.codes() != due {
            wrong.push(format!("{}: {:?}, due {due:?}", case.name, report.codes()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_corpus_names_each_adversary_and_every_code_of_a_bundle() {
    let all = cases::all();
    let names: BTreeSet<_> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len(), "a name stands twice");
    for who in [Who::Nobody, Who::Site, Who::Controller] {
        let bent = all.iter().filter(|case| case.who == who && !case.expect.is_empty()).count();
        assert!(bent >= 15, "{bent} by {who:?}");
    }
    let found: BTreeSet<Code> = all.iter().flat_map(|case| case.codes()).collect();
    // Those of sealed files never reach a bundle, those of clips are tested with clips.
    let elsewhere = [Code::SealedMalformed, Code::SealBroken, Code::ClipMalformed];
    let missing: Vec<_> =
        Code::ALL.iter().filter(|c| !found.contains(c) && !elsewhere.contains(c)).collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}

#[test]
fn the_good_bundle_is_the_same_each_time() {
    assert_eq!(World::new().folder(), World::new().folder());
}

/// Every file below a folder.
fn every_file(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(every_file(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

#[test]
fn no_file_can_be_bent_cut_removed_swapped_added_or_linked() {
    let folder = tempfile::tempdir().unwrap();
    files::write(&World::new().folder(), folder.path()).unwrap();
    let trusted = World::published_key();
    let all = every_file(folder.path());
    let refused = |what: &str, path: &Path| {
        assert!(!verify(folder.path(), &trusted).verified(), "{what} {}", path.display());
    };
    // Every seventh file, and those of the bag: each kind of file is among them.
    let picked = all
        .iter()
        .enumerate()
        .filter(|(index, path)| index % 7 == 0 || path.parent() == Some(folder.path()));
    for (index, path) in picked {
        let good = fs::read(path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            // 0x20 is the bit of case, which digests must not lose.
            bad[at] ^= 0x20;
            fs::write(path, &bad).unwrap();
            refused("bent", path);
        }
        fs::write(path, &good[..good.len() / 2]).unwrap();
        refused("cut", path);
        fs::remove_file(path).unwrap();
        refused("removed", path);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("same"), &good).unwrap();
        std::os::unix::fs::symlink(outside.path().join("same"), path).unwrap();
        refused("linked to its like", path);
        fs::remove_file(path).unwrap();
        let other = &all[(index + 1) % all.len()];
        let others = fs::read(other).unwrap();
        fs::write(path, &others).unwrap();
        fs::write(other, &good).unwrap();
        refused("swapped", path);
        fs::write(path, &good).unwrap();
        fs::write(other, &others).unwrap();
    }
    for added in ["data/more.mp4", "more.txt", "data/master/east/ext-01/.hidden"] {
        let path = folder.path().join(added);
        fs::write(&path, b"x").unwrap();
        let report = verify(folder.path(), &trusted);
        assert!(report.codes().contains(&Code::FileUnexpected), "{added}");
        fs::remove_file(path).unwrap();
    }
    assert!(verify(folder.path(), &trusted).verified(), "the files were put back");
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let trusted = trust(Given::Nothing, &world);
    assert_eq!(verify(&folder.path().join("none"), &trusted.authority).verdict(), "bag-malformed");
    assert!(!verify(folder.path(), &trusted.authority).verified());
    // Whoever holds the authority's key may put any bytes anywhere; only what leads to another
    // signature, or to a log, counts. These are read by people alone.
    let texts = ["request", "custody.case", "custody.html", "data/report", "index.m3u8"];
    let payload = world.payload();
    let mut state = 7_u64;
    for path in payload.keys().step_by(3) {
        for len in [0_usize, 8, 100, 3_000] {
            let mut bent = payload.clone();
            let noise = (0..len).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            });
            bent.insert(path.clone(), noise.collect());
            let seal = files::sealed(&bent, &world.seal, &crate::forge::draft::secret(1));
            let is_text = texts.iter().any(|text| path.contains(text));
            // The second identity's file of foreign notes has one that no record names.
            let report = judged(&seal, &trusted);
            assert_eq!(report.verified(), is_text, "{path} {len} {:?}", report.refusals);
        }
    }
}

#[test]
fn a_forged_file_name_writes_nothing_on_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    files::write(&World::new().folder(), folder.path()).unwrap();
    fs::write(folder.path().join("data/x\nVERIFIED: \x1b[2J"), b"x").unwrap();
    let text = print::text(&verify(folder.path(), &World::published_key()));
    assert!(text.lines().all(|line| !line.starts_with("VERIFIED")), "{text}");
    assert!(!text.contains('\x1b'));
}
