//! What people are told about holds.

use super::warning::{self, SiteIs};
use super::*;

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn hold(state: HoldState) -> HoldEntry {
    let ordered_at = at("2026-11-21T12:00:00Z");
    HoldEntry {
        id: "H-2026-000001".parse().unwrap(),
        order: "H-2026-000001".parse().unwrap(),
        case: None,
        camera: "east/ext-01".parse().unwrap(),
        span: Span { from: at("2026-10-22T03:12:00Z"), to: at("2026-10-22T04:00:00Z") },
        grounds: Some(grounds::decide(Asked::default(), Purpose::Crime, ordered_at).unwrap()),
        ordered_by: None,
        ordered_at,
        purpose: Some(Purpose::Crime),
        reason: "robbery".to_owned(),
        state,
        copy: CopyState::default(),
        guest: GuestState::default(),
        stream: Stream::hold(&"H-2026-000001".parse().unwrap()),
    }
}

#[test]
fn a_hold_that_waits_says_how_long_there_is() {
    let ordered = hold(HoldState::Ordered);
    let midnight = at("2026-11-22T00:00:00Z");
    assert_eq!(warning::of(&ordered, SiteIs::Here, midnight), None);
    let away = SiteIs::Away(Some(at("2026-11-20T02:14:05Z")));
    let found = warning::of(&ordered, away, midnight).unwrap();
    assert_eq!(found.problem, "hold-waits");
    assert!(
        found.detail.starts_with(
            "expires in 3 h 12 min, site east away since 2026-11-20T02:14Z. The hold is placed"
        ),
        "{}",
        found.detail
    );
    let found = warning::of(&ordered, SiteIs::Away(None), midnight.plus_seconds(-86_400)).unwrap();
    assert!(found.detail.starts_with("expires in 1 d 3 h, site east away. "), "{}", found.detail);
    let found = warning::of(&ordered, away, at("2026-11-22T03:12:00Z")).unwrap();
    assert_eq!(found.problem, "hold-too-late");
    assert!(found.detail.contains("erased at 2026-11-22T03:12Z"), "{}", found.detail);
}

#[test]
fn what_is_lost_refused_or_due_is_said() {
    let now = at("2026-11-22T00:00:00Z");
    let of = |state, now| warning::of(&hold(state), SiteIs::Here, now).map(|it| it.problem);
    let placed = |erased| HoldState::Placed { segments: 4, erased };
    assert_eq!(of(placed(0), now), None);
    assert_eq!(of(placed(2), now), Some("hold-too-late"));
    let refused = HoldState::Refused { why: "hold-budget: too much".to_owned() };
    assert_eq!(of(refused, now), Some("hold-refused"));
    let review = hold(HoldState::Ordered).grounds.unwrap().review_at;
    assert_eq!(of(placed(0), review.plus_micros(-1)), None);
    assert_eq!(of(placed(0), review), Some("hold-review-due"));
    assert_eq!(of(HoldState::Released, review), None);
}

#[test]
fn a_copy_at_another_site_goes_from_step_to_step_and_never_to_its_own() {
    let [east, hq, west]: [SiteId; 3] = ["east", "hq", "west"].map(|site| site.parse().unwrap());
    let mut entry = hold(HoldState::Placed { segments: 2, erased: 0 });
    let also_at = [east.clone(), hq.clone(), west.clone()];
    assert_eq!(guest::choose(&also_at, &entry.camera), Some(&hq));
    assert_eq!(guest::choose(&also_at[..1], &entry.camera), None);
    let named = |entry: &HoldEntry, site: &SiteId, done: GuestStep| {
        let decided = step(entry, &HoldStep::Guest { site: site.clone(), step: done });
        decided.ok().map(|events| events[0].name())
    };
    let whole = GuestStep::Whole { segments: 2, bytes: 9 };
    let deleted = GuestStep::Deleted { segments: 2, bytes: 9 };
    assert_eq!(named(&entry, &hq, GuestStep::Begun), None, "the vault's copy comes first");
    entry.copy = CopyState::Whole { segments: 2 };
    assert_eq!(named(&entry, &east, GuestStep::Begun), None, "its own site is no other place");
    assert_eq!(named(&entry, &hq, whole.clone()), None);
    assert_eq!(named(&entry, &hq, GuestStep::Begun), Some("hold-copying-to-site"));
    entry.guest = GuestState::Begun { site: hq.clone() };
    assert_eq!(named(&entry, &west, GuestStep::Begun), None, "one is enough");
    assert_eq!(named(&entry, &west, whole.clone()), None);
    assert_eq!(named(&entry, &hq, whole), Some("hold-copied-to-site"));
    entry.guest = GuestState::Whole { site: hq.clone(), segments: 2 };
    assert_eq!(named(&entry, &hq, deleted.clone()), None, "it stands");
    entry.state = HoldState::Released;
    assert_eq!(named(&entry, &west, deleted.clone()), None);
    assert_eq!(named(&entry, &hq, deleted.clone()), Some("hold-site-copy-deleted"));
    entry.guest = GuestState::Deleted;
    assert_eq!(named(&entry, &hq, deleted), None);
}
