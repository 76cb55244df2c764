//! Workers between their queues: order, drops, failures and overload, with real pictures.

use std::sync::Arc;

use custody::WallTime;

use super::*;
use crate::camera::clip::Clip;
use crate::camera::{Frame, Reason};
use crate::mask::choice::Effort;
use crate::mask::zone::Zone;

fn policy() -> Policy {
    let zone = Zone::try_from(vec![[0.2, 0.2], [0.6, 0.2], [0.6, 0.6]]).unwrap();
    Policy {
        policy_id: "east-ext-01".to_owned(),
        revision: 1,
        approved_by: "dpo".to_owned(),
        zones: vec![zone],
        colour: Default::default(),
    }
}

/// A pool, and where its workers' panics are told.
fn pool(settings: Settings, cameras: usize) -> (Pool, mpsc::Receiver<String>) {
    let (fatal, told) = mpsc::channel(4);
    (Pool::open(&settings, cameras, &Clock::system(), &fatal), told)
}

fn one(settings: Settings) -> (Pipeline, mpsc::Receiver<String>) {
    let (pool, told) = pool(settings, 1);
    (pool.start("east/ext-01", policy()).unwrap(), told)
}

/// All threads are gone, and none panicked.
async fn ended_well(mut told: mpsc::Receiver<String>) {
    assert_eq!(told.recv().await, None);
}

fn down() -> Event {
    Event::Down { reason: Reason::Ended, detail: String::new(), at: WallTime(0) }
}

/// All that comes out until the thread ends: numbers of frames in a row, and words.
async fn story(mut outputs: mpsc::Receiver<Output>) -> Vec<String> {
    let (mut story, mut frames) = (Vec::new(), 0);
    loop {
        let output = outputs.recv().await;
        if let Some(Output::Frame(frame)) = &output {
            assert!(frame.applied().is_some());
            frames += 1;
            continue;
        }
        if frames > 0 {
            story.push(std::mem::take(&mut frames).to_string());
        }
        story.push(match output {
            None => return story,
            Some(Output::Connected) => "connected".to_owned(),
            Some(Output::Jump { .. }) => "jump".to_owned(),
            Some(Output::Overrun { frames }) => format!("overrun {frames}"),
            Some(Output::LeftOut { frames, .. }) => format!("left out {frames}"),
            Some(Output::MaskFailed { detail, .. }) => {
                assert!(!detail.is_empty());
                "failed".to_owned()
            }
            Some(Output::Down { reason, .. }) => reason.code().to_owned(),
            Some(Output::Frame(_)) => continue,
        });
    }
}

