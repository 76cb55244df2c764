//! Makes a bundle: opens the sealed files of a case, checks them against their signed records, and
//! lays them out as [`custody::bundle`] says. Knows nothing of sites, people or the event log.
//!
//! | file | does |
//! |---|---|
//! | `bundle/bag.rs` | writes files, hashes them, names them in the manifests |
//! | `bundle/proof.rs` | lays out what others prove: logs, witnesses, time stamps |
//! | `bundle/master.rs` | opens one sealed segment into its plain fragments |
//! | `bundle/playlist.rs` | the play list over the masters |
//! | `bundle/movie.rs` | the time line and tables of the playable copy |
//! | `bundle/window.rs` | which part of it is shown |
//! | `bundle/caption.rs`, `local.rs` | the date and time under its pictures |
//! | `bundle/view.rs` | writes the playable copy |
//! | `bundle/claim.rs`, `signer.rs` | what its C2PA manifest claims, and who puts it in |
//! | `bundle/facts.rs` | what the signed records say, gathered |
//! | `bundle/report.rs`, `statement.rs` | coverage, accuracy of time, the draft statement |
//! | `bundle/history.rs`, `page.rs`, `graph.rs` | the custody record, for people and for systems |
//! | `bundle/texts.rs` | the texts beside the payload |
//!
//! The clip is whole segments: each that touches the asked interval, uncut, so that every fragment
//! still leads to its signed root. Memory holds one segment, the frames' lengths (8 bytes a frame;
//! a day at 25 frames a second is 17 MB) and a camera's captions (a day is 10 MB).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::manifest::Segment;
use custody::record::{BundleSeal, Record, Statement};
use custody::{CameraId, CaseId, Digest, Refusal, SecretKey, Seq, WallTime, bundle};
use host::durable;

use bag::Bag;
use claim::Claim;
use facts::Facts;
pub use history::AuditEntry;
use movie::Movie;
use proof::Proofs;
pub use signer::Signer;
use view::Copy;
use window::Window;

mod bag;
mod caption;
mod claim;
mod facts;
mod graph;
mod history;
mod local;
mod master;
mod movie;
mod page;
mod playlist;
pub mod proof;
mod report;
mod signer;
mod statement;
mod texts;
mod view;
mod window;

/// What goes into a bundle.
pub struct Order<'a> {
    /// For which case.
    pub case: &'a CaseId,
    /// The exhibit's own reference, under which a court knows it.
    pub exhibit: &'a str,
    /// Each camera's part; at least one, each camera once.
    pub cameras: Vec<CameraPart>,
    /// What was asked.
    pub span: Span,
    /// The request and its approvals.
    pub request_json: Vec<u8>,
    /// The audit extract of the case, in the log's order.
    pub audit: Vec<AuditEntry>,
    /// What logs and witnesses prove, and the authority's statements about the sites' keys.
    pub proofs: Proofs,
    /// Puts a C2PA manifest into the playable copies; none: they go without.
    pub signer: Option<Signer>,
    /// Signs the bundle.
    pub authority: &'a SecretKey,
    /// The time of making.
    pub now: WallTime,
}

/// One camera's records and sealed files.
pub struct CameraPart {
    /// Whose.
    pub camera: CameraId,
    /// Segments and gaps, in chain order, signatures checked.
    pub records: Vec<(Envelope, Record)>,
    /// One for each segment among the records.
    pub segments: Vec<SegmentPart>,
}

/// One sealed file and the key that opens it.
pub struct SegmentPart {
    /// Its place in the camera's chain.
    pub seq: Seq,
    /// Where the sealed file lies.
    pub sealed_path: PathBuf,
    /// The segment's own key.
    pub key: custody::sealing::Key,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// All files together.
    pub bytes: u64,
}

