//! Checks a bundle with nothing but its folder and one trusted key, and says what it proves.
//!
//! Knows nothing of the network, of recorders or of the controller. Reads every file once or
//! twice, holds one fragment (at most 20 MiB), the manifest and the spans of a camera; never
//! panics on what it reads. Every refusal is collected, with its place, so that a person sees all
//! that is wrong at once.
//!
//! | file | checks |
//! |---|---|
//! | [`bag`] | the folder holds exactly the files that its manifests name, byte for byte |
//! | [`statement`] | the authority vouches for the manifest and for the sites' keys |
//! | [`camera`] | each camera's chain of records, and how much of the interval they cover |
//! | [`master`] | each segment's fragments lead to the signed root |
//! | [`boxes`] | the playable copy holds the masters' pictures and no others |
//! | [`place`] | which file of a bundle is what |
//! | [`report`] | what is proved, what is refused |
//! | [`mod@print`] | the report for a person |
//!
//! What is *not* proved: `bag-info.txt` and `READ-ME-FIRST.txt` are covered by the tag manifest
//! alone, which nobody signs. Believe this program's report, not a text in the bundle.

use std::path::Path;

use custody::PublicKey;

pub mod bag;
pub mod boxes;
pub mod camera;
pub mod master;
pub mod place;
pub mod print;
pub mod report;
pub mod statement;

pub use report::{CameraReport, Report};

/// Checks the bundle in `folder` against the authority's key as the caller knows it.
///
/// A folder that cannot be read is refused like one that holds something else: the report says
/// what was found.
#[must_use]
pub fn verify(folder: &Path, trusted: &PublicKey) -> Report {
    let mut report = Report::default();
    let bag = bag::check(folder, &mut report);
    let seal = statement::seal(&bag, trusted, &mut report);
    let layout = place::sort(&bag, &mut report);
    statement::authority_key(&bag, trusted, &mut report);
    let keys = statement::site_keys(&bag, &layout.sites, trusted, &mut report);
    let mut cameras = layout.cameras;
    if let Some(seal) = &seal {
        report.case = Some(seal.case.clone());
        report.made = Some(seal.at);
        report.asked = Some(custody::coverage::Span { from: seal.from, to: seal.to });
        for camera in &seal.cameras {
            cameras.entry(camera.clone()).or_default();
        }
    }
    for (camera, files) in &cameras {
        if seal.as_ref().is_some_and(|seal| !seal.cameras.contains(camera)) {
            report.refuse(custody::Refusal::new(
                custody::Code::RecordMisplaced,
                format!("{camera} is in the folder, and the bundle's statement does not name it"),
            ));
        }
        camera::check(&bag, camera, files, &keys, &mut report);
    }
    report
}

#[cfg(test)]
mod tests;
