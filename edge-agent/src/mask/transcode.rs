//! Decodes a picture, fills its zones, encodes it again. The only place that touches FFmpeg, and
//! the only unsafe code; knows nothing of queues and threads.
//!
//! Every encoded picture comes from a `Filled`, which only `Filled::from_decoded` makes, and it
//! fills before it returns. The decoder's own pictures are never written to (later pictures refer
//! to them) and never handed to the encoder. One picture goes in and one comes out with its pts,
//! wall time and key flag; anything else is a [`Failure`], after which nothing comes out until the
//! transcoder was reset and begins anew at a key frame.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use bytes::Bytes;
use custody::WallTime;
use ffmpeg_next as ffmpeg;

use ffmpeg::codec;
use ffmpeg::format::Pixel;
use ffmpeg::software::scaling;
use ffmpeg::util::{color, frame, picture};

use super::policy::{Applied, Policy};
use super::zone::{Cover, Size};
use super::{CleanFrame, annexb};
use crate::camera::{Codec, Frame, Parameters};

/// What encodes.
const ENCODER: &str = "libx264";
/// Pictures a decoder may hold back: H.264 and H.265 allow 16.
const HELD_MAX: usize = 16;
/// The greatest width and height, as level 6.2 has them.
const SIDE_MAX: u32 = 8192;
/// x264's constant rate factor: measured on the test clips at SSIM 0.97 outside the zones.
const CRF: &str = "21";

/// Why a picture did not become a masked one. The text is for a technician.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub(super) struct Failure {
    what: &'static str,
    why: String,
}

fn failed(what: &'static str) -> impl Fn(ffmpeg::Error) -> Failure {
    move |error| Failure { what, why: error.to_string() }
}

fn refused(what: &'static str, why: impl Into<String>) -> Failure {
    Failure { what, why: why.into() }
}

/// Whether pictures can be encoded on this machine.
pub(super) fn is_available() -> bool {
    codec::encoder::find_by_name(ENCODER).is_some()
}

/// One camera's decoder, fill and encoder. Stays on the thread that made it.
pub(super) struct Transcoder {
    policy: Policy,
    applied: Arc<Applied>,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    scaler: Option<scaling::Context>,
    cover: Option<Cover>,
    /// Numbers pictures through decoder and encoder.
    next_id: i64,
    /// Pictures within the decoder or encoder.
    held: BTreeMap<i64, Frame>,
}

impl Transcoder {
    pub(super) fn new(policy: Policy) -> Self {
        static QUIET: Once = Once::new();
        // FFmpeg writes to stderr by itself; what matters comes back as errors.
        QUIET.call_once(|| ffmpeg::log::set_level(ffmpeg::log::Level::Quiet));
        let applied = Arc::new(policy.applied());
        Self {
            policy,
            applied,
            decoder: None,
            encoder: None,
            scaler: None,
            cover: None,
            next_id: 0,
            held: BTreeMap::new(),
        }
    }

    /// Forgets all pictures; the next one must be a key frame.
    pub(super) fn reset(&mut self) {
        self.decoder = None;
        self.encoder = None;
        self.held.clear();
    }

    /// The wall time of the first picture that went in and did not come out.
    pub(super) fn oldest_held(&self) -> Option<WallTime> {
        self.held.values().map(|frame| frame.wall).min()
    }

