//! The camera room against real RTSP cameras and against misbehaving ones.

use std::process::Command;
use std::time::Duration;

use edge_agent::camera::watch::Limits;
use edge_agent::camera::{self, Address, Codec, Event, Frame, Reason, Settings, outbox, stream};
use harness::rig::cameras::{Auth, Cameras, PASSWORD, USER};
use harness::rig::faulty::{Behaviour, FaultyCamera, Settings as Fault, UdpOnly, WrongCodec};
use harness::rig::footage::Clip;
use host::{Clock, Tasks};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use url::Url;

/// A recorder of one camera that only listens.
struct Listener {
    events: Receiver<Event>,
    tasks: Tasks,
}

impl Listener {
    fn of(address: Address) -> Self {
        let (to, events) = outbox::queue();
        let limits = Limits {
            silence_ms_max: 1500,
            // Three groups of pictures: nothing is written here, so key frames alone count.
            key_frame_ms_max: 6000,
            pause_ms_first: 50,
            pause_ms_max: 200,
            ..Limits::default()
        };
        let settings = Settings { limits, step_ms_max: 5000, ..Settings::new(address) };
        let tasks = Tasks::new();
        let stop = tasks.clone();
        tasks.spawn("camera", async move {
            camera::run(settings, Clock::system(), || 0, to, stop.stopping()).await;
        });
        Self { events, tasks }
    }

    fn at(url: &Url) -> Self {
        Self::of(url.as_str().parse().unwrap())
    }

    async fn next(&mut self) -> Event {
        timeout(Duration::from_secs(20), self.events.recv()).await.expect("silence").unwrap()
    }

    /// The next `count` frames; nothing else may come but the session's beginning.
    async fn frames(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.next().await {
                Event::Frame(frame) => frames.push(frame),
                Event::Connected(_) => assert!(frames.is_empty()),
                other => panic!("{other:?} after {} frames", frames.len()),
            }
        }
        frames
    }

    /// What comes, frames left out, until the session ends; and the detail.
    async fn until_down(&mut self) -> (Vec<&'static str>, Reason, String) {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Event::Frame(_) => {}
                Event::Connected(_) => seen.push("connected"),
                Event::Jump { .. } => seen.push("jump"),
                Event::Overrun { .. } => seen.push("overrun"),
                Event::Down { reason, detail, .. } => return (seen, reason, detail),
            }
        }
    }

    async fn end(self) {
        assert!(self.tasks.shut_down(Duration::from_secs(10)).await, "it does not end");
    }
}

/// Whether the rig's server made this NAL unit: it puts an access unit delimiter before every
/// H.264 picture, and the encoder's SEI, which lies in the clip's `hvcC`, before the first of H.265.
fn is_the_servers(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::H264 => nal[0] & 0x1f == 9,
        Codec::H265 => matches!((nal[0] >> 1) & 0x3f, 35 | 39),
    }
}

