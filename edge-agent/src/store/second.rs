//! The second disc: whether the one that belongs here is there, and which disc a segment lies on.
//!
//! ```text
//! <second>/segments/volume.json                         the store's own volume identity
//! <second>/segments/<camera>/<YYYY-MM-DD>/<HH>/<seq>.whseg
//! <state>/second.json                                   that there is a second disc: it may not be
//!                                                       taken for a new one when it is not mounted
//! ```
//! A second disc that is absent, wrong or swapped is an alarm: what lies on it is unavailable and says
//! why, nothing is moved, and recording goes on. What is erased meanwhile opens for nobody once its
//! hour's key is gone; its file goes when the disc is back.
//!
//! | file | holds |
//! |---|---|
//! | `second/moving.rs` | the steps of moving segments there |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use custody::{CameraId, Seq, SiteId};
use host::durable::{self, Reader};

use super::core::{Alarm, Core, lock};
use super::disc::Step;
use super::erase::Space;
use super::index::Batch;
use super::key::Family;
use super::key::condemned::CondemnedRow;
use super::key::expiry::SegmentRow;
use super::key::second::{self as key, Mark};
use super::path;
use super::volume::VolumeFile;
use super::{Store, StoreError};

mod moving;

pub use moving::Moved;
use moving::move_there;
pub(super) use moving::settle;

/// The second disc of a store.
pub(super) struct Second {
    segments: PathBuf,
    /// The identity that it must have.
    volume: String,
    state: Mutex<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Here,
    Away(String),
}

impl Second {
    /// The disc mounted at `folder`, not yet looked at.
    pub(super) fn new(folder: &Path, volume: &str) -> Self {
        Self {
            segments: folder.join("segments"),
            volume: volume.to_owned(),
            state: Mutex::new(State::Away("it has not been looked at yet".into())),
        }
    }

    fn away(&self) -> Option<String> {
        match &*lock(&self.state) {
            State::Here => None,
            State::Away(why) => Some(why.clone()),
        }
    }
}

/// What to do about a second disc.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Here,
    New,
    Away(String),
}

/// Judges what was found on the disc. Pure. `known`: this store has had a second disc.
fn judge(
    found: Option<&VolumeFile>,
    has_footage: bool,
    known: bool,
    (site, volume): (&SiteId, &str),
) -> Verdict {
    match found {
        Some(file) if file.volume == volume && file.site == *site => Verdict::Here,
        Some(file) => Verdict::Away(format!(
            "another disc is there: its volume.json names {} of site {}, and this store is {volume} of \
             site {site}; mount the one that belongs here",
            file.volume, file.site
        )),
        None if known => Verdict::Away(
            "it is not mounted, or another disc is in its place: there is no segments/volume.json; \
             mount the one that belongs here"
                .into(),
        ),
        None if has_footage => Verdict::Away(
            "it holds footage and no segments/volume.json; put that back, or give an empty disc".into(),
        ),
        None => Verdict::New,
    }
}

/// Looks whether the disc is the one that belongs here, and says so if it is not.
pub(super) fn look(core: &Core) -> Result<(), StoreError> {
    let Some(second) = &core.second else { return Ok(()) };
    let verdict = read(core, second).unwrap_or_else(|error| {
        Verdict::Away(format!("it does not read ({error}); look at the disc"))
    });
    let verdict = match verdict {
        Verdict::New => match begin(core, second) {
            Ok(()) => Verdict::Here,
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => Verdict::Away(host::telemetry::chain(&error)),
        },
        other => other,
    };
    match verdict {
        Verdict::Here | Verdict::New => {
            *lock(&second.state) = State::Here;
            core.clear(Alarm::SecondTierAway);
        }
        Verdict::Away(why) => {
            *lock(&second.state) = State::Away(why.clone());
            let shown = second.segments.display();
            core.raise(Alarm::SecondTierAway, &format!("the second disc, {shown}: {why}"));
        }
    }
    Ok(())
}

