//! Just enough of RFC 3161 (a time stamp response in DER) to read what it stamps and when. Its
//! signature is not checked: whom to trust for time is not in a bundle.
//!
//! ```text
//! TimeStampResp  SEQ { PKIStatusInfo SEQ { INTEGER 0|1 … }  ContentInfo SEQ { signedData  [0]
//!   SignedData   SEQ { INTEGER  SET  EncapsulatedContentInfo SEQ { id-ct-TSTInfo  [0] OCTET STRING
//!     TSTInfo    SEQ { INTEGER 1  OID  SEQ { SEQ { hash … } OCTET STRING }  INTEGER  time … } } … } } }
//! ```

use custody::WallTime;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A token longer than this is refused unread; with its certificates it has 2 to 8 kB.
pub const TOKEN_BYTES_MAX: u64 = 64 << 10;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;

/// 1.2.840.113549.1.7.2
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.16.1.4
const TST_INFO: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
/// 2.16.840.1.101.3.4.2, of which .1, .2 and .3 are SHA-256, SHA-384 and SHA-512.
const SHA2: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// What a token says, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    hash: Hash,
    imprint: Vec<u8>,
    /// When it was made, by the authority's clock.
    pub at: WallTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Token {
    /// Reads a granted response; none if it is not one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut all = Der(bytes);
        let mut response = all.take(SEQUENCE)?;
        let mut status = response.take(SEQUENCE)?;
        matches!(status.take(INTEGER)?.0, [0 | 1]).then_some(())?;
        let mut content = response.take(SEQUENCE)?;
        (content.take(OID)?.0 == SIGNED_DATA).then_some(())?;
        let mut signed_data = content.take(EXPLICIT_0)?.take(SEQUENCE)?;
        let (_version, _digests) = (signed_data.take(INTEGER)?, signed_data.take(SET)?);
        let mut encapsulated = signed_data.take(SEQUENCE)?;
        (encapsulated.take(OID)?.0 == TST_INFO).then_some(())?;
        let mut octets = encapsulated.take(EXPLICIT_0)?.take(OCTET_STRING)?;
        let mut info = octets.take(SEQUENCE)?;
        (info.take(INTEGER)?.0 == [1]).then_some(())?;
        let _policy = info.take(OID)?;
        let mut imprint = info.take(SEQUENCE)?;
        let hash = match imprint.take(SEQUENCE)?.take(OID)?.0.strip_prefix(&SHA2)? {
            [1] => Hash::Sha256,
            [2] => Hash::Sha384,
            [3] => Hash::Sha512,
            _ => return None,
        };
        let imprint = imprint.take(OCTET_STRING)?.0.to_vec();
        let _serial = info.take(INTEGER)?;
        let at = time(info.take(GENERALIZED_TIME)?.0)?;
        all.0.is_empty().then_some(Self { hash, imprint, at })
    }

    /// Whether it stamps these bytes.
    #[must_use]
    pub fn stamps(&self, bytes: &[u8]) -> bool {
        match self.hash {
            Hash::Sha256 => self.imprint[..] == Sha256::digest(bytes)[..],
            Hash::Sha384 => self.imprint[..] == Sha384::digest(bytes)[..],
            Hash::Sha512 => self.imprint[..] == Sha512::digest(bytes)[..],
        }
    }
}

/// `20261121140300Z`, or with a fraction of a second; microseconds are kept.
fn time(text: &[u8]) -> Option<WallTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let [year, month, day, hour, minute, second] =
        [&whole[..4], &whole[4..6], &whole[6..8], &whole[8..10], &whole[10..12], &whole[12..]];
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}Z").parse().ok()
}

/// What is left of a DER value. Lengths are definite, as in DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The contents of the next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let (found, rest) = self.0.split_first()?;
        (*found == tag).then_some(())?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let len = digits.iter().fold(0_usize, |len, digit| len << 8 | usize::from(*digit));
                (len, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Self(contents))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let len = u16::try_from(contents.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &len[..], &contents].concat()
    }

    fn response(status: u8, hash: u8, imprint: &[u8], at: &str) -> Vec<u8> {
        let algorithm = der(SEQUENCE, &[&der(OID, &[&SHA2, &[hash]])]);
        let imprint = der(SEQUENCE, &[&algorithm, &der(OCTET_STRING, &[imprint])]);
        let info = der(
            SEQUENCE,
            &[
                &der(INTEGER, &[&[1]]),
                &der(OID, &[&[42, 3]]),
                &imprint,
                &der(INTEGER, &[&[9]]),
                &der(GENERALIZED_TIME, &[at.as_bytes()]),
            ],
        );
        let inner = der(EXPLICIT_0, &[&der(OCTET_STRING, &[&info])]);
        let encapsulated = der(SEQUENCE, &[&der(OID, &[&TST_INFO]), &inner]);
        let signed_data = der(SEQUENCE, &[&der(INTEGER, &[&[3]]), &der(SET, &[]), &encapsulated]);
        let content =
            der(SEQUENCE, &[&der(OID, &[&SIGNED_DATA]), &der(EXPLICIT_0, &[&signed_data])]);
        der(SEQUENCE, &[&der(SEQUENCE, &[&der(INTEGER, &[&[status]])]), &content])
    }

    #[test]
    fn a_token_says_what_it_stamps_and_when() {
        let imprint = Sha256::digest(b"note");
        let token = Token::read(&response(0, 1, &imprint, "20261121140300.25Z")).unwrap();
        assert!(token.stamps(b"note") && !token.stamps(b"Note"));
        assert_eq!(token.at.to_string(), "2026-11-21T14:03:00.250000Z");
        let long = Token::read(&response(1, 3, &Sha512::digest(b"note"), "20261121140300Z"));
        assert!(long.unwrap().stamps(b"note"));
    }

    #[test]
    fn a_refusal_another_hash_or_another_time_is_no_token() {
        let imprint = Sha256::digest(b"note");
        assert!(Token::read(&response(2, 1, &imprint, "20261121140300Z")).is_none());
        assert!(Token::read(&response(0, 4, &imprint, "20261121140300Z")).is_none());
        for bad in ["20261121140300", "2026112114030Z", "20261321140300Z", "2026112114030x.1Z", "Z"]
        {
            assert!(Token::read(&response(0, 1, &imprint, bad)).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn torn_and_foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut: usize) {
            prop_assert!(Token::read(&bytes).is_none());
            let good = response(0, 1, &Sha256::digest(b"note"), "20261121140300Z");
            prop_assert!(Token::read(&good[..cut % good.len()]).is_none());
        }
    }
}
