//! What is masked is blind in every stored picture, and what is not masked is the camera's own,
//! byte for byte: seen in the bundle, as a court would. Where there is no time to mask, there is a
//! signed gap.

use std::path::Path;
use std::time::Duration;

use harness::force::{CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::process::Launch;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

const WIDTH: usize = 960;
const HEIGHT: usize = 720;
/// Pixels from a mask's edge within which the encoder may blur.
const EDGE: f64 = 16.0;
/// Luma levels that the encoder may be off the mask's colour further inside.
const LEVELS: u8 = 2;
/// Seconds of footage that are asked for.
const ASKED_S: f64 = 8.0;
/// Luma of the mask.
const BLACK: u8 = 16;

#[tokio::test]
async fn masks_are_in_the_pixels_and_unmasked_footage_is_the_cameras_own() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = [
        ("east/ext-04", Clip::WalkwayH264),
        ("east/ext-05", Clip::WalkwayH265),
        ("east/int-04", Clip::WalkwayH264),
        ("east/int-05", Clip::WalkwayH265),
    ];
    let cameras = Cameras::start(wanted, Auth::Basic).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plans: Vec<CameraPlan> = wanted
        .iter()
        .map(|(camera, _)| CameraPlan {
            name: camera.trim_start_matches("east/").to_owned(),
            url: cameras.url(camera).unwrap().to_string(),
            masked: camera.contains("ext"),
            protected: true,
        })
        .collect();
    let to = force.fleet_address();
    force.add_site("east", &plans, &Recording::default(), to).await.unwrap();
    let names = wanted.map(|(camera, _)| camera);
    force.await_footage(&names, 12).await.unwrap();
    let bundle = folder.path().join("bundle");
    let case = force.obtain(&names, "-9s", "-1s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");

    let report = force.verify(&bundle).await.unwrap();
    assert_eq!(report["coverage_per_cent"], 100.0, "{report:#}");
    for camera in report["cameras"].as_array().unwrap() {
        let masked = camera["camera"].as_str().unwrap().contains("ext");
        assert_eq!(camera["byte_exact"], !masked);
        assert_eq!(camera["analytics"], "none");
        let state = if masked { "burned" } else { "not-required" };
        assert_eq!(camera["masks"][0]["state"], state);
    }
    for (camera, clip) in wanted {
        let view = bundle.join(format!("data/view/{camera}.mp4"));
        let proved = report["cameras"].as_array().unwrap().iter().find(|c| c["camera"] == camera);
        let frames = usize::try_from(proved.unwrap()["frames"].as_u64().unwrap()).unwrap();
        // 8 s were asked for, at 25 frames a second, and are shown; all that is kept is in the file.
        assert!(frames >= 200, "{frames} frames of {camera}");
        assert_duration(&view).await;
        // What a mask's encoder makes is H.264 whatever the camera sends.
        if camera.contains("ext") || clip == Clip::WalkwayH264 {
            assert_chromium_plays(&view, folder.path()).await;
        }
        if camera.contains("ext") {
            assert_blind(&view, frames).await;
        } else {
            assert_own(&view, clip, frames).await;
        }
    }
}

