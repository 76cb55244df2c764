//! The test clips as a camera would send them. Knows nothing of RTSP.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use custody::WallTime;
use mp4_atom::{Atom, Codec as Entry, Decode as _, Encode as _, Header, Moov, StszSamples};

use super::timeline::ticks_to_us;
use super::{Codec, Frame, Parameters};

/// The wall time of every clip's first frame.
pub(crate) const START: WallTime = WallTime(1_795_000_000_000_000);

/// A clip, read whole.
pub(crate) struct Clip {
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) frames: Vec<Frame>,
}

impl Clip {
    /// 500 frames of 960x720, a key frame every 50.
    pub(crate) fn h264() -> Self {
        Self::of("walkway-h264.mp4")
    }

    /// The same scene in H.265.
    pub(crate) fn h265() -> Self {
        Self::of("walkway-h265.mp4")
    }

    /// Valid parameters for frames that nobody decodes.
    pub(crate) fn parameters_h264() -> Arc<Parameters> {
        static READ: std::sync::OnceLock<Arc<Parameters>> = std::sync::OnceLock::new();
        Arc::clone(READ.get_or_init(|| Self::h264().parameters))
    }

    fn of(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/footage");
        let clip = Self::read(&folder.join(name));
        assert_eq!(clip.frames.len(), 500, "{name}");
        clip
    }

    /// The video of an MP4 file of even rate. Its frames' times count in decoding order.
    pub(crate) fn read(path: &Path) -> Self {
        let file = Bytes::from(std::fs::read(path).unwrap());
        let moov = moov(&file);
        let mdia = &moov.trak[0].mdia;
        let parameters = Arc::new(parameters(&mdia.minf.stbl.stsd.codecs[0]));
        let stbl = &mdia.minf.stbl;
        let step =
            i64::from(stbl.stts.entries[0].sample_delta) * 90_000 / i64::from(mdia.mdhd.timescale);
        assert_eq!(stbl.stts.entries.len(), 1, "a clip of even rate");
        let frames = ranges(stbl).into_iter().enumerate().map(|(i, range)| {
            let pts = i64::try_from(i).unwrap() * step;
            let at = START.plus_micros(ticks_to_us(pts));
            let number = u32::try_from(i + 1).unwrap();
            Frame {
                pts,
                wall: at,
                arrived: at.plus_micros(3000),
                key: stbl.stss.as_ref().unwrap().entries.contains(&number),
                data: file.slice(range),
                parameters: Arc::clone(&parameters),
                lost: 0,
                camera_offset_ms: None,
            }
        });
        let frames: Vec<_> = frames.collect();
        Self { parameters, frames }
    }
}

fn moov(file: &[u8]) -> Moov {
    let mut rest = file;
    loop {
        let header = Header::decode(&mut rest).unwrap();
        let size = header.size.unwrap();
        if header.kind == Moov::KIND {
            return Moov::decode_body(&mut &rest[..size]).unwrap();
        }
        rest = &rest[size..];
    }
}

fn parameters(entry: &Entry) -> Parameters {
    let body = |atom: Vec<u8>| Bytes::from(atom).slice(8..);
    let mut out = Vec::new();
    let (codec, visual, rfc6381) = match entry {
        Entry::Avc1(avc1) => {
            avc1.avcc.encode(&mut out).unwrap();
            (Codec::H264, &avc1.visual, "avc1.64001f")
        }
        Entry::Hvc1(hvc1) => {
            hvc1.hvcc.encode(&mut out).unwrap();
            (Codec::H265, &hvc1.visual, "hvc1.1.6.L93.90")
        }
        other => panic!("{other:?}"),
    };
    Parameters {
        codec,
        width: visual.width,
        height: visual.height,
        decoder_config: body(out),
        rfc6381: rfc6381.to_owned(),
    }
}

/// Where each sample lies in the file.
fn ranges(stbl: &mp4_atom::Stbl) -> Vec<std::ops::Range<usize>> {
    let StszSamples::Different { sizes } = &stbl.stsz.samples else { panic!("all of one size") };
    let chunks = stbl.stco.as_ref().unwrap().entries.to_vec();
    let per_chunk = |chunk: usize| {
        let number = u32::try_from(chunk + 1).unwrap();
        let entry = stbl.stsc.entries.iter().rfind(|e| e.first_chunk <= number).unwrap();
        entry.samples_per_chunk
    };
    let mut sizes = sizes.iter();
    let mut out = Vec::new();
    for (chunk, offset) in chunks.into_iter().enumerate() {
        let mut at = usize::try_from(offset).unwrap();
        for size in sizes.by_ref().take(usize::try_from(per_chunk(chunk)).unwrap()) {
            let end = at + usize::try_from(*size).unwrap();
            out.push(at..end);
            at = end;
        }
    }
    out
}
