//! The body of a witness's `add-checkpoint`, as a log anywhere may send it: refused, or written back as
//! it was, and never cosigned for a log whose key did not sign it.

#![no_main]

use custody::SecretKey;
use custody::log::VerifierKey;
use custody::log::note::Algorithm;
use custody::log::witness::{AddCheckpoint, Answer, Seen, decide, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = AddCheckpoint::read(bytes) else { return };
    assert_eq!(request(read.old_size, &read.proof, read.checkpoint.bytes()), bytes);
    let checkpoint = read.checkpoint.checkpoint();
    let key = SecretKey::from_seed(&[7; 32]).public();
    let log = VerifierKey::new(&checkpoint.origin, Algorithm::Ed25519, key).ok();
    let seen = Seen { size: checkpoint.size, root: checkpoint.root };
    for seen in [None, Some(seen)] {
        let answer = decide(&read, log.as_ref(), seen);
        assert!(!matches!(answer, Answer::Cosign(_)));
    }
});
