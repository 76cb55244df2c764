//! The gRPC services for people and systems, over TLS: translates, decides nothing.
//!
//! Every call carries `authorization: Bearer wh_…`. Refusals travel as a gRPC status with the
//! stable code in the metadata `watchhouse-code`.
//!
//! | file | serves |
//! |---|---|
//! | [`mod@serve`] | the port: TLS, limits, health, reflection |
//! | [`gate`] | how many connections there are at once |
//! | [`door`] | who calls; what all services share |
//! | [`status`] | refusal to status, in one match |
//! | [`convert`] | our types to the wire's, and back |
//! | [`evidence`] | `Evidence` |
//! | [`fetch`] | the files of a bundle |
//! | [`holds`] | `Holds` |
//! | [`erasures`] | `Erasures` |
//! | [`audit`] | `Audit` |
//! | [`estate`] | `Estate` |
//! | `api/logs.rs` | the logs of `Estate` |
//! | [`people`] | `People` |

pub mod audit;
pub mod convert;
pub mod door;
pub mod erasures;
pub mod estate;
pub mod evidence;
pub mod fetch;
pub mod gate;
pub mod holds;
mod logs;
pub mod people;
pub mod serve;
pub mod status;

pub use door::Parts;
pub use serve::{ServeError, serve};

#[cfg(test)]
mod tests;
