//! Footage is cut without losing or moving a frame.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::camera::clip::{Clip, START};
use crate::camera::{Frame, Reason, stream};
use crate::mask::{NoMask, pass_unmasked};

fn cutter(segment_s: u32) -> Cutter {
    Cutter::new(&"east/ext-01".parse().unwrap(), Settings { segment_s })
}

fn clean(frame: Frame) -> CleanFrame {
    pass_unmasked(frame, &NoMask::approved_by("dpo").unwrap())
}

/// Cuts all frames and finishes.
fn cut(mut cutter: Cutter, frames: impl IntoIterator<Item = Frame>) -> Vec<Output> {
    let mut outputs: Vec<_> =
        frames.into_iter().flat_map(|frame| cutter.handle_frame(clean(frame))).collect();
    outputs.extend(cutter.handle_cut(CloseReason::Finished));
    outputs
}

fn fragments(outputs: &[Output]) -> Vec<&Fragment> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Fragment(fragment) => Some(fragment),
            _ => None,
        })
        .collect()
}

/// The events in words: `open`, number of samples, reason of closing.
fn story(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| match output {
            Output::Open { skipped: 0, .. } => "open".to_owned(),
            Output::Open { skipped, .. } => format!("open after {skipped}"),
            Output::Fragment(f) if f.sync() => f.samples().to_string(),
            Output::Fragment(f) => format!("{} more", f.samples()),
            Output::Close { reason, .. } => reason.code().to_owned(),
            Output::Refused { .. } => "refused".to_owned(),
        })
        .collect()
}

/// Holds what must hold of any footage: fragments tile their segment, and everything is in order.
fn check(outputs: &[Output]) {
    let mut open: Option<(WallTime, WallTime, u64, u32)> = None;
    for output in outputs {
        match output {
            Output::Open { start, .. } => {
                assert!(open.is_none(), "two segments at once");
                open = Some((*start, *start, 0, 0));
            }
            Output::Fragment(f) => {
                let (_, at, ticks, number) = open.as_mut().expect("a fragment in no segment");
                assert_eq!((f.start(), f.media_ticks(), f.number()), (*at, *ticks, *number + 1));
                assert!(f.end() >= f.start() && f.samples() > 0);
                (*at, *ticks, *number) =
                    (f.end(), f.media_ticks() + f.duration_ticks(), f.number());
            }
            Output::Close { start, end, .. } => {
                let (began, at, ..) = open.take().expect("closed twice");
                assert_eq!((began, at), (*start, *end));
            }
            Output::Refused { .. } => assert!(open.is_none()),
        }
    }
    assert!(open.is_none(), "a segment was left open");
}

