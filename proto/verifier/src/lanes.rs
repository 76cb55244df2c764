//! What each file of a bundle is to be read for, laid out before anything is read: the fragments of
//! a master, the pictures in it, and the same pictures in the playable copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::ops::Range;

use custody::fragment::Disclosed;
use custody::sealed::{BLOCK_BYTES_MAX, FRAGMENTS_MAX};
use custody::{CameraId, Code, Digest, Refusal, Seq, bundle};

use crate::bag::Bag;
use crate::boxes;
use crate::pass::{self, Found, Job, Lane};
use crate::place::Layout;
use crate::tables::{self, BadView};

/// A disclosed fragment is about 320 bytes of JSON.
const DISCLOSED_BYTES_MAX: u64 = FRAGMENTS_MAX as u64 * 1_000;
/// In a master: its fragments, then its pictures. In a copy: its pictures alone.
const FRAGMENTS: usize = 0;
const PICTURES: usize = 1;

/// A master's list of fragments, and how its file is cut by it.
#[derive(Debug, Clone)]
pub struct Master {
    /// The list; none if there is none or it does not read.
    pub disclosed: Option<Vec<Disclosed>>,
    /// Where the file does not follow its list.
    pub fault: Option<Refusal>,
    /// The bytes of its pictures.
    pub picture_bytes: u64,
    job: usize,
}

/// Everything read of a bundle.
#[derive(Default)]
pub struct Read {
    /// Each named file, in the order of names.
    pub files: Vec<(String, io::Result<Found>)>,
    masters: BTreeMap<(CameraId, Seq), Master>,
    views: BTreeMap<CameraId, Result<View, BadView>>,
}

/// How a playable copy is cut: into the pictures of each segment.
struct View {
    /// The segments in order, with the bytes of their pictures.
    segments: Vec<(Seq, u64)>,
    /// Its pictures, all of them.
    bytes: u64,
    job: usize,
}

/// Reads every named file once, on at most `threads` threads.
#[must_use]
pub fn read(bag: &Bag, layout: &Layout, threads: usize) -> Read {
    let mut jobs: Vec<Job> = bag
        .to_read()
        .map(|(path, bytes, sha512)| Job {
            path: path.to_owned(),
            full: bag.full(path),
            bytes,
            sha512,
            lanes: Vec::new(),
        })
        .collect();
    let numbers: BTreeMap<String, usize> =
        jobs.iter().enumerate().map(|(number, job)| (job.path.clone(), number)).collect();
    let (mut masters, mut views) = (BTreeMap::new(), BTreeMap::new());
    for (camera, files) in &layout.cameras {
        for seq in &files.segments {
            let Some(number) = numbers.get(&bundle::master(camera, *seq)) else { continue };
            let (master, lanes) = lay_master(bag, camera, *seq, *number);
            jobs[*number].lanes = lanes;
            masters.insert((camera.clone(), *seq), master);
        }
        let Some(number) = numbers.get(&bundle::view(camera)) else { continue };
        let segments: Vec<_> = masters
            .iter()
            .filter(|((of, _), _)| of == camera)
            .map(|((_, seq), master)| (*seq, master.picture_bytes))
            .collect();
        let view = lay_view(bag, &jobs[*number], segments, *number).map(|(view, lane)| {
            jobs[*number].lanes = vec![lane];
            view
        });
        views.insert(camera.clone(), view);
    }
    let found = pass::run(&jobs, threads);
    let files = jobs.into_iter().map(|job| job.path).zip(found).collect();
    Read { files, masters, views }
}

impl Read {
    /// A master and the digests of its fragments, as many as are whole.
    #[must_use]
    pub fn master(&self, camera: &CameraId, seq: Seq) -> Option<(&Master, &[Digest])> {
        let master = self.masters.get(&(camera.clone(), seq))?;
        Some((master, self.lane(master.job, FRAGMENTS)))
    }

    fn lane(&self, job: usize, lane: usize) -> &[Digest] {
        let found = self.files.get(job).and_then(|(_, found)| found.as_ref().ok());
        found.and_then(|found| found.lanes.get(lane)).map_or(&[], Vec::as_slice)
    }