/// Every NAL unit of a clip's pictures, bit for bit as they lie in the file.
fn nals_of(clip: Clip) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(clip.path())
        .args(["-map", "0:v:0", "-c", "copy", "-f", "data", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    stream::nal_units(&output.stdout).map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn what_real_cameras_send_arrives_byte_for_byte() {
    for (clip, codec, name) in
        [(Clip::WalkwayH264, Codec::H264, "avc1."), (Clip::WalkwayH265, Codec::H265, "hvc1.")]
    {
        let cameras = Cameras::start([("cam", clip)], Auth::Open).await.unwrap();
        let mut listener = Listener::at(cameras.url("cam").unwrap());
        let frames = listener.frames(110).await;
        listener.end().await;
        let parameters = &frames[0].parameters;
        assert_eq!((parameters.codec, parameters.width, parameters.height), (codec, 960, 720));
        assert!(parameters.rfc6381.starts_with(name), "{}", parameters.rfc6381);
        assert_eq!(frames.iter().filter(|f| f.key).count(), 3);
        assert_eq!((frames[0].pts, frames[0].lost), (0, 0));
        for pair in frames.windows(2) {
            assert_eq!(pair[1].pts - pair[0].pts, 3600);
            assert_eq!(pair[1].wall.micros_since(pair[0].wall), 40_000);
        }
        let sent = nals_of(clip);
        let got = frames.iter().flat_map(|f| stream::nal_units(&f.data));
        let got: Vec<_> = got.filter(|nal| !is_the_servers(codec, nal)).collect();
        assert!(got.len() >= 110);
        let from = sent.iter().position(|nal| nal == got[0]).expect("not of this clip");
        for (i, nal) in got.iter().enumerate() {
            assert!(sent[(from + i) % sent.len()] == *nal, "{codec:?}: NAL unit {i} differs");
        }
    }
}

/// What the camera is found to be ahead by, in milliseconds, once its second report has come.
async fn offset_ms(listener: &mut Listener) -> i64 {
    loop {
        if let Some(offset_ms) = listener.frames(1).await[0].camera_offset_ms {
            return offset_ms;
        }
    }
}

#[tokio::test]
async fn a_camera_whose_clock_is_wrong_is_told_from_one_whose_clock_is_right() {
    for ahead_s in [0, -3600, 90] {
        let clips = [("cam", Clip::WalkwayH264)];
        let cameras = Cameras::start_ahead(clips, Auth::Open, ahead_s).await.unwrap();
        let mut listener = Listener::at(cameras.url("cam").unwrap());
        let off_ms = offset_ms(&mut listener).await - ahead_s * 1000;
        // What a report needs on its way here, and what this machine may be busy with meanwhile.
        assert!((-2000..=50).contains(&off_ms), "{ahead_s} s: {off_ms} ms off");
        listener.end().await;
    }
}

#[tokio::test]
async fn protected_cameras_want_the_right_password_and_nobody_else_learns_it() {
    for auth in [Auth::Basic, Auth::Digest] {
        let cameras = Cameras::start([("cam", Clip::SmallH264)], auth).await.unwrap();
        let open: Address = cameras.url("cam").unwrap().as_str().parse().unwrap();
        let mut listener = Listener::of(open.clone().with_credentials(USER, PASSWORD));
        listener.frames(10).await;
        listener.end().await;
        for wrong in [open.clone(), open.with_credentials(USER, "wrong-horse")] {
            let mut listener = Listener::of(wrong);
            let (seen, reason, detail) = listener.until_down().await;
            assert_eq!((seen.len(), reason), (0, Reason::CredentialsRefused), "{detail}");
            assert!(!detail.contains("wrong-horse") && !detail.contains(PASSWORD), "{detail}");
            listener.end().await;
        }
    }
}

#[tokio::test]
async fn cameras_that_go_away_come_back() {
    let mut cameras = Cameras::start([("cam", Clip::SmallH264)], Auth::Open).await.unwrap();
    let url = cameras.url("cam").unwrap().clone();
    let mut listener = Listener::at(&url);
    listener.frames(10).await;
    cameras.stop().await.unwrap();
    let (_, reason, detail) = listener.until_down().await;
    assert_eq!(reason, Reason::Ended, "{detail}");
    let (_, reason, detail) = listener.until_down().await;
    assert_eq!(reason, Reason::Unreachable, "{detail}");
    cameras.restart().await.unwrap();
    loop {
        match listener.next().await {
            Event::Connected(_) => break,
            Event::Down { reason, .. } => assert_eq!(reason, Reason::Unreachable),
            other => panic!("{other:?}"),
        }
    }
    listener.frames(10).await;
    listener.end().await;
    let nothing = url.join("/no-such-camera").unwrap();
    let mut listener = Listener::at(&nothing);
    let (_, reason, detail) = listener.until_down().await;
    assert_eq!(reason, Reason::NotFound, "{detail}");
    listener.end().await;
}

#[tokio::test]
async fn each_kind_of_misbehaviour_has_its_reason() {
    for (behaviour, expect) in [
        (Behaviour::WrongCodec(WrongCodec::Mjpeg), Reason::CodecUnsupported),
        (Behaviour::WrongCodec(WrongCodec::PcmuAudio), Reason::CodecUnsupported),
        (Behaviour::BadSdp, Reason::Garbage),
        (Behaviour::UdpOnly(UdpOnly::Refuses), Reason::NotFound),
        (Behaviour::UdpOnly(UdpOnly::GrantsUdp), Reason::NotFound),
        (Behaviour::Garbage, Reason::Garbage),
        (Behaviour::StopsMidFrame, Reason::Stalled),
        (Behaviour::Closes, Reason::Ended),
        (Behaviour::NeverKeyFrame, Reason::NeverKeyFrame),
    ] {
        let camera = FaultyCamera::start(Fault::of(behaviour)).await.unwrap();
        let mut listener = Listener::at(&camera.url());
        let (_, reason, detail) = listener.until_down().await;
        assert_eq!(reason, expect, "{behaviour:?} {detail}");
        let (_, again, _) = listener.until_down().await;
        assert_eq!(again, expect, "{behaviour:?} the second time");
        listener.end().await;
    }
}

#[tokio::test]
async fn a_camera_that_knows_udp_only_says_what_to_do() {
    for answer in [UdpOnly::Refuses, UdpOnly::GrantsUdp] {
        let camera = FaultyCamera::start(Fault::of(Behaviour::UdpOnly(answer))).await.unwrap();
        let mut listener = Listener::at(&camera.url());
        let (_, _, detail) = listener.until_down().await;
        assert!(
            detail.contains("over UDP only") && detail.contains("allow RTP over RTSP"),
            "{detail}"
        );
        listener.end().await;
    }
}

#[tokio::test]
async fn a_codec_that_is_not_recorded_is_named() {
    let camera =
        FaultyCamera::start(Fault::of(Behaviour::WrongCodec(WrongCodec::Mjpeg))).await.unwrap();
    let mut listener = Listener::at(&camera.url());
    let (_, _, detail) = listener.until_down().await;
    assert!(detail.contains("video/jpeg"), "{detail}");
    listener.end().await;
}

#[tokio::test]
async fn another_picture_size_comes_with_its_own_parameters() {
    let camera = FaultyCamera::start(Fault::of(Behaviour::SpsChange)).await.unwrap();
    let mut listener = Listener::at(&camera.url());
    let mut last: Option<Frame> = None;
    loop {
        if let Event::Frame(frame) = listener.next().await {
            if let Some(last) = &last
                && last.parameters != frame.parameters
            {
                assert!(frame.key && last.parameters.width != frame.parameters.width);
                break;
            }
            last = Some(frame);
        }
    }
    listener.end().await;
}

#[tokio::test]
async fn a_media_clock_that_jumps_is_told_and_frames_follow_the_wall_clock() {
    for ticks in [90_000 * 60, -90_000 * 60] {
        let camera =
            FaultyCamera::start(Fault::of(Behaviour::TimestampJump { ticks })).await.unwrap();
        let mut listener = Listener::at(&camera.url());
        let to = loop {
            match listener.next().await {
                Event::Jump { to, .. } => break to,
                Event::Frame(_) | Event::Connected(_) => {}
                other => panic!("{other:?}"),
            }
        };
        let Event::Frame(frame) = listener.next().await else { panic!("no frame after the jump") };
        assert_eq!((frame.wall, frame.arrived), (to, to));
        listener.end().await;
    }
}

#[tokio::test]
async fn lost_packets_are_counted() {
    let camera =
        FaultyCamera::start(Fault::of(Behaviour::LosesPackets { every: 40 })).await.unwrap();
    let mut listener = Listener::at(&camera.url());
    let mut lost = 0;
    while lost < 3 {
        if let Event::Frame(frame) = listener.next().await {
            lost += frame.lost;
        }
    }
    listener.end().await;
}
