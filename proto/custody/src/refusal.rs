//! What can be wrong with evidence: a closed list with stable codes, the same in both verifiers'
//! output, in reports, in metrics and in tests.
//!
//! The order of the list is the precedence: of several refusals the first in it is the verdict.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One thing that can be wrong. The text is stable: programs may depend on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
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
    /// The folder is not a BagIt bag of the version we write.
    BagMalformed = "bag-malformed",
    /// A file named by the bag is not there.
    FileMissing = "file-missing",
    /// A file in the bag's payload is named by no manifest.
    FileUnexpected = "file-unexpected",
    /// A file's digest is not the one the bag names.
    FileAltered = "file-altered",
    /// The statement about the whole bundle is missing or about another bundle.
    BundleStatementInvalid = "bundle-statement-invalid",
    /// A signed record does not read as one.
    RecordMalformed = "record-malformed",
    /// A signature does not fit its statement.
    SignatureInvalid = "signature-invalid",
    /// A record names a signing key that the bundle does not carry.
    KeyUnknown = "key-unknown",
    /// A signing key is not vouched for by the trusted key, or not for this use.
    KeyUntrusted = "key-untrusted",
    /// A record was signed outside the life of its key.
    KeyExpired = "key-expired",
    /// A record was signed by a key that was revoked before the record's place was witnessed.
    KeyRevoked = "key-revoked",
    /// A record's place in its log is not proved: there is no proof.
    LogProofMissing = "log-proof-missing",
    /// A proof does not read, or does not lead to its checkpoint's root.
    LogProofInvalid = "log-proof-invalid",
    /// A checkpoint does not read, or its log has not signed it.
    CheckpointInvalid = "checkpoint-invalid",
    /// The log has signed two trees that contradict each other.
    LogForked = "log-forked",
    /// A policy of witnesses is missing or does not read.
    PolicyMalformed = "policy-malformed",
    /// Too few witnesses have cosigned a checkpoint.
    QuorumNotMet = "quorum-not-met",
    /// A checkpoint that a segment's record names is missing or another one.
    ForeignCheckpointInvalid = "foreign-checkpoint-invalid",
    /// A time stamp token is not over the checkpoint beside it, or does not read.
    TimeStampInvalid = "time-stamp-invalid",
    /// A record is about another camera or site than the place where it lies.
    RecordMisplaced = "record-misplaced",
    /// A record does not name its predecessor's digest.
    ChainBroken = "chain-broken",
    /// A sequence number is missing between two records.
    SequenceMissing = "sequence-missing",
    /// A sequence number stands twice, or out of order.
    SequenceRepeated = "sequence-repeated",
    /// Times run backwards, or a record begins before its predecessor ends, unexplained.
    TimeInconsistent = "time-inconsistent",
    /// A segment named by a signed record is not in the bundle.
    SegmentMissing = "segment-missing",
    /// A segment does not hold the fragments that its manifest counts.
    SegmentTruncated = "segment-truncated",
    /// The initialisation section is not the signed one.
    InitAltered = "init-altered",
    /// A fragment's bytes are not the signed ones.
    FragmentAltered = "fragment-altered",
    /// The playable copy does not hold the masters' pictures.
    ViewAltered = "view-altered",
    /// A part of the asked interval has neither footage nor a signed gap.
    IntervalUncovered = "interval-uncovered",
    /// A line of the custody record is not the one that the controller's log commits to.
    CustodyAltered = "custody-altered",
    /// A clip does not follow its layout.
    ClipMalformed = "clip-malformed",
    /// A sealed file does not follow its layout.
    SealedMalformed = "sealed-malformed",
    /// A sealed fragment does not open under its key and place.
    SealBroken = "seal-broken",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Evidence refused: the code, and what was found where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {what}")]
pub struct Refusal {
    code: Code,
    what: String,
}

impl Refusal {
    /// A refusal with its reason in words.
    #[must_use]
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into() }
    }

    /// The same refusal, saying also where.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { code: self.code, what: format!("{place}: {}", self.what) }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The reason in words.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
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
