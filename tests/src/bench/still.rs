//! A camera's frames without a camera: what the rooms behind the network are fed with. Its pictures
//! are noise that nobody decodes; everything from the frame on is the recorder's own.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use custody::manifest::{Mask, Stream};
use custody::{CameraId, Digest, WallTime};
use edge_agent::camera::{Codec, Frame, Parameters};
use edge_agent::mask::{NoMask, pass_unmasked};
use edge_agent::segment::{CloseReason, Cutter, Fragment, Output, Settings};
use edge_agent::store::{OpenFile, OpenSegment, Store};

const APPROVER: &str = "d.mensah";

/// Records one camera's frames, each as the clock stands.
pub(super) struct Still {
    camera: CameraId,
    parameters: Arc<Parameters>,
    approval: NoMask,
    cutter: Cutter,
    data: Bytes,
    pts: i64,
    open: Option<OpenFile>,
    begun: bool,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    pub(super) fragments: usize,
    pub(super) segments: usize,
}

impl Still {
    /// A camera whose frames have so many bytes.
    pub(super) fn new(camera: CameraId, segment_s: u32, frame_bytes: usize) -> Result<Self> {
        let avcc = [
            1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 1, 0, 4, 0x68, 0xce,
            0x3c, 0x80,
        ];
        let mut data = vec![0x65; frame_bytes];
        let length = u32::try_from(frame_bytes - 4)?.to_be_bytes();
        data[..4].copy_from_slice(&length);
        Ok(Self {
            cutter: Cutter::new(&camera, Settings { segment_s }),
            camera,
            parameters: Arc::new(Parameters {
                codec: Codec::H264,
                width: 1920,
                height: 1080,
                decoder_config: Bytes::copy_from_slice(&avcc),
                rfc6381: "avc1.42c01f".to_owned(),
            }),
            approval: NoMask::approved_by(APPROVER)?,
            data: data.into(),
            pts: 0,
            open: None,
            begun: false,
        })
    }

    /// Takes the frame that comes `after_ms` after the one before it.
    pub(super) fn frame(
        &mut self,
        store: &Store,
        now: WallTime,
        after_ms: u64,
        key: bool,
    ) -> Result<Kept> {
        self.pts += i64::try_from(after_ms)? * 90;
        let frame = Frame {
            pts: self.pts,
            wall: now,
            arrived: now,
            key,
            data: self.data.clone(),
            parameters: Arc::clone(&self.parameters),
            lost: 0,
            camera_offset_ms: Some(-40),
        };
        let outputs = self.cutter.handle_frame(pass_unmasked(frame, &self.approval));
        self.keep(store, outputs)
    }

    /// Closes the open segment.
    pub(super) fn finish(&mut self, store: &Store) -> Result<Kept> {
        let outputs = self.cutter.handle_cut(CloseReason::Finished);
        self.keep(store, outputs)
    }

    /// Leaves the open segment as a crash would.
    pub(super) fn crash(self) {
        drop(self.open);
    }

    fn keep(&mut self, store: &Store, outputs: Vec<Output>) -> Result<Kept> {
        let mut kept = Kept::default();
        for output in outputs {
            match output {
                Output::Open { init, start, .. } => {
                    let discontinuity = (!self.begun).then(|| "started".to_owned());
                    self.begun = true;
                    let opening = OpenSegment {
                        start,
                        stream: self.stream(),
                        mask: Mask::NotRequired { approved_by: APPROVER.to_owned() },
                        init,
                        discontinuity,
                    };
                    self.open = Some(store.open_segment(&self.camera, opening)?);
                }
                Output::Fragment(fragment) => kept.fragments += self.append(&fragment)?,
                Output::Close { end, camera_offset_ms, .. } => {
                    if let Some(file) = self.open.take() {
                        file.close(end, 0, camera_offset_ms)?;
                        kept.segments += 1;
                    }
                }
                Output::Refused { detail, .. } => anyhow::bail!("a frame was refused: {detail}"),
            }
        }
        Ok(kept)
    }

    fn append(&mut self, fragment: &Fragment) -> Result<usize> {
        let Some(file) = &mut self.open else { return Ok(0) };
        file.append(fragment)?;
        Ok(1)
    }

    /// Whose frames.
    pub(super) fn camera_id(&self) -> CameraId {
        self.camera.clone()
    }

    /// The stream as its records name it.
    pub(super) fn stream(&self) -> Stream {
        Stream {
            codec: self.parameters.rfc6381.clone(),
            width: self.parameters.width,
            height: self.parameters.height,
            parameters_sha256: Digest::of(&self.parameters.decoder_config),
            byte_exact: true,
        }
    }
}
