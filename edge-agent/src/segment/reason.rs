//! Why a segment ended. Pure: a closed list.

/// Why a segment ended. The codes stand in signed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// Its time was up.
    Full,
    /// Its time was up long ago and no key frame came.
    Overtime,
    /// The camera sends other parameters.
    Parameters,
    /// Another mask is burned in.
    Mask,
    /// Media time left the wall clock, or went back.
    Jump,
    /// No frame for more than 3 s of media time.
    Gap,
    /// Frames were dropped by a full queue.
    Overrun,
    /// Pictures could not be masked.
    MaskFailed,
    /// There was no time to mask them.
    MaskOverload,
    /// The camera's session ended.
    Down,
    /// Recording was stopped.
    Finished,
    /// A frame could not be written.
    Refused,
}

impl CloseReason {
    /// The code in records, metrics and messages.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Overtime => "overtime",
            Self::Parameters => "parameters",
            Self::Mask => "mask",
            Self::Jump => "jump",
            Self::Gap => "gap",
            Self::Overrun => "overrun",
            Self::MaskFailed => "mask-failed",
            Self::MaskOverload => "mask-overload",
            Self::Down => "down",
            Self::Finished => "finished",
            Self::Refused => "refused",
        }
    }
}
