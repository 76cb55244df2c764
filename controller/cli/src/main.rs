//! The command line of Watchhouse.
fn main() {}
