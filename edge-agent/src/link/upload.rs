//! Sends pulled files: sealed as they lie on disc, each on its own stream, one after another, no
//! faster than the pace. Live traffic goes first: bulk streams have the lowest priority.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use custody::{CameraId, Seq};
use link::pace::Pace;
use link::stream::BulkHeader;
use proto::v1::{PullItem, PullMiss, PullRequest};
use quinn::Connection;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tonic::Status;

use super::{Parts, guests};

/// Files in one pull.
const ITEMS_MAX: usize = 256;
/// Read and sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Below gRPC's streams, which have priority 0.
const BULK_PRIORITY: i32 = -1;

/// The pulls of one connection.
#[derive(Clone)]
pub(super) struct Uploads {
    parts: Parts,
    connection: Connection,
    /// One pace for all pulls of the site; the lock is held for moments.
    pace: Arc<Mutex<Pace>>,
}

struct Item {
    header: BulkHeader,
    path: PathBuf,
}

impl Uploads {
    pub(super) fn new(parts: Parts, connection: Connection) -> Self {
        let pace = Pace::new(parts.config.pull_bytes_per_second, parts.clock.tick());
        Self { parts, connection, pace: Arc::new(Mutex::new(pace)) }
    }

    /// Begins to send what can be sent; names what cannot.
    pub(super) async fn begin(&self, request: PullRequest) -> Result<Vec<PullMiss>, Status> {
        if request.items.len() > ITEMS_MAX {
            return Err(Status::invalid_argument("a pull names at most 256 files"));
        }
        let (mut items, mut missing) = (Vec::new(), Vec::new());
        for wanted in request.items {
            match self.find(request.transfer, &wanted).await {
                Ok(item) => items.push(item),
                Err(reason) => {
                    missing.push(PullMiss { camera: wanted.camera, seq: wanted.seq, reason });
                }
            }
        }
        let own = self.parts.config.pull_bytes_per_second;
        let asked = request.bytes_per_second;
        let rate = [own, asked].into_iter().filter(|rate| *rate > 0).min().unwrap_or(0);
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) =
            Pace::new(rate, self.parts.clock.tick());
        let uploads = self.clone();
        self.parts.tasks.spawn("upload", async move { uploads.send_all(items).await });
        Ok(missing)
    }

    async fn find(&self, transfer: u64, wanted: &PullItem) -> Result<Item, String> {
        let camera: CameraId = wanted.camera.parse().map_err(|_| "no such camera".to_owned())?;
        let seq = Seq(wanted.seq);
        let path = if wanted.guest_root.is_empty() {
            self.own_path(&camera, seq).await?
        } else {
            self.guest_path(&camera, seq, &wanted.guest_root).await?
        };
        let total = tokio::fs::metadata(&path).await.map_err(|error| error.to_string())?.len();
        if wanted.offset > total {
            return Err(format!("the file has only {total} bytes"));
        }
        let header = BulkHeader { transfer, camera, seq, offset: wanted.offset, total };
        Ok(Item { header, path })
    }

    async fn own_path(&self, camera: &CameraId, seq: Seq) -> Result<PathBuf, String> {
        let (store, of) = (self.parts.store.clone(), camera.clone());
        tokio::task::spawn_blocking(move || store.segment_path(&of, seq))
            .await
            .map_err(|_| "the agent is stopping".to_owned())?
            .map_err(|error| error.to_string())
    }

    async fn guest_path(
        &self,
        camera: &CameraId,
        seq: Seq,
        root: &[u8],
    ) -> Result<PathBuf, String> {
        let root = guests::digest(root).map_err(|status| status.message().to_owned())?;
        let (room, of) = (self.parts.guests.clone(), camera.clone());
        tokio::task::spawn_blocking(move || room.path(&of, seq, root))
            .await
            .map_err(|_| "the agent is stopping".to_owned())?
            .ok_or_else(|| "it is not kept here for another site".to_owned())
    }

    async fn send_all(&self, items: Vec<Item>) {
        for item in items {
            let sent = tokio::select! {
                () = self.parts.tasks.stopping() => return,
                sent = self.send(&item) => sent,
            };
            if let Err(error) = sent {
                // The controller asks again for what it lacks.
                let camera = &item.header.camera;
                tracing::warn!(%camera, seq = %item.header.seq, %error, "a pulled file was not sent");
                if self.connection.close_reason().is_some() {
                    return;
                }
            }
        }
    }

    async fn send(&self, item: &Item) -> std::io::Result<()> {
        let mut file = tokio::fs::File::open(&item.path).await?;
        file.seek(SeekFrom::Start(item.header.offset)).await?;
        let mut stream = self.connection.open_uni().await?;
        stream.set_priority(BULK_PRIORITY)?;
        stream.write_all(&item.header.encode()).await?;
        let mut left = item.header.total - item.header.offset;
        while left > 0 {
            let granted = self.grant(left.min(CHUNK_BYTES as u64)).await;
            let mut chunk = vec![0; granted];
            file.read_exact(&mut chunk).await?;
            left -= chunk.len() as u64;
            stream.write_chunk(Bytes::from(chunk)).await?;
        }
        stream.finish()?;
        Ok(())
    }

    /// Waits until some of `wanted` bytes may go.
    async fn grant(&self, wanted: u64) -> usize {
        loop {
            let now = self.parts.clock.tick();
            let (granted, wait_ms) = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                (pace.take(wanted, now), pace.wait_ms())
            };
            if granted > 0 {
                return usize::try_from(granted).unwrap_or(CHUNK_BYTES);
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }
}
