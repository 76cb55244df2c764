//! From real clips to a bundle that is verified, plays, and is refused when it is bent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use custody::sealing::Key;
use custody::{CaseId, Code, Digest, SecretKey, Seq, WallTime};
use verifier::verify;

use super::*;
use recorder::Recorder;

mod logs;
mod recorder;

/// 2026-11-21T14:00:00Z.
const START: WallTime = WallTime(1_795_269_600_000_000);

/// A folder of its own that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bundle-{name}-{}", std::process::id()));
        let _none = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _kept = fs::remove_dir_all(&self.0);
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {told}");
    format!("{}{told}", String::from_utf8_lossy(&out.stdout))
}

/// A clip as an init section and one fragment per GOP of 2 s, frames untouched.
fn fragmented(codec: &str, folder: &Path) -> (Vec<u8>, Vec<Vec<u8>>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let clip = root.join(format!("tests/footage/walkway-{codec}.mp4"));
    let out = folder.join(format!("{codec}.mp4"));
    let tag = if codec == "h265" { "hvc1" } else { "avc1" };
    run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-y",
            "-i",
            clip.to_str().unwrap(),
            "-c",
            "copy",
            "-tag:v",
            tag,
            "-video_track_timescale",
            "90000",
            "-movflags",
            "frag_keyframe+empty_moov+default_base_moof",
            out.to_str().unwrap(),
        ],
    );
    let bytes = fs::read(out).unwrap();
    let (mut init, mut fragments, mut at) = (Vec::new(), Vec::<Vec<u8>>::new(), 0);
    while at < bytes.len() {
        let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let whole = &bytes[at..at + len];
        match &bytes[at + 4..at + 8] {
            b"ftyp" | b"moov" => init.extend_from_slice(whole),
            b"moof" => fragments.push(whole.to_vec()),
            b"mdat" => fragments.last_mut().unwrap().extend_from_slice(whole),
            _ => {}
        }
        at += len;
    }
    assert_eq!(fragments.len(), 10, "20 s of GOPs of 2 s");
    (init, fragments)
}

/// An order for these parts, from 14:00:03 on.
fn order<'a>(
    case: &'a CaseId,
    authority: &'a SecretKey,
    recorder: &Recorder,
    to_s: i64,
) -> Order<'a> {
    let audit = audit();
    Order {
        case,
        exhibit: "WH-2026-000001/1",
        cameras: vec![recorder.part()],
        span: Span { from: START.plus_seconds(3), to: START.plus_seconds(to_s) },
        request_json: b"{\"purpose\":\"crime\"}\n".to_vec(),
        proofs: logs::proofs(recorder, authority, &audit),
        audit,
        signer: None,
        authority,
        now: START.plus_seconds(3_600),
    }
}

/// Two steps of the case, as they lie in the controller's log.
fn audit() -> Vec<AuditEntry> {
    let line = |position: u64, actor: &str, event: &str| AuditEntry {
        position,
        salt: Some(Digest::of(event.as_bytes())),
        body: format!(
            r#"{{"at":"2026-11-21T14:{position:02}:00.000000Z","actor":"{actor}","event":"{event}",
            "reason":"<burglary>","purpose":"crime","body":{{"case":"WH-2026-000001"}}}}"#
        )
        .replace('\n', "")
        .into_bytes(),
    };
    vec![line(3, "t.okafor", "evidence-requested"), line(5, "a.bell", "case-approved")]
}

fn case() -> CaseId {
    "WH-2026-000001".parse().unwrap()
}

/// Footage 0 to 8 s, a gap to 14 s, footage to 26 s.
fn with_a_gap(codec: &str, folder: &Path) -> Recorder {
    let (init, gops) = fragmented(codec, folder);
    let mut recorder = Recorder::new("east/ext-01", folder);
    recorder.segment(0, &init, &gops[..4]);
    recorder.gap(8, 14);
    recorder.segment(14, &init, &gops[4..]);
    recorder
}

fn probe(view: &Path, entries: &str) -> String {
    let view = view.to_str().unwrap();
    run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            "v:0",
            "-show_entries",
            entries,
            "-of",
            "default=nw=1:nk=1",
            view,
        ],
    )
}

