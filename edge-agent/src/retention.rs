//! Erases exactly what may be erased. Knows neither cameras nor the controller.
//!
//! | file | does |
//! |---|---|
//! | [`plan`] | decides what goes and why (pure); the only author of deletions |
//! | [`grace`] | lets holds that are on their way come first (pure) |
//! | [`sweep`] | has the store do it, step by step |
//! | [`keys`] | when keys of what is gone are destroyed, and which; the bounds on what remains |
//!
//! A segment's age counts from its **end**. So no picture goes before its time, and the oldest
//! picture kept is older than that by at most one segment and one sweep: a minute and a half at a
//! minute's segments. Footage under a hold stays, whatever its age and however full the disc.

pub mod grace;
pub mod keys;
pub mod plan;
pub mod sweep;

pub use grace::Grace;
pub use plan::{Erasure, Plan, Rules};
pub use sweep::{Sweeper, Swept};
