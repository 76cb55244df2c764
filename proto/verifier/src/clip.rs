//! A clip: a few fragments of one segment, with all that proves them. Section 14 of CHECKS.md.
//!
//! ```text
//! clip.mp4               the init section and the fragments: plays as it is
//! clip.json              where it is cut, and each fragment's way to the signed root
//! segment.dsse.json  segment.tlog-proof     the segment's record and its place in the log
//! key-cert.dsse.json  key-cert.tlog-proof   the certificate of the key that signed it
//! log-key.dsse.json  log-key.tlog-proof     the certificate of the log's key
//! key.dsse.jsonl         the authority's statements about the site's identities
//! policy                 whose cosignatures are enough
//! foreign.note           the checkpoint that the record names, if it names one
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use custody::coverage::{self, Span};
use custody::dsse::{ENVELOPE_BYTES_MAX, Envelope};
use custody::fragment::{Disclosed, FragmentInfo};
use custody::manifest::Segment;
use custody::record::{Record, Statement};
use custody::sealed::{BLOCK_BYTES_MAX, FRAGMENTS_MAX};
use custody::{Code, Digest, KeyId, Refusal, WallTime, bundle, tree};
use serde::{Deserialize, Serialize};

use crate::bag::Bag;
use crate::boxes;
use crate::camera::{self, Scene};
use crate::lanes::Read;
use crate::logbook::Shown;
use crate::master::SLACK_US;
use crate::place::{CameraFiles, SiteFiles};
use crate::report::{CameraReport, ClipReport, Report, SiteReport};
use crate::site::{self, Trust};

/// What `clip.json` says it is.
pub const FORMAT: &str = "watchhouse-clip/v1";
/// The pictures.
pub const MOVIE: &str = "clip.mp4";
/// How they are cut.
pub const PLAN: &str = "clip.json";
/// The segment's record.
pub const RECORD: &str = "segment.dsse.json";
/// Its place in the log.
pub const RECORD_PROOF: &str = "segment.tlog-proof";
/// The certificate of the key that signed it.
pub const CERT: &str = "key-cert.dsse.json";
/// Its place in the log.
pub const CERT_PROOF: &str = "key-cert.tlog-proof";
/// The certificate of the log's key.
pub const LOG_CERT: &str = "log-key.dsse.json";
/// Its place in the log.
pub const LOG_CERT_PROOF: &str = "log-key.tlog-proof";
/// The authority's statements.
pub const STATEMENTS: &str = "key.dsse.jsonl";
/// The policy of witnesses.
pub const POLICY: &str = "policy";
/// The foreign checkpoint.
pub const FOREIGN: &str = "foreign.note";

const REQUIRED: [&str; 10] = [
    MOVIE,
    PLAN,
    RECORD,
    RECORD_PROOF,
    CERT,
    CERT_PROOF,
    LOG_CERT,
    LOG_CERT_PROOF,
    STATEMENTS,
    POLICY,
];
/// A fragment takes about 320 bytes of JSON and at most 13 hashes of 67.
const PLAN_BYTES_MAX: u64 = FRAGMENTS_MAX as u64 * 1_500;

/// `clip.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// The bytes of the init section at the beginning of `clip.mp4`.
    pub init_bytes: u64,
    /// The fragments behind it, end to end.
    pub fragments: Vec<Fragment>,
}

/// One fragment of a clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fragment {
    /// What it says of itself.
    pub info: FragmentInfo,
    /// How many plain bytes.
    pub bytes: u64,
    /// The salt of its commitment.
    pub salt: Digest,
    /// The digest of its sealed bytes.
    pub cipher_sha256: Digest,
    /// The way from its leaf to the segment's root (RFC 6962 section 2.1.1), lowest sibling first.
    pub path: Vec<Digest>,
}

impl Fragment {
    fn disclosed(&self) -> Disclosed {
        Disclosed {
            info: self.info,
            bytes: self.bytes,
            salt: self.salt,
            cipher_sha256: self.cipher_sha256,
        }
    }
}

impl Plan {
    /// Reads `clip.json`.
    ///
    /// # Errors
    /// `clip-malformed`.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = |what: String| Refusal::new(Code::ClipMalformed, format!("{PLAN}: {what}"));
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        let numbers: Vec<_> = plan.fragments.iter().map(|one| one.info.index).collect();
        let in_order = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        let lengths = plan.fragments.iter().map(|one| one.bytes).chain([plan.init_bytes]);
        if plan.format != FORMAT {
            return Err(bad(format!("it is no {FORMAT}")));
        }
        if numbers.is_empty() || numbers.len() > FRAGMENTS_MAX || !in_order {
            return Err(bad("its fragments are none, too many or out of order".into()));
        }
        if lengths.into_iter().any(|len| len > BLOCK_BYTES_MAX as u64) {
            return Err(bad("a part is longer than 20 MiB".into()));
        }
        Ok(plan)
    }
}