#[test]
fn a_bundle_of_either_codec_is_verified_and_plays_as_it_was_recorded() {
    for codec in ["h264", "h265"] {
        let work = Folder::new(codec);
        let recorder = with_a_gap(codec, &work.0);
        let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
        let folder = work.0.join("WH-2026-000001");
        let built = build(&order(&case, &authority, &recorder, 20), &folder).unwrap();

        let report = verify(&folder, &authority.public());
        assert!(report.verified(), "{}", verifier::print::text(&report));
        let camera = &report.cameras[0];
        assert_eq!((camera.segments, camera.fragments, camera.frames), (2, 10, 500));
        // 17 s asked, of which 6 are a signed gap.
        assert!((camera.coverage.per_cent() - 64.70).abs() < 0.001, "{:?}", camera.coverage);
        assert_eq!(built.bytes, report.bytes + tag_manifest_bytes(&folder));

        let view = folder.join("data/view/east/ext-01.mp4");
        // From 14:00:03 to 14:00:20: 5 s of footage, 6 s in which the last picture stands still, 6 s
        // of footage. What is decoded before the start is not shown.
        assert_eq!(probe(&view, "stream=nb_read_frames"), "275\n");
        assert_eq!(probe(&view, "stream=duration"), "17.000000\n");
        let times = shown(&view);
        let at = |index: usize, seconds: f64| (times[index] - seconds).abs() < 1e-4;
        assert!(at(0, 0.0) && at(124, 4.96) && at(125, 11.0) && at(274, 16.96), "{times:?}");
        let made = probe(&view, "format_tags=creation_time");
        assert!(made.starts_with("2026-11-21T14:00:03.000000Z"), "{made}");
        let decoded = run(
            "ffmpeg",
            &["-v", "error", "-xerror", "-i", view.to_str().unwrap(), "-f", "null", "-"],
        );
        assert_eq!(decoded, "", "ffmpeg finds nothing to complain of");
    }
}

/// When each picture that is shown begins to be shown.
fn shown(view: &Path) -> Vec<f64> {
    let told = probe(view, "frame=best_effort_timestamp_time");
    told.lines().filter_map(|line| line.trim_end_matches('|').parse().ok()).collect()
}

/// The tag manifest is the one file that no manifest names.
fn tag_manifest_bytes(folder: &Path) -> u64 {
    fs::metadata(folder.join(bundle::TAG_MANIFEST)).unwrap().len()
}

/// The decoded pictures' digests, one a line.
fn pictures(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let told = run(
        "ffmpeg",
        &["-v", "error", "-i", path, "-f", "framehash", "-fps_mode", "passthrough", "-"],
    );
    let lines = told.lines().filter(|line| line.starts_with("0,"));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

#[test]
fn the_copy_shows_the_clips_own_pictures_through_a_change_of_stream() {
    let work = Folder::new("change");
    let (init, gops) = fragmented("h264", &work.0);
    // Another encoder's parameters: the camera was set to a smaller picture.
    let small = work.0.join("small-src.mp4");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-y",
            "-i",
            root.join("tests/footage/walkway-h264.mp4").to_str().unwrap(),
            "-t",
            "4",
            "-vf",
            "scale=320:240",
            "-c:v",
            "libx264",
            "-g",
            "50",
            "-bf",
            "0",
            "-sc_threshold",
            "0",
            "-video_track_timescale",
            "90000",
            "-movflags",
            "frag_keyframe+empty_moov+default_base_moof",
            small.to_str().unwrap(),
        ],
    );
    let bytes = fs::read(&small).unwrap();
    let moofs = verifier::boxes::payloads_in(&bytes, b"moof").unwrap();
    let mdats = verifier::boxes::payloads_in(&bytes, b"mdat").unwrap();
    let small_init = bytes[..moofs[0].start - 8].to_vec();
    let small_gops: Vec<_> = moofs
        .iter()
        .zip(&mdats)
        .map(|(moof, mdat)| bytes[moof.start - 8..mdat.end].to_vec())
        .collect();
    assert_eq!(small_gops.len(), 2);

    let mut recorder = Recorder::new("east/ext-01", &work.0);
    recorder.segment(0, &init, &gops[..2]);
    recorder.segment(4, &small_init, &small_gops);
    recorder.segment(8, &init, &gops[2..4]);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    build(&order(&case, &authority, &recorder, 12), &folder).unwrap();
    assert!(verify(&folder, &authority.public()).verified());
    let view = folder.join("data/view/east/ext-01.mp4");
    // With other parameters on the way, the copy begins with its first picture.
    let shown = pictures(&view);
    let clip = pictures(&work.0.join("h264.mp4"));
    assert_eq!(shown.len(), 300);
    assert_eq!((&shown[..100], &shown[200..]), (&clip[..100], &clip[100..200]));
}

