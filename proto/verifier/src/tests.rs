//! A true bundle is verified; every way of bending one is refused, each with its own code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use custody::record::{GapReason, Record, Statement};
use custody::{Code, Digest, SecretKey, Seq, WallTime, bundle};

use crate::report::Report;
use crate::verify;
use forge::{Forge, lines};

mod forge;

type Payload = BTreeMap<String, Vec<u8>>;

fn verdict(forge: &Forge, payload: &Payload) -> Report {
    let folder = tempfile::tempdir().unwrap();
    forge.write(payload, folder.path());
    verify(folder.path(), &forge.trusted())
}

fn codes(report: &Report) -> Vec<Code> {
    report.codes().into_iter().collect()
}

#[test]
fn a_true_bundle_is_verified_and_says_what_it_proves() {
    let forge = Forge::new();
    let report = verdict(&forge, &forge.payload());
    assert!(report.verified(), "{:?}", report.refusals);
    assert_eq!(report.case.as_ref().unwrap().as_str(), "WH-2026-000001");
    let [camera] = &report.cameras[..] else { panic!("one camera") };
    // Asked: 8 s, of which the camera was unreachable for 2.
    assert!((camera.coverage.per_cent() - 75.0).abs() < f64::EPSILON);
    assert_eq!(camera.coverage.explained.len(), 1);
    assert_eq!(camera.coverage.explained[0].1, GapReason::CameraUnreachable);
    assert_eq!((camera.segments, camera.records, camera.frames), (2, 3, 200));
    assert_eq!(camera.clock_uncertainty_us, Some((900, 2_000)));
    let text = crate::print::text(&report);
    for due in [
        "WH-2026-000001",
        "75.00 % of the interval",
        "camera-unreachable",
        "0.900 to 2.000 ms",
        "not required, approved by d.mensah",
        "Analytics  none",
        "VERIFIED",
    ] {
        assert!(text.contains(due), "{due} in\n{text}");
    }
    let json = serde_json::to_value(report.to_json()).unwrap();
    assert_eq!(json["verdict"], "verified");
    assert_eq!(json["cameras"][0]["gaps"][0]["reason"], "camera-unreachable");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

#[test]
fn no_byte_of_a_bundle_can_be_altered() {
    let forge = Forge::new();
    let folder = tempfile::tempdir().unwrap();
    forge.write(&forge.payload(), folder.path());
    let trusted = forge.trusted();
    let mut flips = 0;
    for path in files(folder.path()) {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            // Each bit in its turn; 0x20 is the bit of case, which digests must not lose.
            let flip = if at % 2 == 0 { 0x20 } else { 1_u8 << (at / 2 % 8) };
            let mut bad = good.clone();
            bad[at] ^= flip;
            fs::write(&path, &bad).unwrap();
            let report = verify(folder.path(), &trusted);
            assert!(!report.verified(), "{} byte {at} ^ {flip:#x}", path.display());
            flips += 1;
        }
        fs::write(&path, good).unwrap();
    }
    assert!(flips > 5_000, "{flips}");
    assert!(verify(folder.path(), &trusted).verified(), "the files were put back");
}