/// Whether a folder is a clip and no bundle.
#[must_use]
pub fn is_one(folder: &Path) -> bool {
    let has = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok_and(|m| m.is_file());
    has(PLAN) && !has(bundle::BAGIT)
}

/// Checks the clip in `folder` by what the caller trusts.
#[must_use]
pub fn check(folder: &Path, trust: &Trust) -> Report {
    let mut report = Report::default();
    report.authority = Some(trust.authority.fingerprint());
    report.own_policy = trust.policy.is_some();
    report.own_statements = !trust.statements.is_empty();
    names(folder, &mut report);
    if let Err(refusal) = parts(folder, trust, &mut report) {
        report.refuse(refusal);
    }
    report
}

fn names(folder: &Path, report: &mut Report) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = BTreeSet::new();
    for entry in entries.take(1_000) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = REQUIRED.contains(&name.as_str()) || name == FOREIGN;
        if known && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.insert(name);
        } else {
            report.refuse(Refusal::new(
                Code::FileUnexpected,
                format!("{name} has no place in a clip"),
            ));
        }
    }
    for required in REQUIRED.iter().filter(|name| !found.contains(**name)) {
        report.refuse(Refusal::new(Code::FileMissing, *required));
    }
}

/// A small file of the folder; none if it is not there or too long.
fn small(folder: &Path, name: &str, bytes_max: u64) -> Option<Vec<u8>> {
    let name = || [(name.to_owned(), name.to_owned())];
    let bag = Bag::loose(folder, name());
    bag.read(&name()[0].0, bytes_max)
}

fn parts(folder: &Path, trust: &Trust, report: &mut Report) -> Result<(), Refusal> {
    let malformed = |what: &str| Refusal::new(Code::RecordMalformed, format!("{RECORD}: {what}"));
    let Some(line) = small(folder, RECORD, ENVELOPE_BYTES_MAX as u64) else {
        return Ok(()); // already said, or as good as missing
    };
    let envelope = Envelope::read(&line).map_err(|refusal| refusal.at(RECORD))?;
    // Unchecked, to know where its proofs belong; its signature is checked below.
    let Record::Segment(named) =
        Record::danger_read_unchecked(&envelope).map_err(|refusal| refusal.at(RECORD))?
    else {
        return Err(malformed("it is about something else than a segment"));
    };
    let (camera, id) = (named.camera.clone(), named.camera.site().clone());
    let (bag, certificates) = as_bundle(folder, &named, envelope.key_id());
    let mut shown = Shown::default();
    let files = SiteFiles { certificates, ..SiteFiles::default() };
    let site = site::check(&bag, &id, &files, trust, &mut shown, report);
    report.sites.push(SiteReport::new(&id, &site, Vec::new()));
    let scene =
        Scene { bag: &bag, read: &Read::default(), site: &site, files: &CameraFiles::default() };
    let (record, mut part) = camera::check_alone(&scene, &camera, &line, &mut shown, report)?;
    let plan = match small(folder, PLAN, PLAN_BYTES_MAX) {
        Some(bytes) => Plan::read(&bytes)?,
        None => return Err(Refusal::new(Code::ClipMalformed, format!("{PLAN} is too long"))),
    };
    if let Record::Segment(segment) = &record {
        let before = report.refused();
        if let Err(refusal) = pictures(folder, &plan, segment) {
            report.refuse(refusal.at(MOVIE));
        }
        summary(&plan, segment, report.refused() == before, &mut part, report);
    }
    report.cameras.push(part);
    Ok(())
}

