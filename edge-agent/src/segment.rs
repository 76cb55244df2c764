//! Turns clean frames into one fragment per GOP and segments of about a minute. Pure; knows
//! nothing of keys, discs or RTSP.
//!
//! | file | holds |
//! |---|---|
//! | [`fmp4`] | the bytes: `ftyp`+`moov` once a segment, `moof`+`mdat` once a fragment |
//! | [`cut`] | where fragments and segments begin and end |
//!
//! A segment's `init` followed by its fragments is a fragmented MP4 file that any player plays.
//! A fragment alone plays after its `init`.

pub mod cut;
pub mod fmp4;

pub use cut::{CloseReason, Cutter, Fragment, Output, Settings};
