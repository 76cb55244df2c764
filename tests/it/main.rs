//! The one integration test binary: stories of the whole force, and the house rules.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod camera;
mod captured;
mod crash;
mod deploy;
mod disc;
mod erasure;
mod fleet;
mod full_disc;
mod holds;
mod masks;
mod proof;
mod refusals;
mod rtsps;
mod scrub;
mod settings;
mod tidy;
mod token;
mod trouble;
