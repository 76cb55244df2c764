//! Reasons and references: what people write, and how much of it.

use crate::access::{Code, Refusal};
use crate::limits;

/// A reason, without blanks around it.
///
/// # Errors
/// `reason-missing`, `text-too-long`.
pub fn reason(text: &str) -> Result<String, Refusal> {
    if text.chars().filter(|c| !c.is_whitespace()).count() < limits::REASON_CHARS_MIN {
        return Err(Refusal::new(
            Code::ReasonMissing,
            "no reason was given: say in a sentence why, it stands in the audit trail",
        ));
    }
    bounded("the reason", text)
}

/// A text that may be empty, without blanks around it.
///
/// # Errors
/// `text-too-long`.
pub fn bounded(what: &str, text: &str) -> Result<String, Refusal> {
    if text.chars().count() > limits::TEXT_CHARS_MAX {
        return Err(Refusal::new(
            Code::TextTooLong,
            format!("{what} is longer than {} characters: shorten it", limits::TEXT_CHARS_MAX),
        ));
    }
    Ok(text.trim().to_owned())
}
