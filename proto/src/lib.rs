//! Everything that two parties must agree on: the gRPC services of `proto/watchhouse/v1` and their
//! generated types. Knows no room of either program; rooms turn these types into their own at once.

/// Version 1 of the wire.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated from the .proto files, which hold the documentation"
)]
pub mod v1 {
    tonic::include_proto!("watchhouse.v1");
}

/// The encoded file descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The metadata key under which a refusal's stable code travels.
pub const CODE_KEY: &str = "watchhouse-code";

/// No gRPC message on any of our channels is longer.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