/// The folder's files under the names that they have in a bundle, and the names of its certificates.
fn as_bundle(folder: &Path, segment: &Segment, key: &KeyId) -> (Bag, BTreeSet<String>) {
    let site = segment.camera.site();
    let mut names = vec![
        (bundle::key_grants(site), STATEMENTS.to_owned()),
        (bundle::policy(site), POLICY.to_owned()),
        (bundle::link_proof(&segment.camera, segment.seq), RECORD_PROOF.to_owned()),
        (bundle::key_cert(site, key), CERT.to_owned()),
        (bundle::key_cert_proof(site, key), CERT_PROOF.to_owned()),
    ];
    let mut certificates = BTreeSet::from([key.0.clone()]);
    if let Some(log_key) = certified(folder, LOG_CERT) {
        names.push((bundle::key_cert(site, &log_key), LOG_CERT.to_owned()));
        names.push((bundle::key_cert_proof(site, &log_key), LOG_CERT_PROOF.to_owned()));
        certificates.insert(log_key.0);
    }
    if let Some(foreign) = &segment.foreign_checkpoint {
        names.push((bundle::foreign_note(site, foreign.note_sha256), FOREIGN.to_owned()));
    }
    let bag = Bag::loose(folder, names);
    certificates.retain(|id| bag.has(&bundle::key_cert(site, &KeyId(id.clone()))));
    (bag, certificates)
}

/// Which key a certificate is about, unchecked.
fn certified(folder: &Path, name: &str) -> Option<KeyId> {
    let bytes = small(folder, name, ENVELOPE_BYTES_MAX as u64)?;
    let record = Record::danger_read_unchecked(&Envelope::read(&bytes).ok()?).ok()?;
    match record {
        Record::Other(Statement::KeyCert(cert)) => Some(cert.key_id),
        _ => None,
    }
}

fn pictures(folder: &Path, plan: &Plan, segment: &Segment) -> Result<(), Refusal> {
    let bag = Bag::loose(folder, [(MOVIE.to_owned(), MOVIE.to_owned())]);
    let Ok(mut file) = bag.open(MOVIE) else { return Ok(()) }; // already said
    let mut next = |len: u64, what: &str| {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(len).read_to_end(&mut bytes);
        if read.is_ok() && bytes.len() as u64 == len {
            return Ok(bytes);
        }
        Err(Refusal::new(Code::SegmentTruncated, format!("the file ends within {what}")))
    };
    let init = next(plan.init_bytes, "the init section")?;
    if Digest::of(&init) != segment.init_sha256 {
        return Err(Refusal::new(
            Code::InitAltered,
            "it does not begin with the signed init section",
        ));
    }
    let mut due: Option<WallTime> = None;
    for one in &plan.fragments {
        let index = one.info.index;
        let bytes = next(one.bytes, &format!("fragment {index}"))?;
        fragment(one, &bytes, segment)?;
        let apart = due.is_some_and(|due| one.info.start.0.abs_diff(due.0) > SLACK_US);
        let outside = one.info.start.plus_micros(1_000) < segment.start
            || segment.end.plus_micros(1_000) < one.info.end();
        if apart || outside {
            let what = format!("fragment {index} begins at {}", one.info.start);
            return Err(Refusal::new(Code::TimeInconsistent, what));
        }
        due = Some(one.info.end());
    }
    let mut rest = [0; 1];
    match file.read(&mut rest) {
        Ok(0) => Ok(()),
        _ => Err(Refusal::new(Code::FragmentAltered, "the file goes on behind its last fragment")),
    }
}

/// A fragment's bytes lead to the signed root.
fn fragment(one: &Fragment, bytes: &[u8], segment: &Segment) -> Result<(), Refusal> {
    let index = one.info.index;
    let altered =
        |what: &str| Err(Refusal::new(Code::FragmentAltered, format!("fragment {index} {what}")));
    if boxes::in_bytes(bytes).is_none() {
        return altered("is not whole MP4 boxes");
    }
    let count = usize::try_from(segment.fragments.count).unwrap_or(usize::MAX);
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    let leaf = one.disclosed().leaf(bytes);
    if tree::root_by_path(leaf, place, count, &one.path) != Some(segment.fragments.root) {
        return altered("does not lead to the signed root");
    }
    Ok(())
}

fn summary(
    plan: &Plan,
    segment: &Segment,
    sound: bool,
    part: &mut CameraReport,
    report: &mut Report,
) {
    let (Some(first), Some(last)) = (plan.fragments.first(), plan.fragments.last()) else { return };
    let span = Span { from: first.info.start, to: last.info.end() };
    let fragments = u32::try_from(plan.fragments.len()).unwrap_or(u32::MAX);
    report.asked = Some(span);
    report.clip = Some(ClipReport {
        camera: segment.camera.clone(),
        seq: segment.seq,
        first: first.info.index,
        fragments,
        of: segment.fragments.count,
    });
    let proved: Vec<_> = sound.then_some(span).into_iter().collect();
    part.coverage = coverage::measure(span, &proved, &[]);
    part.take_segment(segment);
    part.fragments = u64::from(fragments);
    part.frames = plan.fragments.iter().map(|one| u64::from(one.info.samples)).sum();
}