    /// Masks one picture. Gives those that are ready, in order of presentation.
    pub(super) fn push(&mut self, frame: Frame) -> Result<Vec<CleanFrame>, Failure> {
        let mut ready = Vec::new();
        if self.decoder.as_ref().is_some_and(|d| d.parameters != frame.parameters) {
            ready = self.drain()?;
        }
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None if frame.key => Decoder::open(&frame.parameters)?,
            None => return Err(refused("decode", "the first picture is not a key frame")),
        };
        let id = self.next_id;
        self.next_id += 1;
        decoder.send(id, &frame.data)?;
        self.held.insert(id, frame);
        while let Some(picture) = decoder.receive()? {
            ready.extend(self.mask(&picture)?);
        }
        if self.held.len() > HELD_MAX {
            return Err(refused("decode", format!("{} pictures went in, none came out", HELD_MAX)));
        }
        self.decoder = Some(decoder);
        Ok(ready)
    }

    /// Ends the stream: gives the pictures still held, and forgets the codecs.
    pub(super) fn drain(&mut self) -> Result<Vec<CleanFrame>, Failure> {
        let mut ready = Vec::new();
        if let Some(mut decoder) = self.decoder.take() {
            decoder.end()?;
            while let Some(picture) = decoder.receive()? {
                ready.extend(self.mask(&picture)?);
            }
        }
        if let Some(mut encoder) = self.encoder.take() {
            encoder.end()?;
            while let Some(coded) = encoder.receive()? {
                ready.push(self.clean(coded)?);
            }
        }
        let lost = self.held.len();
        self.reset();
        if lost > 0 {
            Err(refused("decode", format!("{lost} pictures never came out")))
        } else {
            Ok(ready)
        }
    }

    fn mask(&mut self, decoded: &frame::Video) -> Result<Vec<CleanFrame>, Failure> {
        let id = decoded.pts().ok_or_else(|| refused("decode", "a picture without a number"))?;
        let Some((first, frame)) = self.held.first_key_value() else {
            return Err(refused("decode", "a picture that never went in"));
        };
        // Ids follow decoding order and pictures come in presentation order; only with B-frames
        // do they differ. A picture that is passed over for good is found by `HELD_MAX` or `drain`.
        let key = if *first == id { frame.key } else { self.held.get(&id).is_some_and(|f| f.key) };
        let size = Size { width: decoded.width(), height: decoded.height() };
        if size.width == 0 || size.height == 0 || size.width.max(size.height) > SIDE_MAX {
            return Err(refused("decode", format!("a picture of {}x{}", size.width, size.height)));
        }
        if self.cover.as_ref().is_none_or(|cover| cover.size != size) {
            self.cover = Some(Cover::of(&self.policy.zones, size));
        }
        let Some(cover) = &self.cover else { return Err(refused("fill", "no cover")) };
        let planar = to_planar(decoded, &mut self.scaler)?;
        let filled =
            Filled::from_decoded(planar.as_ref().unwrap_or(decoded), &self.policy, cover, id, key)?;
        let mut ready = Vec::new();
        if self.encoder.as_ref().is_some_and(|e| !e.fits(&filled)) {
            // Another size or range without new parameters: what the old encoder holds comes first.
            if let Some(mut old) = self.encoder.take() {
                old.end()?;
                while let Some(coded) = old.receive()? {
                    ready.push(self.clean(coded)?);
                }
            }
        }
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None if key => Encoder::open(&filled)?,
            None => return Err(refused("encode", "the first picture is not a key frame")),
        };
        encoder.send(&filled)?;
        while let Some(coded) = encoder.receive()? {
            ready.push(self.clean(coded)?);
        }
        self.encoder = Some(encoder);
        Ok(ready)
    }

    /// Joins an encoded picture with what is known of it. The only maker of masked
    /// [`CleanFrame`]s.
    fn clean(&mut self, coded: Coded) -> Result<CleanFrame, Failure> {
        let Some(frame) = self.held.remove(&coded.id) else {
            return Err(refused("encode", "a picture that never went in"));
        };
        if coded.key != frame.key {
            return Err(refused(
                "encode",
                "a key frame where the camera made none, or none where it did",
            ));
        }
        let frame = Frame { data: coded.data, parameters: coded.parameters, ..frame };
        Ok(CleanFrame { frame, applied: Some(Arc::clone(&self.applied)) })
    }
}

struct Decoder {
    parameters: Arc<Parameters>,
    inner: codec::decoder::Video,
}

