//! A recorder of one camera, whose wall time the test sets: real sealing, real signatures.

use std::fs;
use std::path::{Path, PathBuf};

use custody::dsse::Envelope;
use custody::fragment::{FLAG_KEY, FragmentInfo};
use custody::manifest::{Agent, Analytics, Fragments, Mask, Reception, Seal, Segment, Stream};
use custody::record::{Gap, GapReason, Record, Statement};
use custody::sealed::{self, Header, INIT_INDEX, Kind, SealedFragment};
use custody::sealing::{Key, SegmentSealer};
use custody::{CameraId, Clock, ClockSource, Digest, SecretKey, Seq, fragment, tree};

use super::START;
use crate::bundle::{CameraPart, SegmentPart};

fn clock() -> Clock {
    Clock {
        source: ClockSource::Disciplined,
        offset_us: 12,
        uncertainty_us: 900,
        camera_offset_ms: None,
    }
}

/// A segment file up to its first fragment.
fn opening(camera: &CameraId, seq: Seq, sealer: &SegmentSealer, init: &[u8]) -> Vec<u8> {
    let header = Header {
        camera: camera.clone(),
        seq,
        boot_id: "boot".into(),
        epoch: 1,
        wrapped_key: "00".into(),
    };
    let mut file = sealed::MAGIC.to_vec();
    file.extend(sealed::block(Kind::Header, &[&serde_json::to_vec(&header).unwrap()]));
    let mut sealed_init = init.to_vec();
    sealer.seal(INIT_INDEX, &mut sealed_init);
    file.extend(sealed::block(Kind::Init, &[&sealed_init]));
    file
}

/// A recorder of one camera, whose wall time the test sets.
pub(super) struct Recorder {
    pub(super) camera: CameraId,
    pub(super) key: SecretKey,
    folder: PathBuf,
    records: Vec<(Envelope, Record)>,
    pub(super) segments: Vec<(Seq, PathBuf, Key)>,
}

impl Recorder {
    pub(super) fn new(camera: &str, folder: &Path) -> Self {
        Self {
            camera: camera.parse().unwrap(),
            key: SecretKey::from_seed(&[2; 32]),
            folder: folder.to_owned(),
            records: Vec::new(),
            segments: Vec::new(),
        }
    }

    pub(super) fn records(&self) -> &[(Envelope, Record)] {
        &self.records
    }

    fn next(&self) -> (Seq, Digest) {
        let seq = Seq(7 + self.records.len() as u64);
        (seq, self.records.last().map_or_else(|| Digest::of(b"before"), |(e, _)| e.digest()))
    }

    fn keep(&mut self, record: Record) {
        self.records.push((record.sign(&self.key), record));
    }

    pub(super) fn gap(&mut self, from_s: i64, to_s: i64) {
        let (seq, prev) = self.next();
        self.keep(Record::Other(Statement::Gap(Gap {
            camera: self.camera.clone(),
            seq,
            prev,
            boot_id: "boot".into(),
            start: START.plus_seconds(from_s),
            end: START.plus_seconds(to_s),
            reason: GapReason::CameraUnreachable,
            detail: String::new(),
            clock: clock(),
        })));
    }

    /// Seals these GOPs as one segment that begins at `from_s`.
    pub(super) fn segment(&mut self, from_s: i64, init: &[u8], gops: &[Vec<u8>]) {
        let (seq, prev) = self.next();
        let key = Key::new([u8::try_from(seq.0).unwrap(); 32]);
        let sealer = SegmentSealer::new(&key, &self.camera, seq);
        let start = START.plus_seconds(from_s);
        let mut file = opening(&self.camera, seq, &sealer, init);
        let mut leaves = Vec::new();
        for (index, plain) in (0_u32..).zip(gops) {
            let mut bytes = plain.clone();
            sealer.seal(index, &mut bytes);
            let one = SealedFragment {
                info: FragmentInfo {
                    index,
                    start: start.plus_seconds(2 * i64::from(index)),
                    duration_us: 2_000_000,
                    samples: 50,
                    flags: FLAG_KEY,
                },
                plain_commit: fragment::plain_commit(&sealer.salt(index), Digest::of(plain)),
                sealed: &bytes,
            };
            leaves.push(one.leaf());
            file.extend(one.block());
        }
        let count = u32::try_from(gops.len()).unwrap();
        let record = Record::Segment(Segment {
            camera: self.camera.clone(),
            seq,
            prev,
            boot_id: "boot".into(),
            start,
            end: start.plus_seconds(2 * i64::from(count)),
            clock: clock(),
            stream: Stream {
                codec: "avc1.64001f".into(),
                width: 960,
                height: 720,
                parameters_sha256: Digest::NONE,
                byte_exact: true,
            },
            init_sha256: Digest::of(init),
            fragments: Fragments {
                count,
                root: tree::root(&leaves),
                samples: 50 * count,
                bytes: gops.iter().map(|gop| gop.len() as u64).sum(),
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
        });
        file.extend(sealed::block(Kind::Manifest, &[record.sign(&self.key).bytes()]));
        let path = self.folder.join(format!("{:010}.whseg", seq.0));
        fs::write(&path, file).unwrap();
        self.segments.push((seq, path, key));
        self.keep(record);
    }

    pub(super) fn part(&self) -> CameraPart {
        let segments = self.segments.iter().map(|(seq, path, key)| SegmentPart {
            seq: *seq,
            sealed_path: path.clone(),
            key: key.clone(),
        });
        CameraPart {
            camera: self.camera.clone(),
            records: self.records.clone(),
            segments: segments.collect(),
        }
    }
}
