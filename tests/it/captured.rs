//! The camera room against captured sessions of real servers, as they were and made worse: every
//! picture is kept, at the right time, or a gap says why.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use edge_agent::camera::watch::Limits;
use edge_agent::camera::{self, Codec, Event, Frame, Reason, Settings, outbox};
use edge_agent::mask::{NoMask, pass_event};
use edge_agent::segment::cut::{self, Cutter, Output};
use harness::rig::captured::bend::Bent;
use harness::rig::captured::{Player, Session, Then, names, session};
use host::{Clock, Tasks};
use tokio::time::timeout;

/// What came of a camera.
struct Seen {
    frames: Vec<Frame>,
    /// `connected`, `jump`, `overrun`, and reasons of being down, in order.
    story: Vec<&'static str>,
    details: Vec<String>,
    /// How each segment ended.
    ends: Vec<&'static str>,
    /// Pictures in segments.
    kept: usize,
    /// Pictures that no key frame preceded.
    skipped: u64,
    player: Player,
}

impl Seen {
    fn lost(&self) -> u32 {
        self.frames.iter().map(|frame| frame.lost).sum()
    }

    /// Holds what must hold of any camera: times are forward but at a jump, near arrival, and no
    /// picture is lost on the way to a segment.
    fn check(&self) {
        let jumps = self.story.iter().filter(|what| **what == "jump").count();
        let sessions = self.story.iter().filter(|what| **what == "connected").count();
        let back = self.frames.windows(2).filter(|two| two[1].wall < two[0].wall).count();
        assert!(back <= jumps + sessions, "{back} times back, {jumps} jumps");
        for frame in &self.frames {
            let late_us = frame.arrived.micros_since(frame.wall);
            assert!((-2_000_000..=5_000_000).contains(&late_us), "{late_us} us from arrival");
        }
        let waiting = self.frames.len() - self.kept;
        assert!(waiting as u64 >= self.skipped, "{} kept, {} skipped", self.kept, self.skipped);
        let began = self.frames.iter().position(|frame| frame.key).unwrap_or(self.frames.len());
        assert!(sessions > 1 || waiting == began, "{waiting} pictures are in no segment");
    }
}

/// Plays `sessions` to our client until it was down `downs` times.
async fn play(ip: IpAddr, sessions: Vec<Session>, downs: usize) -> Seen {
    play_to(20_000, ip, sessions, downs).await
}

/// The same with a client that waits so long for a key frame.
async fn play_to(key_frame_ms_max: u64, ip: IpAddr, sessions: Vec<Session>, downs: usize) -> Seen {
    let player = Player::start(ip, sessions, Then::Close).await.unwrap();
    let (to, mut events) = outbox::queue();
    let limits = Limits {
        silence_ms_max: 3000,
        key_frame_ms_max,
        pause_ms_first: 50,
        pause_ms_max: 200,
        ..Limits::default()
    };
    let address = player.url().as_str().parse().unwrap();
    let settings = Settings { limits, stray_ms_max: 300, ..Settings::new(address) };
    let tasks = Tasks::new();
    let stop = tasks.clone();
    tasks.spawn("camera", async move {
        camera::run(settings, Clock::system(), || 0, to, stop.stopping()).await;
    });
    let (frames, story, details) = (Vec::new(), Vec::new(), Vec::new());
    let (ends, kept, skipped) = (Vec::new(), 0, 0);
    let mut seen = Seen { frames, story, details, ends, kept, skipped, player };
    let approval = NoMask::approved_by("dpo").unwrap();
    let mut cutter = Cutter::new(&"east/ext-01".parse().unwrap(), cut::Settings { segment_s: 600 });
    while seen.details.len() < downs {
        let event =
            timeout(Duration::from_secs(30), events.recv()).await.expect("silence").unwrap();
        match &event {
            Event::Frame(frame) => seen.frames.push(frame.clone()),
            Event::Connected(_) => seen.story.push("connected"),
            Event::Jump { .. } => seen.story.push("jump"),
            Event::Overrun { .. } => seen.story.push("overrun"),
            Event::Down { reason, detail, .. } => {
                seen.story.push(reason.code());
                seen.details.push(detail.clone());
            }
        }
        for output in cutter.handle(pass_event(event, &approval)) {
            match output {
                Output::Open { skipped, .. } => seen.skipped += skipped,
                Output::Fragment(fragment) => seen.kept += fragment.samples() as usize,
                Output::Close { reason, .. } => seen.ends.push(reason.code()),
                Output::Refused { detail, .. } => panic!("{detail}"),
            }
        }
    }
    assert!(tasks.shut_down(Duration::from_secs(10)).await, "it does not end");
    seen.check();
    seen
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn bent(name: &str) -> Bent {
    Bent::of(&session(name).unwrap())
}

/// A session of H.264 that every change below is made to.
const GOOD: &str = "gstreamer-h264";

#[tokio::test]
async fn every_captured_session_is_kept_to_its_last_picture() {
    let names = names().unwrap();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let bent = bent(&name);
        let seen = play(V4, vec![session(&name).unwrap()], 1).await;
        assert_eq!(seen.story, ["connected", "ended"], "{name}: {:?}", seen.details);
        assert_eq!(seen.frames.len(), bent.frames(), "{name}");
        assert_eq!((seen.lost(), &seen.ends[..]), (0, &["down"][..]), "{name}");
        // Taken apart and put together, it is the same to our client.
        let again = play(V4, vec![bent.session()], 1).await;
        let pictures = |seen: &Seen| -> Vec<_> {
            seen.frames.iter().map(|f| (f.pts, f.key, f.data.clone())).collect()
        };
        assert!(pictures(&seen) == pictures(&again), "{name}");
    }
}

