//! What encodes masked pictures, by the site's settings. Pure.

use std::str::FromStr;

/// An encoder, by FFmpeg's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// x264 on the processor.
    Software,
    /// VA-API: graphics of Intel and AMD processors.
    Vaapi,
    /// Quick Sync Video of Intel processors.
    Qsv,
    /// NVIDIA cards.
    Nvenc,
}

impl Kind {
    /// Those that need a device, in the order in which `auto` tries them.
    pub const HARDWARE: [Self; 3] = [Self::Vaapi, Self::Qsv, Self::Nvenc];

    /// FFmpeg's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Software => "libx264",
            Self::Vaapi => "h264_vaapi",
            Self::Qsv => "h264_qsv",
            Self::Nvenc => "h264_nvenc",
        }
    }
}

/// What the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first hardware that encodes a picture at the start, or else software.
    #[default]
    Auto,
    /// Software.
    Software,
    /// This hardware, or else software, and an alarm.
    Named(Kind),
}

/// A word that names no encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"auto\", \"software\", \"h264_vaapi\", \"h264_qsv\" or \"h264_nvenc\"")]
pub struct BadChoice;

impl FromStr for Choice {
    type Err = BadChoice;
    fn from_str(text: &str) -> Result<Self, BadChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "software" => Ok(Self::Software),
            name => {
                let kind = Kind::HARDWARE.into_iter().find(|kind| kind.name() == name);
                kind.map(Self::Named).ok_or(BadChoice)
            }
        }
    }
}

impl Choice {
    /// The hardware to try, in order.
    #[must_use]
    pub fn hardware(self) -> Vec<Kind> {
        match self {
            Self::Auto => Kind::HARDWARE.to_vec(),
            Self::Software => Vec::new(),
            Self::Named(kind) => vec![kind],
        }
    }
}

/// How much the software encoder does for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// As little as there is: the most cameras on a core.
    #[default]
    Fast,
    /// Better pictures of the same bytes, at four times the work.
    Fine,
}

/// How a site masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Threads that mask; 0: the machine's cores less one, at least one.
    pub workers: usize,
    /// What encodes.
    pub encoder: Choice,
    /// How well.
    pub effort: Effort,
}

impl Settings {
    /// Threads that mask, on a machine of so many cores.
    #[must_use]
    pub fn workers_on(&self, cores: usize) -> usize {
        match self.workers {
            // One core is left to everything else: receiving, sealing, writing.
            0 => cores.saturating_sub(1).max(1),
            workers => workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_chosen_by_name() {
        assert_eq!("auto".parse(), Ok(Choice::Auto));
        assert_eq!("h264_qsv".parse(), Ok(Choice::Named(Kind::Qsv)));
        assert_eq!("libx264".parse::<Choice>(), Err(BadChoice));
        assert_eq!(Choice::Auto.hardware(), Kind::HARDWARE);
        assert!(Choice::Software.hardware().is_empty());
    }

    #[test]
    fn one_core_is_left_to_the_rest() {
        let workers =
            |workers, cores| Settings { workers, ..Settings::default() }.workers_on(cores);
        assert_eq!((workers(0, 16), workers(0, 2), workers(0, 1), workers(3, 2)), (15, 1, 1, 3));
    }
}
