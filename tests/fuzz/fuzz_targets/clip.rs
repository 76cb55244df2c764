//! `clip.json` as anybody may hand it over: refused, or within its bounds and in order.

#![no_main]

use custody::sealed::{BLOCK_BYTES_MAX, FRAGMENTS_MAX};
use libfuzzer_sys::fuzz_target;
use verifier::clip::Plan;

fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = Plan::read(bytes) else { return };
    assert!((1..=FRAGMENTS_MAX).contains(&plan.fragments.len()));
    assert!(plan.fragments.iter().all(|one| one.bytes <= BLOCK_BYTES_MAX as u64));
    let again = serde_json::to_vec(&plan).expect("a plan has a JSON form");
    assert_eq!(Plan::read(&again).as_ref(), Ok(&plan));
});
