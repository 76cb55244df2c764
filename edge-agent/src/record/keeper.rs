//! Applies the cutter's outputs to the store. Blocking; one for each camera.

use custody::manifest::{Mask, Stream};
use custody::record::GapReason;
use custody::{CameraId, Digest, WallTime};
use host::telemetry::chain;

use crate::segment::cut::{CloseReason, Output};
use crate::store::{OpenFile, OpenSegment, Store, StoreError};

pub(super) struct Keeper {
    store: Store,
    camera: CameraId,
    /// Since when this run records it; where the chain of a new camera begins.
    since: WallTime,
    /// Who approved that the camera needs no mask; empty for one that does.
    unmasked_approved_by: String,
    open: Option<OpenFile>,
    lost_packets: u64,
    /// Why the segment that opens next does not continue the last one.
    discontinuity: Option<&'static str>,
}

/// What became of the outputs.
pub(super) enum Outcome {
    /// Footage or a gap reaches until then, on disc.
    Kept { until: WallTime },
    /// There was nothing to keep.
    Nothing,
    /// Footage was not kept, and the next gap says why.
    Lost { reason: GapReason, detail: String },
    /// The process must end.
    Fatal(String),
}

impl Keeper {
    pub(super) fn new(
        store: Store,
        camera: CameraId,
        since: WallTime,
        unmasked_approved_by: String,
    ) -> Self {
        Self {
            store,
            camera,
            since,
            unmasked_approved_by,
            open: None,
            lost_packets: 0,
            discontinuity: Some("started"),
        }
    }

    /// Keeps what was cut. What lies between the last footage and the next is a gap because of
    /// `reason`.
    pub(super) fn keep(
        &mut self,
        outputs: Vec<Output>,
        reason: GapReason,
        detail: &str,
    ) -> Outcome {
        let mut until = None;
        for output in outputs {
            match self.keep_one(output, reason, detail) {
                Ok(end) => until = end.or(until),
                Err(error) => return self.lost(error),
            }
        }
        until.map_or(Outcome::Nothing, |until| Outcome::Kept { until })
    }

    fn keep_one(
        &mut self,
        output: Output,
        reason: GapReason,
        detail: &str,
    ) -> Result<Option<WallTime>, Loss> {
        match output {
            Output::Open { parameters, init, applied, start, .. } => {
                if self.discontinuity.is_some() {
                    self.store.gap(&self.camera, Some(self.since), start, reason, detail)?;
                }
                let stream = Stream {
                    codec: parameters.rfc6381.clone(),
                    width: parameters.width,
                    height: parameters.height,
                    parameters_sha256: Digest::of(&parameters.decoder_config),
                    byte_exact: applied.is_none(),
                };
                let mask = match applied {
                    Some(applied) => Mask::Burned {
                        policy_id: applied.policy_id.clone(),
                        revision: applied.revision,
                        approved_by: applied.approved_by.clone(),
                        geometry_sha256: applied.geometry_sha256,
                    },
                    None => Mask::NotRequired { approved_by: self.unmasked_approved_by.clone() },
                };
                let discontinuity = self.discontinuity.take().map(str::to_owned);
                let opening = OpenSegment { start, stream, mask, init, discontinuity };
                self.open = Some(self.store.open_segment(&self.camera, opening)?);
                Ok(None)
            }
            Output::Fragment(fragment) => {
                let Some(file) = &mut self.open else { return Ok(None) };
                file.append(&fragment)?;
                self.lost_packets += fragment.lost();
                Ok(Some(fragment.end()))
            }
            Output::Close { end, reason, camera_offset_ms, .. } => {
                self.discontinuity = match reason {
                    CloseReason::Full | CloseReason::Overtime => None,
                    other => Some(other.code()),
                };
                let lost_packets = std::mem::take(&mut self.lost_packets);
                let Some(file) = self.open.take() else { return Ok(None) };
                file.close(end, lost_packets, camera_offset_ms)?;
                Ok(Some(end))
            }
            Output::Refused { detail, .. } => {
                Err(Loss { reason: GapReason::StreamGarbage, what: detail, fatal: false })
            }
        }
    }

    /// Signs a gap from the last footage or gap to `to`.
    pub(super) fn gap(&mut self, to: WallTime, reason: GapReason, detail: &str) -> Outcome {
        match self.store.gap(&self.camera, Some(self.since), to, reason, detail) {
            Ok(()) => Outcome::Nothing,
            Err(error) => self.lost(error.into()),
        }
    }

    fn lost(&mut self, loss: Loss) -> Outcome {
        if loss.fatal {
            return Outcome::Fatal(loss.what);
        }
        // What reached the disc is closed as recovered by the store.
        self.open = None;
        self.discontinuity = Some("not-kept");
        Outcome::Lost { reason: loss.reason, detail: loss.what }
    }
}

struct Loss {
    reason: GapReason,
    what: String,
    fatal: bool,
}

impl From<StoreError> for Loss {
    fn from(error: StoreError) -> Self {
        let reason = match &error {
            StoreError::DiscFull { .. } => GapReason::DiscFull,
            _ => GapReason::DiscFault,
        };
        Self { reason, what: chain(&error), fatal: error.is_fatal() }
    }
}

#[cfg(test)]
mod tests;
