//! What every one of our programs needs from its machine: clock, tasks, durable files, logs.
//!
//! | file | does |
//! |---|---|
//! | [`clock`] | the only reader of the system's clocks; a simulated twin for tests |
//! | [`tasks`] | spawns tasks that shutdown waits for |
//! | [`durable`] | writes files that survive power loss |
//! | [`priority`] | lets a thread stand back at the disc |
//! | [`quic`] | the one seam to quinn: sockets, windows, a stream that tonic can serve |
//! | [`settings`] | reads TOML and reports every mistake at once, with its line |
//! | [`tiles`] | publishes a log's static files |
//! | [`telemetry`] | sends `tracing` to standard error, as lines or JSON |

pub mod clock;
pub mod durable;
pub mod priority;
pub mod quic;
pub mod settings;
pub mod tasks;
pub mod telemetry;
pub mod tiles;

pub use clock::Clock;
pub use tasks::Tasks;
