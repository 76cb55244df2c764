//! Captured RTSP sessions, as a site hands them in: refused, or the same when written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/rig/captured/format.rs"]
#[allow(dead_code, reason = "the reader alone is fuzzed")]
mod format;

fuzz_target!(|bytes: &[u8]| {
    // With the magic put before it, the fuzzer need not find it.
    let file = [&b"watchhouse rtsp session 1\n"[..], bytes].concat();
    let Ok(session) = format::Session::read(&file) else { return };
    assert_eq!(session.write(), file);
    for record in &session.records {
        if let format::What::Packets(bytes) = &record.what {
            let cut: usize = format::packets(0, bytes).iter().map(|p| p.bytes.len() + 4).sum();
            assert!(cut <= bytes.len());
        }
    }
});
