//! Time stamp tokens, as an authority anywhere may answer: refused, or read without a panic, and they stamp
//! nothing but what they are over.

#![no_main]

use libfuzzer_sys::fuzz_target;
use verifier::token::Token;

fuzz_target!(|bytes: &[u8]| {
    if let Some(token) = Token::read(bytes) {
        assert!(!token.stamps(b"a note that nobody stamped"));
    }
});
