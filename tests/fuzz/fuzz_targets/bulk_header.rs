//! The beginning of a bulk stream, as a foreign agent may send it: refused, or within its bounds
//! and written back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use link::stream::{BulkHeader, FILE_BYTES_MAX};

fuzz_target!(|bytes: &[u8]| {
    let Some((fixed, rest)) = bytes.split_first_chunk() else { return };
    let Ok(name_bytes) = BulkHeader::name_bytes(fixed) else { return };
    let Some(name) = rest.get(..name_bytes) else { return };
    if let Ok(header) = BulkHeader::decode(fixed, name) {
        assert!(header.offset <= header.total && header.total <= FILE_BYTES_MAX);
        assert_eq!(header.encode(), bytes[..fixed.len() + name_bytes]);
    }
});
