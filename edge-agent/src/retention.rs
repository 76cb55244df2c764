//! Erases exactly what may be erased, and watches that it does. Knows neither cameras nor the
//! controller.
//!
//! | file | does |
//! |---|---|
//! | [`plan`] | decides what goes and why (pure); the only author of deletions |
//! | [`grace`] | lets holds that are on their way come first (pure) |
//! | `retention/walk.rs` | in which order stored footage is looked at (pure) |
//! | [`sweep`] | has the store do what the plan says, step by step |
//! | [`keys`] | when keys of what is gone are destroyed, and which; the bounds on what remains |
//! | [`watchdog`] | looks by another way whether it was done; raises the alarms, shows how it stands |
//! | [`forecast`] | when the disc will not hold the floor (pure) |
//! | [`rate`] | how fast a camera fills the disc (pure) |
//! | [`estimate`] | whether a disc can hold what a configuration asks (pure) |
//! | [`admission`] | asks that of a configuration and its disc |
//!
//! A segment's age counts from its **end**. So no picture goes before its time, and the oldest
//! picture kept is older than that by at most one segment and one sweep: a minute and a half at a
//! minute's segments. Footage under a hold stays, whatever its age and however full the disc.
//!
//! Each camera is kept by its class: not beyond the *ceiling*; below the *floor* gone only when the
//! disc is full, nearest to its floor first across all cameras, with a signed record and an alarm.
//! Between the two it goes when the disc needs the room, and that is no early erasure.

pub mod admission;
pub mod estimate;
pub mod forecast;
pub mod grace;
pub mod keys;
pub mod plan;
pub mod rate;
#[cfg(test)]
mod simulation;
pub mod sweep;
mod walk;
pub mod watchdog;

pub use grace::Grace;
pub use plan::{Erasure, Held, Keep, Plan, Rules};
pub use sweep::{LastSweep, Sweeper, Swept};
pub use watchdog::{Board, CameraStanding, Standing, Watchdog};