#[tokio::test]
async fn more_masks_than_a_recorder_carries_are_gaps_and_never_unmasked_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (1..=8).map(|n| format!("west/ext-{n:02}")).collect();
    let wanted = names.iter().map(|name| (name.clone(), Clip::WalkwayH264));
    let cameras = Cameras::start(wanted, Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let plans: Vec<CameraPlan> = names
        .iter()
        .map(|camera| CameraPlan {
            name: camera.trim_start_matches("west/").to_owned(),
            url: cameras.url(camera).unwrap().to_string(),
            masked: true,
            protected: false,
        })
        .collect();
    // One worker, at the effort that takes four times as long: half of them would be too many.
    let recording = Recording { mask_workers: 1, mask_effort: "fine", ..Recording::default() };
    let to = force.fleet_address();
    force.add_site("west", &plans, &recording, to).await.unwrap();
    eventually("health tells of the overload", Duration::from_secs(60), || async {
        let said = force.cli(TECHNICIAN, &["--output", "json", "health"]).await.ok()?;
        let found: Value = serde_json::from_str(&said.out).ok()?;
        let overload = |finding: &Value| finding["problem"] == "mask-overload";
        (said.code == 6 && found.as_array()?.iter().any(overload)).then_some(())
    })
    .await
    .unwrap();
    let sites = force.ask(TECHNICIAN, &["sites"]).await.unwrap();
    assert_eq!(sites[0]["masked_cameras"], 8, "{sites:#}");
    assert_eq!(sites[0]["mask_encoder"], "libx264");
    assert!(sites[0]["masked_cameras_max"].as_u64().unwrap() < 8, "{sites:#}");

    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    force.await_footage(&names, 40).await.unwrap();
    let bundle = folder.path().join("bundle");
    let case = force.obtain(&names, "-34s", "-16s", &bundle).await.unwrap();
    assert_eq!(case["verdict"], "verified", "{case:#}");
    let report = force.verify(&bundle).await.unwrap();
    let mut gaps = 0;
    for camera in report["cameras"].as_array().unwrap() {
        assert_eq!(camera["unexplained"].as_array().unwrap().len(), 0, "{camera:#}");
        assert!(camera["masks"].as_array().unwrap().iter().all(|mask| mask["state"] == "burned"));
        for gap in camera["gaps"].as_array().unwrap() {
            assert_eq!(gap["reason"], "mask-overload", "{camera:#}");
            gaps += 1;
        }
        let frames = usize::try_from(camera["frames"].as_u64().unwrap()).unwrap();
        if frames > 0 {
            let name = camera["camera"].as_str().unwrap();
            assert_blind(&bundle.join(format!("data/view/{name}.mp4")), frames).await;
        }
    }
    assert!(gaps >= 4, "{report:#}");
}

/// A player shows as many seconds as were asked for.
async fn assert_duration(view: &Path) {
    let output = Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .args([view])
        .run(Duration::from_secs(30))
        .await
        .unwrap();
    let seconds: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!((seconds - ASKED_S).abs() < 0.2, "{seconds} s in {}", view.display());
}

/// Chromium loads the view, knows its size and length, and shows a picture from its middle. The page
/// tells by asking for an image, so that nothing depends on when Chromium thinks it is ready.
async fn assert_chromium_plays(view: &Path, folder: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let page = folder.join("play.html");
    let source = view.display();
    let html = format!(
        "<!doctype html><video id=v muted preload=auto src='file://{source}'></video><script>\
         const tell = (words) => new Image().src = 'http://127.0.0.1:{port}/' + words.join('_');\
         v.onerror = () => tell(['error', v.error.code]);\
         v.onloadeddata = () => {{\
           v.onseeked = () => tell([v.videoWidth, v.videoHeight, v.duration, v.currentTime]);\
           v.currentTime = 5; }}</script>"
    );
    std::fs::write(&page, html).unwrap();
    let _chromium = Launch::foreign("chromium", "chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-quic"])
        .args([format!("--user-data-dir={}", folder.join(format!("chromium-{port}")).display())])
        .args([format!("file://{}", page.display())])
        .start(folder)
        .unwrap();
    let told = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    };
    let line = tokio::time::timeout(Duration::from_secs(90), told).await.unwrap();
    let told: Option<Vec<f64>> = line
        .strip_prefix("GET /")
        .and_then(|rest| rest.split(' ').next())
        .and_then(|words| words.split('_').map(|number| number.parse().ok()).collect());
    let told = told.unwrap_or_else(|| panic!("Chromium says of {source}: {line}"));
    let as_it_should = told[..2] == [960.0, 720.0] && told[3].to_bits() == 5_f64.to_bits();
    assert!(as_it_should && (told[2] - ASKED_S).abs() < 0.2, "{told:?}: {ASKED_S} s expected");
}

