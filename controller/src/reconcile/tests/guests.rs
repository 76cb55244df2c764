//! Copies of held footage at another site.

use super::*;
use crate::evidence::hold::GuestState;

const HOLDS: [&str; 2] = ["H-2026-000001", "H-2026-000002"];

/// A scene with copied footage of an interval that is over.
fn scene() -> Scene {
    let scene = Scene::new();
    let wait_ms = u64::try_from(limits::CHAIN_WAIT_S).unwrap() * 1000;
    scene.clock.advance_ms(wait_ms);
    scene.village.set(|mood| {
        (mood.gives, mood.copies) = (true, true);
        mood.records = vec![gap(at("2026-11-21T11:58:00Z")), segment(4), segment(5)];
    });
    scene
}

fn place(scene: &Scene) {
    let order = hold_order(Purpose::Crime, "robbery in Mill Lane");
    scene.act("k.ode", Command::PlaceHold(order));
}

fn release(scene: &Scene, hold: &HoldId) {
    let reason = "no longer needed".to_owned();
    scene.act("k.ode", Command::ReleaseHold { hold: hold.clone(), reason });
}

fn guest(hold: &HoldId, wanted: GuestState) -> impl Fn(&State, &Progress) -> bool {
    let hold = hold.clone();
    move |state, _| state.evidence.hold(&hold).unwrap().guest == wanted
}

fn whole() -> GuestState {
    GuestState::Whole { site: "hq".parse().unwrap(), segments: 2 }
}

/// What no event tells.
async fn until_told(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "{what}");
}

fn logged(scene: &Scene) -> Vec<&'static str> {
    let entries = scene.ledger.entries(0, 1000).unwrap();
    let names = entries.iter().map(|entry| entry.body.name());
    names.filter(|name| name.contains("cop")).collect()
}

#[tokio::test]
async fn held_footage_goes_to_another_site_and_goes_there_with_the_last_hold() {
    let scene = scene();
    scene.village.set(|mood| mood.keeper_is_away = true);
    // The first that is not the footage's own.
    let vault = scene.run_with(&["east", "hq", "west"]);
    let holds: [HoldId; 2] = HOLDS.map(|id| id.parse().unwrap());
    place(&scene);
    let begun = GuestState::Begun { site: "hq".parse().unwrap() };
    scene.until("it is logged before anything goes", guest(&holds[0], begun)).await;
    let waits = || vault.guest_book().of(&holds[0]).waits;
    until_told("it says whom it waits for", || waits().contains("site hq is not connected")).await;
    let guests = || scene.village.0.lock().unwrap().guests.len();
    assert_eq!(guests(), 0);
    scene.village.set(|mood| mood.keeper_is_away = false);
    scene.until("it is whole", guest(&holds[0], whole())).await;
    place(&scene);
    scene.until("the second is, too", guest(&holds[1], whole())).await;
    assert_eq!(guests(), 2);
    until_told("nothing waits", || waits().is_empty()).await;
    assert_eq!(
        logged(&scene),
        [
            "hold-copied",
            "hold-copying-to-site",
            "hold-copied-to-site",
            "hold-copied",
            "hold-copying-to-site",
            "hold-copied-to-site"
        ]
    );

    release(&scene, &holds[0]);
    scene.until("the first is gone", guest(&holds[0], GuestState::Deleted)).await;
    assert_eq!(guests(), 2, "the other hold needs them");
    // Away at the end: what it keeps goes when it comes back, and the vault waits for nobody.
    scene.village.set(|mood| mood.keeper_is_away = true);
    release(&scene, &holds[1]);
    let is_deleted = |state: &State, _: &Progress| {
        state.evidence.hold(&holds[1]).unwrap().copy == CopyState::Deleted
    };
    scene.until("the vault's copy goes", is_deleted).await;
    scene.until("the other site's stays", guest(&holds[1], whole())).await;
    scene.village.set(|mood| {
        mood.keeper_is_away = false;
        // What was cut off, long ago.
        let torn = Guest { seq: Seq(9), root_start: [1; 8], bytes: 3, is_whole: false };
        mood.guests.insert(9, torn);
    });
    scene.until("it goes, too", guest(&holds[1], GuestState::Deleted)).await;
    assert_eq!(guests(), 0);
    let entries = scene.ledger.entries(0, 1000).unwrap();
    let deleted = entries.iter().filter_map(|entry| match &entry.body {
        Event::HoldSiteCopyDeleted(deleted) => Some((deleted.segments, deleted.bytes)),
        _ => None,
    });
    assert_eq!(deleted.collect::<Vec<_>>(), [(0, 0), (3, 8195)]);
    scene.end().await;
}

#[tokio::test]
async fn what_one_copy_has_lost_comes_from_the_other() {
    let scene = scene();
    let vault = scene.run_with(&["hq"]);
    place(&scene);
    let hold: HoldId = HOLDS[0].parse().unwrap();
    scene.until("it is whole", guest(&hold, whole())).await;
    let rests = || vault.guest_book().of(&hold).to_copy == 0;
    until_told("its work is over", rests).await;
    // Its own site is gone, one file is lost and another cut short; the other site has lost one.
    let names = vault.shelf().list("segments/east/ext-01/").unwrap();
    vault.shelf().remove(&names[0]).unwrap();
    vault.shelf().put(&names[1], b"cut").unwrap();
    scene.village.set(|mood| mood.is_away = true);
    scene.clock.advance_ms(limits::GUEST_LOOK_MS);
    scene.agent_comes();
    let bytes = |name: &String| vault.shelf().bytes(name).unwrap();
    until_told("they come back", || names.iter().all(|name| bytes(name) == Some(4096))).await;
    assert_eq!(vault.shelf().read(&names[0], 0, 1).unwrap(), [8], "from the other site");
    until_told("its work is over", rests).await;

    scene.village.set(|mood| mood.guests.clear());
    scene.clock.advance_ms(limits::GUEST_LOOK_MS);
    scene.agent_comes();
    let guests = || scene.village.0.lock().unwrap().guests.len();
    until_told("and the other way round", || guests() == 2).await;
    assert!(guest(&hold, whole())(&scene.ledger.read(Clone::clone), &scene.progress));
    scene.end().await;
}

#[tokio::test]
async fn a_hold_has_no_third_place_where_only_its_own_site_is_named() {
    let scene = scene();
    let vault = scene.run_with(&["east"]);
    place(&scene);
    let hold: HoldId = HOLDS[0].parse().unwrap();
    let is_copied = |state: &State, _: &Progress| {
        state.evidence.hold(&hold).unwrap().copy == CopyState::Whole { segments: 2 }
    };
    scene.until("it is copied", is_copied).await;
    release(&scene, &hold);
    let is_deleted = |state: &State, _: &Progress| {
        state.evidence.hold(&hold).unwrap().copy == CopyState::Deleted
    };
    scene.until("and deleted", is_deleted).await;
    assert_eq!(logged(&scene), ["hold-copied", "hold-copy-deleted"]);
    assert_eq!(vault.guest_book().of(&hold).waits, "");
    scene.end().await;
}
