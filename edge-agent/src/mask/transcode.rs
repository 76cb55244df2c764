//! Decodes a picture, fills its zones, encodes it again. With `decode`, `fill`, `encode` and
//! `device` the only place that touches FFmpeg, and the only unsafe code; knows nothing of queues
//! and threads.
//!
//! Every encoded picture comes from a `Filled`, which fills before it exists and stays filled
//! while it does. One picture goes in and one comes out with its pts, wall time and key flag;
//! anything else is a [`Failure`], after which nothing comes out until the transcoder was reset and
//! begins anew at a key frame. A device that fails is not used again: software takes over there.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Once};

use custody::WallTime;
use ffmpeg_next as ffmpeg;

use ffmpeg::software::scaling;
use ffmpeg::util::frame;

use super::CleanFrame;
use super::choice::{Choice, Effort, Kind};
use super::decode::Decoder;
use super::encode::{self, Coded, Encoder};
use super::fill::{Filled, to_planar};
use super::policy::{Applied, Policy};
use super::rate::Rate;
use super::zone::{Cover, Size};
use crate::camera::{Frame, Parameters};

/// Pictures a decoder may hold back: H.264 and H.265 allow 16.
const HELD_MAX: usize = 16;
/// The greatest width and height, as level 6.2 has them.
const SIDE_MAX: u32 = 8192;

/// Why a picture did not become a masked one. The text is for a technician.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub(super) struct Failure {
    what: &'static str,
    why: String,
}

impl Failure {
    /// The same, of this encoder.
    pub(super) fn of(self, name: &str) -> Self {
        Self { why: format!("{name}: {}", self.why), ..self }
    }
}

pub(super) fn failed(what: &'static str) -> impl Fn(ffmpeg::Error) -> Failure {
    move |error| {
        // FFmpeg has no words for some of its errors.
        let said = error.to_string();
        Failure { what, why: if said.is_empty() { format!("{error:?}") } else { said } }
    }
}

pub(super) fn refused(what: &'static str, why: impl Into<String>) -> Failure {
    Failure { what, why: why.into() }
}

/// Whether a codec has nothing more to give for now.
pub(super) fn is_over(error: ffmpeg::Error) -> bool {
    let again = ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN };
    error == again || error == ffmpeg::Error::Eof
}

/// FFmpeg writes to stderr by itself; what matters comes back as errors.
pub(super) fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| ffmpeg::log::set_level(ffmpeg::log::Level::Quiet));
}

/// The encoder that the settings lead to, and in words what was tried in vain before.
pub(super) fn choose(choice: Choice, effort: Effort) -> Result<(Kind, Vec<String>), String> {
    match encode::choose(choice, effort) {
        Ok((kind, in_vain)) => Ok((kind, in_vain.iter().map(ToString::to_string).collect())),
        Err(failure) => Err(failure.to_string()),
    }
}

/// One camera's decoder, fill and encoder. Cannot leave the thread that made it.
pub(super) struct Transcoder {
    policy: Policy,
    applied: Arc<Applied>,
    kind: Kind,
    effort: Effort,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    /// The encoded stream's parameters so far.
    parameters: Option<Arc<Parameters>>,
    rate: Rate,
    scaler: Option<scaling::Context>,
    cover: Option<Cover>,
    /// Room for what the zones hold; kept so that it need not be had anew for each picture.
    under: Vec<u8>,
    /// Numbers pictures through decoder and encoder.
    next_id: i64,
    /// Pictures within the decoder or encoder.
    held: BTreeMap<i64, Frame>,
    /// ffmpeg-next says of its contexts that they may be sent to other threads, which is not so
    /// where they share an `Rc`. A raw pointer takes that back for the whole.
    _stays: PhantomData<*const ()>,
}

impl Transcoder {
    pub(super) fn new(policy: Policy, kind: Kind, effort: Effort) -> Self {
        quiet();
        let applied = Arc::new(policy.applied());
        Self {
            policy,
            applied,
            kind,
            effort,
            decoder: None,
            encoder: None,
            parameters: None,
            rate: Rate::default(),
            scaler: None,
            cover: None,
            under: Vec::new(),
            next_id: 0,
            held: BTreeMap::new(),
            _stays: PhantomData,
        }
    }

    /// Forgets all pictures; the next one must be a key frame.
    pub(super) fn reset(&mut self) {
        self.decoder = None;
        self.encoder = None;
        self.held.clear();
    }

