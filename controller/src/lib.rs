//! The controller: coordinates evidence, holds, health and audit for all sites.
//!
//! | room | does |
//! |---|---|
//! | [`log`] | keeps every event, for ever: the state and the audit trail |
//! | [`access`] | says who may do what |
//! | [`registry`] | knows sites, cameras, accounts |
//! | [`evidence`] | takes a request to a bundle |
//! | [`ledger`] | the one door to all of that |
//! | [`bundle`] | makes bundles of pulled footage |
//! | [`fleet`] | holds the sites' connections |
//! | [`pki`] | issues certificates |
//! | [`limits`] | every limit, with its arithmetic |

pub mod access;
pub mod bundle;
pub mod evidence;
pub mod fleet;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod pki;
pub mod registry;