#[tokio::test]
async fn cameras_are_reached_by_ipv6() {
    let seen = play(Ipv6Addr::LOCALHOST.into(), vec![session(GOOD).unwrap()], 1).await;
    assert!(seen.player.url().as_str().starts_with("rtsp://[::1]:"));
    assert_eq!(seen.frames.len(), bent(GOOD).frames());
}

#[tokio::test]
async fn a_media_clock_that_is_set_splits_the_segment_and_loses_no_picture() {
    // Two hours and 22 minutes, either way; and back by a second and a half, which is less than a
    // camera may be late.
    for ticks in [766_800_000, -766_800_000, -135_000] {
        let mut bent = bent(GOOD);
        bent.jump(60, ticks);
        let seen = play(V4, vec![bent.session()], 1).await;
        assert_eq!(seen.story, ["connected", "jump", "ended"], "{ticks}");
        assert_eq!(seen.frames.len(), bent.frames(), "{ticks}");
        assert_eq!(seen.ends, ["jump", "down"], "{ticks}");
    }
}

#[tokio::test]
async fn equal_time_stamps_and_marked_sei_lose_no_picture() {
    let whole = bent(GOOD).frames();
    let mut pairs = bent(GOOD);
    pairs.pair_timestamps();
    let mut sei = bent(GOOD);
    sei.mark_sei();
    assert_eq!(sei.frames(), 2 * whole, "each picture has two marked packets");
    for (what, session) in [("pairs", pairs.session()), ("sei", sei.session())] {
        let seen = play(V4, vec![session], 1).await;
        assert_eq!(seen.story, ["connected", "ended"], "{what}: {:?}", seen.details);
        assert_eq!((seen.frames.len(), seen.lost()), (whole, 0), "{what}");
        assert_eq!(seen.ends, ["down"], "{what}");
    }
}

#[tokio::test]
async fn lost_packets_are_counted_and_cost_their_own_pictures_alone() {
    // Of losses that follow each other within lost pictures the client tells fewer, and never more.
    for (percent, seed, told_percent) in [(2, 1, 100), (10, 2, 90), (40, 3, 50)] {
        let mut bent = bent(GOOD);
        let whole = bent.frames();
        let gone = bent.lose(30, percent, seed);
        let seen = play(V4, vec![bent.session()], 1).await;
        assert_eq!(seen.story, ["connected", "ended"], "{percent} %: {:?}", seen.details);
        let pictures = u32::try_from(whole - seen.frames.len()).unwrap();
        assert!(
            gone > 0 && pictures <= gone,
            "{percent} %: {pictures} pictures for {gone} packets"
        );
        let enough = gone * told_percent / 100;
        assert!((enough..=gone).contains(&seen.lost()), "{percent} %: {} of {gone}", seen.lost());
    }
}

#[tokio::test]
async fn packets_out_of_order_on_tcp_end_the_session_and_the_next_is_well() {
    let mut bent = bent(GOOD);
    bent.reorder(60);
    let seen = play(V4, vec![bent.session(), session(GOOD).unwrap()], 2).await;
    assert_eq!(seen.story, ["connected", "garbage", "connected", "ended"], "{:?}", seen.details);
    assert!(seen.details[0].contains("Out-of-order packet"), "{:?}", seen.details);
}

