//! Which payload file is what: the inverse of the paths in [`custody::bundle`].

use std::collections::{BTreeMap, BTreeSet};

use custody::{CameraId, Code, Refusal, Seq, SiteId, bundle};

use crate::bag::Bag;
use crate::report::Report;

/// The payload's files, each in its place.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Sites whose key is vouched for by a file.
    pub sites: BTreeSet<SiteId>,
    /// Cameras with a folder.
    pub cameras: BTreeMap<CameraId, CameraFiles>,
}

/// What lies in a camera's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraFiles {
    /// The segments of which any file lies there.
    pub segments: BTreeSet<Seq>,
    /// Whether there is a playable copy.
    pub view: bool,
}

/// Sorts the payload; refuses what has no place, so that no unexplained picture travels along, and
/// what every bundle has and this one lacks.
pub fn sort(bag: &Bag, report: &mut Report) -> Layout {
    let mut layout = Layout::default();
    for path in bag.payload.keys() {
        if !layout.take(path) {
            report.refuse(Refusal::new(
                Code::FileUnexpected,
                format!("{path} has no place in a bundle"),
            ));
        }
    }
    for required in [bundle::REQUEST, bundle::AUDIT, bundle::AUTHORITY] {
        if !bag.payload.contains_key(required) {
            report.refuse(Refusal::new(Code::FileMissing, required));
        }
    }
    layout
}

impl Layout {
    fn take(&mut self, path: &str) -> bool {
        if [bundle::REQUEST, bundle::AUDIT, bundle::AUTHORITY].contains(&path) {
            return true;
        }
        if let Some(site) = site_of_key(path) {
            self.sites.insert(site);
            return true;
        }
        self.take_of_camera(path).is_some()
    }

    fn take_of_camera(&mut self, path: &str) -> Option<()> {
        let (_, rest) = path.strip_prefix("data/")?.split_once('/')?;
        let (site, rest) = rest.split_once('/')?;
        let (name, file) = rest.split_once(['/', '.'])?;
        let camera: CameraId = format!("{site}/{name}").parse().ok()?;
        let seq = seq_of(file);
        if let Some(seq) = seq {
            let places = [
                bundle::init(&camera, seq),
                bundle::master(&camera, seq),
                bundle::disclosed(&camera, seq),
            ];
            places.iter().any(|place| place == path).then_some(())?;
            self.cameras.entry(camera).or_default().segments.insert(seq);
            return Some(());
        }
        let is_view = path == bundle::view(&camera);
        (is_view || path == bundle::records(&camera)).then_some(())?;
        self.cameras.entry(camera).or_default().view |= is_view;
        Some(())
    }
}

fn site_of_key(path: &str) -> Option<SiteId> {
    let name = path.strip_prefix("data/proof/")?.strip_suffix("/key.dsse.jsonl")?;
    name.parse().ok()
}

fn seq_of(file: &str) -> Option<Seq> {
    let stem = file.strip_prefix("init-").unwrap_or(file);
    let (digits, _) = stem.split_once('.')?;
    digits.parse().ok().map(Seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_layout_is_known_and_no_other() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let site: SiteId = "east".parse().unwrap();
        let mut layout = Layout::default();
        for good in [
            bundle::REQUEST.to_owned(),
            bundle::AUDIT.to_owned(),
            bundle::AUTHORITY.to_owned(),
            bundle::key_grants(&site),
            bundle::records(&camera),
            bundle::init(&camera, Seq(7)),
            bundle::master(&camera, Seq(7)),
            bundle::disclosed(&camera, Seq(8)),
            bundle::view(&camera),
        ] {
            assert!(layout.take(&good), "{good}");
        }
        assert_eq!(layout.sites.len(), 1);
        let files = &layout.cameras[&camera];
        assert_eq!(files.segments, [Seq(7), Seq(8)].into());
        assert!(files.view);
        for bad in [
            "data/extra.mp4",
            "data/view/east/ext-01/view2.mp4",
            "data/master/east/ext-01/7.m4s",
            "data/master/east/ext-01/0000000007.mp4",
            "data/view/east/EXT.mp4",
            "data/proof/east/key",
            "data/proof/../x.key.dsse.jsonl",
        ] {
            assert!(!layout.take(bad), "{bad}");
        }
    }
}