    /// Whether a camera's playable copy holds the pictures of these segments and no others. The copy
    /// reads, see [`Self::view_reads`].
    ///
    /// # Errors
    /// `view-altered`.
    pub fn compare_view(&self, camera: &CameraId, segments: &BTreeSet<Seq>) -> Result<(), Refusal> {
        let altered = |what: String| {
            Err(Refusal::new(Code::ViewAltered, format!("{}: {what}", bundle::view(camera))))
        };
        let Some(Ok(view)) = self.views.get(camera) else { return Ok(()) };
        if !view.segments.iter().map(|(seq, _)| seq).eq(segments) {
            return altered("the folder has masters that no record names".into());
        }
        let in_view = self.lane(view.job, 0);
        for ((seq, _), shown) in view.segments.iter().zip(in_view) {
            let master = self.masters.get(&(camera.clone(), *seq));
            let signed = master.and_then(|master| self.lane(master.job, PICTURES).first());
            if signed != Some(shown) {
                return altered(format!("it does not hold the pictures of segment {seq}"));
            }
        }
        if view.segments.iter().map(|(_, bytes)| bytes).sum::<u64>() != view.bytes {
            return altered("it holds more or fewer pictures than the masters".into());
        }
        Ok(())
    }

    /// Whether a camera's playable copy reads at all.
    ///
    /// # Errors
    /// `view-altered`.
    pub fn view_reads(&self, camera: &CameraId) -> Result<(), Refusal> {
        match self.views.get(camera) {
            Some(Err(bad)) => {
                let what = format!("{}: {bad}", bundle::view(camera));
                Err(Refusal::new(Code::ViewAltered, what))
            }
            _ => Ok(()),
        }
    }
}

fn lay_master(bag: &Bag, camera: &CameraId, seq: Seq, job: usize) -> (Master, Vec<Lane>) {
    let mut master = Master { disclosed: None, fault: None, picture_bytes: 0, job };
    let list = bag.read(&bundle::disclosed(camera, seq), DISCLOSED_BYTES_MAX);
    let list: Option<Vec<Disclosed>> = list.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(list) = list.filter(|list| list.len() <= FRAGMENTS_MAX) else {
        return (master, Vec::new());
    };
    let path = bundle::master(camera, seq);
    let bytes = bag.payload.get(&path).copied().unwrap_or_default();
    let mut cut = Cut::default();
    master.fault = match bag.open(&path) {
        Ok(mut file) => cut.fragments(&list, &mut file, bytes),
        Err(_) => None, // told where its digest is compared
    };
    let lanes = [Lane::new(cut.fragments), Lane::new(vec![cut.pictures.clone()])];
    master.picture_bytes = cut.pictures.iter().map(|range| range.end - range.start).sum();
    master.disclosed = Some(list);
    (master, lanes.into_iter().flatten().collect())
}

/// A master's file cut by its list.
#[derive(Default)]
struct Cut {
    fragments: Vec<Vec<Range<u64>>>,
    pictures: Vec<Range<u64>>,
}

impl Cut {
    /// Cuts fragment by fragment, up to the first fault.
    fn fragments(
        &mut self,
        list: &[Disclosed],
        file: &mut BufReader<File>,
        bytes: u64,
    ) -> Option<Refusal> {
        let altered = |what: String| Some(Refusal::new(Code::FragmentAltered, what));
        let mut at = 0_u64;
        for (index, one) in list.iter().enumerate() {
            if one.bytes > BLOCK_BYTES_MAX as u64 || u32::try_from(index) != Ok(one.info.index) {
                return altered(format!("fragment {index} is too long or out of order"));
            }
            let end = at + one.bytes;
            if end > bytes {
                let what = format!("the file ends within fragment {index}");
                return Some(Refusal::new(Code::SegmentTruncated, what));
            }
            let Ok(Some(places)) = boxes::in_file(file, at..end) else {
                return altered(format!("fragment {index} is not whole MP4 boxes"));
            };
            let pictures = places.iter().filter(|place| place.kind == *b"mdat");
            self.pictures.extend(pictures.map(boxes::Place::payload));
            self.fragments.push(vec![at..end]);
            at = end;
        }
        if at < bytes {
            return altered("the file goes on behind its last fragment".into());
        }
        None
    }
}

fn lay_view(
    bag: &Bag,
    job: &Job,
    segments: Vec<(Seq, u64)>,
    number: usize,
) -> Result<(View, Lane), BadView> {
    let mut file = bag.open(&job.path)?;
    let pictures = tables::pictures(&mut file, job.bytes)?;
    let bytes = pictures.iter().map(|range| range.end - range.start).sum();
    let mut groups = Vec::with_capacity(segments.len());
    let mut rest = pictures.into_iter();
    let mut open: Option<Range<u64>> = None;
    for (_, due) in &segments {
        let mut group = Vec::new();
        let mut due = *due;
        while due > 0 {
            let Some(range) = open.take().or_else(|| rest.next()) else { break };
            let take = due.min(range.end - range.start);
            group.push(range.start..range.start + take);
            due -= take;
            open = (range.start + take < range.end).then(|| range.start + take..range.end);
        }
        groups.push(group);
    }
    let lane = Lane::new(groups).ok_or(BadView::Form("its pictures are out of order"))?;
    Ok((View { segments, bytes, job: number }, lane))
}