#[test]
fn no_file_can_be_cut_removed_swapped_added_or_linked() {
    let forge = Forge::new();
    let folder = tempfile::tempdir().unwrap();
    forge.write(&forge.payload(), folder.path());
    let trusted = forge.trusted();
    let all = files(folder.path());
    let refused = |what: &str, path: &Path| {
        assert!(!verify(folder.path(), &trusted).verified(), "{what} {}", path.display());
    };
    for (index, path) in all.iter().enumerate() {
        let good = fs::read(path).unwrap();
        for len in [0, good.len() / 2, good.len() - 1] {
            fs::write(path, &good[..len]).unwrap();
            refused("cut", path);
        }
        fs::write(path, [&good[..], b"\n"].concat()).unwrap();
        refused("lengthened", path);
        fs::remove_file(path).unwrap();
        refused("removed", path);
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), path).unwrap();
        refused("linked to nothing", path);
        fs::remove_file(path).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("same"), &good).unwrap();
        std::os::unix::fs::symlink(outside.path().join("same"), path).unwrap();
        refused("linked to its like", path);
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        refused("made a folder", path);
        fs::remove_dir(path).unwrap();
        let other = &all[(index + 1) % all.len()];
        let others = fs::read(other).unwrap_or_default();
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
        assert!(codes(&report).contains(&Code::FileUnexpected), "{added}");
        fs::remove_file(path).unwrap();
    }
    assert!(verify(folder.path(), &trusted).verified(), "the files were put back");
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let forge = Forge::new();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(verify(&folder.path().join("none"), &forge.trusted()).verdict(), "bag-malformed");
    assert!(!verify(folder.path(), &forge.trusted()).verified());
    // Anyone may write any file; only what leads to a signature counts.
    let mut state = 7_u64;
    for path in forge.payload().into_keys() {
        for len in [0_usize, 1, 7, 8, 16, 100, 3_000] {
            let mut payload = forge.payload();
            let noise = (0..len).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            });
            payload.insert(path.clone(), noise.collect());
            let is_free_text = [bundle::REQUEST, bundle::AUDIT].contains(&path.as_str());
            assert_eq!(verdict(&forge, &payload).verified(), is_free_text, "{path} {len}");
        }
    }
}

/// Bends the parts before they are signed.
fn check_bent(bend: impl FnOnce(&mut Forge), expect: &[Code]) {
    let mut forge = Forge::new();
    let trusted = forge.trusted();
    bend(&mut forge);
    let folder = tempfile::tempdir().unwrap();
    forge.write(&forge.payload(), folder.path());
    assert_eq!(codes(&verify(folder.path(), &trusted)), expect);
}

/// Bends the files after the records are signed, and before the authority seals the bundle: what a
/// faulty or corrupt maker of bundles could do.
fn check_resealed(bend: impl FnOnce(&Forge, &mut Payload), expect: &[Code]) {
    let forge = Forge::new();
    let mut payload = forge.payload();
    bend(&forge, &mut payload);
    assert_eq!(codes(&verdict(&forge, &payload)), expect);
}

#[test]
fn what_the_recorder_signed_must_hold_together() {
    check_bent(|_| {}, &[]);
    check_bent(|f| f.segments[1].record.seq = Seq(3), &[Code::SequenceMissing]);
    check_bent(|f| f.gap.seq = Seq(0), &[Code::SequenceMissing, Code::SequenceRepeated]);
    check_bent(|f| f.gap.start = f.gap.start.plus_micros(-1), &[Code::TimeInconsistent]);
    check_bent(|f| f.gap.end = f.gap.end.plus_seconds(-1), &[Code::IntervalUncovered]);
    check_bent(|f| f.gap.end = f.gap.end.plus_micros(-900), &[]);
    check_bent(
        |f| f.gap.camera = "east/ext-02".parse().unwrap(),
        &sorted(&[Code::RecordMisplaced, Code::SequenceMissing, Code::IntervalUncovered]),
    );
    check_bent(|f| f.asked.to = f.asked.to.plus_seconds(60), &[Code::IntervalUncovered]);
    check_bent(|f| f.asked.from = f.asked.from.plus_seconds(-60), &[Code::IntervalUncovered]);
    check_bent(|f| f.asked.to = f.asked.from, &[Code::BundleStatementInvalid]);
    check_bent(|f| f.segments[0].record.init_sha256 = Digest::NONE, &[Code::InitAltered]);
    check_bent(|f| f.segments[0].record.fragments.count = 3, &[Code::SegmentTruncated]);
    check_bent(|f| f.segments[0].record.fragments.samples = 99, &[Code::FragmentAltered]);
    check_bent(|f| f.segments[0].record.end.0 += 5_000, &[Code::TimeInconsistent]);
    check_bent(
        |f| f.segments[0].fragments[1].0.info.start.0 += 5_000,
        &[Code::TimeInconsistent, Code::FragmentAltered],
    );
}

