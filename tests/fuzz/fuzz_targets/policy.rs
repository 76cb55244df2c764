//! Policies of witnesses, as bundles and settings bring them: refused, or the same when written and read
//! again; and nobody's cosignature is enough for none that names a quorum.

#![no_main]

use std::collections::BTreeSet;

use custody::log::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(policy) = Policy::read(text) else { return };
    assert_eq!(Policy::read(&policy.to_string()).as_ref(), Ok(&policy));
    assert_eq!(policy.is_enough(&BTreeSet::new()), policy.quorum.is_none());
    let every: BTreeSet<&str> = policy.witnesses.iter().map(|one| one.name.as_str()).collect();
    assert!(policy.is_enough(&every));
});
