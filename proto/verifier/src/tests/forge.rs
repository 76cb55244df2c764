//! Makes small bundles, true and false ones: two segments with a gap between them. The pictures are
//! words, the boxes are real.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::fragment::{Disclosed, FLAG_KEY, FragmentInfo};
use custody::manifest::{Agent, Analytics, Fragments, Mask, Reception, Seal, Segment, Stream};
use custody::record::{BundleSeal, Gap, GapReason, KeyGrant, Record, Statement};
use custody::{
    CameraId, Clock, ClockSource, Digest, PublicKey, SecretKey, Seq, SiteId, WallTime, bundle, tree,
};

/// 2026-11-21T14:00:00Z.
pub(super) const START: WallTime = WallTime(1_795_269_600_000_000);
const SECOND_US: i64 = 1_000_000;

/// The parts of a bundle before they are laid out, for a test to bend.
pub(super) struct Forge {
    pub(super) camera: CameraId,
    pub(super) authority: SecretKey,
    pub(super) site_key: SecretKey,
    /// Segment 0, gap 1, segment 2.
    pub(super) segments: [Recorded; 2],
    pub(super) gap: Gap,
    pub(super) grant: KeyGrant,
    pub(super) asked: Span,
}

/// One segment with its plain fragments.
pub(super) struct Recorded {
    pub(super) record: Segment,
    pub(super) init: Vec<u8>,
    pub(super) fragments: Vec<(Disclosed, Vec<u8>)>,
}

pub(super) fn a_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(8 + payload.len()).unwrap();
    [&len.to_be_bytes()[..], kind, payload].concat()
}

pub(super) fn clock(uncertainty_us: i64) -> Clock {
    Clock { source: ClockSource::Disciplined, offset_us: 0, uncertainty_us, camera_offset_ms: None }
}

/// Two fragments of two seconds.
fn recorded(camera: &CameraId, seq: u64, start: WallTime) -> Recorded {
    let init = a_box(b"ftyp", format!("iso{seq}").as_bytes());
    let fragments: Vec<_> = (0..2_u32)
        .map(|index| {
            let picture = format!("picture {seq}.{index}");
            let plain = [a_box(b"moof", b"m"), a_box(b"mdat", picture.as_bytes())].concat();
            let info = FragmentInfo {
                index,
                start: start.plus_seconds(2 * i64::from(index)),
                duration_us: 2_000_000,
                samples: 50,
                flags: FLAG_KEY,
            };
            let disclosed = Disclosed {
                info,
                bytes: plain.len() as u64,
                salt: Digest::of(picture.as_bytes()),
                cipher_sha256: Digest::of(b"sealed"),
            };
            (disclosed, plain)
        })
        .collect();
    let leaves: Vec<_> = fragments.iter().map(|(d, plain)| d.leaf(plain)).collect();
    let record = Segment {
        camera: camera.clone(),
        seq: Seq(seq),
        prev: Digest::NONE,
        boot_id: "boot".into(),
        start,
        end: start.plus_seconds(4),
        clock: clock(900 + i64::try_from(seq).unwrap()),
        stream: Stream {
            codec: "avc1.64001f".into(),
            width: 960,
            height: 720,
            parameters_sha256: Digest::NONE,
            byte_exact: true,
        },
        init_sha256: Digest::of(&init),
        fragments: Fragments {
            count: 2,
            root: tree::root(&leaves),
            samples: 100,
            bytes: fragments.iter().map(|(d, _)| d.bytes).sum(),
        },
        mask: Mask::NotRequired { approved_by: "d.mensah".into() },
        reception: Reception::default(),
        seal: Seal { algorithm: "AES-256-GCM".into(), epoch: 1 },
        agent: Agent {
            version: "0.1.0".into(),
            binary_sha256: Digest::NONE,
            config_sha256: Digest::NONE,
        },
        analytics: Analytics::None,
        recovered: false,
        foreign_checkpoint: None,
    };
    Recorded { record, init, fragments }
}

impl Forge {
    /// 14:00:00 to 14:00:04 footage, to 14:00:06 the camera was unreachable, to 14:00:10 footage.
    pub(super) fn new() -> Self {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let site_key = SecretKey::from_seed(&[2; 32]);
        let at = |seconds: i64| START.plus_micros(seconds * SECOND_US);
        Self {
            authority: SecretKey::from_seed(&[1; 32]),
            segments: [recorded(&camera, 0, at(0)), recorded(&camera, 2, at(6))],
            gap: Gap {
                camera: camera.clone(),
                seq: Seq(1),
                prev: Digest::NONE,
                boot_id: "boot".into(),
                start: at(4),
                end: at(6),
                reason: GapReason::CameraUnreachable,
                detail: String::new(),
                clock: clock(2_000),
            },
            grant: KeyGrant {
                site: camera.site().clone(),
                key_id: site_key.public().id(),
                public_key: site_key.public().to_hex(),
                not_before: at(-100),
                revoked: Vec::new(),
            },
            asked: Span { from: at(1), to: at(9) },
            site_key,
            camera,
        }
    }