fn read(core: &Core, second: &Second) -> io::Result<Verdict> {
    let found = match fs::read(second.segments.join("volume.json")) {
        Ok(bytes) => Some(serde_json::from_slice::<VolumeFile>(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let has_footage = match fs::read_dir(&second.segments) {
        Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let ours = (core.identity.site(), second.volume.as_str());
    let known = known_path(core).exists();
    let verdict = judge(found.as_ref(), has_footage, known, ours);
    if verdict == Verdict::Here && !known {
        return Ok(Verdict::New);
    }
    Ok(verdict)
}

fn known_path(core: &Core) -> PathBuf {
    core.state_dir.join("second.json")
}

/// Gives a new disc the store's identity, then remembers that there is one.
fn begin(core: &Core, second: &Second) -> Result<(), StoreError> {
    let file = VolumeFile::new(core.identity.site(), &second.volume);
    let bytes = serde_json::to_vec(&file).expect("names always have a JSON form");
    let path = second.segments.join("volume.json");
    core.step(Step::CopySegment, format_args!("writing {}", path.display()), || {
        // The mount point itself is never made: an absent disc would be written to the first one.
        let mount = second.segments.parent().unwrap_or(&second.segments);
        if !mount.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such folder"));
        }
        durable::create_folder(&second.segments)?;
        durable::replace(&path, &bytes, Reader::Anyone)
    })?;
    let known = known_path(core);
    core.step(Step::CopySegment, format_args!("writing {}", known.display()), || {
        durable::replace(&known, &bytes, Reader::Anyone)
    })
}

/// Where the second disc's segments lie, if it is there.
pub(super) fn root(core: &Core) -> Option<&Path> {
    core.second.as_ref().filter(|second| second.away().is_none()).map(|it| it.segments.as_path())
}

/// Where segments may lie now: the first disc, and the second if it is there.
pub(super) fn roots(core: &Core) -> impl Iterator<Item = &Path> {
    std::iter::once(core.segments.as_path()).chain(root(core))
}

/// Whether the copy that counts lies on the second disc.
pub(super) fn is_there(core: &Core, camera: &CameraId, seq: Seq) -> Result<bool, StoreError> {
    marked(core, Mark::There, camera, seq)
}

fn marked(core: &Core, mark: Mark, camera: &CameraId, seq: Seq) -> Result<bool, StoreError> {
    // Also without a second disc in the settings: what was moved once does not lie on the first.
    Ok(core.index.get(Family::Second, &key::key(mark, camera, seq))?.is_some())
}

/// The file of a stored segment, on whichever disc.
///
/// `Refused`, with the reason, when it lies on the second one and that is not there.
pub(super) fn place(
    core: &Core,
    camera: &CameraId,
    epoch: u64,
    seq: Seq,
) -> Result<PathBuf, StoreError> {
    if !is_there(core, camera, seq)? {
        return Ok(path::segment(&core.segments, camera, epoch, seq));
    }
    let away = match &core.second {
        None => Some("the settings name none any more".to_owned()),
        Some(second) => second.away(),
    };
    match (root(core), away) {
        (Some(root), None) => Ok(path::segment(root, camera, epoch, seq)),
        (_, away) => Err(StoreError::refused(format!(
            "segment {seq} of {camera} lies on the second disc, which is away: {}",
            away.unwrap_or_default()
        ))),
    }
}

/// Every file in which a condemned segment may still lie; none while its copy on the second disc
/// cannot be reached.
pub(super) fn copies(core: &Core, row: &CondemnedRow) -> Result<Option<Vec<PathBuf>>, StoreError> {
    let there = is_there(core, &row.camera, row.seq)?;
    if there && root(core).is_none() {
        return Ok(None);
    }
    let moving = marked(core, Mark::Moving, &row.camera, row.seq)?;
    let mut files = Vec::with_capacity(2);
    if !there || moving {
        files.push(path::segment(&core.segments, &row.camera, row.epoch, row.seq));
    }
    if let Some(root) = root(core).filter(|_| there || moving) {
        files.push(path::segment(root, &row.camera, row.epoch, row.seq));
    }
    Ok(Some(files))
}

/// A condemned segment's files are gone: so is the mark that it lies on the second disc. That it was
/// being moved stays, for whoever moves it.
pub(super) fn forget(batch: &mut Batch, row: &CondemnedRow) {
    batch.delete(Family::Second, key::key(Mark::There, &row.camera, row.seq));
}

/// When the index is built again: marks where a found file lies. The first disc's copy counts where
/// both hold a whole one; the other is removed when moves are settled.
pub(super) fn note_found(core: &Core, batch: &mut Batch, found: &SegmentRow, file: &Path) {
    let Some(root) = root(core) else { return };
    let (camera, epoch, seq) = (&found.camera, found.epoch, found.seq);
    let is_there = file.starts_with(root);
    let other = if is_there { &core.segments } else { root };
    if is_there {
        batch.put(Family::Second, key::key(Mark::There, camera, seq), key::encode(epoch));
    }
    if path::segment(other, camera, epoch, seq).exists() {
        batch.put(Family::Second, key::key(Mark::Moving, camera, seq), key::encode(epoch));
    }
}

/// Why the second disc that this store has had is away, if it is.
pub(super) fn awaited(core: &Core) -> Option<String> {
    let known = known_path(core);
    let away = match &core.second {
        Some(second) => second.away()?,
        None => "the settings name none any more".to_owned(),
    };
    known.exists().then(|| {
        format!(
            "older footage lies on the second disc, which is away: {away}. What lies there cannot be read \
             in until it is back; to give it up, remove {}",
            known.display()
        )
    })
}

/// Whether the disc on which a segment's file belongs is mounted: on one that is not nothing is missed.
pub(super) fn is_mounted(core: &Core, file: &Path) -> bool {
    roots(core)
        .find(|root| file.starts_with(root))
        .is_some_and(|it| it.join("volume.json").exists())
}

/// How full the second disc is; none if there is none, or it is away.
pub(super) fn space(core: &Core) -> Result<Option<Space>, StoreError> {
    root(core).map(super::erase::space_of).transpose()
}

/// How the second disc is: nothing without one, `here`, or why it is away.
pub(super) fn state(core: &Core) -> Option<String> {
    core.second.as_ref().map(|second| second.away().unwrap_or_else(|| "here".to_owned()))
}

/// The steps of moving, for the tier room, and which disc rows are on.
impl Store {
    /// Looks whether the second disc is the one that belongs here, and finishes moves that were left
    /// half done. Whether it is there.
    pub(crate) fn look_at_second(&self) -> Result<bool, StoreError> {
        look(&self.core)?;
        if root(&self.core).is_some() {
            settle(&self.core)?;
        }
        Ok(root(&self.core).is_some())
    }

    /// Those of `rows` that lie on the first disc, and those that lie on the second.
    pub(crate) fn by_disc(
        &self,
        rows: Vec<SegmentRow>,
    ) -> Result<(Vec<SegmentRow>, Vec<SegmentRow>), StoreError> {
        let (mut here, mut there) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let lies_there = is_there(&self.core, &row.camera, row.seq)?;
            if lies_there { &mut there } else { &mut here }.push(row);
        }
        Ok((here, there))
    }

    /// Moves segments of one camera to the second disc; `pace` is called before so many bytes are read
    /// or written.
    pub(crate) fn move_to_second(
        &self,
        camera: &CameraId,
        rows: &[SegmentRow],
        pace: &mut dyn FnMut(usize),
    ) -> Result<Moved, StoreError> {
        move_there(&self.core, camera, rows, pace)
    }

    /// Raises an alarm, or says that it is over.
    pub(crate) fn tell(&self, alarm: Alarm, what: Option<&str>) {
        match what {
            Some(what) => self.core.raise(alarm, what),
            None => self.core.clear(alarm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_disc_that_belongs_here_is_used() {
        let east: SiteId = "east".parse().unwrap();
        let file = |volume: &str, site: &str| VolumeFile::new(&site.parse().unwrap(), volume);
        let at = |found: Option<VolumeFile>, footage, known| {
            judge(found.as_ref(), footage, known, (&east, "a"))
        };
        let says = |verdict, word: &str| match verdict {
            Verdict::Away(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(at(Some(file("a", "east")), true, true), Verdict::Here);
        assert_eq!(at(Some(file("a", "east")), true, false), Verdict::Here);
        assert_eq!(at(None, false, false), Verdict::New);
        says(at(None, false, true), "not mounted");
        says(at(None, true, false), "holds footage");
        says(at(Some(file("b", "east")), true, true), "another disc");
        says(at(Some(file("a", "west")), true, true), "another disc");
    }
}
