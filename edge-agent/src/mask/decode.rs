//! The camera's pictures, decoded. One thread, no threads of FFmpeg's own: see `pool`.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next as ffmpeg;

use ffmpeg::codec;
use ffmpeg::util::frame;

use super::transcode::{Failure, failed, is_over, refused};
use crate::camera::{Codec, Parameters};

pub(super) struct Decoder {
    pub(super) parameters: Arc<Parameters>,
    inner: codec::decoder::Video,
}

impl Decoder {
    pub(super) fn open(parameters: &Arc<Parameters>) -> Result<Self, Failure> {
        let id = match parameters.codec {
            Codec::H264 => codec::Id::H264,
            Codec::H265 => codec::Id::HEVC,
        };
        let given = with_extradata(id, &parameters.decoder_config)?;
        let mut context =
            codec::Context::from_parameters(given).map_err(failed("open the decoder"))?;
        context.set_threading(codec::threading::Config::count(1));
        let inner = context.decoder().video().map_err(failed("open the decoder"))?;
        Ok(Self { parameters: Arc::clone(parameters), inner })
    }

    pub(super) fn send(&mut self, id: i64, data: &Bytes) -> Result<(), Failure> {
        let mut packet = codec::packet::Packet::copy(data);
        packet.set_pts(Some(id));
        packet.set_dts(Some(id));
        self.inner.send_packet(&packet).map_err(failed("decode"))
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.inner.send_eof().map_err(failed("decode"))
    }

    pub(super) fn receive(&mut self) -> Result<Option<frame::Video>, Failure> {
        let mut picture = frame::Video::empty();
        match self.inner.receive_frame(&mut picture) {
            Ok(()) => Ok(Some(picture)),
            Err(error) if is_over(error) => Ok(None),
            Err(error) => Err(failed("decode")(error)),
        }
    }
}

/// Codec parameters with `extradata`.
#[expect(unsafe_code, reason = "ffmpeg-next has no way to set extradata")]
fn with_extradata(id: codec::Id, extradata: &[u8]) -> Result<codec::Parameters, Failure> {
    const PADDING: usize = ffmpeg::ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    let too_long = |_| refused("open the decoder", "the parameters are too long");
    let length = i32::try_from(extradata.len()).map_err(too_long)?;
    let mut parameters = codec::Parameters::new();
    parameters.set_medium(ffmpeg::media::Type::Video);
    parameters.set_id(id);
    // SAFETY: `av_mallocz` gives null or zeroed memory of the length asked for, which holds the
    // copy and the padding that FFmpeg reads beyond it. `as_mut_ptr` is null or a live structure
    // that nobody else refers to; from here it owns the memory and frees it with itself.
    unsafe {
        let target = parameters.as_mut_ptr();
        let memory = ffmpeg::ffi::av_mallocz(extradata.len() + PADDING).cast::<u8>();
        if target.is_null() || memory.is_null() {
            return Err(refused("open the decoder", "out of memory"));
        }
        std::ptr::copy_nonoverlapping(extradata.as_ptr(), memory, extradata.len());
        (*target).extradata = memory;
        (*target).extradata_size = length;
    }
    Ok(parameters)
}
