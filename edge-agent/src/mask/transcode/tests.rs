//! Masked pictures, decoded again and looked at sample by sample.

use bytes::Bytes;
use ffmpeg::format::Pixel;
use ffmpeg::util::color;

use super::*;
use crate::camera::clip::Clip;
use crate::mask::policy::Colour;
use crate::mask::zone::{Span, Zone};

/// Edges blur in every lossy codec, and only with what is public beside them: further inside than a
/// macroblock, which moves as one, nothing does.
const BLUR_SAMPLES: usize = 16;
/// Levels of 255 that may be left there. That nothing of what is *under* a zone gets out is another
/// test: not a bit of the coded picture depends on it.
const LEVELS: u8 = 2;

fn policy() -> Policy {
    let zones = [
        vec![[0.1, 0.1], [0.45, 0.15], [0.4, 0.6], [0.05, 0.5]],
        vec![[0.613, 0.277], [0.951, 0.277], [0.951, 0.733], [0.613, 0.733]],
        vec![[0.3, 0.7], [0.5, 1.0], [0.1, 1.0]],
    ];
    Policy {
        policy_id: "east-ext-01".to_owned(),
        revision: 1,
        approved_by: "dpo".to_owned(),
        zones: zones.into_iter().map(|points| Zone::try_from(points).unwrap()).collect(),
        colour: Colour::BLACK,
    }
}

fn transcoder() -> Transcoder {
    Transcoder::new(policy(), Kind::Software, Effort::Fast)
}

fn push_all(transcoder: &mut Transcoder, frames: &[Frame]) -> Vec<CleanFrame> {
    let mut clean: Vec<_> =
        frames.iter().flat_map(|frame| transcoder.push(frame.clone()).unwrap()).collect();
    clean.extend(transcoder.drain().unwrap());
    clean
}

const SETTINGS: encode::Settings = encode::Settings {
    kind: Kind::Software,
    effort: Effort::Fast,
    qp: 22,
    bits_per_second: 0,
    frames_per_second: 25,
};

fn decode<'a>(
    parameters: &Arc<Parameters>,
    data: impl Iterator<Item = &'a Bytes>,
) -> Vec<frame::Video> {
    let mut decoder = Decoder::open(parameters).unwrap();
    let mut pictures = Vec::new();
    for (id, data) in (0..).zip(data) {
        decoder.send(id, data).unwrap();
        pictures.extend(std::iter::from_fn(|| decoder.receive().unwrap()));
    }
    decoder.end().unwrap();
    pictures.extend(std::iter::from_fn(|| decoder.receive().unwrap()));
    pictures
}

/// A plane as rows of samples.
fn rows(picture: &frame::Video, plane: usize) -> Vec<&[u8]> {
    let width = picture.plane_width(plane) as usize;
    picture.data(plane).chunks(picture.stride(plane)).map(|row| &row[..width]).collect()
}

/// For each sample whether `spans` cover it.
fn covered_map(spans: &[Span], picture: &frame::Video, plane: usize) -> Vec<Vec<bool>> {
    let (width, height) = (picture.plane_width(plane), picture.plane_height(plane));
    let mut map = vec![vec![false; width as usize]; height as usize];
    for span in spans {
        map[span.row as usize][span.columns.start as usize..span.columns.end as usize].fill(true);
    }
    map
}

/// Whether all samples within `reach` of this one are covered (or beyond the picture).
fn deep(map: &[Vec<bool>], row: usize, column: usize, reach: usize) -> bool {
    let (rows, columns) = (map.len(), map[0].len());
    [
        (row.saturating_sub(reach), column),
        ((row + reach).min(rows - 1), column),
        (row, column.saturating_sub(reach)),
        (row, (column + reach).min(columns - 1)),
        (row.saturating_sub(reach), column.saturating_sub(reach)),
        (row.saturating_sub(reach), (column + reach).min(columns - 1)),
        ((row + reach).min(rows - 1), column.saturating_sub(reach)),
        ((row + reach).min(rows - 1), (column + reach).min(columns - 1)),
    ]
    .iter()
    .all(|(row, column)| map[*row][*column])
}

