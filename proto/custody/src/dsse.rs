//! DSSE envelopes (Dead Simple Signing Envelope v1.0.2): the bytes that are signed are kept, so a
//! check never re-encodes. `openssl pkeyutl -verify -rawin` over [`pae`] checks one as well.
//!
//! ```text
//! {"payloadType":"…","payload":"<base64>","signatures":[{"keyid":"…","sig":"<base64>"}]}
//! signed bytes: DSSEv1 SP len(type) SP type SP len(payload) SP payload
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::ids::{Digest, KeyId};
use crate::keys::{PublicKey, SecretKey, SignError, Signer};
use crate::refusal::{Code, Refusal};

/// An envelope longer than this is refused unread. A busy minute's manifest is about 3 kB; an erase
/// record names at most [`crate::record::ERASED_MAX`] segments of about 250 bytes.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// An envelope as it lies in a file, one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

/// The pre-authentication encoding: what is signed.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// A signed envelope, its exact bytes kept. Not yet checked by anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
    payload_type: String,
    payload: Vec<u8>,
    key_id: KeyId,
    signature: Vec<u8>,
}

impl Envelope {
    /// Signs `payload` and keeps the bytes of the envelope.
    #[must_use]
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &SecretKey) -> Self {
        let signature = key.sign(&pae(payload_type, &payload)).to_vec();
        Self::seal(payload_type, payload, key.public().id(), signature)
    }

    /// As [`Self::sign`], by a key that may not answer.
    ///
    /// # Errors
    /// When the key's holder does not answer.
    pub fn sign_by(
        payload_type: &str,
        payload: Vec<u8>,
        signer: &dyn Signer,
    ) -> Result<Self, SignError> {
        let signature = signer.sign(&pae(payload_type, &payload))?;
        Ok(Self::seal(payload_type, payload, signer.public().id(), signature))
    }

    fn seal(payload_type: &str, payload: Vec<u8>, key_id: KeyId, signature: Vec<u8>) -> Self {
        let wire = Wire {
            payload_type: payload_type.to_owned(),
            payload: BASE64.encode(&payload),
            signatures: vec![WireSignature {
                keyid: key_id.clone(),
                sig: BASE64.encode(&signature),
            }],
        };
        let bytes = serde_json::to_vec(&wire).expect("strings always have a JSON form");
        Self { bytes, payload_type: wire.payload_type, payload, key_id, signature }
    }

    /// Takes an envelope apart without trusting it. Exactly one signature.
    ///
    /// # Errors
    /// `record-malformed`, with what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal::new(Code::RecordMalformed, why);
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(bad("the envelope is longer than 1 MiB"));
        }
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|e| bad(&format!("no DSSE envelope: {e}")))?;
        let [signature] = <[WireSignature; 1]>::try_from(wire.signatures)
            .map_err(|_| bad("an envelope has exactly one signature"))?;
        let payload = BASE64.decode(&wire.payload).map_err(|_| bad("payload is not base64"))?;
        let sig = BASE64.decode(&signature.sig).map_err(|_| bad("signature is not base64"))?;
        Ok(Self {
            bytes: bytes.to_vec(),
            payload_type: wire.payload_type,
            payload,
            key_id: signature.keyid,
            signature: sig,
        })
    }

    /// The payload, if `key` signed it as `payload_type`. The only way to the payload of a foreign
    /// envelope: signature first, parse second.
    ///
    /// # Errors
    /// `signature-invalid`.
    pub fn check(&self, payload_type: &str, key: &PublicKey) -> Result<&[u8], Refusal> {
        let signed = pae(&self.payload_type, &self.payload);
        if self.payload_type != payload_type || !key.verifies(&signed, &self.signature) {
            return Err(Refusal::new(
                Code::SignatureInvalid,
                format!("the signature by key {} does not fit the statement", self.key_id),
            ));
        }
        Ok(&self.payload)
    }

    /// Which key the envelope names. A hint for finding it, not a proof.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What kind of payload the envelope names.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload as it stands, unchecked: for the program that has just signed it, and for tools
    /// that only describe.
    #[must_use]
    pub fn danger_unchecked_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The raw signature, for proof files that openssl reads.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The envelope's exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest by which the next record in a chain names this one.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_signed_bytes_are_those_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_statement_of_another_kind_or_by_another_key_is_refused() {
        let key = SecretKey::from_seed(&[1; 32]);
        let envelope = Envelope::sign("a/b", b"{}".to_vec(), &key);
        let read = Envelope::read(envelope.bytes()).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.check("a/b", &key.public()).unwrap(), b"{}");
        let other = SecretKey::from_seed(&[2; 32]).public();
        assert_eq!(read.check("a/b", &other).unwrap_err().code(), Code::SignatureInvalid);
        assert_eq!(read.check("a/c", &key.public()).unwrap_err().code(), Code::SignatureInvalid);
    }

    proptest! {
        #[test]
        fn no_flipped_bit_passes(at in 0_usize..10_000, bit in 0_u8..8) {
            let key = SecretKey::from_seed(&[1; 32]);
            let envelope = Envelope::sign("a/b", br#"{"camera":"east/ext-01"}"#.to_vec(), &key);
            let mut bytes = envelope.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let key_name_only = Envelope::read(&bytes).is_ok_and(|e| {
                e.check("a/b", &key.public()).is_ok() && e.key_id() == envelope.key_id()
            });
            prop_assert!(!key_name_only);
        }

        #[test]
        fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Envelope::read(&bytes).is_err());
        }
    }
}