/// Why no bundle was made. Nothing is left at the bundle's place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The order contradicts itself; making it again changes nothing.
    #[error("the bundle cannot be made: {why}")]
    Order {
        /// What is wrong.
        why: String,
    },
    /// A sealed file is not what its record says. Pull it again.
    #[error("{camera} segment {seq} is not as signed; pull it from the site again")]
    Segment {
        /// Whose.
        camera: CameraId,
        /// Which.
        seq: Seq,
        /// What was found.
        #[source]
        refusal: Refusal,
    },
    /// A fragment is as signed, and no playable copy can be made of it: a fault of the recorder.
    #[error("{camera} segment {seq}: no playable copy can be made: {why}")]
    Media {
        /// Whose.
        camera: CameraId,
        /// Which.
        seq: Seq,
        /// What was found.
        why: String,
    },
    /// The disc refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Makes the bundle at `folder`: whole, synced and checked against its records, or not at all.
/// Blocking; run it where blocking is allowed.
///
/// Safe to repeat: it is made under another name beside `folder` and renamed at the end; what an
/// earlier run left under either name is replaced.
///
/// # Errors
/// When the order contradicts itself, a sealed file is not as signed, or the disc refuses.
pub fn build(order: &Order<'_>, folder: &Path) -> Result<Built, BundleError> {
    check(order)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| wrong("a bundle needs a folder of its own"))?;
    let making = folder.with_file_name(format!(".{name}.making"));
    remove_folder(&making)?;
    let built = write(order, &making);
    if built.is_err() {
        // What could not be made whole is not left behind; the first error is the one to tell.
        let _left = remove_folder(&making);
    }
    let built = built?;
    remove_folder(folder)?;
    durable::rename(&making, folder).map_err(io_error("rename the finished bundle to", folder))?;
    Ok(built)
}

fn write(order: &Order<'_>, folder: &Path) -> Result<Built, BundleError> {
    let mut bag = Bag::create(folder)?;
    bag.payload(bundle::REQUEST, &order.request_json)?;
    let lines = order.audit.iter().flat_map(|line| [&line.body[..], b"\n"].concat());
    bag.payload(bundle::AUDIT, &lines.collect::<Vec<u8>>())?;
    bag.payload(bundle::AUTHORITY, order.authority.public().to_pem().as_bytes())?;
    proof::write(&order.proofs, &order.audit, &mut bag)?;
    let mut unsigned_views = Vec::new();
    for part in &order.cameras {
        unsigned_views.extend(write_camera(order, part, &mut bag)?);
    }
    write_reports(order, &unsigned_views, &mut bag)?;
    let seal = |manifest| {
        let seal = BundleSeal {
            case: order.case.clone(),
            exhibit: order.exhibit.to_owned(),
            cameras: order.cameras.iter().map(|part| part.camera.clone()).collect(),
            from: order.span.from,
            to: order.span.to,
            payload_manifest_sha256: manifest,
            at: order.now,
        };
        Record::Other(Statement::Bundle(seal)).sign(order.authority)
    };
    let bytes = bag.finish(seal, |count, bytes| texts::tag_files(order, count, bytes))?;
    Ok(Built { bytes })
}

/// Writes a camera's masters, proofs and playable copy; tells why the copy carries no C2PA manifest,
/// if it carries none.
fn write_camera(
    order: &Order<'_>,
    part: &CameraPart,
    bag: &mut Bag,
) -> Result<Option<String>, BundleError> {
    let lines = part.records.iter().flat_map(|(envelope, _)| [envelope.bytes(), b"\n"].concat());
    bag.payload(&bundle::records(&part.camera), &lines.collect::<Vec<u8>>())?;
    let mut movie = Movie::default();
    for (_, record) in &part.records {
        let Record::Segment(segment) = record else { continue };
        let sealed = part.segments.iter().find(|sealed| sealed.seq == segment.seq);
        let sealed = sealed.ok_or_else(|| {
            wrong(format!("{} segment {} has no sealed file", part.camera, segment.seq))
        })?;
        master::write(segment, sealed, &mut movie, bag)?;
    }
    if movie.is_empty() {
        return Ok(None); // gaps alone: there is nothing to play
    }
    let facts = Facts::new(part);
    let playlist = playlist::text(&part.camera, &facts.segments);
    bag.payload(&bundle::playlist(&part.camera), playlist.as_bytes())?;
    write_view(order, &facts, &movie, bag)
}

