//! What the camera says that it offers: SDP, right or wrong. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Behaviour, WrongCodec};
use crate::rig::footage::{AccessUnit, PPS, SPS, nal_type};

/// The description of a camera that shows `first`, a key picture.
pub(in crate::rig) fn describe(behaviour: Behaviour, first: &AccessUnit) -> String {
    match behaviour {
        Behaviour::BadSdp => "<html>401 camera is busy\0\r\nm=\r\na=rtpmap:\u{7f}".to_owned(),
        Behaviour::WrongCodec(WrongCodec::Mjpeg) => {
            session("m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n")
        }
        Behaviour::WrongCodec(WrongCodec::PcmuAudio) => {
            session("m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n")
        }
        _ => session(&h264(first)),
    }
}

fn session(media: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=faulty camera\r\nt=0 0\r\na=control:*\r\n\
         a=range:npt=now-\r\n{media}c=IN IP4 0.0.0.0\r\na=control:track1\r\n"
    )
}

fn h264(first: &AccessUnit) -> String {
    let of_type = |wanted| first.nals.iter().find(|nal| nal_type(nal) == wanted);
    let sps = of_type(SPS).map_or(&[][..], |nal| nal);
    let pps = of_type(PPS).map_or(&[][..], |nal| nal);
    let profile = hex::encode(sps.get(1..4).unwrap_or_default());
    format!(
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;\
         profile-level-id={profile};sprop-parameter-sets={},{}\r\n",
        BASE64.encode(sps),
        BASE64.encode(pps)
    )
}
