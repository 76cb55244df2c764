//! Records one site's cameras: receive, mask, fragment, seal, store, sign, keep, erase.
//!
//! A frame walks the rooms in one direction, and each step is a type that only its room can make:
//! `camera::Frame` → `mask::CleanFrame` → `segment::Fragment` → `seal::SealedFragment` →
//! `store`. So no function exists that stores an unmasked frame or an unsigned segment.
//!
//! | room | does |
//! |---|---|
//! | [`camera`] | gets coded frames, or says that there are none, and why |
//! | [`mask`] | burns masks in before anything is kept; fails closed |
//! | [`segment`] | turns frames into fragments of 2 s at most and segments of about a minute |
//! | [`seal`] | makes a fragment evidence: commits, seals, signs |
//! | [`store`] | keeps it through power loss, and proves it |
//! | [`record`] | drives one camera through the rooms above |
//! | [`retention`] | erases exactly what may be erased |
//! | [`scrub`] | reads footage again, and has what is damaged replaced |
//! | [`dispose`] | says what lies on a disc that is taken out, for whoever shreds it |
//! | [`tier`] | moves older footage to a second disc, if there is one |
//! | [`guest`] | keeps sealed files of other sites' held footage, and opens none |
//! | [`witness`] | sees that other sites' logs only grow, and signs for it |
//! | [`link`] | talks to the controller; lives without it for weeks |
//! | [`config`] | reads and checks the site's TOML |
//! | [`run`] | puts the rooms together |

pub mod camera;
pub mod config;
pub mod dispose;
pub mod guest;
pub mod limits;
pub mod link;
pub mod mask;
pub mod record;
pub mod retention;
pub mod run;
pub mod scrub;
pub mod seal;
pub mod segment;
pub mod store;
pub mod tier;
pub mod witness;
