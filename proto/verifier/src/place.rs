//! Which payload file is what: the inverse of the paths in [`custody::bundle`].

use std::collections::{BTreeMap, BTreeSet};

use custody::{CameraId, Code, Refusal, Seq, SiteId, bundle};

use crate::bag::Bag;
use crate::report::Report;
use crate::site::CONTROLLER;

/// The payload's files, each in its place.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Each site with any file among the proofs, or a camera.
    pub sites: BTreeMap<SiteId, SiteFiles>,
    /// Cameras with any file.
    pub cameras: BTreeMap<CameraId, CameraFiles>,
    /// Positions in the controller's log for which there is a proof.
    pub positions: BTreeSet<u64>,
}

/// What lies in a site's folder of proofs, its cameras' folders apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteFiles {
    /// The names of keys for which there is a certificate.
    pub certificates: BTreeSet<String>,
    /// The sizes for which there is a stamped checkpoint or a token.
    pub stamps: BTreeSet<u64>,
}

/// What lies in a camera's folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraFiles {
    /// The segments of which any file lies there, proofs apart.
    pub segments: BTreeSet<Seq>,
    /// The links for which there is a log proof.
    pub proofs: BTreeSet<Seq>,
    /// Whether there is a playable copy.
    pub view: bool,
    /// Whether there is a playlist.
    pub playlist: bool,
}

/// Sorts the payload; refuses what has no place, so that no unexplained picture travels along, and
/// what every bundle has and this one lacks.
pub fn sort(bag: &Bag, report: &mut Report) -> Layout {
    let mut layout = Layout::default();
    for path in bag.payload.keys() {
        if layout.take(path).is_none() {
            report.refuse(Refusal::new(
                Code::FileUnexpected,
                format!("{path} has no place in a bundle"),
            ));
        }
    }
    for required in [bundle::REQUEST, bundle::AUDIT, bundle::AUTHORITY] {
        if !bag.has(required) {
            report.refuse(Refusal::new(Code::FileMissing, required));
        }
    }
    layout
}

/// Files that are there once at most, and checked by digest or elsewhere.
const SINGLE: [&str; 11] = [
    bundle::REQUEST,
    bundle::AUDIT,
    bundle::AUDIT_CASE,
    bundle::AUDIT_HTML,
    bundle::AUTHORITY,
    bundle::COVERAGE,
    bundle::TIME_ACCURACY,
    bundle::STATEMENT,
    bundle::CONTROLLER_LOG_KEY,
    bundle::CONTROLLER_POLICY,
    bundle::AUDIT_PLACES,
];

impl Layout {
    fn take(&mut self, path: &str) -> Option<()> {
        if SINGLE.contains(&path) {
            return Some(());
        }
        let parts: Vec<&str> = path.strip_prefix("data/")?.split('/').collect();
        match parts[..] {
            ["master", site, camera, file] => self.master(site, camera, file),
            ["view", site, file] => {
                let camera = file.strip_suffix(".mp4")?;
                self.camera(site, camera)?.view = true;
                Some(())
            }
            ["proof", CONTROLLER, file] => {
                let position = ten_digits(file.strip_suffix(".tlog-proof")?)?;
                self.positions.insert(position);
                Some(())
            }
            ["proof", site, "key.dsse.jsonl" | "policy"] => self.site(site).map(|_| ()),
            ["proof", site, folder, file] => self.proof(site, folder, file),
            _ => None,
        }
    }

    fn site(&mut self, site: &str) -> Option<&mut SiteFiles> {
        let site: SiteId = site.parse().ok()?;
        (site.as_str() != CONTROLLER).then_some(())?;
        Some(self.sites.entry(site).or_default())
    }

    fn camera(&mut self, site: &str, name: &str) -> Option<&mut CameraFiles> {
        let camera: CameraId = format!("{site}/{name}").parse().ok()?;
        self.site(site)?;
        Some(self.cameras.entry(camera).or_default())
    }

