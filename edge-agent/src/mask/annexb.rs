//! An H.264 byte stream (ITU-T H.264 Annex B) as MP4 wants it: NAL units after their length, and
//! the parameter sets in an `avcC` body (ISO/IEC 14496-15 section 5.3.3.1). Pure.

use bytes::{BufMut as _, Bytes, BytesMut};

/// NAL unit types that live in `avcC`.
const SPS: u8 = 7;
const PPS: u8 = 8;

/// A byte stream that cannot be an encoder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadStream {
    /// No parameter sets where they must be.
    #[error("the encoder gave no sequence and picture parameter set")]
    NoParameters,
    /// A parameter set beyond what its length field can say.
    #[error("the encoder gave a parameter set of {0} bytes")]
    Oversized(usize),
}

/// The NAL units of a byte stream, without start codes and the zeros around them.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map(|at| &stream[at + 3..]);
    std::iter::from_fn(move || {
        let from = rest?;
        let next = start_code(from);
        rest = next.map(|at| &from[at + 3..]);
        let nal = &from[..next.unwrap_or(from.len())];
        // A NAL unit never ends in a zero byte (section 7.4.1).
        let end = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&nal[..end])
    })
    .filter(|nal| !nal.is_empty())
}

/// Where the first `00 00 01` begins.
fn start_code(stream: &[u8]) -> Option<usize> {
    stream.windows(3).position(|three| three == [0, 0, 1])
}

/// One frame: its NAL units, parameter sets left out, each after its length in 4 bytes.
#[must_use]
pub fn sample(stream: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(stream.len() + 16);
    for nal in nal_units(stream).filter(|nal| !matches!(kind(nal), SPS | PPS)) {
        // In bounds: an encoder's picture is far below 4 GiB; a longer one would only be cut off.
        out.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
        out.put_slice(nal);
    }
    out.freeze()
}

/// An encoder's global header as an `avcC` body, and the stream's RFC 6381 name.
///
/// # Errors
/// When there is not one SPS and PPS of a length that fits.
pub fn decoder_config(header: &[u8]) -> Result<(Bytes, String), BadStream> {
    let find = |wanted| nal_units(header).find(|nal| kind(nal) == wanted);
    let (Some(sps), Some(pps)) = (find(SPS), find(PPS)) else {
        return Err(BadStream::NoParameters);
    };
    let &[_, profile, compatibility, level, ..] = sps else {
        return Err(BadStream::NoParameters);
    };
    let length = |nal: &[u8]| u16::try_from(nal.len()).map_err(|_| BadStream::Oversized(nal.len()));
    let mut out = BytesMut::new();
    out.put_slice(&[1, profile, compatibility, level, 0xff, 0xe1]);
    out.put_u16(length(sps)?);
    out.put_slice(sps);
    out.put_u8(1);
    out.put_u16(length(pps)?);
    out.put_slice(pps);
    if matches!(profile, 100 | 110 | 122 | 144) {
        // 4:2:0, 8 bits luma and chroma, no SPS extension: all that the mask room encodes.
        out.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
    Ok((out.freeze(), format!("avc1.{profile:02x}{compatibility:02x}{level:02x}")))
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |first| first & 0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        &[0, 0, 0, 1, 0x67, 100, 0, 31, 0xac, 0, 0, 0, 1, 0x68, 0xeb, 0xe3, 0, 0, 1, 6, 5, 1, 0x80];

    #[test]
    fn a_picture_is_its_nal_units_after_their_lengths() {
        let stream = [&[9, 9][..], &[0, 0, 1, 6, 5, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0], HEADER];
        let expect = [0, 0, 0, 2, 6, 5, 0, 0, 0, 5, 0x65, 0, 0, 3, 1, 0, 0, 0, 4, 6, 5, 1, 0x80];
        assert_eq!(sample(&stream.concat())[..], expect);
        assert!(sample(&[0, 0, 1]).is_empty());
    }

    #[test]
    fn a_header_becomes_an_avcc_body() {
        let (config, name) = decoder_config(HEADER).unwrap();
        assert_eq!(name, "avc1.64001f");
        let sps = [0, 5, 0x67, 100, 0, 31, 0xac];
        let pps = [1, 0, 3, 0x68, 0xeb, 0xe3];
        let expect =
            [&[1, 100, 0, 31, 0xff, 0xe1][..], &sps, &pps, &[0xfd, 0xf8, 0xf8, 0]].concat();
        assert_eq!(config[..], expect);
        assert_eq!(decoder_config(&HEADER[..9]), Err(BadStream::NoParameters));
    }
}
