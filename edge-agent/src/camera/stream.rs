//! What `retina` says about a stream and its failures, in our words. Pure.

use bytes::Bytes;
use retina::codec::VideoParameters;

use super::{Codec, Parameters, Reason};

/// The first stream of media `video` that we record, or the names of what was found instead.
///
/// Takes each stream's SDP media (`video`, `audio`, `application`) and encoding (`h264`).
///
/// # Errors
/// Names every stream when none can be recorded.
pub fn pick<'a>(
    streams: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(usize, Codec), String> {
    let mut found = Vec::new();
    for (i, (media, encoding)) in streams.enumerate() {
        let codec = match encoding.to_ascii_lowercase().as_str() {
            "h264" => Some(Codec::H264),
            "h265" => Some(Codec::H265),
            _ => None,
        };
        match codec {
            Some(codec) if media == "video" => return Ok((i, codec)),
            _ => found.push(format!("{media}/{encoding}")),
        }
    }
    Err(remedy(&found))
}

/// What a technician must do about a camera that offers only these.
fn remedy(found: &[String]) -> String {
    const DO: &str = "in the camera's own settings set this stream's video encoding to H.264 or \
                      H.265, or give Watchhouse the address of a stream that has it";
    if found.is_empty() {
        return format!("the camera offers no stream at all; {DO}");
    }
    let mjpeg = found.iter().any(|name| name.eq_ignore_ascii_case("video/jpeg"));
    let name = if mjpeg { " (Motion JPEG)" } else { "" };
    // First what to do: a long offer is cut off at the end.
    format!("not recorded{name}: {DO}; it offers {}", found.join(", "))
}

/// Our form of a stream's parameters; `None` for other codecs or sizes beyond 65 535 pixels.
#[must_use]
pub fn parameters(codec: Codec, from: &VideoParameters) -> Option<Parameters> {
    let (width, height) = from.pixel_dimensions();
    let name = from.rfc6381_codec();
    let rfc6381 = match codec {
        // Hexadecimal digits; some players compare them as lower-case text.
        Codec::H264 => name.to_ascii_lowercase(),
        Codec::H265 => name.to_owned(),
    };
    Some(Parameters {
        codec,
        width: u16::try_from(width).ok()?,
        height: u16::try_from(height).ok()?,
        decoder_config: Bytes::copy_from_slice(from.extra_data()),
        rfc6381,
    })
}

/// The NAL units of one frame; stops at the first length that does not fit.
pub fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let nal = after.get(..length)?;
        rest = after.get(length..)?;
        Some(nal)
    })
}

/// Whether decoding can start at a frame: it has an IDR slice (H.264) or an IRAP one (H.265) and
/// no other kind of slice.
#[must_use]
pub fn is_key(codec: Codec, data: &[u8]) -> bool {
    let mut starts = false;
    for first in nal_units(data).filter_map(|nal| nal.first()) {
        let (slice, start) = match codec {
            Codec::H264 => ((1..=5).contains(&(first & 0x1f)), first & 0x1f == 5),
            Codec::H265 => {
                let kind = (first >> 1) & 0x3f;
                (kind < 32, (16..=23).contains(&kind))
            }
        };
        if slice && !start {
            return false;
        }
        starts |= start;
    }
    starts
}

/// Why a request of the handshake failed, from the camera's RTSP status (RFC 2326 section 11).
#[must_use]
pub fn reason_of_status(status: u16) -> Reason {
    match status {
        401 | 403 | 407 => Reason::CredentialsRefused,
        // 461: it has the stream, but not over TCP.
        404 | 410 | 454 | 455 | 460 | 461 => Reason::NotFound,
        415 => Reason::CodecUnsupported,
        503 => Reason::Unreachable,
        _ => Reason::Garbage,
    }
}

/// What a technician does about a camera that gives its stream over UDP only.
pub const NO_TCP: &str = "the camera gives this stream over UDP only: allow RTP over RTSP (TCP, \
    interleaved) in its streaming settings, renew its firmware, or name another of its streams";

/// Whether a failed SETUP means that: refused by 461 (RFC 2326 section 11.3.12), or answered with a
/// transport that is not the one asked for. The latter `retina` tells in its words only, which the
/// worker's tests hold on to.
#[must_use]
pub fn is_udp_only(status: Option<u16>, text: &str) -> bool {
    status == Some(461) || text.contains("Transport header is missing interleaved parameter")
}

/// Why an error without a status came up. `retina`'s errors tell it in their first words only,
/// which the worker's tests hold on to.
#[must_use]
pub fn reason_of_text(text: &str, playing: bool) -> Reason {
    let broken = ["Error reading from RTSP peer", "Error writing to RTSP peer"];
    if broken.iter().any(|start| text.starts_with(start)) {
        return if playing { Reason::Ended } else { Reason::Unreachable };
    }
    if text.starts_with("Unable to connect") || text.starts_with("Timeout") {
        return if playing { Reason::Stalled } else { Reason::Unreachable };
    }
    Reason::Garbage
}

/// Whether a session was ended by packets that are not its own: of a sender that it does not know,
/// or on a channel that it did not ask for.
#[must_use]
pub fn is_foreign(text: &str) -> bool {
    ["wrong ssrc after", "Received interleaved data on unassigned channel", "Expected ssrc="]
        .iter()
        .any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(firsts: &[u8]) -> Vec<u8> {
        firsts.iter().flat_map(|first| [0, 0, 0, 3, *first, 1, 2]).collect()
    }

    #[test]
    fn the_first_recordable_video_is_picked_and_others_are_named() {
        let offer = [("audio", "pcma"), ("video", "jpeg"), ("video", "H265"), ("video", "h264")];
        assert_eq!(pick(offer.into_iter()), Ok((2, Codec::H265)));
        let error = pick(offer.into_iter().take(2)).unwrap_err();
        assert!(error.contains("audio/pcma, video/jpeg"), "{error}");
        assert!(error.contains("Motion JPEG") && error.contains("H.264 or H.265"), "{error}");
        assert!(pick([].into_iter()).unwrap_err().contains("no stream"));
    }

    #[test]
    fn only_frames_that_start_decoding_are_key_frames() {
        for (codec, firsts, expect) in [
            (Codec::H264, &[9, 6, 0x65][..], true),
            (Codec::H264, &[9, 6, 0x41], false),
            (Codec::H264, &[0x65, 0x41], false),
            (Codec::H264, &[6], false),
            (Codec::H264, &[], false),
            (Codec::H265, &[0x46, 0x4e, 19 << 1], true),
            (Codec::H265, &[21 << 1], true),
            (Codec::H265, &[1 << 1], false),
            (Codec::H265, &[0x4e], false),
        ] {
            assert_eq!(is_key(codec, &frame(firsts)), expect, "{codec:?} {firsts:x?}");
        }
    }

    #[test]
    fn lengths_that_lie_end_the_frame() {
        assert_eq!(nal_units(&[0, 0, 0, 1, 7, 0, 0, 0, 9, 1]).count(), 1);
        assert_eq!(nal_units(&[255, 255, 255, 255, 1]).count(), 0);
        assert_eq!(nal_units(&[0, 0]).count(), 0);
    }
}