#[test]
fn the_subtitle_tells_each_second_and_the_playlist_plays_the_masters() {
    let work = Folder::new("words");
    let recorder = with_a_gap("h264", &work.0);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    build(&order(&case, &authority, &recorder, 20), &folder).unwrap();
    let view = folder.join("data/view/east/ext-01.mp4");
    let told = run("ffmpeg", &["-v", "error", "-i", view.to_str().unwrap(), "-f", "srt", "-"]);
    let cues: Vec<_> = told.split("\n\n").filter(|cue| !cue.trim().is_empty()).collect();
    assert_eq!(cues.len(), 17, "{told}");
    assert!(cues[0].contains("00:00:00,000 --> 00:00:01,000"), "{told}");
    assert!(cues[0].contains("2026-11-21 14:00:03 UTC"), "{told}");
    assert!(cues[0].contains("2026-11-21 14:00:03 GMT (UTC+00:00)"), "{told}");
    let missing: Vec<_> = cues.iter().map(|cue| cue.contains("camera-unreachable")).collect();
    let expect: Vec<_> = (3..20).map(|second| (8..14).contains(&second)).collect();
    assert_eq!(missing, expect, "{told}");

    let masters = folder.join("data/master/east/ext-01/index.m3u8");
    let text = fs::read_to_string(&masters).unwrap();
    assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T14:00:14.000000Z"), "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "one init for both segments: {text}");
    assert_eq!(pictures(&masters), pictures(&work.0.join("h264.mp4")));
}

#[test]
fn a_copy_that_cannot_be_signed_is_bundled_and_the_sealed_payload_says_so() {
    let work = Folder::new("unsigned");
    let recorder = with_a_gap("h264", &work.0);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    let mut made = order(&case, &authority, &recorder, 20);
    let signer = |program: &str| Signer {
        program: program.into(),
        certificate: work.0.join("copies.pem"),
        key: work.0.join("copies.key"),
    };
    // One that fails, one that is not there, one that says it has signed and has not.
    for program in ["/bin/false", "/nowhere/c2pa-sign", "/bin/true"] {
        made.signer = Some(signer(program));
        build(&made, &folder).unwrap();
        assert!(verify(&folder, &authority.public()).verified());
        for text in ["data/report/statement-draft.txt", "data/custody/custody.html"] {
            let text = fs::read_to_string(folder.join(text)).unwrap();
            assert!(text.contains("data/view/east/ext-01.mp4 carries no C2PA manifest"), "{text}");
        }
        let mut in_view = fs::read_dir(folder.join("data/view/east")).unwrap();
        assert_eq!(in_view.next().unwrap().unwrap().file_name(), "ext-01.mp4");
        assert!(in_view.next().is_none(), "nothing half-made is left");
    }
}

#[test]
fn a_camera_without_footage_has_its_reasons_bundled() {
    let work = Folder::new("bare");
    let mut recorder = Recorder::new("east/int-02", &work.0);
    recorder.gap(0, 30);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    build(&order(&case, &authority, &recorder, 20), &folder).unwrap();
    let report = verify(&folder, &authority.public());
    assert!(report.verified(), "{:?}", report.refusals);
    assert!(!folder.join("data/view/east/int-02.mp4").exists());
    assert!(report.coverage_per_cent().abs() < f64::EPSILON);
}

