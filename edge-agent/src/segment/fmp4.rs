//! Fragmented MP4 (ISO/IEC 14496-12, CMAF's ISO/IEC 23000-19) from coded pictures. Pure.
//!
//! ```text
//! init      ftyp iso6 cmfc iso6 mp41
//!           moov mvhd · trak (tkhd mdia: mdhd 90 000/s, hdlr vide, minf: avc1|hvc1) · mvex trex
//! fragment  moof mfhd number · traf (tfhd default-base-is-moof · tfdt · trun)
//!           mdat the samples' bytes, end to end, as they came
//! ```
//!
//! | trun column | is |
//! |---|---|
//! | duration | to the next sample's decode time, 90 kHz ticks |
//! | size | bytes |
//! | flags | `0x02000000` sync sample, `0x01010000` any other |
//! | composition offset | presentation minus decode time; only where a stream has B-frames |

use bytes::{BufMut as _, Bytes};
use mp4_atom::{
    Atom as _, Avc1, Avcc, Codec as Entry, Dinf, Dref, Encode as _, FourCC, Ftyp, Hdlr, Hvc1, Hvcc,
    Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mvex, Mvhd, Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex,
    Trun, TrunEntry, Url, Visual, Vmhd,
};

use crate::camera::{Codec, Parameters};

/// Ticks a second of every segment.
pub const TIMESCALE: u32 = 90_000;

const TRACK: u32 = 1;
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// One coded picture of a fragment.
#[derive(Debug, Clone)]
pub struct Sample {
    /// NAL units, each after its length in 4 bytes.
    pub data: Bytes,
    /// Ticks to the next sample's decode time.
    pub duration_ticks: u32,
    /// Presentation minus decode time, ticks; 0 without B-frames.
    pub offset_ticks: i32,
    /// Whether decoding can start here.
    pub sync: bool,
}

/// Pictures or parameters that MP4 cannot hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// The parameters are not what ISO/IEC 14496-15 says, or are not kept byte for byte.
    #[error("the stream's parameters make no valid sample entry: {0}")]
    Parameters(String),
    /// A fragment beyond what its fields can say.
    #[error("a fragment of {bytes} bytes in {samples} pictures is beyond what MP4 can say")]
    TooLarge {
        /// Of media.
        bytes: usize,
        /// Pictures.
        samples: usize,
    },
}

/// What a player must read before any fragment of a segment with these parameters.
///
/// # Errors
/// When the parameters are not valid.
pub fn init(parameters: &Parameters) -> Result<Bytes, Unwritable> {
    let bad = |error: mp4_atom::Error| Unwritable::Parameters(error.to_string());
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).into(),
    };
    let mut out = Vec::new();
    ftyp.encode(&mut out).map_err(bad)?;
    moov(parameters, sample_entry(parameters)?).encode(&mut out).map_err(bad)?;
    // The boxes are parsed and written again, so hold them against what was given.
    let config = &parameters.decoder_config;
    if config.is_empty() || !out.windows(config.len()).any(|part| part == &config[..]) {
        return Err(Unwritable::Parameters("they would not be kept byte for byte".to_owned()));
    }
    Ok(out.into())
}

fn sample_entry(parameters: &Parameters) -> Result<Entry, Unwritable> {
    let bad = |error: mp4_atom::Error| Unwritable::Parameters(error.to_string());
    let config = &mut &parameters.decoder_config[..];
    let visual = Visual {
        data_reference_index: 1,
        width: parameters.width,
        height: parameters.height,
        ..Visual::default()
    };
    Ok(match parameters.codec {
        Codec::H264 => {
            let avcc = Avcc::decode_body(config).map_err(bad)?;
            Entry::Avc1(Avc1 { visual, avcc, ..Avc1::default() })
        }
        Codec::H265 => {
            let hvcc = Hvcc::decode_body(config).map_err(bad)?;
            Entry::Hvc1(Hvc1 { visual, hvcc, ..Hvc1::default() })
        }
    })
}

fn moov(parameters: &Parameters, entry: Entry) -> Moov {
    let tkhd = Tkhd {
        track_id: TRACK,
        enabled: true,
        in_movie: true,
        width: parameters.width.into(),
        height: parameters.height.into(),
        ..Tkhd::default()
    };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![entry] },
            // Empty, but some players insist on it.
            stco: Some(mp4_atom::Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    };
    let mdia = Mdia {
        mdhd: Mdhd { timescale: TIMESCALE, language: "und".to_owned(), ..Mdhd::default() },
        hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "video".to_owned() },
        minf,
    };
    let trex = Trex { track_id: TRACK, default_sample_description_index: 1, ..Trex::default() };
    Moov {
        mvhd: Mvhd { timescale: TIMESCALE, rate: 1.into(), next_track_id: 2, ..Mvhd::default() },
        mvex: Some(Mvex { mehd: None, trex: vec![trex] }),
        trak: vec![Trak { tkhd, mdia, ..Trak::default() }],
        ..Moov::default()
    }
}