/// Every picture of `view` is flat inside the mask and alive outside it.
async fn assert_blind(view: &Path, frames: usize) {
    let view_path = view.to_str().unwrap();
    // All that is in the file, also what the copy does not show.
    let all = ["-ignore_editlist", "1", "-i", view_path];
    let luma = ffmpeg(
        &[&all[..], &["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]]
            .concat(),
    )
    .await;
    // `gray` stretches limited range to full: the mask's 16 becomes 0.
    let black = i16::from(BLACK) - 16;
    let pictures: Vec<&[u8]> = luma.chunks_exact(WIDTH * HEIGHT).collect();
    assert_eq!(pictures.len(), frames, "pictures in {}", view.display());
    for (number, picture) in pictures.iter().enumerate() {
        let mut outside = 0;
        for (at, sample) in picture.iter().enumerate() {
            let (x, y) = (at % WIDTH, at / WIDTH);
            let off = (i16::from(*sample) - black).unsigned_abs();
            if is_inside(x, y) {
                let levels = u16::from(LEVELS) + 1;
                assert!(off <= levels, "picture {number}, {x},{y}: {sample} in {}", view.display());
            } else if off > 40 {
                outside += 1;
            }
        }
        assert!(outside > WIDTH * HEIGHT / 4, "picture {number} is dark outside the mask as well");
    }
}

/// Whether a sample lies in one of [`harness::force::ZONES`], further in than [`EDGE`].
#[expect(clippy::cast_precision_loss, reason = "pictures are small")]
fn is_inside(x: usize, y: usize) -> bool {
    let (x, y, width, height) = (x as f64, y as f64, WIDTH as f64, HEIGHT as f64);
    let rectangle = x < 0.4 * width - EDGE && y < 0.25 * height - EDGE;
    // Right of the line from (1, 0.5) to (0.7, 1), by its distance.
    let (dx, dy) = (-0.3 * width, 0.5 * height);
    let distance = ((y - 0.5 * height) * dx - (x - width) * dy) / dx.hypot(dy);
    rectangle || (-distance > EDGE && y > 0.5 * height)
}

/// The coded pictures of `view` are a run of the clip's, in its loop.
async fn assert_own(view: &Path, clip: Clip, frames: usize) {
    let h265 = clip == Clip::WalkwayH265;
    let original = slices(&clip.path(), h265).await;
    let recorded = slices(view, h265).await;
    assert_eq!(recorded.len(), frames, "pictures in {}", view.display());
    let first = original.iter().position(|slice| *slice == recorded[0]);
    let first = first.expect("the first picture is one of the clip's");
    for (at, slice) in recorded.iter().enumerate() {
        assert_eq!(*slice, original[(first + at) % original.len()], "picture {at}");
    }
}

/// The VCL NAL units of a file's video, in order.
async fn slices(file: &Path, h265: bool) -> Vec<Vec<u8>> {
    let (filter, format) =
        if h265 { ("hevc_mp4toannexb", "hevc") } else { ("h264_mp4toannexb", "h264") };
    let stream = ffmpeg(&[
        "-ignore_editlist",
        "1",
        "-i",
        file.to_str().unwrap(),
        "-map",
        "0:v:0",
        "-c",
        "copy",
        "-bsf:v",
        filter,
        "-f",
        format,
        "-",
    ])
    .await;
    edge_agent::mask::annexb::nal_units(&stream)
        .filter(|nal| {
            let first = nal.first().copied().unwrap_or_default();
            if h265 { (first >> 1) & 0x3f < 32 } else { (1..=5).contains(&(first & 0x1f)) }
        })
        .map(<[u8]>::to_vec)
        .collect()
}

async fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(arguments.iter().copied())
        .run(Duration::from_secs(120))
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
    output.stdout
}
