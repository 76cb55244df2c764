//! The thread between its queues: order, drops and failures, with real pictures.

use std::sync::Arc;

use custody::WallTime;

use super::*;
use crate::camera::Reason;
use crate::camera::clip::Clip;
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
    let Pipeline { mut feeder, outputs, thread } = start("east/ext-01", policy()).unwrap();
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
    thread.join().unwrap();
}

#[tokio::test]
async fn what_cannot_be_masked_is_told_once_and_left_out() {
    let clip = Clip::h265();
    let Pipeline { mut feeder, outputs, thread } = start("east/ext-01", policy()).unwrap();
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
        while feeder.0.is_full() {
            tokio::task::yield_now().await;
        }
        feeder.feed(Event::Frame(frame)).await.unwrap();
    }
    drop(feeder);
    let outputs = reader.await.unwrap();
    thread.join().unwrap();
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
    let Pipeline { mut feeder, outputs, thread } = start("east/ext-01", policy()).unwrap();
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
    thread.join().unwrap();
    let [frames, overrun, end] = &story[..] else { panic!("{story:?}") };
    let dropped: usize = overrun.strip_prefix("overrun ").unwrap().parse().unwrap();
    assert_eq!(frames.parse::<usize>().unwrap() + dropped, 500, "{story:?}");
    assert_eq!(end, "ended");
}

#[test]
fn a_mask_without_zones_or_approval_does_not_start() {
    let policy = Policy { zones: vec![], ..policy() };
    assert!(matches!(start("x", policy), Err(StartError::Policy(BadPolicy::NoZone(_)))));
}
