//! The two kinds of token. Both are random, both are kept as SHA-256 only: 256 random bits need no
//! slow hash.
//!
//! | token | text |
//! |---|---|
//! | an account's | `wh_` and 64 hexadecimal digits |
//! | a site's, once | `SITE.SECRET.CA_SHA256`: the site's name, 64 digits, 64 digits |

use custody::{Digest, SiteId};
use zeroize::Zeroizing;

use crate::access::{Code, Refusal};

const PREFIX: &str = "wh_";

/// A new account's token, shown once.
///
/// # Panics
/// Never with the random source that aws-lc has.
#[must_use]
pub fn new_bearer() -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", hex::encode(random())))
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("aws-lc's random source does not fail once seeded");
    bytes
}

/// What is kept of an account's token: the digest of its text.
#[must_use]
pub fn bearer_sha256(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

/// A site's one-time secret.
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A new one, shown once.
    ///
    /// # Panics
    /// Never with the random source that aws-lc has.
    #[must_use]
    pub fn new() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// What is kept of it: the digest of its bytes.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        Digest::of(&*self.0)
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

/// A site's one-time token, taken apart.
pub struct EnrolmentToken {
    /// For this site.
    pub site: SiteId,
    /// The secret.
    pub secret: Secret,
    /// The digest of the authority's certificate (DER), so that the agent knows the controller.
    pub ca_sha256: Digest,
}

impl EnrolmentToken {
    /// The text that an administrator carries to the site.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}.{}.{}", self.site, hex::encode(*self.secret.0), self.ca_sha256))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// `token-unknown`, when it is no such text.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let bad = || {
            Refusal::new(
                Code::TokenUnknown,
                "this is no enrolment token: copy the whole line that `watchhouse site \
                 enrol-token` printed",
            )
        };
        let mut parts = text.trim().split('.');
        let (Some(site), Some(secret), Some(ca), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(secret, &mut *bytes).map_err(|_| bad())?;
        Ok(Self {
            site: site.parse().map_err(|_| bad())?,
            secret: Secret(bytes),
            ca_sha256: ca.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_token_reads_back_and_garbage_does_not() {
        let token = EnrolmentToken {
            site: "east".parse().unwrap(),
            secret: Secret::new(),
            ca_sha256: Digest::of(b"ca"),
        };
        let again = EnrolmentToken::read(&format!("{}\n", *token.text())).ok().unwrap();
        assert_eq!(again.secret.sha256(), token.secret.sha256());
        assert_eq!((again.site, again.ca_sha256), (token.site, token.ca_sha256));
        for bad in ["", "east", "east.00.11", "../x.y.z", "a.b.c.d"] {
            assert_eq!(EnrolmentToken::read(bad).err().unwrap().code(), Code::TokenUnknown);
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        assert_ne!(*new_bearer(), *new_bearer());
        assert!(new_bearer().starts_with(PREFIX) && new_bearer().len() == 67);
    }
}