#[test]
fn keys_must_be_vouched_for_by_the_key_you_trust() {
    check_bent(
        |f| f.site_key = SecretKey::from_seed(&[9; 32]),
        &sorted(&[Code::KeyUnknown, Code::FileUnexpected, Code::IntervalUncovered]),
    );
    check_bent(
        |f| f.grant.not_before = WallTime(forge::START.0 + 5_000_000),
        &sorted(&[
            Code::KeyExpired,
            Code::IntervalUncovered,
            Code::FileUnexpected,
            Code::ViewAltered,
        ]),
    );
    check_bent(
        |f| f.grant.site = "west".parse().unwrap(),
        &sorted(&[
            Code::RecordMisplaced,
            Code::KeyUnknown,
            Code::FileUnexpected,
            Code::IntervalUncovered,
        ]),
    );
    check_bent(
        |f| f.grant.public_key = "00".repeat(32),
        &sorted(&[
            Code::KeyUntrusted,
            Code::KeyUnknown,
            Code::FileUnexpected,
            Code::IntervalUncovered,
        ]),
    );
    // Somebody else's bundle, whole in itself.
    check_bent(
        |f| f.authority = SecretKey::from_seed(&[9; 32]),
        &sorted(&[Code::KeyUntrusted, Code::KeyUnknown, Code::FileUnexpected]),
    );
}

fn sorted(codes: &[Code]) -> Vec<Code> {
    let mut codes = codes.to_vec();
    codes.sort();
    codes
}

#[test]
fn a_sealed_lie_about_the_masters_is_found() {
    check_resealed(|_, _| {}, &[]);
    check_resealed(
        |f, files| {
            files.remove(&bundle::master(&f.camera, Seq(0)));
        },
        &[Code::SegmentMissing],
    );
    check_resealed(
        |f, files| *files.get_mut(&bundle::init(&f.camera, Seq(0))).unwrap() = b"x".to_vec(),
        &[Code::InitAltered],
    );
    check_resealed(
        |f, files| {
            *files.get_mut(&bundle::master(&f.camera, Seq(0))).unwrap().last_mut().unwrap() ^= 1;
        },
        &[Code::FragmentAltered],
    );
    check_resealed(
        |f, files| files.get_mut(&bundle::master(&f.camera, Seq(0))).unwrap().truncate(30),
        &[Code::SegmentTruncated],
    );
    check_resealed(
        |f, files| files.get_mut(&bundle::master(&f.camera, Seq(0))).unwrap().push(0),
        &[Code::FragmentAltered],
    );
    check_resealed(
        |f, files| {
            let other = files[&bundle::master(&f.camera, Seq(2))].clone();
            files.insert(bundle::master(&f.camera, Seq(0)), other);
        },
        &[Code::FragmentAltered],
    );
    check_resealed(
        |f, files| {
            files.insert(bundle::disclosed(&f.camera, Seq(0)), b"[]".to_vec());
        },
        &[Code::TimeInconsistent, Code::SegmentTruncated, Code::FragmentAltered],
    );
    check_resealed(
        |f, files| {
            files.insert(bundle::master(&f.camera, Seq(7)), b"".to_vec());
        },
        &[Code::FileUnexpected],
    );
}

#[test]
fn a_sealed_lie_about_the_view_is_found() {
    let bend = |view: fn(&mut Vec<u8>), expect: &[Code]| {
        check_resealed(|f, files| view(files.get_mut(&bundle::view(&f.camera)).unwrap()), expect);
    };
    bend(|view| *view.last_mut().unwrap() ^= 1, &[Code::ViewAltered]);
    bend(|view| view.truncate(view.len() - 1), &[Code::ViewAltered]);
    bend(|view| view.extend(forge::a_box(b"mdat", b"more")), &[Code::ViewAltered]);
    bend(|view| view.extend(forge::a_box(b"uuid", b"more")), &[Code::ViewAltered]);
    bend(Vec::clear, &[Code::ViewAltered]);
    check_resealed(
        |f, files| {
            files.remove(&bundle::view(&f.camera));
        },
        &[Code::FileMissing],
    );
}