impl Decoder {
    fn open(parameters: &Arc<Parameters>) -> Result<Self, Failure> {
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

    fn send(&mut self, id: i64, data: &Bytes) -> Result<(), Failure> {
        let mut packet = codec::packet::Packet::copy(data);
        packet.set_pts(Some(id));
        packet.set_dts(Some(id));
        self.inner.send_packet(&packet).map_err(failed("decode"))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.inner.send_eof().map_err(failed("decode"))
    }

    fn receive(&mut self) -> Result<Option<frame::Video>, Failure> {
        let mut picture = frame::Video::empty();
        match self.inner.receive_frame(&mut picture) {
            Ok(()) => Ok(Some(picture)),
            Err(error) if is_over(error) => Ok(None),
            Err(error) => Err(failed("decode")(error)),
        }
    }
}

/// Whether a codec has nothing more to give for now.
fn is_over(error: ffmpeg::Error) -> bool {
    let again = ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN };
    error == again || error == ffmpeg::Error::Eof
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

/// `decoded` as 8-bit planar 4:2:0, if it is not that already. Formats not named here are refused.
fn to_planar(
    decoded: &frame::Video,
    scaler: &mut Option<scaling::Context>,
) -> Result<Option<frame::Video>, Failure> {
    if decoded.is_interlaced() {
        return Err(refused("fill", "the picture is interlaced; set the camera to progressive"));
    }
    let full = decoded.color_range() == color::Range::JPEG;
    let to = match decoded.format() {
        Pixel::YUV420P | Pixel::YUVJ420P => return Ok(None),
        Pixel::YUVJ422P | Pixel::YUVJ444P => Pixel::YUVJ420P,
        Pixel::YUV422P | Pixel::YUV444P | Pixel::YUV420P10LE | Pixel::NV12 | Pixel::GRAY8
            if full =>
        {
            Pixel::YUVJ420P
        }
        Pixel::YUV422P | Pixel::YUV444P | Pixel::YUV420P10LE | Pixel::NV12 | Pixel::GRAY8 => {
            Pixel::YUV420P
        }
        other => return Err(refused("fill", format!("pixel format {other:?} is not supported"))),
    };
    let (width, height) = (decoded.width(), decoded.height());
    let same = |s: &scaling::Context| {
        let from = s.input();
        (from.format, from.width, from.height) == (decoded.format(), width, height)
            && s.output().format == to
    };
    if !scaler.as_ref().is_some_and(same) {
        let flags = scaling::Flags::BILINEAR;
        let made = scaling::Context::get(decoded.format(), width, height, to, width, height, flags);
        *scaler = Some(made.map_err(failed("convert the picture"))?);
    }
    let Some(scaler) = scaler else { return Err(refused("convert the picture", "no scaler")) };
    let mut planar = frame::Video::empty();
    scaler.run(decoded, &mut planar).map_err(failed("convert the picture"))?;
    planar.set_color_space(decoded.color_space());
    planar.set_color_primaries(decoded.color_primaries());
    planar.set_color_transfer_characteristic(decoded.color_transfer_characteristic());
    planar.set_color_range(decoded.color_range());
    Ok(Some(planar))
}

/// A picture whose zones hold nothing but the mask's colour.
struct Filled(frame::Video);

impl Filled {
    fn from_decoded(
        from: &frame::Video,
        policy: &Policy,
        cover: &Cover,
        id: i64,
        key: bool,
    ) -> Result<Self, Failure> {
        let Size { width, height } = cover.size;
        let full = from.format() == Pixel::YUVJ420P || from.color_range() == color::Range::JPEG;
        let mut to = frame::Video::new(Pixel::YUV420P, width, height);
        if to.planes() != 3 || from.planes() < 3 {
            return Err(refused("fill", "no memory for the picture, or a plane is missing"));
        }
        let colour = [policy.colour.y, policy.colour.u, policy.colour.v];
        let spans = [&cover.luma, &cover.chroma, &cover.chroma];
        for (plane, (value, spans)) in colour.into_iter().zip(spans).enumerate() {
            copy_plane(from, &mut to, plane);
            let stride = to.stride(plane);
            let samples = to.data_mut(plane);
            for span in spans {
                let row = span.row as usize * stride;
                let columns = row + span.columns.start as usize..row + span.columns.end as usize;
                let covered = samples.get_mut(columns);
                covered.ok_or_else(|| refused("fill", "a zone beyond the picture"))?.fill(value);
            }
        }
        to.set_pts(Some(id));
        to.set_kind(if key { picture::Type::I } else { picture::Type::None });
        to.set_color_range(if full { color::Range::JPEG } else { color::Range::MPEG });
        to.set_color_space(from.color_space());
        to.set_color_primaries(from.color_primaries());
        to.set_color_transfer_characteristic(from.color_transfer_characteristic());
        Ok(Self(to))
    }
}

fn copy_plane(from: &frame::Video, to: &mut frame::Video, plane: usize) {
    let width = to.plane_width(plane) as usize;
    let (from_stride, to_stride) = (from.stride(plane), to.stride(plane));
    let rows = from.data(plane).chunks(from_stride);
    for (row, target) in rows.zip(to.data_mut(plane).chunks_mut(to_stride)) {
        target[..width].copy_from_slice(&row[..width]);
    }
}

/// One encoded picture.
struct Coded {
    id: i64,
    key: bool,
    data: Bytes,
    parameters: Arc<Parameters>,
}

struct Encoder {
    inner: codec::encoder::video::Encoder,
    parameters: Arc<Parameters>,
    size: Size,
    range: color::Range,
}

impl Encoder {
    /// An encoder for pictures like `first`.
    fn open(first: &Filled) -> Result<Self, Failure> {
        let Filled(first) = first;
        let what = "open the encoder";
        let codec = codec::encoder::find_by_name(ENCODER)
            .ok_or_else(|| refused(what, "the installed FFmpeg has no libx264"))?;
        let mut context = codec::Context::new_with_codec(codec);
        context.set_threading(codec::threading::Config::count(1));
        context.set_flags(codec::Flags::GLOBAL_HEADER);
        let mut video = context.encoder().video().map_err(failed(what))?;
        let size = Size { width: first.width(), height: first.height() };
        video.set_width(size.width);
        video.set_height(size.height);
        video.set_format(Pixel::YUV420P);
        // Pictures are numbered; their true times stay with us. 25 a second sets the level.
        video.set_time_base((1, 25));
        video.set_frame_rate(Some((25, 1)));
        video.set_max_b_frames(0);
        video.set_aspect_ratio(first.aspect_ratio());
        video.set_color_range(first.color_range());
        video.set_colorspace(first.color_space());
        video.set_color_primaries(first.color_primaries());
        video.set_color_transfer_characteristic(first.color_transfer_characteristic());
        let mut options = ffmpeg::Dictionary::new();
        options.set("preset", "superfast");
        options.set("tune", "zerolatency");
        options.set("crf", CRF);
        options.set("forced-idr", "1");
        options.set("x264-params", "scenecut=0:keyint=infinite:bframes=0");
        let inner = video.open_with(options).map_err(failed(what))?;
        let (decoder_config, rfc6381) = annexb::decoder_config(extradata(&inner))
            .map_err(|error| refused(what, error.to_string()))?;
        let side = |n: u32| u16::try_from(n).map_err(|_| refused(what, "the picture is too large"));
        let (width, height) = (side(size.width)?, side(size.height)?);
        let codec = Codec::H264;
        let parameters = Parameters { codec, width, height, decoder_config, rfc6381 };
        let range = first.color_range();
        Ok(Self { inner, parameters: Arc::new(parameters), size, range })
    }

