//! The keys of evidence, in the PEM forms that openssl reads.
//!
//! | algorithm | who has it | raw public key | signature |
//! |---|---|---|---|
//! | Ed25519 (RFC 8032, RFC 8410) | authority, records, logs, witnesses | 32 bytes | 64 bytes |
//! | ECDSA P-256 with SHA-256 (FIPS 186-5, RFC 5480) | a site's identity: what TPMs and tokens hold | 65 bytes, SEC 1 uncompressed | DER, as openssl writes it, S in its lower half |
//!
//! The algorithm of a key follows from its length, and nothing in a signed statement chooses it.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use p256::ecdsa::signature::Verifier as _;
use zeroize::Zeroizing;

use crate::ids::{Digest, KeyId};

/// Text that is not the key it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 or P-256 key")]
pub struct BadKey;

/// A key that could not sign: a token that was pulled out, a TPM that is locked.
#[derive(Debug, thiserror::Error)]
#[error("the key did not sign: {what}")]
pub struct SignError {
    what: String,
}

impl SignError {
    /// What went wrong, in words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Something that signs evidence: a key in memory, in a token, in a TPM.
pub trait Signer {
    /// The half that others may know.
    fn public(&self) -> PublicKey;

    /// Signs `message`, in the form of the table above.
    ///
    /// # Errors
    /// When the key's holder does not answer.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// An Ed25519 key that signs evidence. Has no `Debug`; memory is wiped when it is dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key grown from 32 random bytes. The caller supplies the randomness.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| BadKey)
    }

    /// PKCS#8 PEM, for a file that only the owner may read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key always has a PKCS#8 form")
    }

    /// The half that others may know.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(Algorithm::Ed25519(self.0.verifying_key()))
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        Self::public(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(Self::sign(self, message).to_vec())
    }
}

/// A key that checks evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Algorithm);

#[derive(Clone, PartialEq, Eq)]
enum Algorithm {
    Ed25519(VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        VerifyingKey::from_public_key_pem(pem)
            .map(Algorithm::Ed25519)
            .or_else(|_| p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Algorithm::P256))
            .map(Self)
            .map_err(|_| BadKey)
    }

    /// Reads the raw bytes: 32 of an Ed25519 key, 65 of a P-256 key.
    ///
    /// # Errors
    /// When they are no point on the curve of their length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKey> {
        let key = match bytes.len() {
            32 => {
                let bytes: &[u8; 32] = bytes.try_into().map_err(|_| BadKey)?;
                VerifyingKey::from_bytes(bytes).map(Algorithm::Ed25519).map_err(|_| BadKey)?
            }
            65 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(Algorithm::P256)
                .map_err(|_| BadKey)?,
            _ => return Err(BadKey),
        };
        Ok(Self(key))
    }

    /// Reads the raw bytes in hexadecimal, as signed statements carry them.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        Self::from_bytes(&hex::decode(text).map_err(|_| BadKey)?)
    }

    /// The raw bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Algorithm::Ed25519(key) => key.to_bytes().to_vec(),
            Algorithm::P256(key) => key.to_encoded_point(false).as_bytes().to_vec(),
        }
    }

    /// The raw bytes in hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.to_bytes())
    }

    /// SubjectPublicKeyInfo PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        match &self.0 {
            Algorithm::Ed25519(key) => key.to_public_key_pem(LineEnding::LF).ok(),
            Algorithm::P256(key) => key.to_public_key_pem(LineEnding::LF).ok(),
        }
        .expect("a key always has an SPKI form")
    }

    /// The short name of this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(self.fingerprint().to_string()[..16].to_owned())
    }

    /// The SHA-256 of the raw bytes: what is published and compared by people.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether this is an Ed25519 key, as all but identity keys are.
    #[must_use]
    pub fn is_ed25519(&self) -> bool {
        matches!(self.0, Algorithm::Ed25519(_))
    }

    /// Whether `signature` over `message` is this key's. Strict: small-order points and signatures
    /// with a second form are refused.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Algorithm::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify_strict(message, &s).is_ok()),
            Algorithm::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| s.normalize_s().is_none() && key.verify(message, &s).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    #[test]
    fn keys_survive_their_pem_files() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let again = SecretKey::from_pem(&secret.to_pem()).unwrap();
        let public = PublicKey::from_pem(&again.public().to_pem()).unwrap();
        assert!(public.verifies(b"statement", &secret.sign(b"statement")));
        assert!(!public.verifies(b"Statement", &secret.sign(b"statement")));
        assert_eq!(PublicKey::from_pem("-----BEGIN RSA"), Err(BadKey));
        assert_eq!(PublicKey::from_bytes(&public.to_bytes()).unwrap(), public);
    }

    #[test]
    fn an_identity_key_checks_one_form_of_a_signature_alone() {
        let secret = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
        let public = PublicKey(Algorithm::P256(*secret.verifying_key()));
        assert_eq!(public.to_bytes().len(), 65);
        assert_eq!(PublicKey::from_pem(&public.to_pem()).unwrap(), public);
        assert_eq!(PublicKey::from_hex(&public.to_hex()).unwrap(), public);
        let signature: p256::ecdsa::Signature = secret.sign(b"certificate");
        let low = signature.normalize_s().unwrap_or(signature);
        let high = p256::ecdsa::Signature::from_scalars(*low.r(), -*low.s()).unwrap();
        assert!(public.verifies(b"certificate", low.to_der().as_bytes()));
        assert!(!public.verifies(b"certificate", high.to_der().as_bytes()));
        assert!(!public.verifies(b"certificate", &low.to_bytes()));
        assert!(!public.verifies(b"Certificate", low.to_der().as_bytes()));
    }
}
