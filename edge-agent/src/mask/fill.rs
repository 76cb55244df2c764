//! Fills the zones of a decoded picture, for as long as it is encoded.
//!
//! [`Filled`] is the only thing that an encoder takes. It fills in place, which spares a copy of
//! each picture, and puts the samples back when it is dropped: the decoder still refers to them.
//! So whoever encodes must be done with the picture while the [`Filled`] lives; `encode` makes sure.
//! If putting back ever failed, later pictures would show too much black, never too little.

use ffmpeg_next as ffmpeg;

use ffmpeg::format::Pixel;
use ffmpeg::software::scaling;
use ffmpeg::util::{color, frame, picture};

use super::policy::Colour;
use super::transcode::{Failure, failed, refused};
use super::zone::{Cover, Span};

/// A picture whose zones hold nothing but the mask's colour.
pub(super) struct Filled<'a> {
    picture: &'a mut frame::Video,
    cover: &'a Cover,
    /// What the zones held, span after span, plane after plane.
    under: &'a mut Vec<u8>,
    id: i64,
    key: bool,
}

impl<'a> Filled<'a> {
    /// Fills `cover` in `picture`, which must be planar 4:2:0 of its size. `under` is overwritten.
    pub(super) fn new(
        picture: &'a mut frame::Video,
        cover: &'a Cover,
        colour: Colour,
        under: &'a mut Vec<u8>,
        (id, key): (i64, bool),
    ) -> Result<Self, Failure> {
        let planar = matches!(picture.format(), Pixel::YUV420P | Pixel::YUVJ420P);
        let size = (cover.size.width, cover.size.height);
        if !planar || picture.planes() != 3 || (picture.width(), picture.height()) != size {
            return Err(refused("fill", "the picture is not what the zones were reckoned for"));
        }
        let full = is_full_range(picture);
        under.clear();
        let spans = [&cover.luma, &cover.chroma, &cover.chroma];
        // Every span is looked at before any sample is changed: a half-filled picture does not exist.
        for (plane, spans) in spans.into_iter().enumerate() {
            let stride = picture.stride(plane);
            let samples = picture.data(plane);
            for span in spans {
                let covered = samples.get(columns(span, stride));
                under.extend_from_slice(
                    covered.ok_or_else(|| refused("fill", "a zone beyond the picture"))?,
                );
            }
        }
        for (plane, value) in [colour.y, colour.u, colour.v].into_iter().enumerate() {
            let stride = picture.stride(plane);
            let samples = picture.data_mut(plane);
            for span in spans[plane] {
                if let Some(covered) = samples.get_mut(columns(span, stride)) {
                    covered.fill(value);
                }
            }
        }
        strip_side_data(picture);
        picture.set_pts(Some(id));
        picture.set_kind(if key { picture::Type::I } else { picture::Type::None });
        picture.set_format(Pixel::YUV420P);
        picture.set_color_range(if full { color::Range::JPEG } else { color::Range::MPEG });
        Ok(Self { picture, cover, under, id, key })
    }

    /// As it may be seen.
    pub(super) fn picture(&self) -> &frame::Video {
        self.picture
    }

    /// Its number.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Whether it must come out as a key frame.
    pub(super) fn key(&self) -> bool {
        self.key
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        let mut under = &self.under[..];
        let spans = [&self.cover.luma, &self.cover.chroma, &self.cover.chroma];
        for (plane, spans) in spans.into_iter().enumerate() {
            let stride = self.picture.stride(plane);
            let samples = self.picture.data_mut(plane);
            for span in spans {
                let columns = columns(span, stride);
                let Some((own, rest)) = under.split_at_checked(columns.len()) else { return };
                if let Some(covered) = samples.get_mut(columns) {
                    covered.copy_from_slice(own);
                }
                under = rest;
            }
        }
    }
}

/// Where a span lies in its plane.
fn columns(span: &Span, stride: usize) -> std::ops::Range<usize> {
    let row = span.row as usize * stride;
    row + span.columns.start as usize..row + span.columns.end as usize
}

fn is_full_range(picture: &frame::Video) -> bool {
    picture.format() == Pixel::YUVJ420P || picture.color_range() == color::Range::JPEG
}

/// Takes away what the camera sent beside the picture (captions, its own messages): an encoder
/// would write some of it into the masked stream.
#[expect(unsafe_code, reason = "ffmpeg-next cannot list a frame's side data")]
fn strip_side_data(picture: &mut frame::Video) {
    // SAFETY: `as_mut_ptr` is a live frame that `picture` owns alone. `side_data` holds
    // `nb_side_data` live entries, and each call removes at least the first one.
    unsafe {
        let frame = picture.as_mut_ptr();
        for _ in 0..(*frame).nb_side_data {
            // One call may take several away.
            if (*frame).nb_side_data == 0 {
                break;
            }
            let first = *(*frame).side_data;
            ffmpeg::ffi::av_frame_remove_side_data(frame, (*first).type_);
        }
    }
}

/// `decoded` as 8-bit planar 4:2:0, if it is not that already. Formats not named here are refused.
pub(super) fn to_planar(
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
