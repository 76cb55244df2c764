//! `[hold]`: how much of the disc held footage may take.

use host::settings::Section;

use crate::limits;
use crate::store::HoldBudget;

/// Reads the section: bytes where they are named, else a part of the disc.
pub(super) fn read(section: &mut Section<'_>) -> HoldBudget {
    let default = u64::from(limits::HOLD_BUDGET_PERCENT);
    let percent = section.number("budget_percent", 1..=90, default);
    match section.number("budget_bytes", 0..=1 << 50, 0) {
        0 => HoldBudget::Percent(u8::try_from(percent).unwrap_or(limits::HOLD_BUDGET_PERCENT)),
        bytes => HoldBudget::Bytes(bytes),
    }
}
