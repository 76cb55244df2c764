//! What is copied to the vault, and what two people have erased.

use super::*;

#[tokio::test]
async fn held_footage_is_copied_and_the_copy_goes_with_the_last_hold() {
    let scene = Scene::new();
    // The interval is over: nothing more will come.
    let wait_ms = u64::try_from(limits::CHAIN_WAIT_S).unwrap() * 1000;
    scene.clock.advance_ms(wait_ms);
    scene.village.set(|mood| {
        (mood.gives, mood.copies) = (true, true);
        mood.records = vec![gap(at("2026-11-21T11:58:00Z")), segment(4)];
    });
    scene.run();
    let order = hold_order(Purpose::Crime, "robbery in Mill Lane");
    let holds: [HoldId; 2] = ["H-2026-000001", "H-2026-000002"].map(|id| id.parse().unwrap());
    let copy = |hold: &HoldId, wanted: CopyState| {
        let hold = hold.clone();
        move |state: &State, _: &Progress| state.evidence.hold(&hold).unwrap().copy == wanted
    };
    for hold in &holds {
        scene.act("k.ode", Command::PlaceHold(order.clone()));
        scene.until("it is copied", copy(hold, CopyState::Whole { segments: 1 })).await;
    }
    let shelf = scene.village.0.lock().unwrap().shelf.clone().unwrap();
    let files = || shelf.list("segments/east/ext-01/").unwrap().len();
    assert_eq!((files(), shelf.list("held/").unwrap().len()), (1, 2));
    let kept = shelf.read("held/H-2026-000001.json", 0, 1 << 20).unwrap();
    let text = String::from_utf8(kept).unwrap();
    assert!(!text.contains(&hex::encode([3; 32])), "no key lies there in the clear");
    for (hold, left) in holds.iter().zip([1, 0]) {
        let reason = "no longer needed".to_owned();
        scene.act("k.ode", Command::ReleaseHold { hold: hold.clone(), reason });
        scene.until("its copy is deleted", copy(hold, CopyState::Deleted)).await;
        assert_eq!(files(), left);
    }
    assert_eq!(shelf.list("held/").unwrap().len(), 0);
    let entries = scene.ledger.entries(0, 1000).unwrap();
    let deleted = entries.iter().filter_map(|entry| match &entry.body {
        Event::HoldCopyDeleted(deleted) => Some(deleted.segments),
        _ => None,
    });
    assert_eq!(deleted.collect::<Vec<_>>(), [0, 1], "the other hold still needed it");
    scene.end().await;
}

#[tokio::test]
async fn an_approved_erasure_is_asked_for_until_the_site_has_done_it() {
    let scene = Scene::new();
    scene.village.set(|mood| mood.is_away = true);
    let order = ErasureOrder {
        camera: "east/ext-01".parse().unwrap(),
        span: asked(),
        reason: "a neighbour's request".to_owned(),
    };
    let id = |number: u32| -> OrderId { format!("E-2026-{number:06}").parse().unwrap() };
    let approve = |order| Command::ApproveErasure { order, reason: "proportionate".to_owned() };
    let state_of =
        |state: &State, order: &OrderId| state.erasures.order(order).unwrap().state.as_str();
    scene.act("d.mensah", Command::OrderErasure(order.clone()));
    scene.act("o.ahmed", approve(id(1)));
    scene.run();
    let waits = |progress: &Progress, what: &str| {
        progress.order(&id(1)).is_some_and(|detail| detail.contains(what))
    };
    scene.until("a site that is away is waited for", |_, p| waits(p, "not connected")).await;
    scene.village.set(|mood| {
        mood.is_away = false;
        mood.erases = vec![ErasedFootage::KeysRemain, ErasedFootage::Done { segments: 9 }];
    });
    scene.agent_comes();
    scene.until("it is erased", |state, _| state_of(state, &id(1)) == "erased").await;
    assert_eq!(scene.progress.order(&id(1)), None);

    // A hold that came first at the site ends the order.
    let held = ErasedFootage::Held { holds: vec!["H-2026-000007".to_owned()] };
    scene.village.set(|mood| mood.erases = vec![held]);
    scene.act("d.mensah", Command::OrderErasure(order));
    scene.act("o.ahmed", approve(id(2)));
    scene.until("the hold wins", |state, _| state_of(state, &id(2)) == "refused").await;
    let why = scene.ledger.read(|state| state.erasures.order(&id(2)).unwrap().decision.clone());
    assert!(why.unwrap().reason.contains("H-2026-000007"));
    scene.end().await;
}