    pub(super) fn trusted(&self) -> PublicKey {
        self.authority.public()
    }

    /// The camera's records, chained and signed as they stand.
    pub(super) fn records(&self) -> Vec<Envelope> {
        let [first, last] = &self.segments;
        let records = [
            Record::Segment(first.record.clone()),
            Record::Other(Statement::Gap(self.gap.clone())),
            Record::Segment(last.record.clone()),
        ];
        let mut prev = Digest::NONE;
        let mut chain = Vec::new();
        for mut record in records {
            match &mut record {
                Record::Segment(segment) => segment.prev = prev,
                Record::Other(Statement::Gap(gap)) => gap.prev = prev,
                Record::Other(_) => {}
            }
            let envelope = record.sign(&self.site_key);
            prev = envelope.digest();
            chain.push(envelope);
        }
        chain
    }

    /// The payload files.
    pub(super) fn payload(&self) -> BTreeMap<String, Vec<u8>> {
        let site: SiteId = self.camera.site().clone();
        let grant = Record::Other(Statement::Key(self.grant.clone())).sign(&self.authority);
        let mut files = BTreeMap::from([
            (bundle::REQUEST.to_owned(), b"{}".to_vec()),
            (bundle::AUDIT.to_owned(), b"{}\n".to_vec()),
            (bundle::AUTHORITY.to_owned(), self.trusted().to_pem().into_bytes()),
            (bundle::key_grants(&site), grant.bytes().to_vec()),
            (bundle::records(&self.camera), lines(&self.records())),
        ]);
        let mut pictures = Vec::new();
        for one in &self.segments {
            let seq = one.record.seq;
            let plain: Vec<u8> = one.fragments.iter().flat_map(|(_, p)| p.clone()).collect();
            for (_, fragment) in &one.fragments {
                for range in crate::boxes::payloads_in(fragment, b"mdat").unwrap_or_default() {
                    pictures.extend_from_slice(&fragment[range]);
                }
            }
            let disclosed: Vec<_> = one.fragments.iter().map(|(d, _)| d.clone()).collect();
            files.insert(bundle::init(&self.camera, seq), one.init.clone());
            files.insert(bundle::master(&self.camera, seq), plain);
            files.insert(
                bundle::disclosed(&self.camera, seq),
                serde_json::to_vec(&disclosed).unwrap(),
            );
        }
        let view = [a_box(b"ftyp", b"isom"), a_box(b"moov", b""), a_box(b"mdat", &pictures)];
        files.insert(bundle::view(&self.camera), view.concat());
        files
    }

    /// The statement about a payload manifest.
    pub(super) fn seal(&self, manifest: &[u8]) -> BundleSeal {
        BundleSeal {
            case: "WH-2026-000001".parse().unwrap(),
            exhibit: "WH-2026-000001/1".to_owned(),
            cameras: vec![self.camera.clone()],
            from: self.asked.from,
            to: self.asked.to,
            payload_manifest_sha256: Digest::of(manifest),
            at: START.plus_seconds(3_600),
        }
    }

    /// Lays the payload out, sealed by the authority.
    pub(super) fn write(&self, payload: &BTreeMap<String, Vec<u8>>, folder: &Path) {
        let manifest = manifest(payload);
        let seal = Record::Other(Statement::Bundle(self.seal(&manifest))).sign(&self.authority);
        write_with(payload, seal.bytes(), folder);
    }
}

pub(super) fn lines(envelopes: &[Envelope]) -> Vec<u8> {
    envelopes.iter().flat_map(|e| [e.bytes(), b"\n"].concat()).collect()
}

pub(super) fn manifest(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let line = |(path, bytes): (&String, &Vec<u8>)| format!("{}  {path}\n", Digest::of(bytes));
    files.iter().map(line).collect::<String>().into_bytes()
}

/// Lays a payload out under any statement.
pub(super) fn write_with(payload: &BTreeMap<String, Vec<u8>>, seal: &[u8], folder: &Path) {
    let bytes: usize = payload.values().map(Vec::len).sum();
    let info = format!("Payload-Oxum: {bytes}.{}\n", payload.len());
    let tags = BTreeMap::from([
        (bundle::BAGIT.to_owned(), bundle::BAGIT_TEXT.as_bytes().to_vec()),
        (bundle::BAG_INFO.to_owned(), info.into_bytes()),
        (bundle::MANIFEST.to_owned(), manifest(payload)),
        (bundle::SEAL.to_owned(), seal.to_vec()),
    ]);
    let tag_manifest = (bundle::TAG_MANIFEST.to_owned(), manifest(&tags));
    for (path, bytes) in payload.iter().chain(&tags).chain([(&tag_manifest.0, &tag_manifest.1)]) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
