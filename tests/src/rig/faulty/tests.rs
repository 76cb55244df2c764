//! Every fault as a stranger's client (ffmpeg, ffprobe) meets it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::rig::cameras::probe;
use crate::rig::eventually::eventually;
use crate::rig::process::Launch;

const SOON: Duration = Duration::from_secs(30);

async fn camera(behaviour: Behaviour) -> FaultyCamera {
    FaultyCamera::start(Settings::of(behaviour)).await.unwrap()
}

/// What ffprobe says of each packet that comes within `seconds` of the stream: `pts_time,flags`.
async fn packets(camera: &FaultyCamera, seconds: u32) -> Vec<String> {
    let output = Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-timeout", "2000000"])
        .args(["-select_streams", "v:0", "-show_entries", "packet=pts_time,flags,size"])
        .args(["-of", "csv=p=0", "-read_intervals", &format!("%+{seconds}"), "-i"])
        .args([camera.url().as_str()])
        .run(SOON)
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What the decoder complains about while it plays `seconds`, and how many frames it got out.
async fn complaints(camera: &FaultyCamera, frames: u32) -> (String, usize) {
    let output = Launch::foreign("ffmpeg", "ffmpeg")
        .args(["-nostdin", "-v", "warning", "-rtsp_transport", "tcp", "-timeout", "2000000"])
        .args(["-i", camera.url().as_str(), "-frames:v", &frames.to_string()])
        .args(["-fps_mode", "passthrough", "-autoscale", "0", "-f", "framecrc", "-"])
        .run(SOON)
        .await
        .unwrap();
    let decoded = String::from_utf8(output.stdout).unwrap();
    let count = decoded.lines().filter(|line| !line.starts_with('#')).count();
    (String::from_utf8_lossy(&output.stderr).into_owned(), count)
}

#[tokio::test]
async fn a_good_one_is_played_without_complaint() {
    let camera = camera(Behaviour::Good).await;
    assert_eq!(probe(&camera.url()).await.unwrap(), "h264,960,720");
    let (said, frames) = complaints(&camera, 60).await;
    assert_eq!((said.as_str(), frames), ("", 60));
    assert_eq!(camera.plays(), 2);
    assert!(camera.frames() >= 60, "{}", camera.frames());
}

/// The answer to a bare DESCRIBE.
async fn description(camera: &FaultyCamera) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", camera.port())).await.unwrap();
    let request = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", camera.url());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_cannot_be_recorded_is_told_in_the_description() {
    let good = description(&camera(Behaviour::Good).await).await;
    assert!(good.starts_with("RTSP/1.0 200 ") && good.contains("H264/90000"), "{good}");
    let mjpeg = camera(Behaviour::WrongCodec(WrongCodec::Mjpeg)).await;
    let audio = camera(Behaviour::WrongCodec(WrongCodec::PcmuAudio)).await;
    for (camera, offer) in [(mjpeg, "m=video 0 RTP/AVP 26"), (audio, "m=audio 0 RTP/AVP 0")] {
        let said = description(&camera).await;
        assert!(said.contains(offer) && !said.contains("H264"), "{said}");
    }
}

#[tokio::test]
async fn a_client_that_finds_its_way_after_noise_goes_on() {
    let camera = camera(Behaviour::Garbage).await;
    let (_, frames) = complaints(&camera, 60).await;
    assert!(frames >= 30, "{frames}");
}

#[tokio::test]
async fn a_stalled_one_keeps_the_connection_and_a_closing_one_does_not() {
    let a_while = Duration::from_secs(2);
    for (behaviour, wait) in [(Behaviour::StopsMidFrame, a_while), (Behaviour::Closes, SOON)] {
        let camera = camera(behaviour).await;
        let mut client = Launch::foreign("client", "ffmpeg")
            .args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i"])
            .args([camera.url().as_str(), "-c", "copy", "-f", "null", "-"])
            .start(tempfile::tempdir().unwrap().path())
            .unwrap();
        eventually("the thirty good frames are sent", SOON, || async {
            (camera.frames() == 30).then_some(())
        })
        .await
        .unwrap();
        let ended = client.wait(wait).await.is_ok();
        assert_eq!(ended, behaviour == Behaviour::Closes, "{behaviour:?}");
        assert_eq!(camera.frames(), 30, "{behaviour:?}");
    }
}

#[tokio::test]
async fn another_picture_size_comes_in_mid_stream() {
    let camera = camera(Behaviour::SpsChange).await;
    let output = Launch::foreign("ffprobe", "ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+3"])
        .args(["-show_entries", "frame=width", "-of", "csv=p=0", camera.url().as_str()])
        .run(SOON)
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // ffprobe adds a comma and an empty line for what a key frame carries besides.
    let widths: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(','))
        .filter(|line| !line.is_empty())
        .collect();
    let change = widths.iter().position(|&width| width == "320").unwrap();
    assert!(change >= 25 && widths[..change].iter().all(|&width| width == "960"), "{widths:?}");
    assert!(widths[change..].iter().all(|&width| width == "320"), "{widths:?}");
}

#[tokio::test]
async fn the_media_clock_jumps_by_ten_seconds() {
    let camera = camera(Behaviour::TimestampJump { ticks: 900_000 }).await;
    let times: Vec<f64> = packets(&camera, 12)
        .await
        .iter()
        .filter_map(|line| line.split(',').next()?.parse().ok())
        .collect();
    let steps: Vec<f64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    let jumps = steps.iter().filter(|&&step| step > 5.0).collect::<Vec<_>>();
    assert_eq!(jumps.len(), 1, "{steps:?}");
    assert!((*jumps[0] - 10.04).abs() < 0.01, "{steps:?}");
}

#[tokio::test]
async fn one_without_key_frames_sends_the_others() {
    let camera = camera(Behaviour::NeverKeyFrame).await;
    let packets = packets(&camera, 3).await;
    assert!(packets.len() > 40, "{packets:?}");
    assert!(!packets.iter().any(|packet| packet.contains('K')), "{packets:?}");
}

#[tokio::test]
async fn lost_packets_spoil_the_picture() {
    let camera = camera(Behaviour::LosesPackets { every: 10 }).await;
    let (said, _) = complaints(&camera, 80).await;
    assert!(said.contains("error while decoding") || said.contains("missed"), "{said}");
}

#[tokio::test]
async fn a_camera_comes_back_on_its_port_and_can_be_mended() {
    let first = camera(Behaviour::BadSdp).await;
    let (port, url) = (first.port(), first.url());
    assert!(probe(&url).await.is_err());
    first.set(Settings::of(Behaviour::Good));
    assert_eq!(probe(&url).await.unwrap(), "h264,960,720");
    drop(first);
    let again = FaultyCamera::start_on(port, Settings::of(Behaviour::Good)).await.unwrap();
    assert_eq!(again.url(), url);
    assert_eq!(probe(&url).await.unwrap(), "h264,960,720");
}
