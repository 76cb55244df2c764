//! The play list of a camera's masters: HLS (RFC 8216) over the native files, for players that read
//! fragmented MP4. Pure.
//!
//! Each segment's own time begins at zero, so each is a discontinuity; its wall time stands beside
//! it. Where footage is missing, the wall times say so: a play list has no room for reasons.

use std::fmt::Write as _;

use custody::manifest::Segment;
use custody::{CameraId, Digest, bundle};

/// Writes the play list of these segments, in chain order.
pub(super) fn text(camera: &CameraId, segments: &[&Segment]) -> String {
    let longest = segments.iter().map(|segment| micros(segment)).max().unwrap_or(0);
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:0\n",
        longest.div_ceil(1_000_000).max(1)
    );
    let mut init: Option<Digest> = None;
    for segment in segments {
        let entry = entry(camera, segment, init);
        out.push_str(&entry);
        init = Some(segment.init_sha256);
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}

fn entry(camera: &CameraId, segment: &Segment, init: Option<Digest>) -> String {
    let mut out = String::new();
    if init.is_some() {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if init != Some(segment.init_sha256) {
        let map = name(&bundle::init(camera, segment.seq));
        let _written = writeln!(out, "#EXT-X-MAP:URI=\"{map}\"");
    }
    let micros = micros(segment);
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let media = name(&bundle::master(camera, segment.seq));
    let _written = write!(
        out,
        "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{seconds}.{rest:06},\n{media}\n",
        segment.start
    );
    out
}

/// The play list lies beside what it names.
fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn micros(segment: &Segment) -> u64 {
    u64::try_from(segment.end.micros_since(segment.start)).unwrap_or(0)
}
