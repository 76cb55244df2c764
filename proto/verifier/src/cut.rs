//! Cuts a clip out of a bundle: whole fragments of one segment, and all that proves them. Does not
//! check what it cuts: `verify` checks the clip.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::fragment::{Disclosed, FLAG_KEY};
use custody::manifest::Segment;
use custody::record::{KeyUsage, Record, Statement};
use custody::{CameraId, KeyId, WallTime, bundle, tree};

use crate::clip::{self, Fragment, Plan};

/// Why no clip was cut.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// A file of the bundle does not read.
    #[error("{path} does not read: {why}")]
    Bundle {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// No segment holds the whole interval.
    #[error("no segment of {camera} holds {from} to {to} whole; its segments: {segments}", from = span.from, to = span.to)]
    NotOneSegment {
        /// Whose.
        camera: CameraId,
        /// What was asked.
        span: Span,
        /// What there is.
        segments: String,
    },
    /// The folder for the clip cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes the fragments of `camera` that touch `span` to the new folder `to`; gives what they span.
///
/// # Errors
/// When the bundle has no such fragments, or a folder does not read or write.
pub fn cut(folder: &Path, camera: &CameraId, span: Span, to: &Path) -> Result<Span, CutError> {
    let (line, segment, key) = find(folder, camera, span)?;
    let site = camera.site();
    let list: Vec<Disclosed> = {
        let path = bundle::disclosed(camera, segment.seq);
        let bytes = read(folder, &path)?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, &error))?
    };
    let init = read(folder, &bundle::init(camera, segment.seq))?;
    let (fragments, pictures) = fragments(folder, camera, &segment, &list, span)?;
    let spanned = fragments.first().zip(fragments.last());
    let spanned = spanned.map(|(a, b)| Span { from: a.info.start, to: b.info.end() });
    let plan = Plan { format: clip::FORMAT.to_owned(), init_bytes: init.len() as u64, fragments };
    let plan = serde_json::to_vec_pretty(&plan).map_err(|e| unreadable(clip::PLAN, &e))?;
    let (log_cert, log_key) = log_certificate(folder, site.as_str())?;
    fs::create_dir(to)
        .map_err(|source| CutError::Write { path: to.display().to_string(), source })?;
    let mut files = vec![
        (clip::MOVIE, [init, pictures].concat()),
        (clip::PLAN, plan),
        (clip::RECORD, line),
        (clip::RECORD_PROOF, read(folder, &bundle::link_proof(camera, segment.seq))?),
        (clip::CERT, read(folder, &bundle::key_cert(site, &key))?),
        (clip::CERT_PROOF, read(folder, &bundle::key_cert_proof(site, &key))?),
        (clip::LOG_CERT, log_cert),
        (clip::LOG_CERT_PROOF, read(folder, &bundle::key_cert_proof(site, &log_key))?),
        (clip::STATEMENTS, read(folder, &bundle::key_grants(site))?),
        (clip::POLICY, read(folder, &bundle::policy(site))?),
    ];
    if let Some(foreign) = &segment.foreign_checkpoint {
        let note = read(folder, &bundle::foreign_note(site, foreign.note_sha256))?;
        files.push((clip::FOREIGN, note));
    }
    for (name, bytes) in files {
        let write = |source| CutError::Write { path: to.join(name).display().to_string(), source };
        fs::write(to.join(name), bytes).map_err(write)?;
    }
    Ok(spanned.unwrap_or(span))
}

fn unreadable(path: &str, why: &dyn std::fmt::Display) -> CutError {
    CutError::Bundle { path: path.to_owned(), why: why.to_string() }
}

fn read(folder: &Path, path: &str) -> Result<Vec<u8>, CutError> {
    fs::read(folder.join(path)).map_err(|error| unreadable(path, &error))
}

/// The line, the segment and the signing key of the segment that holds the interval.
fn find(
    folder: &Path,
    camera: &CameraId,
    span: Span,
) -> Result<(Vec<u8>, Segment, KeyId), CutError> {
    let path = bundle::records(camera);
    let mut others = Vec::new();
    for line in read(folder, &path)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let envelope = Envelope::read(line).map_err(|refusal| unreadable(&path, &refusal))?;
        let record = Record::danger_read_unchecked(&envelope);
        let Record::Segment(segment) = record.map_err(|refusal| unreadable(&path, &refusal))?
        else {
            continue;
        };
        if segment.start <= span.from && span.to <= segment.end && span.from < span.to {
            return Ok((line.to_vec(), segment, envelope.key_id().clone()));
        }
        others.push(format!("{} to {}", segment.start, segment.end));
    }
    let segments = others.join(", ");
    Err(CutError::NotOneSegment { camera: camera.clone(), span, segments })
}

