//! Segment files as they lie on a disc after a power cut, or come from a peer: what reads as whole
//! reads the same again without its torn end, and every fragment writes back as it was.

#![no_main]

use custody::sealed::{MAGIC, SealedSegment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // With the magic put before it, the fuzzer need not find it.
    let file = [MAGIC, bytes].concat();
    let Ok(segment) = SealedSegment::read(&file) else { return };
    assert!(segment.whole_bytes <= file.len());
    let again = SealedSegment::read(&file[..segment.whole_bytes]).expect("its whole part is whole");
    assert_eq!(again.fragments, segment.fragments);
    assert_eq!(again.manifest, segment.manifest);
    assert_eq!(again.leaves(), segment.leaves());
    for fragment in &segment.fragments {
        let block = fragment.block();
        assert!(file.windows(block.len()).any(|window| window == block));
    }
});
