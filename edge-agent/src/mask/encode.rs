//! Encodes filled pictures, in software or by a device, and tries out which devices there are.
//!
//! An encoder takes nothing but a [`Filled`]. In software the coded picture must come out while its
//! zones are filled, which is checked; a device is given a copy of the filled picture. So whatever
//! an encoder still refers to when the zones' samples are put back is never let out.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next as ffmpeg;

use ffmpeg::codec;
use ffmpeg::format::Pixel;
use ffmpeg::util::{color, frame};

use super::annexb;
use super::choice::{Choice, Effort, Kind};
use super::device::{Surfaces, nv12};
use super::fill::Filled;
use super::policy::Colour;
use super::transcode::{Failure, failed, is_over, refused};
use super::zone::{Cover, Size};
use crate::camera::{Codec, Parameters};

/// The size of the picture that devices are tried out with: small, and more than the least that
/// any of them takes.
const PROBE: Size = Size { width: 640, height: 368 };
/// A device's bits per second where the camera's are not known yet, by its picture: 4 Mbit/s for
/// 1080p.
const BITS_PER_SAMPLE_SECOND: u64 = 2;

/// What a stretch of pictures is encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) effort: Effort,
    /// Software's quantiser.
    pub(super) qp: u8,
    /// A device's rate; 0: not known yet.
    pub(super) bits_per_second: u64,
    /// What the stream is declared as; decides its level.
    pub(super) frames_per_second: u32,
}

impl Settings {
    /// Whether an encoder that was opened with these need not be opened again for `wanted`.
    fn serves(&self, wanted: &Self) -> bool {
        let (is, wants) = (self.bits_per_second, wanted.bits_per_second);
        self.kind == wanted.kind
            && self.frames_per_second == wanted.frames_per_second
            && match self.kind {
                Kind::Software => self.qp == wanted.qp,
                // A quarter more or less is the camera's own wavering.
                _ => wants == 0 || is.abs_diff(wants) * 4 <= is,
            }
    }
}

/// One encoded picture.
pub(super) struct Coded {
    pub(super) id: i64,
    pub(super) key: bool,
    pub(super) data: Bytes,
    pub(super) parameters: Arc<Parameters>,
}

pub(super) struct Encoder {
    inner: codec::encoder::video::Encoder,
    surfaces: Option<Surfaces>,
    parameters: Arc<Parameters>,
    settings: Settings,
    size: Size,
    range: color::Range,
    /// Key frames so far, and whether the last picture was one.
    keys: u64,
    last_was_key: bool,
}

impl Encoder {
    /// An encoder for pictures like `first`. `before`: the parameters of the stream so far.
    pub(super) fn open(
        first: &Filled<'_>,
        settings: Settings,
        before: Option<&Arc<Parameters>>,
    ) -> Result<Self, Failure> {
        let what = "open the encoder";
        let name = settings.kind.name();
        let no_encoder = || refused(what, format!("the installed FFmpeg has no {name}"));
        let codec = codec::encoder::find_by_name(name).ok_or_else(no_encoder)?;
        let picture = first.picture();
        let size = Size { width: picture.width(), height: picture.height() };
        let mut context = codec::Context::new_with_codec(codec);
        context.set_threading(codec::threading::Config::count(1));
        context.set_flags(codec::Flags::GLOBAL_HEADER);
        let mut video = context.encoder().video().map_err(failed(what))?;
        video.set_width(size.width);
        video.set_height(size.height);
        // Pictures are numbered; their true times stay with us.
        let rate = i32::try_from(settings.frames_per_second).unwrap_or(25);
        video.set_time_base((1, rate));
        video.set_frame_rate(Some((rate, 1)));
        video.set_max_b_frames(0);
        video.set_aspect_ratio(picture.aspect_ratio());
        video.set_color_range(picture.color_range());
        video.set_colorspace(picture.color_space());
        video.set_color_primaries(picture.color_primaries());
        video.set_color_transfer_characteristic(picture.color_transfer_characteristic());
        let (pixels, surfaces) = match settings.kind {
            Kind::Software | Kind::Nvenc => (Pixel::YUV420P, None),
            Kind::Qsv => (Pixel::NV12, None),
            Kind::Vaapi => (Pixel::VAAPI, Some(Surfaces::open(size)?)),
        };
        video.set_format(pixels);
        if let Some(surfaces) = &surfaces {
            surfaces.give_to(&mut video)?;
        }
        let options = match settings.kind {
            Kind::Software => software(&settings),
            _ => device(&settings, size, &mut video),
        };
        let inner = video.open_with(options).map_err(failed(what))?;
        let parameters = Arc::new(parameters(&inner, size)?);
        // The same parameters are the same stream: no new segment for another quantiser.
        let parameters = before.filter(|it| ***it == *parameters).cloned().unwrap_or(parameters);
        let range = picture.color_range();
        let (keys, last_was_key) = (0, false);
        Ok(Self { inner, surfaces, parameters, settings, size, range, keys, last_was_key })
    }

