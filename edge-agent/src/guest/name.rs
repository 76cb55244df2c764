//! What another site's file is called here. Made of checked types alone: nothing that came over the
//! wire is ever part of a path.

use std::fmt;
use std::path::{Path, PathBuf};

use custody::{CameraId, Digest, Seq};

/// The ending of a whole, checked file.
const WHOLE: &str = "whseg";
/// The ending of one that is still coming.
const PART: &str = "part";

/// The first eight bytes of a fragment tree's root: they tell chains of one camera apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootStart(pub [u8; 8]);

impl RootStart {
    /// Of a root.
    #[must_use]
    pub fn of(root: Digest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = root.0;
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for RootStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A file among those of its camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Which segment.
    pub seq: Seq,
    /// Of which chain.
    pub root: RootStart,
}

impl Name {
    /// Of a segment with this root.
    #[must_use]
    pub fn of(seq: Seq, root: Digest) -> Self {
        Self { seq, root: RootStart::of(root) }
    }

    /// Where the whole file lies.
    pub(super) fn whole(self, folder: &Path) -> PathBuf {
        folder.join(self.text(WHOLE))
    }

    /// Where it lies while it is coming.
    pub(super) fn part(self, folder: &Path) -> PathBuf {
        folder.join(self.text(PART))
    }

    fn text(self, ending: &str) -> String {
        format!("{:010}-{}.{ending}", self.seq.0, self.root)
    }

    /// Reads a file's name, and whether it is a whole one's; none for whatever else lies there.
    pub(super) fn read(text: &str) -> Option<(Self, bool)> {
        let (stem, ending) = text.split_once('.')?;
        let (seq, root) = stem.split_once('-')?;
        let mut start = [0; 8];
        hex::decode_to_slice(root, &mut start).ok()?;
        let name = Self { seq: Seq(seq.parse().ok()?), root: RootStart(start) };
        let is_whole = ending == WHOLE;
        // Written any other way it is not ours.
        (name.text(if is_whole { WHOLE } else { PART }) == text).then_some((name, is_whole))
    }
}

/// The folder of a camera's files.
pub(super) fn folder(root: &Path, camera: &CameraId) -> PathBuf {
    root.join(camera.site().as_str()).join(camera.name())
}
