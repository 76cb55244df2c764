//! Checks a bundle with nothing but its folder and one trusted key, and says what it proves.
//!
//! Knows nothing of the network, of recorders or of the controller. Reads every large file once,
//! holds pieces of it, the manifest and the spans of a camera; never panics on what it reads. Every
//! refusal is collected, with its place, so that a person sees all that is wrong at once.
//!
//! `CHECKS.md` beside the sources names every check in its order: the page that does the same in a
//! browser is written from it.
//!
//! | file | does |
//! |---|---|
//! | [`bag`] | the folder holds exactly the files that its manifests name |
//! | [`pass`] | every digest of a file from one reading, many files at once |
//! | [`lanes`] | what each file is to be read for |
//! | [`place`] | which file of a bundle is what |
//! | [`statement`] | the authority vouches for the manifest |
//! | [`site`] | whose keys signed, and which are revoked |
//! | [`logbook`] | each record stands in its log, and witnesses have cosigned that |
//! | [`stamps`] | foreign checkpoints and time stamps: bounds from outside |
//! | [`token`] | what an RFC 3161 token stamps, and when |
//! | [`camera`] | each camera's chain of records, and how much of the interval they cover |
//! | [`master`] | each segment's fragments lead to the signed root |
//! | [`boxes`], [`tables`] | the playable copy holds the masters' pictures and no others |
//! | [`audit`] | the custody record is the one that the controller's log commits to |
//! | [`clip`], [`mod@cut`] | a few fragments that verify alone, and how they are cut from a bundle |
//! | [`report`] | what is proved, what is refused |
//! | [`mod@print`], [`json`] | the report for a person, for a program |

use std::path::Path;

use custody::coverage::Span;
use custody::{CameraId, Code, PublicKey, Refusal};

pub mod audit;
pub mod bag;
pub mod boxes;
pub mod camera;
pub mod clip;
pub mod cut;
#[cfg(feature = "forge")]
pub mod forge;
pub mod json;
pub mod lanes;
pub mod logbook;
pub mod master;
pub mod pass;
pub mod place;
pub mod print;
pub mod report;
pub mod site;
pub mod stamps;
pub mod statement;
pub mod tables;
pub mod token;

pub use report::{CameraReport, Report};
pub use site::Trust;

/// Checks the bundle in `folder` against the authority's key as the caller knows it, on one thread
/// for each core.
#[must_use]
pub fn verify(folder: &Path, trusted: &PublicKey) -> Report {
    verify_by(folder, &Trust::new(trusted.clone()), cores())
}

/// How many threads can run at once here.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Checks the bundle in `folder` by what the caller trusts, on at most `threads` threads.
///
/// A folder that cannot be read is refused like one that holds something else: the report says
/// what was found.
#[must_use]
pub fn verify_by(folder: &Path, trust: &Trust, threads: usize) -> Report {
    if clip::is_one(folder) {
        return clip::check(folder, trust);
    }
    let mut report = Report::default();
    report.authority = Some(trust.authority.fingerprint());
    report.own_policy = trust.policy.is_some();
    report.own_statements = !trust.statements.is_empty();
    let Some(bag) = bag::names(folder, &mut report) else { return report };
    let mut layout = place::sort(&bag, &mut report);
    let read = lanes::read(&bag, &layout, threads);
    for (path, found) in &read.files {
        bag.compare(path, found, &mut report);
    }
    let seal = statement::seal(&bag, &trust.authority, &mut report);
    statement::authority_key(&bag, &trust.authority, &mut report);
    if let Some(seal) = &seal {
        report.case = Some(seal.case.clone());
        report.exhibit = Some(seal.exhibit.clone());
        report.made = Some(seal.at);
        report.asked = Some(Span { from: seal.from, to: seal.to });
        misplaced(&layout, &seal.cameras, &mut report);
        for camera in &seal.cameras {
            layout.cameras.entry(camera.clone()).or_default();
            layout.sites.entry(camera.site().clone()).or_default();
        }
    }
    let mut shown = logbook::Shown::default();
    for (id, files) in &layout.sites {
        let site = site::check(&bag, id, files, trust, &mut shown, &mut report);
        for (camera, files) in layout.cameras.iter().filter(|(camera, _)| camera.site() == id) {
            let scene = camera::Scene { bag: &bag, read: &read, site: &site, files };
            camera::check(&scene, camera, &mut shown, &mut report);
        }
        let mut stamps = Vec::new();
        for size in &files.stamps {
            match stamps::stamp(&bag, id, &site, *size, &mut shown, &mut report) {
                Ok(stamp) => stamps.push(stamp),
                Err(refusal) => report.refuse(refusal),
            }
        }
        report.sites.push(report::SiteReport::new(id, &site, stamps));
    }
    audit::check(&bag, &layout, trust, &mut shown, &mut report);
    report
}

/// A camera that is in the folder, and that the authority's statement does not name.
fn misplaced(layout: &place::Layout, named: &[CameraId], report: &mut Report) {
    for camera in layout.cameras.keys().filter(|camera| !named.contains(camera)) {
        report.refuse(Refusal::new(
            Code::RecordMisplaced,
            format!("{camera} is in the folder, and the bundle's statement does not name it"),
        ));
    }
}

#[cfg(test)]
#[cfg(feature = "forge")]
mod tests;