/// What stands before the samples' bytes in the fragment `number` (from 1), whose first sample has
/// decode time `base_decode_time` (ticks from the segment's start): the `moof` and the head of the
/// `mdat`. The samples themselves are not copied: they follow, end to end.
///
/// # Errors
/// When there is more in it than MP4's 32-bit fields can say.
pub fn fragment_head(
    number: u32,
    base_decode_time: u64,
    samples: &[Sample],
) -> Result<Bytes, Unwritable> {
    let bytes: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let too_large = || Unwritable::TooLarge { bytes, samples: samples.len() };
    let mdat_size = u32::try_from(bytes + 8).map_err(|_| too_large())?;
    let reordered = samples.iter().any(|sample| sample.offset_ticks != 0);
    let entries = samples.iter().map(|sample| TrunEntry {
        duration: Some(sample.duration_ticks),
        // In bounds: no longer than `mdat_size`.
        size: Some(u32::try_from(sample.data.len()).unwrap_or(u32::MAX)),
        flags: Some(if sample.sync { SYNC } else { NOT_SYNC }),
        cts: reordered.then(|| i64::from(sample.offset_ticks)),
    });
    let entries: Vec<_> = entries.collect();
    // Written twice: the offset of the media counts from the start of the moof, whose length does
    // not depend on it.
    let head = moof(number, base_decode_time, entries.clone(), 0).map_err(|_| too_large())?;
    let offset = i32::try_from(head.len() + 8).map_err(|_| too_large())?;
    let mut head = moof(number, base_decode_time, entries, offset).map_err(|_| too_large())?;
    head.put_u32(mdat_size);
    head.put_slice(b"mdat");
    Ok(head.into())
}

fn moof(
    number: u32,
    base_media_decode_time: u64,
    entries: Vec<TrunEntry>,
    data_offset: i32,
) -> mp4_atom::Result<Vec<u8>> {
    let tfhd = Tfhd { track_id: TRACK, default_base_is_moof: true, ..Tfhd::default() };
    let traf = Traf {
        tfhd,
        tfdt: Some(Tfdt { base_media_decode_time }),
        trun: vec![Trun { data_offset: Some(data_offset), samples: entries.into() }],
        ..Traf::default()
    };
    let moof = Moof { mfhd: Mfhd { sequence_number: number }, traf: vec![traf] };
    let mut out = Vec::new();
    moof.encode(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode as _, Moof};

    use super::*;
    use crate::camera::clip::Clip;

    fn sample(data: &'static [u8], sync: bool, offset_ticks: i32) -> Sample {
        Sample { data: Bytes::from_static(data), duration_ticks: 3600, offset_ticks, sync }
    }

    fn fragment(number: u32, base: u64, samples: &[Sample]) -> Result<Vec<u8>, Unwritable> {
        let mut whole = fragment_head(number, base, samples)?.to_vec();
        whole.extend(samples.iter().flat_map(|sample| sample.data.iter()));
        Ok(whole)
    }

    #[test]
    fn a_fragment_points_at_its_own_bytes() {
        let samples = [sample(b"first", true, 0), sample(b"second", false, 0)];
        let bytes = fragment(7, 1 << 40, &samples).unwrap();
        let moof = Moof::decode(&mut &bytes[..]).unwrap();
        assert_eq!(moof.mfhd.sequence_number, 7);
        let traf = &moof.traf[0];
        assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, 1 << 40);
        let at = usize::try_from(traf.trun[0].data_offset.unwrap()).unwrap();
        assert_eq!(&bytes[at..], b"firstsecond");
        let flags: Vec<_> = traf.trun[0].samples.iter().map(|s| s.flags.unwrap()).collect();
        assert_eq!(flags, [SYNC, NOT_SYNC]);
    }

    #[test]
    fn offsets_are_written_only_for_streams_that_reorder() {
        let plain = fragment(1, 0, &[sample(b"a", true, 0), sample(b"b", false, 0)]).unwrap();
        let moved = fragment(1, 0, &[sample(b"a", true, 0), sample(b"b", false, -3600)]).unwrap();
        assert_eq!(moved.len(), plain.len() + 8);
        let moof = Moof::decode(&mut &moved[..]).unwrap();
        assert_eq!(moof.traf[0].trun[0].samples.get(1).unwrap().cts, Some(-3600));
    }

    #[test]
    fn an_init_keeps_the_cameras_parameters_byte_for_byte() {
        for clip in [Clip::h264(), Clip::h265()] {
            let init = init(&clip.parameters).unwrap();
            let config = &clip.parameters.decoder_config;
            assert_eq!(init.windows(config.len()).filter(|part| part == config).count(), 1);
        }
    }

    #[test]
    fn parameters_that_are_none_are_refused() {
        let clip = Clip::h264();
        for config in [&b""[..], b"\x01", b"nonsense", &clip.parameters.decoder_config[..20]] {
            let decoder_config = Bytes::copy_from_slice(config);
            let parameters = Parameters { decoder_config, ..(*clip.parameters).clone() };
            assert!(matches!(init(&parameters), Err(Unwritable::Parameters(_))), "{config:x?}");
        }
    }
}
