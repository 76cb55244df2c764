//! Makes what is so match what should be: holds at the sites, and cases from approval to bundle.
//!
//! Takes no input. A pass reads the folds, begins whatever is due and not under way, and may run
//! any number of times; it runs whenever the log moves, and every few seconds. The path after a
//! crash is therefore the daily path. What cannot be done now is said in the case's `detail` and
//! tried again, after a pause that grows where the try failed; what can never be done ends the case.
//!
//! | file | does |
//! |---|---|
//! | [`driver`] | the passes, and how much runs at once |
//! | [`holds`] | places and ends holds at the sites |
//! | [`copies`] | brings held footage into the vault, and deletes what no hold needs |
//! | [`guests`] | sends copies of held footage to another site, brings lost ones back, deletes them |
//! | [`erasures`] | has the sites erase what two people ordered |
//! | [`cases`] | takes a case from step to step |
//! | [`footage`] | what the sites' records say (pure) |
//! | `reconcile/away.rs` | what the vault has of a case whose site is away |
//! | [`binding`] | makes and checks the bundle |
//! | [`proving`] | gathers what proves the records and the custody record |
//! | [`memory`] | what is remembered between tries; in memory only |
//! | [`keyring`] | released keys of bundles not made yet |
//! | [`retry`] | when failed work is due again (pure) |
//! | [`waiting`] | what a case waits for, in words (pure) |
//! | [`progress`] | what is known of work that is not finished; in memory only |
//! | [`sites`] | what is asked of the sites |

mod away;
pub mod binding;
pub mod cases;
pub mod copies;
pub mod driver;
pub mod erasures;
pub mod footage;
pub mod guests;
pub mod holds;
pub mod keyring;
pub mod memory;
pub mod progress;
pub mod proving;
pub mod retry;
pub mod sites;
pub mod waiting;

pub use driver::{Parts, run};
pub use progress::Progress;
pub use proving::Proving;
pub use sites::Sites;

#[cfg(test)]
mod tests;