/// The samples' bytes of every fragment, end to end, by the boxes' own account.
fn media(fragments: &[&Fragment]) -> Vec<u8> {
    let mut out = Vec::new();
    for fragment in fragments {
        let bytes = fragment.bytes();
        let moof = usize::try_from(u32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap();
        assert_eq!(&bytes[moof + 4..moof + 8], b"mdat");
        out.extend_from_slice(&bytes[moof + 8..]);
    }
    out
}

fn run(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_players_file_comes_back_byte_for_byte() {
    for clip in [Clip::h264(), Clip::h265()] {
        let outputs = cut(cutter(600), clip.frames.clone());
        check(&outputs);
        assert_eq!(story(&outputs).join(" "), "open 50 50 50 50 50 50 50 50 50 50 finished");
        let fragments = fragments(&outputs);
        let kept = media(&fragments);
        let sent: Vec<u8> = clip.frames.iter().flat_map(|f| f.data.iter().copied()).collect();
        assert!(kept == sent, "media bytes differ");
        assert!(stream::nal_units(&kept).count() >= 500);

        let Output::Open { init, .. } = &outputs[0] else { panic!("no init") };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("segment.mp4");
        let whole: Vec<u8> =
            init.iter().copied().chain(fragments.iter().flat_map(|f| f.bytes())).collect();
        std::fs::write(&file, whole).unwrap();
        let probe = ["-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries"];
        let wanted = "stream=width,height,nb_read_frames:format=duration";
        let seen = run("ffprobe", &[&probe[..], &[wanted]].concat(), &file);
        assert_eq!(seen.replace('\n', " ").trim(), "960,720,500 20.000000");
        // One fragment alone, from the middle, plays after the init.
        let alone = [&init[..], &fragments[4].bytes()].concat();
        std::fs::write(&file, alone).unwrap();
        let seen = run("ffprobe", &[&probe[..], &["stream=nb_read_frames"]].concat(), &file);
        assert_eq!(seen.trim(), "50");
    }
}

#[cfg(feature = "media")]
#[test]
fn masked_footage_plays_and_another_mask_is_a_new_segment() {
    use crate::camera::Event;
    let clip = Clip::h265();
    let mut outputs = Vec::new();
    let mut cutter = cutter(600);
    for (revision, frames) in [(1, &clip.frames[..50]), (2, &clip.frames[50..100])] {
        let zone = vec![[0.2, 0.2], [0.6, 0.2], [0.6, 0.6]].try_into().unwrap();
        let policy = mask::Policy {
            policy_id: "east-ext-01".to_owned(),
            revision,
            approved_by: "dpo".to_owned(),
            zones: vec![zone],
            colour: mask::Colour::BLACK,
        };
        let (fatal, _told) = tokio::sync::mpsc::channel(1);
        let clock = host::Clock::system();
        let pool = mask::Pool::open(&mask::Settings::default(), 1, &clock, &fatal);
        let mut pipeline = pool.start("east/ext-01", policy).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for frame in frames {
            runtime.block_on(pipeline.feeder.feed(Event::Frame(frame.clone()))).unwrap();
        }
        drop(pipeline.feeder);
        while let Some(output) = pipeline.outputs.blocking_recv() {
            outputs.extend(cutter.handle(output));
        }
    }
    outputs.extend(cutter.handle_cut(CloseReason::Finished));
    check(&outputs);
    assert_eq!(story(&outputs), ["open", "50", "mask", "open", "50", "finished"]);
    let Output::Open { init, applied, parameters, .. } = &outputs[3] else { panic!("no init") };
    assert_eq!(applied.as_ref().unwrap().revision, 2);
    assert_eq!((parameters.width, parameters.height), (960, 720));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("masked.mp4");
    std::fs::write(&file, [&init[..], &fragments(&outputs)[1].bytes()].concat()).unwrap();
    let wanted = "stream=codec_name,width,height,nb_read_frames";
    let args = ["-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries", wanted];
    assert_eq!(run("ffprobe", &args, &file).trim(), "h264,960,720,50");
}

#[test]
fn a_segment_closes_at_the_first_key_frame_after_its_time() {
    let mut cutter = cutter(6);
    cutter.session_begins = false;
    let outputs = cut(cutter, Clip::h264().frames);
    check(&outputs);
    let expect = "open 50 50 50 full open 50 50 50 full open 50 50 50 full open 50 finished";
    assert_eq!(story(&outputs).join(" "), expect);
    let Some(Output::Close { start, end, .. }) = outputs.last() else { panic!("not closed") };
    assert_eq!((start.0 - START.0, end.0 - START.0), (18_000_000, 20_000_000));
}

#[test]
fn cameras_that_start_together_do_not_rotate_together() {
    let ends: std::collections::BTreeSet<_> = (0..268)
        .map(|n| {
            let camera = format!("east/ext-{n}").parse().unwrap();
            let cutter = Cutter::new(&camera, Settings::default());
            assert!((6 * 90_000..=60 * 90_000).contains(&cutter.first_segment_ticks));
            assert_eq!(cutter.segment_ticks, 60 * 90_000);
            cutter.first_segment_ticks / 90_000
        })
        .collect();
    assert!(ends.len() > 40, "only {} different seconds", ends.len());
}

#[test]
fn frames_before_the_first_key_frame_are_counted_and_not_kept() {
    let outputs = cut(cutter(600), Clip::h264().frames.into_iter().skip(10).take(90));
    check(&outputs);
    assert_eq!(story(&outputs), ["open after 40", "50", "finished"]);
}

#[test]
fn whatever_interrupts_closes_the_segment_and_awaits_a_key_frame() {
    let frames = Clip::h264().frames;
    let down = || mask::Output::Down { reason: Reason::Stalled, detail: String::new(), at: START };
    for (event, expect) in [
        (mask::Output::Overrun { frames: 3 }, "overrun"),
        (mask::Output::MaskFailed { detail: String::new(), at: START }, "mask-failed"),
        (mask::Output::LeftOut { frames: 3, detail: String::new() }, "mask-overload"),
        (down(), "down"),
    ] {
        let mut cutter = cutter(600);
        let mut outputs = Vec::new();
        for frame in &frames[..70] {
            outputs.extend(cutter.handle(mask::Output::Frame(clean(frame.clone()))));
        }
        assert_eq!(cutter.open_since(), Some(START));
        outputs.extend(cutter.handle(event));
        assert_eq!(cutter.open_since(), None);
        for frame in &frames[80..150] {
            outputs.extend(cutter.handle(mask::Output::Frame(clean(frame.clone()))));
        }
        outputs.extend(cutter.handle(down()));
        check(&outputs);
        assert_eq!(story(&outputs), ["open", "50", "20", expect, "open after 20", "50", "down"]);
        let Output::Close { end, .. } = outputs[3] else { panic!("not closed") };
        assert_eq!(end, frames[70].wall, "the last frame lasts as long as the one before");
    }
}

#[test]
fn a_jump_splits_the_segment_and_throws_nothing_away() {
    let frames = Clip::h264().frames;
    let (mut cutter, mut outputs) = (cutter(600), Vec::new());
    for (n, frame) in frames[..150].iter().enumerate() {
        if n == 70 {
            let (from, to) = (frame.wall, frame.wall.plus_seconds(9));
            outputs.extend(cutter.handle(mask::Output::Jump { from, to }));
        }
        outputs.extend(cutter.handle(mask::Output::Frame(clean(frame.clone()))));
    }
    outputs.extend(cutter.handle_cut(CloseReason::Finished));
    check(&outputs);
    let expect = ["open", "50", "20", "jump", "open", "30 more", "50", "finished"];
    assert_eq!(story(&outputs), expect);
    // Both segments' pictures, end to end, are the camera's.
    let sent: Vec<u8> = frames[..150].iter().flat_map(|f| f.data.iter().copied()).collect();
    assert!(media(&fragments(&outputs)) == sent, "media bytes differ");
}

#[test]
fn a_gop_of_ten_seconds_is_five_fragments_of_two() {
    let mut frames = Clip::h264().frames;
    for (n, frame) in frames.iter_mut().enumerate() {
        frame.key = n % 250 == 0;
    }
    let outputs = cut(cutter(600), frames);
    check(&outputs);
    let parts = "50 50 more 50 more 50 more 50 more";
    assert_eq!(story(&outputs).join(" "), format!("open {parts} {parts} finished"));
    for fragment in fragments(&outputs) {
        assert_eq!(fragment.duration_us(), 2_000_000, "what a power cut may lose");
    }
}

#[test]
fn a_hole_in_the_media_time_is_never_played_over() {
    let mut frames = Clip::h264().frames;
    for frame in &mut frames[70..] {
        frame.pts += 4 * TICKS_PER_SECOND;
        frame.wall = frame.wall.plus_seconds(4);
    }
    let outputs = cut(cutter(600), frames.into_iter().take(150));
    check(&outputs);
    assert_eq!(
        story(&outputs),
        ["open", "50", "20", "gap", "open", "30 more", "50", "finished"],
        "what follows a pause is kept, though it does not begin with a key frame"
    );
}

#[test]
fn new_parameters_are_a_new_segment() {
    let mut frames = Clip::h264().frames;
    let other = Arc::clone(&Clip::h265().parameters);
    for frame in &mut frames[100..] {
        frame.parameters = Arc::clone(&other);
    }
    let outputs = cut(cutter(600), frames.into_iter().take(150));
    check(&outputs);
    let expect = ["open", "50", "50", "parameters", "open", "50", "finished"];
    assert_eq!(story(&outputs), expect);
    let inits: Vec<_> = outputs
        .iter()
        .filter_map(|o| if let Output::Open { init, .. } = o { Some(init) } else { None })
        .collect();
    assert_ne!(inits[0], inits[1]);
}

#[test]
fn a_gop_without_end_is_cut_by_time_and_by_size_and_at_last_given_up() {
    let mut frames = Clip::h264().frames;
    for frame in &mut frames[1..] {
        frame.key = false;
    }
    let outputs = cut(cutter(600), frames.clone());
    check(&outputs);
    let parts = ["50 more"; 9].join(" ");
    assert_eq!(story(&outputs).join(" "), format!("open 50 {parts} finished"), "2 s each");

    let big = Bytes::from(vec![0; 6 << 20]);
    let large = frames.iter().take(5).map(|f| Frame { data: big.clone(), ..f.clone() });
    let outputs = cut(cutter(600), large);
    check(&outputs);
    assert_eq!(story(&outputs), ["open", "2", "2 more", "1 more", "finished"]);

    let slow = frames.iter().enumerate().map(|(i, f)| {
        let s = i64::try_from(i).unwrap();
        Frame { pts: s * TICKS_PER_SECOND, wall: START.plus_seconds(s), ..f.clone() }
    });
    let outputs = cut(cutter(1), slow);
    check(&outputs);
    // A segment in which no key frame comes ends all the same, and the next goes on from there.
    let ends = story(&outputs).iter().filter(|what| *what == "overtime").count();
    assert_eq!(ends, 11, "{:?}", story(&outputs));
    assert_eq!(fragments(&outputs).iter().map(|f| f.samples()).sum::<u32>(), 500);
}

#[test]
fn parameters_that_make_no_init_are_refused_and_nothing_is_kept() {
    let clip = Clip::h264();
    let bad = Arc::new(Parameters { decoder_config: Bytes::new(), ..(*clip.parameters).clone() });
    let frames = clip.frames.into_iter().take(60);
    let outputs = cut(cutter(600), frames.map(|f| Frame { parameters: Arc::clone(&bad), ..f }));
    check(&outputs);
    assert_eq!(story(&outputs), ["refused", "refused"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_frame_is_lost_or_kept_twice_and_times_tile(
        // (ticks to the next frame, key, an interruption before it)
        plan in prop::collection::vec((0i64..20_000, prop::bool::weighted(0.1), prop::bool::weighted(0.03)), 1..300),
        segment_s in 1u32..8,
    ) {
        let parameters = Clip::parameters_h264();
        let (mut cutter, mut outputs) = (cutter(segment_s), Vec::new());
        let (mut pts, mut expect, mut awaiting) = (0, Vec::new(), true);
        for (i, (step, key, interrupted)) in (0u32..).zip(plan) {
            if interrupted {
                outputs.extend(cutter.handle_cut(CloseReason::Overrun));
                awaiting = true;
            }
            awaiting &= !key;
            if !awaiting {
                expect.extend(i.to_be_bytes());
            }
            let wall = START.plus_micros(ticks_to_us(pts));
            let data = Bytes::copy_from_slice(&i.to_be_bytes());
            let parameters = Arc::clone(&parameters);
            let (lost, camera_offset_ms) = (1, None);
            let frame =
                Frame { pts, wall, arrived: wall, key, data, parameters, lost, camera_offset_ms };
            outputs.extend(cutter.handle_frame(clean(frame)));
            pts += step;
        }
        outputs.extend(cutter.handle_cut(CloseReason::Finished));
        check(&outputs);
        let fragments = fragments(&outputs);
        prop_assert_eq!(media(&fragments), expect.clone());
        let samples: u64 = fragments.iter().map(|f| u64::from(f.samples())).sum();
        prop_assert_eq!(samples * 4, expect.len() as u64);
        prop_assert_eq!(fragments.iter().map(|f| f.lost()).sum::<u64>(), samples);
    }

    #[test]
    fn frames_out_of_order_keep_their_own_times(backs in prop::collection::vec(0i64..4, 2..60)) {
        let parameters = Clip::parameters_h264();
        let (mut cutter, mut outputs, mut wall) = (cutter(60), Vec::new(), START);
        let pts: Vec<i64> = (0i64..).zip(&backs).map(|(i, back)| (i - back).max(0) * 3600).collect();
        for (i, pts) in pts.iter().enumerate() {
            wall = wall.max(START.plus_micros(ticks_to_us(*pts)));
            let parameters = Arc::clone(&parameters);
            let data = Bytes::from_static(b"0000");
            let frame = Frame {
                pts: *pts,
                wall,
                arrived: wall,
                key: i == 0,
                data,
                parameters,
                lost: 0,
                camera_offset_ms: None,
            };
            outputs.extend(cutter.handle_frame(clean(frame)));
        }
        outputs.extend(cutter.handle_cut(CloseReason::Finished));
        check(&outputs);
        let mut seen = Vec::new();
        for fragment in fragments(&outputs) {
            let moof = <mp4_atom::Moof as mp4_atom::Decode>::decode(&mut &fragment.bytes()[..]).unwrap();
            let mut at = i64::try_from(fragment.media_ticks()).unwrap();
            for sample in &moof.traf[0].trun[0].samples {
                seen.push(at + sample.cts.unwrap_or(0));
                at += i64::from(sample.duration.unwrap());
            }
        }
        prop_assert_eq!(seen, pts);
    }
}

#[test]
fn a_segment_tells_the_cameras_clock_as_last_known() {
    let clip = Clip::h264();
    let offset = |i: usize| match i {
        0..10 => None,
        10..60 => Some(-40),
        60..80 => Some(-41),
        _ => None,
    };
    let frames = clip.frames.iter().take(200).enumerate();
    let frames = frames.map(|(i, f)| Frame { camera_offset_ms: offset(i), ..f.clone() });
    // A segment ends after about 2 s, at the key frames 50 and 100.
    let outputs = cut(cutter(2), frames);
    let told: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Close { camera_offset_ms, .. } => Some(*camera_offset_ms),
            _ => None,
        })
        .collect();
    assert_eq!(told[..2], [Some(-40), Some(-41)]);
    assert!(told[2..].iter().all(Option::is_none), "{told:?}");
}
