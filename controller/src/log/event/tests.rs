//! Every event reads back, under the name and in the form in which it was first written. These
//! lines are frozen: a change of a form is a new version beside them.

use std::collections::BTreeSet;

use super::Event;

const FROZEN: &[(&str, u16, &str)] = &[
    (
        "person-added",
        1,
        r#"{"person":"t.okafor","roles":["requester","asset-owner"],"token_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#,
    ),
    ("person-suspended", 1, r#"{"person":"t.okafor"}"#),
    (
        "enrolment-token-created",
        1,
        r#"{"site":"east","secret_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","ends":"2026-11-22T12:00:00.000000Z"}"#,
    ),
    (
        "site-enrolled",
        1,
        r#"{"site":"east","secret_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","evidence_key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a","serial":"40aa","certificate_ends":"2027-01-20T12:00:00.000000Z"}"#,
    ),
    (
        "site-renewed",
        1,
        r#"{"site":"east","serial":"41bb","certificate_ends":"2027-03-20T12:00:00.000000Z"}"#,
    ),
    ("site-revoked", 1, r#"{"site":"east"}"#),
    (
        "key-revoked",
        1,
        r#"{"site":"east","key_id":"21fe31dfa154a261","lines":[{"key_id":"21fe31dfa154a261","at":"2026-11-21T12:00:00.000000Z","origin":"east.watchhouse.example/log/5f3a9c01","log_size":4711}]}"#,
    ),
    (
        "log-began",
        1,
        r#"{"site":"east","vkey":"east.watchhouse.example/log/5f3a9c01+0cb6bd7b+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"}"#,
    ),
    (
        "log-contradicted",
        1,
        r#"{"found":{"site":"east","origin":"east.watchhouse.example/log/5f3a9c01","kind":"fork","size":4711,"detail":"two roots","proof":"east-0123456789abcdef"}}"#,
    ),
    (
        "logs-stamped",
        1,
        r#"{"authority":"http://tsa.example/","stamps":[{"origin":"east.watchhouse.example/log/5f3a9c01","size":4711,"note_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","token_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","at":"2026-11-21T12:00:00.000000Z"}]}"#,
    ),
    ("site-connected", 1, r#"{"site":"east","remote":"10.1.0.2:4455"}"#),
    ("site-disconnected", 1, r#"{"site":"east","why":"timed out"}"#),
    ("connection-refused", 1, r#"{"remote":"10.9.9.9:1","why":"no certificate of ours"}"#),
    ("cameras-announced", 1, r#"{"site":"east","cameras":["east/ext-01","east/int-01"]}"#),
    (
        "evidence-requested",
        1,
        r#"{"case":"WH-2026-000001","cameras":["east/ext-01"],"from":"2026-11-21T14:00:00.000000Z","to":"2026-11-21T14:10:00.000000Z","crime_reference":"42/1234/26"}"#,
    ),
    ("case-approved", 1, r#"{"case":"WH-2026-000001"}"#),
    ("case-refused", 1, r#"{"case":"WH-2026-000001"}"#),
    ("case-held", 1, r#"{"case":"WH-2026-000001"}"#),
    ("case-pulling", 1, r#"{"case":"WH-2026-000001","segments":11,"bytes":330000000}"#),
    (
        "keys-released",
        1,
        r#"{"case":"WH-2026-000001","camera":"east/ext-01","segments":11,"transfer_sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#,
    ),
    (
        "case-bundled",
        1,
        r#"{"case":"WH-2026-000001","bytes":660000000,"verdict":"verified","detail":"","coverage_basis_points":10000}"#,
    ),
    (
        "case-failed",
        1,
        r#"{"case":"WH-2026-000001","code":"no-footage","detail":"east/ext-01: camera-unreachable"}"#,
    ),
    ("bundle-fetched", 1, r#"{"case":"WH-2026-000001","bytes":660000000}"#),
    (
        "hold-ordered",
        1,
        r#"{"hold":"WH-2026-000001-01","case":"WH-2026-000001","camera":"east/ext-01","from":"2026-11-21T14:00:00.000000Z","to":"2026-11-21T14:10:00.000000Z"}"#,
    ),
    ("hold-placed", 1, r#"{"hold":"H-2026-000001","case":null,"segments":11}"#),
    (
        "hold-ordered",
        1,
        r#"{"hold":"H-2026-000001-02","case":null,"camera":"east/ext-01","from":"2026-11-21T14:00:00.000000Z","to":"2026-11-21T14:10:00.000000Z","order":"H-2026-000001","grounds":{"basis":"cpia","mopi_group":3,"review_at":"2032-11-19T14:10:00.000000Z"}}"#,
    ),
    ("hold-placed", 1, r#"{"hold":"H-2026-000001","case":null,"segments":11,"erased":2}"#),
    (
        "hold-copied",
        1,
        r#"{"hold":"H-2026-000001","case":null,"segments":11,"bytes":330000000,"transfers_sha256":["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]}"#,
    ),
    (
        "hold-copy-deleted",
        1,
        r#"{"hold":"H-2026-000001","case":null,"segments":11,"bytes":330000000}"#,
    ),
    ("hold-copying-to-site", 1, r#"{"hold":"H-2026-000001","case":null,"site":"hq"}"#),
    (
        "hold-copied-to-site",
        1,
        r#"{"hold":"H-2026-000001","case":null,"site":"hq","segments":11,"bytes":330000000}"#,
    ),
    (
        "hold-site-copy-deleted",
        1,
        r#"{"hold":"H-2026-000001","case":null,"site":"hq","segments":11,"bytes":330000000}"#,
    ),
    ("hold-refused", 1, r#"{"hold":"H-2026-000001","case":null,"why":"no such camera"}"#),
    ("hold-release-ordered", 1, r#"{"hold":"H-2026-000001","case":null}"#),
    ("hold-released", 1, r#"{"hold":"H-2026-000001","case":null}"#),
    (
        "erasure-ordered",
        1,
        r#"{"order":"E-2026-000001","camera":"east/ext-01","from":"2026-11-21T14:00:00.000000Z","to":"2026-11-21T14:10:00.000000Z"}"#,
    ),
    ("erasure-approved", 1, r#"{"order":"E-2026-000001"}"#),
    ("erasure-refused", 1, r#"{"order":"E-2026-000001","why":"held by H-2026-000001"}"#),
    ("erased", 1, r#"{"order":"E-2026-000001","segments":11}"#),
    (
        "access-refused",
        1,
        r#"{"act":"approve-case","object":"WH-2026-000001","case":"WH-2026-000001","code":"own-request","message":"ask another authoriser"}"#,
    ),
    ("audit-read", 1, r#"{"case":null,"of_actor":"t.okafor"}"#),
];

#[test]
fn every_event_reads_back_as_it_was_first_written() {
    for (name, version, text) in FROZEN {
        let body: serde_json::Value = serde_json::from_str(text).unwrap();
        let event = Event::read(name, *version, body.clone()).unwrap();
        assert_eq!((event.name(), event.version()), (*name, *version));
        assert_eq!(event.body(), body, "{name}");
        assert!(!event.object().is_empty(), "{name}");
        let mut longer = body;
        longer.as_object_mut().unwrap().insert("surprise".to_owned(), true.into());
        assert!(Event::read(name, *version, longer).is_err(), "{name}: unknown fields are refused");
        assert!(Event::read(name, version + 1, event.body()).is_err());
    }
    let frozen: BTreeSet<_> = FROZEN.iter().map(|(name, ..)| *name).collect();
    assert_eq!(frozen, Event::NAMES.iter().copied().collect(), "freeze every event");
}