#[test]
fn a_bundle_is_whole_or_not_there_and_can_be_made_again() {
    let work = Folder::new("atomic");
    let recorder = with_a_gap("h264", &work.0);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    let made = order(&case, &authority, &recorder, 20);

    // Left by runs that the power ended: a half-made folder, and a whole one not yet in the log.
    fs::create_dir_all(work.0.join(".bundle.making/data")).unwrap();
    fs::create_dir_all(folder.join("data")).unwrap();
    fs::write(folder.join("data/old"), b"old").unwrap();
    build(&made, &folder).unwrap();
    assert!(verify(&folder, &authority.public()).verified());
    assert!(!work.0.join(".bundle.making").exists());

    let sealed = &recorder.segments[1].1;
    let good = fs::read(sealed).unwrap();
    let other = work.0.join("other");
    let check = |bytes: &[u8], code: Code| {
        fs::write(sealed, bytes).unwrap();
        let Err(BundleError::Segment { refusal, seq, .. }) = build(&made, &other) else {
            panic!("{code} was bundled");
        };
        assert_eq!((refusal.code(), seq), (code, Seq(9)));
        assert!(!other.exists() && !work.0.join(".other.making").exists());
    };
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    check(&bad, Code::FragmentAltered);
    check(&good[..good.len() / 2], Code::SegmentTruncated);
    check(b"not a segment", Code::SealedMalformed);
    check(&fs::read(&recorder.segments[0].1).unwrap(), Code::RecordMisplaced);
    fs::write(sealed, &good).unwrap();

    let mut wrong_key = order(&case, &authority, &recorder, 20);
    wrong_key.cameras[0].segments[1].key = Key::new([99; 32]);
    let Err(BundleError::Segment { refusal, .. }) = build(&wrong_key, &other) else {
        panic!("a wrong key opened a segment");
    };
    assert_eq!(refusal.code(), Code::SealBroken);

    let mut without = order(&case, &authority, &recorder, 20);
    without.cameras[0].segments.pop();
    assert!(matches!(build(&without, &other), Err(BundleError::Order { .. })));
    let mut no_grant = order(&case, &authority, &recorder, 20);
    no_grant.proofs.sites[0].grants.clear();
    assert!(matches!(build(&no_grant, &other), Err(BundleError::Order { .. })));
    assert!(!other.exists());
}

#[test]
fn whoever_bends_a_bundle_is_told_what_is_bent() {
    let work = Folder::new("bent");
    let recorder = with_a_gap("h264", &work.0);
    let (case, authority) = (case(), SecretKey::from_seed(&[1; 32]));
    let folder = work.0.join("bundle");
    let made = order(&case, &authority, &recorder, 20);
    let camera = "east/ext-01";
    let check = |what: &str, bend: &dyn Fn(&Path), expect: &[Code]| {
        build(&made, &folder).unwrap();
        bend(&folder);
        let report = verify(&folder, &authority.public());
        let codes = report.codes();
        for code in expect {
            assert!(codes.contains(code), "{what}: {codes:?}");
        }
        assert!(!codes.is_empty(), "{what}");
    };
    let flip = |path: String, at: usize| {
        move |folder: &Path| {
            let path = folder.join(&path);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    };
    let master = format!("data/master/{camera}/0000000007");
    check(
        "a master's picture",
        &flip(format!("{master}.m4s"), 9_000),
        &[Code::FileAltered, Code::FragmentAltered],
    );
    check(
        "a picture in the view",
        &flip(format!("data/view/{camera}.mp4"), 100_000),
        &[Code::FileAltered, Code::ViewAltered],
    );
    check(
        "the init",
        &flip(format!("data/master/{camera}/init-0000000007.mp4"), 40),
        &[Code::FileAltered, Code::InitAltered],
    );
    check(
        "the records",
        &flip(format!("data/proof/{camera}/records.dsse.jsonl"), 300),
        &[Code::FileAltered],
    );
    check("the request", &flip(bundle::REQUEST.into(), 3), &[Code::FileAltered]);
    check("the manifest", &flip(bundle::MANIFEST.into(), 3), &[Code::BundleStatementInvalid]);
    check("the read-me", &flip(bundle::READ_ME.into(), 3), &[Code::FileAltered]);
    check(
        "a torn master",
        &|folder| {
            let path = folder.join(format!("{master}.m4s"));
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 10]).unwrap();
        },
        &[Code::FileAltered, Code::SegmentTruncated],
    );
    check(
        "a lost master",
        &|folder| {
            fs::remove_file(folder.join(format!("{master}.m4s"))).unwrap();
        },
        &[Code::FileMissing, Code::SegmentMissing],
    );
    check(
        "an added file",
        &|folder| fs::write(folder.join("data/x.mp4"), b"x").unwrap(),
        &[Code::FileUnexpected],
    );
}