    /// Whether `filled` continues the stream of this encoder.
    pub(super) fn fits(&self, filled: &Filled<'_>, wanted: &Settings) -> bool {
        let picture = filled.picture();
        let size = Size { width: picture.width(), height: picture.height() };
        let same = size == self.size && picture.color_range() == self.range;
        // Two key frames in a row must differ in `idr_pic_id` (H.264 section 7.4.3). Encoders count
        // it 0, 1, 0, … and a new one begins with 0.
        let may_begin_anew = filled.key() && (!self.last_was_key || self.keys.is_multiple_of(2));
        same && (self.settings.serves(wanted) || !may_begin_anew)
    }

    /// The stream's parameters.
    pub(super) fn parameters(&self) -> &Arc<Parameters> {
        &self.parameters
    }

    /// Encodes one picture; gives what is ready. After a failure nothing may be taken from this
    /// encoder any more.
    pub(super) fn encode(&mut self, filled: &Filled<'_>) -> Result<Vec<Coded>, Failure> {
        self.keys += u64::from(filled.key());
        self.last_was_key = filled.key();
        let picture = filled.picture();
        if self.settings.kind == Kind::Software {
            self.inner.send_frame(picture).map_err(failed("encode"))?;
            let coded = self.receive()?;
            if coded.as_ref().is_none_or(|coded| coded.id != filled.id()) {
                return Err(refused("encode", "the encoder held a picture back"));
            }
            return Ok(coded.into_iter().collect());
        }
        let copy = match (&self.surfaces, self.settings.kind) {
            (Some(surfaces), _) => surfaces.upload(&nv12(picture))?,
            (None, Kind::Nvenc) => planar_copy(picture),
            (None, _) => nv12(picture),
        };
        self.inner.send_frame(&copy).map_err(failed("encode"))?;
        self.ready()
    }

    /// Ends the stream; gives the rest.
    pub(super) fn end(mut self) -> Result<Vec<Coded>, Failure> {
        self.inner.send_eof().map_err(failed("encode"))?;
        self.ready()
    }

    fn ready(&mut self) -> Result<Vec<Coded>, Failure> {
        std::iter::from_fn(|| self.receive().transpose()).collect()
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

/// x264's options. At one quantiser a GOP it needs no look ahead; see `rate`.
fn software(settings: &Settings) -> ffmpeg::Dictionary<'static> {
    let mut options = ffmpeg::Dictionary::new();
    let preset = match settings.effort {
        Effort::Fast => "ultrafast",
        Effort::Fine => "medium",
    };
    options.set("preset", preset);
    options.set("tune", "zerolatency");
    options.set("qp", &settings.qp.to_string());
    options.set("forced-idr", "1");
    // `stitchable`: the parameter sets do not depend on the quantiser.
    options
        .set("x264-params", "scenecut=0:keyint=infinite:bframes=0:stitchable=1:sliced-threads=0");
    options
}

/// A device's options: a capped rate near the camera's, no picture held back, key frames where asked.
fn device(
    settings: &Settings,
    size: Size,
    video: &mut codec::encoder::video::Video,
) -> ffmpeg::Dictionary<'static> {
    let by_size = u64::from(size.width) * u64::from(size.height) * BITS_PER_SAMPLE_SECOND;
    let bits = if settings.bits_per_second > 0 { settings.bits_per_second } else { by_size };
    let mut options = ffmpeg::Dictionary::new();
    let rate = usize::try_from(bits).unwrap_or(usize::MAX);
    video.set_bit_rate(rate);
    video.set_max_bit_rate(rate);
    // Key frames come where the camera made them; of itself the device makes none.
    video.set_gop(1 << 16);
    options.set("bufsize", &bits.to_string());
    options.set("async_depth", "1");
    match settings.kind {
        Kind::Software | Kind::Vaapi => {}
        Kind::Qsv => options.set("forced_idr", "1"),
        Kind::Nvenc => {
            for (key, value) in [
                ("preset", "p4"),
                ("tune", "ll"),
                ("zerolatency", "1"),
                ("delay", "0"),
                ("forced-idr", "1"),
            ] {
                options.set(key, value);
            }
        }
    }
    options
}