#[tokio::test]
async fn events_stay_in_order_and_nothing_is_left_behind() {
    let clip = Clip::h264();
    let (Pipeline { mut feeder, outputs }, told) = one(Settings::default());
    feeder.feed(Event::Connected(Arc::clone(&clip.parameters))).await.unwrap();
    for frame in &clip.frames[..60] {
        feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    let (from, to) = (WallTime(1), WallTime(2));
    feeder.feed(Event::Jump { from, to }).await.unwrap();
    for frame in &clip.frames[100..120] {
        feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    feeder.feed(down()).await.unwrap();
    drop(feeder);
    assert_eq!(story(outputs).await, ["connected", "60", "jump", "20", "ended"]);
    ended_well(told).await;
}

#[tokio::test]
async fn what_cannot_be_masked_is_told_once_and_left_out() {
    let clip = Clip::h265();
    let (Pipeline { mut feeder, outputs }, told) = one(Settings::default());
    let reader = tokio::task::spawn_blocking(move || {
        let mut outputs = outputs;
        std::iter::from_fn(|| outputs.blocking_recv()).collect::<Vec<_>>()
    });
    for (i, frame) in clip.frames[..200].iter().enumerate() {
        // The second and third GOP come without their parameters.
        let mut frame = frame.clone();
        if (50..150).contains(&i) {
            let parameters = (*frame.parameters).clone();
            let decoder_config = bytes::Bytes::from_static(b"\x01torn");
            frame.parameters = Arc::new(crate::camera::Parameters { decoder_config, ..parameters });
        }
        while feeder.is_full() {
            tokio::task::yield_now().await;
        }
        feeder.feed(Event::Frame(frame)).await.unwrap();
    }
    drop(feeder);
    let outputs = reader.await.unwrap();
    ended_well(told).await;
    let frames: Vec<_> = outputs
        .iter()
        .filter_map(|o| if let Output::Frame(f) = o { Some(f.pts() / 3600) } else { None })
        .collect();
    let expect: Vec<i64> = (0..50).chain(150..200).collect();
    assert_eq!(frames, expect);
    let failures: Vec<_> = outputs
        .iter()
        .filter_map(|o| if let Output::MaskFailed { at, .. } = o { Some(*at) } else { None })
        .collect();
    assert_eq!(failures, [clip.frames[50].wall]);
}

#[tokio::test]
async fn a_recorder_that_does_not_take_loses_frames_and_is_told_how_many() {
    let clip = Clip::h264();
    let (Pipeline { mut feeder, outputs }, told) = one(Settings::default());
    // Nobody takes: all queues fill, and 500 frames do not fit.
    for frame in &clip.frames {
        feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    let (ended, story) = tokio::join!(
        async move {
            let ended = feeder.feed(down()).await;
            drop(feeder);
            ended
        },
        story(outputs)
    );
    ended.unwrap();
    ended_well(told).await;
    let (mut came, mut dropped) = (0, 0);
    for word in &story {
        let told = word.strip_prefix("overrun ").or_else(|| word.strip_prefix("left out "));
        dropped += told.map_or(0, |frames| frames.parse::<usize>().unwrap());
        came += word.parse::<usize>().unwrap_or(0);
    }
    assert!(dropped > 300, "{story:?}");
    assert_eq!(came + dropped, 500, "{story:?}");
    assert_eq!(story.last().unwrap(), "ended");
}

#[test]
fn a_mask_without_zones_or_approval_does_not_start() {
    let (pool, _told) = pool(Settings::default(), 1);
    let policy = Policy { zones: vec![], ..policy() };
    assert!(matches!(pool.start("x", policy), Err(StartError::Policy(BadPolicy::NoZone(_)))));
}

#[tokio::test]
async fn a_named_device_that_is_not_there_is_an_alarm_and_software_masks() {
    if std::path::Path::new("/dev/dri").exists() {
        return;
    }
    let clip = Clip::h264();
    let settings = Settings { encoder: Choice::Named(Kind::Vaapi), ..Settings::default() };
    let (Pipeline { mut feeder, outputs }, _told) = one(settings);
    assert_eq!(feeder.pool.figures().encoder, "libx264");
    let (code, text) = feeder.pool.alarms(WallTime(0)).remove(0);
    assert_eq!(code, "mask-encoder");
    assert!(text.contains("h264_vaapi"), "{text}");
    for frame in &clip.frames[..50] {
        feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    let reading = story(outputs);
    drop(feeder);
    assert_eq!(reading.await, ["50"]);
}

/// Feeds `frames` as fast as they are taken.
async fn feed_all(feeder: &mut Feeder, frames: &[Frame]) {
    for frame in frames {
        while feeder.is_full() {
            tokio::task::yield_now().await;
        }
        feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
}

#[tokio::test]
async fn a_pool_that_is_too_small_leaves_out_whole_stretches_of_all_cameras() {
    const CAMERAS: usize = 6;
    let clip = Clip::h264();
    // All that the cameras have at once: more than two seconds of work from the first moment.
    let settings = Settings { workers: 1, effort: Effort::Fine, ..Settings::default() };
    let (pool, told) = pool(settings, CAMERAS);
    let stories = (0..CAMERAS).map(|n| {
        let Pipeline { mut feeder, mut outputs } = pool.start(&n.to_string(), policy()).unwrap();
        let frames = &clip.frames;
        async move {
            let feeding = async move {
                feed_all(&mut feeder, frames).await;
                drop(feeder);
            };
            let reading = async move {
                let mut all = Vec::new();
                while let Some(output) = outputs.recv().await {
                    all.push(output);
                }
                all
            };
            tokio::join!(feeding, reading).1
        }
    });
    let stories = futures::future::join_all(stories).await;
    let mut losses = Vec::new();
    for outputs in stories {
        let (mut masked, mut left_out, mut may_follow) = (0, 0, false);
        for output in &outputs {
            match output {
                Output::Frame(frame) => {
                    assert!(frame.applied().is_some());
                    assert!(frame.key() || may_follow, "decoding does not begin at a key frame");
                    (masked, may_follow) = (masked + 1, true);
                }
                Output::LeftOut { frames, detail } => {
                    assert!(detail.starts_with("the recorder has "), "{detail}");
                    (left_out, may_follow) = (left_out + frames, false);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(masked + left_out, 500, "every frame is masked or told");
        losses.push(left_out);
    }
    println!("left out of 500: {losses:?}, {:?}", pool.figures());
    assert!(losses.iter().all(|lost| *lost > 0), "{losses:?}");
    let figures = pool.figures();
    assert_eq!(figures.left_out, losses.iter().sum::<u64>());
    assert_eq!(pool.alarms(figures.last_shed.unwrap())[0].0, "mask-overload");
    assert_eq!(pool.alarms(figures.last_shed.unwrap().plus_seconds(61)), []);
    drop(pool);
    ended_well(told).await;
}

#[tokio::test]
async fn a_recorder_that_takes_nothing_holds_up_no_other_camera() {
    let clip = Clip::h264();
    let (pool, told) = pool(Settings { workers: 1, ..Settings::default() }, 2);
    let mut stuck = pool.start("stuck", policy()).unwrap();
    let mut well = pool.start("well", policy()).unwrap();
    for frame in &clip.frames[..40] {
        stuck.feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    let feeder = &mut well.feeder;
    let feeding = feed_all(feeder, &clip.frames[..80]);
    let reading = async {
        for _ in 0..80 {
            assert!(matches!(well.outputs.recv().await, Some(Output::Frame(_))));
        }
    };
    tokio::join!(feeding, reading);
    // What is dropped now is the recorder's doing, and not the mask's.
    for frame in &clip.frames[40..] {
        stuck.feeder.feed(Event::Frame(frame.clone())).await.unwrap();
    }
    let Pipeline { mut feeder, outputs } = stuck;
    let ending = async move {
        feeder.feed(down()).await.unwrap();
        drop(feeder);
    };
    let (story, ()) = tokio::join!(story(outputs), ending);
    assert!(story.iter().any(|word| word.starts_with("overrun ")), "{story:?}");
    drop((well, pool));
    ended_well(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_moves_to_a_worker_with_more_time_and_loses_nothing() {
    let clip = Clip::h264();
    let (pool, told) = pool(Settings { workers: 2, ..Settings::default() }, 4);
    let mut cameras: Vec<_> =
        (0..4).map(|n| pool.start(&n.to_string(), policy()).unwrap()).collect();
    let place = |camera: &Pipeline| camera.feeder.place.load(Ordering::SeqCst);
    assert_eq!(cameras.iter().map(place).collect::<Vec<_>>(), [0, 1, 0, 1]);
    // The second worker's cameras go, and the first one's send 200 pictures a second each.
    cameras.remove(3);
    cameras.remove(1);
    for (n, frame) in clip.frames[..150].iter().enumerate() {
        let frame = Frame { pts: frame.pts / 8, ..frame.clone() };
        for camera in &mut cameras {
            camera.feeder.feed(Event::Frame(frame.clone())).await.unwrap();
        }
        for camera in &mut cameras {
            let Some(Output::Frame(clean)) = camera.outputs.recv().await else { panic!("{n}") };
            assert_eq!((clean.pts(), clean.key()), (frame.pts, frame.key));
        }
    }
    let mut places: Vec<_> = cameras.iter().map(place).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 1], "{:?}", pool.figures());
    drop((cameras, pool));
    ended_well(told).await;
}
