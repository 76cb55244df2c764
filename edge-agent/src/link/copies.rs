//! The controller as the second place: fetches its copy of a held segment whose own file is damaged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use custody::{CameraId, Seq};
use proto::v1::FetchCopyRequest;
use quinn::Connection;
use tokio::runtime::Handle;
use tonic::Code;

use super::session;
use crate::scrub::SecondCopy;

/// One file takes no longer: 37 MB at 1 Mbit/s is five minutes.
const FETCH: Duration = Duration::from_secs(600);

/// The controller's copies, over whatever connection there is. Clones share it.
#[derive(Clone, Default)]
pub struct Copies {
    /// The present connection, and the runtime that it lives on.
    now: Arc<Mutex<Option<(Handle, Connection)>>>,
}

impl Copies {
    /// The connection that now stands, or that none does.
    pub(super) fn set(&self, connection: Option<&Connection>) {
        let now = connection.map(|connection| (Handle::current(), connection.clone()));
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl SecondCopy for Copies {
    fn fetch(
        &self,
        camera: &CameraId,
        seq: Seq,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, String> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((runtime, connection)) = now else {
            return Err("no link to the controller".to_owned());
        };
        runtime.block_on(async {
            let fetching = fetch(&connection, camera, seq, bytes_max);
            tokio::time::timeout(FETCH, fetching)
                .await
                .unwrap_or_else(|_| Err("it took too long".to_owned()))
        })
    }
}

async fn fetch(
    connection: &Connection,
    camera: &CameraId,
    seq: Seq,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, String> {
    let mut fleet = session::fleet(connection);
    let ask = FetchCopyRequest { camera: camera.to_string(), seq: seq.0 };
    let mut pieces = match fleet.fetch_copy(ask).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status.message().to_owned()),
    };
    let mut copy = Vec::new();
    loop {
        match pieces.message().await {
            Ok(Some(piece)) => copy.extend_from_slice(&piece.data),
            Ok(None) => return Ok(Some(copy)),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status.message().to_owned()),
        }
        if copy.len() as u64 > bytes_max {
            return Err(format!("its copy is longer than {bytes_max} bytes"));
        }
    }
}
