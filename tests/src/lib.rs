//! The simulated force: what the end-to-end tests, the demo and the benchmarks stand on.
//!
//! Starts real cameras, real programs and a bad network; knows nothing of what evidence means.

pub mod bench;
pub mod force;
pub mod rig;