/// The greatest distance from `value` in what is covered: (anywhere, deep inside).
fn unevenness(picture: &frame::Video, plane: usize, spans: &[Span], value: u8) -> (u8, u8) {
    let map = covered_map(spans, picture, plane);
    let (mut any, mut inside) = (0, 0);
    for (row, samples) in rows(picture, plane).into_iter().enumerate() {
        for (column, sample) in samples.iter().enumerate().filter(|(c, _)| map[row][*c]) {
            let off = sample.abs_diff(value);
            any = any.max(off);
            if deep(&map, row, column, BLUR_SAMPLES) {
                inside = inside.max(off);
            }
        }
    }
    (any, inside)
}

/// Mean structural similarity (Wang 2004, 8x8 blocks) of the luma blocks that no zone touches.
fn ssim_outside(a: &frame::Video, b: &frame::Video, cover: &Cover) -> f64 {
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    let map = covered_map(&cover.luma, a, 0);
    let (a, b) = (rows(a, 0), rows(b, 0));
    let mut blocks = Vec::new();
    for top in (0..a.len() - 7).step_by(8) {
        for left in (0..a[0].len() - 7).step_by(8) {
            let at = || (top..top + 8).flat_map(|y| (left..left + 8).map(move |x| (y, x)));
            if at().any(|(y, x)| map[y][x]) {
                continue;
            }
            let mean =
                |of: &dyn Fn(usize, usize) -> f64| at().map(|(y, x)| of(y, x)).sum::<f64>() / 64.0;
            let (va, vb) =
                (|y: usize, x: usize| f64::from(a[y][x]), |y: usize, x: usize| f64::from(b[y][x]));
            let (ma, mb) = (mean(&va), mean(&vb));
            let saa = mean(&|y, x| va(y, x) * va(y, x)) - ma * ma;
            let sbb = mean(&|y, x| vb(y, x) * vb(y, x)) - mb * mb;
            let sab = mean(&|y, x| va(y, x) * vb(y, x)) - ma * mb;
            blocks.push(
                (2.0 * ma * mb + C1) * (2.0 * sab + C2)
                    / ((ma * ma + mb * mb + C1) * (saa + sbb + C2)),
            );
        }
    }
    assert!(blocks.len() > 1000, "too little is outside to judge");
    let count = u32::try_from(blocks.len()).unwrap();
    blocks.iter().sum::<f64>() / f64::from(count)
}

#[test]
fn every_zone_is_flat_and_the_rest_looks_as_before() {
    for clip in [Clip::h264(), Clip::h265()] {
        let frames = &clip.frames[..120];
        let mut transcoder = transcoder();
        let clean = push_all(&mut transcoder, frames);
        assert_eq!(clean.len(), frames.len(), "one in, one out");
        for (clean, frame) in clean.iter().zip(frames) {
            assert_eq!(
                (clean.pts(), clean.wall(), clean.key(), clean.arrived()),
                (frame.pts, frame.wall, frame.key, frame.arrived)
            );
            assert_eq!(
                clean.applied().unwrap().geometry_sha256,
                policy().applied().geometry_sha256
            );
        }
        let parameters = clean[0].parameters();
        assert!(parameters.rfc6381.starts_with("avc1.42"), "{}", parameters.rfc6381);
        assert!(clean.iter().all(|c| c.parameters() == parameters), "one segment's parameters");
        let before = decode(&clip.parameters, frames.iter().map(|f| &f.data));
        let after = decode(parameters, clean.iter().map(CleanFrame::data));
        assert_eq!((before.len(), after.len()), (120, 120));

        let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
        let (mut luma, mut chroma, mut ssim) = ((0, 0), (0, 0), 1.0f64);
        for (before, after) in before.iter().zip(&after).step_by(3) {
            let (any, inside) = unevenness(after, 0, &cover.luma, 16);
            luma = (luma.0.max(any), luma.1.max(inside));
            for plane in [1, 2] {
                let (any, inside) = unevenness(after, plane, &cover.chroma, 128);
                chroma = (chroma.0.max(any), chroma.1.max(inside));
            }
            ssim = ssim.min(ssim_outside(before, after, &cover));
        }
        println!("{:?}: luma {luma:?}, chroma {chroma:?}, ssim {ssim:.4}", clip.parameters.codec);
        assert!(luma.1 <= LEVELS && chroma.1 <= LEVELS, "luma {luma:?}, chroma {chroma:?}");
        // At the very edge a block holds both colours, and its coding blurs one into the other.
        assert!(luma.0 <= 80 && chroma.0 <= 30, "luma {luma:?}, chroma {chroma:?}");
        // Measured at 0.970 (H.264) and 0.964 (H.265), of pictures at the camera's bytes.
        assert!(ssim >= 0.96, "{ssim}");
    }
}