#[test]
fn a_sealed_lie_about_the_chain_is_found() {
    let without = |index: usize| {
        move |f: &Forge, files: &mut Payload| {
            let mut records = f.records();
            records.remove(index);
            files.insert(bundle::records(&f.camera), lines(&records));
        }
    };
    let without_segment =
        sorted(&[Code::FileUnexpected, Code::ViewAltered, Code::IntervalUncovered]);
    check_resealed(without(0), &without_segment);
    check_resealed(without(1), &[Code::SequenceMissing, Code::IntervalUncovered]);
    check_resealed(without(2), &without_segment);
    check_resealed(
        |f, files| {
            let mut records = f.records();
            // The same gap, told again with another reason: signed by the site, and not in place.
            let mut gap = f.gap.clone();
            gap.reason = GapReason::DiscFull;
            gap.prev = records[0].digest();
            records[1] = Record::Other(Statement::Gap(gap)).sign(&f.site_key);
            files.insert(bundle::records(&f.camera), lines(&records));
        },
        &[Code::ChainBroken],
    );
    check_resealed(
        |f, files| {
            files.insert(bundle::records(&f.camera), Vec::new());
        },
        &sorted(&[Code::FileUnexpected, Code::IntervalUncovered]),
    );
    check_resealed(
        |f, files| {
            let long = vec![b'x'; 3 << 20];
            files.insert(bundle::records(&f.camera), long);
        },
        &sorted(&[Code::RecordMalformed, Code::FileUnexpected, Code::IntervalUncovered]),
    );
}

#[test]
fn the_statement_must_be_about_this_bundle() {
    let forge = Forge::new();
    let payload = forge.payload();
    let check = |statement: Statement, key: &SecretKey, expect: Code| {
        let folder = tempfile::tempdir().unwrap();
        let seal = Record::Other(statement).sign(key);
        forge::write_with(&payload, seal.bytes(), folder.path());
        let report = verify(folder.path(), &forge.trusted());
        assert_eq!(codes(&report), [expect]);
        assert!(report.case.is_none(), "an unproved case is not named");
    };
    let seal = forge.seal(&forge::manifest(&payload));
    let mut other = seal.clone();
    other.payload_manifest_sha256 = Digest::of(b"another");
    check(Statement::Bundle(other), &forge.authority, Code::BundleStatementInvalid);
    check(Statement::Gap(forge.gap.clone()), &forge.authority, Code::BundleStatementInvalid);
    check(Statement::Bundle(seal), &forge.site_key, Code::KeyUntrusted);
}

#[test]
fn a_camera_is_neither_left_out_nor_added() {
    let forge = Forge::new();
    let payload = forge.payload();
    let check = |cameras: &[&str], expect: &[Code]| {
        let folder = tempfile::tempdir().unwrap();
        let mut seal = forge.seal(&forge::manifest(&payload));
        seal.cameras = cameras.iter().map(|c| c.parse().unwrap()).collect();
        let seal = Record::Other(Statement::Bundle(seal)).sign(&forge.authority);
        forge::write_with(&payload, seal.bytes(), folder.path());
        assert_eq!(codes(&verify(folder.path(), &forge.trusted())), expect);
    };
    check(&["east/ext-01"], &[]);
    check(&["east/ext-01", "east/ext-02"], &sorted(&[Code::FileMissing, Code::IntervalUncovered]));
    check(
        &["east/ext-02"],
        &sorted(&[Code::RecordMisplaced, Code::FileMissing, Code::IntervalUncovered]),
    );
}

#[test]
fn a_forged_file_name_writes_nothing_on_the_screen() {
    let forge = Forge::new();
    let folder = tempfile::tempdir().unwrap();
    forge.write(&forge.payload(), folder.path());
    fs::write(folder.path().join("data/x\nVERIFIED: \x1b[2J"), b"x").unwrap();
    let text = crate::print::text(&verify(folder.path(), &forge.trusted()));
    assert!(text.lines().all(|line| !line.starts_with("VERIFIED")), "{text}");
    assert!(!text.contains('\x1b'));
}