    /// What encodes: software once a device has failed.
    pub(super) fn kind(&self) -> Kind {
        self.kind
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
        while let Some(mut picture) = decoder.receive()? {
            ready.extend(self.mask(&mut picture)?);
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
            while let Some(mut picture) = decoder.receive()? {
                ready.extend(self.mask(&mut picture)?);
            }
        }
        if let Some(encoder) = self.encoder.take() {
            ready.extend(self.end(encoder)?);
        }
        let lost = self.held.len();
        self.reset();
        if lost > 0 {
            Err(refused("decode", format!("{lost} pictures never came out")))
        } else {
            Ok(ready)
        }
    }

    fn mask(&mut self, decoded: &mut frame::Video) -> Result<Vec<CleanFrame>, Failure> {
        let id = decoded.pts().ok_or_else(|| refused("decode", "a picture without a number"))?;
        let Some((first, frame)) = self.held.first_key_value() else {
            return Err(refused("decode", "a picture that never went in"));
        };
        // Ids follow decoding order and pictures come in presentation order; only with B-frames
        // do they differ. A picture that is passed over for good is found by `HELD_MAX` or `drain`.
        let frame = if *first == id { Some(frame) } else { self.held.get(&id) };
        let (key, ticks) = frame.map_or((false, 0), |frame| (frame.key, frame.pts));
        let size = Size { width: decoded.width(), height: decoded.height() };
        if size.width == 0 || size.height == 0 || size.width.max(size.height) > SIDE_MAX {
            return Err(refused("decode", format!("a picture of {}x{}", size.width, size.height)));
        }
        let mut planar = to_planar(decoded, &mut self.scaler)?;
        let picture = planar.as_mut().unwrap_or(decoded);
        let qp = if key { self.rate.at_key(ticks) } else { self.rate.qp() };
        let cover = match self.cover.take() {
            Some(cover) if cover.size == size => cover,
            _ => Cover::of(&self.policy.zones, size),
        };
        let mut under = std::mem::take(&mut self.under);
        let filled = Filled::new(picture, &cover, self.policy.colour, &mut under, (id, key))?;
        let ready = self.encode(&filled, qp);
        drop(filled);
        self.under = under;
        self.cover = Some(cover);
        ready
    }

    fn encode(&mut self, filled: &Filled<'_>, qp: u8) -> Result<Vec<CleanFrame>, Failure> {
        let settings = encode::Settings {
            kind: self.kind,
            effort: self.effort,
            qp,
            bits_per_second: self.rate.bits_per_second(),
            frames_per_second: self.rate.frames_per_second(),
        };
        let mut ready = Vec::new();
        if self.encoder.as_ref().is_some_and(|e| !e.fits(filled, &settings)) {
            // Another size or rate without new parameters: what the old encoder holds comes first.
            if let Some(old) = self.encoder.take() {
                ready.extend(self.end(old)?);
            }
        }
        // Until it has done its work well the encoder is not put back: after a failure it is gone.
        let encoder = match self.encoder.take() {
            Some(encoder) => Ok(encoder),
            None if filled.key() => Encoder::open(filled, settings, self.parameters.as_ref()),
            None => return Err(refused("encode", "the first picture is not a key frame")),
        };
        let coded = encoder.and_then(|mut encoder| Ok((encoder.encode(filled)?, encoder)));
        let (coded, encoder) = coded.map_err(|failure| self.fall_back(failure))?;
        self.parameters = Some(Arc::clone(encoder.parameters()));
        self.encoder = Some(encoder);
        for coded in coded {
            ready.push(self.clean(coded)?);
        }
        Ok(ready)
    }

    fn end(&mut self, encoder: Encoder) -> Result<Vec<CleanFrame>, Failure> {
        let coded = encoder.end().map_err(|failure| self.fall_back(failure))?;
        coded.into_iter().map(|coded| self.clean(coded)).collect()
    }

    /// A device that failed is not used again; at the next key frame software begins.
    fn fall_back(&mut self, failure: Failure) -> Failure {
        let failure = failure.of(self.kind.name());
        self.kind = Kind::Software;
        failure
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
        self.rate.masked(frame.data.len(), coded.data.len());
        let frame = Frame { data: coded.data, parameters: coded.parameters, ..frame };
        Ok(CleanFrame { frame, applied: Some(Arc::clone(&self.applied)) })
    }
}

#[cfg(test)]
mod tests;