    fn master(&mut self, site: &str, camera: &str, file: &str) -> Option<()> {
        if file == "index.m3u8" {
            self.camera(site, camera)?.playlist = true;
            return Some(());
        }
        let seq = match file.strip_suffix(".m4s") {
            Some(digits) => ten_digits(digits)?,
            None => ten_digits(file.strip_prefix("init-")?.strip_suffix(".mp4")?)?,
        };
        self.camera(site, camera)?.segments.insert(Seq(seq));
        Some(())
    }

    fn proof(&mut self, site: &str, folder: &str, file: &str) -> Option<()> {
        match folder {
            "keys" => {
                let of = |kind| file.strip_suffix(kind).filter(|id| is_hex(id, 16));
                if let Some(id) = of(".dsse.json") {
                    self.site(site)?.certificates.insert(id.to_owned());
                    return Some(());
                }
                if of(".tlog-proof").is_some() {
                    return self.site(site).map(|_| ());
                }
            }
            "checkpoints" if file.strip_suffix(".note").is_some_and(|id| is_hex(id, 64)) => {
                return self.site(site).map(|_| ());
            }
            "tsa" => {
                let size = file.strip_suffix(".note").or_else(|| file.strip_suffix(".tsr"));
                let size =
                    size.and_then(|size| size.parse().ok().filter(|n: &u64| n.to_string() == size));
                if let Some(size) = size {
                    self.site(site)?.stamps.insert(size);
                    return Some(());
                }
            }
            _ => {}
        }
        if file == "records.dsse.jsonl" {
            return self.camera(site, folder).map(|_| ());
        }
        if let Some(digits) = file.strip_suffix(".tlog-proof") {
            let seq = ten_digits(digits)?;
            self.camera(site, folder)?.proofs.insert(Seq(seq));
            return Some(());
        }
        let seq = ten_digits(file.strip_suffix(".json")?)?;
        self.camera(site, folder)?.segments.insert(Seq(seq));
        Some(())
    }
}

/// A number as names write it: ten digits, more only if it needs them.
fn ten_digits(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (format!("{number:010}") == text).then_some(number)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use custody::{Digest, KeyId};

    use super::*;

    #[test]
    fn every_path_of_the_layout_is_known_and_no_other() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let site: SiteId = "east".parse().unwrap();
        let key = KeyId("0123456789abcdef".into());
        let mut layout = Layout::default();
        for good in SINGLE.map(str::to_owned).into_iter().chain([
            bundle::key_grants(&site),
            bundle::policy(&site),
            bundle::key_cert(&site, &key),
            bundle::key_cert_proof(&site, &key),
            bundle::foreign_note(&site, Digest::NONE),
            bundle::stamped_note(&site, 40),
            bundle::stamp(&site, 41),
            bundle::audit_proof(12),
            bundle::records(&camera),
            bundle::link_proof(&camera, Seq(6)),
            bundle::init(&camera, Seq(7)),
            bundle::master(&camera, Seq(7)),
            bundle::disclosed(&camera, Seq(8)),
            bundle::playlist(&camera),
            bundle::view(&camera),
        ]) {
            assert!(layout.take(&good).is_some(), "{good}");
        }
        assert_eq!(layout.sites[&site].stamps, [40, 41].into());
        assert_eq!(layout.sites[&site].certificates, [key.0].into());
        assert_eq!(layout.positions, [12].into());
        let files = &layout.cameras[&camera];
        assert_eq!((&files.segments, &files.proofs), (&[Seq(7), Seq(8)].into(), &[Seq(6)].into()));
        assert!(files.view && files.playlist);
        for bad in [
            "data/extra.mp4",
            "data/view/east/ext-01/more.mp4",
            "data/view/east/EXT.mp4",
            "data/master/east/ext-01/7.m4s",
            "data/master/east/ext-01/0000000007.mp4",
            "data/master/controller/ext-01/0000000007.m4s",
            "data/proof/east/tsa/007.tsr",
            "data/proof/east/keys/0123.dsse.json",
            "data/proof/controller/policies",
            "data/proof/east/key.dsse.json",
            "data/proof/../key.dsse.jsonl",
        ] {
            assert!(layout.take(bad).is_none(), "{bad}");
        }
    }
}
