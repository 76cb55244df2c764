//! Moves older footage to a second, slower disc, where the settings name one. Knows neither cameras
//! nor the controller; what is held, due or released is none of its business: a segment means the same
//! on either disc.
//!
//! | file | holds |
//! |---|---|
//! | [`plan`] | what moves now (pure) |
//! | [`mover`] | has the store move it, at the lowest priority and no faster than the settings say |
//!
//! Recording waits for nothing here: a second disc that is slow, full, absent or another is an alarm.
//! When the first disc is short, footage moves before its time, as long as the second has room; only
//! when both are full is footage erased early.

pub mod mover;
pub mod plan;

pub use mover::{Mover, Turn};
pub use plan::{Group, Plan, Rules};
