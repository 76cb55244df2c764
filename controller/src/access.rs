//! The only place that says yes or no to a person, a system or a site. Knows nothing of sockets or
//! of the log; a refusal says what happened, to what, and the next step.
//!
//! | file | holds |
//! |---|---|
//! | [`role`] | what people are |
//! | [`purpose`] | why footage may be touched |
//! | [`principal`] | who acts |
//! | [`act`] | what they want to do, to what |
//! | [`refusal`] | the closed list of refusals |
//! | [`table`] | who may do what |

pub mod act;
pub mod principal;
pub mod purpose;
pub mod refusal;
pub mod role;
pub mod table;

pub use act::{Act, Object};
pub use principal::{Actor, Principal};
pub use purpose::Purpose;
pub use refusal::{Code, Refusal};
pub use role::Role;
pub use table::decide;
