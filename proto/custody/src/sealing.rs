//! Sealing and opening: AES-256-GCM (NIST SP 800-38D) by aws-lc. One call per fragment under the
//! segment's own random key; the place is bound in as associated data.
//!
//! | what | key | nonce, 12 bytes | associated data |
//! |---|---|---|---|
//! | fragment, init | segment key | 8 zero bytes, index:u32 | `WHSEAL1 camera seq index` |
//! | segment key | epoch key | 12 random bytes, kept in front | `WHWRAP1 camera seq epoch` |
//! | epoch key | site key | 12 random bytes, kept in front | `WHEPOCH1 site epoch` |
//!
//! A segment key seals each index once and is never reused, so a counter nonce is safe. The salt of
//! a fragment is HKDF-SHA256 (RFC 5869) of the segment key: destroyed with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::ids::{CameraId, Seq, SiteId};
use crate::refusal::{Code, Refusal};

/// Bytes that sealing adds.
pub const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// A 256-bit key that is wiped when it is dropped. Has no `Debug`.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// The key made of these random bytes. The caller supplies the randomness.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for wrapping.
    #[must_use]
    pub fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn aead(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).expect("32 bytes are an AES-256 key");
        LessSafeKey::new(key)
    }

    /// Wraps a key under this one: `nonce || ciphertext || tag`. `nonce` must be random.
    #[must_use]
    pub fn wrap(&self, inner: &Self, nonce: [u8; NONCE_BYTES], place: &str) -> Vec<u8> {
        let mut sealed = inner.0.to_vec();
        self.aead()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .expect("32 bytes are below the limit of AES-GCM");
        [&nonce[..], &sealed].concat()
    }

    /// Unwraps what [`Self::wrap`] made for the same `place`.
    ///
    /// # Errors
    /// `seal-broken`.
    pub fn unwrap(&self, wrapped: &[u8], place: &str) -> Result<Self, Refusal> {
        let broken = || Refusal::new(Code::SealBroken, format!("a wrapped key for {place}"));
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .aead()
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| broken())?;
        let bytes: [u8; 32] = (&*plain).try_into().map_err(|_| broken())?;
        Ok(Self::new(bytes))
    }
}

/// The place of a wrapped segment key.
#[must_use]
pub fn segment_key_place(camera: &CameraId, seq: Seq, epoch: u64) -> String {
    format!("WHWRAP1 {camera} {seq} {epoch}")
}

/// The place of a wrapped epoch key.
#[must_use]
pub fn epoch_key_place(site: &SiteId, epoch: u64) -> String {
    format!("WHEPOCH1 {site} {epoch}")
}

/// Seals and opens the parts of one segment.
pub struct SegmentSealer {
    aead: LessSafeKey,
    salts: hkdf::Prk,
    place: String,
}

impl SegmentSealer {
    /// For segment `seq` of `camera` under its own key.
    #[must_use]
    pub fn new(key: &Key, camera: &CameraId, seq: Seq) -> Self {
        Self {
            aead: key.aead(),
            salts: hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*key.0),
            place: format!("WHSEAL1 {camera} {seq}"),
        }
    }

    fn nonce(index: u32) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        nonce[8..].copy_from_slice(&index.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn aad(&self, index: u32) -> Aad<Vec<u8>> {
        Aad::from(format!("{} {index}", self.place).into_bytes())
    }

    /// Seals in place. Call once per index: a second call with other bytes would break the cipher.
    pub fn seal(&self, index: u32, plain: &mut Vec<u8>) {
        self.aead
            .seal_in_place_append_tag(Self::nonce(index), self.aad(index), plain)
            .expect("fragments are below the limit of AES-GCM");
    }

    /// Seals in place and gives the tag, which belongs right after the bytes. As [`Self::seal`]: once
    /// per index.
    #[must_use]
    pub fn seal_slice(&self, index: u32, plain: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self
            .aead
            .seal_in_place_separate_tag(Self::nonce(index), self.aad(index), plain)
            .expect("fragments are below the limit of AES-GCM");
        tag.as_ref().try_into().expect("an AES-GCM tag has 16 bytes")
    }

    /// Opens in place and cuts the tag off.
    ///
    /// # Errors
    /// `seal-broken`: another key, another place, or other bytes.
    pub fn open(&self, index: u32, sealed: &mut Vec<u8>) -> Result<(), Refusal> {
        let plain_len = self
            .aead
            .open_in_place(Self::nonce(index), self.aad(index), sealed)
            .map_err(|_| Refusal::new(Code::SealBroken, format!("{} {index}", self.place)))?
            .len();
        sealed.truncate(plain_len);
        Ok(())
    }

    /// The salt of fragment `index`.
    #[must_use]
    pub fn salt(&self, index: u32) -> [u8; 32] {
        let mut salt = [0; 32];
        let index = index.to_be_bytes();
        let info: [&[u8]; 2] = [b"watchhouse salt 1", &index];
        self.salts
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut salt))
            .expect("32 bytes are within HKDF's limit");
        salt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_opens_only_in_its_place() {
        let camera: CameraId = "east/ext-01".parse().unwrap();
        let key = Key::new([1; 32]);
        let sealer = SegmentSealer::new(&key, &camera, Seq(5));
        let mut bytes = b"picture".to_vec();
        sealer.seal(0, &mut bytes);
        assert_eq!(bytes.len(), 7 + TAG_BYTES);
        for (opener, index) in [
            (SegmentSealer::new(&key, &camera, Seq(5)), 1),
            (SegmentSealer::new(&key, &camera, Seq(6)), 0),
            (SegmentSealer::new(&key, &"west/ext-01".parse().unwrap(), Seq(5)), 0),
            (SegmentSealer::new(&Key::new([2; 32]), &camera, Seq(5)), 0),
        ] {
            let refusal = opener.open(index, &mut bytes.clone()).unwrap_err();
            assert_eq!(refusal.code(), Code::SealBroken);
        }
        sealer.open(0, &mut bytes).unwrap();
        assert_eq!(bytes, b"picture");
        assert_ne!(sealer.salt(0), sealer.salt(1));
    }

    #[test]
    fn a_wrapped_key_opens_only_in_its_place() {
        let (site_key, epoch_key) = (Key::new([3; 32]), Key::new([4; 32]));
        let wrapped = site_key.wrap(&epoch_key, [9; 12], "WHEPOCH1 east 5");
        let opened = site_key.unwrap(&wrapped, "WHEPOCH1 east 5").unwrap_or_else(|r| panic!("{r}"));
        assert_eq!(opened.danger_bytes(), epoch_key.danger_bytes());
        assert!(site_key.unwrap(&wrapped, "WHEPOCH1 east 6").is_err());
        assert!(epoch_key.unwrap(&wrapped, "WHEPOCH1 east 5").is_err());
        assert!(site_key.unwrap(&wrapped[..20], "WHEPOCH1 east 5").is_err());
    }
}