/// The fragments that touch the interval, and those before them back to the key frame that they
/// need; each with its way to the root, and their bytes end to end.
fn fragments(
    folder: &Path,
    camera: &CameraId,
    segment: &Segment,
    list: &[Disclosed],
    span: Span,
) -> Result<(Vec<Fragment>, Vec<u8>), CutError> {
    let path = bundle::master(camera, segment.seq);
    let torn = |error: std::io::Error| unreadable(&path, &error);
    let mut file = fs::File::open(folder.join(&path)).map_err(torn)?;
    let mut plain = Vec::with_capacity(list.len());
    for one in list {
        let mut bytes = Vec::new();
        file.by_ref().take(one.bytes).read_to_end(&mut bytes).map_err(torn)?;
        plain.push(one.leaf(&bytes));
    }
    let needed = first_needed(list, span.from);
    let mut at = 0;
    let (mut out, mut pictures) = (Vec::new(), Vec::new());
    for (index, one) in list.iter().enumerate() {
        if one.info.start < span.to && index >= needed {
            file.seek(SeekFrom::Start(at)).map_err(torn)?;
            file.by_ref().take(one.bytes).read_to_end(&mut pictures).map_err(torn)?;
            out.push(Fragment {
                info: one.info,
                bytes: one.bytes,
                salt: one.salt,
                cipher_sha256: one.cipher_sha256,
                path: tree::audit_path(&plain, index),
            });
        }
        at = one.bytes.saturating_add(at);
    }
    Ok((out, pictures))
}

/// Where a clip from `from` on begins: at the fragment of that moment, or at the one before it with the
/// key frame that it needs; at the moment's own if the segment has none.
fn first_needed(list: &[Disclosed], from: WallTime) -> usize {
    let first = list.iter().position(|one| from < one.info.end()).unwrap_or(list.len());
    let keyed = |one: &Disclosed| one.info.flags & FLAG_KEY != 0;
    list.iter().take(first.saturating_add(1)).rposition(keyed).unwrap_or(first)
}

/// The certificate of the site's log.
fn log_certificate(folder: &Path, site: &str) -> Result<(Vec<u8>, KeyId), CutError> {
    let path = format!("data/proof/{site}/keys");
    let entries = fs::read_dir(folder.join(&path)).map_err(|error| unreadable(&path, &error))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".dsse.json") {
            continue;
        }
        let bytes = read(folder, &format!("{path}/{name}"))?;
        let record = Envelope::read(&bytes).and_then(|one| Record::danger_read_unchecked(&one));
        if let Ok(Record::Other(Statement::KeyCert(cert))) = record
            && cert.usage == KeyUsage::Log
        {
            return Ok((bytes, cert.key_id));
        }
    }
    Err(unreadable(&path, &"no certificate of a log is there"))
}

#[cfg(test)]
mod tests {
    use custody::Digest;
    use custody::fragment::FragmentInfo;

    use super::*;

    #[test]
    fn a_clip_begins_at_a_key_frame() {
        // Two GOPs of 6 s, each in three parts; and a segment that goes on amid one.
        let of = |flags: &[u32]| -> Vec<Disclosed> {
            let parts = flags.iter().enumerate();
            parts
                .map(|(n, flags)| {
                    let index = u32::try_from(n).unwrap();
                    let start = WallTime(i64::from(index) * 2_000_000);
                    let info = FragmentInfo {
                        index,
                        start,
                        duration_us: 2_000_000,
                        samples: 50,
                        flags: *flags,
                    };
                    Disclosed {
                        info,
                        bytes: 1,
                        salt: Digest([0; 32]),
                        cipher_sha256: Digest([0; 32]),
                    }
                })
                .collect()
        };
        let list = of(&[1, 0, 0, 1, 0, 0]);
        let begins = |from_s: i64| first_needed(&list, WallTime(from_s * 1_000_000));
        assert_eq!([0, 3, 5, 6, 9, 11].map(begins), [0, 0, 0, 3, 3, 3]);
        assert_eq!(first_needed(&of(&[0, 0, 1]), WallTime(3_000_000)), 1);
    }
}
