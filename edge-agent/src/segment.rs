//! Turns clean frames into fragments of one GOP, or of 2 s of a longer one, and segments of about a
//! minute. Pure; knows nothing of keys, discs or RTSP.
//!
//! | file | holds |
//! |---|---|
//! | [`fmp4`] | the bytes: `ftyp`+`moov` once a segment, `moof`+`mdat` once a fragment |
//! | [`cut`] | where fragments and segments begin and end |
//! | [`gop`] | into how many fragments a GOP is cut |
//! | [`reason`] | why a segment ended: a closed list |
//!
//! A segment's `init` followed by its fragments is a fragmented MP4 file that any player plays.
//! A fragment alone plays after its `init`; one that continues a GOP plays behind the ones before it.

pub mod cut;
pub mod fmp4;
pub mod gop;
pub mod reason;

pub use cut::{CloseReason, Cutter, Fragment, Output, Settings};