#[test]
fn the_unmasked_picture_would_fail_that_test() {
    let clip = Clip::h264();
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    let before = decode(&clip.parameters, clip.frames[..1].iter().map(|f| &f.data));
    let (_, inside) = unevenness(&before[0], 0, &cover.luma, 16);
    assert!(inside > 100, "{inside}");
}

#[test]
fn what_lies_under_a_zone_changes_no_bit_of_what_is_encoded() {
    let clip = Clip::h264();
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    let mut picture = decode(&clip.parameters, clip.frames[..1].iter().map(|f| &f.data)).remove(0);
    let encoded = |picture: &mut frame::Video| {
        let mut under = Vec::new();
        let filled = Filled::new(picture, &cover, Colour::BLACK, &mut under, (0, true)).unwrap();
        let mut encoder = Encoder::open(&filled, SETTINGS, None).unwrap();
        encoder.encode(&filled).unwrap().remove(0).data
    };
    let before = encoded(&mut picture);
    for (plane, spans) in [&cover.luma, &cover.chroma, &cover.chroma].into_iter().enumerate() {
        let stride = picture.stride(plane);
        for span in spans {
            let row = span.row as usize * stride;
            for column in span.columns.clone() {
                let sample = &mut picture.data_mut(plane)[row + column as usize];
                *sample = !*sample;
            }
        }
    }
    assert!(before == encoded(&mut picture));
}

#[test]
fn nothing_comes_out_of_what_cannot_be_decoded() {
    let clip = Clip::h264();
    let mut transcoder = transcoder();
    assert!(transcoder.push(clip.frames[1].clone()).is_err(), "began within a GOP");
    transcoder.reset();
    let torn = Frame { data: clip.frames[0].data.slice(..9), ..clip.frames[0].clone() };
    assert!(transcoder.push(torn).and_then(|_| transcoder.drain()).is_err(), "a torn picture");
    transcoder.reset();
    let empty = Parameters { decoder_config: Bytes::new(), ..(*clip.parameters).clone() };
    let lost = Frame { parameters: Arc::new(empty), ..clip.frames[0].clone() };
    assert!(transcoder.push(lost).and_then(|_| transcoder.drain()).is_err(), "no parameters");
    transcoder.reset();
    assert_eq!(push_all(&mut transcoder, &clip.frames[..60]).len(), 60, "and then it goes on");
}

#[test]
fn another_codec_or_size_midway_is_masked_from_its_first_picture() {
    let (first, second) = (Clip::h264(), Clip::h265());
    let frames: Vec<_> = first.frames[..50].iter().chain(&second.frames[..50]).cloned().collect();
    let clean = push_all(&mut transcoder(), &frames);
    assert_eq!(clean.len(), 100);
    let after = decode(clean[50].parameters(), clean[50..].iter().map(CleanFrame::data));
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    let (_, inside) = unevenness(&after[0], 0, &cover.luma, 16);
    assert!(inside <= LEVELS, "{inside}");
}

