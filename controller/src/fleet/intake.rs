//! Pulled files: each arrives on its own stream, goes on where it stopped, is checked against the
//! signed record's fragment root without any key, and then stands in the vault for good.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use custody::sealed::SealedSegment;
use custody::{CameraId, Digest, Seq, SiteId, tree};
use host::durable;
use link::stream::{BulkHeader, FIXED_BYTES};
use quinn::{RecvStream, VarInt};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use super::WantedSegment;
use crate::vault::segment_name;

/// A stream that brings nothing for this long is given up; the pull goes on later.
const STALL: Duration = Duration::from_secs(20);
/// Read at once from a stream.
const CHUNK_BYTES: usize = 256 << 10;

type Place = (CameraId, Seq);

/// What is expected, and where it goes.
pub(super) struct Intake {
    vault: PathBuf,
    pulls: Mutex<BTreeMap<u64, Arc<Pull>>>,
}

/// One pull under way.
pub(super) struct Pull {
    site: SiteId,
    wanted: BTreeMap<Place, WantedSegment>,
    state: Mutex<State>,
    /// Told whenever `state` changes.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    received_bytes: u64,
    arrived: Vec<Place>,
    failed: Option<String>,
}

/// Ends the expectation when the asker goes away.
pub(super) struct Expected<'a> {
    intake: &'a Intake,
    transfer: u64,
    pub(super) pull: Arc<Pull>,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.intake.pulls().remove(&self.transfer);
    }
}

impl Pull {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes so far, files so far, and what failed.
    pub(super) fn progress(&self) -> (u64, usize, Option<String>) {
        let state = self.state();
        (state.received_bytes, state.arrived.len(), state.failed.clone())
    }
}

impl Intake {
    pub(super) fn new(vault: PathBuf) -> Self {
        Self { vault, pulls: Mutex::default() }
    }

    fn pulls(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Pull>>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a complete and checked file stands.
    pub(super) fn path(&self, wanted: &WantedSegment) -> PathBuf {
        self.vault.join(segment_name(&wanted.camera, wanted.seq, wanted.root))
    }

    fn part_path(&self, wanted: &WantedSegment) -> PathBuf {
        self.path(wanted).with_extension("part")
    }

    /// How many bytes of a file are here, unchecked.
    pub(super) fn received(&self, wanted: &WantedSegment) -> u64 {
        let part = self.part_path(wanted);
        std::fs::metadata(part).map_or(0, |m| m.len().min(wanted.file_bytes))
    }

    /// Whether a file is complete and checked.
    pub(super) fn has(&self, wanted: &WantedSegment) -> bool {
        self.path(wanted).exists()
    }

    /// Streams with this transfer number are let in from now on.
    pub(super) fn expect(
        &self,
        transfer: u64,
        site: &SiteId,
        wanted: &[WantedSegment],
    ) -> Expected<'_> {
        let received_bytes = wanted.iter().map(|w| self.received(w)).sum();
        let pull = Arc::new(Pull {
            site: site.clone(),
            wanted: wanted.iter().map(|w| ((w.camera.clone(), w.seq), w.clone())).collect(),
            state: Mutex::new(State { received_bytes, ..State::default() }),
            changed: Notify::new(),
        });
        self.pulls().insert(transfer, pull.clone());
        Expected { intake: self, transfer, pull }
    }

    /// Takes one stream in.
    pub(super) async fn receive(&self, site: &SiteId, mut stream: RecvStream) {
        let Some((header, pull)) = self.header(site, &mut stream).await else {
            drop(stream.stop(VarInt::from_u32(1)));
            return;
        };
        let place = (header.camera.clone(), header.seq);
        let Some(wanted) = pull.wanted.get(&place).filter(|w| w.file_bytes == header.total) else {
            tracing::warn!(%site, camera = %header.camera, "a file came that nobody asked for");
            drop(stream.stop(VarInt::from_u32(1)));
            return;
        };
        match self.take_in(&header, wanted, &pull, &mut stream).await {
            Ok(()) => pull.state().arrived.push(place),
            Err(why) => {
                tracing::warn!(%site, camera = %header.camera, seq = %header.seq, why, "pull stopped");
                pull.state().failed.get_or_insert(why);
            }
        }
        pull.changed.notify_one();
    }

    async fn header(
        &self,
        site: &SiteId,
        stream: &mut RecvStream,
    ) -> Option<(BulkHeader, Arc<Pull>)> {
        let read = async {
            let mut fixed = [0; FIXED_BYTES];
            stream.read_exact(&mut fixed).await.ok()?;
            let mut name = vec![0; BulkHeader::name_bytes(&fixed).ok()?];
            stream.read_exact(&mut name).await.ok()?;
            BulkHeader::decode(&fixed, &name).ok()
        };
        let header = tokio::time::timeout(STALL, read).await.ok().flatten()?;
        let pull = self.pulls().get(&header.transfer).cloned()?;
        (pull.site == *site).then_some((header, pull))
    }

    async fn take_in(
        &self,
        header: &BulkHeader,
        wanted: &WantedSegment,
        pull: &Pull,
        stream: &mut RecvStream,
    ) -> Result<(), String> {
        let part = self.part_path(wanted);
        let disc = |error: io::Error| format!("{}: {error}", part.display());
        durable::create_folder(part.parent().unwrap_or(&self.vault)).map_err(disc)?;
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(&part).await.map_err(disc)?;
        let mut have = file.metadata().await.map_err(disc)?.len();
        if have != header.offset {
            return Err(format!("the file goes on at {} where {have} is due", header.offset));
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = tokio::time::timeout(STALL, stream.read(&mut buffer)).await;
            let read = read.map_err(|_| "the stream stalled".to_owned())?;
            let Some(count) = read.map_err(|error| error.to_string())? else { break };
            have += count as u64;
            if have > header.total {
                return Err("the file is longer than announced".to_owned());
            }
            file.write_all(&buffer[..count]).await.map_err(disc)?;
            pull.state().received_bytes += count as u64;
            pull.changed.notify_one();
        }
        file.flush().await.map_err(disc)?;
        if have < header.total {
            return Err(format!("the stream ended at {have} of {} bytes", header.total));
        }
        file.sync_all().await.map_err(disc)?;
        drop(file);
        let (path, root) = (self.path(wanted), wanted.root);
        tokio::task::spawn_blocking(move || admit(&part, &path, root))
            .await
            .map_err(|_| "stopping".to_owned())?
    }
}

/// Checks a complete file against the signed root and puts it in its place; throws it away if it is
/// not the signed one.
fn admit(part: &Path, path: &Path, root: Digest) -> Result<(), String> {
    let disc = |error: io::Error| format!("{}: {error}", part.display());
    let bytes = std::fs::read(part).map_err(disc)?;
    let found = SealedSegment::read(&bytes).map(|segment| tree::root(&segment.leaves()));
    if found.as_ref() != Ok(&root) {
        durable::remove(part).map_err(disc)?;
        return Err("the file that came is not the signed one; it was thrown away".to_owned());
    }
    durable::rename(part, path).map_err(disc)
}
