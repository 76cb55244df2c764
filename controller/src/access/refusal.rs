//! Why something was refused: a closed list with stable codes, the same in the log, on the wire and
//! in tests.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One reason to refuse. The text is stable: programs may depend on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it is printed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// None of the account's roles may do this.
    RoleMissing = "role-missing",
    /// A role outside the closed list.
    RoleUnknown = "role-unknown",
    /// No reason was given, or hardly one.
    ReasonMissing = "reason-missing",
    /// A text is longer than a paragraph.
    TextTooLong = "text-too-long",
    /// A purpose outside the closed list.
    PurposeUnknown = "purpose-unknown",
    /// A purpose for which no footage is touched.
    PurposeNotAllowed = "purpose-not-allowed",
    /// The purpose is crime, and no crime reference was given.
    CrimeReferenceMissing = "crime-reference-missing",
    /// Nobody approves what they asked for.
    OwnRequest = "own-request",
    /// A name that breaks the rules for names.
    NameInvalid = "name-invalid",
    /// No camera of that name has been announced by its site.
    CameraUnknown = "camera-unknown",
    /// No cameras, or more than one request may name.
    CamerasInvalid = "cameras-invalid",
    /// The interval has no footage.
    NoFootage = "no-footage",
    /// The interval ends before it begins, or lies in the future.
    RangeInvalid = "range-invalid",
    /// The interval is longer than one request may be.
    RangeTooLong = "range-too-long",
    /// No case of that reference.
    CaseUnknown = "case-unknown",
    /// The case is not in a state in which this can be done.
    CaseState = "case-state",
    /// No hold of that name.
    HoldUnknown = "hold-unknown",
    /// The hold is not in a state in which this can be done.
    HoldState = "hold-state",
    /// A review date that is over, or later than the MoPI group has it.
    ReviewInvalid = "review-invalid",
    /// No legal basis of that name, or no MoPI group of that number.
    GroundsUnknown = "grounds-unknown",
    /// No erasure order of that name.
    OrderUnknown = "order-unknown",
    /// The order is not in a state in which this can be done.
    OrderState = "order-state",
    /// A hold keeps the footage.
    FootageHeld = "footage-held",
    /// No account of that name.
    PersonUnknown = "person-unknown",
    /// An account of that name exists.
    PersonExists = "person-exists",
    /// The account has been ended.
    PersonSuspended = "person-suspended",
    /// Nobody could administer the estate any more.
    LastAdministrator = "last-administrator",
    /// The token is missing or belongs to nobody.
    TokenUnknown = "token-unknown",
    /// The one-time token has been used.
    TokenUsed = "token-used",
    /// The one-time token's time is over.
    TokenExpired = "token-expired",
    /// A one-time token cannot live that long.
    TokenLifeInvalid = "token-life-invalid",
    /// No site of that name.
    SiteUnknown = "site-unknown",
    /// The site's certificates have been ended.
    SiteRevoked = "site-revoked",
    /// The site has no such key.
    KeyUnknown = "key-unknown",
    /// The key is not believed any more already.
    KeyRevoked = "key-revoked",
    /// The site's evidence key is no key, or another site's.
    EvidenceKeyInvalid = "evidence-key-invalid",
    /// The bundle's files are not there.
    BundleMissing = "bundle-missing",
    /// Others were faster, again and again; or too many calls at once.
    Busy = "busy",
    /// The event log cannot be written or read.
    LogBroken = "log-broken",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something refused: the code, and a sentence that says what happened and the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    code: Code,
    message: String,
}

impl Refusal {
    /// A refusal and its sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened, and the next step.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_kebab_case() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(texts.iter().all(|t| t.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
