//! The controller: coordinates evidence, holds, health and audit for all sites.
//!
//! | room | does |
//! |---|---|
//! | [`log`] | keeps every event, for ever: the state and the audit trail |
//! | [`access`] | says who may do what |
//! | [`registry`] | knows sites, cameras, accounts |
//! | [`evidence`] | takes a request to a bundle |
//! | [`erasure`] | has footage erased before its time, by two people |
//! | [`ledger`] | the one door to all of that |
//! | [`fleet`] | holds the sites' connections |
//! | [`pki`] | issues certificates |
//! | [`vault`] | the second place of held footage |
//! | [`witnessing`] | has the logs witnessed and stamped, and witnesses the sites' |
//! | [`bundle`] | makes bundles |
//! | [`reconcile`] | makes what is so match what should be |
//! | [`api`] | translates for people and systems |
//! | [`config`], [`limits`] | settings; every limit, with its arithmetic |
//! | [`run`] | puts the rooms together |

pub mod access;
pub mod api;
pub mod bundle;
pub mod config;
pub mod erasure;
pub mod evidence;
pub mod fleet;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod pki;
pub mod reconcile;
pub mod registry;
pub mod run;
pub mod vault;
pub mod witnessing;