/// A moving picture with B-frames, which cameras should not send and some do.
fn with_b_frames(codec: &str) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.mp4");
    let done = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=4"])
        .args(["-pix_fmt", "yuv420p", "-c:v", codec, "-g", "25", "-bf", "3"])
        .args(["-tag:v", if codec == "libx265" { "hvc1" } else { "avc1" }])
        .args(["-x265-params", "log-level=error"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Clip::read(&path)
}

#[test]
fn pictures_that_come_out_of_order_are_all_masked() {
    for codec in ["libx264", "libx265"] {
        let clip = with_b_frames(codec);
        let clean = push_all(&mut transcoder(), &clip.frames);
        let mut numbers: Vec<_> = clean.iter().map(|frame| frame.pts() / 3600).collect();
        assert!(!numbers.is_sorted(), "{codec}: no B-frame came");
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "{codec}");
        let cover = Cover::of(&policy().zones, Size { width: 320, height: 240 });
        for picture in decode(clean[0].parameters(), clean.iter().map(CleanFrame::data)) {
            assert!(unevenness(&picture, 0, &cover.luma, 16).1 <= LEVELS, "{codec}");
        }
    }
}

#[test]
fn damaged_pictures_come_out_masked_or_not_at_all() {
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    for clip in [Clip::h264(), Clip::h265()] {
        let mut transcoder = transcoder();
        let (mut clean, mut failures) = (Vec::new(), 0);
        for (i, frame) in clip.frames[..150].iter().enumerate() {
            let mut data = frame.data.to_vec();
            if i % 7 == 3 {
                // Within the picture's coding, past the NAL unit's header.
                let at = 8 + (i * 131) % (data.len() - 8);
                data[at] ^= 0x55;
            }
            match transcoder.push(Frame { data: data.into(), ..frame.clone() }) {
                Ok(ready) => clean.extend(ready),
                Err(_) => {
                    failures += 1;
                    transcoder.reset();
                }
            }
        }
        println!("{:?}: {} came out, {failures} failures", clip.parameters.codec, clean.len());
        assert!(clean.len() >= 10);
        for clean in clean.chunk_by(|_, next| !next.key()) {
            let pictures = decode(clean[0].parameters(), clean.iter().map(CleanFrame::data));
            for picture in pictures.iter().step_by(9) {
                assert!(unevenness(picture, 0, &cover.luma, 16).1 <= LEVELS);
            }
        }
    }
}

/// A picture of one grey.
fn grey(format: Pixel, range: color::Range, value: u8) -> frame::Video {
    let mut picture = frame::Video::new(format, 64, 48);
    for plane in 0..picture.planes() {
        picture.data_mut(plane).fill(value);
    }
    picture.set_color_range(range);
    picture
}

#[test]
fn other_pixel_formats_are_converted_before_they_are_filled_or_refused() {
    let cover = Cover::of(&policy().zones, Size { width: 64, height: 48 });
    for (format, range, expect) in [
        (Pixel::YUV420P, color::Range::MPEG, color::Range::MPEG),
        (Pixel::YUVJ420P, color::Range::JPEG, color::Range::JPEG),
        (Pixel::YUV422P, color::Range::MPEG, color::Range::MPEG),
        (Pixel::YUVJ422P, color::Range::JPEG, color::Range::JPEG),
        (Pixel::NV12, color::Range::MPEG, color::Range::MPEG),
        (Pixel::GRAY8, color::Range::MPEG, color::Range::MPEG),
    ] {
        let mut from = grey(format, range, 128);
        let mut planar = to_planar(&from, &mut None).unwrap();
        let picture = planar.as_mut().unwrap_or(&mut from);
        let mut under = Vec::new();
        let filled = Filled::new(picture, &cover, Colour::BLACK, &mut under, (1, true)).unwrap();
        let seen = filled.picture();
        assert_eq!((seen.format(), seen.color_range()), (Pixel::YUV420P, expect), "{format:?}");
        assert_eq!(unevenness(seen, 0, &cover.luma, 16), (0, 0));
        assert_eq!(unevenness(seen, 1, &cover.chroma, 128), (0, 0));
        let outside = rows(seen, 0)[0][0];
        assert!(outside.abs_diff(128) <= 2, "{format:?} {outside}");
        // The decoder gets its picture back as it was.
        drop(filled);
        assert!(
            (0..3).all(|plane| rows(picture, plane).concat().iter().all(|s| s.abs_diff(128) <= 2))
        );
    }
    let refused = to_planar(&grey(Pixel::RGB24, color::Range::JPEG, 9), &mut None).err().unwrap();
    assert!(refused.to_string().contains("RGB24"), "{refused}");
}

