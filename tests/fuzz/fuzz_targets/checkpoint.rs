//! Signed notes as logs, witnesses and bundles bring them: a note is refused, or keeps its exact bytes,
//! says the same again, and is signed by nobody whom we know.

#![no_main]

use custody::SecretKey;
use custody::log::note::Algorithm;
use custody::log::{SignedCheckpoint, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(note) = SignedCheckpoint::read(bytes) else { return };
    assert_eq!(note.bytes(), bytes);
    let text = note.checkpoint().text();
    assert!(bytes.starts_with(text.as_bytes()));
    let key = SecretKey::from_seed(&[7; 32]).public();
    if let Ok(log) = VerifierKey::new(&note.checkpoint().origin, Algorithm::Ed25519, key.clone()) {
        assert!(note.check(&log).is_err());
    }
    if let Ok(witness) = VerifierKey::new("witness", Algorithm::CosignatureV1, key) {
        assert!(note.cosignature(&witness).is_none());
    }
});
