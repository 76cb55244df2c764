//! Has every log witnessed, and is a witness itself: so that nobody, this program's administrator
//! included, can rewrite a log unseen.
//!
//! | file | does |
//! |---|---|
//! | [`plan`] | which checkpoint goes to which witness, when (pure) |
//! | [`quorum`] | who must have cosigned (pure) |
//! | [`web`] | one HTTP request to an outside party |
//! | [`stamp`] | the question to a time-stamping authority and its answer |

pub mod plan;
pub mod quorum;
pub mod stamp;
pub mod web;
