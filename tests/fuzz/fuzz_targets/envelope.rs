//! Signed statements as they come from discs, peers and bundles: an envelope is refused or keeps
//! its exact bytes, and its payload is refused or read, without a panic.

#![no_main]

use custody::dsse::Envelope;
use custody::record::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::read(bytes) {
        assert_eq!(envelope.bytes(), bytes);
        let _verdict = Record::danger_read_unchecked(&envelope);
    }
});