fn write_view(
    order: &Order<'_>,
    facts: &Facts<'_>,
    movie: &Movie,
    bag: &mut Bag,
) -> Result<Option<String>, BundleError> {
    let camera = facts.camera;
    let path = bundle::view(camera);
    let window = Window::new(movie, order.span);
    let captions = caption::captions(&window, &facts.footage());
    let mut draft = bag.draft(&path)?;
    let pictures = view::write(camera, &Copy { movie, window, captions }, bag, &mut draft)?;
    let unsigned = draft.end()?;
    let records = bundle::records(camera);
    let claim = Claim {
        exhibit: order.exhibit,
        case: order.case.as_str(),
        camera,
        asked: (order.span.from, order.span.to),
        records: (&records, bag.digest(&records).unwrap_or(Digest::NONE)),
        pictures,
        at: order.now,
    };
    let failed = sign(order.signer.as_ref(), &claim, &unsigned)?;
    bag.adopt(path.clone())?;
    Ok(failed.map(|why| format!("{path} carries no C2PA manifest: {why}.")))
}

/// Puts the manifest in; gives the reason when there is none in the end.
fn sign(
    signer: Option<&Signer>,
    claim: &Claim<'_>,
    unsigned: &Path,
) -> Result<Option<String>, BundleError> {
    let Some(signer) = signer else {
        return Ok(Some("this controller has no program that signs copies".to_owned()));
    };
    let signed = unsigned.with_extension("signed");
    match signer.sign(&claim.definition(), unsigned, &signed) {
        Ok(()) => {
            durable::rename(&signed, unsigned).map_err(io_error("rename to", unsigned))?;
            Ok(None)
        }
        Err(why) => {
            tracing::error!(camera = %claim.camera, why, "a playable copy goes without C2PA");
            remove_file(&signed)?;
            Ok(Some("the program that signs copies failed".to_owned()))
        }
    }
}

fn write_reports(
    order: &Order<'_>,
    unsigned_views: &[String],
    bag: &mut Bag,
) -> Result<(), BundleError> {
    let facts: Vec<_> = order.cameras.iter().map(Facts::new).collect();
    let acts = history::acts(&order.audit);
    bag.payload(bundle::COVERAGE, &report::coverage(order, &facts))?;
    bag.payload(bundle::TIME_ACCURACY, &report::time_accuracy(order, &facts))?;
    let draft = statement::draft(order, &facts, unsigned_views);
    bag.payload(bundle::STATEMENT, draft.as_bytes())?;
    let page = page::html(order, &facts, &acts, unsigned_views);
    bag.payload(bundle::AUDIT_HTML, page.as_bytes())?;
    let graph = graph::text(order, &acts, &bag.filed());
    bag.payload(bundle::AUDIT_CASE, &graph)
}

/// What is wrong with an order is said before anything is written.
fn check(order: &Order<'_>) -> Result<(), BundleError> {
    if order.span.from >= order.span.to {
        return Err(wrong("the asked interval is empty"));
    }
    let cameras: BTreeSet<_> = order.cameras.iter().map(|part| &part.camera).collect();
    if cameras.is_empty() || cameras.len() < order.cameras.len() {
        return Err(wrong("it needs at least one camera, and each once"));
    }
    for part in &order.cameras {
        let site = order.proofs.sites.iter().find(|proof| proof.site == *part.camera.site());
        if site.is_none_or(|proof| proof.grants.is_empty()) {
            return Err(wrong(format!("no key grant of {} is given", part.camera.site())));
        }
        let of_another = part
            .records
            .iter()
            .any(|(_, record)| record.link().is_none_or(|link| *link.camera != part.camera));
        if of_another {
            return Err(wrong(format!("a record is no link of the chain of {}", part.camera)));
        }
    }
    Ok(())
}

fn wrong(why: impl Into<String>) -> BundleError {
    BundleError::Order { why: why.into() }
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BundleError + 'a {
    move |source| BundleError::Io { what, path: path.to_owned(), source }
}

fn not_as_signed(segment: &Segment) -> impl Fn(Refusal) -> BundleError + '_ {
    |refusal| BundleError::Segment { camera: segment.camera.clone(), seq: segment.seq, refusal }
}

fn remove_file(path: &Path) -> Result<(), BundleError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> Result<(), BundleError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove what an earlier run left at", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
