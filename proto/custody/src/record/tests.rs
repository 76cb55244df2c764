//! Records survive signing, and nothing else does.

use super::*;
use crate::ids::SiteId;
use crate::manifest::{Agent, Analytics, Fragments, Mask, Reception, Seal, Stream};
use crate::time::{Clock, ClockSource};

fn clock() -> Clock {
    Clock {
        source: ClockSource::Simulated,
        offset_us: -120,
        uncertainty_us: 900,
        camera_offset_ms: None,
    }
}

fn segment() -> Segment {
    Segment {
        camera: "east/ext-01".parse().unwrap(),
        seq: Seq(3),
        prev: Digest::of(b"before"),
        boot_id: "boot".into(),
        start: WallTime(1_000_000),
        end: WallTime(61_000_000),
        clock: clock(),
        stream: Stream {
            codec: "avc1.64001f".into(),
            width: 960,
            height: 720,
            parameters_sha256: Digest::of(b"avcC"),
            byte_exact: false,
        },
        init_sha256: Digest::of(b"init"),
        fragments: Fragments { count: 30, root: Digest::of(b"root"), samples: 1500, bytes: 9 },
        mask: Mask::Burned {
            policy_id: "ext-01-homes".into(),
            revision: 2,
            approved_by: "dpo".into(),
            geometry_sha256: Digest::of(b"polygons"),
        },
        reception: Reception::default(),
        seal: Seal { algorithm: "AES-256-GCM".into(), epoch: 7 },
        agent: Agent {
            version: "0.1.0".into(),
            binary_sha256: Digest::of(b"binary"),
            config_sha256: Digest::of(b"config"),
        },
        analytics: Analytics::None,
        recovered: false,
        foreign_checkpoint: None,
    }
}

#[test]
fn a_segment_statement_is_in_toto_and_reads_back() {
    let key = SecretKey::from_seed(&[5; 32]);
    let record = Record::Segment(segment());
    let envelope = record.sign(&key);
    let statement: serde_json::Value =
        serde_json::from_slice(envelope.danger_unchecked_payload()).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicate"]["analytics"], "none");
    let read = Envelope::read(envelope.bytes()).unwrap();
    assert_eq!(Record::check(&read, &key.public()).unwrap(), record);
    assert_eq!(record.link().unwrap().seq, Seq(3));
}

#[test]
fn a_statement_whose_subject_is_another_segment_is_refused() {
    let key = SecretKey::from_seed(&[5; 32]);
    let payload = serde_json::to_string(&in_toto(&segment())).unwrap();
    let forged = payload.replace("east/ext-01/3", "east/ext-01/4");
    let envelope = Envelope::sign(IN_TOTO, forged.into_bytes(), &key);
    let refusal = Record::check(&envelope, &key.public()).unwrap_err();
    assert_eq!(refusal.code(), Code::RecordMalformed);
}

#[test]
fn gap_reasons_are_printed_as_they_are_signed() {
    for reason in [
        GapReason::CameraUnreachable,
        GapReason::MaskNotApplied,
        GapReason::AgentCrashed,
        GapReason::TimestampJump,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn unknown_fields_are_refused_rather_than_ignored() {
    let key = SecretKey::from_seed(&[5; 32]);
    let release = Statement::Release(Release {
        hold: "H-1".parse().unwrap(),
        camera: "east/ext-01".parse().unwrap(),
        at: WallTime(1),
    });
    let payload = serde_json::to_string(&release).unwrap().replace("\"at\"", "\"by\":\"x\",\"at\"");
    let envelope = Envelope::sign(RECORD, payload.into_bytes(), &key);
    assert_eq!(Record::check(&envelope, &key.public()).unwrap_err().code(), Code::RecordMalformed);
}

#[test]
fn a_certificate_is_signed_by_a_key_that_may_not_answer() {
    struct Lost;
    impl Signer for Lost {
        fn public(&self) -> PublicKey {
            SecretKey::from_seed(&[1; 32]).public()
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
            Err(SignError::new("the token is not in its slot"))
        }
    }
    let (identity, day) = (SecretKey::from_seed(&[6; 32]), SecretKey::from_seed(&[7; 32]).public());
    let site: SiteId = "east".parse().unwrap();
    let record = Record::Other(Statement::KeyCert(KeyCert {
        site,
        usage: KeyUsage::Records,
        key_id: day.id(),
        public_key: day.to_hex(),
        name: None,
        not_before: WallTime(0),
        not_after: WallTime(RECORDS_KEY_LIFE_US),
    }));
    assert!(record.sign_by(&Lost).unwrap_err().to_string().contains("token"));
    let envelope = record.sign_by(&identity).unwrap();
    assert_eq!(envelope, record.sign(&identity));
    assert_eq!(Record::check(&envelope, &identity.public()).unwrap(), record);
    assert_eq!(record.kind(), Some(Kind::KeyCert));
}
