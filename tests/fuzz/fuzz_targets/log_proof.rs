//! Proofs of a place in a log, as bundles bring them: refused, or written back as they were; and they
//! prove no entry that is not in their tree.

#![no_main]

use custody::log::{Proof, proof};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // With the header put before it, the fuzzer need not find it.
    let file = [&b"c2sp.org/tlog-proof@v1\nindex "[..], bytes].concat();
    let Ok(read) = Proof::read(&file) else { return };
    assert_eq!(proof::write(read.index, &read.path, read.checkpoint.bytes()), file);
    assert!(read.check(b"an entry that nobody logged").is_err());
});
