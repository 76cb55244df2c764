//! `[second_tier]` of the site's TOML: a second, slower disc for older footage. Without the section
//! there is none.

use std::path::{Path, PathBuf};

use host::settings::Section;

use super::retention::duration_s;

/// A second disc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondTier {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Footage moves to it at this age, seconds.
    pub after_s: u64,
    /// Bytes a second that moving may read or write; 0: no limit.
    pub bytes_per_second: u64,
    /// This much stays free on it.
    pub reserve_free_bytes: u64,
}

/// The section; none if it names no path.
pub(super) fn read(section: &mut Section<'_>) -> Option<SecondTier> {
    let path = section.has("path").then(|| section.required::<PathBuf>("path")).flatten();
    let after: String = section.optional("after").unwrap_or_else(|| "7d".to_owned());
    let after_s = match duration_s(&after) {
        Some(seconds) if (7200..=super::RETAIN_MAX_S).contains(&seconds) => seconds,
        _ => {
            section.object("after", "must be from 2h to 31d: 7d, 36h");
            0
        }
    };
    let bytes_per_second = section.number("bytes_per_second", 0..=1 << 40, 50 << 20);
    let reserve_free_bytes = section.number("reserve_free_bytes", 0..=1 << 50, 2 << 30);
    if let Some(path) = &path
        && !path.is_absolute()
    {
        section.object("path", "must begin at the root: where the second disc is mounted");
    }
    let read = SecondTier { path: path?, after_s, bytes_per_second, reserve_free_bytes };
    Some(read)
}

/// Whether one folder lies in the other, which no two discs do.
pub(super) fn overlaps(second: &Path, state_dir: &Path) -> bool {
    second.starts_with(state_dir.join("segments")) || state_dir.starts_with(second)
}