    fn fits(&self, filled: &Filled) -> bool {
        let Filled(picture) = filled;
        let size = Size { width: picture.width(), height: picture.height() };
        size == self.size && picture.color_range() == self.range
    }

    fn send(&mut self, filled: &Filled) -> Result<(), Failure> {
        self.inner.send_frame(&filled.0).map_err(failed("encode"))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.inner.send_eof().map_err(failed("encode"))
    }

    fn receive(&mut self) -> Result<Option<Coded>, Failure> {
        let mut packet = codec::packet::Packet::empty();
        match self.inner.receive_packet(&mut packet) {
            Ok(()) => {}
            Err(error) if is_over(error) => return Ok(None),
            Err(error) => return Err(failed("encode")(error)),
        }
        let id = packet.pts().ok_or_else(|| refused("encode", "a picture without a number"))?;
        let data = annexb::sample(packet.data().unwrap_or_default());
        if data.is_empty() {
            return Err(refused("encode", "an empty picture"));
        }
        let parameters = Arc::clone(&self.parameters);
        Ok(Some(Coded { id, key: packet.is_key(), data, parameters }))
    }
}

/// The parameter sets of an open encoder, as a byte stream.
#[expect(unsafe_code, reason = "ffmpeg-next has no way to read an encoder's extradata")]
fn extradata(encoder: &codec::encoder::video::Encoder) -> &[u8] {
    // SAFETY: an open encoder's context is live as long as `encoder`; its `extradata` is null or
    // points to `extradata_size` bytes that it owns and does not change after opening.
    unsafe {
        let context = encoder.as_ptr();
        let (data, size) = ((*context).extradata, (*context).extradata_size);
        match usize::try_from(size) {
            Ok(size) if !data.is_null() => std::slice::from_raw_parts(data, size),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