#[tokio::test]
async fn a_sender_that_begins_anew_is_connected_to_again_at_once() {
    let mut bent = bent(GOOD);
    bent.change_sender(60);
    let seen = play(V4, vec![bent.session(), session(GOOD).unwrap()], 2).await;
    assert_eq!(seen.story, ["connected", "garbage", "connected", "ended"], "{:?}", seen.details);
    assert_eq!(seen.player.begun(), 2);
}

#[tokio::test]
async fn noise_ends_the_session_and_the_next_is_well() {
    let noisy = bent(GOOD).with_noise(60, 3000, 7);
    let seen = play(V4, vec![noisy, session(GOOD).unwrap()], 2).await;
    assert_eq!(seen.story, ["connected", "garbage", "connected", "ended"], "{:?}", seen.details);
}

#[tokio::test]
async fn another_picture_size_and_another_codec_begin_their_own_segments() {
    let mut bent = bent(GOOD);
    let (other, before) = (self::bent("gstreamer-h264-large"), 60);
    bent.go_on_with(before, &other);
    let seen = play(V4, vec![bent.session(), session("gstreamer-h265").unwrap()], 2).await;
    assert_eq!(seen.story, ["connected", "ended", "connected", "ended"], "{:?}", seen.details);
    assert_eq!(seen.ends, ["parameters", "down", "down"]);
    let mut widths: Vec<_> =
        seen.frames.iter().map(|f| (f.parameters.codec, f.parameters.width)).collect();
    widths.dedup();
    assert_eq!(widths, [(Codec::H264, 320), (Codec::H264, 960), (Codec::H265, 960)]);
}

#[tokio::test]
async fn a_camera_that_stops_sending_key_frames_is_told_and_tried_again() {
    let mut bent = bent(GOOD);
    assert!(bent.keys() > 2, "{}", bent.keys());
    bent.drop_keys(1);
    let seen = play_to(1500, V4, vec![bent.session()], 2).await;
    let expect = ["connected", "never-key-frame", "connected", "never-key-frame"];
    assert_eq!(seen.story, expect, "{:?}", seen.details);
    assert!(seen.details[0].contains("(GOP) to 2 s"), "{:?}", seen.details);
    assert!(seen.player.teardowns() >= 1, "the session was left without TEARDOWN");
}

#[tokio::test]
async fn a_live555_that_goes_on_sending_to_sessions_that_are_gone_is_waited_for() {
    let good = session("live555-2017-01-26").unwrap();
    let mut haunted = Bent::of(&good);
    haunted.haunt(50);
    let seen = play(V4, vec![haunted.session(), good.clone()], 3).await;
    let expect = ["connected", "garbage", "garbage", "connected", "ended"];
    assert_eq!(seen.story, expect, "{:?}", seen.details);
    assert!(seen.details[0].contains("wrong ssrc"), "{:?}", seen.details);
    assert!(seen.details[1].contains("live555") && seen.details[1].contains("waiting up to"));
    assert_eq!(seen.player.begun(), 2, "one session while it waits would be one more to forget");
    assert!(seen.player.teardowns() >= 1, "what can be torn down is");

    // One that does not say what it is built on is waited for when it happens twice.
    let mut unnamed = bent(GOOD);
    unnamed.haunt(50);
    let sessions = vec![unnamed.session(), unnamed.session(), session(GOOD).unwrap()];
    let seen = play(V4, sessions, 4).await;
    let down: Vec<_> = seen.story.iter().filter(|what| **what != "connected").collect();
    assert_eq!(down, [&"garbage", &"garbage", &"garbage", &"ended"], "{:?}", seen.details);
    assert!(seen.details[2].contains("waiting up to"), "{:?}", seen.details);
    assert_eq!(seen.player.begun(), 3);
}

#[tokio::test]
async fn every_end_of_ours_is_told_to_the_camera() {
    let player = Player::start(V4, vec![session(GOOD).unwrap()], Then::Silence).await.unwrap();
    let (to, mut events) = outbox::queue();
    let settings = Settings::new(player.url().as_str().parse().unwrap());
    let tasks = Tasks::new();
    let stop = tasks.clone();
    tasks.spawn("camera", async move {
        camera::run(settings, Clock::system(), || 0, to, stop.stopping()).await;
    });
    while !matches!(events.recv().await, Some(Event::Frame(_))) {}
    assert!(tasks.shut_down(Duration::from_secs(10)).await, "it does not end");
    assert_eq!(player.teardowns(), 1);
    assert_eq!(Reason::ALL.len(), 8);
}
