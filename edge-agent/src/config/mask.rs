//! `[mask]`: how a site's masks are burned in.

use host::settings::Section;

use crate::mask::Settings;
use crate::mask::choice::{Choice, Effort};

/// Threads at most: no recorder has more cores.
const WORKERS_MAX: u64 = 256;

pub(super) fn read(section: &mut Section<'_>) -> Settings {
    let workers = section.number("workers", 0..=WORKERS_MAX, 0);
    let encoder = section.optional::<Choice>("encoder").unwrap_or_default();
    let words = [("fast", Effort::Fast), ("fine", Effort::Fine)];
    let effort = section.choice("effort", &words, Some(Effort::Fast)).unwrap_or_default();
    Settings { workers: usize::try_from(workers).unwrap_or(0), encoder, effort }
}
