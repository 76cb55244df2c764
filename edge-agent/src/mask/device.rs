//! Pictures as encoding devices want them: NV12 in memory, or on a VA-API surface. Here alone are
//! FFmpeg's device calls, which ffmpeg-next does not wrap.

use std::ptr;

use ffmpeg_next as ffmpeg;

use ffmpeg::codec;
use ffmpeg::ffi;
use ffmpeg::format::Pixel;
use ffmpeg::util::frame;

use super::transcode::{Failure, failed, refused};
use super::zone::Size;

/// Surfaces of one device: one being filled, one being encoded, and what the encoder refers to.
const SURFACES: i32 = 8;

/// A planar 4:2:0 picture with both chroma planes in one, as devices want it.
pub(super) fn nv12(picture: &frame::Video) -> frame::Video {
    let mut copy = frame::Video::new(Pixel::NV12, picture.width(), picture.height());
    let (width, luma_stride, to_stride) =
        (picture.width() as usize, picture.stride(0), copy.stride(0));
    let rows = picture.data(0).chunks(luma_stride);
    for (row, target) in rows.zip(copy.data_mut(0).chunks_mut(to_stride)) {
        target[..width].copy_from_slice(&row[..width]);
    }
    let half = picture.plane_width(1) as usize;
    let to_stride = copy.stride(1);
    let blue = picture.data(1).chunks(picture.stride(1));
    let red = picture.data(2).chunks(picture.stride(2));
    for ((blue, red), target) in blue.zip(red).zip(copy.data_mut(1).chunks_mut(to_stride)) {
        for (pair, (u, v)) in target.chunks_exact_mut(2).zip(blue[..half].iter().zip(red)) {
            pair.copy_from_slice(&[*u, *v]);
        }
    }
    copy.set_pts(picture.pts());
    copy.set_kind(picture.kind());
    copy.set_color_range(picture.color_range());
    copy
}

/// Surfaces of a VA-API device.
pub(super) struct Surfaces {
    /// A reference that this owns; never null.
    frames: *mut ffi::AVBufferRef,
}

impl Surfaces {
    /// Surfaces for pictures of this size, on the machine's first device.
    #[expect(unsafe_code, reason = "ffmpeg-next wraps no device calls")]
    pub(super) fn open(size: Size) -> Result<Self, Failure> {
        let what = "open the device";
        let side = |n: u32| i32::try_from(n).map_err(|_| refused(what, "the picture is too large"));
        let (width, height) = (side(size.width)?, side(size.height)?);
        let mut device = ptr::null_mut();
        // SAFETY: each pointer passed is to a live local or null where FFmpeg allows it. On success
        // `device` is a reference that we own; `av_hwframe_ctx_alloc` takes its own of it, so ours is
        // given back at once. `frames` is null or a reference that we own, whose `data` is an
        // `AVHWFramesContext` that nobody else knows of before `av_hwframe_ctx_init`; `Surfaces` owns
        // it from here and frees it in `drop`, also when the initialisation fails.
        unsafe {
            let vaapi = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI;
            let made = ffi::av_hwdevice_ctx_create(
                &raw mut device,
                vaapi,
                ptr::null(),
                ptr::null_mut(),
                0,
            );
            if made < 0 {
                return Err(failed(what)(made.into()));
            }
            let frames = ffi::av_hwframe_ctx_alloc(device);
            ffi::av_buffer_unref(&raw mut device);
            if frames.is_null() {
                return Err(refused(what, "out of memory"));
            }
            let surfaces = Self { frames };
            let context = (*frames).data.cast::<ffi::AVHWFramesContext>();
            (*context).format = ffi::AVPixelFormat::AV_PIX_FMT_VAAPI;
            (*context).sw_format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
            (*context).width = width;
            (*context).height = height;
            (*context).initial_pool_size = SURFACES;
            match ffi::av_hwframe_ctx_init(frames) {
                0.. => Ok(surfaces),
                error => Err(failed(what)(error.into())),
            }
        }
    }

    /// Tells an encoder that is not open yet where its pictures will be.
    #[expect(unsafe_code, reason = "ffmpeg-next wraps no device calls")]
    pub(super) fn give_to(&self, video: &mut codec::encoder::video::Video) -> Result<(), Failure> {
        // SAFETY: `frames` is a live reference; the new one belongs to the codec's context, which is
        // live as long as `video` and frees it with itself. Nothing was set there before.
        unsafe {
            let own = ffi::av_buffer_ref(self.frames);
            if own.is_null() {
                return Err(refused("open the device", "out of memory"));
            }
            (*video.as_mut_ptr()).hw_frames_ctx = own;
        }
        Ok(())
    }

    /// Copies a picture to a free surface.
    #[expect(unsafe_code, reason = "ffmpeg-next wraps no device calls")]
    pub(super) fn upload(&self, picture: &frame::Video) -> Result<frame::Video, Failure> {
        let what = "copy to the device";
        let mut surface = frame::Video::empty();
        // SAFETY: `frames` is a live, initialised reference; `surface` and `picture` are live frames,
        // of which the first is ours alone and empty, as `av_hwframe_get_buffer` wants it.
        let copied = unsafe {
            match ffi::av_hwframe_get_buffer(self.frames, surface.as_mut_ptr(), 0) {
                0.. => ffi::av_hwframe_transfer_data(surface.as_mut_ptr(), picture.as_ptr(), 0),
                error => error,
            }
        };
        if copied < 0 {
            return Err(failed(what)(copied.into()));
        }
        surface.set_pts(picture.pts());
        surface.set_kind(picture.kind());
        Ok(surface)
    }
}

impl Drop for Surfaces {
    #[expect(unsafe_code, reason = "ffmpeg-next wraps no device calls")]
    fn drop(&mut self) {
        // SAFETY: this owns the reference, and nothing uses it afterwards.
        unsafe { ffi::av_buffer_unref(&raw mut self.frames) }
    }
}