#[test]
fn a_decoder_whose_pictures_were_filled_in_place_goes_on_as_if_they_were_not() {
    // Were the samples not put back, every later picture of the GOP would carry the black on.
    let clip = Clip::h264();
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    let untouched = decode(&clip.parameters, clip.frames[..50].iter().map(|f| &f.data));
    let mut decoder = Decoder::open(&clip.parameters).unwrap();
    let (mut under, mut seen) = (Vec::new(), 0);
    for (id, frame) in (0..).zip(&clip.frames[..50]) {
        decoder.send(id, &frame.data).unwrap();
        while let Some(mut picture) = decoder.receive().unwrap() {
            let at = (picture.pts().unwrap(), false);
            drop(Filled::new(&mut picture, &cover, Colour::BLACK, &mut under, at).unwrap());
            let same = (0..3).all(|plane| rows(&picture, plane) == rows(&untouched[seen], plane));
            assert!(same, "picture {seen}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn masked_pictures_take_about_the_bytes_of_the_cameras_and_one_segments_parameters() {
    for clip in [Clip::h264(), Clip::h265()] {
        let clean = push_all(&mut transcoder(), &clip.frames);
        let bytes = |from: usize| {
            let own: usize = clip.frames[from..].iter().map(|f| f.data.len()).sum();
            let ours: usize = clean[from..].iter().map(|c| c.data().len()).sum();
            ours as f64 / own as f64
        };
        println!("{:?}: {:.2} of the camera's bytes", clip.parameters.codec, bytes(250));
        assert!((0.5..1.1).contains(&bytes(250)), "{}", bytes(250));
        let parameters = clean[0].parameters();
        assert!(clean.iter().all(|c| Arc::ptr_eq(c.parameters(), parameters)));
        let keys = |frames: Vec<bool>| frames.iter().filter(|key| **key).count();
        assert_eq!(keys(clean.iter().map(CleanFrame::key).collect()), 10);
    }
}

#[test]
fn devices_that_are_not_there_are_found_out_and_software_is_taken() {
    for kind in Kind::HARDWARE {
        if std::path::Path::new("/dev/dri").exists()
            || std::path::Path::new("/dev/nvidia0").exists()
        {
            continue;
        }
        let failure = encode::probe(kind, Effort::Fast).unwrap_err().to_string();
        println!("{failure}");
        assert!(failure.contains(kind.name()), "{failure}");
        let (chosen, tried) = choose(Choice::Named(kind), Effort::Fast).unwrap();
        assert_eq!((chosen, tried.len()), (Kind::Software, 1), "{tried:?}");
    }
    for effort in [Effort::Fast, Effort::Fine] {
        assert_eq!(encode::probe(Kind::Software, effort), Ok(()));
    }
}

#[test]
fn a_device_that_fails_leaves_a_gap_and_then_software_masks() {
    let clip = Clip::h264();
    // As if it had been there at the start and then was not.
    let mut transcoder = Transcoder::new(policy(), Kind::Nvenc, Effort::Fast);
    let (mut failures, mut clean) = (Vec::new(), Vec::new());
    for frame in &clip.frames[..120] {
        match transcoder.push(frame.clone()) {
            Ok(ready) => clean.extend(ready),
            Err(failure) => {
                failures.push(failure.to_string());
                transcoder.reset();
            }
        }
    }
    assert!(failures[0].contains("h264_nvenc"), "{failures:?}");
    assert_eq!((failures.len(), transcoder.kind()), (50, Kind::Software));
    assert_eq!(clean[0].pts(), clip.frames[50].pts, "from the next key frame");
    let cover = Cover::of(&policy().zones, Size { width: 960, height: 720 });
    for picture in decode(clean[0].parameters(), clean.iter().map(CleanFrame::data)) {
        assert!(unevenness(&picture, 0, &cover.luma, 16).1 <= LEVELS);
    }
}