/// A copy that may outlive the filled picture.
fn planar_copy(picture: &frame::Video) -> frame::Video {
    let mut copy = frame::Video::new(Pixel::YUV420P, picture.width(), picture.height());
    for plane in 0..copy.planes() {
        let width = copy.plane_width(plane) as usize;
        let (from_stride, to_stride) = (picture.stride(plane), copy.stride(plane));
        let rows = picture.data(plane).chunks(from_stride);
        for (row, target) in rows.zip(copy.data_mut(plane).chunks_mut(to_stride)) {
            target[..width].copy_from_slice(&row[..width]);
        }
    }
    copy.set_pts(picture.pts());
    copy.set_kind(picture.kind());
    copy
}

fn parameters(encoder: &codec::encoder::video::Encoder, size: Size) -> Result<Parameters, Failure> {
    let what = "open the encoder";
    let (decoder_config, rfc6381) = annexb::decoder_config(extradata(encoder))
        .map_err(|error| refused(what, error.to_string()))?;
    let side = |n: u32| u16::try_from(n).map_err(|_| refused(what, "the picture is too large"));
    let (width, height) = (side(size.width)?, side(size.height)?);
    Ok(Parameters { codec: Codec::H264, width, height, decoder_config, rfc6381 })
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

/// The encoder that the settings lead to, and what was tried in vain before. Really encodes a
/// picture: a driver may be named and missing, and a device present and taken.
///
/// # Errors
/// When nothing here encodes at all.
pub(super) fn choose(choice: Choice, effort: Effort) -> Result<(Kind, Vec<Failure>), Failure> {
    let mut in_vain = Vec::new();
    for kind in choice.hardware() {
        match probe(kind, effort) {
            Ok(()) => return Ok((kind, in_vain)),
            Err(failure) => in_vain.push(failure),
        }
    }
    probe(Kind::Software, effort).map(|()| (Kind::Software, in_vain))
}

/// Encodes one picture and looks whether it came out as a key frame.
pub(super) fn probe(kind: Kind, effort: Effort) -> Result<(), Failure> {
    super::transcode::quiet();
    let Size { width, height } = PROBE;
    let mut picture = frame::Video::new(Pixel::YUV420P, width, height);
    if picture.planes() != 3 {
        return Err(refused("try the encoder", "no memory for a picture"));
    }
    for plane in 0..picture.planes() {
        picture.data_mut(plane).fill(128);
    }
    let cover = Cover::of(&[], PROBE);
    let mut under = Vec::new();
    let filled = Filled::new(&mut picture, &cover, Colour::BLACK, &mut under, (0, true))?;
    let settings = Settings { kind, effort, qp: 22, bits_per_second: 0, frames_per_second: 25 };
    let named = |failure: Failure| failure.of(kind.name());
    let mut encoder = Encoder::open(&filled, settings, None).map_err(named)?;
    let mut coded = encoder.encode(&filled).map_err(named)?;
    coded.extend(encoder.end().map_err(named)?);
    match &coded[..] {
        [one] if one.key => Ok(()),
        _ => Err(named(refused("try the encoder", "no key frame came out"))),
    }
}
